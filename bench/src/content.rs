//! How the content of an event is judged: in full, or by its digest.
//!
//! ```text
//! full     what arrived, field by field, against the document that the seed derives      every format
//! digest   one hash of the bytes that arrived against the digest of those bytes,         raw BSON
//!          derived before anything is measured
//!              same        the content is what was written
//!              different   not yet a verdict: the whole content decides, as in full
//! ```
//!
//! So the digest can overlook an altered record only by a collision (once in 10¹⁹), and can never accuse one that is
//! right. JSON is written in more than one way, so that its text has no digest that the seed could derive: it is
//! always judged in full. Namespace, key, kind and version are compared one by one in either way.

use bson::raw::{RawBsonRef, RawDocument};
use millrace_loadgen::digest;
use millrace_loadgen::ledger::{Content, Ledger};
use millrace_loadgen::workload::Workload;
use millrace_results::record::{ContentCheck, ContentRecord};

use crate::arm::Format;

/// From so many events on raw BSON is judged by digest: in full they would take longer to check than to replicate.
pub const DIGEST_EVENTS_MIN: u64 = 1_000_000;

/// How the content of every event is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// All of it.
    Full,
    /// By its digest where there is one, and in full where it differs.
    Digest,
}

impl Check {
    /// What a load of `events` events gets that arrives in `format`.
    pub fn of(format: Format, events: u64) -> Self {
        match format {
            Format::Bson if DIGEST_EVENTS_MIN <= events => Self::Digest,
            Format::Bson | Format::Json | Format::Debezium => Self::Full,
        }
    }

    /// A ledger that knows what this needs.
    ///
    /// # Panics
    /// If [`Workload::check`] refuses the workload.
    pub(crate) fn ledger(self, workload: &Workload) -> Ledger {
        match self {
            Self::Full => Ledger::new(workload),
            Self::Digest => Ledger::with_digests(workload),
        }
    }

    /// Its record, before anything was judged.
    pub(crate) fn record(self) -> ContentRecord {
        ContentRecord::new(match self {
            Self::Full => ContentCheck::Full,
            Self::Digest => ContentCheck::Digest,
        })
    }
}

/// How one content was found to be what was written, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Its digest is that of what was written.
    SameDigest,
    /// All of it was compared.
    InFull(Content),
}

impl Judged {
    /// Compares digests if there is a `written` one, and else, or if they differ, everything.
    pub(crate) fn by(
        written: Option<u64>,
        arrived: impl FnOnce() -> Option<u64>,
        is_same: impl FnOnce() -> bool,
    ) -> Self {
        if written.is_some_and(|written| arrived() == Some(written)) {
            return Self::SameDigest;
        }
        Self::in_full(is_same())
    }

    /// The result of a comparison of everything.
    pub(crate) fn in_full(is_same: bool) -> Self {
        Self::InFull(if is_same { Content::Matches } else { Content::Differs })
    }

    /// The verdict.
    pub fn content(self) -> Content {
        match self {
            Self::SameDigest => Content::Matches,
            Self::InFull(content) => content,
        }
    }

    /// Adds this one to what was judged before.
    pub(crate) fn count(self, record: &mut ContentRecord) {
        match self {
            Self::SameDigest => record.by_digest += 1,
            Self::InFull(_) => record.in_full += 1,
        }
    }
}

/// The digest of an `updateDescription` with these `updatedFields`. `None` where it says more than any update of a
/// workload makes a server say.
pub(crate) fn digest_of_update(update: &RawDocument, fields: &RawDocument) -> Option<u64> {
    let removed = match only_item(update, "removedFields")? {
        None => None,
        Some(RawBsonRef::String(name)) => Some(name),
        Some(_) => return None,
    };
    let truncated = match only_item(update, "truncatedArrays")? {
        None => None,
        Some(RawBsonRef::Document(array)) if array.into_iter().count() == 2 => {
            let size = u32::try_from(array.get_i32("newSize").ok()?).ok()?;
            Some((array.get_str("field").ok()?, size))
        }
        Some(_) => return None,
    };
    digest::of_update(fields.as_bytes(), removed, truncated)
}

/// The item of a list that has at most one; a list that is not there has none. `None` if it has more or is no list.
fn only_item<'a>(document: &'a RawDocument, name: &str) -> Option<Option<RawBsonRef<'a>>> {
    let mut items = match document.get(name).ok()? {
        None => return Some(None),
        Some(list) => list.as_array()?.into_iter(),
    };
    let first = items.next().transpose().ok()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use bson::raw::RawDocumentBuf;
    use bson::rawdoc;

    use super::*;

    #[test]
    fn only_a_large_load_in_raw_bson_is_judged_by_digest() {
        let few = DIGEST_EVENTS_MIN - 1;
        for format in [Format::Json, Format::Bson, Format::Debezium] {
            assert_eq!(Check::of(format, few), Check::Full, "{format:?}");
            let digests = Check::of(format, DIGEST_EVENTS_MIN) == Check::Digest;
            assert_eq!(digests, format == Format::Bson, "{format:?}");
        }
    }

    #[test]
    fn a_digest_that_differs_leaves_the_verdict_to_the_whole_content() {
        let never = || panic!("the digests are the same");
        assert_eq!(Judged::by(Some(7), || Some(7), never), Judged::SameDigest);
        for (written, arrived) in [(Some(7), Some(8)), (Some(7), None), (None, None)] {
            for content in [Content::Matches, Content::Differs] {
                let judged = Judged::by(written, || arrived, || content == Content::Matches);
                assert_eq!(judged, Judged::InFull(content));
            }
        }
    }

    #[test]
    fn what_no_update_says_has_no_digest() {
        let fields = rawdoc! { "v": 1 };
        let of = |update: RawDocumentBuf| digest_of_update(&update, &fields);
        let plain = of(rawdoc! {}).expect("a digest");
        assert_eq!(of(rawdoc! { "removedFields": [], "truncatedArrays": [] }), Some(plain));
        let removed = of(rawdoc! { "removedFields": ["a"] }).expect("a digest");
        let short = of(rawdoc! { "truncatedArrays": [{ "field": "list", "newSize": 3 }] });
        assert!(removed != plain && short.is_some_and(|short| short != plain && short != removed));
        for strange in [
            rawdoc! { "removedFields": ["a", "b"] },
            rawdoc! { "removedFields": [1] },
            rawdoc! { "removedFields": "a" },
            rawdoc! { "truncatedArrays": [{ "field": "list", "newSize": 3, "x": 1 }] },
            rawdoc! { "truncatedArrays": [{ "field": "list", "newSize": -1 }] },
            rawdoc! { "truncatedArrays": [{ "field": "list", "x": 1 }] },
            rawdoc! { "truncatedArrays": ["list"] },
        ] {
            assert_eq!(of(strange.clone()), None, "{strange:?}");
        }
    }
}
