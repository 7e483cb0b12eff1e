//! The start time of `startup.mode=timestamp`, in any of Java's three notations, and ISO-8601
//! dates.
//!
//! ```text
//! 30                                     seconds since the epoch
//! 1970-01-01T00:00:30Z                   an instant; a fraction of a second is cut off
//! {"$timestamp": {"t": 30, "i": 0}}      a BSON timestamp, extended JSON; also Timestamp(30, 0)
//! ```
//!
//! Facts from `BsonTimestampParser` of the connector. Unlike Java, a time before 1970 is refused:
//! Java wraps it into a time far in the future.

use mongodb::bson::Bson;

use super::extended_json::leading_value_from_json;

const SECONDS_PER_DAY: i64 = 86_400;

/// A point in the oplog: seconds since the epoch and the number of the operation within that
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OperationTime {
    /// Seconds since the Unix epoch.
    pub(crate) time: u32,
    /// Counts from 1 within the second; 0 is before all of them.
    pub(crate) increment: u32,
}

impl OperationTime {
    /// Reads any of the three notations.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Java reads the number as a signed INT.
        if let Ok(seconds) = text.parse::<i32>() {
            return Some(Self { time: u32::try_from(seconds).ok()?, increment: 0 });
        }
        if let Some(instant) = Instant::parse(text) {
            let seconds = i32::try_from(instant.seconds).ok()?;
            return Some(Self { time: u32::try_from(seconds).ok()?, increment: 0 });
        }
        match leading_value_from_json(text) {
            Ok(Bson::Timestamp(timestamp)) => {
                Some(Self { time: timestamp.time, increment: timestamp.increment })
            }
            _ => None,
        }
    }
}

/// Milliseconds since the epoch of an instant, or of midnight UTC of a bare date.
pub(super) fn parse_date_ms(text: &str) -> Option<i64> {
    if let Some(days) = days_since_epoch(text) {
        return days.checked_mul(SECONDS_PER_DAY * 1000);
    }
    let instant = Instant::parse(text)?;
    instant.seconds.checked_mul(1000)?.checked_add(i64::from(instant.nanos / 1_000_000))
}

struct Instant {
    seconds: i64,
    nanos: u32,
}

impl Instant {
    /// `YYYY-MM-DDTHH:MM:SS`, an optional fraction of up to nine digits, then `Z` or an offset such
    /// as `+01:00`.
    fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', 't'])?;
        let days = days_since_epoch(date)?;
        let zone_at = rest.find(['Z', 'z', '+', '-'])?;
        let (time, zone) = rest.split_at_checked(zone_at)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let [hours, minutes, seconds] = clock(time)?;
        let nanos = match fraction.len() {
            0 => 0,
            digits @ 1..=9 => digits_only(fraction)? * 10_i64.pow(9 - u32::try_from(digits).ok()?),
            _ => return None,
        };
        let local = days * SECONDS_PER_DAY + hours * 3600 + minutes * 60 + seconds;
        Some(Self { seconds: local - offset_seconds(zone)?, nanos: u32::try_from(nanos).ok()? })
    }
}

fn clock(text: &str) -> Option<[i64; 3]> {
    let mut parts = text.split(':').map(two_digits);
    let clock = [parts.next()??, parts.next()??, parts.next()??];
    let in_range = clock[0] < 24 && clock[1] < 60 && clock[2] < 60;
    (parts.next().is_none() && in_range).then_some(clock)
}

fn offset_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, text) = match zone.split_at_checked(1)? {
        ("+", text) => (1, text),
        ("-", text) => (-1, text),
        _ => return None,
    };
    let mut parts = text.split(':').map(two_digits);
    let hours = parts.next()??;
    let minutes = parts.next().unwrap_or(Some(0))?;
    let in_range = hours <= 18 && minutes < 60;
    (parts.next().is_none() && in_range).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to `YYYY-MM-DD` in the Gregorian calendar.
fn days_since_epoch(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let (year, month, day) = (digits_only(year)?, two_digits(month)?, two_digits(day)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + day_of_year - 719_468)
}

fn two_digits(text: &str) -> Option<i64> {
    (text.len() == 2).then(|| digits_only(text))?
}

fn digits_only(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each expectation was printed by `BsonTimestampParser` of connector 2.0.1.
    #[test]
    fn every_notation_of_java_is_read() {
        for (text, time, increment) in [
            ("30", 30, 0),
            ("0", 0, 0),
            ("+5", 5, 0),
            ("1970-01-01T00:00:30Z", 30, 0),
            ("1970-01-01T00:00:30.999Z", 30, 0),
            ("2021-01-01T00:00:00+01:00", 1_609_455_600, 0),
            ("2021-01-01t00:00:00z", 1_609_459_200, 0),
            ("2021-01-01T00:00:00.Z", 1_609_459_200, 0),
            ("{\"$timestamp\": {\"t\": 30, \"i\": 7}}", 30, 7),
            ("{$timestamp:{t:30,i:7}}", 30, 7),
            ("{\"$timestamp\": {\"i\": 7, \"t\": 30}}", 30, 7),
            ("{\"$timestamp\": {\"t\": 30, \"i\": 7}} xx", 30, 7),
            ("{\"$timestamp\": {\"t\": 4294967295, \"i\": 7}}", u32::MAX, 7),
            ("Timestamp(30, 7)", 30, 7),
        ] {
            assert_eq!(
                OperationTime::parse(text),
                Some(OperationTime { time, increment }),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "zz",
            " 30",
            "2147483648",
            "2021-01-01",
            "2021-01-01T00:00Z",
            "2021-02-29T00:00:00Z",
            "2021-13-01T00:00:00Z",
            "2021-01-01T25:00:00Z",
            "2021-01-01T00:00:00",
            "2021-01-01T00:00:00,5Z",
            "2021-01-01T00:00:00.1234567891Z",
            "2200-01-01T00:00:00Z",
            "{\"$timestamp\": {\"t\": 30.0, \"i\": 7}}",
            "{\"$timestamp\": {\"t\": 30}}",
        ] {
            assert_eq!(OperationTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn time_before_the_epoch_is_refused() {
        assert_eq!(OperationTime::parse("-1"), None);
        assert_eq!(OperationTime::parse("1960-01-01T00:00:00Z"), None);
    }

    #[test]
    fn dates_are_counted_by_the_gregorian_calendar() {
        for (text, ms) in [
            ("1970-01-01", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1999-12-31T23:59:59.123Z", 946_684_799_123),
            ("1969-12-31T23:59:59.5Z", -500),
            ("0001-01-01", -62_135_596_800_000),
            ("9999-12-31", 253_402_214_400_000),
            ("2021-01-01T00:00:00-02:30", 1_609_468_200_000),
        ] {
            assert_eq!(parse_date_ms(text), Some(ms), "{text}");
        }
        assert_eq!(parse_date_ms("1900-02-29"), None);
    }
}
