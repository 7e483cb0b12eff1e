//! What is seen of a worker at one moment: the page is made of it, and `GET /ui/figures.json` is it.
//!
//! States are those that `GET /connectors/{c}/status` gives, of all connectors of the group. Counters are known of
//! tasks that run here, and count since the task began. Times are seconds, `at_ms` milliseconds since the Unix epoch.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::herder::{
    ConnectorStateInfo, Herder, State, StateInfo, TaskFigures, TaskStateInfo, WorkerFigures,
};
use crate::metrics;

/// See the module.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    pub(super) at_ms: u64,
    pub(super) worker: Worker,
    pub(super) connectors: Vec<Connector>,
}

#[derive(Debug, Serialize)]
pub(super) struct Worker {
    pub(super) id: String,
    pub(super) version: &'static str,
    pub(super) mode: &'static str,
    pub(super) kafka_cluster_id: Option<String>,
    pub(super) leader_url: Option<String>,
    pub(super) memory_lent_bytes: u64,
    pub(super) memory_bytes_max: u64,
    pub(super) resident_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Connector {
    pub(super) name: String,
    /// Of its own and those of its tasks the one that needs somebody most.
    pub(super) state: State,
    pub(super) own: Standing,
    pub(super) tasks: Vec<Task>,
}

#[derive(Debug, Serialize)]
pub(super) struct Task {
    pub(super) id: i32,
    #[serde(flatten)]
    pub(super) standing: Standing,
    /// Whether it runs in this worker.
    pub(super) is_here: bool,
    pub(super) counts: Option<Counts>,
}

/// How it stands with a connector itself, or with a task.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    pub(super) state: State,
    pub(super) worker_id: String,
    /// Why it has failed.
    pub(super) trace: Option<String>,
}

/// What a task has counted.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) event_bytes: u64,
    pub(super) records: u64,
    pub(super) errors: u64,
    pub(super) lag_s: Option<u32>,
    pub(super) headroom_s: Option<u32>,
    /// How many took at most each bound, and the count of all.
    pub(super) latency: Vec<(f64, u64)>,
    pub(super) latency_count: u64,
}

impl Seen {
    /// What is seen now.
    pub(crate) fn of(herder: &dyn Herder) -> Self {
        let figures = herder.figures();
        // One that was deleted since it was named is left out.
        let statuses = herder.names().into_iter().filter_map(|name| {
            let status = herder.status(&name).ok()?;
            Some((name, status))
        });
        Self::new(&figures, statuses, herder.worker().cluster_id())
    }

    fn new(
        figures: &WorkerFigures,
        statuses: impl Iterator<Item = (String, ConnectorStateInfo)>,
        cluster_id: Option<&str>,
    ) -> Self {
        let here = figures
            .connectors
            .iter()
            .filter_map(|connector| Some((connector.name.as_str(), connector.task.as_ref()?)));
        let here: BTreeMap<&str, &TaskFigures> = here.collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            worker: Worker::new(figures, cluster_id),
            connectors: statuses
                .map(|(name, status)| {
                    let counts = here.get(name.as_str()).copied();
                    Connector::new(name, status, &figures.worker_id, counts)
                })
                .collect(),
        }
    }

    /// What has failed, each with what it is: connectors by their names, tasks by theirs behind it.
    pub(super) fn failures(&self) -> impl Iterator<Item = (String, &Standing)> {
        let all = self.connectors.iter().flat_map(|connector| {
            let name = &connector.name;
            let task = move |task: &Task| format!("{name}, task {}", task.id);
            let tasks = connector.tasks.iter().map(move |of| (task(of), &of.standing));
            std::iter::once((name.clone(), &connector.own)).chain(tasks)
        });
        all.filter(|(_, standing)| standing.state == State::Failed)
    }
}

impl Worker {
    fn new(figures: &WorkerFigures, cluster_id: Option<&str>) -> Self {
        Self {
            id: figures.worker_id.clone(),
            version: env!("CARGO_PKG_VERSION"),
            mode: figures.mode,
            kafka_cluster_id: cluster_id.map(str::to_owned),
            leader_url: figures.group.leader_url.clone(),
            memory_lent_bytes: figures.memory_lent_bytes,
            memory_bytes_max: figures.memory_bytes_max,
            resident_bytes: metrics::of_process().map(|process| process.resident_bytes as u64),
        }
    }
}

impl Connector {
    fn new(
        name: String,
        status: ConnectorStateInfo,
        worker_id: &str,
        here: Option<&TaskFigures>,
    ) -> Self {
        let own = Standing::new(status.connector);
        let tasks: Vec<Task> = status
            .tasks
            .into_iter()
            .map(|TaskStateInfo { id, state }| {
                let standing = Standing::new(state);
                let is_here = standing.worker_id == worker_id;
                // A source connector for MongoDB has one task.
                let counts = here.filter(|_| is_here && id == 0).map(Counts::new);
                Task { id, standing, is_here, counts }
            })
            .collect();
        let of_tasks = tasks.iter().map(|task| task.standing.state);
        let worse = |a, b| if urgency(b) < urgency(a) { b } else { a };
        let state = of_tasks.fold(own.state, worse);
        Self { name, state, own, tasks }
    }

    /// The task whose figures are shown in its row.
    pub(super) fn counts(&self) -> Option<&Counts> {
        self.tasks.iter().find_map(|task| task.counts.as_ref())
    }
}

impl Standing {
    fn new(StateInfo { state, worker_id, trace, version: _ }: StateInfo) -> Self {
        Self { state, worker_id, trace }
    }
}

/// Smaller is more urgent.
fn urgency(state: State) -> u8 {
    match state {
        State::Failed => 0,
        State::Unassigned => 1,
        State::Restarting => 2,
        State::Paused => 3,
        State::Stopped => 4,
        State::Running => 5,
    }
}

impl Counts {
    fn new(task: &TaskFigures) -> Self {
        let (figures, pipeline) = (&task.figures, &task.figures.pipeline);
        Self {
            events: pipeline.events,
            event_bytes: pipeline.event_bytes,
            records: pipeline.acknowledged_records,
            errors: figures.failed_records,
            lag_s: pipeline.lag_s,
            headroom_s: figures.headroom_s(),
            latency: pipeline.latency.buckets().collect(),
            latency_count: pipeline.latency.count(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use millrace_core::pipeline::PipelineStats;
    use serde_json::{Value, json};

    use super::*;
    use crate::herder::{ConnectorFigures, SOURCE};
    use crate::task::Figures;

    const HERE: &str = "here:8083";

    fn standing(state: State, worker_id: &str, trace: Option<&str>) -> StateInfo {
        StateInfo::new(state, worker_id, trace.map(str::to_owned))
    }

    /// A worker of two: `name` runs here with `events`, `elsewhere` has failed with `trace` on the worker `other`, and
    /// `unknown` itself has failed here.
    pub(in super::super) fn seen(name: &str, events: u64, other: &str, trace: &str) -> Seen {
        let mut pipeline = PipelineStats { events, lag_s: Some(2), ..PipelineStats::default() };
        pipeline.stored_time = Some(9_000);
        pipeline.latency.observe(2, 4);
        let figures = Figures { pipeline, oplog_begin: Some(1_800), ..Figures::default() };
        let task = TaskFigures { state: State::Running, client_id: String::new(), figures };
        let connector = ConnectorFigures {
            name: name.to_owned(),
            state: Some(State::Running),
            task: Some(task),
        };
        let figures = WorkerFigures {
            worker_id: HERE.to_owned(),
            mode: "distributed",
            connectors: vec![connector],
            memory_bytes_max: 64 << 20,
            ..WorkerFigures::default()
        };
        let running = || standing(State::Running, HERE, None);
        let failed = standing(State::Failed, HERE, Some("no such class"));
        let statuses = [
            (name, running(), Some(running())),
            ("elsewhere", running(), Some(standing(State::Failed, other, Some(trace)))),
            ("stopped", standing(State::Stopped, HERE, None), None),
            ("unknown", failed, Some(running())),
        ];
        let statuses = statuses.into_iter().map(|(name, own, task)| {
            let tasks = task.map(|state| TaskStateInfo { id: 0, state }).into_iter().collect();
            (name.to_owned(), ConnectorStateInfo::new(name, SOURCE, own, tasks))
        });
        Seen::new(&figures, statuses, Some("cluster"))
    }

    #[test]
    fn failed_connectors_are_listed_as_failed_tasks_are() {
        let seen = seen("a", 5, "there:8083", "broken");
        let failures = seen.failures().map(|(what, of)| (what, of.trace.as_deref().unwrap()));
        let want =
            [("elsewhere, task 0".to_owned(), "broken"), ("unknown".to_owned(), "no such class")];
        assert_eq!(failures.collect::<Vec<_>>(), want);
    }

    #[test]
    fn counters_are_of_tasks_here_and_the_worst_state_counts() {
        let seen = serde_json::to_value(seen("a", 5, "there:8083", "broken")).unwrap();
        let connectors = &seen["connectors"];
        assert_eq!(
            (&connectors[0]["state"], &connectors[1]["state"]),
            (&json!("RUNNING"), &json!("FAILED"))
        );
        assert_eq!(
            (&connectors[2]["state"], &connectors[3]["state"]),
            (&json!("STOPPED"), &json!("FAILED"))
        );
        assert_eq!(connectors[3]["own"]["trace"], "no such class");
        assert_eq!(connectors[1]["tasks"][0]["trace"], "broken");
        let counts = &connectors[0]["tasks"][0]["counts"];
        assert_eq!((&counts["events"], &counts["headroom_s"]), (&json!(5), &json!(7_200)));
        assert_eq!(counts["latency"][1], json!([0.002, 4]));
        assert_eq!(connectors[1]["tasks"][0]["counts"], Value::Null);
        assert_eq!(connectors[1]["tasks"][0]["is_here"], json!(false));
        assert_eq!(
            (&seen["worker"]["mode"], &seen["worker"]["kafka_cluster_id"]),
            (&json!("distributed"), &json!("cluster"))
        );
    }
}
