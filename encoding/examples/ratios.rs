//! What each form costs and saves: bytes and time per event, on messages of 600 to 900 bytes and on one large answer.
//!
//! ```sh
//! cargo run --release -p encoding --example ratios
//! ```

#![expect(clippy::disallowed_methods, reason = "it measures time")]

#[expect(dead_code, reason = "the tests make other events as well")]
#[path = "../tests/streams/events.rs"]
mod events;

use std::hint::black_box;
use std::time::Instant;

use encoding::{Dispatch, Etf, Payload, etf, zlib, zstd};
use events::Random;

const EVENTS: usize = 2_000;
const MEMBERS: usize = 1_000;
/// Each figure is the best of so many rounds.
const ROUNDS: usize = 5;

fn main() {
    let mut random = Random::new(1);
    let events: Vec<Vec<u8>> = (0..EVENTS).map(|_| events::message_create(&mut random)).collect();
    let dispatches: Vec<_> = events.iter().map(|d| Dispatch::json("MESSAGE_CREATE", d)).collect();
    let plain: Vec<_> = (1..).zip(&dispatches).map(|(seq, dispatch)| dispatch.plain().message(seq)).collect();
    let terms: Vec<_> = events.iter().map(|d| etf_dispatch(d)).collect();
    let plain_len = plain.iter().map(Vec::len).sum::<usize>() / EVENTS;
    println!("{EVENTS} messages of {plain_len} bytes on average; an answer with {MEMBERS} members");
    println!(
        "{:<24}{:>8}{:>8}{:>10}{:>14}{:>8}{:>10}",
        "", "bytes", "ratio", "us", "answer bytes", "ratio", "us"
    );

    let answer = Payload::json(events::members(&mut random, MEMBERS));
    let row = |name: &str, event: (usize, f64), large: Option<(usize, f64)>| {
        let ratio = |len: usize, compressed: usize| len as f64 / compressed as f64;
        print!("{name:<24}{:>8}{:>8.2}{:>10.2}", event.0, ratio(plain_len, event.0), event.1);
        match large {
            Some((len, us)) => {
                println!("{len:>14}{:>8.2}{us:>10.0}", ratio(answer.as_slice().len(), len));
            }
            None => println!(),
        }
    };
    row("etf", measure(&events, |d| etf_dispatch(d).plain().message_len()), None);
    for level in 1..=9 {
        let mut sharer = zlib::Sharer::with_level(level);
        let event = measure(&dispatches, |dispatch| sharer.share(dispatch).message_len());
        let large = measure(&[&answer], |answer| sharer.whole(answer).len());
        row(&format!("zlib shared, level {level}"), event, Some(large));
    }
    let mut sharer = zlib::Sharer::new();
    row("zlib shared, etf", measure(&terms, |dispatch| sharer.share(dispatch).message_len()), None);
    for level in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12] {
        let mut sharer = zstd::Sharer::with_level(level);
        let event = measure(&dispatches, |dispatch| sharer.share(dispatch).message_len());
        let large = measure(&[&answer], |answer| sharer.whole(answer).len());
        row(&format!("zstd shared, level {level}"), event, Some(large));
    }
    for level in 1..=9 {
        let mut stream = zlib::Stream::with_level(level);
        let event = measure(&plain, |payload| stream.message(payload).len());
        row(&format!("zlib stream, level {level}"), event, None);
    }
    let mut stream = zstd::Stream::new();
    row("zstd stream", measure(&plain, |payload| stream.message(payload).len()), None);
    row("zlib, single payload", measure(&plain, |payload| zlib::payload(payload).len()), None);
    let terms: Vec<_> = terms.iter().map(|term| term.plain().message(1)).collect();
    row("etf to json", measure(&terms, |term| etf::to_json(term).map_or(0, |json| json.len())), None);
    println!("zlib stream holds {} KiB", held_kib(zlib::Stream::new, |stream| stream.message(&plain[0])));
    println!("zstd stream holds {} KiB", held_kib(zstd::Stream::new, |stream| stream.message(&plain[0])));
}

fn etf_dispatch(d: &[u8]) -> Dispatch<Etf> {
    Dispatch::etf("MESSAGE_CREATE", d).expect("events are JSON")
}

/// Memory of one compressor that has been used, from the system's count for many.
fn held_kib<T>(new: impl Fn() -> T, message: impl Fn(&mut T) -> Vec<u8>) -> usize {
    const COUNT: usize = 100;
    let resident_pages = || {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells what a process holds");
        statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<usize>().ok())
            .expect("the second field is a count")
    };
    let before = resident_pages();
    let mut streams: Vec<T> = (0..COUNT).map(|_| new()).collect();
    // Often enough that the window has been filled.
    for stream in &mut streams {
        for _ in 0..400 {
            black_box(message(stream));
        }
    }
    (resident_pages() - before) * 4 / COUNT
}

/// Bytes and microseconds for one of `inputs`.
fn measure<T>(inputs: &[T], mut make: impl FnMut(&T) -> usize) -> (usize, f64) {
    let mut best = f64::INFINITY;
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        bytes = inputs.iter().map(|input| black_box(make(black_box(input)))).sum::<usize>();
        best = best.min(began.elapsed().as_secs_f64());
    }
    (bytes / inputs.len(), best * 1e6 / inputs.len() as f64)
}
