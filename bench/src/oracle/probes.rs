//! What Java's records must show before a run counts: a comparison of nothing finds no difference.
//!
//! Words without quotes, so that they are found in text, in JSON of text and in raw BSON alike. Names of fields that
//! only a newer server writes (`disambiguatedPaths`, from 6.1 on) are not among them.

use super::record::Record;

/// Kinds of changes, parts of events, and values at their edges as some formatter writes them.
const WORDS: [&str; 39] = [
    "insert",
    "update",
    "replace",
    "delete",
    "rename",
    "temp_two",
    "dropDatabase",
    "createIndexes",
    "dropIndexes",
    "modify",
    "copyingData",
    "txnNumber",
    "removedFields",
    "truncatedArrays",
    "fullDocumentBeforeChange",
    "$minKey",
    "$maxKey",
    "$undefined",
    "$symbol",
    "$code",
    "$scope",
    "$regex",
    "$regularExpression",
    "$dbPointer",
    "$numberDecimal",
    "$numberInt",
    "NaN",
    "-Infinity",
    "-0.0",
    "4.9E-324",
    "9223372036854775807",
    "-9223372036854775808",
    "+10000-01-01T00:00:00Z",
    "-0001-12-31T",
    // The bytes of a lone surrogate are no UTF-8.
    "\u{fffd}",
    // A letter that modifies, a joiner, and half of a character beyond the basic plane.
    "u30fc",
    "u200d",
    "ud83d",
    "__proto__",
];

/// The words that no record has shown yet.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    missing: Vec<&'static str>,
}

impl Probes {
    pub(super) fn new() -> Self {
        Self { missing: WORDS.to_vec() }
    }

    pub(super) fn look<'a>(&mut self, mut records: impl Iterator<Item = &'a Record>) {
        while !self.missing.is_empty()
            && let Some(record) = records.next()
        {
            self.missing.retain(|word| !record.shows(word));
        }
    }

    pub(super) fn missing(&self) -> Vec<String> {
        self.missing.iter().map(|word| (*word).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_missing_until_a_record_shows_it() {
        let record = |value: &str| Record {
            partition: 0,
            offset: 0,
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: Default::default(),
        };
        let mut probes = Probes::new();
        assert_eq!(probes.missing().len(), WORDS.len());
        probes.look([record("\"operationType\": \"delete\"")].iter());
        assert_eq!(probes.missing().len(), WORDS.len() - 1);
        assert!(!probes.missing().contains(&"delete".to_owned()));
        probes.look([record(&WORDS.concat())].iter());
        assert!(probes.missing().is_empty());
    }
}
