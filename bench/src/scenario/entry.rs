//! One who takes part in a scenario: an arm, and properties of the worker that it gets beyond its own.
//!
//! ```text
//! node-bson                              the arm as it is
//! node-bson+io.driver=epoll              with a property of the worker, as in its file
//! node-json+io.driver=epoll+a.b=c        with several
//! connector-tuned+in-the-clear           without TLS, in a scenario that needs it: beside the same arm with TLS
//! ```
//!
//! The whole is its name in records, so that two ways of running the node are two arms of one run. Only the node takes
//! properties: the rivals have their own settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Arm, Feature};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Entry {
    /// What is run.
    pub arm: Arm,
    /// Names and values of worker properties.
    pub worker_settings: Vec<(String, String)>,
    /// Whether it connects in the clear where arms encrypt.
    pub in_the_clear: bool,
}

/// What says so behind the name of an arm.
const IN_THE_CLEAR: &str = "in-the-clear";

impl Entry {
    /// Why it cannot take part in a scenario that takes `feature`, if it cannot.
    pub fn lacks(&self, feature: Feature) -> Option<&'static str> {
        let is_moot = self.in_the_clear && feature == Feature::Tls;
        if is_moot { None } else { self.arm.lacks(feature) }
    }
}

impl From<Arm> for Entry {
    fn from(arm: Arm) -> Self {
        Self { arm, worker_settings: Vec::new(), in_the_clear: false }
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('+');
        let name = parts.next().unwrap_or_default();
        let arm = Arm::named(name);
        let arm = arm.ok_or_else(|| format!("no arm {name:?}: see `millrace bench list`"))?;
        let (in_the_clear, parts): (Vec<_>, Vec<_>) = parts.partition(|part| *part == IN_THE_CLEAR);
        let in_the_clear = !in_the_clear.is_empty();
        let settings = parts.into_iter().map(|part| {
            let setting = part.split_once('=').filter(|(property, _)| !property.is_empty());
            let (property, value) = setting
                .ok_or_else(|| format!("{part:?} in {text:?} is no property=value of a worker"))?;
            Ok((property.to_owned(), value.to_owned()))
        });
        let worker_settings = settings.collect::<Result<Vec<_>, String>>()?;
        if !worker_settings.is_empty() && !arm.is_node() {
            return Err(format!("{name} takes no properties of a worker: only the node's arms do"));
        }
        Ok(Self { arm, worker_settings, in_the_clear })
    }
}

impl TryFrom<String> for Entry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// As records name it.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arm.name())?;
        if self.in_the_clear {
            write!(f, "+{IN_THE_CLEAR}")?;
        }
        self.worker_settings.iter().try_for_each(|(name, value)| write!(f, "+{name}={value}"))
    }
}

impl From<Entry> for String {
    fn from(entry: Entry) -> Self {
        entry.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_written_as_it_is_read() {
        for text in [
            "node-bson",
            "node-json+io.driver=epoll",
            "node-bson+a=b=c+d.e=",
            "debezium+in-the-clear",
            "node-json+in-the-clear+a=b",
        ] {
            let entry: Entry = text.parse().expect("an entry");
            assert_eq!(entry.to_string(), text);
        }
        let entry: Entry = "node-json+io.driver=epoll".parse().expect("an entry");
        assert_eq!(entry.worker_settings, [("io.driver".to_owned(), "epoll".to_owned())]);
    }

    #[test]
    fn who_connects_in_the_clear_lacks_no_tls_and_nothing_else_is_forgiven() {
        let line: Entry = "straight-line+in-the-clear".parse().expect("an entry");
        assert!(line.lacks(Feature::Tls).is_none() && line.lacks(Feature::Lookup).is_some());
        assert!(Entry::from(Arm::StraightLine).lacks(Feature::Tls).is_some());
    }

    #[test]
    fn what_is_no_entry_says_why() {
        for (text, why) in [
            ("node-xml", "no arm \"node-xml\""),
            ("node-json+io.driver", "no property=value"),
            ("node-json+=epoll", "no property=value"),
            ("node-json+", "no property=value"),
            ("null-reader+io.driver=epoll", "takes no properties"),
        ] {
            let error = text.parse::<Entry>().expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
    }
}
