//! Collects what is found while a file is checked: problems that refuse it, notices for the log.
//!
//! `strict` turns an unknown property from a warning into a problem.

use std::path::Path;

use super::error::{ConfigError, Problem, Reason, Shown, Subject};
use super::property::Property;
use super::providers::Concealed;

/// Something the log should say about a configuration that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// How loud.
    pub(crate) severity: Severity,
    /// The line to log. Holds no secret.
    pub(crate) text: String,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Accepted; means something else here than in Java, or nothing.
    Info,
    /// Probably not what the author wanted.
    Warning,
}

/// What was found in one file.
#[derive(Debug)]
pub(crate) struct Report {
    strict: bool,
    problems: Vec<Problem>,
    notices: Vec<Notice>,
}

impl Report {
    /// Starts with the `notices` of the reader of the file.
    pub(crate) fn new(strict: bool, notices: Vec<Notice>) -> Self {
        Self { strict, problems: Vec::new(), notices }
    }

    /// Refuses `value` of `name`.
    pub(crate) fn refuse(&mut self, name: &str, value: Shown, reason: Reason) {
        self.problems.push(Problem { name: name.to_owned(), value: Some(value), reason });
    }

    /// Refuses the file because of `name`, whose value says nothing.
    pub(crate) fn problem(&mut self, name: &str, reason: Reason) {
        self.problems.push(Problem { name: name.to_owned(), value: None, reason });
    }

    /// Refuses the file because `name` is not there.
    pub(crate) fn missing(&mut self, name: &str) {
        self.problem(name, Reason::Missing(name.to_owned()));
    }

    /// Notes a property that nobody knows: Java's warning, or a problem when strict. Its value may
    /// be a secret and is not shown.
    pub(crate) fn unknown(&mut self, name: &str, suggestion: Option<String>) {
        if self.strict {
            self.refuse(name, Shown::Hidden, Reason::Unknown(suggestion));
        } else {
            let tail =
                suggestion.map_or_else(String::new, |name| format!(" Did you mean '{name}'?"));
            self.warn(format!(
                "The configuration '{name}' was supplied but isn't a known config.{tail}"
            ));
        }
    }

    /// Adds a line for the log.
    pub(crate) fn info(&mut self, text: impl Into<String>) {
        self.notices.push(Notice { severity: Severity::Info, text: text.into() });
    }

    /// Adds a line for the log that someone should read.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.notices.push(Notice { severity: Severity::Warning, text: text.into() });
    }

    /// Whether anything was refused so far.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Whether one of `properties` was refused so far.
    pub(super) fn has_problems_among(&self, properties: &[Property]) -> bool {
        let is_among =
            |problem: &Problem| properties.iter().any(|known| known.name == problem.name);
        self.problems.iter().any(is_among)
    }

    /// Adds problems that were found elsewhere.
    pub(super) fn add(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Takes out of all texts what providers have filled in.
    pub(super) fn conceal(&mut self, concealed: &Concealed) {
        if concealed.is_empty() {
            return;
        }
        for problem in &mut self.problems {
            problem.conceal(concealed);
        }
        for notice in &mut self.notices {
            notice.text = concealed.without_secrets(&notice.text).into_owned();
        }
    }

    /// Everything that was found.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Notice>) {
        (self.problems, self.notices)
    }

    /// The notices, or every problem together. `value` is what was built; `None` only if there are
    /// problems.
    pub(crate) fn finish<T>(
        self,
        path: &Path,
        subject: Subject,
        value: Option<T>,
    ) -> Result<(T, Vec<Notice>), ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.notices)),
            Some(_) | None => Err(ConfigError::Invalid {
                path: path.to_owned(),
                subject,
                problems: self.problems,
            }),
        }
    }
}
