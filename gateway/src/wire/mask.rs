//! Removing the client's mask.
//!
//! The key of four bytes is repeated to a word of eight, so that the loop over whole words has no branch and
//! vectorises; the rest of at most seven bytes follows byte by byte.

/// Applies `key` to `data` in place. Masking twice restores the data.
pub(super) fn apply(data: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition_at_every_length() {
        let key = [0x1f, 0x80, 0x00, 0xfe];
        for len in 0..70 {
            let data: Vec<u8> = (0..len as u8).map(|i| i.wrapping_mul(37)).collect();
            let expected: Vec<u8> = data.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
            let mut masked = data.clone();
            apply(&mut masked, key);
            assert_eq!(masked, expected, "length {len}");
            apply(&mut masked, key);
            assert_eq!(masked, data, "length {len}, twice");
        }
    }
}
