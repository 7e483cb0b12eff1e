//! A Kafka cluster: one or three brokers that are their own controllers (KRaft), or one from outside.
//!
//! ```text
//!  broker   0              1       2       an index, stable over kill and start; node.id is one more
//!  clients  127.0.0.1:a    :b      :c      stable as well; data and log too
//! ```
//!
//! What has no index in its name is about broker 0, the only one unless the plan has three. An
//! external cluster is reached and nothing else.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use rskafka::client::Client;

use crate::{
    broker::{Broker, ask},
    broker_config::{self, Cluster, Listeners, USER},
    cache,
    facts::KafkaFacts,
    fetch,
    launch::Launcher,
    plan::KafkaPlan,
    proxy::Proxy,
    security::{Certificates, Secret, Tls},
    software::KafkaSoftware,
};

/// How often a new cluster gets other ports, because someone was faster on the first ones.
const PORT_TRIES: usize = 3;

/// A Kafka cluster that serves.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    facts: KafkaFacts,
    /// `None` if the processes are not ours.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    cluster: Arc<Cluster>,
    brokers: Vec<Broker>,
    /// The folder of jars on this machine, if there is one.
    jars: Option<PathBuf>,
}

impl Kafka {
    /// Starts what `plan` says and waits until it serves.
    pub(crate) async fn up(plan: &KafkaPlan, launcher: &Arc<Launcher>) -> Result<Self> {
        let software = KafkaSoftware::of(&launcher.engine).await?;
        let jars = match &software {
            KafkaSoftware::Native(libraries) => Some(libraries.folder.clone()),
            KafkaSoftware::Image(_) => fetch::kafka_folder(&cache::folder()?),
        };
        let certificates = match plan.tls {
            Tls::Off => None,
            Tls::Offered | Tls::Server | Tls::Mutual => {
                Some(Certificates::create(&launcher.folder.path().join("tls-kafka"))?)
            }
        };
        let password = plan.sasl.map(|_| Secret::new());
        let cluster = Arc::new(Cluster { plan: plan.clone(), software, certificates, password });
        let mut tries = 1;
        let (brokers, java) = loop {
            let mut brokers = Vec::new();
            match start_brokers(&cluster, launcher, &mut brokers).await {
                Ok(java) => break (brokers, java),
                Err(_) if tries < PORT_TRIES && lost_a_port(&brokers) => tries += 1,
                Err(error) => return Err(error),
            }
        };
        let first = brokers.first().context("a cluster without brokers")?;
        let facts = KafkaFacts {
            version: first.version(),
            java: cluster.software.java_version().or(java),
            heap_mb: Some(plan.heap_mb),
            properties: plan.properties.clone(),
            brokers: brokers.len(),
            tls: Some(plan.tls),
            sasl: plan.sasl,
            image: cluster.software.image().map(ToString::to_string),
            proxied: plan.proxied,
            bounds: Some(first.server.bounds(&plan.limits)?),
        };
        let bootstrap: Vec<String> = brokers.iter().map(Broker::advertised).collect();
        let own = Some(Own { cluster, brokers, jars });
        Ok(Self { bootstrap: bootstrap.join(","), facts, own })
    }

    /// Reaches the cluster at `bootstrap`.
    pub(crate) async fn reach_external(bootstrap: &str) -> Result<Self> {
        ask(bootstrap).await.with_context(|| {
            format!("reach Kafka at {bootstrap}: is it running, and is this its address?")
        })?;
        let facts = KafkaFacts {
            version: None,
            java: None,
            heap_mb: None,
            properties: Vec::new(),
            brokers: bootstrap.split(',').count(),
            tls: None,
            sasl: None,
            image: None,
            proxied: false,
            bounds: None,
        };
        Ok(Self { bootstrap: bootstrap.to_owned(), facts, own: None })
    }

    /// `host:port` of every broker, with commas between them.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// As [`Kafka::bootstrap`], for connections in the clear on which nobody says who he is.
    ///
    /// # Errors
    /// When the plan lets nobody in who does not encrypt.
    pub fn plain_bootstrap(&self) -> Result<String> {
        match self.facts.tls.unwrap_or_default() {
            Tls::Off if self.facts.sasl.is_none() => Ok(self.bootstrap()),
            Tls::Off | Tls::Offered => {
                let own = self.own.as_ref().context("a cluster of ours has brokers")?;
                let addresses: Vec<String> = own.brokers.iter().map(Broker::internal).collect();
                Ok(addresses.join(","))
            }
            tls @ (Tls::Server | Tls::Mutual) => {
                bail!(
                    "connect to Kafka in the clear: it is planned with Tls::{tls:?}; plan Tls::Offered"
                )
            }
        }
    }

    /// What a Java client must be told besides the address, where connections are encrypted or must
    /// say who they are: `security.protocol`, `ssl.…`, `sasl.…`. Holds a password.
    pub fn client_properties(&self) -> Vec<(String, String)> {
        let Some(Own { cluster, .. }) = &self.own else { return Vec::new() };
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push((name.to_owned(), value));
        let KafkaPlan { tls, sasl, .. } = cluster.plan;
        if tls != Tls::Off || sasl.is_some() {
            line("security.protocol", broker_config::security_protocol(tls, sasl).to_owned());
        }
        if let Some(certificates) = &cluster.certificates {
            line("ssl.truststore.type", "PEM".to_owned());
            line("ssl.truststore.location", certificates.ca.display().to_string());
            if tls == Tls::Mutual {
                line("ssl.keystore.type", "PEM".to_owned());
                line("ssl.keystore.location", certificates.client.display().to_string());
            }
        }
        if let (Some(sasl), Some(password)) = (sasl, &cluster.password) {
            line("sasl.mechanism", sasl.mechanism().to_owned());
            line(
                "sasl.jaas.config",
                format!("{};", broker_config::jaas_line(sasl, password.text())),
            );
        }
        lines
    }

    /// User and password of clients, where they must say who they are.
    pub fn login(&self) -> Option<(&str, &str)> {
        Some((USER, self.own.as_ref()?.cluster.password.as_ref()?.text()))
    }

    /// The certificates, where connections are encrypted.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.own.as_ref()?.cluster.certificates.as_ref()
    }

    /// The brokers' version; `None` for external ones, whose protocol does not tell.
    pub fn version(&self) -> Option<&str> {
        self.facts.version.as_deref()
    }

    /// What a record says about it.
    pub fn facts(&self) -> &KafkaFacts {
        &self.facts
    }

    /// How many brokers there are.
    pub fn broker_count(&self) -> usize {
        self.facts.brokers
    }

    /// The folder of Kafka's jars, command line tools included; `None` if none is on this machine.
    pub fn libraries(&self) -> Option<&Path> {
        self.own.as_ref()?.jars.as_deref()
    }

    /// A client of the cluster, of ours past encryption, passwords and proxies. It belongs to the
    /// runtime that this is called on.
    ///
    /// # Errors
    /// When no broker answers within 4 s.
    pub async fn client(&self) -> Result<Client> {
        let Some(own) = &self.own else { return ask(&self.bootstrap).await };
        let addresses: Vec<String> = own.brokers.iter().map(Broker::internal).collect();
        ask(&addresses.join(",")).await
    }

    /// Waits until all brokers answer.
    ///
    /// # Errors
    /// When one does not within 90 s.
    pub async fn wait_ready(&self) -> Result<()> {
        let Some(own) = &self.own else { return ask(&self.bootstrap).await.map(drop) };
        for broker in &own.brokers {
            broker.wait_ready().await?;
        }
        Ok(())
    }

    /// The process id of broker 0.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pid(&self) -> Result<u32> {
        self.broker_pid(0)
    }

    /// The process id of one broker.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn broker_pid(&self, broker: usize) -> Result<u32> {
        self.broker(broker)?.server.pid()
    }

    /// Where broker 0 logs.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn log_path(&self) -> Result<PathBuf> {
        Ok(self.broker(0)?.server.log_path())
    }

    /// Sends SIGKILL to broker 0 and waits for the end.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn kill(&self) -> Result<()> {
        self.kill_broker(0)
    }

    /// Sends SIGKILL to one broker and waits for the end.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn kill_broker(&self, broker: usize) -> Result<()> {
        self.broker(broker)?.server.kill()
    }

    /// Sends SIGTERM to broker 0 and waits for the end, at most 30 s.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub async fn stop(&self) -> Result<()> {
        self.stop_broker(0).await
    }

    /// Sends SIGTERM to one broker and waits for the end, at most 30 s.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub async fn stop_broker(&self, broker: usize) -> Result<()> {
        self.broker(broker)?.server.stop().await
    }

    /// Starts broker 0 again; see [`Kafka::start_broker`].
    ///
    /// # Errors
    /// When it is running, does not answer within 90 s, or is not ours.
    pub async fn start(&self) -> Result<()> {
        self.start_broker(0).await
    }

    /// Starts a broker again on its ports and data, and waits until it answers.
    ///
    /// After a kill that takes up to `broker.session.timeout.ms` (9 s) longer than after a stop: so
    /// long the controller takes the killed broker to be alive, and refuses another of the same id.
    ///
    /// # Errors
    /// When it is running, does not answer within 90 s, or is not ours.
    pub async fn start_broker(&self, broker: usize) -> Result<()> {
        let broker = self.broker(broker)?;
        broker.launch()?;
        broker.wait_ready().await
    }

    /// Sends SIGSTOP to broker 0: connections stay and nothing is answered.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pause(&self) -> Result<()> {
        self.pause_broker(0)
    }

    /// Sends SIGSTOP to one broker.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pause_broker(&self, broker: usize) -> Result<()> {
        self.broker(broker)?.server.pause()
    }

    /// Sends SIGCONT to broker 0.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn resume(&self) -> Result<()> {
        self.resume_broker(0)
    }

    /// Sends SIGCONT to one broker.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn resume_broker(&self, broker: usize) -> Result<()> {
        self.broker(broker)?.server.resume()
    }

    /// The proxy before one broker.
    ///
    /// # Errors
    /// When the plan has none, or the brokers are not ours.
    pub fn proxy(&self, broker: usize) -> Result<&Proxy> {
        self.broker(broker)?
            .proxy
            .as_ref()
            .context("the brokers have no proxies before them; plan them with `proxied`")
    }

    /// Lets all processes run on when this is dropped.
    pub(crate) fn leave(&self) {
        for broker in self.own.iter().flat_map(|own| &own.brokers) {
            broker.server.leave();
        }
    }

    pub(crate) fn broker(&self, index: usize) -> Result<&Broker> {
        let own = self.own.as_ref().context(
            "the Kafka at MILLRACE_KAFKA_BOOTSTRAP was not started here, so its process is left \
             alone; use native servers for this",
        )?;
        own.brokers.get(index).with_context(|| {
            format!("there is no broker {index}: the cluster has {}, from 0", own.brokers.len())
        })
    }
}

/// Formats and starts all brokers of a cluster; returns the major version of their Java. Those that
/// were started are in `brokers` also when another was not.
async fn start_brokers(
    cluster: &Arc<Cluster>,
    launcher: &Arc<Launcher>,
    brokers: &mut Vec<Broker>,
) -> Result<Option<u32>> {
    for index in 0..cluster.plan.brokers {
        brokers.push(Broker::new(index, cluster, launcher).await?);
    }
    let all: Vec<Listeners> = brokers.iter().map(Broker::listeners).collect();
    let mut java = None;
    for (index, broker) in brokers.iter().enumerate() {
        java = fetch::java_version(&broker.format(index, &all).await?);
    }
    // A quorum of three comes up only when two of them run.
    for broker in brokers.iter() {
        broker.launch()?;
    }
    for broker in brokers.iter() {
        broker.wait_ready().await?;
    }
    Ok(java)
}

fn lost_a_port(brokers: &[Broker]) -> bool {
    brokers.iter().any(|broker| broker.server.has_logged("Address already in use"))
}
