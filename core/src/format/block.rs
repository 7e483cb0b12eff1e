//! Sixteen bytes looked at, and copied, together.
//!
//! ```text
//!  text    c u s t o m e r \" …       looked at as a whole: which bytes cannot stand as they are?
//!  flags   0 0 0 0 0 0 0 0 ff …       the lowest that is set tells how many can
//!  out     c u s t o m e r            copied as a whole, then cut to that many
//! ```
//!
//! A block of fixed size is compared and copied in a few vector instructions, where a slice of any
//! length costs a loop and a call.
//!
//! The one file of this crate with `unsafe`: safe code has no way to the instruction that gathers
//! the result of sixteen comparisons into one number. A JSON event of 1 KB took 11.1 k
//! instructions without it. The scalar twin is what other processors run.

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 16;

pub(super) type Block = [u8; BLOCK_BYTES];

/// How many bytes at the front of `block` are printable ASCII and neither `"` nor `\`.
#[inline]
pub(super) fn plain_len(block: &Block) -> usize {
    // A bit above the last byte ends the search where every byte is plain.
    (escapes(block) | 1 << BLOCK_BYTES).trailing_zeros() as usize
}

/// One bit for each byte that does not stand for itself, the lowest for the first byte.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code, reason = "vector instructions; see the module")]
fn escapes(block: &Block) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: SSE2 is part of every x86-64 processor, and the unaligned load reads the 16 bytes
    // that the reference holds.
    unsafe {
        let bytes = _mm_loadu_si128(std::ptr::from_ref(block).cast::<__m128i>());
        let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        // Signed: what lies beyond ASCII is negative and below the first printable one, too.
        let outside = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        let quotes = _mm_or_si128(is(b'"'), is(b'\\'));
        let found = _mm_or_si128(_mm_or_si128(outside, is(0x7f)), quotes);
        _mm_movemask_epi8(found).cast_unsigned()
    }
}

/// The same for processors that have no instruction for it.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn escapes_scalar(block: &Block) -> u32 {
    let bits = block.iter().enumerate().map(|(at, &byte)| u32::from(!is_plain(byte)) << at);
    bits.fold(0, |bits, bit| bits | bit)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn escapes(block: &Block) -> u32 {
    escapes_scalar(block)
}

/// Appends the first `len` bytes of `block`; all of it if there are not so many.
#[inline]
pub(super) fn push_front(block: &Block, len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(block);
    out.truncate(start + len);
}

/// Whether `byte` stands for itself in a JSON string, whatever is around it.
#[inline]
pub(super) fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_plain_part_ends_at_the_first_byte_that_is_not_plain() {
        assert_eq!(plain_len(&[b'x'; BLOCK_BYTES]), BLOCK_BYTES);
        for byte in 0..=0xff_u8 {
            for at in 0..BLOCK_BYTES {
                let mut block = [b'x'; BLOCK_BYTES];
                block[at] = byte;
                let plain = is_plain(byte);
                assert_eq!(plain_len(&block), if plain { BLOCK_BYTES } else { at }, "{byte:#x}");
                assert_eq!(escapes(&block), escapes_scalar(&block), "{byte:#x}");
            }
        }
    }

    #[test]
    fn later_bytes_do_not_count() {
        let mut block = [b'\n'; BLOCK_BYTES];
        block[0] = b'a';
        assert_eq!(plain_len(&block), 1);
    }

    proptest! {
        #[test]
        fn both_twins_find_the_same(block in any::<Block>()) {
            prop_assert_eq!(escapes(&block), escapes_scalar(&block));
        }
    }

    #[test]
    fn the_front_of_a_block_is_appended() {
        let mut out = b"before ".to_vec();
        push_front(b"0123456789abcdef", 3, &mut out);
        assert_eq!(out, b"before 012");
    }
}
