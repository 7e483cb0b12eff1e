//! A literal as `Values.parseString` reads it: the value of `InsertHeader`.
//!
//! ```text
//!  true  null  12  1.5                     boolean, null, the smallest whole number, float32
//!  2024-02-29  23:59:59.999Z               date, time; both joined by a T: timestamp
//!  anything else                           a text
//!  12:abc                                  12: what is behind a number or a date and begins with a
//!                                          delimiter is not looked at, as in Java
//! ```
//!
//! Arrays and maps, which begin with `[` or `{`, are not read. Dates are lenient: 30 February is 1 March.

use std::sync::Arc;

use super::datum::Datum;
use super::decimal::Decimal;
use super::java_text::days_of;
use super::schema::{Kind, Schema};
use super::value::Value;

const DELIMITERS: &[char] = &[':', ',', '{', '}', '[', ']', '"'];

/// The literal is an array or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComplexLiteral;

/// The value that `text` stands for.
///
/// # Errors
/// [`ComplexLiteral`].
pub fn parse_literal(text: &str) -> Result<Datum, ComplexLiteral> {
    let datum = |kind, value| Datum { schema: Some(Arc::new(Schema::new(kind, false))), value };
    let as_it_is = || Ok(datum(Kind::String, Value::String(text.to_owned())));
    let trimmed = text.trim();
    match trimmed {
        "" => return as_it_is(),
        "null" => return Ok(Datum::NULL),
        "true" | "false" => return Ok(datum(Kind::Boolean, Value::Boolean(trimmed == "true"))),
        _ => {}
    }
    if trimmed.starts_with(['[', '{']) {
        return Err(ComplexLiteral);
    }
    let tokens = tokens(trimmed);
    let Some(first) = tokens.first() else { return as_it_is() };
    let token = first.trim();
    if token.starts_with(|first: char| first.is_ascii_digit()) {
        let joined = tokens.get(..5).map(<[&str]>::concat).and_then(|joined| temporal(&joined));
        if let Some((kind, unix_ms)) = joined.or_else(|| temporal(token)) {
            return Ok(datum(kind, Value::Timestamp(unix_ms)));
        }
    }
    let is_number = token.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first));
    match Decimal::parse(token).filter(|_| is_number).map(|decimal| number(decimal, token)) {
        Some((kind, value)) => Ok(datum(kind, value)),
        None => as_it_is(),
    }
}

/// The text cut at its delimiters, which are tokens of their own. A backslash makes a delimiter a letter.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, next) in text.char_indices() {
        if DELIMITERS.contains(&next) && !escaped {
            let end = at + next.len_utf8();
            tokens.extend(text.get(start..at).filter(|token| !token.is_empty()));
            tokens.extend(text.get(at..end));
            start = end;
        }
        escaped = next == '\\' && !escaped;
    }
    tokens.extend(text.get(start..).filter(|token| !token.is_empty()));
    tokens
}

/// The smallest type for a number.
fn number(decimal: Decimal, text: &str) -> (Kind, Value) {
    let exact = decimal.to_exact().map(|whole| {
        if let Ok(small) = i8::try_from(whole) {
            (Kind::Int8, Value::Int8(small))
        } else if let Ok(small) = i16::try_from(whole) {
            (Kind::Int16, Value::Int16(small))
        } else if let Ok(small) = i32::try_from(whole) {
            (Kind::Int32, Value::Int32(small))
        } else {
            (Kind::Int64, Value::Int64(whole))
        }
    });
    let single =
        || text.parse().ok().filter(|single: &f32| decimal.scale != 0 && single.is_finite());
    let double =
        || text.parse().ok().filter(|double: &f64| decimal.scale != 0 && double.is_finite());
    exact
        .or_else(|| single().map(|single| (Kind::Float32, Value::Float32(single))))
        .or_else(|| double().map(|double| (Kind::Float64, Value::Float64(double))))
        .unwrap_or((Kind::Decimal { scale: decimal.scale }, Value::Decimal(decimal)))
}

/// A date, a time or both, by the length of the text.
fn temporal(text: &str) -> Option<(Kind, i64)> {
    let text = text.replace("\\:", ":");
    match text.chars().count() {
        10 => Some((Kind::Date, date(&mut text.as_str())?)),
        13 => Some((Kind::Time, time(&text)?)),
        24 => {
            let mut rest = text.as_str();
            let date = date(&mut rest)?;
            let time = time(rest.strip_prefix('T')?)?;
            Some((Kind::Timestamp, date.wrapping_add(time)))
        }
        _ => None,
    }
}

fn date(rest: &mut &str) -> Option<i64> {
    let year = digits(rest)?;
    *rest = rest.strip_prefix('-')?;
    let month = digits(rest)?;
    *rest = rest.strip_prefix('-')?;
    let day = digits(rest)?;
    // Java's milliseconds go round, too.
    Some(days_of(year, month - 1, day).wrapping_mul(86_400_000))
}

fn time(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut unix_ms = 0;
    for (delimiter, ms) in [(':', 3_600_000), (':', 60_000), ('.', 1_000), ('Z', 1)] {
        unix_ms += digits(&mut rest)? * ms;
        rest = rest.strip_prefix(delimiter)?;
    }
    Some(unix_ms)
}

/// A number of a date or a time, of which Java keeps the lower 32 bits.
fn digits(rest: &mut &str) -> Option<i64> {
    let end = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at_checked(end)?;
    *rest = behind;
    digits.parse::<i64>().ok().map(|number| i64::from(number as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_has_the_smallest_type_that_holds_it() {
        for (text, kind, value) in [
            (" true ", Kind::Boolean, Value::Boolean(true)),
            ("1", Kind::Int8, Value::Int8(1)),
            ("-129", Kind::Int16, Value::Int16(-129)),
            ("1e9", Kind::Int32, Value::Int32(1_000_000_000)),
            ("1.0", Kind::Int8, Value::Int8(1)),
            ("9223372036854775807", Kind::Int64, Value::Int64(i64::MAX)),
            ("2.5000000001", Kind::Float32, Value::Float32(2.5)),
            ("1.5e300", Kind::Float64, Value::Float64(1.5e300)),
            ("12:abc", Kind::Int8, Value::Int8(12)),
            ("2024-02-30", Kind::Date, Value::Timestamp(1_709_251_200_000)),
            ("00:00:01.002Z", Kind::Time, Value::Timestamp(1_002)),
            ("1970-01-02T00:00:00.001Z", Kind::Timestamp, Value::Timestamp(86_400_001)),
            ("eu:west", Kind::String, Value::String("eu:west".to_owned())),
            ("+", Kind::String, Value::String("+".to_owned())),
            ("true}", Kind::String, Value::String("true}".to_owned())),
        ] {
            let want = Datum::new(Schema::new(kind, false), value);
            assert_eq!(parse_literal(text), Ok(want), "{text}");
        }
        assert_eq!(parse_literal("null"), Ok(Datum::NULL));
        assert_eq!(parse_literal(" [1]"), Err(ComplexLiteral));
    }
    /// Printed by `Values.parseString` of `connect-api` 4.1.0.
    #[test]
    fn a_point_in_time_that_is_too_large_goes_round_as_in_java() {
        for (text, unix_ms) in [
            ("99999999999-1-1T1:1:1.1Z", 1_471_883_220_706_157_769),
            ("1-1-1T99999999999:1:1.1Z", 4_314_572_118_061_001),
            ("292278995-01-01T1:1:1.1Z", -9_223_372_025_040_290_615),
            ("999999999-01-01T1:1:1.1Z", -5_336_598_346_170_642_231),
            ("4294969320-1-1T1:11:1.1Z", 1_704_071_461_001),
        ] {
            let value = parse_literal(text).unwrap().value;
            assert_eq!(value, Value::Timestamp(unix_ms), "{text}");
        }
    }
}
