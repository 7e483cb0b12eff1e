//! `millrace distributed`: a worker of a group, from its file to the exit code.
//!
//! ```text
//! REST answers (health: starting) ─► topics are read ─► the group is joined (health: healthy) ─► work
//! SIGTERM, SIGINT: tasks end, the group is left, 0 if everything settled, else 1
//! ```

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use millrace_io::driver::Driver;
use millrace_io::tls::TlsClient;
use tokio::sync::{Mutex, mpsc, watch};

use super::config_state::ConfigChange;
use super::config_store::ConfigStore;
use super::herder::{Distributed, Round};
use super::local::Local;
use super::session_key::KeyGenerator;
use super::status_store::StatusStore;
use super::worker_client::WorkerClient;
use crate::DistributedArgs;
use crate::config::{DistributedConfig, Mode, StorageTopic, WorkerConfig};
use crate::group::{GroupEvent, GroupSettings, Membership, Protocols};
use crate::herder::say;
use crate::kafka::{self, Client, Cluster, Role, TopicSpec};
use crate::logging::Loggers;
use crate::offsets::OffsetStore;
use crate::process::{self, Outcome};
use crate::rest::{Shared, Sockets};
use crate::worker::Worker;

/// Runs the worker until it ends and says how.
pub(crate) fn run(args: &DistributedArgs, loggers: Loggers) -> ExitCode {
    let read = read(args).and_then(|worker| {
        let group = worker.distributed.clone().context("the file describes no group")?;
        Ok((worker, group))
    });
    let (worker, group) = match read {
        Ok(read) => read,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(2);
        }
    };
    process::run(worker.io_driver, |driver, stopped| {
        serve(worker, group, driver, args.strict, Arc::new(loggers), stopped)
    })
}

fn read(args: &DistributedArgs) -> anyhow::Result<WorkerConfig> {
    let (mut worker, notices) = WorkerConfig::read(&args.worker, Mode::Distributed, args.strict)?;
    say(&args.worker, &notices);
    worker.io_driver = process::chosen_driver(worker.io_driver)?;
    anyhow::ensure!(
        !worker.rest.listeners.is_empty(),
        "{}: workers of a group reach each other by REST; listeners must not be empty",
        args.worker.display()
    );
    Ok(worker)
}

async fn serve(
    config: WorkerConfig,
    settings: DistributedConfig,
    driver: Driver,
    strict: bool,
    loggers: Arc<Loggers>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Outcome> {
    let sockets = Sockets::bind(&config.rest).await?.context("listeners must not be empty")?;
    let (id, url) = (sockets.worker_id(&config.rest), sockets.advertised_url(&config.rest));
    sockets.warn_of_unreachable(&config.rest);
    let rest = config.rest.clone();
    let offsets = OffsetStore::open(&config)?;
    // No task begins before the group was joined, and that comes after the topics.
    offsets.expect_topic();
    let worker = Worker::new(config.clone(), id, offsets, driver, strict);
    let (ended, end) = watch::channel(false);
    let (serving, open) = sockets.serve_later(rest, end);
    let serving = tokio::spawn(serving);
    let starting = start(Arc::clone(&worker), settings, url, &config, Arc::clone(&loggers));
    let (herder, group, changes, forgotten) = tokio::select! {
        started = starting => started?,
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(Outcome::Stopped),
    };
    let cluster = tokio::spawn(Arc::clone(&worker).find_cluster());
    open(Shared::in_group(Arc::clone(&herder), loggers));
    let settled = herder.work(group, changes, forgotten, stopped).await;
    ended.send_replace(true);
    serving.await.context("the REST interface has panicked")?;
    cluster.abort();
    worker.join();
    Ok(if settled? { Outcome::Stopped } else { Outcome::Failed })
}

type Started = (
    Arc<Distributed>,
    mpsc::UnboundedReceiver<GroupEvent>,
    mpsc::UnboundedReceiver<ConfigChange>,
    mpsc::UnboundedReceiver<String>,
);

/// Reads the topics of the group, and begins to join it.
async fn start(
    worker: Arc<Worker>,
    settings: DistributedConfig,
    url: String,
    config: &WorkerConfig,
    loggers: Arc<Loggers>,
) -> anyhow::Result<Started> {
    let client_id = match settings.client_id.as_str() {
        "" => format!("connect-{}", worker.id()),
        named => named.to_owned(),
    };
    let cluster = Cluster {
        bootstrap: config.bootstrap.clone(),
        security: config.security.clone(),
        client_id,
    };
    let (sender, changes) = mpsc::unbounded_channel();
    let (forgetting, forgotten) = mpsc::unbounded_channel();
    let store =
        ConfigStore::start(cluster.clone(), spec(&settings.config_topic, Role::Configs), sender);
    let store = Arc::new(store.await?);
    let statuses = StatusStore::start(
        cluster.clone(),
        spec(&settings.status_topic, Role::Statuses),
        forgetting,
    );
    let statuses = statuses.await?;
    kafka::ensure(&mut Client::new(cluster.clone()), &spec(&settings.offset_topic, Role::Offsets))
        .await?;
    let (membership, group) = Membership::start(
        cluster.clone(),
        group_settings(&settings, url),
        Arc::<ConfigStore>::clone(&store),
    );
    let keys = KeyGenerator::new(&settings.key.generation_algorithm, settings.key.size_bits)?;
    let workers = WorkerClient::new(config.rest.client_tls.as_ref().map(TlsClient::config));
    let herder = Arc::new(Distributed {
        worker,
        settings,
        kafka: cluster,
        round: Mutex::new(Round { config: store.snapshot() }),
        config: store,
        statuses,
        membership,
        workers,
        keys,
        loggers,
        local: Local::default(),
        joined: watch::Sender::new(false),
    });
    Ok((herder, group, changes, forgotten))
}

fn spec(topic: &StorageTopic, role: Role) -> TopicSpec {
    TopicSpec {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        settings: topic.settings.clone(),
        role,
    }
}

fn group_settings(settings: &DistributedConfig, url: String) -> GroupSettings {
    GroupSettings {
        group_id: settings.group_id.clone(),
        url,
        session_timeout: settings.session_timeout,
        rebalance_timeout: settings.rebalance_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        rebalance_delay_max: settings.rebalance_delay_max,
        protocols: match settings.is_sessioned {
            true => Protocols::Sessioned,
            false => Protocols::Compatible,
        },
        request_timeout: settings.request_timeout,
        retry_backoff: settings.retry_backoff,
    }
}
