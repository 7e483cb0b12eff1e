//! Values as Java prints them, which is what `StringConverter` writes of a struct.
//!
//! ```text
//!  Struct{_id=5,tags=[a, null],at=Thu Jan 01 00:00:00 UTC 1970,map={k=v, l=w}}
//! ```
//!
//! Fields that are null are left out, null items of arrays and maps are `null`. Dates are printed in UTC
//! (Java takes the zone of its machine), in the Julian calendar before 1582-10-15, years before the common
//! era without a sign. Bytes have no text. Source: `Struct`, `AbstractCollection`, `AbstractMap` and
//! `java.util.Date` of JDK 17.

use std::io::Write as _;

use super::error::ConversionError;
use super::schema::Schema;
use super::value::Value;
use crate::format::{decimal128, double};

const DAY_NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTH_NAMES: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_PER_DAY: i64 = 86_400;
/// 1582-10-15, the first day of the Gregorian calendar, in days since 1970-01-01.
const GREGORIAN_FROM: i64 = -141_427;
/// Days from 1 March of the year 0 to 1970-01-01, by either calendar.
const EPOCH_GREGORIAN: i64 = 719_468;
const EPOCH_JULIAN: i64 = 719_470;
/// Years and days after which the Gregorian calendar repeats itself.
const ERA: (i64, i64) = (400, 146_097);

/// Appends the text of `value`.
pub(super) fn write(
    schema: Option<&Schema>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Int8(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Value::Int16(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Value::Int32(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Value::Int64(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Value::Float32(number) => double::write_float(*number, out),
        Value::Float64(number) => double::write::<false>(*number, out),
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(_) => return Err(ConversionError::BytesAsText),
        Value::Decimal(decimal) => {
            decimal128::write_big_decimal(decimal.unscaled, decimal.scale, out);
        }
        Value::Timestamp(unix_ms) => write_date(*unix_ms, out),
        Value::Array(values) => {
            let of = schema.and_then(Schema::items);
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                write(of, value, out)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            let of = schema.and_then(Schema::items);
            out.push(b'{');
            for (index, (name, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                write(of, value, out)?;
            }
            out.push(b'}');
        }
        Value::Struct(values) => write_struct(schema, values, out)?,
    }
    Ok(())
}

fn write_struct(
    schema: Option<&Schema>,
    values: &[Value],
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    let fields = schema.map(Schema::fields).unwrap_or_default();
    out.extend_from_slice(b"Struct{");
    let there = fields.iter().zip(values).filter(|(_, value)| **value != Value::Null);
    for (index, (field, value)) in there.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(field.name.as_bytes());
        out.push(b'=');
        write(Some(&field.schema), value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends `Date.toString()` in UTC.
fn write_date(unix_ms: i64, out: &mut Vec<u8>) {
    let seconds = unix_ms.div_euclid(1_000);
    let days = seconds.div_euclid(SECONDS_PER_DAY);
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = civil(days);
    // There is no year 0: the one before 1 is printed as 1, too.
    let year = if year > 0 { year } else { 1 - year };
    let name_of_day = DAY_NAMES.get(days.rem_euclid(7) as usize).unwrap_or(&"");
    let name_of_month = MONTH_NAMES.get(month).unwrap_or(&"");
    let _ = write!(
        out,
        "{name_of_day} {name_of_month} {day:02} {:02}:{:02}:{:02} UTC {year}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    );
}

/// Year, month from 0 and day of a count of days since 1970-01-01. Years are counted from March, so that a
/// leap day is the last.
pub(crate) fn civil(days: i64) -> (i64, usize, i64) {
    let (mut year, mut day) = (0, 0);
    if days >= GREGORIAN_FROM {
        let from_march = days + EPOCH_GREGORIAN;
        year += from_march.div_euclid(ERA.1) * ERA.0;
        day += from_march.rem_euclid(ERA.1);
        let century = (day / 36_524).min(3);
        year += century * 100;
        day -= century * 36_524;
    } else {
        day += days + EPOCH_JULIAN;
    }
    year += day.div_euclid(1_461) * 4;
    day = day.rem_euclid(1_461);
    let of_four = (day / 365).min(3);
    year += of_four;
    day -= of_four * 365;
    // Five months from March on have 153 days, and so have the next five.
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = (month_from_march + 2) % 12;
    (year + i64::from(is_next_year), usize::try_from(month).unwrap_or(0), day)
}

/// Days since 1970-01-01 of a day, by either calendar; months from 0. What is too many goes on in the next year or
/// month.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year + month.div_euclid(12);
    let month = month.rem_euclid(12);
    // Counted from March, as in `civil`.
    let year = if month < 2 { year - 1 } else { year };
    let from_march = (month + 10) % 12;
    let days = year * 365 + year.div_euclid(4) + (153 * from_march + 2) / 5 + day - 1;
    let gregorian = days - year.div_euclid(100) + year.div_euclid(400) - EPOCH_GREGORIAN;
    if gregorian < GREGORIAN_FROM { days - EPOCH_JULIAN } else { gregorian }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_one_that_it_came_from() {
        for days in
            (-800_000..800_000).step_by(97).chain(GREGORIAN_FROM - 400..GREGORIAN_FROM + 400)
        {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, i64::try_from(month).unwrap(), day), days);
        }
        assert_eq!(days_of(2023, 13, 30), days_of(2024, 2, 1));
    }

    /// Printed by JDK 17 in UTC.
    #[test]
    fn dates_are_those_of_java_in_either_calendar() {
        for (unix_ms, want) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
            (1_609_459_200_100, "Fri Jan 01 00:00:00 UTC 2021"),
            (1_709_164_800_000, "Thu Feb 29 00:00:00 UTC 2024"),
            (-12_219_292_800_000, "Fri Oct 15 00:00:00 UTC 1582"),
            (-12_219_292_800_001, "Thu Oct 04 23:59:59 UTC 1582"),
            (-62_167_219_200_000, "Sat Jan 03 00:00:00 UTC 1"),
            (-62_135_596_800_000, "Mon Jan 03 00:00:00 UTC 1"),
            (-99_999_999_999_999, "Thu Feb 26 14:13:20 UTC 1200"),
            (253_402_300_800_000, "Sat Jan 01 00:00:00 UTC 10000"),
            (i64::MAX, "Sun Aug 17 07:12:55 UTC 292278994"),
            (i64::MIN, "Sun Dec 02 16:47:04 UTC 292269055"),
        ] {
            let mut out = Vec::new();
            write_date(unix_ms, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want, "{unix_ms}");
        }
    }
}
