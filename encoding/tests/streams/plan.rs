//! What several connections are sent: events that all share, in an order of each connection's own, and payloads of one.

use encoding::{Dispatch, Json, Payload};

use crate::events::{self, Random};

/// Messages of one connection.
pub const MESSAGES: usize = 10_000;

pub enum Sent {
    /// An event of the pool, with this number.
    Event { place: usize, seq: u32 },
    /// A payload without a number.
    Whole(Payload<Json>),
}

/// Events that every connection may be sent, in JSON: name and `d`.
pub fn pool(random: &mut Random) -> Vec<(&'static str, Vec<u8>)> {
    let mut pool = Vec::new();
    for _ in 0..1_500 {
        pool.push(match random.below(10) {
            0..6 => ("MESSAGE_CREATE", events::message_create(random)),
            6 => ("TYPING_START", events::typing_start(random)),
            7 => ("PRESENCE_UPDATE", events::presence_update(random)),
            8 => {
                let count = 1 + random.below(40);
                ("GUILD_MEMBERS_CHUNK", events::members(random, count))
            }
            _ => {
                let len = 2 + random.below(300);
                ("T", events::of_len(random, len))
            }
        });
    }
    for len in large_lens() {
        pool.push(("T", events::of_len(random, len)));
        pool.push(("T", events::monotone(len)));
    }
    pool.push(("GUILD_CREATE", events::members(random, 2_500)));
    pool
}

/// Around what a stored block, a block of zstd and its window hold: the `d`, and all that is shared (12 bytes more).
fn large_lens() -> Vec<usize> {
    let around = |len: usize| [len - 13, len - 12, len - 11, len - 1, len, len + 1];
    [1 << 15, 65_535, 1 << 16, 1 << 17, 1 << 18].map(around).into_iter().flatten().chain([1 << 20]).collect()
}

/// What one connection is sent, HELLO apart.
pub fn connection(random: &mut Random, pool: &[(&str, Vec<u8>)], small: usize) -> Vec<Sent> {
    let mut all = Vec::with_capacity(MESSAGES + pool.len());
    let mut seq = 0;
    let mut event = |random: &mut Random, place: usize| {
        // Unnumbered events repeat the number, and it may be large after a resume.
        seq += [0, 1, 1, 1, 1, 90_000][random.below(6)];
        Sent::Event { place, seq }
    };
    // Everything large once, in an order of its own, among the rest.
    let mut large: Vec<_> = (small..pool.len()).collect();
    while all.len() < MESSAGES {
        let sent = match random.below(30) {
            0 => Sent::Whole(Payload::json(&br#"{"t":null,"s":null,"op":11,"d":null}"#[..])),
            1 => {
                let count = random.below(60);
                Sent::Whole(Payload::json(events::members(random, count)))
            }
            2 if !large.is_empty() => {
                let place = large.swap_remove(random.below(large.len()));
                event(random, place)
            }
            _ => {
                let place = random.below(small);
                event(random, place)
            }
        };
        all.push(sent);
    }
    assert!(large.is_empty(), "all sizes were sent");
    all
}

/// The text that a client must read, in the two parts between which white space may come.
pub fn expected(sent: &Sent, pool: &[Dispatch<Json>]) -> (Vec<u8>, Vec<u8>) {
    match sent {
        Sent::Event { place, seq } => {
            let plain = pool[*place].plain();
            (plain.prefix().with_seq(*seq).as_slice().to_vec(), plain.rest().to_vec())
        }
        Sent::Whole(payload) => (Vec::new(), payload.as_slice().to_vec()),
    }
}
