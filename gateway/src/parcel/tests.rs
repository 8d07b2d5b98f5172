//! Sessions as values: written, read, kept from earlier versions, and garbage.

use model::presence::{Platform, Status};
use proptest::prelude::*;

use super::*;
use crate::session::About;

fn guild(number: u64) -> GuildId {
    GuildId::new(number).unwrap()
}

fn channel(number: u64) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn profile() -> Profile {
    Profile {
        id: SessionId::of_bytes([7; 16]),
        user_id: UserId::new(5).unwrap(),
        is_bot: true,
        token_id: 9,
        token_hash: TokenHash::of("secret"),
        intents: Intents::ALL,
        large_threshold: 250,
        shard: Shard { index: 1, count: 3 },
        compress: true,
    }
}

fn own(name: &str) -> OwnEvent {
    OwnEvent::new(name, br#"{"id":"1"}"#)
}

/// A session that has something of everything.
fn sample() -> Parcel {
    let items = vec![
        Item::GuildCreate(guild(1)),
        Item::OfGuild(guild(1), 1_000_000),
        Item::OfGuild(guild(2), 40),
        Item::OfGuild(guild(1), 1_000_003),
        Item::Own(own("CHANNEL_CREATE"), About::Channel(guild(1), channel(8))),
        Item::Own(own("CHANNEL_DELETE"), About::Guild(guild(1))),
        Item::OfUser(77),
        Item::Own(own("GUILD_DELETE"), About::User),
        Item::OfGuild(guild(2), 39),
        Item::OfUser(78),
    ];
    Parcel {
        profile: profile(),
        epoch: 3,
        seq: 4_321,
        entries: Some(items),
        position: Position { incarnation: 11, floors: vec![(0, 1_000_003), (63, 40)], user: 78 },
        open: vec![OpenGuild { id: guild(1), revision: 12, after: 999_999, repeats: false }],
        to_create: vec![guild(4), guild(3)],
        joined: vec![guild(4)],
        private: vec![channel(6)],
        says: Says {
            status: Status::Idle,
            platform: Platform::Mobile,
            activities_json: r#"[{"name":"x"}]"#.into(),
        },
        voices: vec![v1::HeldVoice::default()],
        waiting: vec![Waiting { voice_in: Some(guild(1)), event: own("VOICE_SERVER_UPDATE") }],
    }
}

fn checkpoint() -> Parcel {
    Parcel { entries: None, ..sample() }
}

#[test]
fn what_is_written_is_read() {
    let open = sample().open.into_iter().map(|guild| OpenGuild { repeats: true, ..guild }).collect();
    let repeating = Parcel { open, ..sample() };
    for parcel in [sample(), checkpoint(), repeating] {
        assert_eq!(Parcel::decode(parcel.encode().unwrap()), Ok(parcel));
    }
}

#[test]
fn versions() {
    for (name, parcel) in [("v1/session.bin", sample()), ("v1/checkpoint.bin", checkpoint())] {
        let today = parcel.encode().unwrap();
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), name, &today);
        assert_eq!(Parcel::decode(kept.clone().into()), Ok(parcel), "{name}");
        assert_eq!(today, kept, "what is written has changed: raise the version, and keep this one");
    }
    let of_version = |version| Parcel::read(v1::Parcel { version, ..sample().message().unwrap() });
    assert_eq!(of_version(VERSION - 1), Ok(sample()));
    assert_eq!(of_version(VERSION + 1), Ok(sample()));
    assert_eq!(of_version(VERSION + 2), Err(ParcelError::Version(VERSION + 2)));
}

#[test]
fn a_user_in_one_guild_takes_little() {
    let entries = (0..50).map(|number| Item::OfGuild(guild(1 << 60), 1_000_000 + 7 * number)).collect();
    let small = Parcel {
        entries: Some(entries),
        position: Position { incarnation: u64::MAX, floors: vec![(63, 1_000_350)], user: 77_777 },
        to_create: Vec::new(),
        joined: Vec::new(),
        voices: Vec::new(),
        waiting: Vec::new(),
        ..sample()
    };
    let (whole, checkpoint) = (small.encode().unwrap(), Parcel { entries: None, ..small }.encode().unwrap());
    println!("{} bytes with 50 references, {} without", whole.len(), checkpoint.len());
    assert!(checkpoint.len() <= 200 && whole.len() <= checkpoint.len() + 50 * 3);
}

/// What makes a parcel a wrong one.
type Change = fn(&mut v1::Parcel);

#[test]
fn what_can_be_no_session_is_refused_by_name() {
    let cases: Vec<(&str, Change)> = vec![
        ("parcel.session_id", |parcel| parcel.session_id = Bytes::from_static(b"short")),
        ("parcel.seq", |parcel| parcel.seq = limits::SEQUENCE_MAX + 1),
        ("parcel.epoch", |parcel| parcel.epoch = 0),
        ("parcel.open", |parcel| parcel.to_create = vec![1; limits::PARCEL_GUILDS_MAX]),
        ("parcel.private_channels", |parcel| {
            parcel.private_channels = vec![1; limits::PRIVATE_CHANNELS_MAX + 1];
        }),
        ("profile.token_hash", |parcel| parcel.profile.as_mut().unwrap().token_hash = Bytes::new()),
        ("profile.intents", |parcel| parcel.profile.as_mut().unwrap().intents = u32::MAX),
        ("profile.shard_index", |parcel| parcel.profile.as_mut().unwrap().shard_count = 0),
        ("position.floors", |parcel| parcel.position.as_mut().unwrap().floors.reverse()),
        ("says.platform", |parcel| parcel.says.as_mut().unwrap().platform = 9),
        ("says.activities_json", |parcel| parcel.says.as_mut().unwrap().activities_json = "[".into()),
        ("own_event.name", |parcel| parcel.waiting[0].name = "A\"".into()),
        ("own_event.data", |parcel| parcel.waiting[0].data = Bytes::from_static(b"{")),
        ("entries.steps", |parcel| parcel.entries.as_mut().unwrap().steps[0] = 0),
        ("entries.own", |parcel| drop(parcel.entries.as_mut().unwrap().own.pop())),
        ("entries.sources", |parcel| parcel.entries.as_mut().unwrap().sources[1] = 99),
        ("entries.sources", |parcel| parcel.entries.as_mut().unwrap().steps.push(1)),
        ("entries.sources", |parcel| parcel.seq = 3),
    ];
    for (field, spoil) in cases {
        let mut message = sample().message().unwrap();
        spoil(&mut message);
        match Parcel::read(message) {
            Err(ParcelError::Malformed(malformed)) => assert_eq!(malformed.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn more_than_a_call_takes_is_refused_where_it_is_written() {
    let mut large = sample();
    let data = format!("\"{}\"", "x".repeat(limits::PARCEL_BYTES_MAX));
    large.entries = Some(vec![Item::Own(OwnEvent::new("T", data.as_bytes()), About::User)]);
    assert!(matches!(large.encode(), Err(ParcelError::TooLarge(_))));
}

fn item() -> impl Strategy<Value = Item> {
    let guilds = || (1_u64..5).prop_map(guild);
    prop_oneof![
        (guilds(), 1_u64..).prop_map(|(guild, sequence)| Item::OfGuild(guild, sequence)),
        (1_u64..).prop_map(Item::OfUser),
        guilds().prop_map(Item::GuildCreate),
        guilds().prop_map(|guild| Item::Own(own("T"), About::Guild(guild))),
    ]
}

proptest! {
    #[test]
    fn any_entries_survive(items in proptest::collection::vec(item(), 0..100)) {
        let parcel = Parcel { entries: Some(items), ..sample() };
        prop_assert_eq!(Parcel::decode(parcel.encode().unwrap()), Ok(parcel));
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes: Vec<u8>, at: usize, byte: u8) {
        let _ = Parcel::decode(bytes.into());
        let mut spoilt = sample().encode().unwrap().to_vec();
        let at = at % spoilt.len();
        spoilt[at] = byte;
        let _ = Parcel::decode(spoilt.into());
    }

    #[test]
    fn a_part_of_a_session_is_none_or_a_session(cut: usize) {
        let whole = sample().encode().unwrap();
        let _ = Parcel::decode(whole.slice(..cut % whole.len()));
    }
}
