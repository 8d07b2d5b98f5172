//! Encodings of the gateway's payloads besides JSON text.

/// How deep lists and maps of a client's ETF may lie in each other. What clients send is 5 deep, JSON is read down to 128.
pub const ETF_DEPTH_MAX: usize = 64;
/// From here on a payload is compressed by itself for who said `compress: true`. Shorter ones are not worth a compressor.
pub const PAYLOAD_COMPRESSED_BYTES_MIN: usize = 4 * 1024;
/// Connections of a pod that may have a compressor of their own (up to 480 KB) where the others share: those with ETF and zstd-stream.
pub const GATEWAY_STREAMS_MAX: usize = 1_000;
