//! `millrace demo`: the tour on real servers, in under a minute.
//!
//! ```text
//! servers ─► backlog of inserts, updates, replaces, deletes ─► null reader: the wall
//!                                                          └─► node ─► topic ─► ledger      events/s, CPU, memory
//!         ─► steady load, w: majority ─► node ─► consumer ─► ledger                         latency
//! ```
//!
//! Two phases because a flood says nothing about latency and a trickle nothing about throughput. One round and mixed
//! documents: enough to see that it works and about how fast. Figures to build on come from `millrace bench run drain`.
//! A run whose ledger is not clean reports faults and no speed.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::settings::{DocumentSettings, KeySettings, LoadSettings};
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_results::histogram::LatencyHistogram;
use millrace_results::record::Faults;
use millrace_testbed::{Facts, Plan, Servers, Testbed};
use serde::Serialize;

use crate::arm::{Format, Node, NodePlan, Start};
use crate::backlog::{Backlog, NodeReading};
use crate::drain::faults;
use crate::exhaust::NullReading;
use crate::live::{self, Live, LiveReading};
use crate::progress::Progress;
use crate::scenario::{Course, Step};
use crate::topics;

const DATABASE: &str = "millrace_demo";
const BACKLOG_COLLECTION: &str = "events";
const LIVE_COLLECTION: &str = "live";
const SEED: u64 = 42;
const WRITERS: u32 = 4;
const LIVE_SECONDS: f64 = 8.0;

/// What to show.
#[derive(Clone, Debug)]
pub struct Tour {
    /// Events in the backlog.
    pub events: u64,
    /// Writes per second in the second phase.
    pub rate_per_s: u32,
    /// Leave servers and node running.
    pub keep: bool,
    /// Where the servers come from.
    pub servers: Servers,
    /// The binary `millrace`.
    pub binary: PathBuf,
}

/// What was seen. Speeds are `None` if the ledger is not clean.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Events of the backlog that arrived.
    pub events: u64,
    /// Faults of both phases.
    #[serde(flatten)]
    pub faults: Faults,
    /// Over the window of the node, by the broker's clock.
    pub events_per_s: Option<f64>,
    /// Keys and values, 10⁶ bytes.
    pub mb_per_s: Option<f64>,
    /// The node's rate over the null reader's.
    pub null_ratio: Option<f64>,
    /// The wall.
    pub null_reader: NullSummary,
    /// From intended write to consumer.
    pub latency_ms: Option<LatencySummary>,
    /// Of the node, while it drained the backlog.
    pub cpu_us_per_event: f64,
    /// Of the node, while it drained the backlog.
    pub peak_rss_mib: f64,
    /// Of the documents.
    pub document_bytes: u32,
    /// Of the workload.
    pub seed: u64,
    /// The whole tour, without the stop of the servers.
    pub elapsed_s: f64,
    /// What it ran on.
    pub servers: Facts,
    /// What was left running.
    pub kept: Option<Kept>,
    /// Lines about each fault.
    #[serde(skip)]
    pub fault_examples: Vec<String>,
}

/// What the null reader did.
#[derive(Clone, Debug, Serialize)]
pub struct NullSummary {
    /// Over its window; `None` if it could not read.
    pub events_per_s: Option<f64>,
    /// Share of the window in which mongod's serving thread was on the CPU.
    pub server_busy: Option<f64>,
    /// Why it is no wall to measure against.
    pub invalid_reason: Option<String>,
}

/// Latencies of the second phase, ms.
#[derive(Clone, Debug, Serialize)]
pub struct LatencySummary {
    /// Half of the events took at most this.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p99_9: f64,
    /// The slowest.
    pub max: f64,
    /// Events measured.
    pub events: u64,
    /// Intended writes per second.
    pub rate_per_s: u32,
    /// Of the writes.
    pub write_concern: String,
    /// Writes that began more than 10 ms after their time.
    pub late_writes: u64,
}

/// What `--keep` left running.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Connection string.
    pub mongodb_uri: String,
    /// Brokers.
    pub kafka_bootstrap: String,
    /// The node.
    pub node_pid: u32,
    /// Its files and its log.
    pub node_folder: PathBuf,
    /// The database that it watches.
    pub database: String,
    /// Topics with events.
    pub topics: Vec<String>,
}

/// Runs the tour.
pub async fn run(tour: &Tour, progress: Progress) -> Result<Summary> {
    let started = Instant::now();
    let waiting = progress.wait("servers");
    let testbed = if tour.keep {
        Testbed::up_detached_from(Plan::default(), tour.servers).await?
    } else {
        Testbed::up(Plan::default(), tour.servers).await?
    };
    waiting.finish_and_clear();
    let backlog =
        Backlog::write(&testbed, workload(BACKLOG_COLLECTION, tour.events), progress).await?;
    let null = match backlog.drain_null(progress).await {
        // It does not log in, and an address from outside may lead to a secondary. The tour goes on without the wall.
        Err(error) if testbed.is_external() => Err(format!("{error:#}")),
        null => Ok(null?),
    };
    let plan = backlog.node_plan(&tour.binary, Format::Json, "")?;
    let drained = backlog.drain_node(None, &plan, true, progress).await?;

    let live_plan = NodePlan { collection: String::new(), ..plan };
    let (node, live) = go_live(tour, &testbed, &backlog, live_plan, progress).await?;
    let mut summary = Summary::of(tour, &backlog, null.as_ref(), &drained, &live, testbed.facts());
    if tour.keep {
        summary.kept = Some(keep(testbed, node)?);
    } else {
        node.stop().await?;
        let names = [BACKLOG_COLLECTION, LIVE_COLLECTION].map(topic);
        topics::delete(&backlog.bootstrap, &names).await?;
    }
    summary.elapsed_s = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// The second phase: the node watches the whole database from now on.
async fn go_live(
    tour: &Tour,
    testbed: &Testbed,
    backlog: &Backlog,
    plan: NodePlan,
    progress: Progress,
) -> Result<(Node, LiveReading)> {
    let topic = topics::fresh_one(&backlog.bootstrap, &topic(LIVE_COLLECTION), 1).await?;
    // No start time: the mode `latest` of the connector, and nothing of the backlog comes again.
    let plan = NodePlan { start: Start::Now, ..plan };
    let mut node = match testbed.folder().filter(|_| tour.keep) {
        Some(folder) => {
            let folder = folder.join("node");
            std::fs::create_dir_all(&folder)?;
            Node::start_detached(&plan, &folder).await?
        }
        None => Node::start(&plan).await?,
    };
    let course = course(tour)?;
    let live = Live {
        mongodb_uri: &backlog.mongodb_uri,
        course: &course,
        workload: &course.load().workload,
        topic: &topic,
        format: Format::Json,
        append_clock: None,
        parts: &[],
        faults: None,
        stop: Stop::new(),
    };
    let live = live::measure(&live, || node.ensure_alive(), progress).await;
    let live = live.with_context(|| format!("the node's log ends with:\n{}", node.log_tail()))?;
    Ok((node, live))
}

/// Every kind of write and every BSON type, about a KB each.
fn workload(collection: &str, operations: u64) -> Workload {
    Workload {
        seed: SEED,
        database: DATABASE.to_owned(),
        collections: Collections::one(collection),
        operations,
        writers: WRITERS,
        mix: Mix::ALL,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

/// The trickle: the same kinds of writes, each at its time.
fn course(tour: &Tour) -> Result<Course> {
    let settings = LoadSettings {
        seed: SEED,
        database: DATABASE.to_owned(),
        collection: LIVE_COLLECTION.to_owned(),
        writers: WRITERS,
        mix: Mix::ALL.into(),
        keys: KeySettings::Skewed {},
        document: DocumentSettings { shape: Some("all".to_owned()), ..DocumentSettings::default() },
        ..LoadSettings::default()
    };
    let (per_s, lasts_s) = (f64::from(tour.rate_per_s), LIVE_SECONDS);
    Course::steps(&settings, &[Step { per_s, lasts_s, warm_up: false }])
}

fn topic(collection: &str) -> String {
    format!("{DATABASE}.{collection}")
}

fn keep(testbed: Testbed, node: Node) -> Result<Kept> {
    let node_folder = node.folder().to_owned();
    let (mongodb_uri, kafka_bootstrap) = (testbed.mongodb().uri(), testbed.kafka().bootstrap());
    let mut state = testbed.keep()?;
    state.add_process("node", node.pid())?;
    Ok(Kept {
        mongodb_uri,
        kafka_bootstrap,
        node_pid: node.leave(),
        node_folder,
        database: DATABASE.to_owned(),
        topics: [BACKLOG_COLLECTION, LIVE_COLLECTION].map(topic).to_vec(),
    })
}

impl Summary {
    fn of(
        tour: &Tour,
        backlog: &Backlog,
        null: Result<&NullReading, &String>,
        drained: &NodeReading,
        live: &LiveReading,
        servers: Facts,
    ) -> Self {
        let latency = live.phases.first().map(live::PhaseReading::latency).unwrap_or_default();
        let clean = drained.report.is_exact() && live.report.is_exact();
        let seconds = drained.window.as_secs_f64().max(1e-3);
        let rate = drained.events as f64 / seconds;
        let null_reader = NullSummary::of(null);
        let events = drained.events.max(1) as f64;
        let mut fault_examples = Vec::new();
        if !clean {
            fault_examples = vec![drained.report.to_string(), live.report.to_string()];
        }
        Self {
            events: drained.report.verdict.seen,
            faults: sum(faults(&drained.report), faults(&live.report)),
            events_per_s: clean.then_some(rate),
            mb_per_s: clean.then_some(drained.report.bytes as f64 / seconds / 1e6),
            null_ratio: null_reader.events_per_s.filter(|_| clean).map(|wall| rate / wall),
            null_reader,
            latency_ms: clean.then(|| LatencySummary::of(tour, live, &latency)),
            cpu_us_per_event: drained.cpu.as_secs_f64() * 1e6 / events,
            peak_rss_mib: drained.peak_rss_kib as f64 / 1_024.0,
            document_bytes: backlog.workload.document.bytes() as u32,
            seed: backlog.workload.seed,
            elapsed_s: 0.0,
            servers,
            kept: None,
            fault_examples,
        }
    }

    /// Whether every event of both phases arrived once, in order and unchanged.
    pub fn is_clean(&self) -> bool {
        self.latency_ms.is_some()
    }
}

impl NullSummary {
    fn of(null: Result<&NullReading, &String>) -> Self {
        match null {
            Ok(null) => Self {
                events_per_s: Some(null.events as f64 / null.window.as_secs_f64().max(1e-3)),
                server_busy: null.server_busy,
                invalid_reason: null.invalid_because(),
            },
            Err(reason) => {
                Self { events_per_s: None, server_busy: None, invalid_reason: Some(reason.clone()) }
            }
        }
    }
}

impl LatencySummary {
    fn of(tour: &Tour, live: &LiveReading, latency: &LatencyHistogram) -> Self {
        Self {
            p50: latency.percentile_ms(50.0),
            p99: latency.percentile_ms(99.0),
            p99_9: latency.percentile_ms(99.9),
            max: latency.max_ms(),
            events: latency.count(),
            rate_per_s: tour.rate_per_s,
            write_concern: live.written.write_concern.to_string(),
            late_writes: live.lateness.late_count(),
        }
    }
}

fn sum(a: Faults, b: Faults) -> Faults {
    Faults {
        lost: a.lost + b.lost,
        duplicated: a.duplicated + b.duplicated,
        reordered: a.reordered + b.reordered,
        corrupted: a.corrupted + b.corrupted,
        unexpected: a.unexpected + b.unexpected,
    }
}
