//! One backlog of changes, and how fast it can be drained: by the null reader, or by the node. And how fast records
//! like its events can be written, by the null writer. What is copied, not drained, are the documents that it left.
//!
//! ```text
//! Backlog::write ─► oplog holds N events from `start_at` on
//!      drain_null   mongod ─► null reader                              window: first to last reply with events
//!      drain_node   mongod ─► millrace ─► topic in append time         window: first to last batch, broker's clock
//!                                           └─► ledger
//!      fill_null    a sample of its events, over and over ─► topic     window: as drain_node
//! ```
//!
//! Both rates are defined alike: all events, over the time from the first arrival to the last. So start-up is in
//! neither rate. The first arrival is a small share of the events, and is recorded. The node's window is the broker's
//! own, not the node's word for it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::Timestamp;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, Workload};
use millrace_loadgen::writer::{Written, write_backlog};
use millrace_testbed::Testbed;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::arm::{Format, NodePlan, Start, Trust};
use crate::check::{self, Checker, Report};
use crate::consumer::Topic;
use crate::counters;
use crate::decode_copy::Told;
use crate::exhaust::{self, NullRead, NullReading, Source};
use crate::null_writer::{self, NullWrite, NullWriting, Pair};
use crate::procfs;
use crate::progress::Progress;
use crate::rival::{Contender, Rival};
use crate::run::{Interrupted, ensure_not_stopped};
use crate::topics::{self, AppendWindow};
use crate::usage::{self, Watch};

/// An arm that stands still for this long has failed.
pub const STALLED_MAX: Duration = Duration::from_secs(30);
/// Events that the null writer takes turns with: some megabytes.
const SAMPLE_EVENTS: u64 = 8_192;
/// Name of the connector in every arm.
pub const CONNECTOR: &str = "millrace-bench";

/// Changes that wait in the oplog.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// What was written.
    pub workload: Workload,
    /// How the writing went.
    pub written: Written,
    /// Where it lies, for who connects in the clear: the rig does.
    pub mongodb_uri: String,
    /// Where it goes, likewise.
    pub bootstrap: String,
    /// For who encrypts, where that is offered.
    encrypted: Option<Encrypted>,
    /// Host and port of the primary.
    primary: String,
    /// Its process id, if it runs here.
    primary_pid: Option<u32>,
    /// Process id of the broker, if it runs here.
    broker_pid: Option<u32>,
    /// Whether its changes are replicated, or the documents that they left.
    told: Told,
    /// Whether each collection has a connector of its own.
    is_shared_out: bool,
    counts_system_calls: bool,
    /// Ends a drain early.
    stop: Stop,
    /// What it added to the oplog, for each event.
    oplog_growth: BTreeMap<String, Value>,
}

/// What an arm is told that encrypts.
#[derive(Clone, Debug)]
struct Encrypted {
    mongodb_uri: String,
    bootstrap: String,
    trust: Trust,
}

impl Encrypted {
    async fn of(testbed: &Testbed) -> Result<Option<Self>> {
        let (mongodb, kafka) = (testbed.mongodb(), testbed.kafka());
        let (Some(certificates), Some(_)) = (mongodb.certificates(), kafka.certificates()) else {
            return Ok(None);
        };
        let trust =
            Trust { mongodb: certificates.truststore().await?, kafka: kafka.client_properties() };
        let (mongodb_uri, bootstrap) = (mongodb.java_uri(), kafka.bootstrap());
        Ok(Some(Self { mongodb_uri, bootstrap, trust }))
    }
}

/// How the node drained the backlog.
#[derive(Clone, Debug)]
pub struct NodeReading {
    /// Events in the topic.
    pub events: u64,
    /// Events in the first batch.
    pub events_first_batch: u64,
    /// From the first batch to the last, by the broker's clock.
    pub window: Duration,
    /// From the start of its process until it ran.
    pub start: Duration,
    /// CPU time of the process, start-up included.
    pub cpu: Duration,
    /// The most memory that was resident, KiB.
    pub peak_rss_kib: u64,
    /// What every process used from the start of the stream to the last event.
    pub used: usage::Found,
    /// Connections of the arm, growth of the oplog.
    pub counters: BTreeMap<String, Value>,
    /// What the ledger says.
    pub report: Report,
}

impl Backlog {
    /// Writes `workload` into empty collections: what an earlier run left in its database is dropped.
    pub async fn write(testbed: &Testbed, workload: Workload, progress: Progress) -> Result<Self> {
        ensure!(
            workload.database.starts_with("millrace_"),
            "database {} is not dropped: its name does not begin with millrace_",
            workload.database
        );
        let mongodb = testbed.mongodb();
        let client = mongodb.client().await?;
        let database = client.database(&workload.database);
        database.drop().await.context("could not drop what an earlier run left")?;
        let bar = progress.count("loading", workload.operations);
        let oplog_before = counters::oplog_bytes(&client).await.ok();
        let mongodb_uri = mongodb.plain_uri()?;
        let written =
            write_backlog(&mongodb_uri, &workload, |written| bar.set_position(written)).await?;
        bar.finish_and_clear();
        let oplog_after = counters::oplog_bytes(&client).await.ok();
        let member = mongodb.primary().await.unwrap_or(0);
        let oplog_growth = counters::oplog_growth(oplog_before, oplog_after, written.operations);
        Ok(Self {
            written,
            mongodb_uri,
            bootstrap: testbed.kafka().plain_bootstrap()?,
            encrypted: Encrypted::of(testbed).await?,
            primary: mongodb.hosts().get(member).cloned().context("there is no mongod")?,
            primary_pid: mongodb.pid(member).ok(),
            broker_pid: testbed.kafka().pid().ok(),
            told: Told::Changes,
            is_shared_out: false,
            counts_system_calls: false,
            stop: Stop::new(),
            oplog_growth,
            workload,
        })
    }

    /// Lets arms copy the documents that it left, instead of draining the changes that it was. It has to be inserts
    /// alone, into one collection.
    pub fn copied(mut self) -> Self {
        self.told = Told::Copies;
        self
    }

    /// Gives each collection a connector of its own, instead of one that watches all.
    pub fn share_out(mut self) -> Self {
        self.is_shared_out = true;
        self
    }

    /// Counts the system calls of whoever drains it.
    pub fn count_system_calls(mut self, is_wanted: bool) -> Self {
        self.counts_system_calls = is_wanted;
        self
    }

    /// Lets `stop` end drains early, with [`Interrupted`].
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Where a stream starts that sees all of it and nothing older.
    pub fn start_at(&self) -> Timestamp {
        self.written.started_at_operation_time
    }

    /// Drains it by the null reader.
    pub async fn drain_null(&self, progress: Progress) -> Result<NullReading> {
        let plan = self.null_read(self.workload.operations);
        let bar = progress.count("null reader", self.workload.operations);
        let reading = spawn_blocking(move || {
            let reading = exhaust::read(&plan, |events| bar.set_position(events));
            bar.finish_and_clear();
            reading
        });
        reading.await.context("the null reader panicked")?
    }

    fn null_read(&self, events: u64) -> NullRead {
        NullRead {
            address: self.primary.clone(),
            database: self.workload.database.clone(),
            collection: self.collection(),
            source: match self.told {
                Told::Changes => Source::Changes(self.start_at()),
                Told::Copies => Source::Documents,
            },
            events,
            server_pid: self.primary_pid,
            idle_max: STALLED_MAX,
        }
    }

    /// Keys and values of its first `events` events, or of all if it has less.
    pub async fn sample(&self, events: u64) -> Result<Vec<Pair>> {
        let plan = NullRead {
            source: Source::Changes(self.start_at()),
            ..self.null_read(events.min(self.workload.operations))
        };
        spawn_blocking(move || exhaust::sample(&plan)).await.context("the sampling panicked")?
    }

    /// Fills a new topic with `records` records like its events by the null writer, and deletes it.
    pub async fn fill_null(
        &self,
        topic: &str,
        records: u64,
        progress: Progress,
    ) -> Result<NullWriting> {
        let sample = self.sample(SAMPLE_EVENTS).await?;
        let topic = topics::fresh(&self.bootstrap, &[topic.to_owned()], 1).await?;
        let plan = NullWrite { bootstrap: self.bootstrap.clone(), sample, records };
        let bar = progress.count("null writer", records);
        let on_progress = {
            let bar = bar.clone();
            move |records| bar.set_position(records)
        };
        let writing = null_writer::write(plan, &topic, on_progress).await;
        bar.finish_and_clear();
        topics::delete(&self.bootstrap, topic.names()).await?;
        writing
    }

    /// What the node is started with to drain it.
    pub fn node_plan(&self, binary: &Path, format: Format, topic_prefix: &str) -> Result<NodePlan> {
        let (collection, further_collections) = match self.is_shared_out {
            false => (self.collection(), Vec::new()),
            true => {
                let mut names = self.workload.collections.names().map(Cow::into_owned);
                (names.next().context("a backlog has a collection")?, names.collect())
            }
        };
        Ok(NodePlan {
            binary: binary.to_owned(),
            name: CONNECTOR.to_owned(),
            mongodb_uri: self.mongodb_uri.clone(),
            bootstrap: self.bootstrap.clone(),
            trust: None,
            database: self.workload.database.clone(),
            collection,
            further_collections,
            topic_prefix: topic_prefix.to_owned(),
            format,
            start: match self.told {
                Told::Changes => Start::At(self.start_at()),
                Told::Copies => Start::Copy,
            },
            worker_settings: Vec::new(),
            connector_settings: Vec::new(),
            cpus: Vec::new(),
        })
    }

    /// Lets what `plan` describes encrypt its connections to both servers.
    ///
    /// # Errors
    /// When the servers do not offer that.
    pub fn encrypt(&self, plan: NodePlan) -> Result<NodePlan> {
        let encrypted = self.encrypted.clone();
        let Encrypted { mongodb_uri, bootstrap, trust } =
            encrypted.context("the servers offer no TLS: plan them with Tls::Offered")?;
        Ok(NodePlan { mongodb_uri, bootstrap, trust: Some(trust), ..plan })
    }

    /// Drains it by the node, or by a rival that is given the same, into a new topic, which is deleted after the check
    /// unless it is to be kept.
    pub async fn drain_node(
        &self,
        rival: Option<Rival>,
        plan: &NodePlan,
        keep_topic: bool,
        progress: Progress,
    ) -> Result<NodeReading> {
        let collections = self.workload.collections.names();
        let names: Vec<_> = collections.map(|collection| plan.topic(&collection)).collect();
        let topic = topics::fresh(&self.bootstrap, &names, 1).await?;
        let reading = self.fill_and_check(rival, plan, &topic, progress).await;
        if !keep_topic {
            topics::delete(&self.bootstrap, &names).await?;
        }
        reading
    }

    async fn fill_and_check(
        &self,
        rival: Option<Rival>,
        plan: &NodePlan,
        topic: &Topic,
        progress: Progress,
    ) -> Result<NodeReading> {
        let events = self.workload.operations;
        let started = Instant::now();
        let mut contender = Contender::start(rival, plan).await?;
        let start = started.elapsed();
        let pid = contender.pid()?;
        let mut watch = Watch::begin(&[
            ("arm", Some(pid)),
            ("mongod", self.primary_pid),
            ("kafka", self.broker_pid),
        ])
        .counting_system_calls(self.counts_system_calls)?;
        let bar = progress.count("node", events);
        let alive = || ensure_not_stopped(&self.stop).and_then(|()| contender.ensure_alive());
        let filled =
            topic.wait_for(events, STALLED_MAX, alive, |count| bar.set_position(count)).await;
        bar.finish_and_clear();
        match filled {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            filled => {
                filled.with_context(|| format!("its log ends with:\n{}", contender.log_tail()))?;
            }
        }
        let used = watch.end(events);
        let cpu = procfs::process_cpu(pid).context("could not read its CPU time")?;
        let peak_rss_kib = procfs::peak_rss_kib(pid).context("could not read its memory")?;
        let mut counters = counters::connections(pid, &plan.mongodb_uri, &plan.bootstrap);
        counters.extend(self.oplog_growth.clone());
        contender.stop().await?;

        let AppendWindow { events, window, events_first_batch } =
            topics::append_window(&self.bootstrap, topic).await?;
        let bar = progress.count("checking", events);
        let checker = Checker::new(&self.workload, plan.format, topic.partitions());
        let report = check::check_topic_by(checker.of(self.told), topic, {
            let bar = bar.clone();
            move |records| bar.set_position(records)
        })
        .await?;
        bar.finish_and_clear();
        Ok(NodeReading {
            events,
            events_first_batch,
            window,
            start,
            cpu,
            peak_rss_kib,
            used,
            counters,
            report,
        })
    }

    /// What a stream of it watches: its only collection, or the database (as an empty name).
    fn collection(&self) -> String {
        match &self.workload.collections {
            Collections::Named(names) if names.len() == 1 => names[0].clone(),
            Collections::Named(_) | Collections::Numbered { .. } => String::new(),
        }
    }
}
