//! `millrace report`: all records as one HTML file that needs no server and no network.
//!
//! ```text
//! store ─► Report ─┬─ newest run of each scenario, whole      ─► view ─► arm_table, rivals, latency,
//!                  │                                                     timeline, parts, rounds
//!                  └─ older runs, figures of their arms alone ─► history
//!                                         charts ─► chart: axes, lines, bars; SVG inside the page
//! ```
//!
//! Nothing is hidden: an arm that does not count is named with its reason wherever it would have had a figure, and a
//! line of the records that cannot be read stands at the top of the page. Nothing is shown that does not count: see
//! [`standing`].

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use self::history::PastRun;
use self::look::Looks;
use self::page::Section;
use self::view::View;
use crate::record::RunRecord;
use crate::store::Store;

mod answer;
mod arm_table;
mod chart;
mod history;
mod latency;
mod look;
mod number;
mod page;
mod parts;
mod rivals;
mod rounds;
mod standing;
mod statement;
#[cfg(test)]
mod tests;
mod timeline;
mod view;

/// What all records say, ready to be written.
#[derive(Debug, Default)]
pub struct Report {
    scenarios: BTreeMap<String, Scenario>,
    unreadable: Vec<String>,
}

/// The runs of one scenario.
#[derive(Debug)]
struct Scenario {
    newest: RunRecord,
    /// Oldest first, the newest included.
    runs: Vec<PastRun>,
}

/// The newest run of a scenario in a few words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The scenario.
    pub scenario: String,
    /// Runs in the records.
    pub runs: usize,
    /// When the newest of them began, UTC.
    pub started_at: String,
    /// Its sources.
    pub commit: String,
    /// What it was to find out.
    pub question: String,
    /// What it found, in a sentence.
    pub answer: String,
    /// Arms whose figures count.
    pub counting: Vec<String>,
    /// The others, each with its reason.
    pub not_counting: BTreeMap<String, String>,
}

impl Report {
    /// All that lies in `store`. A record that cannot be read is noted and the rest is read on; it is an error only if
    /// the folder itself cannot be read. Holds one whole run of each scenario in memory, and of the others little.
    pub fn read(store: &Store) -> Result<Self> {
        let mut report = Self::default();
        for scenario in store.scenarios()? {
            for run in store.runs(&scenario)? {
                match run {
                    Ok(run) => report.add(run),
                    Err(error) => report.unreadable.push(format!("{error:#}")),
                }
            }
        }
        Ok(report)
    }

    /// Adds a run, in any order of time; of two that began in the same second the later added is the newer.
    pub fn add(&mut self, run: RunRecord) {
        let past = PastRun::of(&run);
        match self.scenarios.get_mut(&run.scenario) {
            None => {
                let name = run.scenario.clone();
                self.scenarios.insert(name, Scenario { newest: run, runs: vec![past] });
            }
            Some(scenario) => {
                let place =
                    scenario.runs.partition_point(|other| other.started_at <= past.started_at);
                scenario.runs.insert(place, past);
                if scenario.newest.started_at <= run.started_at {
                    scenario.newest = run;
                }
            }
        }
    }

    /// Whether there is no run at all.
    pub fn is_empty(&self) -> bool {
        self.scenarios.is_empty()
    }

    /// Lines of the records that could not be read, each with its place and the reason.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The newest run of each scenario, by name.
    pub fn summaries(&self) -> Vec<Summary> {
        self.scenarios.values().map(Scenario::summary).collect()
    }

    /// The page. `written_at` is UTC as in records; `change_points` gets the figures of an arm over runs that are
    /// alike, oldest first, and tells the indices at which a new level begins.
    pub fn html(&self, written_at: &str, change_points: &dyn Fn(&[f64]) -> Vec<usize>) -> String {
        let sections: Vec<Section<'_>> = self
            .scenarios
            .values()
            .map(|scenario| Section { newest: &scenario.newest, runs: &scenario.runs })
            .collect();
        page::html(&sections, &self.unreadable, written_at, change_points).into_string()
    }
}

impl Scenario {
    fn summary(&self) -> Summary {
        let looks = Looks::default();
        let view = View::new(&self.newest, &looks, String::new());
        Summary {
            scenario: self.newest.scenario.clone(),
            runs: self.runs.len(),
            started_at: self.newest.started_at.clone(),
            commit: self.newest.commit.describe.clone(),
            question: self.newest.question.clone(),
            answer: answer::sentence(&view),
            counting: view.arms.iter().map(|arm| arm.name().to_owned()).collect(),
            not_counting: view
                .absent()
                .into_iter()
                .map(|(name, why)| (name.to_owned(), why))
                .collect(),
        }
    }
}
