//! The steps that orders of a standalone worker are made of. Whoever takes one holds `changes`.

use std::sync::Arc;

use super::connector::Connector;
use super::herder::Standalone;
use crate::config::{ConnectorFile, SourceConfig, TargetState};
use crate::herder::{Created, Herder, HerderError};
use crate::offsets::StoredOffsets;
use crate::task::ActiveTopics;
use crate::worker::{Runnable, Task};

impl Standalone {
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
        let stored = self.worker.stored_positions().await?;
        for (ConnectorFile { name, properties, initial_state, .. }, source) in connectors {
            self.add(&name, Runnable { properties, source }, initial_state, Some(&stored));
        }
        Ok(())
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        name: &str,
        Runnable { properties, source }: Runnable,
    ) -> Result<Created, HerderError> {
        let Some((is_same, task)) =
            self.look_at(name, |old| (old.config == properties, old.task.clone()))
        else {
            self.add(name, Runnable { properties, source }, TargetState::Started, None);
            return Ok(Created { is_new: true, info: self.info(name)? });
        };
        if let (false, Some(task)) = (is_same, &task) {
            task.stop().await;
        }
        self.change(name, |old| {
            old.config = properties;
            old.source = source;
        });
        if !is_same {
            self.begin_if_started(name, task.is_some());
        }
        Ok(Created { is_new: false, info: self.info(name)? })
    }

    pub(super) async fn restart_first_task(self: &Arc<Self>, name: &str) {
        if let Some(Some(task)) = self.look_at(name, |connector| connector.task.clone()) {
            task.stop().await;
            self.begin_if_started(name, true);
        }
    }

    /// Ends the task of a connector, if it has one.
    pub(super) async fn end_task(&self, name: &str) -> Result<(), HerderError> {
        let task = self.look_at(name, |connector| connector.task.clone());
        if let Some(task) = task.ok_or_else(|| HerderError::no_connector(name))? {
            task.stop().await;
        }
        Ok(())
    }

    pub(super) fn add(
        self: &Arc<Self>,
        name: &str,
        Runnable { properties, source }: Runnable,
        target: TargetState,
        stored: Option<&Arc<StoredOffsets>>,
    ) {
        let topics = ActiveTopics::default();
        let task = (target == TargetState::Started)
            .then(|| self.worker.begin(source.clone(), topics.clone(), stored.cloned()));
        let connector = Connector { config: properties, source, target, task, topics };
        self.connectors().insert(name.to_owned(), connector);
        self.worker.connector_startups.succeeded();
    }

    /// Begins a task of a connector that is meant to run, in place of one that has ended, if it `has_task`.
    pub(super) fn begin_if_started(self: &Arc<Self>, name: &str, has_task: bool) {
        let wanted = self.look_at(name, |connector| {
            (connector.target == TargetState::Started)
                .then(|| (connector.source.clone(), connector.topics.clone()))
        });
        let Some(Some((source, topics))) = wanted else { return };
        tracing::info!("connector {name} starts{}", if has_task { " again" } else { "" });
        let task: Task = self.worker.begin(source, topics, None);
        self.change(name, |connector| connector.task = Some(task));
    }

    pub(super) fn change<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Connector) -> T,
    ) -> Option<T> {
        self.connectors().get_mut(name).map(change)
    }
}
