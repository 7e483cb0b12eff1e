//! What a run of the oracle found, for people, for machines, and kept.
//!
//! ```text
//! results/records/baselines/oracle.jsonl     a line for each run; the last says what COMPAT.md says
//! ```

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use millrace_results::baselines::Kind;
use millrace_results::machine::Commit;
use millrace_results::store::Store;
use millrace_results::table::thousands;
use serde::{Deserialize, Serialize};

use super::combination::Combination;

/// Of [`Verdict`] as JSON.
pub const SCHEMA_VERSION: u32 = 1;
/// So many mismatches are shown to people.
const SHOWN_MAX: usize = 10;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When, in UTC.
    pub started_at: String,
    /// Of what.
    pub commit: Commit,
    /// Version of the MongoDB connector.
    pub connector: String,
    /// Version of Kafka Connect.
    pub connect: String,
    /// Major version of the Java that ran it.
    pub java: u32,
    /// Version of the server.
    pub mongodb: String,
    /// Version of the broker, if it is known.
    pub kafka: Option<String>,
    /// Of everything that was drawn.
    pub seed: u64,
    /// The combinations, as they are listed.
    pub combinations: Vec<String>,
    /// How many of them were run.
    pub combinations_run: usize,
    /// Records of Java's that were to be compared at least.
    pub events_asked: u64,
    /// Records of Java's that were compared.
    pub events: u64,
    /// Heartbeats of Java's whose shape was compared. Not among the events.
    #[serde(default)]
    pub heartbeats: u64,
    /// Pairs of stored positions that were compared.
    pub positions: u64,
    /// Documents and commands that were written.
    pub written: u64,
    /// Writes that the server refused.
    pub refused: u64,
    /// What some record of Java's should have shown and none did.
    pub not_shown: Vec<String>,
    /// What differs; one for each topic and partition at most, with its first record.
    pub mismatches: Vec<Mismatch>,
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The combination as it is listed; `None` if it is not about one.
    pub combination: Option<String>,
    /// Where, what and how.
    pub text: String,
}

impl Verdict {
    pub(super) fn found(&mut self, combination: &Combination, text: String) {
        self.mismatches.push(Mismatch { combination: Some(combination.to_string()), text });
    }

    /// Whether nothing differs, all that was asked for was compared, and that was of every kind.
    pub fn is_good(&self) -> bool {
        self.mismatches.is_empty()
            && self.not_shown.is_empty()
            && self.combinations_run == self.combinations.len()
            && self.events_asked <= self.events
    }

    /// The last run whose verdict is kept in the folder `records`.
    ///
    /// # Errors
    /// When a line of the file cannot be read.
    pub fn last(records: &Path) -> Result<Option<Self>> {
        let mut all: Vec<Self> = Store::at(records).baselines().read(Kind::Oracle)?;
        Ok(all.pop())
    }

    /// What COMPAT.md says of it.
    pub fn summary(&self) -> String {
        let dirty = if self.commit.dirty { " with changes" } else { "" };
        let rows = [
            ("date, commit", format!("{}, {}{dirty}", self.started_at, self.commit.describe)),
            ("MongoDB connector", self.connector.clone()),
            ("Kafka Connect, on Java", format!("{}, {}", self.connect, self.java)),
            ("MongoDB", self.mongodb.clone()),
            ("combinations of properties", self.combinations_run.to_string()),
            ("events compared", thousands(self.events)),
            ("heartbeats compared, by shape", thousands(self.heartbeats)),
            ("positions compared", thousands(self.positions)),
            ("mismatches", thousands(self.mismatches.len() as u64)),
        ];
        let rows = rows.map(|(name, value)| format!("| {name} | {value} |\n"));
        format!("| last run of `millrace bench run oracle` | |\n|---|---|\n{}", rows.concat())
    }

    /// For people: the combinations, the numbers, the first mismatches.
    pub fn text(&self) -> String {
        let mut text = format!(
            "MongoDB connector {}, Kafka Connect {}, Java {}, MongoDB {}, seed {}\n\n",
            self.connector, self.connect, self.java, self.mongodb, self.seed
        );
        for combination in &self.combinations {
            let _ = writeln!(text, "{combination}");
        }
        let of = self.combinations.len() as u64;
        let asked = if self.events < self.events_asked {
            format!(", {} were asked for", thousands(self.events_asked))
        } else {
            String::new()
        };
        let _ = write!(
            text,
            "\ncombinations run   {:>10} of {of}\nevents compared    {:>10}{asked}\nheartbeats         {:>10}, by shape\n\
             positions compared {:>10}\n\
             operations         {:>10}, {} more refused by the server\nmismatches         {:>10}\n",
            self.combinations_run,
            thousands(self.events),
            thousands(self.heartbeats),
            thousands(self.positions),
            thousands(self.written),
            thousands(self.refused),
            thousands(self.mismatches.len() as u64),
        );
        if !self.not_shown.is_empty() {
            let _ = writeln!(text, "never in Java's records: {}", self.not_shown.join(" "));
        }
        for Mismatch { combination, text: found } in self.mismatches.iter().take(SHOWN_MAX) {
            let combination = combination.as_deref().unwrap_or("the worker");
            let _ = write!(text, "\n{combination}\n  {found}\n");
        }
        if SHOWN_MAX < self.mismatches.len() {
            let _ =
                writeln!(text, "\nand {} more: --json has all", self.mismatches.len() - SHOWN_MAX);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        Verdict {
            schema_version: SCHEMA_VERSION,
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            commit: Commit { describe: "abc".to_owned(), dirty: false },
            connector: "2.0.1".to_owned(),
            connect: "4.1.0".to_owned(),
            java: 17,
            mongodb: "6.0.27".to_owned(),
            kafka: None,
            seed: 1,
            combinations: vec!["c01  key=text".to_owned(), "c02  key=bson".to_owned()],
            combinations_run: 2,
            events_asked: 1_000,
            events: 1_000,
            heartbeats: 3,
            positions: 2,
            written: 5,
            refused: 1,
            not_shown: Vec::new(),
            mismatches: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_good_when_nothing_differs_and_enough_was_compared() {
        assert!(verdict().is_good());
        assert!(!Verdict { events: 999, ..verdict() }.is_good());
        assert!(!Verdict { combinations_run: 1, ..verdict() }.is_good());
        assert!(!Verdict { not_shown: vec!["NaN".to_owned()], ..verdict() }.is_good());
        let differs = vec![Mismatch { combination: None, text: "x".to_owned() }];
        assert!(!Verdict { mismatches: differs, ..verdict() }.is_good());
    }

    #[test]
    fn the_text_lists_combinations_numbers_and_the_first_mismatches() {
        let one =
            Mismatch { combination: Some("c02  key=bson".to_owned()), text: "byte 7".to_owned() };
        let many = Verdict { mismatches: vec![one; 12], events: 123_456, ..verdict() };
        let text = many.text();
        for part in [
            "c01  key=text\n",
            "123,456",
            "mismatches                 12",
            "c02  key=bson\n  byte 7",
            "and 2 more",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
}
