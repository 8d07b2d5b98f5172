use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::fuzz::fuzz_decode;

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;
const CAP: usize = 1 << 17;

/// A client's frame with `first` as its first byte.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
    frame
}

/// Feeds `stream` in pieces of the given sizes (over and over), and collects what comes out.
fn decode(stream: &[u8], sizes: &[usize], cap: usize) -> Vec<Result<Message, FrameError>> {
    let (mut decoder, mut buf, mut out) = (Decoder::default(), BytesMut::new(), Vec::new());
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (piece, next) = rest.split_at((*size).min(rest.len()));
        buf.extend_from_slice(piece);
        rest = next;
        while let Some(result) = decoder.decode(&mut buf, cap).transpose() {
            out.push(result);
        }
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(decoder.held_bytes(), 0, "nothing is held when no message is open");
    out
}

fn decode_whole(stream: &[u8], cap: usize) -> Vec<Result<Message, FrameError>> {
    let (mut decoder, mut buf) = (Decoder::default(), BytesMut::from(stream));
    std::iter::from_fn(|| decoder.decode(&mut buf, cap).transpose()).collect()
}

/// What a client sends as one message: its bytes on the wire, and what is to come out.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<Message>)> {
    let payload = prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => "[a-zé]{100,300}".prop_map(String::into_bytes),
        1 => (65_000..70_000_usize).prop_map(|len| vec![b'x'; len]),
    ];
    let cuts = vec((any::<prop::sample::Index>(), any::<Option<[u8; 3]>>()), 0..4);
    (payload, any::<bool>(), cuts, any::<[u8; 4]>()).prop_map(|(payload, text, mut cuts, mask)| {
        cuts.sort_by_key(|(at, _)| at.index(payload.len() + 1));
        let (mut wire, mut out, mut start) = (Vec::new(), Vec::new(), 0);
        let opcode = if text { 1 } else { 2 };
        for (i, (at, ping)) in cuts.iter().enumerate() {
            let at = at.index(payload.len() + 1);
            wire.extend(frame(if i == 0 { opcode } else { 0 }, mask, &payload[start..at]));
            start = at;
            if let Some(ping) = ping {
                wire.extend(frame(PING, mask, ping));
                out.push(Message::Ping(Bytes::copy_from_slice(ping)));
            }
        }
        wire.extend(frame(0x80 | if cuts.is_empty() { opcode } else { 0 }, mask, &payload[start..]));
        out.push(if text { Message::Text(payload.into()) } else { Message::Binary(payload.into()) });
        (wire, out)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn messages_survive_masks_fragments_and_cuts(
        messages in vec(message(), 1..5),
        sizes in vec(prop_oneof![1..4_usize, 1..5000_usize], 1..6),
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(|(wire, _)| wire.clone()).collect();
        let expected: Vec<_> = messages.into_iter().flat_map(|(_, out)| out).map(Ok).collect();
        prop_assert_eq!(decode(&wire, &sizes, CAP), expected);
    }

    #[test]
    fn garbage_breaks_no_promise(data in vec(any::<u8>(), 0..600)) {
        fuzz_decode(&data);
    }

    #[test]
    fn damaged_streams_break_no_promise(
        messages in vec(message(), 1..4),
        cap in any::<u8>(),
        step in any::<u8>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut data = vec![cap, step];
        data.extend(messages.iter().flat_map(|(wire, _)| wire));
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        fuzz_decode(&data);
    }
}

fn protocol_error(result: &Result<Message, FrameError>) -> bool {
    matches!(result, Err(e @ FrameError::Protocol(_)) if e.close_code() == CloseCode::ProtocolError)
}

#[test]
fn what_rfc_6455_forbids_is_1002() {
    let rows: &[(&str, &[u8])] = &[
        ("no mask", &[TEXT, 0x01, b'x']),
        ("rsv1", &[0xC1, 0x80]),
        ("rsv2", &[0xA1, 0x80]),
        ("rsv3", &[0x91, 0x80]),
        ("reserved data opcode", &[0x83, 0x80]),
        ("reserved control opcode", &[0x8B, 0x80]),
        ("fragmented ping", &[0x09, 0x80]),
        ("long ping", &[PING, 0x80 | 126]),
        ("continuation of nothing", &[0x80, 0x80, 0, 0, 0, 0]),
        ("message in a message", &[0x01, 0x80, 0, 0, 0, 0, TEXT, 0x80, 0, 0, 0, 0]),
        ("16 bits for a short length", &[TEXT, 0xFE, 0, 125]),
        ("64 bits for a short length", &[TEXT, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        ("top bit of the length", &[TEXT, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0]),
        ("close code of one byte", &[CLOSE, 0x81, 0, 0, 0, 0, 3]),
        ("close code 999", &[CLOSE, 0x82, 0, 0, 0, 0, 0x03, 0xE7]),
        ("close code 1005", &[CLOSE, 0x82, 0, 0, 0, 0, 0x03, 0xED]),
        ("close code 1006", &[CLOSE, 0x82, 0, 0, 0, 0, 0x03, 0xEE]),
        ("close code 5000", &[CLOSE, 0x82, 0, 0, 0, 0, 0x13, 0x88]),
    ];
    for (name, bytes) in rows {
        let results = decode_whole(bytes, CAP);
        assert!(results.len() == 1 && protocol_error(&results[0]), "{name}: {results:?}");
    }
}

#[test]
fn text_is_checked_as_a_whole() {
    let euro = "€".as_bytes();
    let split =
        |rest: &[u8]| [frame(0x01, [1, 2, 3, 4], &euro[..1]), frame(0x80, [5, 6, 7, 8], rest)].concat();
    assert_eq!(decode_whole(&split(&euro[1..]), CAP), [Ok(Message::Text(Bytes::from_static(euro)))]);
    assert_eq!(decode_whole(&split(b"x"), CAP), [Err(FrameError::InvalidUtf8)]);
    assert_eq!(decode_whole(&frame(TEXT, [9; 4], b"\xFF"), CAP), [Err(FrameError::InvalidUtf8)]);
    assert_eq!(decode_whole(&frame(CLOSE, [9; 4], b"\x0F\xA0\xFF"), CAP), [Err(FrameError::InvalidUtf8)]);
    assert_eq!(FrameError::InvalidUtf8.close_code().code(), 1007);
}

#[test]
fn the_cap_is_exact_and_judged_by_the_header() {
    let text = |len: usize| frame(TEXT, [7; 4], &vec![b'x'; len]);
    assert_eq!(decode_whole(&text(1000), 1000), [Ok(Message::Text(vec![b'x'; 1000].into()))]);
    assert_eq!(decode_whole(&text(1001)[..8], 1000), [Err(FrameError::TooLarge)]);
    let huge = [TEXT, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
    assert_eq!(decode_whole(&huge, 1000), [Err(FrameError::TooLarge)]);
    assert_eq!(FrameError::TooLarge.close_code().code(), 4002);

    let part = |first, len: usize| frame(first, [7; 4], &vec![b'x'; len]);
    let exact = [part(0x01, 600), part(0x80, 400)].concat();
    assert_eq!(decode_whole(&exact, 1000), [Ok(Message::Text(vec![b'x'; 1000].into()))]);
    let above = [part(0x01, 600), part(0x00, 400), part(0x80, 1)].concat();
    assert_eq!(decode_whole(&above, 1000), [Err(FrameError::TooLarge)]);
}

#[test]
fn a_fragmented_message_is_the_only_thing_held_and_never_above_the_cap() {
    let (mut decoder, mut buf) = (Decoder::default(), BytesMut::new());
    assert_eq!(std::mem::size_of::<Decoder>(), 16);
    let mut held = vec![];
    for i in 0..100 {
        buf.extend_from_slice(&frame(if i == 0 { 0x01 } else { 0x00 }, [3; 4], &[b'y'; 10]));
        assert_eq!(decoder.decode(&mut buf, 1000), Ok(None));
        assert!(buf.is_empty());
        held.push(decoder.held_bytes());
    }
    assert!(held.is_sorted() && held.iter().all(|h| *h <= 1000), "{held:?}");
    held.dedup();
    assert!(held.len() < 12, "the buffer grows in few steps: {held:?}");
    buf.extend_from_slice(&frame(0x80, [3; 4], b""));
    assert_eq!(decoder.decode(&mut buf, 1000), Ok(Some(Message::Text(vec![b'y'; 1000].into()))));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn nothing_follows_a_close_frame_or_an_error() {
    let after = frame(TEXT, [1; 4], b"late");
    let close = [frame(CLOSE, [1; 4], b"\x0F\xA0bye"), after.clone()].concat();
    let closed = Message::Close { code: Some(4000), reason: Bytes::from_static(b"bye") };
    assert_eq!(decode(&close, &[3], CAP), [Ok(closed)]);
    let empty = Message::Close { code: None, reason: Bytes::new() };
    assert_eq!(decode(&frame(CLOSE, [1; 4], b""), &[1], CAP), [Ok(empty)]);

    let broken = [vec![0xC1, 0x80], after].concat();
    let results = decode(&broken, &[2], CAP);
    assert!(results.len() == 1 && protocol_error(&results[0]));
}
