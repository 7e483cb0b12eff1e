//! How the content of what came out was held against what was written.
//!
//! ```text
//! { "check": "digest", "by_digest": 2999871, "in_full": 129 }
//! ```
//!
//! Records that cannot be read are in neither number: they are faults already. Those that come twice are judged twice.

use serde::{Deserialize, Serialize};

/// What a round set out to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentCheck {
    /// Every record, all of its content.
    Full,
    /// Every record, by a digest of its content; where digests differ, all of it.
    Digest,
    /// Some records, all of their content.
    Sample,
}

/// What it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRecord {
    /// Which records, and how.
    pub check: ContentCheck,
    /// Records whose digest was enough.
    pub by_digest: u64,
    /// Records that were compared in full.
    pub in_full: u64,
}

impl ContentRecord {
    /// Nothing judged yet.
    pub fn new(check: ContentCheck) -> Self {
        Self { check, by_digest: 0, in_full: 0 }
    }

    /// Both together; `None` if the checks differ.
    pub fn merged(self, other: Self) -> Option<Self> {
        (self.check == other.check).then(|| Self {
            check: self.check,
            by_digest: self.by_digest + other.by_digest,
            in_full: self.in_full + other.in_full,
        })
    }

    /// In words, with numbers as `number` writes them.
    pub fn text(&self, number: impl Fn(u64) -> String) -> String {
        let Self { check, by_digest, in_full } = *self;
        match check {
            ContentCheck::Full => format!("{} in full", number(in_full)),
            ContentCheck::Digest => {
                format!("{} by digest, {} in full", number(by_digest), number(in_full))
            }
            ContentCheck::Sample => format!("a sample of {} in full", number(in_full)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_how_many_were_judged_in_which_way() {
        let text = |check| {
            let record = ContentRecord { check, by_digest: 3, in_full: 2 };
            record.text(|number| number.to_string())
        };
        assert_eq!(text(ContentCheck::Full), "2 in full");
        assert_eq!(text(ContentCheck::Digest), "3 by digest, 2 in full");
        assert_eq!(text(ContentCheck::Sample), "a sample of 2 in full");
    }

    #[test]
    fn only_like_checks_are_added_up() {
        let one = ContentRecord { check: ContentCheck::Digest, by_digest: 3, in_full: 2 };
        let both = one.merged(one).expect("alike");
        assert_eq!((both.by_digest, both.in_full), (6, 4));
        assert_eq!(one.merged(ContentRecord::new(ContentCheck::Full)), None);
    }

    #[test]
    fn json_names_the_check() {
        let json = serde_json::to_value(ContentRecord::new(ContentCheck::Digest)).unwrap();
        assert_eq!(json, serde_json::json!({ "check": "digest", "by_digest": 0, "in_full": 0 }));
    }
}
