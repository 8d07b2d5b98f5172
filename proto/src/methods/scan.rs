//! Reads single fields of an encoded message, without decoding the rest of it.

/// One field as it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The number in a field, where it is set and not 0. The last of several counts, as everywhere in protobuf.
pub(super) fn number(message: &[u8], path: &[u32]) -> Option<u64> {
    let number = match find(message, path)? {
        Raw::Varint(number) | Raw::Fixed64(number) => number,
        Raw::Fixed32(number) => number.into(),
        Raw::Bytes(_) => return None,
    };
    (number != 0).then_some(number)
}

/// Whether a field is set: a number to something other than 0, a message or text at all.
pub(super) fn is_set(message: &[u8], path: &[u32]) -> bool {
    matches!(find(message, path), Some(Raw::Bytes(_))) || number(message, path).is_some()
}

fn find<'a>(message: &'a [u8], path: &[u32]) -> Option<Raw<'a>> {
    let (first, rest) = path.split_first()?;
    let mut found = None;
    let mut left = message;
    while !left.is_empty() {
        let (number, raw) = next(&mut left)?;
        if number == *first {
            found = Some(raw);
        }
    }
    match found? {
        Raw::Bytes(inner) if !rest.is_empty() => find(inner, rest),
        raw if rest.is_empty() => Some(raw),
        _ => None,
    }
}

/// The next field with its number; `None` where the message is malformed, which the service will say.
fn next<'a>(left: &mut &'a [u8]) -> Option<(u32, Raw<'a>)> {
    let key = varint(left)?;
    let raw = match key & 7 {
        0 => Raw::Varint(varint(left)?),
        1 => Raw::Fixed64(u64::from_le_bytes(take(left, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(left)?).ok()?;
            Raw::Bytes(take(left, length)?)
        }
        5 => Raw::Fixed32(u32::from_le_bytes(take(left, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok()?, raw))
}

fn varint(left: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = left.split_first()?;
        *left = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(left: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::v1;

    fn voice(guild_id: u64, pod: &str) -> Vec<u8> {
        let state = v1::VoiceState { guild_id, user_id: 3, self_mute: true, ..Default::default() };
        v1::UpdateVoiceStateRequest { state: Some(state), pod: pod.into(), ..Default::default() }
            .encode_to_vec()
    }

    #[test]
    fn a_field_inside_a_message_is_found() {
        assert_eq!(number(&voice(77, "a"), &[1, 1]), Some(77));
        assert_eq!(number(&voice(0, "a"), &[1, 1]), None);
        assert_eq!(number(&voice(77, "a"), &[1]), None, "a message is no number");
        assert_eq!(number(&voice(77, "a"), &[3, 1]), None, "a text has no fields");
    }

    #[test]
    fn the_last_of_several_counts() {
        let mut message = v1::GetGuildRequest { guild_id: 1, reader_id: None }.encode_to_vec();
        message.extend(v1::GetGuildRequest { guild_id: 2, reader_id: Some(9) }.encode_to_vec());
        assert_eq!(number(&message, &[1]), Some(2));
    }

    proptest! {
        #[test]
        fn any_number_is_found_wherever_it_stands(id: u64, limit: u32, before: Option<u64>) {
            let request = v1::ListMessagesRequest { channel_id: id, limit, before, ..Default::default() };
            let message = request.encode_to_vec();
            prop_assert_eq!(number(&message, &[1]), Some(id).filter(|id| *id != 0));
            prop_assert_eq!(number(&message, &[6]), Some(u64::from(limit)).filter(|limit| *limit != 0));
            prop_assert_eq!(is_set(&message, &[3]), before.is_some_and(|before| before != 0));
        }

        #[test]
        fn garbage_is_no_field_and_no_panic(bytes: Vec<u8>, field in 1_u32..16) {
            let _ = number(&bytes, &[field, 1]);
            let _ = is_set(&bytes, &[field]);
        }
    }
}
