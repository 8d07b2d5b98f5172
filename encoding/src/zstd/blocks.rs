//! The blocks of a zstd frame (RFC 8878, 3.1.1.2): a header of three bytes, little-endian, and a content.
//!
//! ```text
//! bit 0: the last block │ bits 1–2: kind │ bits 3–23: length
//! ```

use super::{BLOCK_BYTES_MAX, HEADER};

/// What a block's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The bytes themselves.
    Raw = 0,
    /// One byte, to be repeated as often as the length says.
    Rle = 1,
    Compressed = 2,
}

const HEADER_BYTES: usize = 3;
const LAST: u32 = 1;

/// The header of a block that is not the last.
pub(super) const fn header(kind: Kind, len: usize) -> [u8; HEADER_BYTES] {
    let [low, mid, high, _] = (((len as u32) << 3) | ((kind as u32) << 1)).to_le_bytes();
    [low, mid, high]
}

/// Appends the blocks of a whole frame, none of them marked as the last.
///
/// # Panics
/// When it is no frame of [`super::Sharer`]'s compressor. Other bytes in a connection's frame would be wrong without anybody noticing.
pub(super) fn splice(frame: &[u8], out: &mut Vec<u8>) {
    let magic_and_flags = &HEADER[..HEADER.len() - 1];
    let window = frame.strip_prefix(magic_and_flags).expect("the compressor makes frames without options");
    // No larger than a connection's: it only gets smaller for little input.
    let mut rest = &window[1..];
    loop {
        let (&[low, mid, high], content) =
            rest.split_first_chunk().expect("a frame ends with its last block");
        let header_bits = u32::from_le_bytes([low, mid, high, 0]);
        let len = (header_bits >> 3) as usize;
        let (kind, content_len) = match (header_bits >> 1) & 3 {
            0 => (Kind::Raw, len),
            1 => (Kind::Rle, 1),
            2 => (Kind::Compressed, len),
            _ => panic!("the compressor makes no reserved blocks"),
        };
        let (content, behind) = content.split_at(content_len);
        // A frame of unknown length may end with an empty block.
        if len > 0 {
            out.extend(header(kind, len));
            out.extend(content);
        }
        rest = behind;
        if header_bits & LAST != 0 {
            assert!(rest.is_empty(), "the compressor adds nothing behind the last block");
            return;
        }
    }
}

/// Bytes of `len` bytes in raw blocks.
pub(super) fn raw_len(len: usize) -> usize {
    len + len.div_ceil(BLOCK_BYTES_MAX) * HEADER_BYTES
}

/// `bytes` in raw blocks, none of them marked as the last.
pub(super) fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(raw_len(bytes.len()));
    for content in bytes.chunks(BLOCK_BYTES_MAX) {
        blocks.extend(header(Kind::Raw, content.len()));
        blocks.extend(content);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of blocks, the last one marked as such.
    fn frame(blocks: &[(Kind, usize, &[u8])]) -> Vec<u8> {
        let mut frame = HEADER.to_vec();
        for (place, (kind, len, content)) in blocks.iter().enumerate() {
            let mut header = header(*kind, *len);
            header[0] |= u8::from(place + 1 == blocks.len());
            frame.extend(header);
            frame.extend(*content);
        }
        frame
    }

    #[test]
    fn each_kind_of_block_is_taken_and_none_stays_the_last() {
        let blocks = frame(&[
            (Kind::Raw, 3, b"abc"),
            (Kind::Rle, 131_072, b"x"),
            (Kind::Compressed, 4, b"1234"),
            (Kind::Raw, 0, b""),
        ]);
        let mut out = b"before".to_vec();
        splice(&blocks, &mut out);
        assert_eq!(out, b"before\x18\0\0abc\x02\0\x10x\x24\0\x001234");

        let mut out = Vec::new();
        splice(&frame(&[(Kind::Rle, 9, b"x")]), &mut out);
        assert_eq!(out, b"\x4a\0\0x");
    }

    #[test]
    #[should_panic(expected = "without options")]
    fn a_frame_with_options_is_none_of_ours() {
        let mut single_segment = frame(&[(Kind::Raw, 1, b"a")]);
        single_segment[4] = 0x20;
        splice(&single_segment, &mut Vec::new());
    }

    #[test]
    #[should_panic(expected = "behind the last block")]
    fn a_checksum_is_none_of_ours() {
        let blocks = [frame(&[(Kind::Raw, 1, b"a")]), b"1234".to_vec()].concat();
        splice(&blocks, &mut Vec::new());
    }

    #[test]
    fn raw_blocks_hold_as_much_as_a_block_may() {
        for (len, count) in [(0, 0), (1, 1), (131_072, 1), (131_073, 2), (300_000, 3)] {
            let blocks = raw(&vec![b'x'; len]);
            assert_eq!((blocks.len(), raw_len(len)), (len + 3 * count, len + 3 * count));
        }
        assert_eq!(raw(b"ab"), b"\x10\0\0ab");
    }
}
