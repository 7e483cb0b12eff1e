//! What runs on this worker: the connectors and tasks that the group has given to it, and what the group is told of
//! each.
//!
//! ```text
//!  given ──► begun ──► RUNNING ──► FAILED (with the reason)      told while it happens (`watch`)
//!              │          │
//!              │ pause    └── taken back, ended ──► UNASSIGNED   told by whoever ends it, unless it had failed
//!              └──► PAUSED
//! ```
//!
//! A connector has no code of its own here, so all it can fail at is its class. Statuses that may come late (FAILED,
//! UNASSIGNED) never overwrite those of another worker that has it by now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use millrace_core::group::work::{TaskId, Work};

use super::config_state::ClusterConfig;
use super::herder::Distributed;
use super::leading::unix_ms;
use super::status_record::{Status, Subject, TopicStatus};
use crate::config::{CONNECTOR_VERSION, SourceConfig, TargetState};
use crate::herder::{ConnectorFigures, Herder, State, TaskFigures, unknown_class};
use crate::offsets::StoredOffsets;
use crate::task::{self, ActiveTopics, Listener, TaskState};
use crate::worker::Task;

/// See the module.
#[derive(Default)]
pub(super) struct Local {
    running: Mutex<Running>,
    /// Connectors whose tasks somebody is just working out.
    reconfiguring: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Running {
    connectors: BTreeMap<String, State>,
    tasks: BTreeMap<TaskId, LocalTask>,
}

/// A task that the group has given to this worker.
#[derive(Clone)]
struct LocalTask {
    state: LocalState,
    topics: ActiveTopics,
}

#[derive(Clone)]
enum LocalState {
    /// There is a pipeline, or was: it says itself how it stands.
    Begun { task: Task, client_id: String },
    /// It is not to run.
    Paused,
    /// It could not begin.
    Failed,
}

impl LocalTask {
    fn state(&self) -> State {
        match &self.state {
            LocalState::Paused => State::Paused,
            LocalState::Failed => State::Failed,
            LocalState::Begun { task, .. } => match task.state() {
                TaskState::Unassigned | TaskState::Stopped => State::Unassigned,
                TaskState::Running => State::Running,
                TaskState::Failed(_) => State::Failed,
            },
        }
    }

    /// Orders it to end. `true`: it had ended before.
    fn order_stop(&self) -> bool {
        let LocalState::Begun { task, .. } = &self.state else { return true };
        let had_ended = task.state().is_final();
        task.order_stop();
        had_ended
    }

    /// Waits until it has ended. `true`: in order, or it had not begun.
    async fn ended(&self) -> bool {
        match &self.state {
            LocalState::Paused => true,
            LocalState::Failed => false,
            LocalState::Begun { task, .. } => {
                task.ended().await;
                task.state() == TaskState::Stopped
            }
        }
    }

    fn figures(&self) -> TaskFigures {
        let (client_id, figures) = match &self.state {
            LocalState::Begun { task, client_id } => (client_id.clone(), task.figures()),
            LocalState::Paused | LocalState::Failed => Default::default(),
        };
        TaskFigures { state: self.state(), client_id, figures }
    }
}

impl Local {
    /// `false`: somebody does it already.
    pub(super) fn begin_reconfiguring(&self, connector: &str) -> bool {
        self.reconfiguring().insert(connector.to_owned())
    }

    pub(super) fn end_reconfiguring(&self, connector: &str) {
        self.reconfiguring().remove(connector);
    }

    fn reconfiguring(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.reconfiguring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // Whoever panicked did not leave half a change behind: each is one insertion or removal.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was given to this worker and not taken back.
    pub(super) fn work(&self) -> Work {
        let running = self.lock();
        let connectors = running.connectors.keys().cloned().collect();
        Work { connectors, tasks: running.tasks.keys().cloned().collect() }
    }

    /// Those of `connector`.
    pub(super) fn tasks_of(&self, connector: &str) -> Vec<TaskId> {
        let running = self.lock();
        running.tasks.keys().filter(|id| id.connector == connector).cloned().collect()
    }

    pub(super) fn has_connector(&self, connector: &str) -> bool {
        self.lock().connectors.contains_key(connector)
    }

    pub(super) fn has_task(&self, id: &TaskId) -> bool {
        self.lock().tasks.contains_key(id)
    }

    fn is_paused(&self, id: &TaskId) -> bool {
        let running = self.lock();
        running.tasks.get(id).is_some_and(|local| matches!(local.state, LocalState::Paused))
    }

    /// How it stands with the connectors of which something runs here, in the order of their names.
    pub(super) fn figures(&self) -> Vec<ConnectorFigures> {
        let running = self.lock();
        let mut figures: BTreeMap<&str, ConnectorFigures> = BTreeMap::new();
        let connector =
            |name: &str, state| ConnectorFigures { name: name.to_owned(), state, task: None };
        for (name, state) in &running.connectors {
            figures.insert(name, connector(name, Some(*state)));
        }
        for (id, task) in &running.tasks {
            let entry = figures.entry(&id.connector);
            // The connector itself may be on another worker.
            let entry = entry.or_insert_with(|| connector(&id.connector, None));
            entry.task = Some(task.figures());
        }
        figures.into_values().collect()
    }

    /// Orders every task to end, and does not wait for it.
    pub(super) fn order_stop(&self) {
        let running = self.lock();
        for task in running.tasks.values() {
            task.order_stop();
        }
    }

    /// Has the topics of a connector named anew with its next records.
    pub(super) fn forget_topics(&self, connector: &str) {
        let running = self.lock();
        let tasks = running.tasks.iter().filter(|(id, _)| id.connector == connector);
        tasks.for_each(|(_, task)| task.topics.reset());
    }
}

impl Distributed {
    /// Starts what is in `work` as `config` has it, all after the same look at the stored positions.
    pub(super) async fn start_all(self: &Arc<Self>, work: &Work, config: &Arc<ClusterConfig>) {
        for connector in &work.connectors {
            self.start_connector(connector, config);
        }
        if work.tasks.is_empty() {
            return;
        }
        // Each reads by itself if this fails, and says why it cannot.
        let stored = self.worker.stored_positions().await.ok();
        let started = work.tasks.iter().map(|id| self.start_task(id, config, stored.clone()));
        join_all(started).await;
    }

    /// Ends what is in `work` at the same time, and says so. `true`: every task has settled.
    pub(super) async fn stop_all(&self, work: &Work) -> bool {
        for connector in &work.connectors {
            if self.local.lock().connectors.remove(connector).is_some() {
                self.say_safely(Subject::Connector(connector.clone()), State::Unassigned, None);
            }
        }
        let tasks: Vec<(TaskId, LocalTask)> = {
            let mut running = self.local.lock();
            work.tasks.iter().filter_map(|id| running.tasks.remove_entry(id)).collect()
        };
        // All at the same time; what had ended before is not this end's fault.
        let ended = tasks.into_iter().map(|(id, task)| {
            let had_ended = task.order_stop();
            async move {
                let settled = task.ended().await;
                if settled {
                    self.say_safely(subject(&id), State::Unassigned, None);
                }
                settled || had_ended
            }
        });
        let ended: Vec<_> = ended.collect();
        join_all(ended).await.into_iter().all(|settled| settled)
    }

    /// Takes on a connector: says how it stands, and sees to it that its tasks are written.
    pub(super) fn start_connector(self: &Arc<Self>, name: &str, config: &ClusterConfig) {
        let Some(properties) = config.connector_config(name) else { return };
        let class = properties.get("connector.class").map(String::as_str).unwrap_or_default();
        let of = Subject::Connector(name.to_owned());
        if !SourceConfig::is_class(class) {
            let trace = unknown_class(class);
            tracing::error!("connector {name} failed: {trace}");
            self.worker.connector_startups.failed();
            self.local.lock().connectors.insert(name.to_owned(), State::Failed);
            return self.say_safely(of, State::Failed, Some(trace));
        }
        let state = match config.target_state(name).unwrap_or_default() {
            TargetState::Started => State::Running,
            TargetState::Paused => State::Paused,
            TargetState::Stopped => State::Stopped,
        };
        self.local.lock().connectors.insert(name.to_owned(), state);
        self.worker.connector_startups.succeeded();
        self.say(of, state);
        if state == State::Running {
            self.reconfigure(name);
        }
    }

    /// Takes on a task, which runs unless its connector is paused.
    pub(super) async fn start_task(
        self: &Arc<Self>,
        id: &TaskId,
        config: &ClusterConfig,
        stored: Option<Arc<StoredOffsets>>,
    ) {
        let target = config.target_state(&id.connector).unwrap_or_default();
        let topics = ActiveTopics::default();
        let of = subject(id);
        if target != TargetState::Started {
            self.keep(id, LocalState::Paused, topics);
            return self.say(of, State::Paused);
        }
        let prepared = match config.task_config(&id.connector, id.task) {
            None => {
                Err("the config topic has no such task; write the connector's configuration anew"
                    .to_owned())
            }
            Some(properties) => self.worker.read_task(&id.connector, properties.clone()).await,
        };
        match prepared {
            Ok(source) => {
                let client_id = task::client_id(&source.name, &source.producer);
                topics.tell(self.topic_listener(id));
                let task = self.worker.begin(source, topics.clone(), stored);
                tokio::spawn(Arc::clone(self).watch(id.clone(), task.clone()));
                self.keep(id, LocalState::Begun { task, client_id }, topics);
            }
            Err(reason) => {
                tracing::error!("task {id} failed: {reason}");
                self.worker.task_startups.failed();
                self.keep(id, LocalState::Failed, topics);
                self.say_safely(of, State::Failed, Some(reason));
            }
        }
    }

    fn keep(&self, id: &TaskId, state: LocalState, topics: ActiveTopics) {
        self.local.lock().tasks.insert(id.clone(), LocalTask { state, topics });
    }

    /// Tells the group how it stands with a task while it runs.
    async fn watch(self: Arc<Self>, id: TaskId, task: Task) {
        let mut state = task.watch();
        let over = task.ended();
        let mut over = std::pin::pin!(over);
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                TaskState::Unassigned => {}
                TaskState::Running => self.say(subject(&id), State::Running),
                TaskState::Failed(failure) => {
                    let trace = Some(failure.reason.to_string());
                    self.say_safely(subject(&id), State::Failed, trace);
                }
                // Whoever has ended it says what that means.
                TaskState::Stopped => return,
            }
            // One that has failed may begin again by itself.
            tokio::select! {
                biased;
                changed = state.changed() => if changed.is_err() { return },
                () = &mut over => return,
            }
        }
    }

    /// Brings what runs here of a connector to what it is meant to do.
    pub(super) async fn apply_target(self: &Arc<Self>, name: &str, config: &Arc<ClusterConfig>) {
        if !config.contains(name) {
            return;
        }
        let tasks = self.local.tasks_of(name);
        match config.target_state(name).unwrap_or_default() {
            TargetState::Started => {
                let tasks = tasks.into_iter().filter(|id| self.local.is_paused(id)).collect();
                self.start_all(&Work { connectors: Vec::new(), tasks }, config).await;
            }
            // The tasks of a connector that is stopped are taken back by the group.
            TargetState::Paused | TargetState::Stopped => {
                join_all(tasks.iter().map(|id| self.pause_task(id))).await;
            }
        }
        if self.local.has_connector(name) {
            self.start_connector(name, config);
        }
    }

    async fn pause_task(&self, id: &TaskId) {
        let Some(local) = self.local.lock().tasks.get(id).cloned() else { return };
        let LocalState::Begun { task, .. } = local.state else { return };
        task.stop().await;
        // A task that has failed for good stays failed until it is restarted.
        if task.has_left_off() {
            self.keep(id, LocalState::Paused, local.topics);
            self.say(subject(id), State::Paused);
        }
    }

    /// Tells the group, whoever had it before.
    pub(super) fn say(&self, of: Subject, state: State) {
        self.statuses.put(of, self.own_status(state, None));
    }

    /// Tells the group, unless another worker has it by now.
    pub(super) fn say_safely(&self, of: Subject, state: State, trace: Option<String>) {
        self.statuses.put_safe(of, self.own_status(state, trace));
    }

    fn own_status(&self, state: State, trace: Option<String>) -> Status {
        let generation = self.generation();
        let version = Some(CONNECTOR_VERSION.to_owned());
        Status { state, trace, worker_id: self.worker.id().to_owned(), generation, version }
    }

    /// Tells the group of every topic that a task writes to, if such things are told at all.
    fn topic_listener(self: &Arc<Self>, id: &TaskId) -> Listener {
        let (herder, id) = (Arc::downgrade(self), id.clone());
        Box::new(move |topic| {
            let Some(herder) = herder.upgrade() else { return };
            let is_known =
                || herder.active_topics(&id.connector).iter().any(|known| known == topic);
            if herder.worker.config().rest.topic_tracking && !is_known() {
                let status = TopicStatus { task: id.task, discovered_ms: unix_ms() };
                herder.statuses.put_topic(&id.connector, topic, status);
            }
        })
    }
}

fn subject(id: &TaskId) -> Subject {
    Subject::Task(id.connector.clone(), id.task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_that_has_only_its_task_here_has_no_state_here() {
        let local = Local::default();
        local.lock().connectors.insert("both".to_owned(), State::Running);
        for connector in ["both", "task alone"] {
            let id = TaskId { connector: connector.to_owned(), task: 0 };
            let task = LocalTask { state: LocalState::Paused, topics: ActiveTopics::default() };
            local.lock().tasks.insert(id, task);
        }
        let figures = local.figures();
        let states: Vec<_> = figures.iter().map(|of| (of.name.as_str(), of.state)).collect();
        assert_eq!(states, [("both", Some(State::Running)), ("task alone", None)]);
        assert!(figures.iter().all(|of| of.task.is_some()));
    }
}
