//! What is logged, and how that is changed while the process runs.
//!
//! Loggers have the names of this program's modules (`millrace`, `mongodb`, `rskafka`) and one more, `root`, for
//! everything else. Names of Connect's and the connector's packages mean `millrace`, so that what an operator knows by
//! heart works. Times are milliseconds since 1970.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// What is logged where `RUST_LOG` says nothing.
const DEFAULT: &str = "info,mongodb=warn,rskafka=error";
/// The logger of everything that has no other.
const ROOT: &str = "root";
/// Packages of Java that stand for this program.
const JAVA: [&str; 2] = ["org.apache.kafka", "com.mongodb.kafka"];

/// How much a logger says, in the words of log4j.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    Off,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    All,
}

impl Level {
    const ALL: [(&'static str, Self); 8] = [
        ("OFF", Self::Off),
        ("FATAL", Self::Fatal),
        ("ERROR", Self::Error),
        ("WARN", Self::Warn),
        ("INFO", Self::Info),
        ("DEBUG", Self::Debug),
        ("TRACE", Self::Trace),
        ("ALL", Self::All),
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }

    /// As a filter has it; nothing is worse than an error here.
    fn directive(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Fatal | Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace | Self::All => "trace",
        }
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, level)| *level).ok_or(())
    }
}

/// A level and when it was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LoggerLevel {
    pub(crate) level: Level,
    pub(crate) last_modified: Option<u64>,
}

/// Every logger whose level was set.
pub(crate) struct Loggers {
    levels: Mutex<BTreeMap<String, LoggerLevel>>,
    /// Directives of `RUST_LOG` that are more than a name and a level. They stay.
    further: Vec<String>,
    apply: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

/// Logs to stderr, at `info` unless `RUST_LOG` says otherwise; coloured on a terminal that wants it.
pub(crate) fn start() -> Loggers {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let usable = !directives.is_empty() && EnvFilter::try_new(&directives).is_ok();
    let directives = if usable { directives } else { DEFAULT.to_owned() };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&directives))
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    Loggers::new(&directives, move |filter| {
        handle.reload(filter).map_err(|error| error.to_string())
    })
}

impl Loggers {
    fn new(
        directives: &str,
        apply: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let (mut levels, mut further) = (BTreeMap::new(), Vec::new());
        let root = LoggerLevel { level: Level::Error, last_modified: None };
        levels.insert(ROOT.to_owned(), root);
        for directive in directives.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let (name, level) = directive.split_once('=').unwrap_or((ROOT, directive));
            match level.parse() {
                Ok(level) => {
                    levels.insert(name.to_owned(), LoggerLevel { level, last_modified: None });
                }
                Err(()) => further.push(directive.to_owned()),
            }
        }
        Self { levels: Mutex::new(levels), further, apply: Box::new(apply) }
    }

    /// All of them by name.
    pub(crate) fn all(&self) -> BTreeMap<String, LoggerLevel> {
        self.levels().clone()
    }

    /// One of them.
    pub(crate) fn level(&self, name: &str) -> Option<LoggerLevel> {
        let name = if name.eq_ignore_ascii_case(ROOT) { ROOT } else { name };
        self.levels().get(name).copied()
    }

    /// Sets a logger and those whose names begin with its name; `root` means all. Returns the names of those that had
    /// another level.
    ///
    /// # Errors
    /// When the name cannot be one of a logger.
    pub(crate) fn set(&self, name: &str, level: Level) -> Result<Vec<String>, String> {
        let is_root = name.eq_ignore_ascii_case(ROOT);
        let is_name = |char: char| char.is_ascii_alphanumeric() || "_.:$-".contains(char);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("'{name}' cannot be the name of a logger"));
        }
        let mut levels = self.levels();
        let mut new = levels.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last_modified = u64::try_from(now.as_millis()).ok();
        let name = if is_root { ROOT } else { name };
        let effective = effective(&levels, name);
        new.entry(name.to_owned()).or_insert(LoggerLevel { level: effective, last_modified: None });
        let mut changed = Vec::new();
        for (other, set) in &mut new {
            if (is_root || other.starts_with(name)) && set.level != level {
                *set = LoggerLevel { level, last_modified };
                changed.push(other.clone());
            }
        }
        let filter =
            EnvFilter::try_new(self.directives(&new)).map_err(|error| error.to_string())?;
        (self.apply)(filter)?;
        *levels = new;
        Ok(changed)
    }

    fn directives(&self, levels: &BTreeMap<String, LoggerLevel>) -> String {
        let mut directives = self.further.clone();
        for (name, LoggerLevel { level, .. }) in levels {
            let level = level.directive();
            directives.push(match name.as_str() {
                ROOT => level.to_owned(),
                name if JAVA.iter().any(|package| name.starts_with(package)) => {
                    format!("millrace={level}")
                }
                name => format!("{}={level}", name.replace('.', "::")),
            });
        }
        directives.join(",")
    }

    fn levels(&self) -> MutexGuard<'_, BTreeMap<String, LoggerLevel>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The level of the nearest logger above a name.
fn effective(levels: &BTreeMap<String, LoggerLevel>, name: &str) -> Level {
    let mut above = name;
    while let Some((package, _)) = above.rsplit_once('.') {
        if let Some(logger) = levels.get(package) {
            return logger.level;
        }
        above = package;
    }
    levels.get(ROOT).map_or(Level::Error, |root| root.level)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Loggers, and the filter that was applied last.
    fn loggers(directives: &str) -> (Loggers, Arc<Mutex<String>>) {
        let applied = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&applied);
        let loggers = Loggers::new(directives, move |filter| {
            *last.lock().unwrap() = filter.to_string();
            Ok(())
        });
        (loggers, applied)
    }

    fn is_level(loggers: &Loggers, name: &str, level: Level) -> bool {
        loggers.level(name).is_some_and(|logger| logger.level == level)
    }

    #[test]
    fn loggers_begin_as_the_directives_say() {
        let (loggers, _) = loggers("debug,mongodb=warn,a[span]=info");
        assert!(
            is_level(&loggers, "ROOT", Level::Debug) && is_level(&loggers, "mongodb", Level::Warn)
        );
        assert!(loggers.all().values().all(|logger| logger.last_modified.is_none()));
        assert_eq!(loggers.level("rskafka"), None);
    }

    #[test]
    fn level_is_set_for_a_name_and_what_begins_with_it_and_root_means_all() {
        let (loggers, applied) = loggers(DEFAULT);
        assert_eq!(loggers.set("mongodb", Level::Trace), Ok(vec!["mongodb".to_owned()]));
        assert!(applied.lock().unwrap().contains("mongodb=trace"));
        let package = "com.mongodb.kafka.connect";
        assert_eq!(loggers.set(package, Level::Debug), Ok(vec![package.to_owned()]));
        assert!(applied.lock().unwrap().contains("millrace=debug"));
        assert_eq!(loggers.set("com.mongodb", Level::Warn).unwrap().len(), 2);
        assert_eq!(loggers.set("Root", Level::Off).unwrap().len(), loggers.all().len());
        assert!(is_level(&loggers, package, Level::Off));
        assert!(loggers.level("root").unwrap().last_modified.is_some());
    }

    #[test]
    fn a_logger_that_has_the_level_already_is_not_changed() {
        let (loggers, _) = loggers("info");
        assert_eq!(loggers.set("com.example", Level::Info), Ok(vec![]));
        let same = LoggerLevel { level: Level::Info, last_modified: None };
        assert_eq!(loggers.level("com.example"), Some(same));
        assert_eq!(loggers.set("com.example", Level::Warn).unwrap(), ["com.example"]);
        assert_eq!(loggers.set("com.example", Level::Warn), Ok(vec![]));
        assert_eq!(loggers.set("com.example.one", Level::Warn), Ok(vec![]));
        assert_eq!(loggers.set("root", Level::Warn).unwrap(), ["root"]);
    }

    #[test]
    fn name_that_is_none_is_refused_and_changes_nothing() {
        let (loggers, applied) = loggers(DEFAULT);
        for name in ["", "a=b", "a,b", "a[b]"] {
            assert!(loggers.set(name, Level::Info).is_err(), "{name}");
        }
        assert_eq!(*applied.lock().unwrap(), "");
        assert_eq!(loggers.all().len(), 3);
    }
}
