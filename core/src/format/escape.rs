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

use super::binary::lower_digit;
use super::unicode::is_printable;
use super::utf8::{Decoded, decode};

/// Appends `text` escaped, without quotes around it. Malformed UTF-8 becomes U+FFFD as in Java.
#[inline]
pub(super) fn write_escaped<const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) {
    let plain = plain_ascii_len(text);
    match text.split_at_checked(plain) {
        Some((plain, rest)) if !rest.is_empty() => {
            out.extend_from_slice(plain);
            write_escaped_rest::<QUOTED>(rest, out);
        }
        Some(_) | None => out.extend_from_slice(text),
    }
}

/// The same for text of which the first byte needs a look.
fn write_escaped_rest<const QUOTED: bool>(text: &[u8], out: &mut Vec<u8>) {
    // text[copied..at] is printable and not yet copied.
    let (mut copied, mut at) = (0, 0);
    while let Some(&first) = text.get(at) {
        if first < 0x80 {
            let plain = plain_ascii_len(text.get(at..).unwrap_or_default());
            at += plain;
            if plain == 0 {
                out.extend_from_slice(text.get(copied..at).unwrap_or_default());
                write_ascii::<QUOTED>(first, out);
                at += 1;
                copied = at;
            }
            continue;
        }
        let (decoded, len) = decode(text.get(at..).unwrap_or_default());
        if let Decoded::Basic(unit) = decoded
            && is_printable(unit)
        {
            at += len;
            continue;
        }
        out.extend_from_slice(text.get(copied..at).unwrap_or_default());
        match decoded {
            Decoded::Basic(unit) => write_unit::<QUOTED>(unit, out),
            Decoded::Supplementary { high, low } => {
                write_unit::<QUOTED>(high, out);
                write_unit::<QUOTED>(low, out);
            }
            Decoded::Malformed => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
        at += len;
        copied = at;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
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
fn write_unit<const QUOTED: bool>(unit: u16, out: &mut Vec<u8>) {
    write_backslash::<QUOTED>(out);
    let [high, low] = unit.to_be_bytes();
    let digits = [high >> 4, high & 15, low >> 4, low & 15].map(lower_digit);
    out.push(b'u');
    out.extend_from_slice(&digits);
}

#[inline]
fn write_backslash<const QUOTED: bool>(out: &mut Vec<u8>) {
    out.extend_from_slice(if QUOTED { br"\\" } else { br"\" });
}

/// Bytes looked at together where text goes on for long: the compiler makes vector code of it.
const BLOCK_BYTES: usize = 32;
/// Bytes looked at together elsewhere.
const WORD_BYTES: usize = 8;

/// Number of bytes at the front that are printable ASCII and neither `"` nor `\`.
#[inline]
fn plain_ascii_len(text: &[u8]) -> usize {
    // Text with escapes has the next one near, so the first word is looked at alone.
    let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) else {
        return plain_ascii_len_short(text);
    };
    if let Some(at) = first_escape(*first) {
        return at;
    }
    let (blocks, _) = text.as_chunks::<BLOCK_BYTES>();
    let blocks = blocks.iter().take_while(|block| is_plain_block(block)).count();
    let mut len = blocks * BLOCK_BYTES;
    let (words, _) = text.get(len..).unwrap_or_default().as_chunks();
    for word in words {
        if let Some(at) = first_escape(*word) {
            return len + at;
        }
        len += WORD_BYTES;
    }
    // The last word lies partly over bytes that are known to be plain.
    first_escape(*last).map_or(text.len(), |at| text.len() - WORD_BYTES + at)
}

/// The same for text shorter than a word: two halves that may lie over each other.
#[inline]
fn plain_ascii_len_short(text: &[u8]) -> usize {
    let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) else {
        return text.iter().take_while(|&&byte| is_plain(byte)).count();
    };
    let halves = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    match first_escape(halves.to_le_bytes()) {
        None => text.len(),
        Some(at) if at < 4 => at,
        Some(at) => text.len() + at - WORD_BYTES,
    }
}

/// Where in `word` the first byte is that needs an escape.
#[inline]
fn first_escape(word: [u8; WORD_BYTES]) -> Option<usize> {
    let escapes = escapes_of(u64::from_le_bytes(word));
    (escapes != 0).then(|| escapes.trailing_zeros() as usize / 8)
}

#[inline]
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

#[inline]
fn is_plain_block(block: &[u8; BLOCK_BYTES]) -> bool {
    block.iter().fold(true, |plain, &byte| plain & is_plain(byte))
}

/// Marks the bytes of `word` that need an escape by their top bit. The lowest mark is exact; marks
/// above it may be false, because a subtraction borrows from the byte above.
#[inline]
fn escapes_of(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let zero_in = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word.wrapping_add(ONES);
    let quotes = zero_in(word ^ (ONES * 0x22));
    let backslashes = zero_in(word ^ (ONES * 0x5c));
    (word | controls | delete | quotes | backslashes) & TOPS
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
        for len in 0..150 {
            let text = vec![b'x'; len];
            assert_eq!(plain_ascii_len(&text), len);
            for at in 0..len {
                for escape in [b'"', b'\\', 0x1f, 0x7f, 0xc3] {
                    let mut text = text.clone();
                    text[at] = escape;
                    if let Some(later) = text.get_mut(at + 3) {
                        *later = b'"';
                    }
                    assert_eq!(plain_ascii_len(&text), at, "{escape:#x} at {at} of {len}");
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

        #[test]
        fn the_first_mark_of_a_word_is_exact(bytes in any::<[u8; 8]>()) {
            let marks = escapes_of(u64::from_le_bytes(bytes));
            let first = bytes.iter().position(|&byte| !is_plain(byte));
            prop_assert_eq!((marks != 0).then(|| marks.trailing_zeros() as usize / 8), first);
        }
    }
}
