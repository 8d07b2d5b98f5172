//! User events for one pod, as they travel: a version, then user, sequence and length, eight bytes each with the lowest
//! first, and the envelope, of each.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::UserId;

use crate::port::UserEvent;

/// The version that is written; the next one is read as well.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 24;

/// The events in order, in messages of at most so many bytes; one that is larger alone is a message of its own.
pub(super) fn encode(events: &[UserEvent], bytes_max: usize) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let mut message = BytesMut::new();
    for event in events {
        if !message.is_empty() && message.len() + HEAD_BYTES + event.envelope.len() > bytes_max {
            messages.push(message.split().freeze());
        }
        if message.is_empty() {
            message.put_u8(VERSION);
        }
        message.put_u64_le(event.user.get());
        message.put_u64_le(event.sequence);
        message.put_u64_le(event.envelope.len() as u64);
        message.put_slice(&event.envelope);
    }
    if message.is_empty() {
        message.put_u8(VERSION);
    }
    messages.push(message.freeze());
    messages
}

/// `None` when it is no batch of a version that is known here.
pub(super) fn decode(mut message: Bytes) -> Option<Vec<UserEvent>> {
    let version = message.try_get_u8().ok()?;
    if !(VERSION..=VERSION + 1).contains(&version) {
        return None;
    }
    let mut events = Vec::new();
    while message.has_remaining() {
        let user = UserId::new(message.try_get_u64_le().ok()?)?;
        let sequence = message.try_get_u64_le().ok()?;
        let length = usize::try_from(message.try_get_u64_le().ok()?).ok()?;
        if length > message.len() {
            return None;
        }
        events.push(UserEvent { user, sequence, envelope: message.split_to(length) });
    }
    Some(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(lengths: &[usize]) -> Vec<UserEvent> {
        let event = |(index, length): (usize, &usize)| UserEvent {
            user: UserId::new(index as u64 % 3 + 1).unwrap(),
            sequence: index as u64,
            envelope: vec![index as u8; *length].into(),
        };
        lengths.iter().enumerate().map(event).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_any_split(lengths in prop::collection::vec(0..200_usize, 0..30), max in 0..500_usize) {
            let events = events(&lengths);
            let messages = encode(&events, max);
            let fits = |message: &Bytes| message.len() <= max || decode(message.clone()).unwrap().len() <= 1;
            prop_assert!(messages.iter().all(fits));
            let decoded: Vec<_> = messages.into_iter().flat_map(|message| decode(message).unwrap()).collect();
            prop_assert_eq!(decoded, events);
        }

        #[test]
        fn garbage_is_no_batch_and_never_a_panic(mut bytes: Vec<u8>) {
            let _ = decode(bytes.clone().into());
            bytes.insert(0, VERSION);
            let _ = decode(bytes.into());
        }
    }

    #[test]
    fn versions() {
        let today = encode(&events(&[3, 0, 2]), 1000);
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), "v1/user-batch.bin", &today[0]);
        assert_eq!(decode(kept.clone().into()), Some(events(&[3, 0, 2])));
        assert_eq!(today, [&kept[..]], "what is written has changed: raise the version, and keep this one");
        let mut message = kept;
        message[0] = VERSION + 1;
        assert_eq!(decode(message.clone().into()), Some(events(&[3, 0, 2])));
        message[0] = VERSION + 2;
        assert_eq!(decode(message.into()), None);
    }
}
