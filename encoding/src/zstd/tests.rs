//! The pieces by themselves; whole streams are in `tests/streams`.

use zstd_safe::DCtx;

use super::*;

/// A client: one context, one message after the other.
struct Client(DCtx<'static>);

impl Client {
    fn new() -> Self {
        Self(DCtx::create())
    }

    /// What the client makes of a message, or why it fails.
    fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut text = vec![0; 1 << 22];
        let mut output = OutBuffer::around(&mut text[..]);
        let mut input = InBuffer::around(message);
        while input.pos() < message.len() {
            self.0.decompress_stream(&mut output, &mut input).map_err(zstd_safe::get_error_name)?;
        }
        let len = output.pos();
        text.truncate(len);
        Ok(text)
    }
}

/// A row of objects that have much in common, so that matches follow each other at the same distance.
fn rows(count: usize) -> Vec<u8> {
    let rows: Vec<_> = (0..count)
        .map(|n| format!(r#"{{"id":"{}","bot":false,"mute":false,"deaf":false}}"#, 1_000_000_000 + n * 7_919))
        .collect();
    format!("[{}]", rows.join(",")).into_bytes()
}

#[test]
fn the_reset_is_33_spaces_and_leaves_the_offsets_of_a_beginning() {
    let mut client = Client::new();
    client.read(&HEADER).unwrap();
    assert_eq!(client.read(&RESET).unwrap(), [b' '; RESET_SPACES]);

    // One sequence of no literals repeats an offset. Without literals code 1 is the second offset, 2 the third, and 3 the
    // first less one; with literals 1 is the first.
    let repeat = |literals: &[u8], offset_code: u8, bits: u8| {
        let len = literals.len() as u8;
        let block = [&[len << 3], literals, &[1, 0x54, len, offset_code, 0, bits]].concat();
        [&blocks::header(blocks::Kind::Compressed, block.len()), &block[..]].concat()
    };
    let before = [&HEADER[..], &blocks::raw(b"12345678"), &RESET, &blocks::raw(b"abcdefgh")].concat();
    for (block, expected) in
        [(repeat(b"x", 0, 1), &b"xxxx"[..]), (repeat(b"", 0, 1), b"efg"), (repeat(b"", 1, 0b10), b"abc")]
    {
        let mut client = Client::new();
        client.read(&before).unwrap();
        assert_eq!(client.read(&block).unwrap(), expected);
    }
}

/// So the reset is needed, and the tests of whole streams see that it is there.
#[test]
fn without_the_reset_a_client_reads_something_else() {
    let mut sharer = Sharer::new();
    let hello = sharer.opening(&Payload::json(&br#"{"op":10}"#[..]));
    let rows = rows(50);
    let events: Vec<_> = (1..=50).map(|count| &rows[..rows.len() * count / 50]).collect();
    let spoiled = events.iter().enumerate().filter(|(place, event)| {
        let mut client = Client::new();
        client.read(&hello).unwrap();
        client.read(&sharer.compress(events[(place + 1) % events.len()])).unwrap();
        let whole = sharer.compress(event);
        let Some(without) = whole.strip_prefix(&RESET) else { return false };
        client.read(without).as_deref() != Ok(**event)
    });
    assert!(spoiled.count() > 0);
}

#[test]
fn a_shared_event_is_a_raw_prefix_a_reset_and_blocks() {
    let rows = rows(20);
    let dispatch = Dispatch::json("GUILD_MEMBERS_CHUNK", &rows);
    let mut sharer = Sharer::new();
    let shared = sharer.share(&dispatch);
    assert!(!shared.is_text());
    let message = shared.message(2_000_000_000);
    assert_eq!(message[..3], [23 << 3, 0, 0]);
    assert_eq!(&message[3..26], b"{\"op\":0,\"s\":2000000000,");
    assert!(shared.rest().starts_with(&RESET));
    assert!(shared.message_len() < rows.len() / 2);

    let mut client = Client::new();
    client.read(&HEADER).unwrap();
    let text = String::from_utf8(client.read(&message).unwrap()).unwrap();
    let spaces = " ".repeat(RESET_SPACES);
    let expected = String::from_utf8(dispatch.plain().message(2_000_000_000)).unwrap();
    assert_eq!(text, expected.replacen(",\"t\"", &format!(",{spaces}\"t\""), 1));
}

#[test]
fn what_a_reset_would_make_longer_stays_as_it_is() {
    let ack = br#"{"t":null,"s":null,"op":11,"d":null}"#;
    let message = Sharer::new().whole(&Payload::json(&ack[..]));
    assert_eq!(message, [&[0x20, 1, 0][..], ack].concat());
}

#[test]
fn the_first_message_has_the_header_of_a_window_of_256_kib() {
    let hello = br#"{"op":10}"#;
    let first = Sharer::new().opening(&Payload::json(&hello[..]));
    assert_eq!(first[..6], [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x40]);
    assert_eq!(Client::new().read(&first).unwrap(), hello);
}

/// Matches of an event that is larger than the window reach no further than the window of the connection.
#[test]
fn large_events_stay_within_the_window() {
    let far = [&rows(1)[..], &vec![b' '; 300_000], &rows(20_000)[..], &rows(1)[..]].concat();
    let mut client = Client::new();
    client.read(&HEADER).unwrap();
    let mut sharer = Sharer::new();
    for len in [131_071, 131_072, 131_073, 262_143, 262_144, 262_145, 1 << 20] {
        let text = client.read(&sharer.compress(&far[..len])).unwrap();
        assert!(text.trim_ascii_start() == far[..len].trim_ascii_start(), "{len}");
    }
}

#[test]
fn the_same_input_has_the_same_outcome_whatever_came_before() {
    let rows = rows(5_000);
    let mut sharer = Sharer::new();
    let first: Vec<_> = (1..10).map(|n| sharer.compress(&rows[..rows.len() / n])).collect();
    for (n, first) in (1..10).zip(&first).rev() {
        assert!(sharer.compress(&rows[..rows.len() / n]) == *first);
    }
}

#[test]
fn a_stream_of_its_own_remembers() {
    let mut stream = Stream::new();
    let mut client = Client::new();
    let event = Dispatch::json("GUILD_MEMBERS_CHUNK", &rows(3)).plain();
    let lens: Vec<_> = (1..4)
        .map(|seq| {
            let payload = event.message(seq);
            let message = stream.message(&payload);
            assert_eq!(client.read(&message).unwrap(), payload);
            message.len()
        })
        .collect();
    assert!(lens[2] < lens[0] / 3, "{lens:?}");
    for len in [0, 1, 131_072, 131_073, 1 << 20] {
        let payload = rows(30_000)[..len].to_vec();
        assert!(client.read(&stream.message(&payload)).unwrap() == payload, "{len}");
    }
}
