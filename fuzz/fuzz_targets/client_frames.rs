//! Any bytes as a client's stream of WebSocket frames.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::wire::fuzz_decode(data));
