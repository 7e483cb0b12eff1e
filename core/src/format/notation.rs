//! The notations of the connector's three JSON formatters and of the driver's `toJson()`, and the
//! types of BSON that they write differently.
//!
//! | type | `DefaultJson` | `ExtendedJson` | `SimplifiedJson` | `toJson()` |
//! |---|---|---|---|---|
//! | double | `1.5`, `NaN` | `{"$numberDouble": "1.5"}` | `1.5`, `{"$numberDouble": "NaN"}` | as Simplified |
//! | int32 | `5` | `{"$numberInt": "5"}` | `5` | `5` |
//! | int64 | `{"$numberLong": "5"}` | as Default | `5` | `5` |
//! | date | `{"$date": 7}` | `{"$date": {"$numberLong": "7"}}` | `"1970-01-01T00:00:00.007Z"` | `{"$date": "1970-…"}` from 1970 to 9999, else as Extended |
//! | binary | `{"$binary": "AQ==", "$type": "00"}` | `{"$binary": {"base64": …, "subType": …}}` | `"AQ=="` | as Extended |
//! | regex | `{"$regex": "p", "$options": "i"}` | `{"$regularExpression": {…}}` | as Extended | as Extended |
//! | decimal128 | `{"$numberDecimal": "1.5"}` | as Default | `"1.5"` | as Default |
//! | object id | `{"$oid": "65…"}` | as Default | `"65…"` | as Default |
//! | symbol | `{"$symbol": "s"}` | as Default | `"s"` | as Default |
//! | db pointer | `{"$ref": "c", "$id": …}` | `{"$dbPointer": {"$ref": "c", "$id": …}}` | as Default | as Default |
//!
//! All else is the same in all of them. The notation is a type parameter, so the choice is made when the
//! writer is compiled and costs nothing per value. Which of these functions are inlined is said by
//! hand: left to itself the compiler shares those of the frequent types between the formatters and
//! fills the writer with the rare ones, which costs a seventh of the instructions of an event.
//!
//! Source: `DefaultJson`, `ExtendedJson` and `SimplifiedJson` of mongo-kafka-connect 2.0.1, the
//! converters of `JsonMode.STRICT`, `EXTENDED` and `RELAXED` in `org.bson.json` 4.7.2.

use std::marker::PhantomData;

use crate::format::binary::{write_base64, write_object_id, write_subtype};
use crate::format::block::push_short;
use crate::format::escape::write_escaped;
use crate::format::fragment::{
    BINARY, BINARY_RELAXED, BINARY_SUB_TYPE, BINARY_TYPE, DATE, DATE_INT64, DB_POINTER,
    DB_POINTER_EXTENDED, DB_POINTER_ID, DB_POINTER_TEXT_ID, DECIMAL128, DOUBLE, Fragment, INT32,
    INT64, OBJECT_ID, QUOTE, REGEX, REGEX_EXTENDED, REGEX_EXTENDED_OPTIONS, REGEX_OPTIONS,
    STRING_END_1, STRING_END_2, STRING_END_3, SYMBOL,
};
use crate::format::jdk::{Jdk, Jdk17, Jdk25};
use crate::format::{date_time, decimal128};

/// Which of the connector's formatters writes JSON text (`output.json.formatter`), or the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonFormatter {
    /// `DefaultJson`: the legacy strict form of extended JSON. Doubles that are not finite stand
    /// bare, so the text is not JSON then, which readers of such topics know.
    #[default]
    Default,
    /// `ExtendedJson`: the canonical form of extended JSON 2, which keeps every type.
    Extended,
    /// `SimplifiedJson`: for readers that know JSON only; ids, dates, decimals and bytes are plain
    /// strings.
    Simplified,
    /// `BsonDocument.toJson()`, the relaxed form of extended JSON 2: no formatter of the connector's,
    /// but what it writes outside of records proper: resume tokens and dead letters.
    Relaxed,
}

/// A notation, as a type.
pub(super) trait Notation {
    /// The one that it stands for.
    const FORMATTER: JsonFormatter;
    /// The Java that writes it.
    type Jdk: Jdk;
}

/// [`JsonFormatter::Default`]
pub(super) enum DefaultJson {}
/// [`JsonFormatter::Extended`]
pub(super) enum ExtendedJson {}
/// [`JsonFormatter::Simplified`]
pub(super) enum SimplifiedJson {}
/// [`JsonFormatter::Relaxed`]
pub(super) enum RelaxedJson {}
/// The notation `N` as JDK 25 writes it.
pub(super) struct ByJdk25<N>(PhantomData<N>);

impl<N: Notation> Notation for ByJdk25<N> {
    const FORMATTER: JsonFormatter = N::FORMATTER;
    type Jdk = Jdk25;
}

impl Notation for DefaultJson {
    const FORMATTER: JsonFormatter = JsonFormatter::Default;
    type Jdk = Jdk17;
}

impl Notation for ExtendedJson {
    const FORMATTER: JsonFormatter = JsonFormatter::Extended;
    type Jdk = Jdk17;
}

impl Notation for SimplifiedJson {
    const FORMATTER: JsonFormatter = JsonFormatter::Simplified;
    type Jdk = Jdk17;
}

impl Notation for RelaxedJson {
    const FORMATTER: JsonFormatter = JsonFormatter::Relaxed;
    type Jdk = Jdk17;
}

/// The last millisecond of the year 9999.
const YEAR_9999_END_MS: i64 = 253_402_300_799_999;

#[inline(always)]
pub(super) fn write_double<N: Notation, const QUOTED: bool>(number: f64, out: &mut Vec<u8>) {
    let is_wrapped = match N::FORMATTER {
        JsonFormatter::Default => false,
        JsonFormatter::Extended => true,
        JsonFormatter::Simplified | JsonFormatter::Relaxed => !number.is_finite(),
    };
    if is_wrapped {
        DOUBLE.write::<QUOTED>(out);
        N::Jdk::write_double(number, out);
        STRING_END_1.write::<QUOTED>(out);
    } else {
        N::Jdk::write_double(number, out);
    }
}

#[inline(always)]
pub(super) fn write_int32<N: Notation, const QUOTED: bool>(number: i32, out: &mut Vec<u8>) {
    match N::FORMATTER {
        JsonFormatter::Default | JsonFormatter::Simplified | JsonFormatter::Relaxed => {
            write_integer(number, out);
        }
        JsonFormatter::Extended => {
            INT32.write::<QUOTED>(out);
            write_integer(number, out);
            STRING_END_1.write::<QUOTED>(out);
        }
    }
}

#[inline(always)]
pub(super) fn write_int64<N: Notation, const QUOTED: bool>(number: i64, out: &mut Vec<u8>) {
    match N::FORMATTER {
        JsonFormatter::Default | JsonFormatter::Extended => {
            INT64.write::<QUOTED>(out);
            write_integer(number, out);
            STRING_END_1.write::<QUOTED>(out);
        }
        JsonFormatter::Simplified | JsonFormatter::Relaxed => write_integer(number, out),
    }
}

#[inline(always)]
pub(super) fn write_date<N: Notation, const QUOTED: bool>(unix_ms: i64, out: &mut Vec<u8>) {
    match N::FORMATTER {
        JsonFormatter::Default => {
            DATE.write::<QUOTED>(out);
            write_integer(unix_ms, out);
            out.push(b'}');
        }
        JsonFormatter::Relaxed if (0..=YEAR_9999_END_MS).contains(&unix_ms) => {
            DATE.write::<QUOTED>(out);
            QUOTE.write::<QUOTED>(out);
            date_time::write(unix_ms, out);
            STRING_END_1.write::<QUOTED>(out);
        }
        JsonFormatter::Extended | JsonFormatter::Relaxed => {
            DATE_INT64.write::<QUOTED>(out);
            write_integer(unix_ms, out);
            STRING_END_2.write::<QUOTED>(out);
        }
        JsonFormatter::Simplified => {
            QUOTE.write::<QUOTED>(out);
            date_time::write(unix_ms, out);
            QUOTE.write::<QUOTED>(out);
        }
    }
}

#[inline(never)]
pub(super) fn write_binary<N: Notation, const QUOTED: bool>(
    subtype: u8,
    bytes: &[u8],
    out: &mut Vec<u8>,
) {
    let (before, between, after) = match N::FORMATTER {
        JsonFormatter::Default => (BINARY, BINARY_TYPE, STRING_END_1),
        JsonFormatter::Extended | JsonFormatter::Relaxed => {
            (BINARY_RELAXED, BINARY_SUB_TYPE, STRING_END_2)
        }
        JsonFormatter::Simplified => {
            QUOTE.write::<QUOTED>(out);
            write_base64(bytes, out);
            QUOTE.write::<QUOTED>(out);
            return;
        }
    };
    before.write::<QUOTED>(out);
    write_base64(bytes, out);
    between.write::<QUOTED>(out);
    write_subtype(subtype, out);
    after.write::<QUOTED>(out);
}

#[inline(always)]
pub(super) fn write_oid<N: Notation, const QUOTED: bool>(id: &[u8; 12], out: &mut Vec<u8>) {
    let (before, after) = wrapping::<N>(OBJECT_ID);
    before.write::<QUOTED>(out);
    write_object_id(id, out);
    after.write::<QUOTED>(out);
}

#[inline(never)]
pub(super) fn write_decimal<N: Notation, const QUOTED: bool>(bytes: &[u8; 16], out: &mut Vec<u8>) {
    let (before, after) = wrapping::<N>(DECIMAL128);
    before.write::<QUOTED>(out);
    decimal128::write(bytes, out);
    after.write::<QUOTED>(out);
}

#[inline(never)]
pub(super) fn write_symbol<N: Notation, const QUOTED: bool>(name: &[u8], out: &mut Vec<u8>) {
    let (before, after) = wrapping::<N>(SYMBOL);
    write_tagged::<N, QUOTED>(before, name, after, out);
}

/// What stands around the text of a type that `SimplifiedJson` makes a plain string of.
fn wrapping<N: Notation>(tag: Fragment) -> (Fragment, Fragment) {
    match N::FORMATTER {
        JsonFormatter::Default | JsonFormatter::Extended | JsonFormatter::Relaxed => {
            (tag, STRING_END_1)
        }
        JsonFormatter::Simplified => (QUOTE, QUOTE),
    }
}

#[inline(never)]
pub(super) fn write_db_pointer<N: Notation, const QUOTED: bool>(
    namespace: &[u8],
    id: &[u8; 12],
    out: &mut Vec<u8>,
) {
    let (before, between, after) = match N::FORMATTER {
        JsonFormatter::Default | JsonFormatter::Relaxed => {
            (DB_POINTER, DB_POINTER_ID, STRING_END_2)
        }
        JsonFormatter::Extended => (DB_POINTER_EXTENDED, DB_POINTER_ID, STRING_END_3),
        JsonFormatter::Simplified => (DB_POINTER, DB_POINTER_TEXT_ID, STRING_END_1),
    };
    write_tagged::<N, QUOTED>(before, namespace, between, out);
    write_object_id(id, out);
    after.write::<QUOTED>(out);
}

/// Appends a regular expression. Java sorts the options; other than ASCII ones, which no server
/// accepts, go as they are.
#[cold]
pub(super) fn write_regex<N: Notation, const QUOTED: bool>(
    pattern: &[u8],
    options: &[u8],
    out: &mut Vec<u8>,
) {
    let (before, between, after) = match N::FORMATTER {
        JsonFormatter::Default => (REGEX, REGEX_OPTIONS, STRING_END_1),
        JsonFormatter::Extended | JsonFormatter::Simplified | JsonFormatter::Relaxed => {
            (REGEX_EXTENDED, REGEX_EXTENDED_OPTIONS, STRING_END_2)
        }
    };
    write_tagged::<N, QUOTED>(before, pattern, between, out);
    if options.is_ascii() && !options.is_sorted() {
        for option in 1..=0x7f_u8 {
            for _ in 0..memchr::memchr_iter(option, options).count() {
                write_escaped::<N::Jdk, QUOTED>(&[option], out);
            }
        }
    } else {
        write_escaped::<N::Jdk, QUOTED>(options, out);
    }
    after.write::<QUOTED>(out);
}

/// Appends digits.
#[inline]
pub(super) fn write_integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    push_short(itoa::Buffer::new().format(number).as_bytes(), out);
}

/// Appends `before`, escaped `text` and `after`.
pub(super) fn write_tagged<N: Notation, const QUOTED: bool>(
    before: Fragment,
    text: &[u8],
    after: Fragment,
    out: &mut Vec<u8>,
) {
    before.write::<QUOTED>(out);
    write_escaped::<N::Jdk, QUOTED>(text, out);
    after.write::<QUOTED>(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn regex_options_are_sorted() {
        let written = text(|out| write_regex::<DefaultJson, false>(b"a/\"", b"xmxi", out));
        assert_eq!(written, r#"{"$regex": "a/\"", "$options": "imxx"}"#);
        let written = text(|out| write_regex::<ExtendedJson, false>(b"a", b"ba", out));
        assert_eq!(written, r#"{"$regularExpression": {"pattern": "a", "options": "ab"}}"#);
    }

    #[test]
    fn simplified_doubles_are_wrapped_where_json_has_no_number_for_them() {
        let simplified = |number| text(|out| write_double::<SimplifiedJson, false>(number, out));
        assert_eq!(simplified(-0.0), "-0.0");
        assert_eq!(simplified(1e300), "1.0E300");
        assert_eq!(simplified(f64::NAN), r#"{"$numberDouble": "NaN"}"#);
        assert_eq!(simplified(f64::NEG_INFINITY), r#"{"$numberDouble": "-Infinity"}"#);
    }
}
