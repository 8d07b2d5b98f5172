//! What the gateway holds for an idle connection, for a guild and for a membership, part by part:
//! `cargo test -p gateway memory -- --nocapture`.
//!
//! Each part is made a few thousand times, as the gateway makes it, and what that left allocated is divided. The number is one
//! at which hash maps are as full as they are on average. Allocators round up to their classes (jemalloc by a tenth on
//! average), which is not counted, and what the kernel adds is not ours to count. A connection has no task and no place in the
//! runtime.

use model::presence::{Presence, Status};
use model::view::MemberView;
use model::{Channel, ChannelKind, Guild, Id, Intents, Member, Permissions, Role, RoleId, Timestamp, User};
use proto::v1;

use super::conn::{Conn, ConnId};
use super::*;
use crate::audience::{RowIndex, Seats};
use crate::interest::Interest;
use crate::presence::book::{Page, PresenceBook};
use crate::presence::copies::Copies;
use crate::render::Snapshot;
use crate::session::{GuildStates, Place, Session};

/// Two thirds of a power of two.
const COUNT: u64 = 10_752;
/// Guilds of one session, where its lists are measured.
const GUILDS: u64 = 100;

/// Bytes that stay allocated of what is made, for each of so many.
fn each<T>(count: u64, make: impl FnOnce() -> T) -> usize {
    let mut made = None;
    let measured = allocation_counter::measure(|| made = Some(make()));
    drop(made);
    usize::try_from(measured.bytes_current).expect("more is made than freed").div_ceil(count as usize)
}

fn id<M>(number: u64) -> Id<M> {
    Id::new(number).expect("it is not 0")
}

/// Prints the parts and answers what they are together.
fn print(what: &str, parts: &[(&str, usize)]) -> usize {
    let total: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    println!("{total:5}  {what}");
    for (part, bytes) in parts {
        println!("{bytes:11}  {part}");
    }
    total
}

/// A guild as users make it, with a text and a voice channel.
fn snapshot() -> Snapshot {
    let guild = Guild { revision: 1, member_count: 1, ..Guild::new(id(1), "a guild of my own", id(7)) };
    let everyone = Role::new(id(1), "@everyone", Permissions::DEFAULT);
    let channel = |number, kind, name: &str| Channel::new(id(number), id(1), kind, name);
    let channels = [channel(2, ChannelKind::Text, "general"), channel(3, ChannelKind::Voice, "General")];
    let member = Member::new(id(1), User::new(id(7), "somebody", false), Timestamp::default());
    let details = v1::GuildDetails {
        guild: Some((&guild).into()),
        roles: vec![(&everyone).into()],
        channels: channels.iter().map(Into::into).collect(),
    };
    let member: v1::Member = (&member).into();
    let opened =
        v1::GuildSnapshot { details: Some(details), members: vec![member.clone()], member: Some(member) };
    Snapshot::new(opened, Vec::new(), Vec::new(), Vec::new()).expect("it is well-formed")
}

fn joined(table: &mut GuildTable, user: u64, roles: Vec<RoleId>) {
    let view = MemberView { roles, timed_out_until: None };
    let session = (user as usize, Intents::ALL);
    let _ = table.audience.join(&mut Elsewhere, (id(user), &view), 1, session);
}

/// What sessions remember of a guild is counted with them.
struct Elsewhere;

impl Seats for Elsewhere {
    fn row_of(&self, _: SessionKey) -> Option<RowIndex> {
        None
    }

    fn put(&mut self, _: SessionKey, _: RowIndex) {}

    fn sessions_of(&self, _: model::UserId) -> Vec<SessionKey> {
        Vec::new()
    }
}

fn session_id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    SessionId::of_bytes(bytes)
}

fn page(user: u64) -> Page {
    Page::new(id(user), Status::Online, model::presence::Platform::Web, "".into())
}

fn book(count: u64) -> PresenceBook {
    let book = PresenceBook::new(1);
    (1..=count).for_each(|number| book.set(session_id(number), page(number)));
    book.settle();
    book
}

/// What each guild of a session adds to the session and to its page, where sessions have so many.
fn in_session(guilds: u64) -> usize {
    let sessions = COUNT / 8;
    let made = |guilds: u64| {
        each(1, || {
            let book = book(sessions);
            let sessions: Vec<GuildStates> =
                (1..=sessions).map(|number| opened(&book, number, guilds)).collect();
            book.settle();
            (book, sessions)
        })
    };
    (made(guilds) - made(0)).div_ceil((sessions * guilds) as usize)
}

fn opened(book: &PresenceBook, number: u64, guilds: u64) -> GuildStates {
    let mut states = GuildStates::default();
    for guild in 1..=guilds {
        states.begin(id(guild));
        states.open(id(guild), Place { row: Some(1), mark: 1 });
        book.opened(session_id(number), id(guild), states.list());
    }
    states
}

#[test]
fn memory_of_an_idle_connection_stays_small() {
    let parts = [
        ("connection: socket, outbox, protocol", size_of::<Conn>()),
        ("timer of the connection", size_of::<(u32, ConnId)>()),
        ("session", size_of::<SessionSlot>()),
        (
            "session by id",
            each(COUNT, || (1..=COUNT).map(|n| (session_id(n), n)).collect::<FxHashMap<_, _>>()),
        ),
        (
            "sessions by user",
            each(COUNT, || (1..=COUNT).map(|n| (n, vec![n])).collect::<FxHashMap<u64, Vec<u64>>>()),
        ),
        (
            "interest in the user",
            each(COUNT, || {
                let interest = Interest::default();
                (1..=COUNT).for_each(|user| interest.add_user(id(user), 0));
                interest
            }),
        ),
        ("page in the presence book", each(COUNT, || book(COUNT))),
    ];
    let total = print("an idle connection, without its guilds", &parts);
    assert_eq!(size_of::<Session>() - size_of::<crate::session::Profile>(), 32 + 32 + 8 + 16 + 8 + 8);
    assert!(total <= CONNECTION_BYTES_MAX, "{total}");
}

#[test]
fn memory_of_a_guild_with_one_member_stays_small() {
    let snapshot = snapshot();
    let table = || {
        let mut table = GuildTable::new(&snapshot);
        joined(&mut table, 7, Vec::new());
        Box::new(table)
    };
    let table_bytes = each(1, table);
    let mut parts = [
        ("table: itself", size_of::<GuildTable>()),
        ("table: JSON of its two channels", snapshot.channel_bodies().map(|(_, json)| json.len()).sum()),
        ("table: view", each(1, || snapshot.view())),
        ("table: everything else of its audience", 0),
        ("table: where it is", each(COUNT, || (1..=COUNT).map(|n| (n, n)).collect::<FxHashMap<u64, u64>>())),
        (
            "interest in the guild",
            each(COUNT, || {
                let interest = Interest::default();
                (1..=COUNT).for_each(|guild| interest.add_guild(id(guild), 0));
                interest
            }),
        ),
        (
            "presence copies: the guild, and its member in it",
            each(COUNT, || {
                let copies = Copies::default();
                let online = || Presence { status: Status::Online, ..Presence::offline(id(7)) };
                (1..=COUNT).for_each(|guild| copies.fill(id(guild), online()));
                copies
            }),
        ),
        ("its member's session and page: the guild", in_session(GUILDS)),
    ];
    parts[3].1 = table_bytes - parts[..3].iter().map(|(_, bytes)| bytes).sum::<usize>();
    let total = print("a guild with one member connected", &parts);
    assert!(total <= GUILD_BYTES_MAX, "{total}");
}

#[test]
fn memory_of_a_membership_stays_small() {
    let snapshot = snapshot();
    let members = |roles_of: &dyn Fn(u64) -> Vec<RoleId>| {
        each(COUNT, || {
            let mut table = GuildTable::new(&snapshot);
            (1..=COUNT).for_each(|user| joined(&mut table, user, roles_of(user)));
            table
        })
    };
    let common = members(&|user| vec![id(1_000 + user % 10), id(2_000)]);
    for guilds in [1, 10, GUILDS] {
        let parts = [
            ("session in a row of the guild's audience", common),
            ("session: the guild, where it sits, its GUILD_CREATE; shared with its page", in_session(guilds)),
        ];
        let total = print(&format!("a membership of a session with {guilds} guilds"), &parts);
        assert!(total <= MEMBERSHIP_BYTES_MAX, "{total}");
    }
    let alone = members(&|user| vec![id(1_000 + user % 250), id(2_000 + user / 250)]);
    println!("{alone:5}  in the audience, of a member with two roles that nobody else has together");
    assert!(alone <= STANDING_BYTES_MAX, "{alone}");
}

/// Raise them knowingly: they are multiplied with every connection, guild and membership.
const CONNECTION_BYTES_MAX: usize = 1_000;
const GUILD_BYTES_MAX: usize = 2_048;
const MEMBERSHIP_BYTES_MAX: usize = 24;
const STANDING_BYTES_MAX: usize = 256;
