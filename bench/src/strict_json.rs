//! Compares a BSON value with its JSON text in the notation of the connector's DefaultJson.
//!
//! ```text
//! int32 5          5                                     date        {"$date": 1609459200000}
//! int64 5          {"$numberLong": "5"}                  timestamp   {"$timestamp": {"t": 1, "i": 2}}
//! double 5         5.0                                   binary      {"$binary": "AQI=", "$type": "04"}
//! decimal 1.5      {"$numberDecimal": "1.5"}             regex       {"$regex": "p", "$options": "i"}
//! ObjectId         {"$oid": "<24 hex>"}                  code        {"$code": "…"}, with scope + "$scope": {…}
//! symbol           {"$symbol": "s"}                      min, max    {"$minKey": 1}, {"$maxKey": 1}
//! ```
//!
//! The notation is MongoDB's legacy strict mode (`JsonMode.STRICT` of the Java driver). This is the judge's own reading
//! of it: it shares nothing with the node's writer, and it compares values, not bytes. The order of fields counts. NaN
//! and the infinities, which that notation prints as bare words, are no JSON and never equal.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::oid::ObjectId;
use bson::raw::{RawArray, RawBsonRef, RawDbPointerRef, RawDocument, RawDocumentBuf};
use serde_json::Value;

/// Whether `text` says exactly what `expected` is, fields in the same order.
pub fn document_equals(expected: &RawDocument, text: &Value) -> bool {
    document_equals_by(value_equals, expected, text)
}

/// As [`document_equals`], but the outermost fields may come in any order.
pub fn fields_equal(expected: &RawDocument, text: &Value) -> bool {
    fields_equal_by(value_equals, expected, text)
}

/// Whether `text` says exactly what `expected` is.
pub fn value_equals(expected: RawBsonRef<'_>, text: &Value) -> bool {
    match expected {
        RawBsonRef::Double(x) => {
            text.is_f64() && text.as_f64().is_some_and(|y| x.to_bits() == y.to_bits())
        }
        RawBsonRef::String(s) => text.as_str() == Some(s),
        RawBsonRef::Array(items) => array_equals_by(value_equals, items, text),
        RawBsonRef::Document(document) => document_equals(document, text),
        RawBsonRef::Boolean(b) => text.as_bool() == Some(b),
        RawBsonRef::Null => text.is_null(),
        RawBsonRef::RegularExpression(regex) => {
            members(text, ["$regex", "$options"]).is_some_and(|[pattern, options]| {
                pattern.as_str() == Some(regex.pattern.as_str())
                    && options.as_str() == Some(regex.options.as_str())
            })
        }
        RawBsonRef::JavaScriptCode(code) => member_str(text, "$code") == Some(code),
        RawBsonRef::JavaScriptCodeWithScope(code) => members(text, ["$code", "$scope"])
            .is_some_and(|[source, scope]| {
                source.as_str() == Some(code.code) && document_equals(code.scope, scope)
            }),
        RawBsonRef::Int32(i) => text.as_i64() == Some(i64::from(i)),
        RawBsonRef::Int64(i) => member_str(text, "$numberLong").is_some_and(|s| s.parse() == Ok(i)),
        RawBsonRef::Timestamp(at) => member(text, "$timestamp")
            .and_then(|inner| members(inner, ["t", "i"]))
            .is_some_and(|[t, i]| {
                t.as_u64() == Some(u64::from(at.time))
                    && i.as_u64() == Some(u64::from(at.increment))
            }),
        RawBsonRef::Binary(binary) => {
            members(text, ["$binary", "$type"]).is_some_and(|[base64, subtype]| {
                let subtype = subtype.as_str().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                subtype == Some(u8::from(binary.subtype))
                    && base64.as_str().is_some_and(|text| *text == STANDARD.encode(binary.bytes))
            })
        }
        RawBsonRef::ObjectId(id) => member_str(text, "$oid").is_some_and(|hex| *hex == id.to_hex()),
        RawBsonRef::DateTime(at) => {
            member(text, "$date").and_then(Value::as_i64) == Some(at.timestamp_millis())
        }
        RawBsonRef::Symbol(symbol) => member_str(text, "$symbol") == Some(symbol),
        RawBsonRef::Decimal128(decimal) => {
            member_str(text, "$numberDecimal").is_some_and(|s| *s == decimal.to_string())
        }
        RawBsonRef::Undefined => member(text, "$undefined") == Some(&Value::Bool(true)),
        RawBsonRef::MaxKey => member(text, "$maxKey").and_then(Value::as_i64) == Some(1),
        RawBsonRef::MinKey => member(text, "$minKey").and_then(Value::as_i64) == Some(1),
        RawBsonRef::DbPointer(pointer) => members(text, ["$ref", "$id"])
            .zip(db_pointer_parts(pointer))
            .is_some_and(|([namespace, id], (expected_namespace, expected_id))| {
                namespace.as_str() == Some(&expected_namespace)
                    && value_equals(RawBsonRef::ObjectId(expected_id), id)
            }),
    }
}

/// Whether one value equals its text.
pub(crate) type ValueEquals = fn(RawBsonRef<'_>, &Value) -> bool;

/// Whether a document's values equal those of `text` by `equal`, under the same names in the same order.
pub(crate) fn document_equals_by(equal: ValueEquals, expected: &RawDocument, text: &Value) -> bool {
    let Some(fields) = text.as_object() else { return false };
    let mut fields = fields.iter();
    for element in expected {
        let (Ok((name, value)), Some((text_name, text_value))) = (element, fields.next()) else {
            return false;
        };
        if name.as_str() != text_name || !equal(value, text_value) {
            return false;
        }
    }
    fields.next().is_none()
}

/// As [`document_equals_by`], but the outermost fields may come in any order.
pub(crate) fn fields_equal_by(equal: ValueEquals, expected: &RawDocument, text: &Value) -> bool {
    let Some(fields) = text.as_object() else { return false };
    let mut count = 0;
    for element in expected {
        let Ok((name, value)) = element else { return false };
        if !fields.get(name.as_str()).is_some_and(|text| equal(value, text)) {
            return false;
        }
        count += 1;
    }
    count == fields.len()
}

/// Whether the items of an array equal those of `text` by `equal`, and there are no more.
pub(crate) fn array_equals_by(equal: ValueEquals, expected: &RawArray, text: &Value) -> bool {
    text.as_array().is_some_and(|texts| {
        let mut texts = texts.iter();
        expected.into_iter().all(|item| match (item, texts.next()) {
            (Ok(item), Some(text)) => equal(item, text),
            _ => false,
        }) && texts.next().is_none()
    })
}

/// Namespace and id of a DBPointer. The bson crate keeps them to itself, so they are taken from its bytes:
/// `document length i32 │ 0c │ "p" 00 │ string length i32 │ namespace 00 │ id 12 bytes`.
fn db_pointer_parts(pointer: RawDbPointerRef<'_>) -> Option<(String, ObjectId)> {
    let mut holder = RawDocumentBuf::new();
    holder.append(bson::cstr!("p"), RawBsonRef::DbPointer(pointer));
    let (length, rest) = holder.as_bytes().get(4 + 1 + 2..)?.split_first_chunk()?;
    let (namespace, rest) = rest.split_at_checked(i32::from_le_bytes(*length) as usize)?;
    let namespace = std::str::from_utf8(namespace.split_last()?.1).ok()?;
    Some((namespace.to_owned(), ObjectId::from_bytes(*rest.first_chunk()?)))
}

/// The value of an object's only member.
pub(crate) fn member<'a>(text: &'a Value, name: &str) -> Option<&'a Value> {
    members(text, [name]).map(|[value]| value)
}

pub(crate) fn member_str<'a>(text: &'a Value, name: &str) -> Option<&'a str> {
    member(text, name).and_then(Value::as_str)
}

/// The values of an object that has exactly these members, in this order.
pub(crate) fn members<'a, const N: usize>(
    text: &'a Value,
    names: [&str; N],
) -> Option<[&'a Value; N]> {
    let object = text.as_object()?;
    if object.len() != N || !object.keys().zip(names).all(|(key, name)| key == name) {
        return None;
    }
    object.values().collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc};

    use super::*;

    pub(crate) fn parse(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    pub(crate) fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::from_bytes(document.to_vec().expect("encodes")).expect("decodes")
    }

    pub(crate) fn equals_by(equal: ValueEquals, value: &Bson, text: &Value) -> bool {
        let holder = raw(&doc! { "x": value });
        equal(holder.get("x").expect("decodes").expect("there"), text)
    }

    fn bson_equals(value: &Bson, text: &Value) -> bool {
        equals_by(value_equals, value, text)
    }

    /// What holds for a notation: a value equals its own text and no other of the samples.
    pub(crate) fn assert_each_equals_its_own(equal: ValueEquals, samples: &[(Bson, &str)]) {
        for (i, (value, _)) in samples.iter().enumerate() {
            for (j, (_, text)) in samples.iter().enumerate() {
                let equals = equals_by(equal, value, &parse(text));
                assert_eq!(equals, i == j, "{value} and {text}");
            }
        }
    }

    /// What holds for a notation: a text with one other letter or digit is not equal.
    pub(crate) fn assert_alterations_are_seen(equal: ValueEquals, samples: &[(Bson, &str)]) {
        for (value, text) in samples {
            for at in 0..text.len() {
                let mut altered = text.as_bytes().to_vec();
                if !altered[at].is_ascii_alphanumeric() {
                    continue;
                }
                altered[at] ^= 1;
                if let Ok(altered) = serde_json::from_slice::<Value>(&altered) {
                    assert!(!equals_by(equal, value, &altered), "{value} and {altered}");
                }
            }
        }
    }

    fn db_pointer() -> Bson {
        let mut bytes = vec![0, 0, 0, 0, 0x0c, b'p', 0, 5, 0, 0, 0];
        bytes.extend_from_slice(b"d.cs\0");
        bytes.extend_from_slice(&[1; 12]);
        bytes.push(0);
        bytes[0] = bytes.len() as u8;
        Document::from_reader(&bytes[..]).expect("decodes").remove("p").expect("there")
    }

    /// One value of every type with its text.
    fn samples() -> Vec<(Bson, &'static str)> {
        let regex = Regex { pattern: bson::cstr!("p").into(), options: bson::cstr!("i").into() };
        let binary = Binary { subtype: BinarySubtype::Uuid, bytes: vec![1, 2] };
        let code = JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "x": 1 } };
        vec![
            (Bson::Double(1.5), "1.5"),
            (Bson::Double(1e10), "1.0E+10"),
            (Bson::Double(-0.0), "-0.0"),
            (Bson::String("ü \u{1f600}".into()), r#""ü \ud83d\ude00""#),
            (Bson::Array(vec![Bson::Int32(1), Bson::Null]), "[1, null]"),
            (Bson::Document(doc! { "a": true, "b": {} }), r#"{"a": true, "b": {}}"#),
            (Bson::Boolean(false), "false"),
            (Bson::Null, "null"),
            (Bson::RegularExpression(regex), r#"{"$regex": "p", "$options": "i"}"#),
            (Bson::JavaScriptCode("f".into()), r#"{"$code": "f"}"#),
            (Bson::JavaScriptCodeWithScope(code), r#"{"$code": "f", "$scope": {"x": 1}}"#),
            (Bson::Int32(5), "5"),
            (Bson::Int64(5), r#"{"$numberLong": "5"}"#),
            (
                Bson::Timestamp(Timestamp { time: 1, increment: 2 }),
                r#"{"$timestamp": {"t": 1, "i": 2}}"#,
            ),
            (Bson::Binary(binary), r#"{"$binary": "AQI=", "$type": "04"}"#),
            (
                Bson::ObjectId(ObjectId::from_bytes([1; 12])),
                r#"{"$oid": "010101010101010101010101"}"#,
            ),
            (Bson::DateTime(DateTime::from_millis(-1)), r#"{"$date": -1}"#),
            (Bson::Symbol("s".into()), r#"{"$symbol": "s"}"#),
            (Bson::Decimal128("1.5".parse().expect("decimal")), r#"{"$numberDecimal": "1.5"}"#),
            (Bson::Undefined, r#"{"$undefined": true}"#),
            (Bson::MinKey, r#"{"$minKey": 1}"#),
            (Bson::MaxKey, r#"{"$maxKey": 1}"#),
            (db_pointer(), r#"{"$ref": "d.cs", "$id": {"$oid": "010101010101010101010101"}}"#),
        ]
    }

    #[test]
    fn every_type_equals_its_own_text_and_no_other() {
        assert_each_equals_its_own(value_equals, &samples());
    }

    #[test]
    fn one_altered_letter_or_digit_is_seen() {
        assert_alterations_are_seen(value_equals, &samples());
    }

    #[test]
    fn the_order_of_fields_counts_except_at_the_top_of_an_update() {
        let expected = raw(&doc! { "a": 1, "b": { "c": 2, "d": 3 } });
        assert!(document_equals(&expected, &parse(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#)));
        let swapped = parse(r#"{"b": {"c": 2, "d": 3}, "a": 1}"#);
        assert!(!document_equals(&expected, &swapped));
        assert!(fields_equal(&expected, &swapped));
        assert!(!fields_equal(&expected, &parse(r#"{"a": 1, "b": {"d": 3, "c": 2}}"#)));
        for text in [r#"{"a": 1}"#, r#"{"a": 1, "b": {"c": 2, "d": 3}, "e": 1}"#] {
            assert!(!fields_equal(&expected, &parse(text)), "{text}");
            assert!(!document_equals(&expected, &parse(text)), "{text}");
        }
    }

    #[test]
    fn a_whole_double_is_no_integer() {
        assert!(bson_equals(&Bson::Double(5.0), &parse("5.0")));
        assert!(!bson_equals(&Bson::Double(5.0), &parse("5")));
        assert!(!bson_equals(&Bson::Int32(5), &parse("5.0")));
    }
}
