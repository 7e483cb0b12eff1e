//! What an operation writes, derived from (seed, key, version).
//!
//! ```text
//! insert, replace   { _id: key, v: version, f0: …, f1: …, …, pad: "…" }     `bytes` long where the fields leave room
//! update            $set: { v: version, f7: …, f8: … }                       one to three neighbouring fields
//! delete            nothing
//! ```
//!
//! The type of a field moves on with key and version, so every field holds every type. A value that an update sets is
//! never the one that was there: the server leaves unchanged fields out of the event, and a checker could not compare.
//! Types with few values are therefore set as `[version, value]`.
//!
//! Cost of 1 KB in a release build: 2 µs for plain fields, 6 µs for all types and Unicode.

use std::fmt;

use bson::{Document, RawDocumentBuf};

use crate::bson_writer::{BsonWriter, element};
use crate::value::{ValueKind, Values};
use crate::workload::{Domain, Key, Workload, below, rng};

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
}

/// Type, name, length and final NUL of the filling text.
const PAD_OVERHEAD: usize = 1 + 4 + 4 + 1;
/// Type, name, length and final NUL of a text field with a short name.
const FIELD_OVERHEAD: usize = 1 + 4 + 4 + 1;

impl Workload {
    /// The whole content after an insert or a replace of `key` that has `version`.
    pub fn document(&self, key: Key, version: u32) -> Document {
        decode(self.document_bytes(key, version))
    }

    /// The fields that an update with `version` sets, in no particular order: the server sorts them.
    pub fn update(&self, key: Key, version: u32) -> Document {
        decode(self.update_bytes(key, version))
    }

    /// [`Self::document`] as BSON, a quarter of the cost.
    pub fn document_bytes(&self, key: Key, version: u32) -> Vec<u8> {
        let mut writer = BsonWriter::with_capacity(self.document.bytes as usize + 64);
        self.push_document(&mut writer, key, version);
        writer.into_bytes()
    }

    /// [`Self::update`] as BSON.
    pub fn update_bytes(&self, key: Key, version: u32) -> Vec<u8> {
        let mut writer = BsonWriter::default();
        self.push_update(&mut writer, key, version);
        writer.into_bytes()
    }

    pub(crate) fn push_document(&self, writer: &mut BsonWriter, key: Key, version: u32) {
        let mut values = self.values(key, version, false);
        let start = writer.len();
        let open = writer.open();
        writer.element(element::INT64, "_id");
        writer.i64(key.id());
        push_version(writer, version);
        let end = start + (self.document.bytes as usize).saturating_sub(1);
        let fields_end = end.saturating_sub(PAD_OVERHEAD);
        for field in 0..self.document.fields {
            // The filling text counts as a field, so it has something to give when a field is larger than its share.
            let left = (self.document.fields - field) as usize + 1;
            let share = fields_end.saturating_sub(writer.len()) / left;
            let room_max = share.saturating_sub(FIELD_OVERHEAD) as u64;
            let room = room_max / 2 + below(&mut values.rng, room_max + 1);
            let room = room as usize;
            values.push(writer, self.field(field), self.kind(key, version, field), room);
        }
        if writer.len() + PAD_OVERHEAD <= end {
            let room = end - writer.len() - PAD_OVERHEAD;
            writer.element(element::STRING, "pad");
            let text = writer.open();
            values.text(writer, room);
            writer.close_string(text);
        }
        writer.close_document(open);
    }

    pub(crate) fn push_update(&self, writer: &mut BsonWriter, key: Key, version: u32) {
        let mut values = self.values(key, version, true);
        let open = writer.open();
        push_version(writer, version);
        let fields = self.document.fields;
        let count = fields.min(1 + below(&mut values.rng, 3) as u32);
        let first = below(&mut values.rng, u64::from(fields)) as u32;
        let room = (self.document.bytes / fields.max(1)) as usize;
        for step in 0..count {
            let field = (first + step) % fields;
            let kind = self.kind(key, version, field);
            if kind.is_narrow() {
                writer.element(element::ARRAY, self.field(field));
                let array = writer.open();
                writer.element(element::INT32, 0);
                writer.i32(version.cast_signed());
                values.push(writer, 1, kind, room);
                writer.close_document(array);
            } else {
                values.push(writer, self.field(field), kind, room);
            }
        }
        writer.close_document(open);
    }

    fn values(&self, key: Key, version: u32, distinct: bool) -> Values {
        Values {
            rng: rng(self.seed, Domain::Documents, key.id(), version),
            unicode: self.document.unicode,
            special_doubles: self.document.special_doubles,
            distinct,
        }
    }

    fn kind(&self, key: Key, version: u32, field: u32) -> ValueKind {
        let kinds = match self.document.kinds {
            Kinds::All => ValueKind::ALL,
            Kinds::Plain => ValueKind::PLAIN,
        };
        let place = u64::from(key.number) + u64::from(version) + u64::from(field);
        kinds[(place % kinds.len() as u64) as usize]
    }

    fn field(&self, number: u32) -> FieldName {
        FieldName { number, unicode: self.document.unicode && number % 4 == 3 }
    }
}

/// `f0`, `f1`, …; with Unicode every fourth has a tail of two, three and four byte characters.
struct FieldName {
    number: u32,
    unicode: bool,
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = if self.unicode { " é\"語😀" } else { "" };
        write!(f, "f{}{tail}", self.number)
    }
}

fn push_version(writer: &mut BsonWriter, version: u32) {
    writer.element(element::INT32, "v");
    writer.i32(version.cast_signed());
}

fn decode(bytes: Vec<u8>) -> Document {
    let raw = RawDocumentBuf::from_bytes(bytes).map_err(|error| error.to_string());
    raw.and_then(|raw| Document::try_from(raw).map_err(|error| error.to_string()))
        .expect("the tests hold the writer against this decoder")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bson::Bson;
    use bson::spec::ElementType;
    use proptest::prelude::*;

    use super::*;
    use crate::workload::{KeySpread, Mix};

    fn workload(seed: u64, document: DocumentShape) -> Workload {
        Workload {
            seed,
            database: "d".into(),
            collections: vec!["c".into()],
            operations: 0,
            writers: 1,
            mix: Mix::INSERTS,
            document,
            key_spread: KeySpread::Uniform,
        }
    }

    fn shapes() -> impl Strategy<Value = DocumentShape> {
        let kinds = prop_oneof![Just(Kinds::All), Just(Kinds::Plain)];
        (0_u32..3_000, 0_u32..40, kinds, any::<bool>(), any::<bool>()).prop_map(
            |(bytes, fields, kinds, unicode, special_doubles)| DocumentShape {
                bytes,
                fields,
                kinds,
                unicode,
                special_doubles,
            },
        )
    }

    fn types(value: &Bson, found: &mut BTreeSet<u8>) {
        found.insert(value.element_type() as u8);
    }

    proptest! {
        #[test]
        fn documents_of_every_shape_are_valid_bson(
            seed: u64,
            shape in shapes(),
            writer in 0..=i32::MAX as u32,
            number: u32,
            version in 0_u32..1_000,
        ) {
            let workload = workload(seed, shape);
            let key = Key { writer, number };
            let document = workload.document(key, version);
            prop_assert_eq!(document.get_i64("_id").unwrap(), key.id());
            prop_assert_eq!(document.get_i32("v").unwrap(), version as i32);
            prop_assert!(shape.fields as usize + 2 <= document.len());
            prop_assert_eq!(document.to_vec().unwrap(), workload.document_bytes(key, version));
            let update = workload.update(key, version);
            prop_assert_eq!(update.get_i32("v").unwrap(), version as i32);
            prop_assert_eq!(update.to_vec().unwrap(), workload.update_bytes(key, version));
            prop_assert!(update.len() <= 4);
            prop_assert!(update.keys().all(|name| document.contains_key(name)));
        }

        #[test]
        fn documents_are_as_long_as_asked_when_their_fields_fit(
            seed: u64, number: u32, unicode: bool,
        ) {
            for (bytes, fields) in [(1_024, 10), (4_096, 20), (475, 4), (100_000, 100)] {
                for kinds in [Kinds::All, Kinds::Plain] {
                    let special_doubles = false;
                    let shape = DocumentShape { bytes, fields, kinds, unicode, special_doubles };
                    let key = Key { writer: 0, number };
                    let document = workload(seed, shape).document_bytes(key, 0);
                    if kinds == Kinds::Plain || 1_000 < bytes {
                        prop_assert_eq!(document.len(), bytes as usize);
                    }
                }
            }
        }

        #[test]
        fn an_update_changes_every_field_that_it_sets(seed: u64, number: u32) {
            let workload = workload(seed, DocumentShape::ALL_1_KB);
            let key = Key { writer: 0, number };
            let mut document = workload.document(key, 0);
            for version in 1..60 {
                for (name, value) in workload.update(key, version) {
                    prop_assert_ne!(document.get(&name), Some(&value), "{} of {}", name, version);
                    document.insert(name, value);
                }
            }
        }
    }

    #[test]
    fn every_bson_type_comes_and_plain_ones_only_where_asked() {
        for (shape, types_count) in [(DocumentShape::ALL_1_KB, 21), (DocumentShape::PLAIN_1_KB, 6)]
        {
            let workload = workload(1, shape);
            let mut found = BTreeSet::new();
            for number in 0..200 {
                let document = workload.document(Key { writer: 0, number }, 0);
                document.iter().for_each(|(_, value)| types(value, &mut found));
            }
            assert_eq!(found.len(), types_count, "{found:?}");
            assert_eq!(found.contains(&(ElementType::MinKey as u8)), types_count == 21);
        }
    }

    #[test]
    fn special_doubles_come_only_when_switched_on() {
        for special_doubles in [false, true] {
            let workload =
                workload(1, DocumentShape { special_doubles, ..DocumentShape::PLAIN_1_KB });
            let doubles: Vec<_> = (0..2_000)
                .flat_map(|number| workload.document(Key { writer: 0, number }, 0))
                .filter_map(|(_, value)| value.as_f64())
                .collect();
            assert!(1_000 < doubles.len());
            for special in [f64::is_nan, f64::is_infinite, f64::is_subnormal] {
                assert_eq!(doubles.iter().any(|&double| special(double)), special_doubles);
            }
        }
    }

    #[test]
    fn dates_lie_before_and_after_1970() {
        let workload = workload(1, DocumentShape::PLAIN_1_KB);
        let before: BTreeSet<_> = (0..50)
            .flat_map(|number| workload.document(Key { writer: 0, number }, 0))
            .filter_map(|(_, value)| value.as_datetime().map(|date| date.timestamp_millis() < 0))
            .collect();
        assert_eq!(before.len(), 2);
    }
}
