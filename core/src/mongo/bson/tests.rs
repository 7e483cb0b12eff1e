//! Holds the views against documents made by hand, by an independent encoder, and by chance.

use super::*;
use proptest::prelude::*;

/// A document with one element of every type, by hand where the independent encoder has no such
/// type.
pub(in crate::mongo) fn every_type() -> Vec<u8> {
    let mut body: Vec<u8> = Vec::new();
    let mut add = |kind: u8, name: &str, value: &[u8]| {
        body.push(kind);
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value);
    };
    let doc = [8, 0, 0, 0, 0x0a, b'n', 0, 0];
    add(0x01, "double", &1.5_f64.to_le_bytes());
    add(0x02, "string", b"\x03\0\0\0a\0\0");
    add(0x03, "document", &doc);
    add(0x04, "array", &[8, 0, 0, 0, 0x0a, b'0', 0, 0]);
    add(0x05, "binary", b"\x02\0\0\0\x80\x01\x02");
    add(0x05, "old binary", b"\x06\0\0\0\x02\x02\0\0\0\x01\x02");
    add(0x06, "undefined", b"");
    add(0x07, "object id", b"abcdefghijkl");
    add(0x08, "boolean", &[1]);
    add(0x09, "date", &(-1_i64).to_le_bytes());
    add(0x0a, "null", b"");
    add(0x0b, "regex", b"^a\0i\0");
    add(0x0c, "pointer", b"\x02\0\0\0c\0abcdefghijkl");
    add(0x0d, "code", b"\x02\0\0\0;\0");
    add(0x0e, "symbol", b"\x02\0\0\0s\0");
    add(0x0f, "scoped", &[[18, 0, 0, 0, 2, 0, 0, 0, b';', 0].as_slice(), &doc].concat());
    add(0x10, "int32", &(-2_i32).to_le_bytes());
    add(0x11, "timestamp", b"\x01\0\0\0\x02\0\0\0");
    add(0x12, "int64", &i64::MIN.to_le_bytes());
    add(0x13, "decimal", &[7; 16]);
    add(0xff, "min", b"");
    add(0x7f, "max", b"");
    let length = u32::try_from(body.len() + 5).unwrap();
    [length.to_le_bytes().as_slice(), &body, &[0]].concat()
}

fn drain(bytes: &[u8]) -> Result<usize, BsonError> {
    fn walk(doc: RawDoc<'_>, depth: usize) -> Result<usize, BsonError> {
        let mut count = 0;
        for element in doc {
            count += 1;
            if let RawValue::Document(doc)
            | RawValue::Array(doc)
            | RawValue::JavaScriptWithScope { scope: doc, .. } = element?.value
                && depth < 50
            {
                count += walk(doc, depth + 1)?;
            }
        }
        Ok(count)
    }
    walk(RawDoc::new(bytes)?, 0)
}

#[test]
fn every_type_is_read_as_it_was_written() {
    let bytes = every_type();
    let null = RawDoc::new(&[8, 0, 0, 0, 0x0a, b'n', 0, 0]).unwrap();
    let array = RawDoc::new(&[8, 0, 0, 0, 0x0a, b'0', 0, 0]).unwrap();
    let id = b"abcdefghijkl";
    let want = [
        ("double", RawValue::Double(1.5)),
        ("string", RawValue::String(b"a\0")),
        ("document", RawValue::Document(null)),
        ("array", RawValue::Array(array)),
        ("binary", RawValue::Binary { subtype: 0x80, bytes: &[1, 2] }),
        ("old binary", RawValue::Binary { subtype: 2, bytes: &[1, 2] }),
        ("undefined", RawValue::Undefined),
        ("object id", RawValue::ObjectId(id)),
        ("boolean", RawValue::Boolean(true)),
        ("date", RawValue::DateTime(-1)),
        ("null", RawValue::Null),
        ("regex", RawValue::Regex { pattern: b"^a", options: b"i" }),
        ("pointer", RawValue::DbPointer { namespace: b"c", id }),
        ("code", RawValue::JavaScript(b";")),
        ("symbol", RawValue::Symbol(b"s")),
        ("scoped", RawValue::JavaScriptWithScope { code: b";", scope: null }),
        ("int32", RawValue::Int32(-2)),
        ("timestamp", RawValue::Timestamp { time: 2, increment: 1 }),
        ("int64", RawValue::Int64(i64::MIN)),
        ("decimal", RawValue::Decimal128(&[7; 16])),
        ("min", RawValue::MinKey),
        ("max", RawValue::MaxKey),
    ];
    let doc = RawDoc::new(&bytes).unwrap();
    let got: Vec<_> = doc.iter().map(Result::unwrap).collect();
    assert_eq!(got.len(), want.len());
    for (got, (name, value)) in got.iter().zip(want) {
        assert_eq!((got.name, got.value), (name.as_bytes(), value));
        assert_eq!(doc.get(name.as_bytes()), Ok(Some(value)));
    }
    assert_eq!(doc.get(b"absent"), Ok(None));
    assert!(RawDoc::EMPTY.is_empty() && !doc.is_empty());
}

#[test]
fn a_document_cut_at_any_byte_is_refused() {
    let bytes = every_type();
    for cut in 0..bytes.len() {
        assert!(RawDoc::new(&bytes[..cut]).is_err(), "cut {cut}");
        // The same with a frame that fits the cut: now a value must be found to reach over the end.
        let mut framed = bytes[..cut.max(4)].to_vec();
        framed.push(0);
        if framed == bytes {
            continue;
        }
        let length = u32::try_from(framed.len()).unwrap();
        framed[..4].copy_from_slice(&length.to_le_bytes());
        assert_ne!(drain(&framed), drain(&bytes), "cut {cut}");
    }
    assert_eq!(
        RawDoc::split_from(&[bytes.as_slice(), b"rest"].concat()).map(|(_, rest)| rest.len()),
        Ok(4)
    );
}

#[test]
fn lengths_that_lie_are_refused() {
    for (kind, value) in [
        (0x02, [0, 0, 0, 0].as_slice()),
        (0x02, &[2, 0, 0, 0, b'a', b'b']),
        (0x02, &[255, 255, 255, 255, 0]),
        (0x03, &[4, 0, 0, 0]),
        (0x03, &[255, 255, 255, 127, 0]),
        (0x05, &[4, 0, 0, 0, 2, 1, 0, 0, 0]),
        (0x05, &[3, 0, 0, 0, 2, 0, 0, 0]),
        (0x08, &[2]),
        (0x0f, &[3, 0, 0, 0]),
        (0x0f, &[15, 0, 0, 0, 1, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0]),
        (0x0b, b"abc"),
        (0x14, &[]),
    ] {
        let mut bytes = vec![0, 0, 0, 0, kind, b'n', 0];
        bytes.extend_from_slice(value);
        bytes.push(0);
        bytes[0] = u8::try_from(bytes.len()).unwrap();
        assert!(drain(&bytes).is_err(), "type {kind:#x} {value:?}");
    }
}

fn value() -> impl Strategy<Value = bson::Bson> {
    use bson::Bson;
    let leaf = prop_oneof![
        any::<f64>().prop_map(Bson::Double),
        ".*".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<i64>().prop_map(|ms| Bson::DateTime(bson::DateTime::from_millis(ms))),
        any::<[u8; 12]>().prop_map(|id| Bson::ObjectId(id.into())),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
            Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes })
        }),
        Just(Bson::Null),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Bson::Array),
            proptest::collection::vec(("[a-zA-Z0-9ü]{0,8}", inner), 0..6)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn agrees(raw: RawValue<'_>, want: &bson::Bson) -> bool {
    use bson::Bson;
    match (raw, want) {
        (RawValue::Double(got), Bson::Double(want)) => got.to_bits() == want.to_bits(),
        (RawValue::String(got), Bson::String(want)) => got == want.as_bytes(),
        (RawValue::Boolean(got), Bson::Boolean(want)) => got == *want,
        (RawValue::Int32(got), Bson::Int32(want)) => got == *want,
        (RawValue::Int64(got), Bson::Int64(want)) => got == *want,
        (RawValue::DateTime(got), Bson::DateTime(want)) => got == want.timestamp_millis(),
        (RawValue::ObjectId(got), Bson::ObjectId(want)) => *got == want.bytes(),
        (RawValue::Binary { subtype: 2, bytes }, Bson::Binary(want)) => bytes == want.bytes,
        (RawValue::Null, Bson::Null) => true,
        (RawValue::Array(got), Bson::Array(want)) => {
            got.iter().count() == want.len()
                && got.iter().zip(want).all(|(got, want)| agrees(got.unwrap().value, want))
        }
        (RawValue::Document(got), Bson::Document(want)) => document_agrees(got, want),
        _ => false,
    }
}

fn document_agrees(got: RawDoc<'_>, want: &bson::Document) -> bool {
    got.iter().count() == want.len()
        && got.iter().zip(want).all(|(got, (name, want))| {
            let got = got.unwrap();
            got.name == name.as_bytes() && agrees(got.value, want)
        })
}

proptest! {
    #[test]
    fn a_walk_agrees_with_an_independent_encoder(
        fields in proptest::collection::vec(("[a-z]{1,8}", value()), 0..8)
    ) {
        let want: bson::Document = fields.into_iter().collect();
        let bytes = want.to_vec().unwrap();
        prop_assert!(document_agrees(RawDoc::new(&bytes).unwrap(), &want));
    }

    #[test]
    fn no_bytes_make_the_walk_panic(mut bytes in proptest::collection::vec(any::<u8>(), 5..200)) {
        let _ = drain(&bytes);
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        *bytes.last_mut().unwrap() = 0;
        let _ = drain(&bytes);
    }

    #[test]
    fn no_altered_byte_makes_the_walk_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = every_type();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = drain(&bytes);
    }
}
