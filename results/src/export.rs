//! Records in the formats of other tools.
//!
//! ```text
//! csv    all runs of a scenario, one row for each round           spreadsheets, R, pandas, Otava
//! omb    one JSON for each arm and offered rate                    charts of the OpenMessaging benchmark
//! hgrm   one percentile text for each arm and offered rate         plotters of HdrHistogram
//! ```
//!
//! CSV holds every round and says which do not count. The other two formats have no place for that: arms that are not
//! valid are left out.

use crate::record::{ArmRecord, RunRecord};

pub mod csv;
pub mod hgrm;
pub mod omb;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Without a folder: `drain-node-json.hgrm`.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// `text` of each valid arm at each offered rate where there is one, under names that end with `extension`.
fn per_arm(
    run: &RunRecord,
    extension: &str,
    text: impl Fn(&ArmRecord, Option<f64>) -> Option<String>,
) -> Vec<ExportFile> {
    let mut files = Vec::new();
    for arm in run.arms.iter().filter(|arm| arm.valid) {
        for offered in arm.offered_rates() {
            let at = offered.map_or(String::new(), |rate| format!("-{rate}"));
            let name = format!("{}-{}{at}.{extension}", run.scenario, arm.name);
            files.extend(text(arm, offered).map(|text| ExportFile { name, text }));
        }
    }
    files
}
