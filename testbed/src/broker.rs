//! One broker of a cluster: its files, its process, and the wait until it answers.
//!
//! ```text
//! kafka/  server.properties  log4j2.properties  log  data/logs/ (topics, metadata)  data/tmp/
//! ```
//!
//! With three brokers the folders are `kafka-0` to `kafka-2`. Ports, data and log stay over kill and start.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rskafka::{
    BackoffConfig,
    client::{Client, ClientBuilder},
};

use crate::{
    broker_config::{self, Cluster, LOG4J, Listeners},
    data_disk::DataDisk,
    launch::{Launcher, Server},
    port::Port,
    proxy::Proxy,
    software::Invocation,
};

/// How long a broker may take to answer; recovery after a kill included.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// How long a broker that serves may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// What a broker logs when its registration is done and its leaders are elected.
const STARTED: &str = "Kafka Server started";
/// What precedes a broker's version in its log.
const VERSION: &str = "Kafka version: ";

/// One broker with its own ports and data.
#[derive(Debug)]
pub(crate) struct Broker {
    // The process ends before its disk goes.
    pub(crate) server: Server,
    pub(crate) disk: Option<DataDisk>,
    pub(crate) proxy: Option<Proxy>,
    cluster: Arc<Cluster>,
    client: Port,
    internal: Port,
    controller: Port,
}

impl Broker {
    /// A broker with leased ports and an empty folder.
    pub(crate) async fn new(
        index: usize,
        cluster: &Arc<Cluster>,
        launcher: &Arc<Launcher>,
    ) -> Result<Self> {
        let client = Port::lease()?;
        let proxy = match cluster.plan.proxied {
            true => Some(Proxy::start(&client.address()).await?),
            false => None,
        };
        let role = match cluster.plan.brokers {
            1 => "kafka".to_owned(),
            _ => format!("kafka-{index}"),
        };
        let server = Server::new(&role, cluster.software.image(), launcher)?;
        let disk = match cluster.plan.disk_mb {
            Some(size_mb) => Some(DataDisk::mount(&server.folder().join("data"), size_mb)?),
            None => None,
        };
        Ok(Self {
            server,
            disk,
            proxy,
            cluster: Arc::clone(cluster),
            client,
            internal: Port::lease()?,
            controller: Port::lease()?,
        })
    }

    pub(crate) fn listeners(&self) -> Listeners {
        Listeners {
            client: self.client.number(),
            advertised: self.advertised(),
            internal: self.internal.number(),
            controller: self.controller.number(),
        }
    }

    /// `host:port` for clients.
    pub(crate) fn advertised(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.client.address(), Proxy::address)
    }

    /// `host:port` that takes a plain connection, past any proxy.
    pub(crate) fn internal(&self) -> String {
        self.internal.address()
    }

    /// Writes its settings and its first metadata. Returns what Java said of itself.
    pub(crate) async fn format(&self, index: usize, all: &[Listeners]) -> Result<String> {
        let data = self.server.folder().join("data");
        let text = broker_config::server_properties(&self.cluster, index, all, &data.join("logs"));
        let write = || {
            // A try on other ports has left its own metadata.
            if data.join("logs").exists() {
                fs::remove_dir_all(data.join("logs"))?;
            }
            fs::create_dir_all(data.join("tmp"))?;
            fs::write(self.server.folder().join("log4j2.properties"), LOG4J)?;
            fs::write(self.properties(), text)
        };
        write().with_context(|| format!("write {}", self.properties().display()))?;
        let command = broker_config::format_command(&self.cluster, &self.properties());
        let invocation = Invocation { command, limits: self.cluster.plan.limits.clone() };
        self.server.run(invocation, "format.log").await.context("format the broker's data folder")
    }

    /// Starts the process; it does not answer yet.
    pub(crate) fn launch(&self) -> Result<()> {
        let folder = self.server.folder();
        let command = broker_config::broker_command(&self.cluster, folder, &self.properties());
        self.server.start(Invocation { command, limits: self.cluster.plan.limits.clone() })
    }

    /// Waits until it answers.
    pub(crate) async fn wait_ready(&self) -> Result<()> {
        let address = self.internal();
        self.server
            .wait_until("answers", READY_LIMIT, || async {
                // The port is open long before; a client would only wait and log.
                anyhow::ensure!(self.server.has_logged(STARTED), "it has not logged {STARTED:?}");
                ask(&address).await.map(drop)
            })
            .await
    }

    /// The version that it logged when it started.
    pub(crate) fn version(&self) -> Option<String> {
        let log = self.server.log();
        let (_, rest) = log.split_once(VERSION)?;
        Some(rest.split_whitespace().next()?.to_owned())
    }

    fn properties(&self) -> PathBuf {
        self.server.folder().join("server.properties")
    }
}

/// Asks brokers for their topics, and returns the client that got an answer.
pub(crate) async fn ask(bootstrap: &str) -> Result<Client> {
    let brokers = bootstrap.split(',').map(|broker| broker.trim().to_owned()).collect();
    let ask = async {
        let client = ClientBuilder::new(brokers)
            .client_id("millrace-testbed")
            .backoff_config(BackoffConfig::default())
            .build()
            .await?;
        client.list_topics().await?;
        Ok::<_, rskafka::client::error::Error>(client)
    };
    let client = tokio::time::timeout(ANSWER_LIMIT, ask)
        .await
        .with_context(|| format!("no answer from {bootstrap} within {ANSWER_LIMIT:?}"))?
        .with_context(|| format!("ask {bootstrap} for its topics"))?;
    Ok(client)
}
