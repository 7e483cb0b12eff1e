//! A load at intended times, followed on real servers, without the node: what a stall costs has to be seen.
//!
//! ```text
//! load ─► mongod ─► official driver's change stream ─► rskafka ─► broker ─► consumer ─► latency, ledger
//!           └ stands still for a second: the server's clients are not asked less meanwhile
//! ```

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bson::Timestamp;
use bson::raw::RawDocumentBuf;
use futures_util::StreamExt;
use millrace_bench::arm::Format;
use millrace_bench::consumer;
use millrace_bench::live::{self, Live, LiveReading, PhaseReading};
use millrace_bench::progress::Progress;
use millrace_bench::scenario::{Course, FaultStep, Step};
use millrace_bench::stages::StageTally;
use millrace_bench::topics;
use millrace_loadgen::settings::LoadSettings;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::writer::next_operation_time;
use millrace_results::histogram::LatencyHistogram;
use millrace_results::record::stages::Stage;
use millrace_testbed::faults::{Fault, Target};
use millrace_testbed::{Plan, Servers, Testbed};
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use tokio::task::JoinHandle;

const PER_S: f64 = 200.0;
const STAGES: [Stage; 4] = [Stage::Queue, Stage::Write, Stage::Replicate, Stage::Deliver];

/// Stands still once: after so many events, for so long.
#[derive(Clone, Copy, Debug)]
struct Stall {
    after: usize,
    lasts: Duration,
}

/// What a right node would do, event by event, but for the stall.
fn replicate(
    testbed: Arc<Testbed>,
    database: String,
    topic: String,
    start: Timestamp,
    stall: Option<Stall>,
) -> JoinHandle<Result<()>> {
    tokio::spawn(async move {
        let client = testbed.mongodb().client().await?;
        let stream = client.database(&database).watch().start_at_operation_time(start).await?;
        let mut events = stream.with_type::<RawDocumentBuf>();
        let kafka = consumer::connect(&testbed.kafka().bootstrap()).await?;
        let partition = kafka.partition_client(topic, 0, UnknownTopicHandling::Retry).await?;
        let mut replicated = 0;
        while let Some(event) = events.next().await {
            let event = event?;
            if let Some(stall) = stall.filter(|stall| stall.after == replicated) {
                tokio::time::sleep(stall.lasts).await;
            }
            replicated += 1;
            let record = Record {
                key: Some(event.get_document("documentKey")?.as_bytes().to_vec()),
                value: Some(event.into_bytes()),
                headers: Default::default(),
                timestamp: DateTime::UNIX_EPOCH,
            };
            partition.produce(vec![record], Compression::NoCompression).await?;
        }
        bail!("the stream ended")
    })
}

/// Follows `steps` in a database of this name.
async fn follow(
    testbed: &Arc<Testbed>,
    database: &str,
    steps: &[Step],
    faults: Vec<FaultStep>,
    (stall, stop): (Option<Stall>, Stop),
) -> Result<LiveReading> {
    let settings = LoadSettings { database: database.to_owned(), ..LoadSettings::default() };
    let course = Course::steps(&settings, steps)?;
    let bootstrap = testbed.kafka().bootstrap();
    let topic = topics::fresh_one(&bootstrap, database, 1).await?;
    let start = next_operation_time(&testbed.mongodb().client().await?).await?;
    let replicating =
        replicate(Arc::clone(testbed), database.to_owned(), database.to_owned(), start, stall);
    let uri = testbed.mongodb().uri();
    let live = Live {
        mongodb_uri: &uri,
        course: &course,
        workload: &course.load().workload,
        topic: &topic,
        format: Format::Bson,
        append_clock: Some(&bootstrap),
        parts: &[("rig", Some(std::process::id()))],
        faults: (!faults.is_empty()).then(|| (Arc::clone(testbed), faults)),
        stop,
    };
    let alive = || if replicating.is_finished() { bail!("the stand-in ended") } else { Ok(()) };
    let reading = live::measure(&live, alive, Progress::hidden()).await?;
    replicating.abort();
    assert!(reading.report.is_exact(), "{}", reading.report);
    Ok(reading)
}

/// Every event was cut into its stages, and their means are the mean of the whole, to what a histogram tells.
fn assert_stages_add_up(phase: &PhaseReading) {
    let StageTally { stages, events, .. } = &phase.stages;
    assert_eq!(*events, phase.events);
    assert_eq!(stages.keys().copied().collect::<Vec<_>>(), STAGES);
    let (sum_ms, whole_ms): (f64, f64) =
        (stages.values().map(LatencyHistogram::mean_ms).sum(), phase.latency().mean_ms());
    assert!((sum_ms - whole_ms).abs() < 0.005 + whole_ms / 500.0, "{sum_ms} of {whole_ms} ms");
}

fn of_stage(phase: &PhaseReading, stage: Stage, figure: fn(&LatencyHistogram) -> f64) -> f64 {
    phase.stages.stages.get(&stage).map_or(0.0, figure)
}

fn step(per_s: f64, lasts_s: f64, warm_up: bool) -> Step {
    Step { per_s, lasts_s, warm_up }
}

/// Two loads at once would be late by each other.
static ONE_LOAD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_is_in_the_latency_of_all_that_was_due_meanwhile_and_phases_are_told_apart()
-> Result<()> {
    let _alone = ONE_LOAD.lock().await;
    let testbed = Arc::new(Testbed::up(Plan::default(), Servers::Native).await?);
    let pause =
        FaultStep { at_s: 5, until_s: Some(6), fault: Fault::Pause { target: Target::Primary } };
    let steps = [step(PER_S, 3.0, true), step(PER_S, 6.0, false)];
    let reading =
        follow(&testbed, "millrace_live", &steps, vec![pause], (None, Stop::new())).await?;

    let [before, stalled] = &reading.phases[..] else { bail!("{} phases", reading.phases.len()) };
    assert_eq!((before.events, stalled.events), (600, 1_200));
    let latency = stalled.latency();
    let (p25, p99) = (latency.percentile_ms(25.0), latency.percentile_ms(99.0));
    // A closed loop would have one late write; here a second's worth of writes waited, the first for all of it.
    assert!(900.0 <= p99, "p99 {p99} ms");
    let late = latency.count() - latency.count_up_to(200.0);
    assert!(PER_S * 0.7 <= late as f64, "{late} of {} are late", latency.count());
    // A third was due before the stall.
    assert!(p25 < 500.0, "p25 {p25} ms");
    [before, stalled].into_iter().for_each(assert_stages_add_up);
    let write_ms = of_stage(stalled, Stage::Write, LatencyHistogram::max_ms);
    assert!(900.0 <= write_ms, "the first write that waited took {write_ms} ms");
    let sum: u64 = stalled.series.iter().map(|second| second.events).sum();
    assert_eq!(sum, stalled.events, "the seconds hold every event once");

    let [mark] = &reading.marks[..] else { bail!("{:?}", reading.marks) };
    assert_eq!(mark.what, "pause primary");
    let until_s = mark.until_s.context("it was undone")?;
    assert!((5.0..5.5).contains(&mark.at_s) && (6.0..7.0).contains(&until_s), "{mark:?}");
    assert!(stalled.used.usage.iter().any(|usage| usage.process == "rig"), "{:?}", stalled.used);

    let stop = Stop::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stopping.request();
    });
    let steps = [step(PER_S, 600.0, false)];
    let reading = follow(&testbed, "millrace_live_cut", &steps, Vec::new(), (None, stop)).await?;
    assert!(reading.is_cut_short);
    let (written, events) = (reading.written.operations, reading.phases[0].events);
    assert!(
        (100..2_000).contains(&written) && events == written,
        "{written} written, {events} seen"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_of_the_arm_is_in_the_stage_of_the_arm() -> Result<()> {
    let _alone = ONE_LOAD.lock().await;
    let testbed = Arc::new(Testbed::up(Plan::default(), Servers::Native).await?);
    let steps = [step(PER_S, 2.0, true), step(PER_S, 5.0, false)];
    let stall = Stall { after: 500, lasts: Duration::from_secs(3) };
    let reading =
        follow(&testbed, "millrace_live_arm", &steps, Vec::new(), (Some(stall), Stop::new()))
            .await?;
    let [before, stalled] = &reading.phases[..] else { bail!("{} phases", reading.phases.len()) };
    [before, stalled].into_iter().for_each(assert_stages_add_up);
    let max_ms = of_stage(stalled, Stage::Replicate, LatencyHistogram::max_ms);
    assert!(2_700.0 <= max_ms, "{max_ms} ms");
    // A busy machine is late everywhere, but nowhere for as long.
    let mean_ms = |stage| of_stage(stalled, stage, LatencyHistogram::mean_ms);
    let longest = STAGES.into_iter().max_by(|a, b| mean_ms(*a).total_cmp(&mean_ms(*b)));
    assert_eq!(longest, Some(Stage::Replicate), "{:?}", STAGES.map(mean_ms));
    Ok(())
}
