//! A short number for the content of an event, so that a million of them are judged in a second.
//!
//! ```text
//! insert, replace   hash of the bytes of the document: order of fields counts
//! update            sum of the hashes of its elements: the server sorts them in its own way
//!                   + removed names + shortened lists
//! ```
//!
//! The expected digests are derived from the seed before the run is judged ([`crate::ledger::Ledger::with_digests`]),
//! on all cores; while events arrive only what arrived is hashed. 64 bits of a folded multiplication: an accidental
//! change goes unseen once in 10¹⁹. It is no defence against an attacker. A digest that differs is not yet a verdict:
//! a server may say the same change in two ways, so whoever finds a difference compares the whole content.

use crate::delta::{Change, Truncated};

const KEYS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];

/// Of a whole document, as BSON.
pub fn of_document(bytes: &[u8]) -> u64 {
    hash(bytes)
}

/// Of what an update changed. `None` if `updated` is no BSON document.
pub fn of_update(
    updated: &[u8],
    removed: Option<&str>,
    truncated: Option<(&str, u32)>,
) -> Option<u64> {
    let mut sum = removed.map_or(0, |name| hash(name.as_bytes()) ^ KEYS[0]);
    if let Some((name, new_size)) = truncated {
        sum = sum.wrapping_add(fold(hash(name.as_bytes()), u64::from(new_size) ^ KEYS[2]));
    }
    for element in elements(updated)? {
        sum = sum.wrapping_add(hash(element?));
    }
    Some(sum)
}

/// Of a change as it was derived.
pub(crate) fn of_change(change: &Change) -> u64 {
    let truncated = change.truncated.map(|Truncated { field, new_size }| (field, new_size));
    of_update(&change.updated, change.removed.as_deref(), truncated)
        .expect("a derived update is BSON")
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

fn hash(bytes: &[u8]) -> u64 {
    let word = |at: &[u8]| u64::from_le_bytes(at.try_into().expect("eight bytes"));
    let (blocks, rest) = bytes.as_chunks::<16>();
    let mut state = KEYS[0] ^ bytes.len() as u64;
    for block in blocks {
        state = fold(state ^ word(&block[..8]), KEYS[1] ^ word(&block[8..]));
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    state = fold(state ^ word(&last[..8]), KEYS[1] ^ word(&last[8..]));
    fold(state, KEYS[2])
}

/// The elements of a document, each with type and name; `None` in place of one that is cut or of no known type.
fn elements(document: &[u8]) -> Option<impl Iterator<Item = Option<&[u8]>>> {
    let length = i32::from_le_bytes(*document.first_chunk()?);
    let mut rest = document.get(4..document.len() - 1)?;
    let whole = usize::try_from(length) == Ok(document.len()) && document.last() == Some(&0);
    whole.then(|| {
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let element = element_bytes(rest).and_then(|bytes| rest.split_at_checked(bytes));
            rest = element.map_or(&[], |(_, behind)| behind);
            Some(element.map(|(element, _)| element))
        })
    })
}

/// The length of the element at the begin of `bytes`, <https://bsonspec.org/spec.html>.
fn element_bytes(bytes: &[u8]) -> Option<usize> {
    let name = 1 + cstring_bytes(bytes.get(1..)?)?;
    let value = bytes.get(name..)?;
    let length = || usize::try_from(i32::from_le_bytes(*value.first_chunk()?)).ok();
    let value = match bytes[0] {
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x08 => 1,
        0x10 => 4,
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x07 => 12,
        0x13 => 16,
        0x02 | 0x0d | 0x0e => length()?.checked_add(4)?,
        0x03 | 0x04 | 0x0f => length()?,
        0x05 => length()?.checked_add(5)?,
        0x0c => length()?.checked_add(16)?,
        0x0b => {
            let pattern = cstring_bytes(value)?;
            pattern + cstring_bytes(&value[pattern..])?
        }
        _ => return None,
    };
    name.checked_add(value)
}

/// With its NUL.
fn cstring_bytes(bytes: &[u8]) -> Option<usize> {
    Some(bytes.iter().position(|&byte| byte == 0)? + 1)
}

#[cfg(test)]
mod tests {
    use bson::Document;
    use proptest::prelude::*;

    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{Collections, Key, KeySpread, Mix, Workload};

    fn workload(seed: u64) -> Workload {
        Workload {
            seed,
            database: "d".into(),
            collections: Collections::one("c"),
            operations: 0,
            writers: 1,
            mix: Mix::UPDATES,
            document: DocumentShape::named("special").unwrap().into(),
            key_spread: KeySpread::Uniform,
        }
    }

    proptest! {
        #[test]
        fn every_altered_byte_changes_the_digest(seed: u64, number: u32, flip in 1..=255_u8) {
            let workload = workload(seed);
            let mut document = workload.document_bytes(Key { writer: 0, number }, 3);
            let whole = of_document(&document);
            for at in 0..document.len() {
                document[at] ^= flip;
                prop_assert_ne!(of_document(&document), whole);
                document[at] ^= flip;
                prop_assert_ne!(of_document(&document[..at]), whole);
            }
        }

        #[test]
        fn the_order_of_updated_fields_does_not_count_and_everything_else_does(seed: u64, number: u32) {
            let workload = workload(seed);
            // The element walk holds for every type: a document of every type stands for an update.
            let fields = workload.document(Key { writer: 0, number }, 3);
            let digest = |document: &Document| of_update(&document.to_vec().unwrap(), None, None).unwrap();
            let mut reversed: Vec<_> = fields.clone().into_iter().collect();
            reversed.reverse();
            let reversed: Document = reversed.into_iter().collect();
            prop_assert_eq!(digest(&reversed), digest(&fields));
            for name in fields.keys() {
                let mut fewer = fields.clone();
                fewer.remove(name);
                prop_assert_ne!(digest(&fewer), digest(&fields), "{}", name);
            }
            let bytes = fields.to_vec().unwrap();
            let all: Vec<_> = [(None, None), (Some("a"), None), (Some("b"), None), (None, Some(("list", 3))),
                (None, Some(("list", 4))), (Some("a"), Some(("list", 3)))]
                .map(|(removed, truncated)| of_update(&bytes, removed, truncated)).to_vec();
            for (at, digest) in all.iter().enumerate() {
                prop_assert!(!all[..at].contains(digest));
            }
        }

        #[test]
        fn bytes_of_others_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), kind: u8) {
            of_update(&bytes, None, None);
            let mut framed = (bytes.len() as i32 + 6).to_le_bytes().to_vec();
            framed.push(kind);
            framed.extend(&bytes);
            framed.push(0);
            of_update(&framed, None, None);
        }
    }
}
