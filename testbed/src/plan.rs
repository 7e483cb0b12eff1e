//! What is wanted: which servers, how large, how strict. Nothing here touches the world.
//!
//! ```text
//! Plan::default()   a replica set of one without authentication, and one broker
//! Plan::default().mongodb(MongodbPlan::default().members(3).auth())
//! Plan::only_mongodb(MongodbPlan::standalone())
//! ```
//!
//! The defaults are those a measurement can stand on: the server's own, except where the server
//! would take what the machine has (cache, oplog), which must be a stated number.

use std::{fmt, str::FromStr};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{limits::Limits, security::Tls};

/// The servers that a [`crate::Testbed`] has.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The MongoDB deployment, if one is wanted.
    pub mongodb: Option<MongodbPlan>,
    /// The Kafka broker, if one is wanted.
    pub kafka: Option<KafkaPlan>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { mongodb: Some(MongodbPlan::default()), kafka: Some(KafkaPlan::default()) }
    }
}

impl Plan {
    /// A MongoDB deployment and no broker.
    pub fn only_mongodb(mongodb: MongodbPlan) -> Self {
        Self { mongodb: Some(mongodb), kafka: None }
    }

    /// A broker and no MongoDB deployment.
    pub fn only_kafka(kafka: KafkaPlan) -> Self {
        Self { mongodb: None, kafka: Some(kafka) }
    }

    /// Replaces what is planned for MongoDB.
    pub fn mongodb(mut self, mongodb: MongodbPlan) -> Self {
        self.mongodb = Some(mongodb);
        self
    }

    /// Replaces what is planned for Kafka.
    pub fn kafka(mut self, kafka: KafkaPlan) -> Self {
        self.kafka = Some(kafka);
        self
    }

    /// Refuses what cannot outlive this process.
    pub(crate) fn check_detachable(&self) -> Result<()> {
        let mongodb = self.mongodb.as_ref().map(|plan| plan.proxied || plan.disk_mb.is_some());
        let kafka = self.kafka.as_ref().map(|plan| plan.proxied || plan.disk_mb.is_some());
        ensure!(
            mongodb != Some(true) && kafka != Some(true),
            "leave servers running: the proxies and data disks of this plan end with this process; \
             plan without `proxied` and `disk_mb`"
        );
        Ok(())
    }

    /// Refuses what no server could be started with, before anything is fetched.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(mongodb) = &self.mongodb {
            mongodb.check()?;
        }
        if let Some(kafka) = &self.kafka {
            kafka.check()?;
        }
        Ok(())
    }
}

/// How the members of a MongoDB deployment relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A replica set of that many members: one or three.
    ReplicaSet {
        /// 1 or 3; two have no majority when one is gone.
        members: usize,
    },
    /// One mongod that is no replica set, so it has no oplog and no change streams.
    Standalone,
    /// A mongos and the shards behind it: only at an address, see `sharded.rs`.
    Sharded,
}

/// A MongoDB deployment.
#[derive(Clone, Debug)]
pub struct MongodbPlan {
    /// Replica set or standalone. Default: a replica set of one.
    pub topology: Topology,
    /// Whether clients must authenticate. Default: no.
    pub auth: bool,
    /// `--oplogSize`, in MiB: a cap, not allocated ahead. Default 4096.
    pub oplog_mb: u32,
    /// `--wiredTigerCacheSizeGB` of each member, in GiB. Default 0.5; the server's least is 0.25.
    pub cache_gb: f64,
    /// `settings.electionTimeoutMillis`: how long a dead primary is waited for. Default 10 000, the
    /// server's own. Less makes fault tests quick, and elections likely on a starved machine.
    pub election_timeout_ms: u32,
    /// `--setParameter name=value`, in this order.
    pub parameters: Vec<(String, String)>,
    /// Whether connections are encrypted. Default: no.
    pub tls: Tls,
    /// What each member may use. Default: all that the machine has.
    pub limits: Limits,
    /// Whether a proxy stands before each member, for faults of the network. Members know each other
    /// by it as well. Default: no.
    pub proxied: bool,
    /// The size of a disk of its own for the data of each member, in MiB. Takes root. Default: none,
    /// so that the disk of the temporary folder is used.
    pub disk_mb: Option<u32>,
}

impl Default for MongodbPlan {
    fn default() -> Self {
        Self {
            topology: Topology::ReplicaSet { members: 1 },
            auth: false,
            oplog_mb: 4_096,
            cache_gb: 0.5,
            election_timeout_ms: 10_000,
            parameters: Vec::new(),
            tls: Tls::Off,
            limits: Limits::default(),
            proxied: false,
            disk_mb: None,
        }
    }
}

impl MongodbPlan {
    /// A mongod that is no replica set, for what must be refused.
    pub fn standalone() -> Self {
        Self { topology: Topology::Standalone, ..Self::default() }
    }

    /// A replica set of that many members: 1 or 3.
    pub fn members(mut self, members: usize) -> Self {
        self.topology = Topology::ReplicaSet { members };
        self
    }

    /// Clients must authenticate; [`crate::Mongodb::uri`] then carries a root user.
    pub fn auth(mut self) -> Self {
        self.auth = true;
        self
    }

    /// Sets the cap of the oplog, in MiB. A few will do: only a running server refuses to go below
    /// 990.
    pub fn oplog_mb(mut self, oplog_mb: u32) -> Self {
        self.oplog_mb = oplog_mb;
        self
    }

    /// Sets the cache of each member, in GiB.
    pub fn cache_gb(mut self, cache_gb: f64) -> Self {
        self.cache_gb = cache_gb;
        self
    }

    /// Sets how long a dead primary is waited for, in milliseconds.
    pub fn election_timeout_ms(mut self, election_timeout_ms: u32) -> Self {
        self.election_timeout_ms = election_timeout_ms;
        self
    }

    /// Adds a `--setParameter name=value`.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets whether connections are encrypted.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Sets what each member may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Puts a proxy before each member.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Gives the data of each member a disk of its own, in MiB.
    pub fn disk_mb(mut self, disk_mb: u32) -> Self {
        self.disk_mb = Some(disk_mb);
        self
    }

    /// A mongos and its shards.
    pub fn sharded() -> Self {
        Self { topology: Topology::Sharded, ..Self::default() }
    }

    /// How many mongod processes this is.
    pub fn member_count(&self) -> usize {
        match self.topology {
            Topology::ReplicaSet { members } => members,
            Topology::Standalone | Topology::Sharded => 1,
        }
    }

    fn check(&self) -> Result<()> {
        ensure!(
            matches!(self.member_count(), 1 | 3),
            "a replica set of {} members was asked for; the testbed starts 1 or 3",
            self.member_count()
        );
        ensure!(
            self.cache_gb >= 0.25,
            "a cache of {} GiB was asked for; mongod takes 0.25 or more",
            self.cache_gb
        );
        Ok(())
    }
}

/// How clients of Kafka say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sasl {
    /// Name and password as they are.
    Plain,
    /// A salted challenge with SHA-256.
    ScramSha256,
    /// A salted challenge with SHA-512.
    ScramSha512,
}

impl Sasl {
    /// `sasl.mechanism` of clients.
    pub fn mechanism(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Kafka brokers in KRaft mode, each a controller as well.
#[derive(Clone, Debug)]
pub struct KafkaPlan {
    /// How many: 1, or 3 with three replicas of everything, two of which must be in sync. Default 1.
    pub brokers: usize,
    /// `-Xmx` and `-Xms`, in MiB. Default 1024, what Kafka's own start script gives.
    pub heap_mb: u32,
    /// `auto.create.topics.enable`. Default true, as the broker's own.
    pub auto_create_topics: bool,
    /// Further lines of `server.properties`; they win over the testbed's own.
    pub properties: Vec<(String, String)>,
    /// Whether connections of clients are encrypted. Default: no.
    pub tls: Tls,
    /// How clients say who they are. Default: they need not.
    pub sasl: Option<Sasl>,
    /// What each broker may use. Default: all that the machine has.
    pub limits: Limits,
    /// Whether a proxy stands before each broker, for faults of the network. Brokers reach each other
    /// past it. Default: no.
    pub proxied: bool,
    /// The size of a disk of its own for the data of each broker, in MiB. Takes root. Default: none.
    pub disk_mb: Option<u32>,
}

impl Default for KafkaPlan {
    fn default() -> Self {
        Self {
            brokers: 1,
            heap_mb: 1_024,
            auto_create_topics: true,
            properties: Vec::new(),
            tls: Tls::Off,
            sasl: None,
            limits: Limits::default(),
            proxied: false,
            disk_mb: None,
        }
    }
}

impl KafkaPlan {
    /// Sets how many brokers there are: 1 or 3.
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers;
        self
    }

    /// Sets whether connections of clients are encrypted.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Sets how clients say who they are.
    pub fn sasl(mut self, sasl: Sasl) -> Self {
        self.sasl = Some(sasl);
        self
    }

    /// Sets what each broker may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Puts a proxy before each broker.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Gives the data of each broker a disk of its own, in MiB.
    pub fn disk_mb(mut self, disk_mb: u32) -> Self {
        self.disk_mb = Some(disk_mb);
        self
    }

    /// Sets the heap, in MiB.
    pub fn heap_mb(mut self, heap_mb: u32) -> Self {
        self.heap_mb = heap_mb;
        self
    }

    /// Sets whether a topic is created when a client first asks for it.
    pub fn auto_create_topics(mut self, enabled: bool) -> Self {
        self.auto_create_topics = enabled;
        self
    }

    /// Adds a line of `server.properties`, such as `message.max.bytes`.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    fn check(&self) -> Result<()> {
        ensure!(
            matches!(self.brokers, 1 | 3),
            "{} brokers were asked for; the testbed starts 1 or 3",
            self.brokers
        );
        ensure!(
            self.heap_mb >= 256,
            "a heap of {} MiB was asked for; the log cleaner alone takes 128, so give 256 or more",
            self.heap_mb
        );
        for (name, value) in &self.properties {
            ensure!(
                !name.is_empty() && !format!("{name}{value}").contains(['\n', '\r']),
                "broker property {name:?} does not fit on one line of server.properties"
            );
        }
        Ok(())
    }
}

/// Where servers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Servers {
    /// External when the addresses of all planned servers are given; else in containers when a Docker
    /// daemon answers and has the images; else native.
    #[default]
    Auto,
    /// Started here in containers; what is missing is pulled.
    Docker,
    /// Started here as processes.
    Native,
    /// Those at `MILLRACE_MONGODB_URI` and `MILLRACE_KAFKA_BOOTSTRAP`.
    External,
}

/// A text that names no way to have servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownServers(pub String);

impl fmt::Display for UnknownServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "servers {:?} are unknown; give auto, docker, native or external", self.0)
    }
}

impl std::error::Error for UnknownServers {}

impl FromStr for Servers {
    type Err = UnknownServers;

    fn from_str(text: &str) -> Result<Self, UnknownServers> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "native" => Ok(Self::Native),
            "external" => Ok(Self::External),
            other => Err(UnknownServers(other.to_owned())),
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Native => "native",
            Self::External => "external",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_what_their_text_says() {
        for servers in [Servers::Auto, Servers::Docker, Servers::Native, Servers::External] {
            assert_eq!(servers.to_string().parse(), Ok(servers));
        }
        let error = "podman".parse::<Servers>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "servers \"podman\" are unknown; give auto, docker, native or external"
        );
    }

    #[test]
    fn plan_that_no_server_takes_is_refused() {
        assert!(Plan::default().check().is_ok());
        let plans = [
            Plan::only_mongodb(MongodbPlan::default().members(2)),
            Plan::only_mongodb(MongodbPlan::default().members(0)),
            Plan::only_mongodb(MongodbPlan::default().cache_gb(0.1)),
            Plan::only_kafka(KafkaPlan::default().heap_mb(64)),
            Plan::only_kafka(KafkaPlan::default().brokers(2)),
            Plan::only_kafka(KafkaPlan::default().property("a", "b\nprocess.roles=x")),
        ];
        for plan in plans {
            assert!(plan.check().is_err(), "{plan:?}");
        }
    }

    #[test]
    fn plan_with_what_ends_with_this_process_is_not_left_running() {
        assert!(Plan::default().check_detachable().is_ok());
        for plan in [
            Plan::default().mongodb(MongodbPlan::default().proxied()),
            Plan::only_kafka(KafkaPlan::default().disk_mb(100)),
        ] {
            assert!(plan.check_detachable().is_err(), "{plan:?}");
        }
    }
}
