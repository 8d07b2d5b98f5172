//! Any bytes as an event from another process.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::fuzz_envelope(data));
