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

/// The text that Java's decoder makes of `bytes`.
pub(crate) fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => error.valid_up_to(),
        };
        if valid > 0 || first.is_ascii() {
            let (front, behind) = rest.split_at(valid.min(rest.len()));
            text.push_str(std::str::from_utf8(front).unwrap_or_default());
            rest = behind;
            continue;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        rest = rest.get(decode(rest).1.max(1)..).unwrap_or_default();
    }
    text
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
            let (high, low) = surrogates(scalar);
            (Decoded::Supplementary { high, low }, 4)
        }
        _ => (Decoded::Malformed, malformed_len(bytes)),
    }
}

/// The character of three bytes at the front of `bytes`: no surrogate, and not one that two would do for.
#[inline(always)]
pub(super) fn of_three(bytes: [u8; 4]) -> Option<u16> {
    // The first byte is the lowest. All that lead and continuation bytes are told by is compared at once.
    let bytes = u32::from_le_bytes(bytes);
    if bytes & 0x00c0_c0f0 != 0x0080_80e0 {
        return None;
    }
    let unit = (bytes & 0x0f) << 12 | (bytes >> 2 & 0x0fc0) | (bytes >> 16 & 0x3f);
    let is_surrogate = unit >> 11 == 0xd800 >> 11;
    if unit < 0x0800 || is_surrogate { None } else { Some(unit as u16) }
}

/// The character of two bytes at the front of `bytes`: not one that one byte would do for.
#[inline(always)]
pub(super) fn of_two(bytes: [u8; 4]) -> Option<u16> {
    let bytes = u32::from_le_bytes(bytes);
    if bytes & 0xc0e0 != 0x80c0 {
        return None;
    }
    let unit = (bytes & 0x1f) << 6 | (bytes >> 8 & 0x3f);
    if unit < 0x80 { None } else { Some(unit as u16) }
}

/// The two surrogates of the character of four bytes: one beyond the basic plane, and a real one.
#[inline(always)]
pub(super) fn of_four(bytes: [u8; 4]) -> Option<(u16, u16)> {
    let bytes = u32::from_le_bytes(bytes);
    if bytes & 0xc0c0_c0f8 != 0x8080_80f0 {
        return None;
    }
    let front = (bytes & 0x07) << 18 | (bytes << 4 & 0x3f000);
    let scalar = front | (bytes >> 10 & 0x0fc0) | (bytes >> 24 & 0x3f);
    if (0x1_0000..=0x10_ffff).contains(&scalar) { Some(surrogates(scalar)) } else { None }
}

#[inline(always)]
fn surrogates(scalar: u32) -> (u16, u16) {
    let offset = scalar - 0x1_0000;
    (0xd800 | (offset >> 10) as u16, 0xdc00 | (offset & 0x3ff) as u16)
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
    fn text_is_what_java_reads() {
        assert_eq!(to_text("aé😀".as_bytes()), "aé😀");
        assert_eq!(to_text(b"a\xffb\xed\xa0\x80c\xf0\x9f"), "a\u{fffd}b\u{fffd}c\u{fffd}");
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

    #[test]
    fn four_bytes_at_once_are_decoded_as_one_byte_after_the_other() {
        let edges = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
        for lead in 0x80..=0xff_u8 {
            for second in 0..=0xff_u8 {
                for (third, fourth) in
                    edges.iter().flat_map(|third| edges.map(|fourth| (*third, fourth)))
                {
                    let bytes = [lead, second, third, fourth];
                    let basic = [of_two(bytes).zip(Some(2)), of_three(bytes).zip(Some(3))];
                    let basic = basic.into_iter().flatten();
                    let basic = basic.map(|(unit, len)| (Decoded::Basic(unit), len));
                    let pair = |(high, low)| (Decoded::Supplementary { high, low }, 4);
                    let found: Vec<_> = basic.chain(of_four(bytes).map(pair)).collect();
                    let (decoded, len) = decode(&bytes);
                    let expected = (decoded != Decoded::Malformed).then_some((decoded, len));
                    assert_eq!(found, Vec::from_iter(expected), "{bytes:x?}");
                }
            }
        }
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
