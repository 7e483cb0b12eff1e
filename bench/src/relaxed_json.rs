//! Compares a BSON value with its JSON text in MongoDB's relaxed notation, which Debezium uses for updates.
//!
//! ```text
//! int32 5, int64 5  5               one text for two types
//! double 5          5.0             NaN, ±infinity  {"$numberDouble": "NaN"}
//! date              {"$date": "2021-01-01T00:00:00.12Z"}; before 1970 or after 9999 {"$date": {"$numberLong": "-1"}}
//! binary            {"$binary": {"base64": "AQI=", "subType": "04"}}
//! regex             {"$regularExpression": {"pattern": "p", "options": "i"}}
//! all others        as in strict_json
//! ```
//!
//! What the notation cannot tell is not compared: whether an integer had 32 or 64 bits, and the bits of a NaN. As in
//! [`crate::strict_json`], values are compared, not bytes, and the order of fields counts but for the outermost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::{RawBsonRef, RawDocument};
use bson::{Binary, DateTime};
use serde_json::Value;

use crate::strict_json::{
    self, array_equals_by, document_equals_by, fields_equal_by, member, member_str, members,
};

/// Whether `text` says what `expected` is, the outermost fields in any order.
pub fn fields_equal(expected: &RawDocument, text: &Value) -> bool {
    fields_equal_by(value_equals, expected, text)
}

/// Whether `text` says what `expected` is, as far as the notation can.
#[allow(clippy::wildcard_enum_match_arm, reason = "strict_json names every type")]
pub fn value_equals(expected: RawBsonRef<'_>, text: &Value) -> bool {
    match expected {
        RawBsonRef::Int64(i) => text.as_i64() == Some(i),
        RawBsonRef::Double(x) if !x.is_finite() => {
            member_str(text, "$numberDouble") == Some(name_of_special(x))
        }
        RawBsonRef::DateTime(at) => member(text, "$date").is_some_and(|date| date_equals(at, date)),
        RawBsonRef::Binary(binary) => member(text, "$binary")
            .and_then(|inner| members(inner, ["base64", "subType"]))
            .is_some_and(|[base64, subtype]| {
                let Binary { subtype: expected, bytes } = binary.to_binary();
                base64.as_str().is_some_and(|text| *text == STANDARD.encode(bytes))
                    && subtype
                        .as_str()
                        .is_some_and(|hex| *hex == format!("{:02x}", u8::from(expected)))
            }),
        RawBsonRef::RegularExpression(regex) => member(text, "$regularExpression")
            .and_then(|inner| members(inner, ["pattern", "options"]))
            .is_some_and(|[pattern, options]| {
                pattern.as_str() == Some(regex.pattern.as_str())
                    && options.as_str() == Some(regex.options.as_str())
            }),
        RawBsonRef::Document(document) => document_equals_by(value_equals, document, text),
        RawBsonRef::Array(items) => array_equals_by(value_equals, items, text),
        RawBsonRef::JavaScriptCodeWithScope(code) => members(text, ["$code", "$scope"])
            .is_some_and(|[source, scope]| {
                source.as_str() == Some(code.code)
                    && document_equals_by(value_equals, code.scope, scope)
            }),
        same_in_both => strict_json::value_equals(same_in_both, text),
    }
}

fn name_of_special(x: f64) -> &'static str {
    match x {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

/// Years 1970 to 9999 are text, all others a number.
fn date_equals(expected: DateTime, text: &Value) -> bool {
    const LAST_MS: i64 = 253_402_300_799_999;
    let at = expected.timestamp_millis();
    if (0..=LAST_MS).contains(&at) {
        expected.try_to_rfc3339_string().is_ok_and(|expected| text.as_str() == Some(&expected))
    } else {
        member_str(text, "$numberLong").is_some_and(|ms| ms.parse() == Ok(at))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Bson, JavaScriptCodeWithScope, Regex, doc};

    use super::*;
    use crate::strict_json::tests::{
        assert_alterations_are_seen, assert_each_equals_its_own, equals_by, parse, raw,
    };

    fn bson_equals(value: &Bson, text: &Value) -> bool {
        equals_by(value_equals, value, text)
    }

    /// One value of every type that this notation writes in its own way.
    fn samples() -> Vec<(Bson, &'static str)> {
        let regex = Regex { pattern: bson::cstr!("p").into(), options: bson::cstr!("i").into() };
        let binary = Binary { subtype: BinarySubtype::UserDefined(0x8f), bytes: vec![1, 2] };
        let code = JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "x": 1_i64 } };
        let date = |ms| Bson::DateTime(DateTime::from_millis(ms));
        vec![
            (Bson::Int64(i64::MIN), "-9223372036854775808"),
            (Bson::Int32(5), "5"),
            (Bson::Double(5.0), "5.0"),
            (Bson::Double(f64::NAN), r#"{"$numberDouble": "NaN"}"#),
            (Bson::Double(f64::NEG_INFINITY), r#"{"$numberDouble": "-Infinity"}"#),
            (date(0), r#"{"$date": "1970-01-01T00:00:00Z"}"#),
            (date(120), r#"{"$date": "1970-01-01T00:00:00.12Z"}"#),
            (date(-1), r#"{"$date": {"$numberLong": "-1"}}"#),
            (Bson::Binary(binary), r#"{"$binary": {"base64": "AQI=", "subType": "8f"}}"#),
            (
                Bson::RegularExpression(regex),
                r#"{"$regularExpression": {"pattern": "p", "options": "i"}}"#,
            ),
            (
                Bson::Array(vec![Bson::Int64(7), date(-2)]),
                r#"[7, {"$date": {"$numberLong": "-2"}}]"#,
            ),
            (Bson::Document(doc! { "a": 8_i64, "b": {} }), r#"{"a": 8, "b": {}}"#),
            (Bson::JavaScriptCodeWithScope(code), r#"{"$code": "f", "$scope": {"x": 1}}"#),
            (Bson::Decimal128("1.5".parse().expect("decimal")), r#"{"$numberDecimal": "1.5"}"#),
            (Bson::Null, "null"),
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
    fn the_two_integers_are_one_and_a_double_is_none() {
        for value in [Bson::Int32(5), Bson::Int64(5)] {
            assert!(bson_equals(&value, &parse("5")));
            assert!(!bson_equals(&value, &parse("5.0")));
            assert!(!bson_equals(&value, &parse(r#"{"$numberLong": "5"}"#)), "strict, not relaxed");
        }
        assert!(!bson_equals(&Bson::Double(5.0), &parse("5")));
    }

    #[test]
    fn the_order_of_fields_counts_except_at_the_top() {
        let expected = raw(&doc! { "a": 1, "b": { "c": 2, "d": 3 } });
        assert!(fields_equal(&expected, &parse(r#"{"b": {"c": 2, "d": 3}, "a": 1}"#)));
        for text in [
            r#"{"a": 1, "b": {"d": 3, "c": 2}}"#,
            r#"{"a": 1}"#,
            r#"{"a": 1, "b": {"c": 2, "d": 3}, "e": 1}"#,
        ] {
            assert!(!fields_equal(&expected, &parse(text)), "{text}");
        }
    }
}
