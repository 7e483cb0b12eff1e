//! The LZ4 frame format, as Kafka's Java producer writes it.
//!
//! ```text
//!  04 22 4d 18 │ 60 │ 40 │ 82     magic; version 1, blocks of their own; up to 64 KiB; check
//!  length u32 │ block │ length │ block │ … │ 0 u32                              little-endian
//!  └── bit 31: the block is as it was, since it did not get smaller
//! ```
//!
//! No checksums and no content size, as there: the batch has its own. The frame is put together here
//! because blocks are compressed into memory that is used again; reading back is the library's, and
//! takes frames of any kind. Source: `Lz4BlockOutputStream` of Kafka 4.1, LZ4 frame format 1.6.

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer};

use super::{CodecError, read_bounded};

/// The last byte is the second of xxHash32 over the two before it, always the same.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END_MARK: [u8; 4] = [0; 4];
/// Input of one block.
const BLOCK_BYTES: usize = 64 * 1_024;
const IS_PLAIN: u32 = 1 << 31;
/// Kafka's default level, which is the fast compressor.
const LEVEL_FAST: i32 = 9;

/// How thoroughly blocks are compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// `None`: the fast compressor.
    level: Option<i32>,
}

/// What a level of `compression.lz4.level` means.
pub(super) fn mode(level: i32) -> Mode {
    Mode { level: (level != LEVEL_FAST).then_some(level.clamp(1, 17)) }
}

/// Appends the frame of `records`; `None` if the library refuses, which it does for no input.
pub(super) fn compress(mode: Mode, records: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&HEADER);
    for input in records.chunks(BLOCK_BYTES) {
        let start = out.len();
        let block = start + 4;
        out.resize(block + compress_bound(input.len()).ok()?, 0);
        let mode = mode.level.map_or(CompressionMode::DEFAULT, CompressionMode::HIGHCOMPRESSION);
        let len = compress_to_buffer(input, Some(mode), false, out.get_mut(block..)?).ok()?;
        let (len, flag) = if len < input.len() {
            (len, 0)
        } else {
            out.get_mut(block..block + input.len())?.copy_from_slice(input);
            (input.len(), IS_PLAIN)
        };
        let head = u32::try_from(len).ok()? | flag;
        out.get_mut(start..block)?.copy_from_slice(&head.to_le_bytes());
        out.truncate(block + len);
    }
    out.extend_from_slice(&END_MARK);
    Some(())
}

/// See [`super::Codec::decompress`].
pub(super) fn decompress(
    compressed: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut decoder = lz4::Decoder::new(compressed).map_err(|_| CodecError::Malformed)?;
    read_bounded(&mut decoder, bytes_max, out)?;
    // A frame that is cut reads like one that has ended.
    decoder.finish().1.map_err(|_| CodecError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    #[test]
    fn a_block_that_does_not_get_smaller_stands_as_it_was() {
        let mut records = noise(BLOCK_BYTES);
        records.extend([1; 500]);
        let mut out = Vec::new();
        compress(mode(LEVEL_FAST), &records, &mut out).expect("it compresses");
        assert_eq!(out[7..11], (BLOCK_BYTES as u32 | IS_PLAIN).to_le_bytes());
        let mut back = Vec::new();
        decompress(&out, records.len(), &mut back).expect("a frame");
        assert_eq!(back, records);
    }
}
