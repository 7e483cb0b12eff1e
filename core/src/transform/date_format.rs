//! Points in time by a pattern of `java.text.SimpleDateFormat`, in UTC and in English.
//!
//! | letters | written | read |
//! |---|---|---|
//! | `yyyy` | year, at least so many digits | |
//! | `M` `MM`, `MMM`, `MMMM` | month as a number, `Feb`, `February` | a name in either form, in any case |
//! | `d` `H` `k` `K` `h` `m` `s` `S` | day, hour 0-23, 1-24, 0-11, 1-12, minute, second, millisecond | |
//! | `a` `E` `EEEE` | `AM`, `Thu`, `Thursday` | |
//! | `z` `zzzz` `Z` `X` | `UTC`, `Coordinated Universal Time`, `+0000`, `Z` | `UTC`, `GMT`, `Z`, offsets |
//!
//! Reading is lenient, as Java's is: 30 February is 1 March, and what follows the last field is not looked at. Refused
//! are years of two digits, whose century depends on today, and the letters for eras and weeks.

use crate::connect::{civil, days_of};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MS_PER_DAY: i64 = 86_400_000;
const MS_PER_HOUR: i64 = 3_600_000;

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateFormatError {
    /// It is none in Java either.
    Illegal,
    /// Java knows this letter, or so few of it, and this version does not.
    Unsupported(char),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    pattern: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field { letter: char, count: usize },
}

impl DateFormat {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`DateFormatError`].
    pub fn new(pattern: &str) -> Result<Self, DateFormatError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = pattern.chars().peekable();
        let mut is_quoted = false;
        while let Some(next) = rest.next() {
            let literal = match next {
                '\'' if rest.peek() == Some(&'\'') => {
                    rest.next();
                    '\''
                }
                '\'' => {
                    is_quoted = !is_quoted;
                    continue;
                }
                letter if !is_quoted && letter.is_ascii_alphabetic() => {
                    match parts.last_mut() {
                        Some(Part::Field { letter: last, count }) if *last == letter => *count += 1,
                        _ => parts.push(Part::Field { letter, count: 1 }),
                    }
                    continue;
                }
                literal => literal,
            };
            match parts.last_mut() {
                Some(Part::Literal(text)) => text.push(literal),
                _ => parts.push(Part::Literal(literal.to_string())),
            }
        }
        if is_quoted {
            return Err(DateFormatError::Illegal);
        }
        for part in &parts {
            if let Part::Field { letter, count } = *part {
                match letter {
                    'y' if count > 2 => {}
                    'X' if count > 3 => return Err(DateFormatError::Illegal),
                    'M' | 'd' | 'H' | 'k' | 'K' | 'h' | 'm' | 's' | 'S' | 'a' | 'E' | 'z' | 'Z'
                    | 'X' => {}
                    'y' | 'G' | 'Y' | 'L' | 'w' | 'W' | 'D' | 'F' | 'u' => {
                        return Err(DateFormatError::Unsupported(letter));
                    }
                    _ => return Err(DateFormatError::Illegal),
                }
            }
        }
        Ok(Self { pattern: pattern.to_owned(), parts })
    }

    /// As the operator wrote it.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The text of a point in time, in milliseconds since 1970-01-01 UTC.
    pub(super) fn write(&self, unix_ms: i64) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field { letter, count } => text.push_str(&written(*letter, *count, unix_ms)),
            }
        }
        text
    }

    /// The point in time that begins `text`; `None`: it does not begin with one.
    pub(super) fn read(&self, text: &str) -> Option<i64> {
        let mut read = Read { rest: text, ..Read::default() };
        for (place, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => read.rest = read.rest.strip_prefix(literal.as_str())?,
                Part::Field { letter, count } => {
                    // Digits of fields side by side are told apart by their number.
                    let next = self.parts.get(place + 1);
                    let digits_max = matches!(next, Some(Part::Field { .. })).then_some(*count);
                    read.field(*letter, *count, digits_max)?;
                }
            }
        }
        Some(read.unix_ms())
    }
}

fn written(letter: char, count: usize, unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(MS_PER_DAY), unix_ms.rem_euclid(MS_PER_DAY));
    let (year, month, day) = civil(days);
    let hour = ms / MS_PER_HOUR;
    let named = |names: &[&str], place: usize| {
        let name = names.get(place).copied().unwrap_or_default();
        if count > 3 { name } else { name.get(..3).unwrap_or(name) }.to_owned()
    };
    let number = match letter {
        'y' if year > 0 => year,
        // Java counts the years before the first from 1 as well.
        'y' => 1 - year,
        'M' if count > 2 => return named(&MONTHS, month),
        'M' => i64::try_from(month).unwrap_or(0) + 1,
        'd' => day,
        'H' => hour,
        'k' => (hour + 23) % 24 + 1,
        'K' => hour % 12,
        'h' => (hour + 11) % 12 + 1,
        'm' => ms / 60_000 % 60,
        's' => ms / 1_000 % 60,
        'S' => ms % 1_000,
        'a' => return if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'E' => return named(&DAYS, usize::try_from(days.rem_euclid(7)).unwrap_or(0)),
        'z' if count > 3 => return "Coordinated Universal Time".to_owned(),
        'z' => return "UTC".to_owned(),
        'Z' => return "+0000".to_owned(),
        _ => return "Z".to_owned(),
    };
    format!("{number:0count$}")
}

/// What was read so far.
#[derive(Debug)]
struct Read<'a> {
    rest: &'a str,
    year: i64,
    /// From 0.
    month: i64,
    day: i64,
    hour: i64,
    is_afternoon: bool,
    /// Whether the hour was one of twelve.
    is_half_day: bool,
    minute: i64,
    second: i64,
    ms: i64,
    offset_ms: i64,
}

impl Default for Read<'_> {
    fn default() -> Self {
        Self {
            rest: "",
            year: 1970,
            month: 0,
            day: 1,
            hour: 0,
            is_afternoon: false,
            is_half_day: false,
            minute: 0,
            second: 0,
            ms: 0,
            offset_ms: 0,
        }
    }
}

impl Read<'_> {
    fn unix_ms(&self) -> i64 {
        let half_day = if self.is_half_day && self.is_afternoon { 12 } else { 0 };
        let minutes = (self.hour + half_day) * 60 + self.minute;
        let ms_of_day = (minutes * 60 + self.second) * 1_000 + self.ms;
        let days = days_of(self.year, self.month, self.day);
        days.wrapping_mul(MS_PER_DAY).wrapping_add(ms_of_day).wrapping_sub(self.offset_ms)
    }

    fn field(&mut self, letter: char, count: usize, digits_max: Option<usize>) -> Option<()> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        match letter {
            'M' if count > 2 => self.month = self.name(&MONTHS)?,
            'E' => self.name(&DAYS).map(drop)?,
            'a' => self.is_afternoon = self.name(&["AM", "PM"])? == 1,
            'z' | 'Z' | 'X' => self.zone(letter, count)?,
            _ => {
                let number = self.number(digits_max)?;
                match letter {
                    'y' => self.year = number,
                    'M' => self.month = number - 1,
                    'd' => self.day = number,
                    'm' => self.minute = number,
                    's' => self.second = number,
                    'S' => self.ms = number,
                    _ => {
                        self.is_half_day = matches!(letter, 'K' | 'h');
                        let is_full = matches!((letter, number), ('h', 12) | ('k', 24));
                        self.hour = if is_full { 0 } else { number };
                    }
                }
            }
        }
        Some(())
    }

    fn number(&mut self, digits_max: Option<usize>) -> Option<i64> {
        let sign = if self.rest.starts_with('-') { 1 } else { 0 };
        let digits = self.rest.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
        let length = match digits_max {
            // Java asks for as many characters as there are letters.
            Some(max) if self.rest.len() < max => return None,
            Some(max) => (sign + digits).min(max),
            None => sign + digits,
        };
        let (number, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        // Java cuts it to an int.
        number.parse().ok().map(|number: i64| i64::from(number as i32))
    }

    /// The place of the longest name, or of its first three letters, that the text begins with.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        let begins = |name: &str| {
            self.rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        let short = |name: &&str| name.get(..3).unwrap_or(name).len();
        let found = names
            .iter()
            .position(|name| begins(name))
            .map(|at| (at, names.get(at).map_or(0, |name| name.len())));
        let found = found.or_else(|| {
            let at = names.iter().position(|name| begins(name.get(..3).unwrap_or(name)))?;
            Some((at, names.get(at).map_or(0, short)))
        });
        let (at, length) = found?;
        self.rest = self.rest.get(length..)?;
        i64::try_from(at).ok()
    }

    fn zone(&mut self, letter: char, count: usize) -> Option<()> {
        let names: &[&str] = if letter == 'X' { &["Z"] } else { &["UTC", "GMT"] };
        let name = names.iter().find_map(|name| {
            let start = self.rest.get(..name.len())?;
            start.eq_ignore_ascii_case(name).then_some(name.len())
        });
        if let Some(length) = name {
            self.rest = self.rest.get(length..)?;
            if letter == 'X' || !self.rest.starts_with(['+', '-']) {
                return Some(());
            }
        }
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = self.rest.get(1..)?;
        let hours = self.number(Some(2))?;
        let has_colon = name.is_some() || letter == 'X' && count == 3;
        if has_colon {
            self.rest = self.rest.strip_prefix(':')?;
        }
        let minutes = if letter == 'X' && count == 1 { 0 } else { self.number(Some(2))? };
        self.offset_ms = sign * (hours * 60 + minutes) * 60_000;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_709_251_199_007;

    /// Printed by JDK 17 in UTC, for an English reader.
    #[test]
    fn points_in_time_are_written_as_java_writes_them() {
        for (pattern, unix_ms, want) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", AT, "2024-02-29T23:59:59.007Z"),
            ("EEE, d MMM yyyy h:mm a z", AT, "Thu, 29 Feb 2024 11:59 PM UTC"),
            (
                "EEEE MMMM yyyyy k K SSSSS '''o'' clock'",
                0,
                "Thursday January 01970 24 0 00000 'o' clock",
            ),
            ("yyyyMMddHHmmssZ XXX zzzz", -1, "19691231235959+0000 Z Coordinated Universal Time"),
        ] {
            assert_eq!(DateFormat::new(pattern).unwrap().write(unix_ms), want, "{pattern}");
        }
    }

    #[test]
    fn texts_are_read_as_java_reads_them() {
        for (pattern, text, want) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2024-02-29T23:59:59.007Z and more", Some(AT)),
            ("yyyyMMddHHmmssSSS", "20240229235959007", Some(AT)),
            ("EEE, d MMM yyyy h:mm a Z", "xxx, 29 Feb 2024 11:59 PM +0000", None),
            (
                "EEE, d MMM yyyy h:mm:ss.SSS a Z",
                "Mon, 29 february 2024  11:59:59.7 pm +0000",
                Some(AT),
            ),
            ("yyyy-MM-dd HH:mm XXX", "2024-02-30 01:30 +01:30", Some(1_709_251_200_000)),
            ("HH:mm", "12:00", Some(43_200_000)),
            ("yyyy-MM-dd", "2024/02/29", None),
            ("yyyy-MM-dd", "", None),
        ] {
            assert_eq!(DateFormat::new(pattern).unwrap().read(text), want, "{text}");
        }
    }

    #[test]
    fn patterns_that_are_none_or_that_we_lack_are_refused() {
        assert_eq!(DateFormat::new("yyyy b"), Err(DateFormatError::Illegal));
        assert_eq!(DateFormat::new("yyyy 'b"), Err(DateFormatError::Illegal));
        assert_eq!(DateFormat::new("yy"), Err(DateFormatError::Unsupported('y')));
        assert_eq!(DateFormat::new("yyyy G"), Err(DateFormatError::Unsupported('G')));
    }
}
