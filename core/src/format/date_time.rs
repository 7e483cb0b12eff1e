//! Milliseconds since 1970 as `DateTimeFormatter.ISO_DATE_TIME` of Java prints them in UTC.
//!
//! ```text
//!  2021-01-01T00:00:00Z      1969-12-31T23:59:59.999Z     fraction: fewest digits, none for 0
//!  +10000-01-01T00:00:00.1Z  -0001-12-31T00:00:00.01Z     years of four digits at least
//! ```
//!
//! Every `i64` has a text: the years go from -292275055 to +292278994. The calendar is the Gregorian
//! one, also for days before it began (`java.time.chrono.IsoChronology`).

use super::block::{push_front, push_short};

const MS_PER_DAY: i64 = 86_400_000;
/// Days of 400 years, after which the calendar repeats itself.
const DAYS_PER_ERA: i64 = 146_097;
const DAYS_PER_CENTURY: i64 = 36_524;
const DAYS_PER_4_YEARS: i64 = 1_461;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_FROM_MARCH_0: i64 = 719_468;

/// Appends the text of `unix_ms`.
pub(crate) fn write(unix_ms: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(unix_ms.div_euclid(MS_PER_DAY));
    let ms_of_day = unix_ms.rem_euclid(MS_PER_DAY);
    let seconds = ms_of_day / 1_000;
    let ms = ms_of_day % 1_000;
    write_year(year, out);
    let ([mo1, mo2], [d1, d2]) = (two_digits(month), two_digits(day));
    let [h1, h2] = two_digits(seconds / 3_600);
    let [m1, m2] = two_digits(seconds / 60 % 60);
    let [s1, s2] = two_digits(seconds % 60);
    let end = if ms == 0 { b'Z' } else { b'.' };
    let text = [b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2, end];
    push_front(&text, text.len(), out);
    if ms != 0 {
        write_fraction(ms, out);
    }
}

/// Appends the digits of a fraction of thousandths up to the last that is not 0, and the `Z`.
fn write_fraction(ms: i64, out: &mut Vec<u8>) {
    let ([_, tenths], [hundredths, thousandths]) = (two_digits(ms / 100), two_digits(ms % 100));
    let text: &[u8] = match (hundredths, thousandths) {
        (b'0', b'0') => &[tenths, b'Z'],
        (_, b'0') => &[tenths, hundredths, b'Z'],
        (_, _) => &[tenths, hundredths, thousandths, b'Z'],
    };
    out.extend_from_slice(text);
}

/// Appends a year: at least four digits, with a `+` before more than four.
fn write_year(year: i64, out: &mut Vec<u8>) {
    if let 0..=9_999 = year {
        let ([a, b], [c, d]) = (two_digits(year / 100), two_digits(year % 100));
        return out.extend_from_slice(&[a, b, c, d]);
    }
    out.push(if year < 0 { b'-' } else { b'+' });
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(year.unsigned_abs()).as_bytes();
    out.extend(std::iter::repeat_n(b'0', 4_usize.saturating_sub(digits.len())));
    push_short(digits, out);
}

/// The two decimal digits of a number below 100.
#[inline]
fn two_digits(number: i64) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// Year, month and day of a count of days since 1970-01-01. Years are counted from March, so that a
/// leap day is the last one: then a year, a century and an era differ from the next in length only
/// at their ends.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_0;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    // Each division would begin a period one day early for every leap day that is left out.
    let year_of_era = (day_of_era - day_of_era / (DAYS_PER_4_YEARS - 1)
        + day_of_era / DAYS_PER_CENTURY
        - day_of_era / (DAYS_PER_ERA - 1))
        / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on have 153 days, and so have the next five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(unix_ms: i64) -> String {
        let mut out = Vec::new();
        write(unix_ms, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn dates_have_the_text_of_java() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_609_459_200_100, "2021-01-01T00:00:00.1Z"),
            (1_609_459_200_010, "2021-01-01T00:00:00.01Z"),
            (1_709_164_800_120, "2024-02-29T00:00:00.12Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+10000-01-01T00:00:00Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
            (-62_167_219_200_001, "-0001-12-31T23:59:59.999Z"),
            (i64::MAX, "+292278994-08-17T07:12:55.807Z"),
            (i64::MIN, "-292275055-05-16T16:47:04.192Z"),
        ] {
            assert_eq!(text(unix_ms), expected);
        }
    }

    #[test]
    fn every_day_of_an_era_follows_the_one_before() {
        let mut before = civil(-1);
        for day in 0..DAYS_PER_ERA {
            let now = civil(day);
            let follows = match (now, before) {
                ((year, 1, 1), (last, 12, 31)) => year == last + 1,
                ((year, month, 1), (same, last, 28..=31)) => year == same && month == last + 1,
                ((year, month, day), (same, also, last)) => {
                    (year, month, day) == (same, also, last + 1)
                }
            };
            assert!(follows, "{before:?} {now:?}");
            before = now;
        }
        assert_eq!(civil(DAYS_PER_ERA), (2370, 1, 1));
    }

    proptest! {
        #[test]
        fn dates_read_back_by_the_driver(unix_ms in 0..253_402_300_800_000_i64) {
            let read = bson::DateTime::parse_rfc3339_str(text(unix_ms)).expect("a date");
            prop_assert_eq!(read.timestamp_millis(), unix_ms);
        }
    }
}
