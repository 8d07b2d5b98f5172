//! The value of an outbox row: a protobuf message with a version.
//!
//! The version that is written, the one before and the one after are read: while a cluster is upgraded, replicas of both
//! sweep each other's rows. So a later version may add fields, and what they say must be no loss to who skips them.

use super::{OutboxError, OutboxEvent, Subject};
use bytes::Bytes;
use model::{GuildId, UserId};
use prost::Message;

/// The version that is written.
pub(super) const VERSION: u32 = 1;

const KIND_GUILD: u32 = 1;
const KIND_USER: u32 = 2;

#[derive(Clone, PartialEq, Message)]
struct RowValue {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    events: Vec<EventValue>,
}

#[derive(Clone, PartialEq, Message)]
struct EventValue {
    #[prost(uint32, tag = "1")]
    subject_kind: u32,
    #[prost(fixed64, tag = "2")]
    subject_id: u64,
    #[prost(fixed64, tag = "3")]
    event_id: u64,
    #[prost(bytes = "bytes", tag = "4")]
    envelope: Bytes,
}

pub(crate) fn encode(events: &[OutboxEvent]) -> Vec<u8> {
    let event = |event: &OutboxEvent| {
        let (subject_kind, subject_id) = match event.subject {
            Subject::Guild(id) => (KIND_GUILD, id.get()),
            Subject::User(id) => (KIND_USER, id.get()),
        };
        EventValue { subject_kind, subject_id, event_id: event.event_id, envelope: event.envelope.clone() }
    };
    RowValue { version: VERSION, events: events.iter().map(event).collect() }.encode_to_vec()
}

pub(crate) fn decode(key: &[u8], value: Vec<u8>) -> Result<Vec<OutboxEvent>, OutboxError> {
    let row = RowValue::decode(Bytes::from(value))
        .map_err(|source| OutboxError::Value { key: key.to_vec(), source })?;
    if row.version == 0 || row.version > VERSION + 1 {
        return Err(OutboxError::Version { key: key.to_vec(), version: row.version });
    }
    let event = |event: EventValue| {
        let (kind, id) = (event.subject_kind, event.subject_id);
        let subject = match kind {
            KIND_GUILD => GuildId::new(id).map(Subject::Guild),
            KIND_USER => UserId::new(id).map(Subject::User),
            _ => None,
        };
        let subject = subject.ok_or_else(|| OutboxError::Subject { key: key.to_vec(), kind, id })?;
        Ok(OutboxEvent { subject, event_id: event.event_id, envelope: event.envelope })
    };
    row.events.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = OutboxEvent> {
        let envelope = proptest::collection::vec(any::<u8>(), 0..64);
        (any::<bool>(), 1..u64::MAX, any::<u64>(), envelope).prop_map(|(guild, id, event_id, envelope)| {
            let subject = if guild {
                Subject::Guild(GuildId::new(id).unwrap())
            } else {
                Subject::User(UserId::new(id).unwrap())
            };
            OutboxEvent { subject, event_id, envelope: envelope.into() }
        })
    }

    proptest! {
        #[test]
        fn round_trip(events in proptest::collection::vec(event(), 0..8)) {
            prop_assert_eq!(decode(b"key", encode(&events)).unwrap(), events);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(b"key", bytes);
        }
    }

    /// What a version wrote is read by those beside it.
    #[test]
    fn a_kept_row_is_read_and_so_is_one_of_the_next_version() {
        let (guild, user) = (GuildId::new(5).unwrap(), UserId::new(6).unwrap());
        let event =
            |subject, event_id| OutboxEvent { subject, event_id, envelope: Bytes::from_static(b"{}") };
        let events = vec![event(Subject::Guild(guild), 7), event(Subject::User(user), 8)];
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), "v1/outbox-row.bin", &encode(&events));
        assert_eq!(decode(b"key", kept.clone()).unwrap(), events);
        assert_eq!(
            encode(&events),
            kept,
            "what is written has changed: raise the version, and keep this one"
        );

        let with_version = |version| {
            // What stands behind in protobuf holds; field 99 is unknown here.
            [&kept[..], &RowValue { version, events: vec![] }.encode_to_vec(), &[0x98, 0x06, 1]].concat()
        };
        assert_eq!(decode(b"key", with_version(VERSION + 1)).unwrap(), events);
        let refused = decode(b"key", with_version(VERSION + 2)).unwrap_err();
        assert!(
            matches!(refused, OutboxError::Version { version, .. } if version == VERSION + 2),
            "{refused}"
        );
    }

    #[test]
    fn a_newer_version_and_an_unknown_subject_are_refused() {
        let newer = RowValue { version: VERSION + 2, events: vec![] }.encode_to_vec();
        assert!(matches!(decode(b"key", newer), Err(OutboxError::Version { version: 3, .. })));
        assert!(matches!(decode(b"key", vec![]), Err(OutboxError::Version { version: 0, .. })));
        for (subject_kind, subject_id) in [(9, 1), (KIND_GUILD, 0)] {
            let event = EventValue { subject_kind, subject_id, ..EventValue::default() };
            let odd = RowValue { version: VERSION, events: vec![event] }.encode_to_vec();
            let error = decode(b"key", odd).unwrap_err();
            assert!(matches!(error, OutboxError::Subject { kind, .. } if kind == subject_kind), "{error}");
        }
    }
}
