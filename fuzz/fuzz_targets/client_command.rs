//! Any bytes as a payload of a client.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::link::fuzz_command(data));
