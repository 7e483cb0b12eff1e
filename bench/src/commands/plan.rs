//! `millrace plan`: what a load will need, from measured runs.

use anyhow::Result;
use clap::Args;
use millrace_results::baselines::Kind;
use millrace_results::plan::{self, Demand, Evidence, text};
use millrace_results::store::Store;

use super::{Outcome, print};

pub(super) const EXAMPLES: &str = "Examples:
  millrace plan --events-per-s 50000
  millrace plan --events-per-s 50000 --document-bytes 1024 --p99-ms 50 --outage-h 24 --json

It reads the newest runs of `millrace bench run connectors` and `millrace bench run ladder`.";

/// Options of `millrace plan`.
#[derive(Debug, Args)]
pub struct Options {
    /// Changes per second, at the busiest
    #[arg(long, value_name = "N", value_parser = above_zero)]
    events_per_s: f64,
    /// Size of a document; as measured without it
    #[arg(long, value_name = "BYTES", value_parser = above_zero)]
    document_bytes: Option<f64>,
    /// Latency that 99 of 100 events may have
    #[arg(long, value_name = "MS", value_parser = above_zero)]
    p99_ms: Option<f64>,
    /// Hours that the node may be away without losing its place in the oplog
    #[arg(long, value_name = "HOURS", value_parser = above_zero)]
    outage_h: Option<f64>,
    /// The arm of the runs
    #[arg(long, default_value = "node-json")]
    arm: String,
    /// Keep the prediction of the held-out rung and its error beside the records
    #[arg(long)]
    keep: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: Options) -> Result<Outcome> {
    let Options { events_per_s, document_bytes, p99_ms, outage_h, arm, keep, json } = options;
    let store = Store::locate()?;
    let demand = Demand { events_per_s, document_bytes, p99_ms, outage_h };
    let evidence = Evidence::newest(&store, &arm)?;
    let plan = plan::plan(demand, &evidence, &arm)?;
    if keep {
        let path = store.baselines().append(Kind::Predictions, &plan.prediction_record())?;
        tracing::info!("prediction appended to {}", path.display());
    }
    print(json, || Ok(serde_json::to_value(&plan)?), || text::text(&plan))?;
    Ok(Outcome::Done)
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let good = 0.0 < value && value.is_finite();
    good.then_some(value).ok_or_else(|| "it must be above zero".to_owned())
}
