//! Randomness of the operating system, through one door.

/// `N` random bytes, fit for tokens and keys.
#[expect(clippy::disallowed_methods, reason = "this is the one door to the system's randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// A random number.
pub fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

/// A random number below `bound`; for jitter, where the tiny bias of a modulo does not matter.
pub fn below(bound: u64) -> u64 {
    if bound == 0 { 0 } else { number() % bound }
}
