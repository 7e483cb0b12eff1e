//! Snappy as snappy-java frames it, which is what Kafka's Java clients write and read.
//!
//! ```text
//!  82 'S' 'N' 'A' 'P' 'P' 'Y' 00 │ version 1 │ oldest version that reads it: 1
//!  length i32 │ raw snappy block of up to 32 KiB of input │ length │ block │ …      big-endian
//! ```
//!
//! There is no end mark: the frame ends with the bytes. Bytes without this header are one raw block,
//! as some clients write it. Source: `SnappyOutputStream` and `SnappyInputStream` of snappy-java
//! 1.1.10, `SnappyCompression` of Kafka 4.1.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::CodecError;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const VERSION: [u8; 4] = 1_i32.to_be_bytes();
const HEADER_BYTES: usize = MAGIC.len() + 2 * VERSION.len();
/// Input of one block.
const BLOCK_BYTES: usize = 32 * 1_024;
/// No block holds more than this many times its size: the shortest copy of 64 bytes takes 3.
const RATIO_MAX: usize = 64;

/// Appends the frame of `records`; `None` if the library refuses, which it does for no input.
pub(super) fn compress(engine: &mut Encoder, records: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION);
    out.extend_from_slice(&VERSION);
    for input in records.chunks(BLOCK_BYTES) {
        let start = out.len();
        let block = start + 4;
        out.resize(block + max_compress_len(input.len()), 0);
        let len = engine.compress(input, out.get_mut(block..)?).ok()?;
        out.get_mut(start..block)?.copy_from_slice(&i32::try_from(len).ok()?.to_be_bytes());
        out.truncate(block + len);
    }
    Some(())
}

/// See [`super::Codec::decompress`].
pub(super) fn decompress(
    compressed: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let Some(blocks) = compressed.strip_prefix(&MAGIC) else {
        return push_block(compressed, bytes_max, out);
    };
    let mut rest = blocks.get(HEADER_BYTES - MAGIC.len()..).ok_or(CodecError::Malformed)?;
    while let Some((head, behind)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(i32::from_be_bytes(*head)).map_err(|_| CodecError::Malformed)?;
        let (block, behind) = behind.split_at_checked(len).ok_or(CodecError::Malformed)?;
        push_block(block, bytes_max, out)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(CodecError::Malformed) }
}

/// Appends what a raw block holds.
fn push_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let len = decompress_len(block).map_err(|_| CodecError::Malformed)?;
    let start = out.len();
    if bytes_max.saturating_sub(start) < len {
        return Err(CodecError::TooLarge { bytes_max });
    }
    if block.len().saturating_mul(RATIO_MAX) < len {
        return Err(CodecError::Malformed);
    }
    out.resize(start + len, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    Decoder::new().decompress(block, room).map(|_| ()).map_err(|_| CodecError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_that_of_snappy_java() {
        let records = vec![b'x'; BLOCK_BYTES + 100];
        let mut out = Vec::new();
        compress(&mut Encoder::new(), &records, &mut out).expect("it compresses");
        assert_eq!(out[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        let first = u32::from_be_bytes(*out[16..].first_chunk().expect("a length")) as usize;
        let second = u32::from_be_bytes(*out[20 + first..].first_chunk().expect("a length"));
        assert_eq!(20 + first + 4 + second as usize, out.len());
        let inside = Decoder::new().decompress_vec(&out[20..20 + first]).expect("a block");
        assert_eq!(inside.len(), BLOCK_BYTES);
    }

    #[test]
    fn a_raw_block_without_frame_is_read_too() {
        let block = Encoder::new().compress_vec(&[5; 1_000]).expect("it compresses");
        let mut out = Vec::new();
        decompress(&block, 1_000, &mut out).expect("a block");
        assert_eq!(out, [5; 1_000]);
    }

    #[test]
    fn a_block_that_lies_about_its_size_takes_no_memory() {
        let lie = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let mut out = Vec::new();
        assert_eq!(decompress(&lie, usize::MAX, &mut out), Err(CodecError::Malformed));
        assert_eq!(out.capacity(), 0);
    }
}
