//! Shapes of documents: how large, how many fields, which types. The usual ones have names.
//!
//! | name      | bytes  | fields | what                                                       |
//! |-----------|--------|--------|------------------------------------------------------------|
//! | `small`   | 100 B  | 2      | counters and flags                                         |
//! | `plain`   | 1 KiB  | 10     | what applications store: text, numbers, dates              |
//! | `wide`    | 1 KiB  | 40     | many short fields                                          |
//! | `deep`    | 1 KiB  | 3      | documents within documents, up to 16 levels                |
//! | `unicode` | 1 KiB  | 10     | plain types, text and names beyond ASCII                   |
//! | `numbers` | 1 KiB  | 60     | 32 and 64 bit integers, doubles, decimals                  |
//! | `all`     | 1 KiB  | 10     | every BSON type, text beyond ASCII                         |
//! | `special` | 1 KiB  | 10     | as `all`, with NaN, infinities, negative zero, subnormals  |
//! | `large`   | 16 KiB | 20     | plain                                                      |
//! | `huge`    | 1 MiB  | 50     | plain                                                      |
//! | `max`     | 15.9 MB| 50     | plain; the server takes 16 MiB, a change event has to fit as well |

use crate::value::ValueKind;

/// What documents look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentShape {
    /// Size of the BSON document. Met exactly when the fields fit, else the document is as long as its fields.
    pub bytes: u32,
    /// Payload fields beside `_id`, `v` and `pad`.
    pub fields: u32,
    /// Their types.
    pub kinds: Kinds,
    /// Text and field names beyond ASCII letters, control characters among them.
    pub unicode: bool,
    /// NaN, infinities, negative zero and subnormal numbers among doubles and decimals. NaN is not equal to itself:
    /// compare bytes.
    pub special_doubles: bool,
}

/// Which BSON types come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Every type of the specification, the deprecated ones too.
    All,
    /// String, Int32, Int64, Double, Boolean and DateTime.
    Plain,
    /// Int32, Int64, Double and Decimal128.
    Numbers,
    /// Documents within documents, text and numbers at every level.
    Deep,
}

impl Kinds {
    pub(crate) fn value_kinds(self) -> &'static [ValueKind] {
        match self {
            Self::All => ValueKind::ALL,
            Self::Plain => ValueKind::PLAIN,
            Self::Numbers => ValueKind::NUMBERS,
            Self::Deep => ValueKind::DEEP,
        }
    }
}

impl DocumentShape {
    /// 1 KiB of plain fields: what throughput is measured with.
    pub const PLAIN_1_KB: Self = Self {
        bytes: 1_024,
        fields: 10,
        kinds: Kinds::Plain,
        unicode: false,
        special_doubles: false,
    };
    /// 1 KiB of everything that stays equal to itself: what correctness is checked with.
    pub const ALL_1_KB: Self =
        Self { bytes: 1_024, fields: 10, kinds: Kinds::All, unicode: true, special_doubles: false };

    /// Every shape that has a name.
    pub const NAMED: [(&'static str, Self); 11] = {
        let plain = Self::PLAIN_1_KB;
        [
            ("small", Self { bytes: 100, fields: 2, ..plain }),
            ("plain", plain),
            ("wide", Self { fields: 40, ..plain }),
            ("deep", Self { fields: 3, kinds: Kinds::Deep, ..plain }),
            ("unicode", Self { unicode: true, ..plain }),
            ("numbers", Self { fields: 60, kinds: Kinds::Numbers, ..plain }),
            ("all", Self::ALL_1_KB),
            ("special", Self { special_doubles: true, ..Self::ALL_1_KB }),
            ("large", Self { bytes: 16 << 10, fields: 20, ..plain }),
            ("huge", Self { bytes: 1 << 20, fields: 50, ..plain }),
            ("max", Self { bytes: 15_900_000, fields: 50, ..plain }),
        ]
    };

    /// The shape with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape)
    }

    /// The fields are never larger than this when the size leaves them no room.
    pub(crate) fn fields_bytes_max(&self) -> u64 {
        /// A document of 16 levels with text beyond ASCII is the largest value.
        const FIELD_BYTES_MAX: u64 = 640;
        (u64::from(self.fields) + 1) * FIELD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Documents;
    use crate::workload::{Collections, Deltas, Key, KeySpread, Mix, Workload};

    fn workload(shape: DocumentShape, mix: Mix) -> Workload {
        Workload {
            seed: 1,
            database: "d".into(),
            collections: Collections::one("c"),
            operations: 0,
            writers: 1,
            mix,
            document: shape.into(),
            key_spread: KeySpread::Uniform,
        }
    }

    #[test]
    fn every_named_shape_has_its_size_and_none_is_above_its_bound() {
        let updates = Mix { deltas: Deltas::ALL, ..Mix::INSERTS };
        for (name, shape) in DocumentShape::NAMED {
            let bound = Documents::from(shape).bytes_max();
            let numbers = if shape.bytes < 1 << 20 { 0..40 } else { 0..1 };
            for (number, mix) in numbers.flat_map(|n| [(n, Mix::INSERTS), (n, updates)]) {
                let workload = workload(shape, mix);
                workload.check().unwrap();
                let bytes = workload.document_bytes(Key { writer: 0, number }, 15).len();
                assert!(bytes as u64 <= bound, "{name}: {bytes} of {bound}");
                let exact = bytes == shape.bytes as usize;
                let crowded = mix == updates || shape.kinds == Kinds::All || name == "small";
                assert!(exact || crowded, "{name}: {bytes}");
            }
        }
        assert_eq!(DocumentShape::named("wide").map(|shape| shape.fields), Some(40));
        assert_eq!(DocumentShape::named("wider"), None);
    }

    #[test]
    fn deep_documents_nest_up_to_sixteen_levels() {
        let workload = workload(DocumentShape::named("deep").unwrap(), Mix::INSERTS);
        let depth = |mut document: &bson::Document| {
            let mut depth = 1;
            while let Ok(inner) = document.get_document("in") {
                (document, depth) = (inner, depth + 1);
            }
            depth
        };
        let mut depths: Vec<_> = (0..100)
            .map(|number| workload.document(Key { writer: 0, number }, 0))
            .map(|document| depth(document.get_document("f0").unwrap()))
            .collect();
        depths.sort_unstable();
        depths.dedup();
        assert_eq!((depths.first(), depths.last()), (Some(&2), Some(&16)));
    }
}
