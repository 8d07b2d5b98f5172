//! Encodings of the gateway's payloads besides JSON text.

/// How deep lists and maps of a client's ETF may lie in each other. What clients send is 5 deep, JSON is read down to 128.
pub const ETF_DEPTH_MAX: usize = 64;
