//! `millrace bench run oracle`: the MongoDB connector and the node on the same changes.

use std::path::PathBuf;

use anyhow::Result;
use millrace_results::baselines::Kind;
use millrace_results::store::Store;
use millrace_testbed::Servers;
use serde_json::{Value, json};

use super::{Outcome, print, stop_on_ctrl_c};
use crate::arm;
use crate::oracle::Oracle;

/// What stands for a scenario's name.
pub(super) const NAME: &str = "oracle";
const QUESTION: &str =
    "Does the node write what the MongoDB connector writes, byte for byte, whatever is configured?";

/// What of the options of `bench run` is taken.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) events: Option<u64>,
    pub(super) seed: Option<u64>,
    pub(super) servers: Servers,
    pub(super) binary: Option<PathBuf>,
    pub(super) json: bool,
}

/// Its element of `bench list --json`.
pub(super) fn row() -> Value {
    let size = format!("{} events", Oracle::new(PathBuf::new()).events);
    json!({ "name": NAME, "question": QUESTION, "arms": ["connector", "node"], "needs": [], "size": size, "rounds": 1 })
}

/// Its lines of `bench list`.
pub(super) fn line() -> String {
    let Oracle { combinations, events, .. } = Oracle::new(PathBuf::new());
    format!(
        "{NAME:<16} {QUESTION}\n{:<16} {events} events, {combinations} combinations of properties\n",
        ""
    )
}

pub(super) async fn run(options: Options) -> Result<Outcome> {
    let Options { events, seed, servers, binary, json } = options;
    let mut oracle = Oracle::new(binary.map_or_else(arm::own_binary, Ok)?);
    oracle.events = events.unwrap_or(oracle.events);
    oracle.seed = seed.unwrap_or(oracle.seed);
    oracle.stop = stop_on_ctrl_c("ending after the combinations that are running");
    tracing::info!("{} combinations of properties", oracle.plan()?.len());
    let verdict = oracle.run(servers).await?;
    let kept = Store::locate().and_then(|store| store.baselines().append(Kind::Oracle, &verdict));
    match kept {
        Ok(path) => tracing::info!("what was found is appended to {}", path.display()),
        Err(error) => tracing::warn!("what was found is not kept: {error:#}"),
    }
    print(json, || Ok(serde_json::to_value(&verdict)?), || verdict.text())?;
    Ok(if verdict.is_good() { Outcome::Done } else { Outcome::Failed })
}
