//! A regular expression in Java's notation, with the verdict of `java.util.regex`.
//!
//! ```text
//!  /shop\.(orders|items)_\d+        what the operator wrote for Java
//!        │ read here, and written anew without any shorthand whose meaning differs
//!        ▼
//!  \A(?:\x{73}…\x{2e}(?:…|…)\x{5f}[\x{30}-\x{39}]+)\z     what the engine is given for `Matcher.matches`;
//!                                                          `Matcher.find` has neither anchor
//! ```
//!
//! The engine reads another dialect: there `\d`, `\w`, `.` and `(?i)` mean more characters, `a++`
//! is a repetition of `a+` where Java gives nothing back, and `[a--b]` is a difference. So nothing is
//! passed through: a construct is either understood here and spelled out, or refused by name.
//!
//! | understood | refused |
//! |---|---|
//! | literals, `\.`, `\Q…\E`, `\t` `\n` `\r` `\f` `\a` `\e` `\xhh` `\x{h…}` `\uhhhh` | `\0` `\c` `\N` |
//! | `.` `\d` `\w` `\s` `\h` `\v` and their opposites, `\p{Alpha}` and its like | `\p{L}`, `\R`, `\X` |
//! | `[a-z_]` `[^…]` | `[a[b]]` `[a&&b]` |
//! | `^` `$` `\A` `\Z` `\z` | `\b` `\B` `\G` |
//! | groups: plain, `(?:` `(?<name>` `(?>` `(?=` `(?!` `(?<=` `(?<!` | back references |
//! | `?` `*` `+` `{n}` `{n,}` `{n,m}`, each greedy, lazy or possessive | |
//! | `(?i)` and `(?s)`, alone or over a group | the other flags |
//!
//! Facts: documentation of `java.util.regex.Pattern`, JDK 17.

use std::fmt;

use fancy_regex::{CompileError, Error, Regex, RegexBuilder};

use self::reader::Reader;
pub use self::replacement::ReplacementError;

mod char_set;
mod reader;
mod replacement;
#[cfg(test)]
mod tests;

/// Steps of the engine for one name before it gives up; Java would go on for as long as it takes.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// As the operator wrote it.
    pub pattern: String,
    /// Where, in characters from 0, as Java counts them.
    pub index: usize,
    /// What.
    pub fault: PatternFault,
}

/// See [`PatternError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternFault {
    /// Something begins and does not end: a group, a class, an escape.
    Unclosed(&'static str),
    /// A `)` without its `(`.
    UnmatchedClose,
    /// A quantifier without something to repeat.
    Dangling(char),
    /// A `{` that is no quantifier, or one with wrong bounds.
    Repetition,
    /// The name of a group is missing, malformed or taken.
    GroupName,
    /// A range whose end is before its begin.
    Range,
    /// An escape that Java does not know either.
    Escape,
    /// Something that Java knows and this version does not.
    Unsupported(String),
    /// Groups are nested too deeply.
    TooLarge,
}

impl fmt::Display for PatternError {
    /// As `PatternSyntaxException.getMessage`: what, the pattern, and a mark below its place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            PatternFault::Unclosed(what) => write!(f, "Unclosed {what}"),
            PatternFault::UnmatchedClose => f.write_str("Unmatched closing ')'"),
            PatternFault::Dangling(sign) => write!(f, "Dangling meta character '{sign}'"),
            PatternFault::Repetition => f.write_str("Illegal repetition"),
            PatternFault::GroupName => f.write_str("Illegal name of a capturing group"),
            PatternFault::Range => f.write_str("Illegal character range"),
            PatternFault::Escape => f.write_str("Illegal/unsupported escape sequence"),
            PatternFault::Unsupported(what) => {
                write!(f, "not supported by this version: {what}")
            }
            PatternFault::TooLarge => {
                f.write_str("not supported by this version: groups nested that deeply")
            }
        }?;
        write!(f, " near index {}\n{}", self.index, self.pattern)?;
        if self.index < self.pattern.chars().count() {
            write!(f, "\n{:>1$}", '^', self.index + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for PatternError {}

/// The engine gave up on a name. The pattern backtracks without end, as `(a*)*b` may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooCostly;

/// What of a text must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it (`Matcher.matches`).
    Whole,
    /// Some part of it (`Matcher.find`).
    Part,
}

/// See the file.
#[derive(Clone, Debug)]
pub struct JavaPattern {
    java: String,
    extent: Extent,
    regex: Regex,
}

impl PartialEq for JavaPattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.java, self.extent) == (&other.java, other.extent)
    }
}

impl Eq for JavaPattern {}

impl JavaPattern {
    /// A pattern for whole texts, in Java's notation (`Matcher.matches`).
    ///
    /// # Errors
    /// [`PatternError`], also for what Java would take and the table of the file refuses.
    pub fn of_whole(java: &str) -> Result<Self, PatternError> {
        Self::new(java, Extent::Whole)
    }

    /// A pattern for parts of texts, in Java's notation (`Matcher.find`).
    ///
    /// # Errors
    /// As [`JavaPattern::of_whole`].
    pub fn of_part(java: &str) -> Result<Self, PatternError> {
        Self::new(java, Extent::Part)
    }

    fn new(java: &str, extent: Extent) -> Result<Self, PatternError> {
        let spelled = Reader::new(java).read()?;
        let spelled = match extent {
            Extent::Whole => format!(r"\A(?:{spelled})\z"),
            Extent::Part => spelled,
        };
        let regex = RegexBuilder::new(&spelled).backtrack_limit(BACKTRACK_LIMIT).build();
        let regex = regex.map_err(|error| {
            let fault = fault_of(&error);
            PatternError { pattern: java.to_owned(), index: 0, fault }
        })?;
        Ok(Self { java: java.to_owned(), extent, regex })
    }

    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.java
    }

    /// Whether `text`, or a part of it, matches.
    ///
    /// # Errors
    /// [`TooCostly`].
    pub fn is_match(&self, text: &str) -> Result<bool, TooCostly> {
        self.regex.is_match(text).map_err(|_| TooCostly)
    }
}

/// What the engine has against a pattern that we understood.
fn fault_of(error: &Error) -> PatternFault {
    if let Error::CompileError(error) = error
        && let CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature =
            error.as_ref()
    {
        return PatternFault::Unsupported("a look-behind of more than one length".to_owned());
    }
    PatternFault::Unsupported(format!("what the engine refuses, saying: {error}"))
}
