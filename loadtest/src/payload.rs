//! What is read of a payload without parsing it: whether it is a dispatch, which number it has, how it is called.
//!
//! Dispatches are nearly everything that comes, and begin alike; whatever begins otherwise is parsed as a whole.

use std::sync::LazyLock;

use encoding::{Etf, Format, Json};
use memchr::memmem::Finder;

/// The name of an event stands within its first bytes.
const HEAD_BYTES: usize = 96;

/// Dispatches that are more than their number and their marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Ready,
    GuildCreate,
    Resumed,
}

static NAMES: LazyLock<[(Name, Finder<'static>); 3]> = LazyLock::new(|| {
    [(Name::Ready, "READY"), (Name::GuildCreate, "GUILD_CREATE"), (Name::Resumed, "RESUMED")]
        .map(|(name, text)| (name, Finder::new(text)))
});

/// The number of a dispatch; `None` for any other payload.
pub fn sequence(payload: &[u8], is_etf: bool) -> Option<u64> {
    let prefix = if is_etf { Etf::PREFIX } else { Json::PREFIX };
    let rest = payload.strip_prefix(&prefix.as_slice()[..prefix.seq_at()])?;
    if is_etf {
        return rest.first_chunk().map(|bytes| u64::from(u32::from_be_bytes(*bytes)));
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let add = |number: u64, digit: &u8| number * 10 + u64::from(digit - b'0');
    Some(digits.fold(0, add))
}

/// How a dispatch is called, if it is one of those.
pub fn name(payload: &[u8]) -> Option<Name> {
    let head = &payload[..payload.len().min(HEAD_BYTES)];
    NAMES.iter().find(|(_, finder)| finder.find(head).is_some()).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use encoding::{Dispatch, zstd};

    use super::*;

    #[test]
    fn dispatches_are_known_by_their_beginning() {
        let json = Dispatch::json("RESUMED", b"{}").plain();
        let etf = Dispatch::etf("GUILD_CREATE", b"{}").unwrap().plain();
        for seq in [0, 42, 70_000] {
            assert_eq!(sequence(&json.message(seq), false), Some(u64::from(seq)));
            assert_eq!(sequence(&etf.message(seq), true), Some(u64::from(seq)));
        }
        assert_eq!(sequence(br#"{"op":11}"#, false), None);
        assert_eq!(sequence(br#"{"d":null,"op":1}"#, false), None);
        assert_eq!(sequence(&json.message(1), true), None);
        assert_eq!(name(&json.message(1)), Some(Name::Resumed));
        assert_eq!(name(&etf.message(1)), Some(Name::GuildCreate));
        let message =
            format!(r#"{{"op":0,"s":1,"t":"MESSAGE_CREATE","d":{{"content":"{}READY"}}}}"#, "x".repeat(60));
        assert_eq!(name(message.as_bytes()), None);
    }

    #[test]
    fn names_are_found_behind_the_spaces_of_shared_zstd() {
        let mut sharer = zstd::Sharer::new();
        let hello = encoding::Payload::<Json>::json(&b"{}"[..]);
        let messages =
            [sharer.opening(&hello).to_vec(), sharer.share(&Dispatch::json("READY", b"{}")).message(3)];
        let (mut decoder, mut room) = (crate::form::Decoder::new(crate::form::Form::JsonZstd), Vec::new());
        decoder.read(&messages[0], &mut room).unwrap();
        let payload = decoder.read(&messages[1], &mut room).unwrap();
        assert_eq!((sequence(payload, false), name(payload)), (Some(3), Some(Name::Ready)));
    }
}
