//! Short digests, by which two parts of the system find out whether they hold the same without sending it all. Pods of
//! different versions compare them, so the function never changes.
//!
//! They say nothing to somebody who lies: whoever knows the function can make two things with one digest.

/// Takes numbers and texts in, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    pub const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    #[must_use]
    pub const fn number(self, number: u64) -> Self {
        let product = (self.0 ^ 0xa076_1d64_78bd_642f) as u128 * (number ^ 0xe703_7ed1_a0b4_28db) as u128;
        Self((product as u64 ^ (product >> 64) as u64).wrapping_add(self.0.rotate_left(29)))
    }

    /// A text with its length, so that two texts are not taken for their sum.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        let words = text.as_bytes().chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        words.fold(self.number(text.len() as u64), Self::number)
    }

    /// Those of several things are joined by XOR, in any order; so each is mixed well, and none is 0.
    pub const fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = mixed ^ (mixed >> 32);
        if mixed == 0 { 1 } else { mixed }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Written down once: another value would tell pods of two versions that they hold different things.
    #[test]
    fn the_function_never_changes() {
        let digest = Digest::new().number(7).text("session").number(u64::MAX).text("");
        assert_eq!(digest.finish(), FROZEN);
    }

    #[test]
    fn neighbours_differ_and_so_do_their_sums() {
        let digests: Vec<u64> = (0..1000).map(|number| Digest::new().number(number).finish()).collect();
        let pairs = digests.windows(2).map(|pair| pair[0] ^ pair[1]);
        assert_eq!(pairs.chain(digests.iter().copied()).collect::<HashSet<_>>().len(), 1999);
        let texts = ["", "a", "aa", "a\0", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaa\0"];
        let texts: HashSet<u64> = texts.iter().map(|text| Digest::new().text(text).finish()).collect();
        assert_eq!(texts.len(), 7);
    }

    const FROZEN: u64 = 0xdc31_9b37_2038_4e8e;
}
