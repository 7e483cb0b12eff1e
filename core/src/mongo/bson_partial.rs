//! Looks at the front of an element that may not have arrived whole.
//!
//! ```text
//!  type │ name … 0 │ length │ … not yet here …
//!                  └ value_at
//! ```
//!
//! Says where the value begins and how long it is, as soon as the bytes that are there tell. Never
//! reads a value.

use super::bson::{BsonError, DOC_BYTES_MIN};

/// The type of the element at the front of `bytes` and where its value begins. `None` if more bytes
/// are needed.
#[inline]
pub(super) fn element_head(bytes: &[u8]) -> Option<(u8, usize)> {
    let (&kind, rest) = bytes.split_first()?;
    Some((kind, memchr::memchr(0, rest)? + 2))
}

/// Bytes of the value of type `kind` that begins `bytes`. `Ok(None)` if more bytes are needed to
/// tell.
///
/// # Errors
/// [`BsonError::UnknownKind`], and [`BsonError::Malformed`] for a negative or impossible length.
pub(super) fn value_bytes(kind: u8, bytes: &[u8]) -> Result<Option<usize>, BsonError> {
    // What the value has beside the bytes that its length counts.
    let (counted_min, beside) = match kind {
        0x06 | 0x0a | 0x7f | 0xff => return Ok(Some(0)),
        0x08 => return Ok(Some(1)),
        0x10 => return Ok(Some(4)),
        0x01 | 0x09 | 0x11 | 0x12 => return Ok(Some(8)),
        0x07 => return Ok(Some(12)),
        0x13 => return Ok(Some(16)),
        0x0b => return Ok(regex_bytes(bytes)),
        0x02 | 0x0d | 0x0e => (1, 4),
        0x03 | 0x04 => (DOC_BYTES_MIN, 0),
        0x05 => (0, 5),
        0x0c => (1, 16),
        0x0f => (14, 0),
        _ => return Err(BsonError::UnknownKind { kind }),
    };
    let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
    match usize::try_from(i32::from_le_bytes(*head)) {
        Ok(counted) if counted_min <= counted => Ok(Some(counted + beside)),
        Ok(_) | Err(_) => Err(BsonError::Malformed { kind }),
    }
}

fn regex_bytes(bytes: &[u8]) -> Option<usize> {
    let pattern = memchr::memchr(0, bytes)? + 1;
    let options = memchr::memchr(0, bytes.get(pattern..)?)? + 1;
    Some(pattern + options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::bson::{RawDoc, tests::every_type};

    #[test]
    fn sizes_agree_with_the_walk_for_every_type_and_every_cut() {
        let bytes = every_type();
        let doc = RawDoc::new(&bytes).unwrap();
        let mut body = &bytes[4..bytes.len() - 1];
        for element in doc {
            let name = element.unwrap().name;
            let mut known = None;
            for cut in 0..=body.len() {
                let Some((kind, value_at)) = element_head(&body[..cut]) else {
                    assert!(known.is_none());
                    continue;
                };
                assert_eq!(&body[1..value_at - 1], name);
                if let Some(size) = value_bytes(kind, &body[value_at..cut]).unwrap() {
                    assert_eq!(*known.get_or_insert(value_at + size), value_at + size, "cut {cut}");
                }
            }
            body = &body[known.expect("the whole body tells every size")..];
        }
        assert!(body.is_empty(), "the sizes add up to the document");
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let minus_one = (-1_i32).to_le_bytes();
        for kind in [0x02, 0x03, 0x04, 0x05, 0x0c, 0x0d, 0x0e, 0x0f] {
            assert_eq!(value_bytes(kind, &minus_one), Err(BsonError::Malformed { kind }));
        }
        assert_eq!(value_bytes(0x14, &[]), Err(BsonError::UnknownKind { kind: 0x14 }));
    }
}
