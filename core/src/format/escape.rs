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

use super::block::{self, BLOCK_BYTES, Room, is_plain, plain_len, push_front};
use super::jdk::Jdk;
use super::utf8::{self, Decoded, decode};

/// Appends `text` escaped, without quotes around it. Malformed UTF-8 becomes U+FFFD as in Java.
#[inline]
pub(super) fn write_escaped<J: Jdk, const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) {
    let plain = push_plain(text, out);
    match text.get(plain..) {
        Some(rest) if !rest.is_empty() => write_escaped_rest::<J, QUOTED>(rest, out),
        Some(_) | None => {}
    }
}

/// The same for text of `len` bytes at the front of `window`, which goes on with the zero that ends
/// the text: so blocks may be read past its end, which for short text saves the most.
#[inline]
pub(super) fn write_escaped_within<J: Jdk, const QUOTED: bool>(
    window: &[u8],
    len: usize,
    out: &mut Vec<u8>,
) {
    debug_assert_eq!(window.get(len), Some(&0));
    // The zero is not plain, so this ends with the text at the latest.
    let plain = block::push_plain(window, len, out);
    match window.get(plain..len) {
        Some(rest) if !rest.is_empty() => write_escaped_rest::<J, QUOTED>(rest, out),
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
fn write_escaped_rest<J: Jdk, const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        // Only so much of the text as certainly fits: a vector that is nearly full need not grow for
        // what the longest escapes might take.
        let taken = block::with_room(out, const { room_bytes(BYTES_MIN) }, |room| {
            let bytes_max = (room.free() - SLACK_BYTES) / ESCAPE_BYTES_MAX;
            write_characters::<J, QUOTED>(rest, bytes_max.min(BYTES_MAX), room)
        });
        rest = rest.get(taken..).unwrap_or_default();
    }
}

/// Text that is looked at before the room is looked at again: room for the fewest is always made.
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 256;
/// What one byte of text becomes at most: `\\u0001`.
const ESCAPE_BYTES_MAX: usize = 7;
/// Behind what counts: the last character may be one of four bytes, and a block is copied whole.
const SLACK_BYTES: usize = 4 * ESCAPE_BYTES_MAX + BLOCK_BYTES;

const fn room_bytes(text_bytes: usize) -> usize {
    text_bytes * ESCAPE_BYTES_MAX + SLACK_BYTES
}

/// Appends the characters that begin within the first `bytes_max` bytes of `text`, and says how many
/// bytes they are.
#[inline(always)]
fn write_characters<J: Jdk, const QUOTED: bool>(
    text: &[u8],
    bytes_max: usize,
    room: &mut Room<'_>,
) -> usize {
    let mut taken = 0;
    while taken < bytes_max
        && let Some(rest) = text.get(taken..)
        && let Some(&first) = rest.first()
    {
        taken += if !first.is_ascii() {
            write_beyond_ascii::<J, QUOTED>(rest, room)
        } else if is_plain(first) {
            write_plain(rest, room)
        } else {
            write_ascii::<QUOTED>(first, room)
        };
    }
    taken
}

/// Copies what stands for itself at the front of `text`, up to a block.
#[inline(always)]
fn write_plain(text: &[u8], room: &mut Room<'_>) -> usize {
    // What lies behind a short text is zero and not plain.
    let block = text.first_chunk().copied().unwrap_or_else(|| block::of_short(text));
    let plain = plain_len(&block);
    room.put(block, plain);
    plain
}

/// Appends an ASCII character that does not stand for itself.
#[inline(always)]
fn write_ascii<const QUOTED: bool>(byte: u8, room: &mut Room<'_>) -> usize {
    let escapes = const { if QUOTED { &ASCII_QUOTED } else { &ASCII } };
    let escape = escapes.get(usize::from(byte)).copied().unwrap_or_default();
    room.put(escape.to_le_bytes(), (escape >> 56) as usize);
    1
}

/// Appends the character at the front of `text`, which is not ASCII.
#[inline(always)]
fn write_beyond_ascii<J: Jdk, const QUOTED: bool>(text: &[u8], room: &mut Room<'_>) -> usize {
    if let Some(four) = text.first_chunk() {
        if let Some(unit) = utf8::of_three(*four) {
            write_basic::<J, QUOTED>(unit, *four, 3, room);
            return 3;
        }
        if let Some(unit) = utf8::of_two(*four) {
            write_basic::<J, QUOTED>(unit, *four, 2, room);
            return 2;
        }
        if let Some((high, low)) = utf8::of_four(*four) {
            room.put(pair_text(high, low, QUOTED).to_le_bytes(), 2 * unit_bytes(QUOTED));
            return 4;
        }
    }
    let (text, len, taken) = rare_text::<J>(text, QUOTED);
    room.put(text.to_le_bytes(), len);
    taken
}

/// Appends a character of the basic plane, which is the first `len` of four bytes.
#[inline(always)]
fn write_basic<J: Jdk, const QUOTED: bool>(
    unit: u16,
    four: [u8; 4],
    len: usize,
    room: &mut Room<'_>,
) {
    if J::is_printable(unit) {
        room.put(four, len);
    } else {
        room.put(unit_text(unit, QUOTED).to_le_bytes(), unit_bytes(QUOTED));
    }
}

/// What becomes of a character that is malformed, or too near to the end to be looked at four bytes at
/// a time: the bytes of a number, how many of them count, and how many bytes of `text` it took.
#[cold]
fn rare_text<J: Jdk>(text: &[u8], quoted: bool) -> (u64, usize, usize) {
    let (decoded, taken) = decode(text);
    let (text, len) = match decoded {
        Decoded::Basic(unit) if J::is_printable(unit) => {
            let bytes = text.iter().take(taken).rev();
            (bytes.fold(0, |text, byte| text << 8 | u64::from(*byte)), taken)
        }
        Decoded::Basic(unit) => (unit_text(unit, quoted), unit_bytes(quoted)),
        // One of four bytes never comes here.
        Decoded::Supplementary { .. } | Decoded::Malformed => (0xbd_bfef, "\u{fffd}".len()),
    };
    (text, len, taken)
}

const fn unit_bytes(quoted: bool) -> usize {
    if quoted { r"\\uXXXX".len() } else { r"\uXXXX".len() }
}

/// `\uXXXX` of a unit in the low bytes of a number, its first byte the lowest.
#[inline(always)]
const fn unit_text(unit: u16, quoted: bool) -> u64 {
    // One digit in each byte, the first in the lowest; then all four at once: 0 to 9 and a to f are
    // 39 apart, and only the latter become 16 or more when 6 is added.
    let unit = unit as u32;
    let digits = unit >> 12 | unit & 0x0f00 | (unit & 0x00f0) << 12 | (unit & 0x000f) << 24;
    let letters = (digits + 0x0606_0606) >> 4 & 0x0101_0101;
    let text = (digits + 0x3030_3030 + letters * 39) as u64;
    if quoted { text << 24 | 0x75_5c5c } else { text << 16 | 0x755c }
}

/// The same of both units of a character beyond the basic plane.
#[inline(always)]
const fn pair_text(high: u16, low: u16, quoted: bool) -> u128 {
    let behind = 8 * unit_bytes(quoted);
    unit_text(high, quoted) as u128 | (unit_text(low, quoted) as u128) << behind
}

/// What each ASCII character is escaped as: its text in the low bytes, first byte the lowest, and
/// how long that is in the highest. Those that stand for themselves are never looked up.
static ASCII: [u64; 128] = ascii_escapes(false);
static ASCII_QUOTED: [u64; 128] = ascii_escapes(true);

#[allow(clippy::indexing_slicing, reason = "runs in the compiler, where a wrong index is an error")]
const fn ascii_escapes(quoted: bool) -> [u64; 128] {
    let mut escapes = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        escapes[byte as usize] = ascii_escape(byte, quoted);
        byte += 1;
    }
    escapes
}

const fn ascii_escape(byte: u8, quoted: bool) -> u64 {
    let (text, len) = match (byte, quoted) {
        (b'"' | b'\\', false) => (0x5c | (byte as u64) << 8, 2),
        (b'"' | b'\\', true) => (0x5c_5c5c | (byte as u64) << 24, 4),
        (0x08, _) => backslash_and(b'b', quoted),
        (b'\t', _) => backslash_and(b't', quoted),
        (b'\n', _) => backslash_and(b'n', quoted),
        (0x0c, _) => backslash_and(b'f', quoted),
        (b'\r', _) => backslash_and(b'r', quoted),
        _ => (unit_text(byte as u16, quoted), unit_bytes(quoted) as u64),
    };
    text | len << 56
}

const fn backslash_and(letter: u8, quoted: bool) -> (u64, u64) {
    if quoted { (0x5c5c | (letter as u64) << 16, 3) } else { (0x5c | (letter as u64) << 8, 2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::jdk::Jdk17;
    use proptest::prelude::*;

    fn escaped<const QUOTED: bool>(text: &[u8]) -> String {
        let mut out = Vec::new();
        write_escaped::<Jdk17, QUOTED>(text, &mut out);
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
                _ if Jdk17::is_printable(unit) => out.extend(char::from_u32(unit.into())),
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

    #[test]
    fn long_text_is_escaped_by_the_rule_however_much_room_there_is_at_first() {
        let characters =
            ["a", "\u{1}", "\"", "é", "\u{301}", "中", "ー", "😀", "plain text, ", "\u{fffd}"];
        let text: String = (0..700).map(|at| characters[at * at % 97 % characters.len()]).collect();
        let malformed = [text.as_bytes(), b"\xed\xa0\x80\xf0\x90", text.as_bytes()].concat();
        let expected = [expected(&text), expected(&text)].join("\u{fffd}\u{fffd}");
        let quoted = expected.replace('\\', r"\\").replace('"', "\\\"");
        for room in 0..400 {
            let (mut once, mut twice) = (Vec::with_capacity(room), Vec::with_capacity(room));
            write_escaped::<Jdk17, false>(&malformed, &mut once);
            write_escaped::<Jdk17, true>(&malformed, &mut twice);
            assert!(once == expected.as_bytes() && twice == quoted.as_bytes(), "{room}");
        }
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
