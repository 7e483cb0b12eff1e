//! The inside of a JSON string as the Java driver escapes it.
//!
//! ```text
//!  "  \                    \"  \\
//!  08 09 0a 0c 0d          \b \t \n \f \r
//!  printable (unicode)     as it is, in UTF-8; `/` too
//!  all else                \uXXXX in lower case, one per UTF-16 unit: two for all beyond U+FFFF
//! ```
//!
//! With `QUOTED` the result is to stand inside another JSON string, as Jackson writes it: each `\`
//! and `"` gets one more `\`. Runs of characters that need nothing are copied whole. Source:
//! `StrictCharacterStreamJsonWriter.writeStringHelper` of BSON library 4.7.2.

use super::block::{self, BLOCK_BYTES, is_plain, plain_len, push_front};
use super::unicode::is_printable;
use super::utf8::{Decoded, decode};

/// Appends `text` escaped, without quotes around it. Malformed UTF-8 becomes U+FFFD as in Java.
#[inline]
pub(super) fn write_escaped<const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) {
    let plain = push_plain(text, out);
    match text.get(plain..) {
        Some(rest) if !rest.is_empty() => write_escaped_rest::<QUOTED>(rest, out),
        Some(_) | None => {}
    }
}

/// The same for text of `len` bytes at the front of `window`, which goes on with the zero that ends
/// the text: so blocks may be read past its end, which for short text saves the most.
#[inline]
pub(super) fn write_escaped_within<const QUOTED: bool>(
    window: &[u8],
    len: usize,
    out: &mut Vec<u8>,
) {
    debug_assert_eq!(window.get(len), Some(&0));
    // The zero is not plain, so this ends with the text at the latest.
    let plain = block::push_plain(window, len, out);
    match window.get(plain..len) {
        Some(rest) if !rest.is_empty() => write_escaped_rest::<QUOTED>(rest, out),
        Some(_) | None => {}
    }
}

/// Appends what stands for itself at the front of `text`, and says how many bytes that is.
fn push_plain(text: &[u8], out: &mut Vec<u8>) -> usize {
    let (blocks, rest) = text.as_chunks::<BLOCK_BYTES>();
    let plain = block::push_plain(blocks.as_flattened(), text.len(), out);
    if plain < blocks.len() * BLOCK_BYTES { plain } else { plain + push_plain_short(rest, out) }
}

/// The same for text that is shorter than a block.
#[inline]
fn push_plain_short(text: &[u8], out: &mut Vec<u8>) -> usize {
    // What lies behind the text is zero and not plain.
    let block = block::of_short(text);
    let plain = plain_len(&block);
    push_front(&block, plain, out);
    plain
}

/// The same for text of which the first byte needs a look.
fn write_escaped_rest<const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let len = if first >= 0x80 {
            write_beyond_ascii::<QUOTED>(rest, out)
        } else if is_plain(first) {
            push_plain(rest, out)
        } else {
            write_ascii::<QUOTED>(first, out);
            1
        };
        rest = rest.get(len..).unwrap_or_default();
    }
}

/// Appends the characters at the front of `text` up to the next ASCII one, and says how many bytes
/// they were. The first byte is not ASCII.
fn write_beyond_ascii<const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) -> usize {
    // text[copied..at] is printable and not yet copied.
    let (mut copied, mut at) = (0, 0);
    while let Some(rest) = text.get(at..)
        && rest.first().is_some_and(|&byte| byte >= 0x80)
    {
        let (decoded, len) = decode(rest);
        if let Decoded::Basic(unit) = decoded
            && is_printable(unit)
        {
            at += len;
            continue;
        }
        out.extend_from_slice(text.get(copied..at).unwrap_or_default());
        match decoded {
            Decoded::Basic(unit) => write_unit::<QUOTED>(unit, out),
            Decoded::Supplementary { high, low } => write_pair::<QUOTED>(high, low, out),
            Decoded::Malformed => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
        at += len;
        copied = at;
    }
    out.extend_from_slice(text.get(copied..at).unwrap_or_default());
    at
}

/// Appends an ASCII character that does not stand for itself.
fn write_ascii<const QUOTED: bool>(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => return write_unit::<QUOTED>(u16::from(byte), out),
    };
    write_backslash::<QUOTED>(out);
    if QUOTED && (byte == b'"' || byte == b'\\') {
        out.push(b'\\');
    }
    out.push(short);
}

/// Appends `\uXXXX`.
#[inline]
fn write_unit<const QUOTED: bool>(unit: u16, out: &mut Vec<u8>) {
    let block = unit_block::<QUOTED>(unit).to_le_bytes();
    push_front(&block, const { unit_bytes(QUOTED) }, out);
}

/// Appends `\uXXXX\uXXXX`, which is less than a block too.
#[inline]
fn write_pair<const QUOTED: bool>(high: u16, low: u16, out: &mut Vec<u8>) {
    let behind = const { 8 * unit_bytes(QUOTED) };
    let block = unit_block::<QUOTED>(high) | unit_block::<QUOTED>(low) << behind;
    push_front(&block.to_le_bytes(), const { 2 * unit_bytes(QUOTED) }, out);
}

const fn unit_bytes(quoted: bool) -> usize {
    if quoted { r"\\uXXXX".len() } else { r"\uXXXX".len() }
}

/// The escape of a unit in the low bytes of a number, its first byte the lowest.
#[inline]
fn unit_block<const QUOTED: bool>(unit: u16) -> u128 {
    // One digit in each byte, the first in the lowest; then all four at once: 0 to 9 and a to f are
    // 39 apart, and only the latter become 16 or more when 6 is added.
    let unit = u32::from(unit);
    let digits = unit >> 12 | unit & 0x0f00 | (unit & 0x00f0) << 12 | (unit & 0x000f) << 24;
    let letters = (digits + 0x0606_0606) >> 4 & 0x0101_0101;
    let text = u128::from(digits + 0x3030_3030 + letters * 39);
    if QUOTED { text << 24 | 0x75_5c5c } else { text << 16 | 0x755c }
}

#[inline]
fn write_backslash<const QUOTED: bool>(out: &mut Vec<u8>) {
    out.extend_from_slice(if QUOTED { br"\\" } else { br"\" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped<const QUOTED: bool>(text: &[u8]) -> String {
        let mut out = Vec::new();
        write_escaped::<QUOTED>(text, &mut out);
        String::from_utf8(out).expect("escaped text is UTF-8")
    }

    /// The rule written down once more, one unit at a time.
    fn expected(text: &str) -> String {
        let mut out = String::new();
        for unit in text.encode_utf16() {
            match unit {
                0x22 => out.push_str(r#"\""#),
                0x5c => out.push_str(r"\\"),
                0x08 => out.push_str(r"\b"),
                0x09 => out.push_str(r"\t"),
                0x0a => out.push_str(r"\n"),
                0x0c => out.push_str(r"\f"),
                0x0d => out.push_str(r"\r"),
                _ if is_printable(unit) => out.extend(char::from_u32(unit.into())),
                _ => out.push_str(&format!("\\u{unit:04x}")),
            }
        }
        out
    }

    #[test]
    fn the_plain_part_ends_at_the_first_escape_wherever_that_is() {
        let plain_len = |text: &[u8]| {
            let mut out = Vec::new();
            let len = push_plain(text, &mut out);
            assert_eq!(out, text[..len]);
            len
        };
        for len in 0..150 {
            let text = vec![b'x'; len];
            assert_eq!(plain_len(&text), len);
            for at in 0..len {
                for escape in [b'"', b'\\', 0x1f, 0x7f, 0xc3] {
                    let mut text = text.clone();
                    text[at] = escape;
                    if let Some(later) = text.get_mut(at + 3) {
                        *later = b'"';
                    }
                    assert_eq!(plain_len(&text), at, "{escape:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn every_ascii_character_is_escaped_by_the_rule_at_every_place_in_a_word() {
        for byte in 0..=0x7f_u8 {
            for place in 0..70 {
                let mut text = vec![b'x'; 70];
                text[place] = byte;
                let text = String::from_utf8(text).expect("ASCII");
                assert_eq!(escaped::<false>(text.as_bytes()), expected(&text), "{byte:#x} {place}");
            }
        }
    }

    #[test]
    fn characters_beyond_the_basic_plane_are_two_escapes() {
        assert_eq!(escaped::<false>("a😀é".as_bytes()), r"a\ud83d\ude00é");
        assert_eq!(escaped::<true>("a😀é".as_bytes()), r"a\\ud83d\\ude00é");
    }

    proptest! {
        #[test]
        fn text_is_escaped_by_the_rule(text in any::<String>()) {
            prop_assert_eq!(escaped::<false>(text.as_bytes()), expected(&text));
        }

        #[test]
        fn quoting_escapes_once_more(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(b'\n'), Just(1), any::<u8>()], 0..80)) {
            let twice = escaped::<false>(&bytes).replace('\\', r"\\").replace('"', "\\\"");
            prop_assert_eq!(escaped::<true>(&bytes), twice);
        }
    }
}
