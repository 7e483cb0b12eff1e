//! What only the leader of the group does: it alone writes what the group is to run.
//!
//! * the tasks of a connector, which whoever has the connector works out ([`Distributed::reconfigure`]) and hands to it
//! * the session key that requests between workers are signed with, and its successor
//! * the end of statuses of what is no longer there
//! * fencing: that no transaction of an older set of tasks can be committed any more
//!
//! Others ask the leader, by requests that are signed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method};
use millrace_io::clock;

use super::config_record::Config;
use super::herder::Distributed;
use super::session_key::MacAlgorithm;
use super::signature::{self, SignatureError};
use super::status_record::Subject;
use super::worker_client::{ForwardError, REQUEST_TIMEOUT, WorkerAnswer, WorkerRequest};
use crate::config::{SourceConfig, TargetState};
use crate::herder::{HerderError, TASK_CLASS};
use crate::kafka::{Client, fence_producers};
use crate::rest::path_segment;

/// Between two attempts to have the tasks of a connector written: the first, and the longest.
const RECONFIGURE_PAUSE: Duration = Duration::from_millis(250);
const RECONFIGURE_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What stands in the config topic about the tasks of a connector.
enum Written {
    AsItShouldBe,
    /// Something else stood there before.
    Anew,
}

/// What is signed of a request between workers.
pub(crate) struct Signed<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl Distributed {
    /// Sees to it that the tasks of a connector of this worker are as its configuration says, however long that takes.
    pub(super) fn reconfigure(self: &Arc<Self>, name: &str) {
        // One does it for each connector: of two, the older could have the last word.
        if !self.local.begin_reconfiguring(name) {
            return;
        }
        let (herder, name) = (Arc::clone(self), name.to_owned());
        tokio::spawn(async move {
            let mut pause = RECONFIGURE_PAUSE;
            loop {
                match herder.try_reconfigure(&name).await {
                    Ok(Written::AsItShouldBe) => break,
                    // What has been asked for meanwhile may differ.
                    Ok(Written::Anew) => pause = RECONFIGURE_PAUSE,
                    Err(error) => {
                        let ms = pause.as_millis();
                        tracing::warn!(
                            "the tasks of connector {name} could not be written: {error}; tried again in {ms} ms"
                        );
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RECONFIGURE_PAUSE_MAX);
                    }
                }
            }
        });
    }

    async fn try_reconfigure(&self, name: &str) -> Result<Written, HerderError> {
        let round = self.round.lock().await;
        let Some(tasks) = self.tasks_to_write(name) else {
            // Under the lock: whoever changes the connector next begins anew.
            self.local.end_reconfiguring(name);
            return Ok(Written::AsItShouldBe);
        };
        if self.is_leader() {
            self.write_tasks(name, tasks).await?;
            return Ok(Written::Anew);
        }
        drop(round);
        self.hand_tasks_in(name, &tasks).await?;
        self.refresh().await?;
        Ok(Written::Anew)
    }

    /// Has the leader write tasks.
    async fn hand_tasks_in(&self, name: &str, tasks: &[Config]) -> Result<(), HerderError> {
        let url = self.leader_url().ok_or(HerderError::Elsewhere { url: None })?;
        let body =
            serde_json::to_vec(tasks).map_err(|error| HerderError::Failed(error.to_string()))?;
        let url = format!("{url}connectors/{}/tasks", path_segment(name));
        let config = self.config.snapshot();
        let key = config.session_key().filter(|_| self.is_sessioned());
        let request = WorkerRequest {
            method: Method::POST,
            url: &url,
            authorization: None,
            body: Some(body.into()),
            signed: key.zip(MacAlgorithm::parse(&self.settings.key.signature_algorithm)),
            timeout: REQUEST_TIMEOUT,
        };
        let answer = self.workers.send(request).await;
        answer.map(drop).map_err(|error| HerderError::Failed(error.to_string()))
    }

    /// The tasks of a connector that runs here, if others are written. A source connector for MongoDB has one.
    fn tasks_to_write(&self, name: &str) -> Option<Vec<Config>> {
        let config = self.config.snapshot();
        let properties = config.connector_config(name)?;
        let is_due = self.local.has_connector(name)
            && config.target_state(name).unwrap_or_default() == TargetState::Started
            && properties.get("connector.class").is_some_and(|class| SourceConfig::is_class(class));
        let mut task = properties.clone();
        let (property, class) = TASK_CLASS;
        task.insert(property.to_owned(), class.to_owned());
        let is_written = config.tasks(name) == [0]
            && config.task_config(name, 0) == Some(&task)
            && config.applied_config(name) == Some(properties);
        (is_due && !is_written).then(|| vec![task])
    }

    /// Writes the tasks of a connector. For the leader, who holds the round.
    pub(super) async fn write_tasks(
        &self,
        name: &str,
        tasks: Vec<Config>,
    ) -> Result<(), HerderError> {
        let target = self.config.snapshot().target_state(name).unwrap_or_default();
        if !tasks.is_empty() && target == TargetState::Stopped {
            return Err(HerderError::BadRequest(format!(
                "Cannot submit non-empty set of task configs for stopped connector {name}"
            )));
        }
        self.config.put_task_configs(name, tasks).await.map_err(HerderError::of_topic)
    }

    /// Takes the tasks that another worker has worked out.
    pub(crate) async fn accept_tasks(
        &self,
        name: &str,
        tasks: Vec<Config>,
        signed: Signed<'_>,
    ) -> Result<(), HerderError> {
        self.check_signature(&signed)?;
        let _round = self.lead().await?;
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::no_connector(name));
        }
        self.write_tasks(name, tasks).await
    }

    /// Has the producers of older tasks of a connector fenced, as Java's exactly-once tasks ask for before they begin.
    pub(crate) async fn fence(&self, name: &str, signed: Signed<'_>) -> Result<(), HerderError> {
        self.check_signature(&signed)?;
        let _round = self.lead().await?;
        if !self.config.snapshot().contains(name) {
            return Err(HerderError::no_connector(name));
        }
        self.refresh().await?;
        let config = self.config.snapshot();
        if !config.pending_fencing(name) {
            return Ok(());
        }
        let tasks = config.task_count(name);
        match config.task_count_record(name) {
            // The one new producer fences the one old by itself.
            Some(1) if tasks == 1 => {}
            // None has begun yet.
            None => {}
            Some(fenced) => {
                let group = &self.settings.group_id;
                let ids: Vec<String> =
                    (0..fenced).map(|task| format!("{group}-{name}-{task}")).collect();
                let mut client = Client::new(self.kafka.clone());
                fence_producers(&mut client, &ids).await.map_err(HerderError::of_fencing)?;
            }
        }
        self.config.put_task_count(name, tasks).await.map_err(HerderError::of_topic)
    }

    fn check_signature(&self, signed: &Signed<'_>) -> Result<(), HerderError> {
        if !self.is_sessioned() {
            return Ok(());
        }
        let config = self.config.snapshot();
        let permitted = &self.settings.key.verification_algorithms;
        let Signed { headers, body } = signed;
        signature::verify(headers, body, permitted, config.session_key()).map_err(|error| {
            let text = error.to_string();
            match error {
                SignatureError::Invalid => HerderError::Forbidden(text),
                SignatureError::NoKey => HerderError::NotReady(text),
                SignatureError::Missing
                | SignatureError::Unknown { .. }
                | SignatureError::Encoding(_)
                | SignatureError::NotPermitted { .. } => HerderError::BadRequest(text),
            }
        })
    }

    /// As long as this worker leads: a session key that can be used. Never ends by itself.
    pub(super) async fn keep_session_key(self: Arc<Self>) {
        let mut view = self.membership.view();
        loop {
            let next = self.renew_session_key().await;
            tokio::select! {
                () = clock::wait_until(next.map(|left| clock::now() + left)) => {}
                changed = view.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Says after how long it should be looked at again.
    async fn renew_session_key(&self) -> Option<Duration> {
        if !self.is_leader() || !self.is_sessioned() {
            return None;
        }
        let (now_ms, lifetime) = (unix_ms(), self.settings.key.lifetime);
        let left = |created_ms: i64| {
            let age_ms = u64::try_from(now_ms - created_ms).unwrap_or(0);
            lifetime.checked_sub(Duration::from_millis(age_ms)).filter(|left| !left.is_zero())
        };
        let config = self.config.snapshot();
        if let Some(key) = config.session_key().filter(|key| self.keys.makes(key)) {
            if lifetime.is_zero() {
                return None;
            }
            if let Some(left) = left(key.created_ms()) {
                return Some(left);
            }
        }
        match self.config.put_session_key(self.keys.generate(now_ms)).await {
            Ok(()) => tracing::info!("a new session key signs the requests between workers"),
            Err(error) => {
                tracing::warn!("no new session key could be written: {error}; tried again");
                return Some(RECONFIGURE_PAUSE);
            }
        }
        (!lifetime.is_zero()).then_some(lifetime)
    }

    /// As the leader: nothing is told any more of connectors and tasks that are not there.
    pub(super) fn tidy_statuses(&self) {
        let config = self.config.snapshot();
        let gone = self.statuses.look(|statuses| {
            let mut gone = Vec::new();
            for connector in statuses.connectors() {
                let left = config.tasks(connector);
                let tasks = statuses.tasks(connector).map(|(task, _)| task);
                let tasks = tasks.filter(|task| !left.contains(task));
                gone.extend(tasks.map(|task| Subject::Task(connector.to_owned(), task)));
                if !config.contains(connector) {
                    gone.push(Subject::Connector(connector.to_owned()));
                }
            }
            gone
        });
        gone.into_iter().for_each(|of| self.statuses.remove(of));
    }

    /// Carries a request of a user to another worker.
    pub(crate) async fn carry(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&HeaderValue>,
        body: Option<Bytes>,
    ) -> Result<WorkerAnswer, ForwardError> {
        let timeout = REQUEST_TIMEOUT;
        let request = WorkerRequest { method, url, authorization, body, signed: None, timeout };
        self.workers.send(request).await
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
