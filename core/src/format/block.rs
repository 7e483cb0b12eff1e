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
//! the result of sixteen comparisons into one number, and none to write behind a vector's end before
//! it is known how much of that counts. The scalar twin is what other processors run.

use std::mem::MaybeUninit;

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
    out.reserve(BLOCK_BYTES);
    let Some(room) = out.spare_capacity_mut().first_chunk_mut() else { return };
    *room = block.map(MaybeUninit::new);
    // SAFETY: the room behind the vector's end was just filled, and `len` is not more.
    #[allow(unsafe_code, reason = "see the module")]
    unsafe {
        out.set_len(out.len() + len.min(BLOCK_BYTES));
    }
}

/// Appends the plain bytes at the front of `window`, whole blocks of it, and says how many they
/// are. `len` is how many are expected: no more are appended than that, rounded up to a block.
#[inline]
pub(super) fn push_plain(window: &[u8], len: usize, out: &mut Vec<u8>) -> usize {
    out.reserve(len + BLOCK_BYTES);
    let room = out.spare_capacity_mut().as_chunks_mut().0.iter_mut();
    let blocks = window.as_chunks().0.iter().take(len / BLOCK_BYTES + 1);
    let mut pushed = 0;
    for (block, place) in blocks.zip(room) {
        *place = block.map(MaybeUninit::new);
        let plain = plain_len(block);
        pushed += plain;
        if plain < BLOCK_BYTES {
            break;
        }
    }
    // SAFETY: every block that was counted was written to the room first, one behind the other.
    #[allow(unsafe_code, reason = "see the module")]
    unsafe {
        out.set_len(out.len() + pushed);
    }
    pushed
}

/// Bytes behind a vector's end that are written one piece after the other, without a look at the
/// vector in between.
pub(super) struct Room<'a> {
    spare: &'a mut [MaybeUninit<u8>],
    written: usize,
}

impl Room<'_> {
    /// How many bytes there is room for.
    #[inline]
    pub(super) fn free(&self) -> usize {
        self.spare.len() - self.written
    }

    /// Appends the first `len` of `bytes`. All of them are written: there has to be room for them.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        let behind = self.spare.get_mut(self.written..).unwrap_or_default();
        debug_assert!(N <= behind.len() && len <= N, "{len} of {N}, room for {}", behind.len());
        if let Some(place) = behind.first_chunk_mut() {
            *place = bytes.map(MaybeUninit::new);
            self.written += len.min(N);
        }
    }
}

/// Makes room for at least `bytes` at the end of `out`, and lets `write` fill of it what it likes.
#[inline(always)]
pub(super) fn with_room<T>(
    out: &mut Vec<u8>,
    bytes: usize,
    write: impl FnOnce(&mut Room<'_>) -> T,
) -> T {
    out.reserve(bytes);
    let mut room = Room { spare: out.spare_capacity_mut(), written: 0 };
    let result = write(&mut room);
    let written = room.written;
    // SAFETY: `Room` counts what it has filled, from the vector's end on and without a gap.
    #[allow(unsafe_code, reason = "see the module")]
    unsafe {
        out.set_len(out.len() + written);
    }
    result
}

/// Appends text that is mostly shorter than a block, such as digits.
#[inline(always)]
pub(super) fn push_short(text: &[u8], out: &mut Vec<u8>) {
    if text.len() <= BLOCK_BYTES {
        push_front(&of_short(text), text.len(), out);
    } else {
        out.extend_from_slice(text);
    }
}

/// A block that begins with `text`, zero behind it; what does not fit is left out.
#[inline]
pub(super) fn of_short(text: &[u8]) -> Block {
    let mut block = [0; BLOCK_BYTES];
    // Two halves that may lie over each other: a copy of unknown length would be a call.
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        put(&mut block, 0, first);
        put(&mut block, text.len() - 8, last);
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        put(&mut block, 0, first);
        put(&mut block, text.len() - 4, last);
    } else if let [first, ..] = *text {
        // One to three bytes: the first, the one in the middle, the last.
        let middle = text.get(text.len() / 2).copied().unwrap_or(first);
        let last = text.last().copied().unwrap_or(first);
        put(&mut block, 0, &[first]);
        put(&mut block, text.len() / 2, &[middle]);
        put(&mut block, text.len() - 1, &[last]);
    }
    block
}

#[inline]
fn put<const N: usize>(block: &mut Block, at: usize, bytes: &[u8; N]) {
    if let Some(place) = block.get_mut(at..at + N) {
        place.copy_from_slice(bytes);
    }
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
    fn short_text_is_the_front_of_its_block() {
        let digits = b"0123456789abcdefXYZ";
        for len in 0..=BLOCK_BYTES {
            let block = of_short(&digits[..len]);
            assert_eq!((&block[..len], &block[len..]), (&digits[..len], &[0; 16][len..]));
        }
        for len in 0..digits.len() {
            let mut out = vec![b'-'];
            push_short(&digits[..len], &mut out);
            assert_eq!((out[0], &out[1..]), (b'-', &digits[..len]));
        }
    }

    #[test]
    fn whole_blocks_are_appended_up_to_the_first_escape_and_no_further_than_asked() {
        let text = b"0123456789abcdef0123456789abcdef01234\n6789abcdef0123456789abcdef";
        for (len, pushed) in [(0, 16), (15, 16), (16, 32), (40, 37), (60, 37)] {
            let mut out = b"before ".to_vec();
            assert_eq!(push_plain(text, len, &mut out), pushed, "{len}");
            assert_eq!((&out[..7], &out[7..]), (&b"before "[..], &text[..pushed]));
        }
    }

    #[test]
    fn the_front_of_a_block_is_appended() {
        let mut out = b"before ".to_vec();
        push_front(b"0123456789abcdef", 3, &mut out);
        assert_eq!(out, b"before 012");
    }
}
