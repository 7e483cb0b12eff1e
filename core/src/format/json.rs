//! A document as the text of one of the connector's JSON formatters.
//!
//! ```text
//!  DefaultJson     {"_id": {"$oid": "65…"}, "n": 1, "long": {"$numberLong": "5"}, "list": [1.0E10]}
//!  SimplifiedJson  {"_id": "65…", "n": 1, "long": 5, "list": [1.0E10]}
//! ```
//!
//! `", "` between members, `": "` after names, no line breaks. One pass over the BSON, straight
//! into the output; nothing is sorted out: a name that occurs twice is written twice. What the
//! formatters write differently is in [`super::notation`].
//!
//! Source: the formatters of mongo-kafka-connect 2.0.1, `JsonWriter` of `org.bson.json` 4.7.2.

use crate::format::block::{plain_len, push_front};
use crate::format::escape::{write_escaped, write_escaped_within};
use crate::format::fragment::{
    CODE, CODE_SCOPE, FIRST_NAME, MAX_KEY, MIN_KEY, NAME_END, NAME_END_QUOTE, NEXT_NAME, QUOTE,
    STRING_END_1, TIMESTAMP, TIMESTAMP_INCREMENT, UNDEFINED,
};
use crate::format::jdk::JavaVersion;
use crate::format::notation::{
    ByJdk25, DefaultJson, ExtendedJson, JsonFormatter, Notation, RelaxedJson, SimplifiedJson,
    write_binary, write_date, write_db_pointer, write_decimal, write_double, write_int32,
    write_int64, write_integer, write_oid, write_regex, write_symbol, write_tagged,
};
use crate::format::{DEPTH_MAX, FormatError};
use crate::mongo::bson::{Elements, RawDoc, RawValue, kind};

/// Appends the text that `formatter` has for `document`.
///
/// With `QUOTED` the text is escaped once more, to stand inside a JSON string; the quotes around it
/// are the caller's.
///
/// # Errors
/// [`FormatError`], with a part of the text written. [`DEPTH_MAX`] bounds the stack.
pub fn write<const QUOTED: bool>(
    formatter: JsonFormatter,
    document: RawDoc<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    write_as::<QUOTED>(formatter, JavaVersion::V17, document, out)
}

/// Appends the text that `formatter` has for `document` where this Java runs it.
///
/// # Errors
/// As [`write`].
pub fn write_as<const QUOTED: bool>(
    formatter: JsonFormatter,
    java: JavaVersion,
    document: RawDoc<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let write = match (java, formatter) {
        (JavaVersion::V17, JsonFormatter::Default) => write_document::<DefaultJson, QUOTED>,
        (JavaVersion::V17, JsonFormatter::Extended) => write_document::<ExtendedJson, QUOTED>,
        (JavaVersion::V17, JsonFormatter::Simplified) => write_document::<SimplifiedJson, QUOTED>,
        (JavaVersion::V17, JsonFormatter::Relaxed) => write_document::<RelaxedJson, QUOTED>,
        (JavaVersion::V25, JsonFormatter::Default) => {
            write_document::<ByJdk25<DefaultJson>, QUOTED>
        }
        (JavaVersion::V25, JsonFormatter::Extended) => {
            write_document::<ByJdk25<ExtendedJson>, QUOTED>
        }
        (JavaVersion::V25, JsonFormatter::Simplified) => {
            write_document::<ByJdk25<SimplifiedJson>, QUOTED>
        }
        (JavaVersion::V25, JsonFormatter::Relaxed) => {
            write_document::<ByJdk25<RelaxedJson>, QUOTED>
        }
    };
    write(document, DEPTH_MAX, out)
}

/// `depth_left` counts this document.
fn write_document<N: Notation, const QUOTED: bool>(
    document: RawDoc<'_>,
    depth_left: u32,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let depth_left = depth_left.checked_sub(1).ok_or(FormatError::TooDeep)?;
    let mut elements = document.iter();
    let Some(mut kind) = elements.take_kind() else {
        out.extend_from_slice(b"{}");
        return Ok(());
    };
    FIRST_NAME.write::<QUOTED>(out);
    loop {
        write_name::<N, QUOTED>(&mut elements, out)?;
        if kind == kind::STRING {
            write_text::<N, QUOTED>(&mut elements, out)?;
        } else {
            NAME_END.write::<QUOTED>(out);
            write_value::<N, QUOTED>(elements.take_value(kind)?, depth_left, out)?;
        }
        let Some(next) = elements.take_kind() else { break };
        kind = next;
        NEXT_NAME.write::<QUOTED>(out);
    }
    out.push(b'}');
    Ok(())
}

/// Takes a name and appends it. Names are short: most are measured, checked and copied at once.
/// Inlined always, as the module [`super::notation`] explains.
#[inline(always)]
fn write_name<N: Notation, const QUOTED: bool>(
    elements: &mut Elements<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let window = elements.rest();
    if let Some(block) = window.first_chunk() {
        let len = plain_len(block);
        if block.get(len) == Some(&0) {
            push_front(block, len, out);
            elements.skip(len + 1);
            return Ok(());
        }
    }
    let name = elements.take_cstring()?;
    write_escaped_within::<N::Jdk, QUOTED>(window, name.len(), out);
    Ok(())
}

fn write_array<N: Notation, const QUOTED: bool>(
    array: RawDoc<'_>,
    depth_left: u32,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let depth_left = depth_left.checked_sub(1).ok_or(FormatError::TooDeep)?;
    let mut elements = array.iter();
    out.push(b'[');
    let mut next = elements.take_kind();
    while let Some(kind) = next {
        elements.take_cstring()?;
        write_value::<N, QUOTED>(elements.take_value(kind)?, depth_left, out)?;
        next = elements.take_kind();
        if next.is_some() {
            out.extend_from_slice(b", ");
        }
    }
    out.push(b']');
    Ok(())
}

/// Takes a string and appends it, with what stands between it and its name: by far the most frequent
/// value, and the one place that knows what lies behind it.
#[inline(always)]
fn write_text<N: Notation, const QUOTED: bool>(
    elements: &mut Elements<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let window = elements.rest().get(4..).unwrap_or_default();
    let text = elements.take_string(kind::STRING)?;
    NAME_END_QUOTE.write::<QUOTED>(out);
    write_escaped_within::<N::Jdk, QUOTED>(window, text.len(), out);
    QUOTE.write::<QUOTED>(out);
    Ok(())
}

/// Inlined where a value is taken, so that taking and writing become one branch on its type.
#[inline(always)]
fn write_value<N: Notation, const QUOTED: bool>(
    value: RawValue<'_>,
    depth_left: u32,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    match value {
        RawValue::Double(number) => write_double::<N, QUOTED>(number, out),
        RawValue::String(text) => {
            QUOTE.write::<QUOTED>(out);
            write_escaped::<N::Jdk, QUOTED>(text, out);
            QUOTE.write::<QUOTED>(out);
        }
        RawValue::Document(document) => write_document::<N, QUOTED>(document, depth_left, out)?,
        RawValue::Array(array) => write_array::<N, QUOTED>(array, depth_left, out)?,
        RawValue::Binary { subtype, bytes } => write_binary::<N, QUOTED>(subtype, bytes, out),
        RawValue::Undefined => UNDEFINED.write::<QUOTED>(out),
        RawValue::ObjectId(id) => write_oid::<N, QUOTED>(id, out),
        RawValue::Boolean(true) => out.extend_from_slice(b"true"),
        RawValue::Boolean(false) => out.extend_from_slice(b"false"),
        RawValue::DateTime(unix_ms) => write_date::<N, QUOTED>(unix_ms, out),
        RawValue::Null => out.extend_from_slice(b"null"),
        RawValue::Regex { pattern, options } => write_regex::<N, QUOTED>(pattern, options, out),
        RawValue::DbPointer { namespace, id } => write_db_pointer::<N, QUOTED>(namespace, id, out),
        RawValue::JavaScript(code) => write_tagged::<N, QUOTED>(CODE, code, STRING_END_1, out),
        RawValue::Symbol(name) => write_symbol::<N, QUOTED>(name, out),
        RawValue::JavaScriptWithScope { code, scope } => {
            write_tagged::<N, QUOTED>(CODE, code, CODE_SCOPE, out);
            write_document::<N, QUOTED>(scope, depth_left, out)?;
            out.push(b'}');
        }
        RawValue::Int32(number) => write_int32::<N, QUOTED>(number, out),
        RawValue::Timestamp { time, increment } => {
            TIMESTAMP.write::<QUOTED>(out);
            write_integer(time, out);
            TIMESTAMP_INCREMENT.write::<QUOTED>(out);
            write_integer(increment, out);
            out.extend_from_slice(b"}}");
        }
        RawValue::Int64(number) => write_int64::<N, QUOTED>(number, out),
        RawValue::Decimal128(bytes) => write_decimal::<N, QUOTED>(bytes, out),
        RawValue::MinKey => MIN_KEY.write::<QUOTED>(out),
        RawValue::MaxKey => MAX_KEY.write::<QUOTED>(out),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, doc};
    use proptest::prelude::*;

    const ALL: [JsonFormatter; 4] = [
        JsonFormatter::Default,
        JsonFormatter::Extended,
        JsonFormatter::Simplified,
        JsonFormatter::Relaxed,
    ];

    fn text_by(formatter: JsonFormatter, bytes: &[u8]) -> Result<String, FormatError> {
        let mut out = Vec::new();
        write::<false>(formatter, RawDoc::new(bytes)?, &mut out)?;
        Ok(String::from_utf8(out).expect("the text is UTF-8"))
    }

    fn bytes_of(document: &bson::Document) -> Vec<u8> {
        document.to_vec().expect("a document has bytes")
    }

    fn nested(levels: u32) -> Vec<u8> {
        let mut bytes = vec![5, 0, 0, 0, 0];
        for _ in 1..levels {
            let len = i32::try_from(bytes.len() + 8).expect("small");
            let inner = std::mem::take(&mut bytes);
            bytes.extend(len.to_le_bytes());
            bytes.extend(b"\x03a\0");
            bytes.extend(inner);
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn documents_and_arrays_have_the_layout_of_the_driver() {
        let document = doc! {
            "a": 1, "b": [1_i64, "x", doc! {}, []], "c": doc! { "d": Bson::Null }, "": true,
        };
        let texts = ALL.map(|formatter| text_by(formatter, &bytes_of(&document)).expect("valid"));
        assert_eq!(
            texts,
            [
                r#"{"a": 1, "b": [{"$numberLong": "1"}, "x", {}, []], "c": {"d": null}, "": true}"#,
                concat!(
                    r#"{"a": {"$numberInt": "1"}, "b": [{"$numberLong": "1"}, "x", {}, []], "#,
                    r#""c": {"d": null}, "": true}"#
                ),
                r#"{"a": 1, "b": [1, "x", {}, []], "c": {"d": null}, "": true}"#,
                r#"{"a": 1, "b": [1, "x", {}, []], "c": {"d": null}, "": true}"#,
            ]
        );
    }

    #[test]
    fn nesting_is_written_up_to_the_bound_and_refused_beyond() {
        for formatter in ALL {
            assert!(text_by(formatter, &nested(DEPTH_MAX)).is_ok());
            for levels in [DEPTH_MAX + 1, 4_000] {
                assert_eq!(text_by(formatter, &nested(levels)), Err(FormatError::TooDeep));
            }
        }
    }

    #[test]
    fn a_document_cut_at_any_byte_never_has_the_whole_text() {
        let document = doc! {
            "a": 1.5, "s": "text", "d": doc! { "l": [1, 2_i64] }, "o": bson::oid::ObjectId::new(),
            "t": bson::Timestamp { time: 1, increment: 2 }, "n": Bson::Null,
            "at": bson::DateTime::from_millis(-1), "r": bson::Regex {
                pattern: "p".try_into().expect("no zero"), options: "i".try_into().expect("no zero"),
            },
            "dec": bson::Decimal128::from_bytes([1; 16]), "sym": Bson::Symbol("s".to_owned()),
            "bin": bson::Binary {
                subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16],
            },
            "scope": bson::JavaScriptCodeWithScope { code: "c".to_owned(), scope: doc! { "x": 1 } },
            "b": true,
        };
        let whole = bytes_of(&document);
        for formatter in ALL {
            let text = text_by(formatter, &whole);
            assert!(text.is_ok());
            for len in 5..whole.len() {
                let mut cut = whole[..len].to_vec();
                cut[..4].copy_from_slice(&i32::try_from(len).expect("small").to_le_bytes());
                cut[len - 1] = 0;
                assert_ne!(text_by(formatter, &cut), text, "{len}");
            }
        }
    }

    /// Documents of the types whose text has a form of plain JSON.
    fn json_value() -> impl Strategy<Value = Bson> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Bson::Int32),
            any::<bool>().prop_map(Bson::Boolean),
            Just(Bson::Null),
            any::<String>().prop_map(Bson::String),
            any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Bson::Double),
            any::<i64>().prop_map(Bson::Int64),
            any::<[u8; 12]>().prop_map(|id| Bson::ObjectId(id.into())),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Bson::Array),
                proptest::collection::btree_map("[^\\x00]{0,8}", inner, 0..6)
                    .prop_map(|map| Bson::Document(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_read_by_another_parser_is_the_document(value in json_value()) {
            let document = doc! { "value": value };
            for formatter in [JsonFormatter::Default, JsonFormatter::Extended] {
                let text = text_by(formatter, &bytes_of(&document)).expect("valid");
                let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let read = Bson::try_from(json).expect("extended JSON");
                prop_assert_eq!(read, Bson::Document(document.clone()));
            }
        }

        #[test]
        fn arbitrary_bytes_are_text_or_an_error(
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = i32::try_from(body.len() + 5).expect("small").to_le_bytes().to_vec();
            bytes.extend(body);
            bytes.push(0);
            let [first, others @ ..] = ALL.map(|formatter| text_by(formatter, &bytes).err());
            prop_assert_eq!(others, [first; 3]);
        }

        #[test]
        fn one_wrong_byte_is_text_or_an_error(
            value in json_value(), at in any::<proptest::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = bytes_of(&doc! { "value": value });
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let [first, others @ ..] = ALL.map(|formatter| text_by(formatter, &bytes).err());
            prop_assert_eq!(others, [first; 3]);
        }
    }
}
