//! `startup.mode=copy_existing` and its properties, each under two names.
//!
//! | property                      | deprecated twin              | what it is                          |
//! |-------------------------------|------------------------------|-------------------------------------|
//! | `startup.mode=copy_existing`  | `copy.existing=true`         | copy what is there before streaming |
//! | `startup.mode.copy.existing.` | `copy.existing.`             |                                     |
//! | … `max.threads`               | …                            | connections at a time               |
//! | … `queue.size`                | …                            | not used: memory is bounded in bytes |
//! | … `pipeline`                  | …                            | stages before all else              |
//! | … `namespace.regex`           | …                            | which collections                   |
//! | … `allow.disk.use`            | …                            | `allowDiskUse`                      |
//!
//! A property that is in the file wins over its deprecated twin; `copy.existing` speaks only where `startup.mode` is
//! empty (`MongoSourceConfig.getStartupConfig` of 2.0.1).

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use millrace_core::java_pattern::JavaPattern;

use super::error::{Reason, Shown};
use super::extended_json::stages_from_json;
use super::property::Values;
use super::report::Report;

const PREFIX: &str = "startup.mode.copy.existing.";
const DEPRECATED_PREFIX: &str = "copy.existing.";

/// How existing documents are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyExisting {
    /// Stages before all else, each a BSON document.
    pub(crate) pipeline: Vec<Vec<u8>>,
    /// Only collections in whose `database.collection` it finds a part.
    pub(crate) namespace_regex: Option<JavaPattern>,
    /// `allowDiskUse`.
    pub(crate) allow_disk_use: bool,
    /// Connections at a time.
    pub(crate) threads_max: usize,
}

impl CopyExisting {
    /// All documents that are watched, as the properties' defaults say.
    pub(super) fn everything() -> Self {
        Self {
            pipeline: Vec::new(),
            namespace_regex: None,
            allow_disk_use: true,
            threads_max: processors(),
        }
    }
}

/// Java's default of `max.threads`.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Whether existing documents are to be copied.
pub(super) fn is_wanted(values: &Values) -> bool {
    match values.text("startup.mode") {
        "" => values.boolean("copy.existing"),
        mode => mode.eq_ignore_ascii_case("copy_existing"),
    }
}

/// Reports what is wrong with the properties of a copy, wanted or not, as Java does.
pub(super) fn check(values: &Values, report: &mut Report) {
    for prefix in [PREFIX, DEPRECATED_PREFIX] {
        let name = format!("{prefix}pipeline");
        let text = values.text(&name);
        if let (false, Err(error)) = (text.is_empty(), stages_from_json(text)) {
            report.refuse(&name, Shown::Text(text.to_owned()), Reason::NotAPipeline(error));
        }
        let name = format!("{prefix}namespace.regex");
        let text = values.text(&name);
        if let (false, Err(error)) = (text.is_empty(), JavaPattern::of_part(text)) {
            report.refuse(&name, Shown::Text(text.to_owned()), Reason::NotARegex(error));
        }
    }
}

/// What `given` says of the copy. `None`: something is wrong, and [`check`] has reported it.
pub(super) fn parse(given: &BTreeMap<String, String>, values: &Values) -> Option<CopyExisting> {
    let name = |property: &str| {
        let name = format!("{PREFIX}{property}");
        if given.contains_key(&name) { name } else { format!("{DEPRECATED_PREFIX}{property}") }
    };
    let stages = match values.text(&name("pipeline")) {
        "" => Vec::new(),
        text => stages_from_json(text).ok()?,
    };
    let namespace_regex = match values.text(&name("namespace.regex")) {
        "" => None,
        text => Some(JavaPattern::of_part(text).ok()?),
    };
    let threads = values.integer(&name("max.threads"));
    Some(CopyExisting {
        pipeline: stages,
        namespace_regex,
        allow_disk_use: values.boolean(&name("allow.disk.use")),
        threads_max: threads
            .and_then(|threads| usize::try_from(threads).ok())
            .unwrap_or_else(processors),
    })
}

/// Says which properties have no effect because nothing is copied.
pub(super) fn warn_of_idle(given: &BTreeMap<String, String>, report: &mut Report) {
    for name in given.keys() {
        if name.starts_with(PREFIX) || name.starts_with(DEPRECATED_PREFIX) {
            report.warn(format!("{name} has no effect without startup.mode=copy_existing"));
        }
    }
}
