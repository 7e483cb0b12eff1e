//! What goes wrong during a load, each at its time, and put right at its time.
//!
//! ```text
//! start ──── at_s: inject ════ until_s: undo ────        each fault by itself, so they may overlap
//!            └────────── mark ──────────────┘            when it really held, not when it was meant to
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use millrace_results::record::Mark;
use millrace_testbed::Testbed;
use tokio::time::sleep_until;

use crate::scenario::FaultStep;

/// Does all of `steps`, whose seconds count from `start`, and returns what really happened, earliest first.
///
/// # Errors
/// When a fault cannot be done or undone. One that was done meanwhile stays until the servers end.
pub async fn run(testbed: &Testbed, steps: &[FaultStep], start: Instant) -> Result<Vec<Mark>> {
    let marks = steps.iter().map(|step| run_one(testbed, step, start));
    let mut marks = try_join_all(marks).await?;
    marks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    Ok(marks)
}

async fn run_one(testbed: &Testbed, step: &FaultStep, start: Instant) -> Result<Mark> {
    let moment = |s: u32| (start + Duration::from_secs(s.into())).into();
    let since_start = || Instant::now().saturating_duration_since(start).as_secs_f64();
    sleep_until(moment(step.at_s)).await;
    let at_s = since_start();
    let injected = testbed.inject(&step.fault).await?;
    if let Some(until_s) = step.until_s {
        sleep_until(moment(until_s)).await;
    }
    let what = what(step);
    injected.undo(testbed).await.with_context(|| format!("could not undo: {what}"))?;
    Ok(Mark { at_s, until_s: Some(since_start()), what })
}

/// `kill primary`: the words of the scenario.
fn what(step: &FaultStep) -> String {
    let fields = serde_json::to_value(&step.fault).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(|field| field.as_str()).unwrap_or_default();
    format!("{} {}", text("fault"), text("target")).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use millrace_testbed::faults::{Fault, Target};

    use super::*;

    #[test]
    fn a_mark_says_what_the_scenario_says() {
        let step = |fault| FaultStep { at_s: 0, until_s: None, fault };
        assert_eq!(what(&step(Fault::Kill { target: Target::Primary })), "kill primary");
        assert_eq!(what(&step(Fault::Election)), "election");
    }
}
