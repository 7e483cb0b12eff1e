//! The judge of compatibility: the real MongoDB connector in a real Connect worker beside the node, over many
//! combinations of properties and every kind of change.
//!
//! ```text
//! combination  dimensions, pairwise: the connector files, one for each row
//! backlog      values, random: what is written, drawn from a seed
//!
//! a group of combinations at a time:
//!    backlog before ─► sides start ─► fences ─► backlog live ─► fence ─► sides stop ─► one insert behind
//!                       │ Connect ──► topics of Java's lane   ─┐
//!                       └ node ─────► topics of the node's ────┴► compare, record for record; positions
//! ```
//!
//! Compared are topics, partitions, keys, values, headers and order, and the positions that are stored; timestamps are
//! the producers'. Of heartbeats only the shape is. `offsets` reads Java's file, `arrivals` waits for fences, `probes`
//! see that there was something to compare. The tests of the node use `compare`,
//! `record` and `offsets` too.

pub mod combination;
pub mod compare;
pub mod offsets;
pub mod pairwise;
pub mod random;
pub mod record;
pub mod sides;
pub mod values;
pub mod verdict;

mod arrivals;
mod backlog;
mod dimensions;
mod heartbeats;
mod positions;
mod probes;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use millrace_loadgen::stop::Stop;
use millrace_loadgen::writer::next_operation_time;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Plugin, Servers, Testbed};
use mongodb::Client;
use tempfile::TempDir;

use crate::consumer::{self, Topic};

use arrivals::{Arrivals, Wanted};
use backlog::{Backlog, FENCE_LIVE, Namespace, Written, fence_before};
use combination::{Combination, Ground, Lane, combinations};
use compare::Topics;
use positions::{Compared, Positions};
use probes::Probes;
use sides::{Files, Java, Running};
use verdict::{Mismatch, Verdict};

/// How long lanes may stand still before a fence is given up.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// A copy has read its last document before its cursor has ended; what is written then must not be copied.
const COPY_ENDS: Duration = Duration::from_secs(1);
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Events of a lane for each operation of the first part, over all combinations; measured, and rounded down.
const EVENTS_PER_OPERATION: f64 = 0.7;
/// What is written live, of what is written before.
const LIVE_SHARE: f64 = 0.7;

/// One run.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// The node.
    pub binary: PathBuf,
    /// Of combinations, documents and operations.
    pub seed: u64,
    /// How many at least.
    pub combinations: usize,
    /// Only so many of them are run; the first. For tests of the oracle itself.
    pub combinations_max: usize,
    /// Records of Java's that are to be compared at least.
    pub events: u64,
    /// How many combinations run at the same time.
    pub group: usize,
    /// Asks it to end after the group that is running.
    pub stop: Stop,
}

impl Oracle {
    /// The long form: at least 60 combinations and 100,000 events, sixteen combinations at a time.
    pub fn new(binary: PathBuf) -> Self {
        Self {
            binary,
            seed: 1,
            combinations: 60,
            combinations_max: usize::MAX,
            events: 100_000,
            group: 16,
            stop: Stop::new(),
        }
    }

    /// A replica set of one and a broker, in memory of a small machine.
    pub fn servers() -> Plan {
        Plan::default()
            .mongodb(MongodbPlan::default().cache_gb(0.5).oplog_mb(990))
            .kafka(KafkaPlan::default().heap_mb(768))
    }

    /// The combinations that it would run.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn plan(&self) -> Result<Vec<Combination>> {
        let mut all = combinations(self.combinations, self.seed)?;
        all.truncate(self.combinations_max);
        Ok(all)
    }

    /// Runs on servers of its own.
    ///
    /// # Errors
    /// When servers, the worker or the node do not run; differences are no error.
    pub async fn run(&self, servers: Servers) -> Result<Verdict> {
        let testbed = Testbed::up(Self::servers(), servers).await?;
        self.run_on(&testbed, &testbed.kafka().bootstrap()).await
    }

    /// Runs on `testbed`; the node finds the broker at `node_bootstrap`.
    ///
    /// # Errors
    /// As [`Oracle::run`].
    pub async fn run_on(&self, testbed: &Testbed, node_bootstrap: &str) -> Result<Verdict> {
        ensure!(
            !testbed.is_external(),
            "the oracle gives databases and topics names of its own, and servers from outside may have them already: say \
             --servers native"
        );
        let combinations = self.plan()?;
        let operations = self.events as f64 / combinations.len() as f64 / EVENTS_PER_OPERATION;
        let bootstrap = testbed.kafka().bootstrap();
        let java = Java::start(&bootstrap).await?;
        let mut verdict = self.verdict(testbed, &java, &combinations)?;
        let run = Run {
            oracle: self,
            client: testbed.mongodb().client().await?,
            uri: testbed.mongodb().uri(),
            bootstrap,
            node_bootstrap,
            operations: operations.ceil() as u64,
        };
        let groups = combinations.len().div_ceil(self.group);
        let mut probes = Probes::new();
        for (number, group) in (1..).zip(combinations.chunks(self.group)) {
            let started = Instant::now();
            run.group(number, group, &java, &mut verdict, &mut probes).await?;
            tracing::info!(
                "group {number} of {groups} after {:.1?}: {} events compared, {} mismatches",
                started.elapsed(),
                verdict.events,
                verdict.mismatches.len()
            );
            if self.stop.is_requested() {
                break;
            }
        }
        java.stop().await?;
        verdict.not_shown = probes.missing();
        Ok(verdict)
    }

    fn verdict(
        &self,
        testbed: &Testbed,
        java: &Java,
        combinations: &[Combination],
    ) -> Result<Verdict> {
        let facts = testbed.facts();
        let mongodb = facts.mongodb.context("a deployment of MongoDB")?.version;
        Ok(Verdict {
            schema_version: verdict::SCHEMA_VERSION,
            started_at: millrace_results::utc::text(SystemTime::now()),
            commit: millrace_results::machine::Commit::of(std::path::Path::new(".")),
            connector: Plugin::MongodbConnector.version().to_owned(),
            connect: java.connect_version().to_owned(),
            java: java.java_version(),
            mongodb,
            kafka: facts.kafka.and_then(|kafka| kafka.version),
            seed: self.seed,
            combinations: combinations.iter().map(ToString::to_string).collect(),
            combinations_run: 0,
            events_asked: self.events,
            events: 0,
            heartbeats: 0,
            positions: 0,
            written: 0,
            refused: 0,
            not_shown: Vec::new(),
            mismatches: Vec::new(),
        })
    }
}

/// What groups share.
struct Run<'a> {
    oracle: &'a Oracle,
    client: Client,
    uri: String,
    bootstrap: String,
    node_bootstrap: &'a str,
    operations: u64,
}

impl Run<'_> {
    async fn group(
        &self,
        number: usize,
        group: &[Combination],
        java: &Java,
        verdict: &mut Verdict,
        probes: &mut Probes,
    ) -> Result<()> {
        let start = next_operation_time(&self.client).await?;
        let ground = Ground { uri: self.uri.clone(), database: format!("oracle_{number}"), start };
        let seed = self.oracle.seed.wrapping_mul(1_000).wrapping_add(number as u64);
        let mut backlog = Backlog::begin(&self.client, &ground.database, seed).await?;
        let fences = backlog.write_before(self.operations).await?;

        let files = |lane| -> Files {
            group.iter().map(|one| (one.name(), one.file(lane, &ground))).collect()
        };
        let (of_java, of_node) = (files(Lane::Java), files(Lane::Node));
        let folder = TempDir::with_prefix("millrace-oracle-").context("make a folder")?;
        let streams: BTreeSet<_> = group
            .iter()
            .filter(|one| one.streams_at_once())
            .map(|one| one.app_name(Lane::Java, &ground))
            .collect();
        let started = async {
            java.run(&of_java).await?;
            sides::streams_open(&self.client, streams).await
        };
        let node =
            Running::start(&self.oracle.binary, self.node_bootstrap, &of_node, folder.path());
        let ((), mut node) = tokio::try_join!(started, node)?;

        let mut arrivals = Arrivals::of(&self.bootstrap).await?;
        let before = wanted(group, |one| texts_before(one, &fences, &ground.database));
        let mut late = arrivals.wait_for(before, STALLED_MAX, || node.ensure_alive()).await?;
        if late.is_empty() {
            tokio::time::sleep(COPY_ENDS).await;
            backlog.write_live((self.operations as f64 * LIVE_SHARE) as u64).await?;
            let live = wanted(group, |_| [FENCE_LIVE.to_owned()].into());
            late = arrivals.wait_for(live, STALLED_MAX, || node.ensure_alive()).await?;
        }
        if late.is_empty() {
            let broker = consumer::connect(&self.bootstrap).await?;
            heartbeats::let_all_beat(&self.client, &broker, group).await?;
        }
        for Wanted { combination, lane, texts } in late {
            verdict.found(&combination, format!("{lane:?}'s lane stands still before {texts:?}"));
        }
        if let Err(error) = java.ensure_running(&of_java).await {
            verdict.mismatches.push(Mismatch { combination: None, text: format!("{error:#}") });
        }
        let (of_java, of_node) = (java.end(&of_java).await?, node.stop().await?);

        self.compare_topics(group, verdict, probes).await?;
        backlog.write_behind().await?;
        self.compare_positions(group, &ground.database, [&of_java, &of_node], verdict).await?;
        verdict.combinations_run += group.len();
        let Written { taken, refused } = backlog.written();
        (verdict.written, verdict.refused) = (verdict.written + taken, verdict.refused + refused);
        Ok(())
    }

    /// One combination after the other, so that memory holds their records.
    async fn compare_topics(
        &self,
        group: &[Combination],
        verdict: &mut Verdict,
        probes: &mut Probes,
    ) -> Result<()> {
        let client = consumer::connect(&self.bootstrap).await?;
        let names: Vec<_> =
            client.list_topics().await?.into_iter().map(|topic| topic.name).collect();
        for one in group {
            let mut lanes = [Topics::new(), Topics::new()];
            for (topics, lane) in lanes.iter_mut().zip(Lane::ALL) {
                for name in &names {
                    let Some(unmarked) = one.unmarked(lane, name) else { continue };
                    let topic = Topic::open(&client, name, OPEN_TIMEOUT).await?;
                    let mut records = record::read_all(&topic).await?;
                    if one.mixes_copies(&unmarked) {
                        record::sort_by_content(&mut records);
                    }
                    topics.insert(unmarked, records);
                }
            }
            let [java, node] = &lanes;
            let events: usize = java.values().map(Vec::len).sum();
            verdict.events += events as u64;
            if events == 0 {
                verdict.found(one, "Java's lane has no record".to_owned());
            }
            probes.look(java.values().flatten());
            for text in compare::differences(java, node) {
                verdict.found(one, text);
            }
            let [java, node] = Lane::ALL.map(|lane| heartbeats::read(&client, one, lane, &names));
            if let (Some(java), Some(node)) = (java.await?, node.await?) {
                verdict.heartbeats += java.len() as u64;
                if let Some(text) = heartbeats::difference(&java, &node) {
                    verdict.found(one, text);
                }
            }
        }
        Ok(())
    }

    async fn compare_positions(
        &self,
        group: &[Combination],
        database: &str,
        [java, node]: [&Positions; 2],
        verdict: &mut Verdict,
    ) -> Result<()> {
        for one in group {
            match positions::compare(one, java, node) {
                Compared::Differ(text) => verdict.found(one, text),
                Compared::Alike(tokens) => {
                    for (token, lane) in tokens.iter().zip(Lane::ALL) {
                        let wrong = positions::next_event(&self.client, one, database, token);
                        if let Some(wrong) = wrong.await? {
                            verdict.found(one, format!("position of {lane:?}, {token}: {wrong}"));
                        }
                    }
                }
            }
            verdict.positions += 1;
        }
        Ok(())
    }
}

/// The same for both lanes of each combination.
fn wanted(group: &[Combination], texts: impl Fn(&Combination) -> BTreeSet<String>) -> Vec<Wanted> {
    let of = |one: &Combination, lane| Wanted { combination: one.clone(), lane, texts: texts(one) };
    group.iter().flat_map(|one| Lane::ALL.map(|lane| of(one, lane))).collect()
}

/// The fences of what was there before, as far as a combination comes to see them.
fn texts_before(one: &Combination, fences: &[Namespace], database: &str) -> BTreeSet<String> {
    let seen = fences.iter().filter(|fence| one.reads_before() && one.sees(fence, database));
    seen.map(fence_before).collect()
}
