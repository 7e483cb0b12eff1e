//! `java.util.regex.Matcher.replaceFirst`: what `$1`, `${name}` and `\` mean in a replacement.
//!
//! A number takes as many digits as there are groups for. The first match is replaced, which may be shorter than the
//! match of the whole text. Facts: `Matcher.appendExpandedReplacement` of JDK 17.

use std::fmt;
use std::str::Chars;

use fancy_regex::{Captures, Regex};

use super::JavaPattern;

/// Why a replacement cannot be used, in Java's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplacementError {
    /// `\` at the end.
    NothingEscaped,
    /// `$` at the end.
    NoIndex,
    /// `$` and neither a digit nor a brace.
    IllegalReference,
    /// No group has this number.
    NoGroup(usize),
    /// No group has this name.
    NoGroupNamed(String),
    /// `${` without a name.
    EmptyName,
    /// `${` with a name that begins with a digit.
    DigitFirst(String),
    /// `${name` without its brace.
    Unclosed,
    /// The engine gave up; Java would go on.
    TooCostly,
}

impl fmt::Display for ReplacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingEscaped => f.write_str("character to be escaped is missing"),
            Self::NoIndex => f.write_str("Illegal group reference: group index is missing"),
            Self::IllegalReference => f.write_str("Illegal group reference"),
            Self::NoGroup(number) => write!(f, "No group {number}"),
            Self::NoGroupNamed(name) => write!(f, "No group with name {{{name}}}"),
            Self::EmptyName => f.write_str("named capturing group has 0 length name"),
            Self::DigitFirst(name) => {
                write!(f, "capturing group name {{{name}}} starts with digit character")
            }
            Self::Unclosed => f.write_str("named capturing group is missing trailing '}'"),
            Self::TooCostly => f.write_str("the expression backtracks without an end"),
        }
    }
}

impl std::error::Error for ReplacementError {}

impl JavaPattern {
    /// `text` with its first match replaced, for a pattern of parts; without a match as it is.
    ///
    /// # Errors
    /// [`ReplacementError`], also where only this match shows it.
    pub fn replace_first(&self, text: &str, replacement: &str) -> Result<String, ReplacementError> {
        let captures = self.regex.captures(text).map_err(|_| ReplacementError::TooCostly)?;
        let Some(captures) = captures else { return Ok(text.to_owned()) };
        let Some(found) = captures.get(0) else { return Ok(text.to_owned()) };
        let (before, after) = (text.get(..found.start()), text.get(found.end()..));
        let expanded = expand(replacement, &self.regex, &captures)?;
        Ok([before.unwrap_or_default(), &expanded, after.unwrap_or_default()].concat())
    }
}

fn expand(
    replacement: &str,
    finder: &Regex,
    captures: &Captures<'_, str>,
) -> Result<String, ReplacementError> {
    let mut expanded = String::new();
    let mut rest = replacement.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => expanded.push(rest.next().ok_or(ReplacementError::NothingEscaped)?),
            '$' => expanded.push_str(group(&mut rest, finder, captures)?),
            plain => expanded.push(plain),
        }
    }
    Ok(expanded)
}

/// The group that is named behind a `$`.
fn group<'t>(
    rest: &mut Chars<'_>,
    finder: &Regex,
    captures: &Captures<'t, str>,
) -> Result<&'t str, ReplacementError> {
    match rest.next().ok_or(ReplacementError::NoIndex)? {
        '{' => named_group(rest, finder, captures),
        first => {
            let mut number = digit(first).ok_or(ReplacementError::IllegalReference)?;
            while let Some(next) = rest.clone().next().and_then(digit)
                && number * 10 + next < captures.len()
            {
                number = number * 10 + next;
                rest.next();
            }
            if captures.len() <= number {
                return Err(ReplacementError::NoGroup(number));
            }
            Ok(captures.get(number).map_or("", |group| group.as_str()))
        }
    }
}

fn named_group<'t>(
    rest: &mut Chars<'_>,
    finder: &Regex,
    captures: &Captures<'t, str>,
) -> Result<&'t str, ReplacementError> {
    let text = rest.as_str();
    let end = text.find(|next: char| !next.is_ascii_alphanumeric());
    let name = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    if name.is_empty() {
        return Err(ReplacementError::EmptyName);
    }
    let behind = text.get(name.len()..).unwrap_or_default();
    *rest = behind.strip_prefix('}').ok_or(ReplacementError::Unclosed)?.chars();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(ReplacementError::DigitFirst(name.to_owned()));
    }
    if !finder.capture_names().flatten().any(|known| known == name) {
        return Err(ReplacementError::NoGroupNamed(name.to_owned()));
    }
    Ok(captures.name(name).map_or("", |group| group.as_str()))
}

fn digit(next: char) -> Option<usize> {
    next.to_digit(10).map(|digit| digit as usize)
}
