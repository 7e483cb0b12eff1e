//! Everything that may be ordered of connectors. One order is carried out at a time.
//!
//! Connect's rules: a configuration that is replaced by the same leaves a running task alone; a restart of a connector
//! alone touches no task; what is resumed after a failure stays failed until it is restarted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Herder;
use super::connector::Connector;
use super::entities::{ConnectorInfo, ConnectorStateInfo, State};
use super::error::HerderError;
use super::tasks::Task;
use crate::config::{ConnectorFile, SourceConfig, TargetState};
use crate::offsets::StoredOffsets;
use crate::task::{ActiveTopics, TaskState};

/// A connector, and whether it is new.
pub(crate) struct Created {
    pub(crate) is_new: bool,
    pub(crate) info: ConnectorInfo,
}

/// What of a connector is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) include_tasks: bool,
    pub(crate) only_failed: bool,
}

/// The properties of a connector as a request has them; `None`: `null`.
pub(crate) type Posted = BTreeMap<String, Option<String>>;

impl Herder {
    /// Starts the connectors of the command line, all after the same look at what is stored.
    ///
    /// # Errors
    /// When what is stored cannot be read.
    pub(crate) async fn start(
        self: &Arc<Self>,
        connectors: Vec<(ConnectorFile, SourceConfig)>,
    ) -> anyhow::Result<()> {
        if connectors.is_empty() {
            return Ok(());
        }
        let stored = Arc::new(self.offsets.read().await?);
        for (ConnectorFile { name, properties, initial_state, .. }, source) in connectors {
            self.add(&name, properties, source, initial_state, Some(&stored));
        }
        Ok(())
    }

    /// Makes a connector. `initial` is what it is to do; without it, it runs.
    pub(crate) async fn create(
        self: &Arc<Self>,
        name: &str,
        posted: Posted,
        initial: TargetState,
    ) -> Result<ConnectorInfo, HerderError> {
        let (config, source) = self.check(name, posted).await?;
        let _changes = self.changes.lock().await;
        if self.connectors().contains_key(name) {
            return Err(HerderError::AlreadyExists(format!("Connector {name} already exists")));
        }
        self.add(name, config, source, initial, None);
        self.info(name)
    }

    /// Makes a connector, or gives it other properties.
    pub(crate) async fn put_config(
        self: &Arc<Self>,
        name: &str,
        posted: Posted,
    ) -> Result<Created, HerderError> {
        let (config, source) = self.check(name, posted).await?;
        let _changes = self.changes.lock().await;
        self.put(name, config, source).await
    }

    /// Changes some properties of a connector; `None` removes one.
    pub(crate) async fn patch_config(
        self: &Arc<Self>,
        name: &str,
        patch: Posted,
    ) -> Result<ConnectorInfo, HerderError> {
        loop {
            let before = self.info(name)?.config;
            let mut patched: Posted = before
                .clone()
                .into_iter()
                .map(|(property, value)| (property, Some(value)))
                .collect();
            patched.extend(patch.clone());
            patched.retain(|_, value| value.is_some());
            let (config, source) = self.check(name, patched).await?;
            let _changes = self.changes.lock().await;
            // Checking takes its time; who has changed the connector meanwhile is not overruled.
            if self.info(name)?.config == before {
                return Ok(self.put(name, config, source).await?.info);
            }
        }
    }

    async fn put(
        self: &Arc<Self>,
        name: &str,
        config: BTreeMap<String, String>,
        source: SourceConfig,
    ) -> Result<Created, HerderError> {
        let Some((is_same, task)) =
            self.look_at(name, |old| (old.config == config, old.task.clone()))
        else {
            self.add(name, config, source, TargetState::Started, None);
            return Ok(Created { is_new: true, info: self.info(name)? });
        };
        if let (false, Some(task)) = (is_same, &task) {
            task.stop().await;
        }
        self.change(name, |old| {
            old.config = config;
            old.source = source;
        });
        if !is_same {
            self.begin_if_started(name, task.is_some());
        }
        Ok(Created { is_new: false, info: self.info(name)? })
    }

    /// Removes a connector. Its positions stay.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        self.end_task(name).await?;
        self.connectors().remove(name);
        tracing::info!("connector {name} removed");
        Ok(())
    }

    /// Ends the task of a connector, and forgets it.
    pub(crate) async fn stop_connector(&self, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        self.end_task(name).await?;
        self.change(name, |connector| {
            connector.target = TargetState::Stopped;
            connector.task = None;
        });
        Ok(())
    }

    /// Lets the task of a connector do nothing; it may go on sending for a moment.
    pub(crate) async fn pause(&self, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        self.change(name, |connector| {
            connector.target = TargetState::Paused;
            if let Some(task) = &connector.task {
                task.order_stop();
            }
        })
        .ok_or_else(|| HerderError::NotFound(format!("Unknown connector {name}")))
    }

    /// Lets a connector run that was paused or stopped. Whether it does is seen later.
    pub(crate) async fn resume(self: &Arc<Self>, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        let task = self
            .change(name, |connector| {
                connector.target = TargetState::Started;
                connector.task.clone()
            })
            .ok_or_else(|| HerderError::NotFound(format!("Unknown connector {name}")))?;
        match task {
            None => self.begin_if_started(name, false),
            Some(task) if task.is_ordered_to_stop() => {
                task.ended().await;
                // A task that has failed waits to be restarted.
                if task.state() == TaskState::Stopped {
                    self.begin_if_started(name, true);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Starts a connector again, without its tasks: there is nothing of its own that could be started again.
    pub(crate) async fn restart_connector(self: &Arc<Self>, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        match self.look_at(name, |connector| connector.task.is_some()) {
            None => Err(HerderError::no_connector(name)),
            Some(true) => Ok(()),
            Some(false) => {
                self.begin_if_started(name, false);
                Ok(())
            }
        }
    }

    /// Starts a connector and its tasks again, as `restart` says. Returns what is being restarted.
    pub(crate) async fn restart_with_tasks(
        self: &Arc<Self>,
        name: &str,
        restart: Restart,
    ) -> Result<ConnectorStateInfo, HerderError> {
        let _changes = self.changes.lock().await;
        let Ok(mut plan) = self.status(name) else {
            return Err(HerderError::NotFound(format!("Unknown connector: {name}")));
        };
        let is_due = |state| !restart.only_failed || state == State::Failed;
        if is_due(plan.connector.state) {
            plan.connector.state = State::Restarting;
        }
        for task in &mut plan.tasks {
            if restart.include_tasks && is_due(task.state.state) {
                self.restart_first_task(name).await;
                task.state.state = State::Restarting;
            }
        }
        Ok(plan)
    }

    /// Starts a task again.
    pub(crate) async fn restart_task(
        self: &Arc<Self>,
        name: &str,
        task: i32,
    ) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        match self.look_at(name, |connector| connector.task.is_some()) {
            None => Err(HerderError::no_connector(name)),
            Some(true) if task == 0 => {
                self.restart_first_task(name).await;
                Ok(())
            }
            Some(_) => Err(HerderError::NotFound(format!("Task {name}-{task} not found"))),
        }
    }

    async fn restart_first_task(self: &Arc<Self>, name: &str) {
        if let Some(Some(task)) = self.look_at(name, |connector| connector.task.clone()) {
            task.stop().await;
            self.begin_if_started(name, true);
        }
    }

    /// Ends the task of a connector, if it has one.
    async fn end_task(&self, name: &str) -> Result<(), HerderError> {
        let task = self.look_at(name, |connector| connector.task.clone());
        if let Some(task) = task.ok_or_else(|| HerderError::no_connector(name))? {
            task.stop().await;
        }
        Ok(())
    }

    fn add(
        self: &Arc<Self>,
        name: &str,
        config: BTreeMap<String, String>,
        source: SourceConfig,
        target: TargetState,
        stored: Option<&Arc<StoredOffsets>>,
    ) {
        let topics = ActiveTopics::default();
        let task = (target == TargetState::Started)
            .then(|| self.begin(source.clone(), topics.clone(), stored.cloned()));
        let connector = Connector { config, source, target, task, topics };
        self.connectors().insert(name.to_owned(), connector);
        self.connector_startups.succeeded();
    }

    /// Begins a task of a connector that is meant to run, in place of one that has ended, if it `has_task`.
    fn begin_if_started(self: &Arc<Self>, name: &str, has_task: bool) {
        let wanted = self.look_at(name, |connector| {
            (connector.target == TargetState::Started)
                .then(|| (connector.source.clone(), connector.topics.clone()))
        });
        let Some(Some((source, topics))) = wanted else { return };
        tracing::info!("connector {name} starts{}", if has_task { " again" } else { "" });
        let task: Task = self.begin(source, topics, None);
        self.change(name, |connector| connector.task = Some(task));
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Connector) -> T) -> Option<T> {
        self.connectors().get_mut(name).map(change)
    }
}
