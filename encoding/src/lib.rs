//! What a payload of the gateway looks like on the wire besides JSON text: ETF, and compressed streams. Bytes go in, bytes
//! come out; there is no I/O, no task and no clock here.
//!
//! A dispatch goes to thousands of sessions, and only its sequence number differs between them. So each form of it is made
//! once and has two parts: a [`Prefix`] of fixed width that a session's number is written into, and a rest that all share.
//!
//! | client asked for | one event, made once | what a connection keeps |
//! |---|---|---|
//! | JSON, ETF | [`Dispatch::plain`] | nothing |
//! | `compress=zlib-stream` | [`zlib::Sharer::share`] | nothing |
//! | the same, each connection by itself | – | [`zlib::Stream`] |
//! | `compress=zstd-stream` and JSON | [`zstd::Sharer::share`] | nothing |
//! | `compress=zstd-stream` and ETF, or each connection by itself | – | [`zstd::Stream`] |
//! | `compress: true` in IDENTIFY | [`zlib::payload`], each payload by itself | nothing |
//!
//! Of some events ([`Parted`]) a session has a part of its own, which goes between the two as it is.
//!
//! A connection is served in one of these ways from its first message to its last. In the shared ones that first message
//! (HELLO) is made by `opening`, as it begins the stream; payloads without a number, and those made for one session, by
//! `whole`. Every message is complete for its receiver: the streams are flushed behind it and never end.
//!
//! The other direction is [`etf::to_json`]: clients compress nothing.

pub mod etf;
mod fuzz;
mod parted;
mod payload;
mod prefix;
pub mod zlib;
pub mod zstd;

pub use fuzz::{fuzz_etf, fuzz_zlib, fuzz_zstd};
pub use parted::{Part, Parted};
pub use payload::{Dispatch, Etf, Format, Json, Payload, Shared};
pub use prefix::{Number, Prefix};

// A connection can change threads, and its compressor with it.
const _: () = {
    const fn may_change_threads<T: Send>() {}
    may_change_threads::<(zlib::Sharer, zlib::Stream, zstd::Sharer, zstd::Stream, Shared)>();
};
