//! Bytes as text: base64 of binary values, hexadecimal of object ids and subtypes.
//!
//! Digits are lower-case in object ids and upper-case in binary subtypes, as the Java driver writes
//! them. Neither alphabet has a character that a JSON string escapes, so the text is the same
//! wherever it stands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Length of [`write_base64`] of `len` bytes.
pub(super) const fn base64_len(len: usize) -> usize {
    len.div_ceil(3).saturating_mul(4)
}

/// Appends `bytes` in standard base64 with padding, without a line break.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start.saturating_add(base64_len(bytes.len())), 0);
    if let Some(space) = out.get_mut(start..) {
        // The space has the exact length, so nothing is cut and no zero remains.
        let written = STANDARD.encode_slice(bytes, space).unwrap_or(0);
        out.truncate(start + written);
    }
}

/// Reads standard base64 with padding.
pub(super) fn read_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Appends the 24 lower-case digits of an object id.
#[inline]
pub(super) fn write_object_id(id: &[u8; 12], out: &mut Vec<u8>) {
    let mut text = [0; 24];
    for (pair, &byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(id) {
        *pair = [lower_digit(byte >> 4), lower_digit(byte & 15)];
    }
    out.extend_from_slice(&text);
}

/// Appends the two upper-case digits of a binary subtype.
#[inline]
pub(super) fn write_subtype(subtype: u8, out: &mut Vec<u8>) {
    let text = [lower_digit(subtype >> 4), lower_digit(subtype & 15)];
    out.extend_from_slice(&text.map(|digit| digit.to_ascii_uppercase()));
}

/// The lower-case hexadecimal digit of a number below 16.
#[inline]
fn lower_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hexadecimal_is_lower_case_in_ids_and_upper_case_in_subtypes() {
        let mut out = Vec::new();
        write_object_id(&[0x00, 0x1f, 0xa2, 3, 4, 5, 6, 7, 8, 9, 10, 0xff], &mut out);
        assert_eq!(out, b"001fa203040506070809".iter().chain(b"0aff").copied().collect::<Vec<_>>());
        out.clear();
        write_subtype(0xfe, &mut out);
        write_subtype(0x04, &mut out);
        assert_eq!(out, b"FE04");
    }

    proptest! {
        #[test]
        fn base64_reads_back_and_has_the_length_foretold(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut out = b"before".to_vec();
            write_base64(&bytes, &mut out);
            prop_assert_eq!(out.len(), 6 + base64_len(bytes.len()));
            prop_assert_eq!(read_base64(&out[6..]), Some(bytes));
        }
    }
}
