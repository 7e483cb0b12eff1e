//! A worker in a group: what it answers to requests, and which of them its leader has to carry out.
//!
//! ```text
//!  looks      from what this worker has read of the config and status topics; any worker answers
//!  orders     pause, resume: any worker writes them into the config topic
//!             everything else: the leader alone; another worker says where that is (HerderError::Elsewhere)
//!  restarts   whoever runs the connector or task
//! ```
//!
//! Words, rules and order are those of Connect's `DistributedHerder`. An order waits until this worker is in the group,
//! and takes its turn between rounds ([`super::rounds`]).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, watch};

use super::config_record::RestartRequest;
use super::config_state::ClusterConfig;
use super::config_store::ConfigStore;
use super::local::Local;
use super::session_key::KeyGenerator;
use super::status_record::Status;
use super::status_store::StatusStore;
use super::worker_client::WorkerClient;
use crate::config::{DistributedConfig, TargetState};
use crate::group::{self, ClusterWork, Membership, Owners, Protocol, TaskId, Work};
use crate::herder::{
    ConnectorInfo, ConnectorStateInfo, Created, GroupFigures, HEALTH_TIMEOUT, Health, Herder,
    HerderError, Restart, StateInfo, TaskInfo, TaskStateInfo, WorkerFigures, kind, patched,
};
use crate::kafka::Cluster;
use crate::logging::Loggers;
use crate::offsets::NamedOffset;
use crate::worker::{Message, Posted, Runnable, Worker};

/// See the module.
pub(crate) struct Distributed {
    pub(super) worker: Arc<Worker>,
    pub(super) settings: DistributedConfig,
    pub(super) kafka: Cluster,
    pub(super) config: Arc<ConfigStore>,
    pub(super) statuses: StatusStore,
    pub(super) membership: Membership,
    pub(super) workers: WorkerClient,
    pub(super) keys: KeyGenerator,
    pub(super) loggers: Arc<Loggers>,
    pub(super) local: Local,
    /// Whether the worker is in the group and runs what it was given.
    pub(super) joined: watch::Sender<bool>,
    /// Held while something is changed.
    pub(super) round: Mutex<Round>,
}

/// What the last round knew.
#[derive(Default)]
pub(crate) struct Round {
    pub(super) config: Arc<ClusterConfig>,
}

impl group::Worker for ConfigStore {
    fn config_offset(&self) -> i64 {
        self.snapshot().offset()
    }

    fn work(&self) -> ClusterWork {
        let config = self.snapshot();
        let connectors: Vec<String> = config.connectors().map(str::to_owned).collect();
        let tasks = connectors.iter().flat_map(|name| {
            config.tasks(name).into_iter().map(|task| TaskId::new(name.clone(), task))
        });
        let tasks = tasks.collect();
        ClusterWork { config_offset: config.offset(), work: Work { connectors, tasks } }
    }
}

impl Distributed {
    /// Whether this worker leads the group.
    pub(super) fn is_leader(&self) -> bool {
        self.membership.view().borrow().member.is_leader
    }

    /// Where the leader takes requests, if that is known.
    pub(super) fn leader_url(&self) -> Option<String> {
        Some(self.membership.view().borrow().member.leader_url.clone())
            .filter(|url| !url.is_empty())
    }

    /// The last generation in which this worker was given something.
    pub(super) fn generation(&self) -> i32 {
        self.membership.view().borrow().member.generation
    }

    /// Whether requests between workers are signed.
    pub(super) fn is_sessioned(&self) -> bool {
        let protocol = self.membership.view().borrow().member.protocol;
        // Before the first assignment nothing less than what the worker's file says.
        protocol.map_or(self.settings.is_sessioned, |protocol| protocol == Protocol::Sessioned)
    }

    /// Where whoever runs something takes requests: only the leader knows; who does not, sends to it.
    fn owner(&self, of: impl Fn(&Owners) -> Option<&str>) -> HerderError {
        if !self.is_leader() {
            return self.with_the_leader();
        }
        let view = self.membership.view();
        let view = view.borrow();
        let owner = view.member.owners.as_ref().and_then(of).filter(|url| !url.is_empty());
        HerderError::Elsewhere { url: owner.map(str::to_owned) }
    }

    /// Waits until this worker is in the group, and takes a turn.
    async fn turn(&self) -> MutexGuard<'_, Round> {
        loop {
            // The sender lives as long as this does.
            let _ = self.joined.subscribe().wait_for(|joined| *joined).await;
            let round = self.round.lock().await;
            if *self.joined.borrow() {
                return round;
            }
        }
    }

    /// Takes a turn as the leader.
    ///
    /// # Errors
    /// Where the leader is, if that is another worker.
    pub(super) async fn lead(&self) -> Result<MutexGuard<'_, Round>, HerderError> {
        let round = self.turn().await;
        if self.is_leader() { Ok(round) } else { Err(self.with_the_leader()) }
    }

    fn with_the_leader(&self) -> HerderError {
        HerderError::Elsewhere { url: self.leader_url() }
    }

    /// Reads the config topic to its end.
    pub(super) async fn refresh(&self) -> Result<(), HerderError> {
        self.config.refresh(self.settings.sync_timeout).await.map_err(HerderError::of_topic)
    }

    /// Writes a configuration that was checked. For the leader, who holds the round.
    async fn write(
        &self,
        name: &str,
        Runnable { properties, .. }: Runnable,
        target: Option<TargetState>,
    ) -> Result<ConnectorInfo, HerderError> {
        let tasks = self.config.snapshot().tasks(name);
        let written = self.config.put_connector(name, properties.clone(), target).await;
        written.map_err(HerderError::of_topic)?;
        Ok(ConnectorInfo::new(name, properties, &tasks))
    }

    async fn ensure_stopped(&self, name: &str) -> Result<MutexGuard<'_, Round>, HerderError> {
        let round = self.lead().await?;
        self.refresh().await?;
        let config = self.config.snapshot();
        if !config.contains(name) {
            return Err(HerderError::no_connector(name));
        }
        let is_stopped = config.target_state(name) == Some(TargetState::Stopped);
        if is_stopped && config.task_count(name) == 0 {
            Ok(round)
        } else {
            Err(HerderError::not_stopped(name))
        }
    }

    async fn target(&self, name: &str, target: TargetState) -> Result<(), HerderError> {
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::unknown(name));
        }
        self.config.put_target_state(name, target).await.map_err(HerderError::of_topic)
    }

    fn state_info(status: &Status) -> StateInfo {
        StateInfo {
            state: status.state,
            worker_id: status.worker_id.clone(),
            trace: status.trace.clone(),
            version: status.version.clone(),
        }
    }
}

#[async_trait]
impl Herder for Distributed {
    fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    fn names(&self) -> Vec<String> {
        self.config.snapshot().connectors().map(str::to_owned).collect()
    }

    fn info(&self, name: &str) -> Result<ConnectorInfo, HerderError> {
        let config = self.config.snapshot();
        let properties =
            config.connector_config(name).ok_or_else(|| HerderError::no_connector(name))?;
        Ok(ConnectorInfo::new(name, properties.clone(), &config.tasks(name)))
    }

    fn status(&self, name: &str) -> Result<ConnectorStateInfo, HerderError> {
        let config = self.config.snapshot();
        let kind = config.connector_config(name).map_or("unknown", kind);
        self.statuses.look(|statuses| {
            let connector = statuses.connector(name).ok_or_else(|| HerderError::no_status(name))?;
            let task = |(id, status)| TaskStateInfo { id, state: Self::state_info(status) };
            let tasks = statuses.tasks(name).map(task).collect();
            Ok(ConnectorStateInfo::new(name, kind, Self::state_info(connector), tasks))
        })
    }

    fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError> {
        let config = self.config.snapshot();
        if !config.contains(name) {
            return Err(HerderError::no_connector(name));
        }
        let tasks = config.tasks(name).into_iter().filter_map(|task| {
            let id = crate::herder::TaskId::new(name, task);
            Some(TaskInfo { id, config: config.task_config(name, task)?.clone() })
        });
        Ok(tasks.collect())
    }

    fn task_status(&self, name: &str, task: i32) -> Result<TaskStateInfo, HerderError> {
        self.statuses.look(|statuses| {
            let status = statuses.task(name, task);
            let status = status.ok_or_else(|| HerderError::no_task_status(name, task))?;
            Ok(TaskStateInfo { id: task, state: Self::state_info(status) })
        })
    }

    fn active_topics(&self, name: &str) -> Vec<String> {
        self.statuses
            .look(|statuses| statuses.topics(name).map(|(topic, _)| topic.to_owned()).collect())
    }

    fn reset_active_topics(&self, name: &str) {
        for topic in self.active_topics(name) {
            self.statuses.delete_topic(name, &topic);
        }
    }

    fn figures(&self) -> WorkerFigures {
        let view = self.membership.view();
        let (member, rebalances) = {
            let view = view.borrow();
            (view.member.clone(), view.rebalances)
        };
        let work = self.local.work();
        let group = GroupFigures {
            assigned_connectors: work.connectors.len() as u64,
            assigned_tasks: work.tasks.len() as u64,
            is_rebalancing: member.is_rebalancing || rebalances.is_under_way(),
            completed_rebalances: rebalances.completed,
            epoch: u64::try_from(member.generation).unwrap_or(0),
            leader_url: Some(member.leader_url).filter(|url| !url.is_empty()),
        };
        WorkerFigures::new(&self.worker, self.local.figures(), Some(group))
    }

    async fn health(&self) -> Health {
        if !*self.joined.borrow() {
            return Health::Starting;
        }
        match tokio::time::timeout(HEALTH_TIMEOUT, self.round.lock()).await {
            Ok(_) => Health::Healthy,
            Err(_) => Health::Unhealthy,
        }
    }

    async fn create(
        self: Arc<Self>,
        name: &str,
        posted: Posted,
        initial: Option<TargetState>,
    ) -> Result<ConnectorInfo, HerderError> {
        let runnable = self.worker.check(name, posted).await?;
        let _round = self.lead().await?;
        if self.config.snapshot().contains(name) {
            return Err(HerderError::AlreadyExists(format!("Connector {name} already exists")));
        }
        self.write(name, runnable, initial).await
    }

    async fn put_config(
        self: Arc<Self>,
        name: &str,
        posted: Posted,
    ) -> Result<Created, HerderError> {
        let runnable = self.worker.check(name, posted).await?;
        let _round = self.lead().await?;
        let is_new = !self.config.snapshot().contains(name);
        Ok(Created { is_new, info: self.write(name, runnable, None).await? })
    }

    async fn patch_config(
        self: Arc<Self>,
        name: &str,
        patch: Posted,
    ) -> Result<ConnectorInfo, HerderError> {
        loop {
            drop(self.lead().await?);
            let before = self.info(name)?.config;
            let runnable = self.worker.check(name, patched(&before, &patch)).await?;
            let _round = self.lead().await?;
            // Checking takes its time; who has changed the connector meanwhile is not overruled.
            if self.info(name)?.config == before {
                return self.write(name, runnable, None).await;
            }
        }
    }

    async fn delete(&self, name: &str) -> Result<(), HerderError> {
        let _round = self.lead().await?;
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::no_connector(name));
        }
        self.config.remove_connector(name).await.map_err(HerderError::of_topic)
    }

    /// The tasks go first: a connector that runs without tasks is well, one that is stopped and has some is not.
    async fn stop_connector(&self, name: &str) -> Result<(), HerderError> {
        let round = self.turn().await;
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::unknown(name));
        }
        if !self.is_leader() {
            return Err(self.with_the_leader());
        }
        self.write_tasks(name, Vec::new()).await?;
        let written = self.target(name, TargetState::Stopped).await;
        drop(round);
        written
    }

    async fn pause(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, TargetState::Paused).await
    }

    async fn resume(self: Arc<Self>, name: &str) -> Result<(), HerderError> {
        self.target(name, TargetState::Started).await
    }

    async fn restart_connector(self: Arc<Self>, name: &str) -> Result<(), HerderError> {
        let _round = self.turn().await;
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::NotFound(format!("Unknown connector: {name}")));
        }
        if self.local.has_connector(name) {
            self.start_connector(name, &self.config.snapshot());
            return Ok(());
        }
        Err(self.owner(|owners| owners.of_connector(name)))
    }

    async fn restart_with_tasks(
        self: Arc<Self>,
        name: &str,
        restart: Restart,
    ) -> Result<ConnectorStateInfo, HerderError> {
        let _round = self.turn().await;
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::NotFound(format!("Unknown connector: {name}")));
        }
        if !self.is_leader() {
            return Err(self.with_the_leader());
        }
        let request = RestartRequest { connector: name.to_owned(), restart };
        self.config.put_restart(request).await.map_err(HerderError::of_topic)?;
        let Ok(mut plan) = self.status(name) else {
            return Err(HerderError::NotFound(format!("Status for connector {name} not found")));
        };
        plan.mark(restart);
        Ok(plan)
    }

    async fn restart_task(self: Arc<Self>, name: &str, task: i32) -> Result<(), HerderError> {
        let _round = self.turn().await;
        let config = self.config.snapshot();
        if !config.contains(name) {
            return Err(HerderError::NotFound(format!("Unknown connector: {name}")));
        }
        let id = TaskId::new(name, task);
        if config.task_config(name, task).is_none() {
            return Err(HerderError::NotFound(format!("Unknown task: {id}")));
        }
        if self.local.has_task(&id) {
            self.begin_again(vec![id], &config).await;
            return Ok(());
        }
        Err(self.owner(|owners| owners.of_task(&id)))
    }

    async fn offsets(&self, name: &str) -> Result<Vec<NamedOffset>, HerderError> {
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::no_connector(name));
        }
        self.worker.positions(name).await
    }

    async fn alter_offsets(
        &self,
        name: &str,
        offsets: Vec<NamedOffset>,
    ) -> Result<Message, HerderError> {
        let _round = self.ensure_stopped(name).await?;
        self.worker.alter_positions(name, offsets).await
    }

    async fn reset_offsets(&self, name: &str) -> Result<Message, HerderError> {
        let _round = self.ensure_stopped(name).await?;
        self.worker.reset_positions(name).await
    }

    async fn tell_logger_level(&self, namespace: &str, level: &str) -> Result<bool, HerderError> {
        self.config.put_logger_level(namespace, level).await.map_err(HerderError::of_topic)?;
        Ok(true)
    }
}
