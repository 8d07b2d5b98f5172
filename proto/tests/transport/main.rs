//! What a call does, on every transport: the same suite runs in one process and over sockets. Then what only a network
//! can do to a call.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod local;
mod network;
mod replica;
mod routing;
mod security;
mod service;
mod serving;
mod suite;
