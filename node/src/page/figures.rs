//! What is seen of a worker at one moment: the page is made of it, and `GET /ui/figures.json` is it.
//!
//! States are those that `GET /connectors/{c}/status` gives, of all connectors of the group. Counters are known of
//! tasks that run here, and count since the task began. Times are seconds, `at_ms` milliseconds since the Unix epoch.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::herder::{Herder, TaskFigures, WorkerFigures};
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
    /// That of its tasks which needs somebody most; its own if there is none.
    pub(super) state: String,
    pub(super) tasks: Vec<Task>,
}

#[derive(Debug, Serialize)]
pub(super) struct Task {
    pub(super) id: i32,
    pub(super) state: String,
    pub(super) worker_id: String,
    /// Whether it runs in this worker.
    pub(super) is_here: bool,
    /// Why it has failed.
    pub(super) trace: Option<String>,
    pub(super) counts: Option<Counts>,
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

/// What the page takes of the answer to `GET /connectors/{c}/status`.
#[derive(Debug, Deserialize)]
struct Status {
    connector: Standing,
    tasks: Vec<Standing>,
}

#[derive(Debug, Deserialize)]
struct Standing {
    #[serde(default)]
    id: i32,
    state: String,
    worker_id: String,
    #[serde(default)]
    trace: Option<String>,
}

impl Seen {
    /// What is seen now.
    pub(crate) fn of(herder: &dyn Herder) -> Self {
        let figures = herder.figures();
        // One that was deleted since it was named is left out.
        let statuses = herder.names().into_iter().filter_map(|name| {
            let status = serde_json::to_value(herder.status(&name).ok()?).ok()?;
            Some((name, serde_json::from_value(status).ok()?))
        });
        Self::new(&figures, statuses, herder.worker().cluster_id())
    }

    fn new(
        figures: &WorkerFigures,
        statuses: impl Iterator<Item = (String, Status)>,
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

    /// The tasks that have failed, with the names of their connectors.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &Task)> {
        let tasks = self.connectors.iter().flat_map(|connector| {
            connector.tasks.iter().map(|task| (connector.name.as_str(), task))
        });
        tasks.filter(|(_, task)| task.trace.is_some())
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
    fn new(name: String, status: Status, worker_id: &str, here: Option<&TaskFigures>) -> Self {
        let tasks: Vec<Task> = status
            .tasks
            .into_iter()
            .map(|Standing { id, state, worker_id: of, trace }| {
                let is_here = of == worker_id;
                // A source connector for MongoDB has one task.
                let counts = here.filter(|_| is_here && id == 0).map(Counts::new);
                Task { id, state, worker_id: of, is_here, trace, counts }
            })
            .collect();
        let state = tasks.iter().map(|task| task.state.clone()).min_by_key(|state| urgency(state));
        Self { name, state: state.unwrap_or(status.connector.state), tasks }
    }

    /// The task whose figures are shown in its row.
    pub(super) fn counts(&self) -> Option<&Counts> {
        self.tasks.iter().find_map(|task| task.counts.as_ref())
    }
}

/// Smaller is more urgent.
fn urgency(state: &str) -> usize {
    let order = ["FAILED", "UNASSIGNED", "RESTARTING", "PAUSED", "STOPPED"];
    order.iter().position(|other| *other == state).unwrap_or(order.len())
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
    use crate::herder::{ConnectorFigures, State};
    use crate::task::Figures;

    const HERE: &str = "here:8083";

    fn standing(state: &str, worker_id: &str, trace: Option<&str>) -> Value {
        json!({ "id": 0, "state": state, "worker_id": worker_id, "trace": trace, "version": "1" })
    }

    /// A worker of two: `name` runs here with `events`, `elsewhere` has failed with `trace` on the worker `other`.
    pub(in super::super) fn seen(name: &str, events: u64, other: &str, trace: &str) -> Seen {
        let mut pipeline = PipelineStats { events, lag_s: Some(2), ..PipelineStats::default() };
        pipeline.stored_time = Some(9_000);
        pipeline.latency.observe(2, 4);
        let figures = Figures { pipeline, oplog_begin: Some(1_800), ..Figures::default() };
        let task = TaskFigures { state: State::Running, client_id: String::new(), figures };
        let connector =
            ConnectorFigures { name: name.to_owned(), state: State::Running, task: Some(task) };
        let figures = WorkerFigures {
            worker_id: HERE.to_owned(),
            mode: "distributed",
            connectors: vec![connector],
            memory_bytes_max: 64 << 20,
            ..WorkerFigures::default()
        };
        let statuses = [
            (name, "RUNNING", standing("RUNNING", HERE, None)),
            ("elsewhere", "RUNNING", standing("FAILED", other, Some(trace))),
            ("stopped", "STOPPED", Value::Null),
        ];
        let statuses = statuses.into_iter().map(|(name, state, task)| {
            let tasks = if task.is_null() { json!([]) } else { json!([task]) };
            let status =
                json!({ "name": name, "connector": standing(state, HERE, None), "tasks": tasks });
            (name.to_owned(), serde_json::from_value(status).unwrap())
        });
        Seen::new(&figures, statuses, Some("cluster"))
    }

    #[test]
    fn counters_are_of_tasks_here_and_the_worst_state_counts() {
        let seen = serde_json::to_value(seen("a", 5, "there:8083", "broken")).unwrap();
        let connectors = &seen["connectors"];
        assert_eq!(
            (&connectors[0]["state"], &connectors[1]["state"]),
            (&json!("RUNNING"), &json!("FAILED"))
        );
        assert_eq!(connectors[2]["state"], "STOPPED");
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
