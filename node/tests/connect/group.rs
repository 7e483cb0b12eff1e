//! Workers that share a group and its topics, each of Java or a node.
//!
//! ```text
//!  Group: one worker file, but for addresses        ┌─ Member, Java ── stop │ kill
//!  group.id, config, offset and status topic ───────┼─ Member, node ── stop │ kill
//!                                                    └─ …
//! ```
//!
//! The file is Kafka's own `worker-distributed.properties`. A session is as short as brokers allow, and a worker that
//! went away is waited for 2 s instead of 5 minutes, so that a test can wait for both. Times are wall-clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace_testbed::{ConnectWorker, Testbed};
use serde_json::Value;

use crate::harness::reference::{reference_worker, worker_fixture, worker_plan};
use crate::harness::rest::{Answer, Ask};
use crate::harness::{FREE_PORT, NodeProcess, Records, Setup, Stage, eventually};
use crate::plugin;

const DISTRIBUTED: &str = "worker-distributed.properties";
const HEAP_MB: u32 = 384;
/// The shortest that a broker takes with its own settings.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// How long the workers wait for one that went away, where they are told to wait at all.
pub(crate) const REBALANCE_DELAY: Duration = Duration::from_secs(2);

/// What runs a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Java,
    Node,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    testbed: Arc<Testbed>,
    id: String,
    properties: BTreeMap<String, String>,
}

impl Group {
    /// A group that nothing else has; `name` tells the groups of a stage apart.
    pub(crate) fn new(stage: &Stage, name: &str) -> Self {
        let id = format!("{}-{name}", stage.name);
        let testbed = Arc::clone(&stage.testbed);
        let mut group = Self { testbed, id: id.clone(), properties: BTreeMap::new() };
        for what in ["config", "offset", "status"] {
            let topic = group.topic(what);
            group = group.property(&format!("{what}.storage.topic"), &topic);
        }
        group
            .property("group.id", &id)
            .property("offset.flush.interval.ms", "500")
            .property("session.timeout.ms", &SESSION_TIMEOUT.as_millis().to_string())
            .property("heartbeat.interval.ms", "2000")
            .property("scheduled.rebalance.max.delay.ms", &REBALANCE_DELAY.as_millis().to_string())
    }

    /// A line of the workers' file.
    pub(crate) fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lines of the workers' file.
    pub(crate) fn properties(mut self, lines: &BTreeMap<String, String>) -> Self {
        self.properties.extend(lines.clone());
        self
    }

    /// Leaves a property to the workers' defaults.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.properties.remove(name);
        self
    }

    /// The topic of what `config`, `offset` or `status` tells.
    pub(crate) fn topic(&self, what: &str) -> String {
        format!("{}-{what}", self.id)
    }

    /// Starts one more worker and waits until it has joined the group and answers.
    pub(crate) async fn start(&self, kind: Kind) -> Result<Member> {
        let member = match kind {
            Kind::Java => self.start_java().await?,
            Kind::Node => self.start_node().await?,
        };
        eventually(&format!("{} is healthy", member.address), async || {
            let health = Ask::get("/health").of(&member.address).await?;
            Ok((health.status == 200).then_some(()))
        })
        .await?;
        Ok(member)
    }

    /// The key by which its workers sign what they ask of each other now.
    pub(crate) async fn session_key(&self) -> Result<Vec<u8>> {
        let topic = Records::open(&self.testbed.kafka().bootstrap(), &self.topic("config")).await?;
        let all = topic.all().await?;
        let newest = all.iter().rev().find(|record| record.key_text() == "session-key");
        let value: Value = serde_json::from_str(newest.context("no session key")?.value_text())?;
        Ok(STANDARD.decode(value["key"].as_str().context("a session key without a key")?)?)
    }

    async fn start_java(&self) -> Result<Member> {
        let mut plan = worker_plan(&self.testbed, DISTRIBUTED)?.heap_mb(HEAP_MB).distributed();
        plan = plan.property("plugin.path", &plugin::folder(&self.testbed)?);
        plan = plan.property("plugin.discovery", "service_load");
        for (name, value) in &self.properties {
            plan = plan.property(name, value);
        }
        let worker = reference_worker(&plan).await?;
        let address = worker.rest_url().replace("http://", "");
        Ok(Member { address, process: Process::Java(Box::new(worker)) })
    }

    async fn start_node(&self) -> Result<Member> {
        let bootstrap = self.testbed.kafka().bootstrap();
        let mut file = worker_fixture(DISTRIBUTED)?;
        file.insert("bootstrap.servers".to_owned(), bootstrap.clone());
        file.insert("listeners".to_owned(), FREE_PORT.to_owned());
        file.extend(self.properties.clone());
        let text = file.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let mut node = Setup::new(&bootstrap)?.worker_file(text).distributed().start()?;
        let address = node.rest_address().await?;
        Ok(Member { address, process: Process::Node(node) })
    }
}

/// A worker of a group.
#[derive(Debug)]
pub(crate) struct Member {
    /// `host:port` of its REST interface, which is its worker id too.
    pub(crate) address: String,
    process: Process,
}

#[derive(Debug)]
enum Process {
    Java(Box<ConnectWorker>),
    Node(NodeProcess),
}

impl Member {
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer> {
        ask.of(&self.address).await
    }

    /// Fails if it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match &mut self.process {
            Process::Java(worker) => worker.pid().map(drop),
            Process::Node(node) => node.ensure_alive(),
        }
    }

    /// Ends it in order: its tasks stop, positions are stored, and it leaves the group.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.process {
            Process::Java(worker) => worker.stop().await,
            Process::Node(node) => node.stop().await.map(drop),
        }
    }

    /// Ends it by SIGKILL: the group finds out when the session is over.
    pub(crate) fn kill(self) -> Result<()> {
        match self.process {
            Process::Java(worker) => worker.kill(),
            Process::Node(node) => node.kill(),
        }
    }
}
