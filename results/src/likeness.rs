//! What keeps two runs from being compared, named one by one.
//!
//! ```text
//! scenario, seed, document, write concern     what was asked
//! settings                                    each that differs, but for the number of rounds and the list of arms
//! machine                                     processor, cores, memory, kernel, system
//! servers                                     versions, caches, heaps, limits: each that differs
//! ```
//!
//! The number of rounds changes how sure a figure is, not the figure; other arms take turns with this one and do not
//! share its window. Memory may differ by a hundredth: hypervisors take some.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::RunRecord;

/// Settings that may differ.
const FREE_SETTINGS: [&str; 2] = ["rounds", "arms"];

/// A condition under which two runs were not alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Such as `servers.mongodb.cache_gb`.
    pub condition: String,
    /// In the newer run.
    pub new: String,
    /// In the run that it is compared with.
    pub base: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} against {}", self.condition, self.new, self.base)
    }
}

/// All conditions under which two runs were not alike; none if they can be compared.
pub fn differences(new: &RunRecord, base: &RunRecord) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |condition: &str, new: String, base: String| {
        if new != base {
            found.push(Difference { condition: condition.to_owned(), new, base });
        }
    };
    compare("scenario", new.scenario.clone(), base.scenario.clone());
    compare("seed", new.seed.to_string(), base.seed.to_string());
    compare("document bytes", new.document_bytes.to_string(), base.document_bytes.to_string());
    compare("write concern", new.write_concern.clone(), base.write_concern.clone());
    let (here, there) = (&new.machine, &base.machine);
    compare("machine.cpu", here.cpu_model.clone(), there.cpu_model.clone());
    compare("machine.cores", here.cores.to_string(), there.cores.to_string());
    if here.memory_mib.abs_diff(there.memory_mib) * 100 > here.memory_mib {
        let mib = |memory_mib: u64| format!("{memory_mib} MiB");
        compare("machine.memory", mib(here.memory_mib), mib(there.memory_mib));
    }
    compare("machine.kernel", here.kernel.clone(), there.kernel.clone());
    compare("machine.os", here.os.clone(), there.os.clone());
    for (condition, new, base) in leaves_apart("servers", &new.servers, &base.servers) {
        compare(&condition, new, base);
    }
    for (condition, new, base) in settings_apart(new, base) {
        compare(&condition, new, base);
    }
    found
}

/// Settings that differ. Records from before settings were kept tell the size of the backlog by their events.
fn settings_apart(new: &RunRecord, base: &RunRecord) -> Vec<(String, String, String)> {
    match (&new.settings, &base.settings) {
        (Value::Null, Value::Null) => {
            let events = |run: &RunRecord| {
                let most = run.arms.iter().map(|arm| arm.events).max();
                most.unwrap_or(0).to_string()
            };
            vec![("settings.events".to_owned(), events(new), events(base))]
        }
        (Value::Null, _) | (_, Value::Null) => {
            let text = |settings: &Value| {
                (if settings.is_null() { "not recorded" } else { "recorded" }).to_owned()
            };
            vec![("settings".to_owned(), text(&new.settings), text(&base.settings))]
        }
        (new, base) => {
            let without_free = |settings: &Value| {
                let mut settings = settings.clone();
                if let Value::Object(fields) = &mut settings {
                    FREE_SETTINGS.iter().for_each(|name| {
                        fields.remove(*name);
                    });
                }
                settings
            };
            leaves_apart("settings", &without_free(new), &without_free(base))
        }
    }
}

/// `(path, value here, value there)` of each leaf that is not the same.
fn leaves_apart(name: &str, new: &Value, base: &Value) -> Vec<(String, String, String)> {
    let (mut here, mut there) = (BTreeMap::new(), BTreeMap::new());
    collect_leaves(name, new, &mut here);
    collect_leaves(name, base, &mut there);
    let paths: std::collections::BTreeSet<_> = here.keys().chain(there.keys()).cloned().collect();
    let missing = || "not recorded".to_owned();
    paths
        .into_iter()
        .map(|path| {
            let new = here.remove(&path).unwrap_or_else(missing);
            let base = there.remove(&path).unwrap_or_else(missing);
            (path, new, base)
        })
        .filter(|(_, new, base)| new != base)
        .collect()
}

/// Empty objects and nulls have no leaves: a field that a later version added and did not fill makes no difference.
fn collect_leaves(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_leaves(&format!("{path}.{name}"), value, leaves);
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                collect_leaves(&format!("{path}[{place}]"), value, leaves);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            leaves.insert(path.to_owned(), text.clone());
        }
        Value::Bool(_) | Value::Number(_) => {
            leaves.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::synthetic::Synthetic;

    #[test]
    fn a_run_is_like_itself_whatever_it_measured() {
        let (new, base) = (Synthetic::new(1).run(1), Synthetic::new(2).run(2));
        assert_eq!(differences(&new, &base), []);
    }

    #[test]
    fn every_condition_is_named_with_both_values() {
        let base = Synthetic::new(1).run(1);
        type Change = fn(&mut RunRecord);
        let changes: [(&str, Change); 10] = [
            ("scenario", |run| run.scenario = "latency".into()),
            ("seed", |run| run.seed += 1),
            ("document bytes", |run| run.document_bytes *= 2),
            ("write concern", |run| run.write_concern = "majority".into()),
            ("machine.cpu", |run| run.machine.cpu_model = "another".into()),
            ("machine.cores", |run| run.machine.cores += 2),
            ("machine.memory", |run| run.machine.memory_mib *= 2),
            ("machine.kernel", |run| run.machine.kernel = "7".into()),
            ("servers.mongodb.version", |run| run.servers["mongodb"]["version"] = json!("8.0")),
            ("settings.load.writers", |run| run.settings["load"]["writers"] = json!(9)),
        ];
        for (condition, change) in changes {
            let mut new = base.clone();
            change(&mut new);
            let found = differences(&new, &base);
            assert_eq!(found.len(), 1, "{condition}: {found:?}");
            assert_eq!(found[0].condition, condition);
            assert_ne!(found[0].new, found[0].base);
        }
    }

    #[test]
    fn rounds_arms_and_a_hundredth_of_memory_are_free() {
        let base = Synthetic::new(1).run(1);
        let mut new = base.clone();
        new.settings["rounds"] = json!(50);
        new.settings["arms"] = json!(["other"]);
        new.machine.memory_mib += new.machine.memory_mib / 200;
        assert_eq!(differences(&new, &base), []);
    }

    #[test]
    fn a_setting_that_only_one_run_has_is_a_difference() {
        let base = Synthetic::new(1).run(1);
        let mut new = base.clone();
        new.settings["compression"] = json!("lz4");
        let found = differences(&new, &base);
        assert_eq!(found[0].to_string(), "settings.compression: lz4 against not recorded");
        new.settings["compression"] = Value::Null;
        assert_eq!(differences(&new, &base), []);
    }

    #[test]
    fn runs_without_settings_are_told_apart_by_their_backlog() {
        let mut base = Synthetic::new(1).run(1);
        base.settings = Value::Null;
        let mut new = base.clone();
        assert_eq!(differences(&new, &base), []);
        new.arms.iter_mut().for_each(|arm| arm.events /= 2);
        assert_eq!(differences(&new, &base)[0].condition, "settings.events");
    }
}
