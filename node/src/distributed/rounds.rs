//! One thing after the other: what the group gives and takes, what the config topic says, what users ask for.
//!
//! ```text
//!   the group ────┐                   ┌─► stop what was taken back, start what is new
//!   config topic ─┼─► a round at a time ─► begin a connector again, pause, restart; ask the group for a new share-out
//!   requests ─────┘                   └─► answer
//! ```
//!
//! Requests that change something take the same turns ([`super::herder`]). The rules are those of Connect's
//! `DistributedHerder`: nothing is started before the config topic has been read as far as the leader had when it
//! shared out, and nothing at all if it was read further: then it is shared out anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::config_record::RestartRequest;
use super::config_state::{ClusterConfig, ConfigChange};
use super::herder::{Distributed, Round};
use super::status_record::Subject;
use crate::group::{Assigned, GroupEvent, TaskId, Work};
use crate::herder::{Herder, State};

/// How long a worker stays out of the group that could not read the config topic in time.
const UNSYNC_PAUSE: Duration = Duration::from_secs(1);

/// How long the last statuses may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What many changes come to.
#[derive(Default)]
struct Changes {
    /// There is more or less to share out.
    rejoin: bool,
    connectors: BTreeSet<String>,
    targets: BTreeSet<String>,
    tasks: BTreeSet<String>,
    restarts: Vec<RestartRequest>,
    loggers: Vec<(String, String)>,
}

impl Distributed {
    /// Takes one turn after the other until it is told to stop or cannot go on, then gives everything back, whatever
    /// has ended it: what runs on here while the group gives it to others runs twice. `true`: every task has settled.
    pub(super) async fn work(
        self: &Arc<Self>,
        group: mpsc::UnboundedReceiver<GroupEvent>,
        changes: mpsc::UnboundedReceiver<ConfigChange>,
        forgotten: mpsc::UnboundedReceiver<String>,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<bool> {
        let keys = tokio::spawn(Arc::clone(self).keep_session_key());
        let ended = self.take_turns(group, changes, forgotten, stopped).await;
        keys.abort();
        let settled = self.give_back().await;
        ended.map(|()| settled)
    }

    async fn take_turns(
        self: &Arc<Self>,
        mut group: mpsc::UnboundedReceiver<GroupEvent>,
        mut changes: mpsc::UnboundedReceiver<ConfigChange>,
        mut forgotten: mpsc::UnboundedReceiver<String>,
        mut stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
                event = group.recv() => match event {
                    Some(event) => self.on_group(event).await?,
                    None => anyhow::bail!("the worker is no longer in its group; the log says why"),
                },
                change = changes.recv() => match change {
                    Some(first) => self.on_changes(first, &mut changes).await,
                    None => anyhow::bail!("the config topic is no longer read; the log says why"),
                },
                Some(connector) = forgotten.recv() => self.local.forget_topics(&connector),
            }
        }
    }

    async fn give_back(&self) -> bool {
        let _round = self.round.lock().await;
        let settled = self.stop_all(&self.local.work()).await;
        if timeout(FLUSH_TIMEOUT, self.statuses.flush()).await.is_err() {
            tracing::warn!(
                "Kafka was not told that everything here has stopped: it does not answer"
            );
        }
        self.membership.leave().await;
        settled
    }

    /// What is held as `handled` keeps the worker from joining again before it has stopped what it must.
    async fn on_group(self: &Arc<Self>, event: GroupEvent) -> anyhow::Result<()> {
        match event {
            GroupEvent::Assigned { assigned, handled } => {
                let mut round = self.round.lock().await;
                self.on_assigned(&mut round, *assigned).await;
                drop(handled);
            }
            GroupEvent::Lost { handled } => {
                tracing::warn!(
                    "the session with the group is over: all work here stops until it is back in it"
                );
                // Whoever has the turn may wait for Kafka; tasks must not wait for that.
                self.joined.send_replace(false);
                self.local.order_stop();
                let _round = self.round.lock().await;
                self.stop_all(&self.local.work()).await;
                drop(handled);
            }
            GroupEvent::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn on_assigned(self: &Arc<Self>, round: &mut Round, assigned: Assigned) {
        self.stop_revoked(&assigned.revoked).await;
        let is_behind = self.config.snapshot().offset() < assigned.config_offset;
        if (is_behind || assigned.is_config_mismatch)
            && let Err(error) = self.refresh().await
        {
            // Whoever does not know what is to run must not hold the others up, nor run what they are given.
            tracing::warn!(
                "{error}; all work here stops, and the group goes on without this worker"
            );
            self.joined.send_replace(false);
            self.stop_all(&self.local.work()).await;
            self.membership.step_out();
            return sleep(UNSYNC_PAUSE).await;
        }
        let config = self.config.snapshot();
        if assigned.is_config_mismatch || config.offset() != assigned.config_offset {
            tracing::info!(
                "the config topic was read to {}, the work shared out at {}: shared out anew",
                config.offset(),
                assigned.config_offset
            );
            return self.membership.rejoin();
        }
        if self.membership.view().borrow().member.leader_id.is_empty() {
            // The session was lost since; the event that says so comes next.
            return;
        }
        round.config = Arc::clone(&config);
        let running = self.local.work();
        self.stop_all(&running.without(&assigned.total)).await;
        self.start_all(&assigned.total.without(&running), &config).await;
        if self.is_leader() {
            self.tidy_statuses();
        }
        self.joined.send_replace(true);
    }

    /// Ends what was taken back. That it has is written before others are given it, or this word would come after
    /// theirs.
    async fn stop_revoked(&self, revoked: &Work) {
        if revoked.is_empty() {
            return;
        }
        self.stop_all(revoked).await;
        let config = self.config.snapshot();
        let tasks = revoked.tasks.iter().map(|task| &task.connector);
        let gone: BTreeSet<&String> =
            revoked.connectors.iter().chain(tasks).filter(|name| !config.contains(name)).collect();
        gone.into_iter().for_each(|name| self.reset_active_topics(name));
        if timeout(FLUSH_TIMEOUT, self.statuses.flush()).await.is_err() {
            tracing::warn!("Kafka was not told what has stopped here: it does not answer");
        }
    }

    /// Takes in a change and all that are there already.
    async fn on_changes(
        self: &Arc<Self>,
        first: ConfigChange,
        more: &mut mpsc::UnboundedReceiver<ConfigChange>,
    ) {
        let mut round = self.round.lock().await;
        let mut changes = Changes::default();
        changes.add(first, &round);
        while let Ok(change) = more.try_recv() {
            changes.add(change, &round);
        }
        round.config = self.config.snapshot();
        if changes.rejoin {
            self.membership.rejoin();
        }
        for name in changes.connectors.iter().filter(|name| self.local.has_connector(name)) {
            if round.config.contains(name) {
                self.start_connector(name, &round.config);
            } else {
                self.stop_all(&Work { connectors: vec![name.clone()], tasks: Vec::new() }).await;
            }
        }
        for name in &changes.targets {
            self.apply_target(name, &round.config).await;
        }
        // They begin again with what they are to be, wherever the group wants them.
        let tasks: Vec<TaskId> =
            changes.tasks.iter().flat_map(|name| self.local.tasks_of(name)).collect();
        self.stop_all(&Work { connectors: Vec::new(), tasks }).await;
        for request in &changes.restarts {
            self.restart_here(request, &round.config).await;
        }
        for (namespace, level) in &changes.loggers {
            self.set_level(namespace, level);
        }
    }

    /// Starts again what of a restart runs here.
    async fn restart_here(
        self: &Arc<Self>,
        RestartRequest { connector, restart }: &RestartRequest,
        config: &Arc<ClusterConfig>,
    ) {
        let Ok(mut plan) = self.status(connector) else { return };
        let (itself, tasks) = plan.mark(*restart);
        if itself && self.local.has_connector(connector) {
            self.say(Subject::Connector(connector.clone()), State::Restarting);
            self.start_connector(connector, config);
        }
        let ids = tasks.into_iter().map(|task| TaskId::new(connector.clone(), task));
        let ids: Vec<TaskId> = ids.filter(|id| self.local.has_task(id)).collect();
        self.begin_again(ids, config).await;
    }

    /// What somebody has asked of every worker of the group.
    fn set_level(&self, namespace: &str, level: &str) {
        let set = level.parse().map_err(|()| "there is no such level".to_owned());
        if let Err(error) = set.and_then(|level| self.loggers.set(namespace, level)) {
            tracing::warn!("the logger {namespace} is not set to {level}: {error}");
        }
    }

    /// Ends tasks that run here, and starts them again.
    pub(super) async fn begin_again(
        self: &Arc<Self>,
        tasks: Vec<TaskId>,
        config: &Arc<ClusterConfig>,
    ) {
        let work = Work { connectors: Vec::new(), tasks };
        self.stop_all(&work).await;
        for id in &work.tasks {
            self.say(Subject::Task(id.connector.clone(), id.task), State::Restarting);
        }
        self.start_all(&work, config).await;
    }
}

impl Changes {
    /// Connectors that come or go are shared out; one that has only changed begins again where it is.
    fn add(&mut self, change: ConfigChange, round: &Round) {
        match change {
            ConfigChange::ConnectorUpdated(name) => {
                self.rejoin |= !round.config.contains(&name);
                self.connectors.insert(name);
            }
            ConfigChange::ConnectorRemoved(name) => {
                self.rejoin |= round.config.contains(&name);
                self.connectors.insert(name);
            }
            ConfigChange::TasksUpdated(name) => {
                self.rejoin = true;
                self.tasks.insert(name);
            }
            ConfigChange::TargetState(name) => drop(self.targets.insert(name)),
            ConfigChange::SessionKey => {}
            ConfigChange::Restart(request) => self.restarts.push(request),
            ConfigChange::LoggerLevel { namespace, level } => self.loggers.push((namespace, level)),
        }
    }
}
