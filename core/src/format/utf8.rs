//! UTF-8 as Java's decoder reads it: into UTF-16 units, malformed bytes become U+FFFD.
//!
//! ```text
//!  00..7f                      1 unit (not handled here)
//!  c2..df  cc                  1 unit
//!  e0..ef  cc cc               1 unit, except surrogates: all 3 bytes become one U+FFFD
//!  f0..f4  cc cc cc            2 units
//!  anything else               one U+FFFD for the longest beginning of a sequence, at least 1 byte
//! ```
//!
//! This is Unicode's practice of the maximal subpart but for the surrogates, for which Rust's lossy
//! decoding writes three marks where Java writes one. Source: `String(byte[], UTF_8)` of JDK 17,
//! which BSON library 4.7.2 calls.

/// What the bytes at the front are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A character of the basic plane: one UTF-16 unit, no surrogate.
    Basic(u16),
    /// A character beyond it: its two surrogates.
    Supplementary {
        /// First unit, d800..dbff.
        high: u16,
        /// Second unit, dc00..dfff.
        low: u16,
    },
    /// Bytes that Java reads as U+FFFD.
    Malformed,
}

/// Decodes the character at the front of `bytes`, whose first byte is not ASCII, and says how many
/// bytes it took: at least one, never more than there are (none of an empty slice).
#[inline]
pub(super) fn decode(bytes: &[u8]) -> (Decoded, usize) {
    match *bytes {
        [lead @ 0xc2..=0xdf, second @ 0x80..=0xbf, ..] => {
            (Decoded::Basic(u16::from(lead & 0x1f) << 6 | u16::from(second & 0x3f)), 2)
        }
        [lead @ 0xe0..=0xef, second @ 0x80..=0xbf, third @ 0x80..=0xbf, ..]
            if lead != 0xe0 || second >= 0xa0 =>
        {
            let unit = u16::from(lead & 0x0f) << 12
                | u16::from(second & 0x3f) << 6
                | u16::from(third & 0x3f);
            let surrogate = (0xd800..=0xdfff).contains(&unit);
            (if surrogate { Decoded::Malformed } else { Decoded::Basic(unit) }, 3)
        }
        [lead @ 0xf0..=0xf4, second, third @ 0x80..=0xbf, fourth @ 0x80..=0xbf, ..]
            if second_of_four(lead).contains(&second) =>
        {
            let scalar = u32::from(lead & 0x07) << 18
                | u32::from(second & 0x3f) << 12
                | u32::from(third & 0x3f) << 6
                | u32::from(fourth & 0x3f);
            let offset = scalar - 0x1_0000;
            let (high, low) = ((offset >> 10) as u16, (offset & 0x3ff) as u16);
            (Decoded::Supplementary { high: 0xd800 | high, low: 0xdc00 | low }, 4)
        }
        _ => (Decoded::Malformed, malformed_len(bytes)),
    }
}

/// Second bytes that may follow the first byte of a sequence of four.
fn second_of_four(lead: u8) -> std::ops::RangeInclusive<u8> {
    match lead {
        0xf0 => 0x90..=0xbf,
        0xf4 => 0x80..=0x8f,
        _ => 0x80..=0xbf,
    }
}

/// Bytes at the front that begin a sequence, up to where it goes wrong or ends.
#[cold]
fn malformed_len(bytes: &[u8]) -> usize {
    match *bytes {
        [] => 0,
        [lead @ 0xe0..=0xef, second @ 0x80..=0xbf, ..] if lead != 0xe0 || second >= 0xa0 => 2,
        [lead @ 0xf0..=0xf4, second, 0x80..=0xbf, ..] if second_of_four(lead).contains(&second) => {
            3
        }
        [lead @ 0xf0..=0xf4, second, ..] if second_of_four(lead).contains(&second) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utf16(mut bytes: &[u8]) -> Vec<u16> {
        let mut units = Vec::new();
        while let Some(&first) = bytes.first() {
            let (decoded, len) =
                if first < 0x80 { (Decoded::Basic(first.into()), 1) } else { decode(bytes) };
            match decoded {
                Decoded::Basic(unit) => units.push(unit),
                Decoded::Supplementary { high, low } => units.extend([high, low]),
                Decoded::Malformed => units.push(0xfffd),
            }
            bytes = &bytes[len..];
        }
        units
    }

    #[test]
    fn encoded_surrogates_are_one_mark_and_overlong_bytes_one_mark_each() {
        assert_eq!(utf16(b"\xed\xa0\x80x"), [0xfffd, 0x78]);
        assert_eq!(utf16(b"\xed\xa0"), [0xfffd]);
        assert_eq!(utf16(b"\xc0\x80"), [0xfffd, 0xfffd]);
        assert_eq!(utf16(b"\xe0\x80\x80"), [0xfffd; 3]);
        assert_eq!(utf16(b"\xf4\x90\x80\x80"), [0xfffd; 4]);
        assert_eq!(utf16(b"\xf0\x90\x80"), [0xfffd]);
        assert_eq!(utf16(b"\xf0\x90\x80A"), [0xfffd, 0x41]);
    }

    proptest! {
        #[test]
        fn valid_text_has_the_units_of_the_standard_library(text in any::<String>()) {
            prop_assert_eq!(utf16(text.as_bytes()), text.encode_utf16().collect::<Vec<_>>());
        }

        #[test]
        fn other_bytes_are_marked_as_the_standard_library_does_but_for_surrogates(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), 0xc0..=0xff_u8, 0x80..=0xbf_u8], 0..12),
        ) {
            prop_assume!(!bytes.windows(2).any(|pair| pair[0] == 0xed && pair[1] >= 0xa0));
            let expected: Vec<u16> = String::from_utf8_lossy(&bytes).encode_utf16().collect();
            prop_assert_eq!(utf16(&bytes), expected);
        }
    }
}
