//! A trace of arrivals that was recorded elsewhere, as a text file.
//!
//! ```text
//! offsets_us                counts_per_s           first line: what the numbers are
//! # from the start          # second by second     comments and empty lines are skipped
//! 0                         120
//! 1350                      131
//! 1352                      0
//! ```
//!
//! Offsets are kept as they are. Counts are spread evenly within their second.

use std::fmt;

use super::{Profile, ProfileError};

/// Offsets at most: 800 MB of memory.
const OFFSETS_MAX: usize = 100_000_000;

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceError {
    /// It does not say what its numbers are.
    NoHeading {
        /// The first line that is no comment.
        found: String,
    },
    /// There is no number.
    Empty,
    /// A line is no whole number.
    NoNumber {
        /// Counted from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// An offset lies before the one before it.
    Backwards {
        /// Counted from 1.
        line: usize,
        /// µs.
        offset_us: u64,
        /// µs.
        before_us: u64,
    },
    /// More than a hundred million offsets.
    TooLong,
    /// The numbers make no profile.
    Profile(ProfileError),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeading { found } => write!(
                f,
                "its first line is {found:?}: begin it with `offsets_us` or `counts_per_s`"
            ),
            Self::Empty => write!(f, "it holds no number: give at least one arrival"),
            Self::NoNumber { line, found } => {
                write!(f, "line {line} is {found:?}: write one whole number per line")
            }
            Self::Backwards { line, offset_us, before_us } => {
                write!(f, "line {line} is {offset_us} µs after {before_us} µs: sort the offsets")
            }
            Self::TooLong => {
                write!(f, "it has more than {OFFSETS_MAX} offsets: give counts_per_s instead")
            }
            Self::Profile(error) => write!(f, "its counts make no profile: {error}"),
        }
    }
}

impl std::error::Error for TraceError {}

/// Reads the text of a trace.
pub(super) fn parse(text: &str) -> Result<Profile, TraceError> {
    let mut lines = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let heading = lines.next().map_or("", |(_, line)| line);
    let numbers = lines.map(|(line, text)| match text.parse::<u64>() {
        Ok(number) => Ok((line, number)),
        Err(_) => Err(TraceError::NoNumber { line, found: text.to_owned() }),
    });
    match heading {
        "offsets_us" => offsets(numbers),
        "counts_per_s" => {
            let counts: Vec<_> =
                numbers.map(|number| Ok(number?.1)).collect::<Result<_, TraceError>>()?;
            if counts.is_empty() {
                return Err(TraceError::Empty);
            }
            Profile::counts_per_s(counts).map_err(TraceError::Profile)
        }
        found => Err(TraceError::NoHeading { found: found.to_owned() }),
    }
}

fn offsets(
    numbers: impl Iterator<Item = Result<(usize, u64), TraceError>>,
) -> Result<Profile, TraceError> {
    let mut offsets_ns = Vec::new();
    let mut before_us = 0;
    for number in numbers {
        let (line, offset_us) = number?;
        if offset_us < before_us {
            return Err(TraceError::Backwards { line, offset_us, before_us });
        }
        if offsets_ns.len() == OFFSETS_MAX {
            return Err(TraceError::TooLong);
        }
        before_us = offset_us;
        offsets_ns.push(offset_us.saturating_mul(1_000));
    }
    if offsets_ns.is_empty() { Err(TraceError::Empty) } else { Ok(Profile::replayed(offsets_ns)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_us(profile: &Profile, events: u64) -> Vec<u64> {
        let arrivals = profile.arrivals(events).unwrap();
        let mut arrivals = arrivals.in_order();
        (0..events).map(|index| arrivals.offset_ns(index) / 1_000).collect()
    }

    #[test]
    fn offsets_are_replayed_as_they_are() {
        let profile = parse("# night\noffsets_us\n0\n1350\n\n1350\n# late\n9999999\n").unwrap();
        assert_eq!(due_us(&profile, 4), [0, 1_350, 1_350, 9_999_999]);
        assert_eq!(profile.events_max(), Some(4));
    }

    #[test]
    fn counts_are_spread_over_their_own_second() {
        let profile = parse("counts_per_s\n2\n0\n4\n").unwrap();
        let expected = [0, 500_000, 2_000_000, 2_250_000, 2_500_000, 2_750_000];
        assert_eq!(due_us(&profile, 6), expected);
        assert_eq!(profile.events_max(), Some(6));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("", "its first line is \"\": begin it with"),
            ("12\n13", "its first line is \"12\""),
            ("offsets_us\n# nothing", "holds no number"),
            ("offsets_us\n5\n1.5", "line 3 is \"1.5\""),
            ("offsets_us\n5\n\n4", "line 4 is 4 µs after 5 µs"),
            ("counts_per_s\n-1", "line 2 is \"-1\""),
            ("counts_per_s\n0", "make no profile"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
