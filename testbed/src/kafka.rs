//! A Kafka broker: one process that is its own controller (KRaft), or one given from outside.
//!
//! ```text
//! kafka/  server.properties  log  data/logs/ (topics and metadata)  data/tmp/
//! ```
//!
//! Port, data and log stay over kill and start. An external broker is reached and nothing else.

use std::{fs, path::Path, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rskafka::{
    BackoffConfig,
    client::{Client, ClientBuilder},
};

use crate::{
    broker_config,
    facts::KafkaFacts,
    fetch::{self, KAFKA_VERSION, KafkaLibraries},
    launch::{Launcher, Server},
    plan::KafkaPlan,
    port::Port,
    process::run,
};

/// How long a broker may take to serve; recovery after a kill included.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// How long a broker that serves may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// What a broker logs when its registration is done and its leaders are elected.
const STARTED: &str = "Kafka Server started";
/// How often a new broker gets other ports, because someone was faster on the first ones.
const PORT_TRIES: usize = 3;

/// A Kafka broker that serves.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    facts: KafkaFacts,
    /// `None` if the process is not ours.
    broker: Option<Broker>,
}

#[derive(Debug)]
struct Broker {
    server: Server,
    libraries: KafkaLibraries,
    plan: KafkaPlan,
    port: Port,
    controller_port: Port,
}

impl Kafka {
    /// Starts what `plan` says and waits until it serves.
    pub(crate) async fn start_native(plan: &KafkaPlan, launcher: &Arc<Launcher>) -> Result<Self> {
        let libraries = fetch::kafka_libraries().await?;
        let mut tries = 1;
        let broker = loop {
            let broker = Broker::new(plan, &libraries, launcher)?;
            broker.format().await?;
            match broker.start().await {
                Err(_)
                    if tries < PORT_TRIES && broker.server.has_logged("Address already in use") =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => break broker,
            }
        };
        let facts = KafkaFacts {
            version: Some(KAFKA_VERSION.to_owned()),
            java: Some(libraries.java_version),
            heap_mb: Some(plan.heap_mb),
            properties: plan.properties.clone(),
        };
        Ok(Self { bootstrap: broker.port.address(), facts, broker: Some(broker) })
    }

    /// Reaches the broker at `bootstrap`.
    pub(crate) async fn reach_external(bootstrap: &str) -> Result<Self> {
        answers(bootstrap).await.with_context(|| {
            format!("reach Kafka at {bootstrap}: is it running, and is this its address?")
        })?;
        let facts = KafkaFacts { version: None, java: None, heap_mb: None, properties: Vec::new() };
        Ok(Self { bootstrap: bootstrap.to_owned(), facts, broker: None })
    }

    /// `host:port`; several with commas between them if that was given from outside.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// The broker's version; `None` for an external one, whose protocol does not tell.
    pub fn version(&self) -> Option<&str> {
        self.facts.version.as_deref()
    }

    /// What a record says about it.
    pub fn facts(&self) -> &KafkaFacts {
        &self.facts
    }

    /// The folder of Kafka's jars, command line tools included; `None` for an external broker.
    pub fn libraries(&self) -> Option<&Path> {
        self.broker.as_ref().map(|broker| broker.libraries.folder.as_path())
    }

    /// A client of the broker. It belongs to the runtime that this is called on.
    ///
    /// # Errors
    /// When the broker does not answer within 4 s.
    pub async fn client(&self) -> Result<Client> {
        answers(&self.bootstrap).await
    }

    /// Waits until the broker answers.
    ///
    /// # Errors
    /// When it does not within 90 s.
    pub async fn wait_ready(&self) -> Result<()> {
        match &self.broker {
            Some(broker) => broker.wait_ready().await,
            None => answers(&self.bootstrap).await.map(drop),
        }
    }

    /// The broker's process id.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pid(&self) -> Result<u32> {
        self.ours()?.server.pid()
    }

    /// Where the broker logs.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn log_path(&self) -> Result<PathBuf> {
        Ok(self.ours()?.server.log_path())
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn kill(&self) -> Result<()> {
        self.ours()?.server.kill()
    }

    /// Sends SIGTERM and waits for the end, at most 30 s.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub async fn stop(&self) -> Result<()> {
        self.ours()?.server.stop().await
    }

    /// Starts the broker again on its port and data, and waits until it answers.
    ///
    /// After a kill that takes up to `broker.session.timeout.ms` (9 s) longer than after a stop: so
    /// long the controller takes the killed broker to be alive, and refuses another of the same id.
    ///
    /// # Errors
    /// When it is running, does not answer within 90 s, or is not ours.
    pub async fn start(&self) -> Result<()> {
        self.ours()?.start().await
    }

    /// Sends SIGSTOP: connections stay and nothing is answered.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn pause(&self) -> Result<()> {
        self.ours()?.server.pause()
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// When it is not running or not ours.
    pub fn resume(&self) -> Result<()> {
        self.ours()?.server.resume()
    }

    /// Lets the process run on when this is dropped.
    pub(crate) fn leave(&self) {
        if let Some(broker) = &self.broker {
            broker.server.leave();
        }
    }

    fn ours(&self) -> Result<&Broker> {
        self.broker.as_ref().context(
            "the Kafka at MILLRACE_KAFKA_BOOTSTRAP was not started here, so its process is left \
             alone; use native servers for this",
        )
    }
}

impl Broker {
    fn new(plan: &KafkaPlan, libraries: &KafkaLibraries, launcher: &Arc<Launcher>) -> Result<Self> {
        Ok(Self {
            server: Server::new("kafka", launcher)?,
            libraries: libraries.clone(),
            plan: plan.clone(),
            port: Port::lease()?,
            controller_port: Port::lease()?,
        })
    }

    fn properties(&self) -> PathBuf {
        self.server.folder().join("server.properties")
    }

    async fn format(&self) -> Result<()> {
        let data = self.server.folder().join("data");
        let logs = data.join("logs");
        let (broker, controller) = (self.port.number(), self.controller_port.number());
        let text = broker_config::server_properties(&self.plan, &logs, broker, controller);
        let write = || {
            // A try on other ports has left its own metadata.
            fs::remove_dir_all(&data)?;
            fs::create_dir_all(data.join("tmp"))?;
            fs::write(self.properties(), text)
        };
        write().with_context(|| format!("write {}", self.properties().display()))?;
        let format = broker_config::format_command(&self.libraries, &self.properties());
        let formatted = tokio::task::spawn_blocking(move || run(format));
        formatted.await?.context("format the broker's data folder")?;
        Ok(())
    }

    async fn start(&self) -> Result<()> {
        let command = broker_config::broker_command(
            &self.libraries,
            &self.plan,
            self.server.folder(),
            &self.properties(),
        );
        self.server.start(command)?;
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<()> {
        let address = self.port.address();
        self.server
            .wait_until("answers", READY_LIMIT, || async {
                // The port is open long before; a client would only wait and log.
                anyhow::ensure!(self.server.has_logged(STARTED), "it has not logged {STARTED:?}");
                answers(&address).await.map(drop)
            })
            .await
    }
}

/// Asks the broker for its topics, and returns the client that got an answer.
async fn answers(bootstrap: &str) -> Result<Client> {
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
