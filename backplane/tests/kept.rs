//! Envelopes of an earlier version, as they lie in streams and rows while a cluster is upgraded: today's code reads them to
//! the values that they had, and what the next version will write as well. Two versions ahead is refused by name.

use backplane::fence::{Fence, Verdict};
use bytes::Bytes;
use model::view::{ChannelView, MemberView, ViewChange};
use model::{
    ChannelId, ChannelKind, EventKind, GuildId, Overwrite, OverwriteKind, Permissions, RoleId, Timestamp,
    UserId,
};
use proto::envelope::{EnvelopeError, VERSION};
use proto::{Envelope, Writer};

/// An envelope of each form, by the name of its fixture.
fn envelopes() -> Vec<(&'static str, Envelope)> {
    let role = RoleId::new(31).expect("above zero");
    let channel = ChannelView {
        kind: ChannelKind::Text,
        overwrites: vec![Overwrite {
            target: OverwriteKind::Role(role),
            allow: Permissions::VIEW_CHANNEL,
            deny: Permissions::SEND_MESSAGES,
        }],
        rate_limit_per_user: 5,
    };
    let member = |roles: &[RoleId], timeout: Option<u64>| MemberView {
        roles: roles.to_vec(),
        timed_out_until: timeout.map(Timestamp::from_ms),
    };
    let (user, other) = (UserId::new(41).expect("above zero"), UserId::new(42).expect("above zero"));
    vec![
        ("message", message()),
        ("owner", directory(EventKind::GuildUpdate, Some(ViewChange::Owner { before: user, after: other }))),
        (
            "role",
            directory(
                EventKind::GuildRoleUpdate,
                Some(ViewChange::Role {
                    id: role,
                    before: Some(Permissions::NONE),
                    after: Some(Permissions::VIEW_CHANNEL),
                    mentionable: true,
                }),
            ),
        ),
        (
            "channel",
            directory(
                EventKind::ChannelDelete,
                Some(ViewChange::Channel {
                    id: ChannelId::new(21).expect("above zero"),
                    before: Some(channel),
                    after: None,
                }),
            ),
        ),
        (
            "member",
            directory(
                EventKind::GuildMemberUpdate,
                Some(ViewChange::Member {
                    id: user,
                    before: Some(member(&[role], None)),
                    after: Some(member(&[], Some(10_000))),
                }),
            ),
        ),
        ("deleted", directory(EventKind::GuildDelete, Some(ViewChange::Deleted))),
        ("joined", directory(EventKind::GuildJoined, None)),
        ("token", Envelope { token_id: Some(51), user_id: Some(user), ..of(EventKind::TokenRevoked, 3) }),
        (
            "voice",
            Envelope {
                channel_id: ChannelId::new(21),
                user_id: Some(user),
                moved_to: ChannelId::new(22),
                guild_id: GuildId::new(11),
                ..of(EventKind::VoiceStateUpdate, 0)
            },
        ),
    ]
}

fn of(kind: EventKind, set: u8) -> Envelope {
    Envelope {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        ..Envelope::new(9_000, kind, Writer { set, slot: 1023, epoch: 7 }, r#"{"id":"9000"}"#)
    }
}

fn message() -> Envelope {
    Envelope {
        guild_id: GuildId::new(11),
        channel_id: ChannelId::new(21),
        user_id: UserId::new(41),
        mentions: [42, 43].into_iter().filter_map(UserId::new).collect(),
        data_without_content: Some(Bytes::from_static(br#"{"id":"9000","content":""}"#)),
        ..of(EventKind::MessageCreate, 1)
    }
}

fn directory(kind: EventKind, view: Option<ViewChange>) -> Envelope {
    Envelope { guild_id: GuildId::new(11), revision: Some(12), view, ..of(kind, 2) }
}

/// As another version writes it: the number, and fields that nobody knows here. Of a field that comes twice the second
/// counts.
fn as_version(version: u32, kept: &[u8]) -> Bytes {
    let number = u8::try_from(version).expect("one byte");
    // Field 1 is the version; 98 is a text, 99 a number.
    [kept, &[0x08, number], &[0x92, 0x06, 3, b'n', b'e', b'w'], &[0x98, 0x06, 1]].concat().into()
}

#[test]
fn kept_envelopes_are_read_and_so_are_those_of_the_next_version() {
    for (name, expected) in envelopes() {
        let name = format!("v1/envelope-{name}.bin");
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), &name, &expected.encode());
        assert_eq!(Envelope::decode(kept.clone().into()), Ok(expected.clone()), "{name}");
        assert_eq!(
            expected.encode(),
            kept,
            "{name}: what is written has changed: raise the version, and keep this one"
        );
        assert_eq!(Envelope::decode(as_version(VERSION + 1, &kept)), Ok(expected), "{name}");
        let refused = Envelope::decode(as_version(VERSION + 2, &kept));
        assert_eq!(refused, Err(EnvelopeError::Version(VERSION + 2)), "{name}");
    }
}

/// A kind of event that a later version has is skipped by name, whatever else the envelope holds.
#[test]
fn a_kind_of_the_next_version_is_refused_by_name() {
    let kept = message().encode();
    let later = [&as_version(VERSION + 1, &kept)[..], &[0x18, 0xe7, 0x07]].concat();
    assert_eq!(Envelope::decode(later.into()), Err(EnvelopeError::UnknownKind(999)));
}

/// The same event from the old and from the new version is the same: it is given once, and epochs are compared.
#[test]
fn versions_are_fenced_alike() {
    let kept = message().encode();
    let next = Envelope::decode(as_version(VERSION + 1, &kept)).expect("it is read");
    let mut fence = Fence::new(16);
    assert_eq!(fence.check(&message(), 1), Verdict::Pass);
    assert_eq!(fence.check(&next, 2), Verdict::Repeat);
    let replaced = Envelope { event_id: 9_001, writer: Writer { epoch: 6, ..next.writer }, ..next };
    assert_eq!(fence.check(&replaced, 3), Verdict::Fenced);
}
