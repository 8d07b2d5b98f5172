//! The layout of a snowflake: 42 bits of milliseconds since 2015-01-01, 10 bits of worker, 12 bits of increment.
//!
//! Source: Discord's API reference, "Snowflakes". Ids sort by time, so a range of time is a range of ids.

/// 2015-01-01T00:00:00Z in milliseconds of the Unix epoch.
pub const EPOCH_MS: u64 = 1_420_070_400_000;
/// How far the timestamp is shifted: the bits of worker and increment.
pub const TIMESTAMP_SHIFT: u32 = 22;

/// When this id was made, in milliseconds of the Unix epoch.
pub const fn timestamp_ms(id: u64) -> u64 {
    (id >> TIMESTAMP_SHIFT) + EPOCH_MS
}

/// The lowest id that can be made at this time; times before the epoch give 0.
pub const fn lowest_at(unix_ms: u64) -> u64 {
    unix_ms.saturating_sub(EPOCH_MS) << TIMESTAMP_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_reference() {
        assert_eq!(timestamp_ms(175_928_847_299_117_063), 1_462_015_105_796);
        assert!(lowest_at(1_462_015_105_796) <= 175_928_847_299_117_063);
        assert!(lowest_at(1_462_015_105_797) > 175_928_847_299_117_063);
    }
}
