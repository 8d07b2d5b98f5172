//! Any bytes as what is sent on one connection: what goes into a shared zlib stream comes out of it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| encoding::fuzz_zlib(data));
