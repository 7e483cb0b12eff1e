//! A steady load of all kinds of operations, and the judgement of what arrived of it.
//!
//! ```text
//! start ── open loop, w: majority, at a rate ── end ── one document into the collection `fence`
//!                                                         └ when its record is there, all others were taken before
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::doc;
use millrace_bench::arm::Format;
use millrace_bench::check::{Report, check_topic};
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_loadgen::writer::{OpenLoop, OpenLoopReport};
use tokio::task::JoinHandle;

use super::{Connector, EVENTS, NodeProcess, Setup, Stage, eventually, offsets};

/// Time for the connections of the load to open.
const LEAD_IN: Duration = Duration::from_millis(300);

/// A load that is being written.
pub(crate) struct Load {
    workload: Workload,
    stop: Stop,
    writing: JoinHandle<Result<OpenLoopReport>>,
}

/// A connector that watches the whole database of `stage`, so that marks beside the load are seen too.
pub(crate) fn connector(stage: &Stage) -> Connector {
    // Faults last longer than this: it counts for the start alone.
    let uri = format!("{}&serverSelectionTimeoutMS=2000", stage.uri());
    stage.connector().set("connection.uri", &uri).set("collection", "")
}

/// A worker with that connector.
pub(crate) fn setup(stage: &Stage) -> Result<Setup> {
    Ok(stage.worker()?.connector(connector(stage)))
}

impl Load {
    /// Begins to write `operations` into the database of `stage`.
    pub(crate) fn start(stage: &Stage, rate_per_s: f64, operations: u64) -> Self {
        Self::start_into(stage, Collections::one(EVENTS), rate_per_s, operations)
    }

    /// As [`Load::start`], into these collections.
    pub(crate) fn start_into(
        stage: &Stage,
        collections: Collections,
        rate_per_s: f64,
        operations: u64,
    ) -> Self {
        let workload = Workload {
            seed: 9,
            database: stage.name.clone(),
            collections,
            operations,
            writers: 4,
            mix: Mix::ALL,
            document: DocumentShape::ALL_1_KB.into(),
            key_spread: KeySpread::Skewed,
        };
        let (uri, load, stop) = (stage.uri(), workload.clone(), Stop::new());
        let (start, asked) = (Instant::now() + LEAD_IN, stop.clone());
        let writing = async move {
            let schedule = Schedule::constant(start, rate_per_s).context("cannot pace the load")?;
            OpenLoop::new(&load, schedule).stop(asked).run(&uri, |_| ()).await
        };
        Self { workload, stop, writing: tokio::spawn(writing) }
    }

    /// Lets it end here: what was written until then is the whole load.
    pub(crate) fn end_early(&self) {
        self.stop.request();
    }

    /// Fails if all is written: then what follows is no fault under load.
    pub(crate) fn ensure_goes_on(&self, meanwhile: &str) -> Result<()> {
        ensure!(!self.writing.is_finished(), "the load ended before {meanwhile}: make it longer");
        Ok(())
    }

    /// Waits until all is written, and returns what it was.
    pub(crate) async fn written(self) -> Result<Workload> {
        let written = self.writing.await??.written;
        eprintln!("load ended: {} operations, {} sent again", written.operations, written.retries);
        Ok(Workload { operations: written.operations, ..self.workload })
    }

    /// Waits until all is written and was taken by `node`, stops that, and judges the topic.
    pub(crate) async fn judge(self, stage: &Stage, mut node: NodeProcess) -> Result<Report> {
        let workload = self.written().await?;
        goes_on(stage, &mut node, "fence").await?;
        node.stop().await?;
        let records = stage.records().await?;
        let report = check_topic(records.topic(), &workload, Format::Json, |_| ()).await?;
        eprintln!("{report}");
        Ok(report)
    }
}

/// Waits until the position in the offsets file lies behind `token`, and returns it.
pub(crate) async fn stored_behind(
    token: &str,
    setup: &Setup,
    node: &mut NodeProcess,
) -> Result<String> {
    eventually(&format!("a stored position behind {token}"), async || {
        node.ensure_alive()?;
        Ok(offsets::token(&setup.offsets())?.filter(|stored| token < stored.as_str()))
    })
    .await
}

/// Waits until the node has replicated one more document, written now into a collection named `mark`.
pub(crate) async fn goes_on(stage: &Stage, node: &mut NodeProcess, mark: &str) -> Result<()> {
    stage.database().collection(mark).insert_one(doc! { "_id": 1 }).await?;
    let marks = stage.records_of(&format!("{}.{mark}", stage.name)).await?;
    marks.at_least(1, node).await.with_context(|| format!("the record of {mark}"))?;
    eprintln!("{mark}: the node has replicated what was written before");
    Ok(())
}
