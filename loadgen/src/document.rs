//! What an operation writes, derived from (seed, key, version).
//!
//! ```text
//! insert, replace   { _id: key, v: version, …delta fields, f0: …, f1: …, …, pad: "…" }     a shape
//!                   { _id: key, v: version, …delta fields, …fields of the template }       a template
//! update            v and what its delta changes: see [`crate::delta`]
//! delete            nothing
//! ```
//!
//! A document of a shape is `bytes` long where its fields leave room. The type of a field moves on with key and
//! version, so every field holds every type. A value that an update sets is never the one that was there: the server
//! leaves unchanged fields out of the event, and a checker could not compare. Types with few values are therefore set
//! as `[version, value]`, and of a template only those fields are set whose values do not come twice.
//!
//! Cost of 1 KB in a release build: 2 µs for plain fields, 6 µs for all types and Unicode.

use std::fmt;
use std::sync::Arc;

use bson::{Document, RawDocumentBuf};

use crate::bson_writer::{BsonWriter, element};
use crate::random::{Domain, below, rng};
pub use crate::shape::{DocumentShape, Kinds};
pub use crate::template::{Template, TemplateError};
use crate::value::{ValueKind, Values};
use crate::workload::{Key, Workload};

/// What documents are made after.
#[derive(Clone, Debug, PartialEq)]
pub enum Documents {
    /// Size and types.
    Shape(DocumentShape),
    /// A user's own fields.
    Template(Arc<Template>),
}

impl Documents {
    /// The size that was asked for; of a template the largest that it makes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Shape(shape) => u64::from(shape.bytes),
            Self::Template(template) => template.bytes_max(),
        }
    }

    /// No document is larger.
    pub fn bytes_max(&self) -> u64 {
        /// `_id`, `v` and the fields of deltas at their largest.
        const OWN_FIELDS_MAX: u64 = 8 << 10;
        match self {
            Self::Shape(shape) => {
                u64::from(shape.bytes).max(OWN_FIELDS_MAX + shape.fields_bytes_max())
            }
            Self::Template(template) => OWN_FIELDS_MAX + template.bytes_max(),
        }
    }
}

impl From<DocumentShape> for Documents {
    fn from(shape: DocumentShape) -> Self {
        Self::Shape(shape)
    }
}

impl From<Template> for Documents {
    fn from(template: Template) -> Self {
        Self::Template(Arc::new(template))
    }
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

    /// [`Self::document`] as BSON, a quarter of the cost.
    pub fn document_bytes(&self, key: Key, version: u32) -> Vec<u8> {
        let mut writer = BsonWriter::with_capacity(self.document.bytes() as usize + 64);
        self.push_document(&mut writer, key, version);
        writer.into_bytes()
    }

    pub(crate) fn push_document(&self, writer: &mut BsonWriter, key: Key, version: u32) {
        let start = writer.len();
        let open = writer.open();
        writer.element(element::INT64, "_id");
        writer.i64(key.id());
        push_version(writer, version);
        if self.mix.deltas.need_fields() {
            self.push_delta_fields(writer, key, version);
        }
        match &self.document {
            Documents::Shape(shape) => self.push_payload(writer, *shape, start, key, version),
            Documents::Template(template) => {
                template.push_fields(writer, &mut self.template_rng(key, version));
            }
        }
        writer.close_document(open);
    }

    /// The payload fields of a document that begins at `start`, and the filling text.
    fn push_payload(
        &self,
        writer: &mut BsonWriter,
        shape: DocumentShape,
        start: usize,
        key: Key,
        version: u32,
    ) {
        let mut values = self.values(shape, key, version, false);
        let end = start + (shape.bytes as usize).saturating_sub(1);
        let fields_end = end.saturating_sub(PAD_OVERHEAD);
        for field in 0..shape.fields {
            // The filling text counts as a field, so it has something to give when a field is larger than its share.
            let left = (shape.fields - field) as usize + 1;
            let share = fields_end.saturating_sub(writer.len()) / left;
            let room_max = share.saturating_sub(FIELD_OVERHEAD) as u64;
            let room = room_max / 2 + below(&mut values.rng, room_max + 1);
            let room = room as usize;
            values.push(writer, shape.field(field), shape.kind(key, version, field), room);
        }
        if writer.len() + PAD_OVERHEAD <= end {
            let room = end - writer.len() - PAD_OVERHEAD;
            writer.element(element::STRING, "pad");
            let text = writer.open();
            values.text(writer, room);
            writer.close_string(text);
        }
    }

    /// One to three neighbouring payload fields with new values, as the elements of an open document.
    pub(crate) fn push_new_payload(&self, writer: &mut BsonWriter, key: Key, version: u32) {
        match &self.document {
            Documents::Shape(shape) => self.push_new_fields(writer, *shape, key, version),
            Documents::Template(template) => {
                template.push_new_fields(writer, &mut self.template_rng(key, version));
            }
        }
    }

    fn push_new_fields(
        &self,
        writer: &mut BsonWriter,
        shape: DocumentShape,
        key: Key,
        version: u32,
    ) {
        let mut values = self.values(shape, key, version, true);
        let fields = shape.fields;
        let count = fields.min(1 + below(&mut values.rng, 3) as u32);
        let first = below(&mut values.rng, u64::from(fields)) as u32;
        let room = (shape.bytes / fields.max(1)) as usize;
        for step in 0..count {
            let field = (first + step) % fields;
            let kind = shape.kind(key, version, field);
            if kind.is_narrow() {
                writer.element(element::ARRAY, shape.field(field));
                let array = writer.open();
                writer.element(element::INT32, 0);
                writer.i32(version.cast_signed());
                values.push(writer, 1, kind, room);
                writer.close_document(array);
            } else {
                values.push(writer, shape.field(field), kind, room);
            }
        }
    }

    fn template_rng(&self, key: Key, version: u32) -> rand_chacha::ChaCha8Rng {
        rng(self.seed, Domain::Templates, key.id(), version)
    }

    fn values(&self, shape: DocumentShape, key: Key, version: u32, distinct: bool) -> Values {
        Values {
            rng: rng(self.seed, Domain::Documents, key.id(), version),
            unicode: shape.unicode,
            special_doubles: shape.special_doubles,
            distinct,
        }
    }
}

impl DocumentShape {
    /// The type of a payload field.
    fn kind(&self, key: Key, version: u32, field: u32) -> ValueKind {
        let kinds = self.kinds.value_kinds();
        let place = u64::from(key.number) + u64::from(version) + u64::from(field);
        kinds[(place % kinds.len() as u64) as usize]
    }

    fn field(&self, number: u32) -> FieldName {
        FieldName { number, unicode: self.unicode && number % 4 == 3 }
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

/// `v`, which every insert, replace and update carries.
pub(crate) fn push_version(writer: &mut BsonWriter, version: u32) {
    writer.element(element::INT32, "v");
    writer.i32(version.cast_signed());
}

/// Own bytes as the decoder of the bson crate reads them.
pub(crate) fn decode(bytes: Vec<u8>) -> Document {
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
    use crate::workload::{Collections, KeySpread, Mix};

    fn workload(seed: u64, document: DocumentShape) -> Workload {
        Workload {
            seed,
            database: "d".into(),
            collections: Collections::one("c"),
            operations: 0,
            writers: 1,
            mix: Mix::INSERTS,
            document: document.into(),
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
