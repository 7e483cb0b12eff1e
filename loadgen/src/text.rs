//! Random text of an exact number of bytes.
//!
//! Plain text is letters, digits, space and dot: nothing that JSON escapes. Half of Unicode text is such letters; the
//! rest is all of ASCII (control characters, NUL, quotes and backslashes too) and characters of several planes:
//!
//! ```text
//! bytes   1            2                  3                    4
//!         U+0000-7F    Latin, Cyrillic    CJK, U+2028, U+FFFD  emoji, ideographs, private plane 16
//! ```

use rand::Rng;

const PLAIN: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";

/// First code point and a power of two of code points from there; none holds a surrogate.
const WIDE: [(u32, u32); 8] = [
    (0x00c0, 64),      // Latin-1 letters
    (0x0410, 64),      // Cyrillic
    (0x0080, 32),      // C1 control characters
    (0x4e00, 16_384),  // CJK
    (0x2028, 2),       // line and paragraph separator
    (0xfffd, 1),       // replacement character
    (0x1f600, 64),     // emoji
    (0x20000, 32_768), // ideographs of plane 2
];
const PRIVATE_PLANE: (u32, u32) = (0x10_0000, 32_768);

/// Appends exactly `bytes` bytes of plain text.
pub(crate) fn push_plain(buffer: &mut Vec<u8>, rng: &mut impl Rng, bytes: usize) {
    let mut left = bytes;
    while left != 0 {
        let draw = rng.next_u64().to_le_bytes().map(|byte| PLAIN[usize::from(byte & 63)]);
        let taken = left.min(draw.len());
        buffer.extend_from_slice(&draw[..taken]);
        left -= taken;
    }
}

/// Appends exactly `bytes` bytes of Unicode text.
pub(crate) fn push_unicode(buffer: &mut Vec<u8>, rng: &mut impl Rng, bytes: usize) {
    let end = buffer.len() + bytes;
    while buffer.len() < end {
        let draw = rng.next_u32();
        // Bits 0-7 choose the class, 8-15 a range, 16-31 within the range.
        let (class, row, within) = (draw & 0xff, (draw >> 8) & 7, draw >> 16);
        let code = match class {
            0..=127 => {
                let letters = draw.to_le_bytes().map(|byte| PLAIN[usize::from(byte & 63)]);
                let taken = letters.len().min(end - buffer.len());
                buffer.extend_from_slice(&letters[..taken]);
                continue;
            }
            128..=175 => within & 0x7f,
            176..=251 => {
                let (first, count) = WIDE[row as usize];
                first + (within & (count - 1))
            }
            _ => PRIVATE_PLANE.0 + (within & (PRIVATE_PLANE.1 - 1)),
        };
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut utf8 = [0; 4];
        let text = character.encode_utf8(&mut utf8).as_bytes();
        if end < buffer.len() + text.len() {
            push_plain(buffer, rng, 1);
        } else {
            buffer.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str;

    use proptest::prelude::*;

    use super::*;
    use crate::random::{Domain, rng};

    proptest! {
        #[test]
        fn text_has_the_asked_bytes_and_is_utf8(seed: u64, bytes in 0_usize..300) {
            let mut rng = rng(seed, Domain::Documents, 0, 0);
            for push in [push_plain, push_unicode] {
                let mut buffer = b"before".to_vec();
                push(&mut buffer, &mut rng, bytes);
                prop_assert_eq!(buffer.len(), 6 + bytes);
                prop_assert!(str::from_utf8(&buffer).is_ok());
            }
        }
    }

    #[test]
    fn plain_text_needs_no_escape() {
        let mut buffer = Vec::new();
        push_plain(&mut buffer, &mut rng(1, Domain::Documents, 0, 0), 10_000);
        assert!(buffer.iter().all(|&byte| byte.is_ascii_alphanumeric() || b" .".contains(&byte)));
    }

    #[test]
    fn unicode_text_reaches_every_width_and_every_kind_of_escape() {
        let mut buffer = Vec::new();
        push_unicode(&mut buffer, &mut rng(1, Domain::Documents, 0, 0), 200_000);
        let text = String::from_utf8(buffer).unwrap();
        for wanted in
            ['\0', '\n', '\u{1f}', '"', '\\', '\u{7f}', '\u{85}', 'Ж', '\u{2028}', '\u{fffd}']
        {
            assert!(text.contains(wanted), "{wanted:?}");
        }
        let planes: std::collections::BTreeSet<_> =
            text.chars().map(|character| u32::from(character) >> 16).collect();
        assert_eq!(planes.into_iter().collect::<Vec<_>>(), [0, 1, 2, 16]);
    }
}
