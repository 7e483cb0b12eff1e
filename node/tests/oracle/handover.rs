//! Java's connector and the node take turns while a load never rests.
//!
//! ```text
//! load      ███████████████████████████████████████████████████████████████████████  one open loop, all operations
//! who runs  ConnectDistributed ┐        ┌─ node ─┐        ┌─ ConnectDistributed ┐        ┌─ node
//! nobody                       └────────┘        └────────┘                     └────────┘
//! ```
//!
//! After an orderly end (SIGTERM) what was read is acknowledged and its position stored in the offset topic, where the
//! other finds it under the same key: nothing is lost or repeated. After SIGKILL nothing is lost, and only records
//! behind the stored position come again. The ledger of the load judges the topic that all of them wrote.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_testbed::{ConnectPlan, ConnectWorker};

use crate::harness::load::Load;
use crate::harness::offsets::token_of;
use crate::harness::records::Record;
use crate::harness::reference::{reference_worker, streams_open, worker_fixture, worker_plan};
use crate::harness::window::{Kill, judge_windows};
use crate::harness::{Connector, EVENTS, FREE_PORT, NodeProcess, Records, Stage, eventually};
use crate::offset_topic::{DISTRIBUTED, config, one_key_in_one_partition};
use crate::servers;

const RATE_PER_S: f64 = 150.0;
/// More than ten minutes of it: the load is ended when the last turn has begun.
const OPERATIONS_MAX: u64 = 100_000;
/// What each of the turns must add before it ends.
const TURN_RECORDS: u64 = 300;
/// How often each side is killed.
const TAKEOVERS: usize = 2;
const FLUSH_INTERVAL: &str = "offset.flush.interval.ms";
/// A worker that was just started has what was written meanwhile to catch up with.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_never_rests_is_handed_to_the_node_and_back_without_loss_or_repetition()
-> Result<()> {
    let turns = Turns { stage: Stage::new(servers().await?, "handover").await? };
    let worker = turns.java().await?;
    worker.create(&turns.stage.name, &turns.config("java")).await?;
    streams_open(&turns.stage.client, [&turns.config("java")].into_iter()).await?;
    let load = Load::start(&turns.stage, RATE_PER_S, OPERATIONS_MAX);
    let records = turns.stage.records().await?;

    let mut handed_over = vec![turns.end_of_java(worker, &records, 0).await?];
    load.ensure_goes_on("the node's first turn")?;
    let node = turns.node().await?;
    handed_over.push(turns.end_of_node(node, &records, handed_over[0]).await?);
    load.ensure_goes_on("Java's second turn")?;
    // The connector itself is in the topic of configurations.
    let worker = turns.java().await?;
    worker.wait_running(&turns.stage.name).await?;
    handed_over.push(turns.end_of_java(worker, &records, handed_over[1]).await?);
    load.ensure_goes_on("the node's second turn")?;
    let mut node = turns.node().await?;
    turns.adds(&records, handed_over[2], || node.ensure_alive()).await?;
    load.ensure_goes_on("the end of the last turn")?;
    load.end_early();

    let report = load.judge(&turns.stage, node).await?;
    eprintln!("records at each hand-over: {handed_over:?}");
    ensure!(report.is_exact(), "handed over at {handed_over:?}:\n{report}");
    one_key_in_one_partition(&turns.stage, &turns.topic("offsets")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_taken_over_from_who_was_killed_and_only_what_was_not_stored_comes_again()
-> Result<()> {
    let turns = Turns { stage: Stage::new(servers().await?, "takeover").await? };
    let mut node = turns.node().await?;
    let load = Load::start(&turns.stage, RATE_PER_S, OPERATIONS_MAX);
    let records = turns.stage.records().await?;

    let mut kills = Vec::new();
    for turn in 1..=TAKEOVERS {
        turns.may_be_killed(&records, kills.last(), || node.ensure_alive()).await?;
        load.ensure_goes_on(&format!("kill {turn} of the node"))?;
        node.kill()?;
        kills.push(turns.look(&records).await?);

        let plan = turns.java_plan(&format!("-{turn}"))?.property(FLUSH_INTERVAL, "1000");
        let worker = reference_worker(&plan).await?;
        worker.create(&turns.stage.name, &turns.config("java")).await?;
        turns.may_be_killed(&records, kills.last(), || worker.pid().map(drop)).await?;
        load.ensure_goes_on(&format!("kill {turn} of Java's worker"))?;
        worker.kill()?;
        kills.push(turns.look(&records).await?);
        node = turns.node().await?;
    }
    let before = kills.last().map_or(0, |kill| kill.end) as u64;
    turns.adds(&records, before, || node.ensure_alive()).await?;
    load.ensure_goes_on("the end of the last turn")?;
    load.end_early();

    let report = load.judge(&turns.stage, node).await?;
    ensure!(report.is_at_least_once(), "{kills:?}:\n{report}");
    let all = records.all().await?;
    let tokens: Vec<_> = all.iter().map(Record::token).collect::<Result<_>>()?;
    let repeats = judge_windows(&tokens, &kills)? as u64;
    let ends: Vec<_> = kills.iter().map(|kill| kill.end).collect();
    eprintln!(
        "{} records, {repeats} of them for the second time; killed at {ends:?}",
        tokens.len()
    );
    ensure!(repeats == report.verdict.duplicated, "{repeats} came again, but {report}");
    one_key_in_one_partition(&turns.stage, &turns.topic("offsets")).await
}

/// Who runs, with names that no other worker on these servers has.
struct Turns {
    stage: Stage,
}

impl Turns {
    /// A worker. Who was killed keeps its place in its group for minutes, so its successor needs another group; the
    /// offset topic is the same for all.
    fn java_plan(&self, group: &str) -> Result<ConnectPlan> {
        let plan = worker_plan(&self.stage.testbed, DISTRIBUTED)?.heap_mb(512).distributed();
        let of_group = |what: &str| self.topic(&format!("{what}{group}"));
        Ok(plan
            .property("group.id", &format!("{}{group}", self.stage.name))
            .property("config.storage.topic", &of_group("configs"))
            .property("status.storage.topic", &of_group("status"))
            .property("offset.storage.topic", &self.topic("offsets")))
    }

    async fn java(&self) -> Result<ConnectWorker> {
        reference_worker(&self.java_plan("")?).await
    }

    async fn node(&self) -> Result<NodeProcess> {
        let mut file = worker_fixture(DISTRIBUTED)?;
        file.insert("bootstrap.servers".to_owned(), self.stage.bootstrap());
        file.insert("offset.storage.topic".to_owned(), self.topic("offsets"));
        file.insert("listeners".to_owned(), FREE_PORT.to_owned());
        let text = file.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let connector = Connector::with_config(&self.stage.name, &self.config("node"));
        self.stage.worker()?.worker_file(text).connector(connector).start_running().await
    }

    /// Ends Java's turn, when it has added its part to the `before` records. Returns how many there are.
    async fn end_of_java(
        &self,
        worker: ConnectWorker,
        records: &Records,
        before: u64,
    ) -> Result<u64> {
        self.adds(records, before, || worker.pid().map(drop)).await.context("Java's turn")?;
        worker.stop().await?;
        records.settled().await
    }

    async fn end_of_node(
        &self,
        mut node: NodeProcess,
        records: &Records,
        before: u64,
    ) -> Result<u64> {
        self.adds(records, before, || node.ensure_alive()).await.context("the node's turn")?;
        node.stop().await?;
        records.settled().await
    }

    /// Waits until a turn has added its part, and has stored a position behind all that was there before it.
    async fn may_be_killed(
        &self,
        records: &Records,
        last: Option<&Kill>,
        alive: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        self.adds(records, last.map_or(0, |kill| kill.end) as u64, alive).await?;
        let newest = last.map(|kill| kill.newest.as_str()).unwrap_or_default();
        eventually(&format!("a stored position behind {newest}"), async || {
            let stored = self.stored().await?;
            Ok((newest < stored.as_str()).then_some(()))
        })
        .await
    }

    /// What is stored and what has arrived, now that nobody runs.
    async fn look(&self, records: &Records) -> Result<Kill> {
        // What was in flight is appended when the broker gets to it.
        let end = records.settled().await? as usize;
        let all = records.all().await?;
        let tokens: Vec<_> = all.iter().map(Record::token).collect::<Result<_>>()?;
        let newest = tokens.iter().max().context("an empty topic")?;
        Ok(Kill { stored: self.stored().await?, newest: (*newest).to_owned(), end })
    }

    /// The token of the newest position in the offset topic.
    async fn stored(&self) -> Result<String> {
        let all = self.stage.records_of(&self.topic("offsets")).await?.all().await?;
        let mut ours = all.iter().filter(|record| record.key_text().contains(&self.stage.name));
        token_of(ours.next_back().context("a stored position")?.value_text())
    }

    async fn adds(
        &self,
        records: &Records,
        before: u64,
        alive: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        records.topic().wait_for(before + TURN_RECORDS, TURN_PATIENCE, alive, |_| ()).await
    }

    /// Watches the whole database, so that marks beside the load are seen too.
    fn config(&self, runner: &str) -> BTreeMap<String, String> {
        const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";
        let mut config = config(&self.stage, runner);
        for (name, value) in [
            ("collection", ""),
            ("key.converter", STRING_CONVERTER),
            ("value.converter", STRING_CONVERTER),
        ] {
            config.insert(name.to_owned(), value.to_owned());
        }
        config
    }

    /// A topic that Connect keeps its own things in.
    fn topic(&self, what: &str) -> String {
        format!("{}-{EVENTS}-{what}", self.stage.name)
    }
}
