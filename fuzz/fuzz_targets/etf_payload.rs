//! Any bytes as a client's payload in ETF.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| encoding::fuzz_etf(data));
