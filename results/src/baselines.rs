//! What runs are held against: `results/records/baselines/<kind>.jsonl`, appended and never rewritten.
//!
//! ```text
//! counts.jsonl        exact counts that were accepted, the last line counts
//! noise.jsonl         noise floors, the last of a scenario counts
//! oracle.jsonl        what the oracle found, the last line counts
//! predictions.jsonl   what the planner foretold for its held-out rung, and what was measured
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store;

/// The files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::gate::counts::CountsRecord`].
    Counts,
    /// [`crate::noise::NoiseRecord`].
    Noise,
    /// What runs of the oracle found: a type of the rig's.
    Oracle,
    /// [`crate::plan::PredictionRecord`].
    Predictions,
}

/// A folder of baselines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baselines {
    folder: PathBuf,
}

impl Baselines {
    /// Those in `folder`, which is made with the first of them.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where those of a kind are.
    pub fn path(&self, kind: Kind) -> PathBuf {
        self.folder.join(match kind {
            Kind::Counts => "counts.jsonl",
            Kind::Noise => "noise.jsonl",
            Kind::Oracle => "oracle.jsonl",
            Kind::Predictions => "predictions.jsonl",
        })
    }

    /// Appends one line, on disk when this returns, and tells to which file.
    pub fn append<T: Serialize>(&self, kind: Kind, record: &T) -> Result<PathBuf> {
        let path = self.path(kind);
        let append = || {
            let line = serde_json::to_string(record)?;
            anyhow::Ok(store::append_line(&path, &line)?)
        };
        append().with_context(|| format!("cannot append a baseline to {}", path.display()))?;
        Ok(path)
    }

    /// All of a kind, oldest first; none if there never was one.
    pub fn read<T: DeserializeOwned>(&self, kind: Kind) -> Result<Vec<T>> {
        let path = self.path(kind);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let parse = |(number, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("cannot read the baseline at {}:{number}", path.display()))
        };
        lines.map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Folder;

    #[test]
    fn what_was_appended_is_read_in_order_and_a_torn_line_is_named() {
        let folder = Folder::new("baselines");
        let baselines = Baselines::at(folder.path());
        assert!(baselines.read::<u32>(Kind::Noise).unwrap().is_empty());
        for number in [3_u32, 1, 2] {
            baselines.append(Kind::Noise, &number).unwrap();
        }
        baselines.append(Kind::Counts, &9_u32).unwrap();
        assert_eq!(baselines.read::<u32>(Kind::Noise).unwrap(), [3, 1, 2]);
        baselines.append(Kind::Noise, &"a text").unwrap();
        let error = format!("{:#}", baselines.read::<u32>(Kind::Noise).unwrap_err());
        assert!(error.contains("noise.jsonl:4"), "{error}");
    }
}
