//! The node alone: its own ceiling and what an event costs it, with neither mongod nor Kafka in the way.
//!
//! ```text
//! once       mongod ─► tape (real replies), then mongod is ended
//! a round    replay server ═══ tape, in turns ═══► node ═══ Produce ═══► acknowledging broker
//!            └ CPU 0 …                             └ the last CPU        └ CPU 0 …
//!                                                       └► window, counts, sequences, samples ─► judge
//! ```
//!
//! Both servers are processes of their own, so that the CPU time of the node is the node's. Where there are two CPUs or
//! more, the node has the last to itself and the servers share the others: a node that keeps its CPU busy is the
//! limit, one that does not is kept waiting by the servers, and then its rate is no ceiling of it. The record has the
//! share of each; `bottleneck` says which it was.
//!
//! The window is the broker's: from the first batch to the last. What is checked is less than in `drain`, where every
//! record is read back: here count and sequences of all, and the contents of a sample. See `judge`.
//!
//! A test that looks inside of the node has both servers on threads of its own process: `in_process`.

mod answers;
pub mod broker;
pub mod in_process;
pub mod judge;
pub mod replay;
pub mod tally;
mod tape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, Workload};
use millrace_loadgen::writer::write_backlog;
use millrace_results::record::{ContentCheck, ContentRecord, RoundRecord};
use millrace_testbed::{Limits, Testbed, allowed_cpus};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::arm::{Format, Node, NodePlan, Start};
use crate::backlog::{CONNECTOR, STALLED_MAX};
use crate::exhaust;
use crate::own_process::OwnProcess;
use crate::progress::Progress;
use crate::raw_stream::Watched;
use crate::run::ensure_not_stopped;
use crate::usage::{Found, Watch};
use judge::Verdict;
use tally::Counts;
use tape::{Extent, Tape};

/// One of so many batches is kept whole and compared.
const SAMPLE_EVERY: u64 = 64;
/// How often the broker is asked what came.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// A round in which nothing comes for this long has lost what is missing.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Name of the counter that says how much of its CPU the node used.
pub const NODE_CORE_SHARE: &str = "node_core_share";

/// What the arms of a run share: the tape.
#[derive(Debug)]
pub struct Alone {
    workload: Workload,
    tape: Tape,
    extent: Extent,
    /// The tape's file lies here.
    folder: TempDir,
    cpus: Cpus,
    sample_every: u64,
    counts_system_calls: bool,
    stop: Stop,
}

/// Who runs where. Empty: anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cpus {
    node: Vec<u16>,
    servers: Vec<u16>,
}

/// The servers of one round. Dropping ends them.
#[derive(Debug)]
pub struct Stage {
    replay: OwnProcess,
    broker: OwnProcess,
    /// Status and samples of the broker.
    folder: TempDir,
}

/// What one round came to.
#[derive(Clone, Debug)]
pub struct AloneReading {
    /// Events that were replayed.
    pub events: u64,
    /// What the broker took.
    pub counts: Counts,
    /// What is wrong with it.
    pub verdict: Verdict,
    /// From the start of the node's process until it ran.
    pub start: Duration,
    /// CPU time of the node's process, start-up included.
    pub cpu: Duration,
    /// The most memory of it that was resident, KiB.
    pub peak_rss_kib: u64,
    /// What every process used while the stream ran.
    pub used: Found,
}

impl Alone {
    /// Writes `workload` into an empty collection of the testbed's mongod, and captures the change stream of it. From
    /// then on mongod is not needed. At least `events` events will be replayed.
    ///
    /// # Errors
    /// When mongod asks for a login, or the workload has more than one collection.
    pub async fn capture(
        testbed: &Testbed,
        workload: Workload,
        events: u64,
        stop: Stop,
        progress: Progress,
    ) -> Result<Self> {
        let collection = only_collection(&workload)?;
        testbed.own_name(&workload.database)?;
        let mongodb = testbed.mongodb();
        let client = mongodb.client().await?;
        let dropped = client.database(&workload.database).drop().await;
        dropped.context("could not drop what an earlier run left")?;
        let bar = progress.count("loading", workload.operations);
        let written =
            write_backlog(&mongodb.uri(), &workload, |written| bar.set_position(written)).await?;
        bar.finish_and_clear();
        let member = mongodb.primary().await.unwrap_or(0);
        let address = mongodb.hosts().get(member).cloned().context("there is no mongod")?;
        let database = workload.database.clone();
        let captured = spawn_blocking(move || {
            let start_at = written.started_at_operation_time;
            let (database, collection) = (&*database, &*collection);
            let watched = Watched { address: &address, database, collection, start_at };
            Tape::capture(&watched, written.operations, STALLED_MAX)
        });
        let tape = captured.await.context("the capturing panicked")??;
        let folder = TempDir::with_prefix("millrace-tape-")
            .context("could not make a temporary folder for the tape")?;
        tape.write(&folder.path().join("tape"))?;
        let (extent, cpus) = (tape.covering(events), Cpus::shared_out(&allowed_cpus()?));
        tracing::info!(
            events = tape.events_per_turn(),
            replayed = extent.events,
            node_cpus = ?cpus.node,
            "change stream captured"
        );
        let (sample_every, counts_system_calls) = (SAMPLE_EVERY, false);
        Ok(Self { workload, tape, extent, folder, cpus, sample_every, counts_system_calls, stop })
    }

    /// Compares one of so many batches instead of one of 64.
    pub fn sample_every(self, sample_every: u64) -> Self {
        Self { sample_every, ..self }
    }

    /// Counts the system calls of the node.
    pub fn count_system_calls(self, counts_system_calls: bool) -> Self {
        Self { counts_system_calls, ..self }
    }

    /// Events that each round replays.
    pub fn events(&self) -> u64 {
        self.extent.events
    }

    /// Starts both servers by `binary`.
    pub async fn stage(&self, binary: &Path) -> Result<Stage> {
        let limits = Limits::default().cpus(self.cpus.servers.clone());
        let folder = TempDir::with_prefix("millrace-alone-")
            .context("could not make a temporary folder for the broker")?;
        let mut command = Command::new(binary);
        command.args(["bench", "replay", "--tape"]).arg(self.folder.path().join("tape"));
        command.args(["--events", &self.extent.events.to_string()]);
        let replay = OwnProcess::run("replay", replay::RUNNING, command, &limits).await?;
        let mut command = Command::new(binary);
        command.args(["bench", "acknowledge", "--status"]).arg(folder.path().join("status"));
        command.arg("--samples").arg(folder.path().join("samples"));
        command.args(["--sample-every", &self.sample_every.to_string()]);
        command.args(["--records", &self.extent.events.to_string()]);
        let broker = OwnProcess::run("acknowledge", broker::RUNNING, command, &limits).await?;
        Ok(Stage { replay, broker, folder })
    }

    /// What the node is started with on a stage.
    pub fn node_plan(&self, stage: &Stage, binary: &Path, format: Format) -> Result<NodePlan> {
        let (replay, set) = (stage.replay.address(), replay::REPLICA_SET);
        Ok(NodePlan {
            binary: binary.to_owned(),
            name: CONNECTOR.to_owned(),
            mongodb_uri: format!("mongodb://{replay}/?replicaSet={set}"),
            bootstrap: stage.broker.address().to_owned(),
            trust: None,
            database: self.workload.database.clone(),
            collection: only_collection(&self.workload)?,
            further_collections: Vec::new(),
            topic_prefix: String::new(),
            format,
            start: Start::Now,
            worker_settings: Vec::new(),
            connector_settings: Vec::new(),
            cpus: self.cpus.node.clone(),
        })
    }

    /// Lets the node that `plan` describes take the whole tape, and judges what the broker of `stage` took.
    ///
    /// # Errors
    /// When the node or a server ends, or cannot be measured. What is lost or spoiled is no error but in the verdict.
    pub async fn measure(
        &self,
        mut stage: Stage,
        plan: &NodePlan,
        progress: Progress,
    ) -> Result<AloneReading> {
        let events = self.extent.events;
        let started = Instant::now();
        let mut node = Node::start(plan).await?;
        let start = started.elapsed();
        let mut watch = Watch::begin(&[
            ("arm", Some(node.pid())),
            ("replay", Some(stage.replay.pid())),
            ("broker", Some(stage.broker.pid())),
        ])
        .counting_system_calls(self.counts_system_calls)?;
        let bar = progress.count("node alone", events);
        let filled = self.wait(&mut stage, &mut node, |records| bar.set_position(records)).await;
        bar.finish_and_clear();
        filled.with_context(|| format!("the node's log ends with:\n{}", node.log_tail()))?;
        let used = watch.end(events);
        let usage = node.usage()?;
        node.stop().await?;
        stage.replay.stop().await?;
        stage.broker.stop().await?;
        let counts = read_status(&stage.folder)?;
        let verdict =
            self.judge(&counts, &stage.folder.path().join("samples"), plan.format).await?;
        let (cpu, peak_rss_kib) = (usage.cpu, usage.peak_rss_kib);
        Ok(AloneReading { events, counts, verdict, start, cpu, peak_rss_kib, used })
    }

    /// Until all came, or nothing more.
    async fn wait(
        &self,
        stage: &mut Stage,
        node: &mut Node,
        on_progress: impl Fn(u64),
    ) -> Result<()> {
        let (mut records, mut news) = (0, Instant::now());
        while records < self.extent.events {
            ensure_not_stopped(&self.stop)?;
            node.ensure_alive()?;
            stage.replay.ensure_alive()?;
            stage.broker.ensure_alive()?;
            let now = read_status(&stage.folder)?.records;
            if now != records {
                (records, news) = (now, Instant::now());
                on_progress(records);
            } else if SILENCE_MAX < news.elapsed() {
                tracing::error!(records, events = self.extent.events, "nothing comes any more");
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn judge(&self, counts: &Counts, samples: &Path, format: Format) -> Result<Verdict> {
        let mut verdict = judge::counts(counts, self.extent.events);
        let (tape, workload) = (self.tape.clone(), self.workload.clone());
        let samples: PathBuf = samples.to_owned();
        let judged = spawn_blocking(move || {
            verdict.compare(&samples, &tape, &workload, format).map(|()| verdict)
        });
        judged.await.context("the judging panicked")?
    }

    /// What is recorded of a round.
    pub fn record(&self, round: u32, reading: &AloneReading) -> RoundRecord {
        let window = Duration::from_micros(reading.counts.window_us);
        let events = reading.counts.records;
        RoundRecord {
            cpu_us_per_event: Some(reading.cpu.as_secs_f64() * 1e6 / events.max(1) as f64),
            peak_rss_mib: Some(reading.peak_rss_kib as f64 / 1_024.0),
            faults: reading.verdict.faults,
            content: Some(ContentRecord {
                in_full: reading.verdict.records_compared,
                ..ContentRecord::new(ContentCheck::Sample)
            }),
            invalid_reason: reading
                .verdict
                .undecided
                .clone()
                .or_else(|| exhaust::too_short(window)),
            usage: reading.used.usage.clone(),
            counters: self.counters(reading, window),
            ..RoundRecord::new(round, events, reading.counts.bytes, window.as_secs_f64())
        }
    }

    fn counters(&self, reading: &AloneReading, window: Duration) -> BTreeMap<String, Value> {
        let AloneReading { counts, verdict, used, .. } = reading;
        let share = |cpu: Duration| cpu.as_secs_f64() / window.as_secs_f64().max(1e-9);
        let counters = [
            (NODE_CORE_SHARE, json!(share(reading.cpu))),
            ("node_cpus", json!(self.cpus.node)),
            ("server_cpus", json!(self.cpus.servers)),
            ("batches", json!(counts.batches)),
            ("requests", json!(counts.requests)),
            ("batches_compared", json!(verdict.batches_compared)),
            ("records_compared", json!(verdict.records_compared)),
            ("events_per_turn", json!(self.tape.events_per_turn())),
            ("replayed_bytes", json!(self.extent.bytes)),
            ("events_first_batch", json!(counts.records_first_batch)),
            ("cpu_ms", json!(reading.cpu.as_millis() as u64)),
            ("start_ms", json!(reading.start.as_millis() as u64)),
            ("cpu_system_share", json!(used.arm_system_share)),
            ("host_stolen", json!(used.host_stolen)),
        ];
        counters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Cpus {
    /// The last for the node, the others for the servers. One CPU is everybody's.
    fn shared_out(allowed: &[u16]) -> Self {
        match allowed {
            [servers @ .., node] if !servers.is_empty() => {
                Self { node: vec![*node], servers: servers.to_vec() }
            }
            _ => Self::default(),
        }
    }
}

fn only_collection(workload: &Workload) -> Result<String> {
    let Collections::Named(names) = &workload.collections else {
        anyhow::bail!("the node alone takes load.collections = 1");
    };
    ensure!(names.len() == 1, "the node alone takes load.collections = 1");
    Ok(names[0].clone())
}

fn read_status(folder: &TempDir) -> Result<Counts> {
    let path = folder.path().join("status");
    let text =
        std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no status", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_has_a_cpu_to_itself_where_there_are_two() {
        let cpus = |allowed: &[u16]| {
            let Cpus { node, servers } = Cpus::shared_out(allowed);
            (node, servers)
        };
        assert_eq!(cpus(&[0, 1]), (vec![1], vec![0]));
        assert_eq!(cpus(&[2, 5, 7]), (vec![7], vec![2, 5]));
        assert_eq!(cpus(&[3]), (vec![], vec![]));
        assert_eq!(cpus(&[]), (vec![], vec![]));
    }
}
