//! One thing after the other: what the group gives and takes, what the config topic says, what is due by the clock.
//!
//! ```text
//!   the group ────┐                   ┌─► stop what was taken back, start what is new
//!   config topic ─┼─► a round at a time ─► begin a connector again, pause, restart; ask the group for a new share-out
//!   the clock ────┘                   └─► as the leader: a new session key
//! ```
//!
//! Requests that change something take the same turn ([`super::herder`]). The rules are those of Connect's
//! `DistributedHerder`: nothing is started before the config topic has been read as far as the leader had when it
//! shared out, and nothing at all if it was read further: then it is shared out anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::config_record::RestartRequest;
use super::config_state::ConfigChange;
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
    /// Takes one turn after the other until it is told to stop, then gives everything back. `true`: every task has
    /// settled.
    pub(super) async fn work(
        self: &Arc<Self>,
        mut group: mpsc::UnboundedReceiver<GroupEvent>,
        mut changes: mpsc::UnboundedReceiver<ConfigChange>,
        mut forgotten: mpsc::UnboundedReceiver<String>,
        mut stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<bool> {
        let mut key_ends: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                event = group.recv() => match event {
                    Some(event) => self.on_group(event).await?,
                    None => anyhow::bail!("the worker is no longer in its group; the log says why"),
                },
                change = changes.recv() => match change {
                    Some(first) => self.on_changes(first, &mut changes).await,
                    None => anyhow::bail!("the config topic is no longer read; the log says why"),
                },
                Some(connector) = forgotten.recv() => self.local.forget_topics(&connector),
                () = until(key_ends) => {}
            }
            let round = self.round.lock().await;
            key_ends = self.renew_session_key(&round).await.map(|left| Instant::now() + left);
        }
        Ok(self.give_back().await)
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
        let mut round = self.round.lock().await;
        match event {
            GroupEvent::Assigned { assigned, handled } => {
                self.on_assigned(&mut round, *assigned).await;
                drop(handled);
            }
            GroupEvent::Lost { handled } => {
                tracing::warn!(
                    "the session with the group is over: all work here stops until it is back in it"
                );
                self.joined.send_replace(false);
                self.stop_all(&self.local.work()).await;
                drop(handled);
            }
            GroupEvent::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn on_assigned(self: &Arc<Self>, round: &mut Round, assigned: Assigned) {
        self.stop_all(&assigned.revoked).await;
        let is_behind = self.config.snapshot().offset() < assigned.config_offset;
        if (is_behind || assigned.is_config_mismatch)
            && let Err(error) = self.refresh().await
        {
            // Whoever does not know what is to run must not hold the others up.
            tracing::warn!("{error}; out of the group for a moment");
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
        round.config = config;
        let running = self.local.work();
        self.stop_all(&running.without(&assigned.total)).await;
        self.start_all(&assigned.total.without(&running)).await;
        if self.is_leader() {
            self.tidy_statuses();
        }
        self.joined.send_replace(true);
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
                self.start_connector(name).await;
            } else {
                self.stop_all(&Work { connectors: vec![name.clone()], tasks: Vec::new() }).await;
            }
        }
        for name in &changes.targets {
            self.apply_target(name).await;
        }
        // They begin again with what they are to be, wherever the group wants them.
        let tasks: Vec<TaskId> =
            changes.tasks.iter().flat_map(|name| self.local.tasks_of(name)).collect();
        self.stop_all(&Work { connectors: Vec::new(), tasks }).await;
        for request in &changes.restarts {
            self.restart_here(request).await;
        }
        for (namespace, level) in &changes.loggers {
            self.set_level(namespace, level);
        }
    }

    /// Starts again what of a restart runs here.
    async fn restart_here(
        self: &Arc<Self>,
        RestartRequest { connector, restart }: &RestartRequest,
    ) {
        let Ok(mut plan) = self.status(connector) else { return };
        let (itself, tasks) = plan.mark(*restart);
        if itself && self.local.has_connector(connector) {
            self.say(Subject::Connector(connector.clone()), State::Restarting);
            self.start_connector(connector).await;
        }
        for task in tasks {
            let id = TaskId::new(connector.clone(), task);
            if self.local.has_task(&id) {
                self.begin_again(&id).await;
            }
        }
    }

    /// What somebody has asked of every worker of the group.
    fn set_level(&self, namespace: &str, level: &str) {
        let set = level.parse().map_err(|()| "there is no such level".to_owned());
        if let Err(error) = set.and_then(|level| self.loggers.set(namespace, level)) {
            tracing::warn!("the logger {namespace} is not set to {level}: {error}");
        }
    }

    /// Ends a task that runs here, and starts it again.
    pub(super) async fn begin_again(self: &Arc<Self>, id: &TaskId) {
        self.stop_all(&Work { connectors: Vec::new(), tasks: vec![id.clone()] }).await;
        self.say(Subject::Task(id.connector.clone(), id.task), State::Restarting);
        self.start_task(id, None).await;
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

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// The longest a round may take before the worker counts as unhealthy, as in Connect.
pub(super) const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);
