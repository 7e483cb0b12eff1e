//! Connectors that wander through a group of Java's workers and nodes while a load never rests.
//!
//! ```text
//! load     ████████████████████████████████████████████████████████████  one open loop over three collections
//! Java a   ████████┐
//! Java b   ████████████┐
//!      c   █████████████████████████╳ SIGKILL                             who plays c and d is a parameter
//!      d                  ██████████████████████████████┐
//! Java e                                         ██████████████████████
//! ```
//!
//! Nothing may be lost, and the first occurrences of each key must be in order. What comes again must begin right
//! behind the position that was stored then ([`replay`]). How long it takes from the SIGKILL to the first record of who
//! took over is printed, and bounded where nodes lead with their own delay.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use millrace_bench::arm::Format;
use millrace_bench::check::{Report, check_topic};
use millrace_bench::consumer::Topic;
use millrace_loadgen::workload::{Collections, Workload};
use serde_json::{Value, json};

use crate::group::{Group, Kind, Member, REBALANCE_DELAY, SESSION_TIMEOUT};
use crate::harness::load::Load;
use crate::harness::reference::streams_open;
use crate::harness::rest::Ask;
use crate::harness::{POLL_INTERVAL, Records, Stage, eventually_within};
use crate::replay::{self, Replays, Sent};
use crate::stage;

const CONNECTORS: usize = 3;
const RATE_PER_S: f64 = 120.0;
/// More than ten minutes of it: the load is ended when the last worker has its part.
const OPERATIONS_MAX: u64 = 100_000;
/// What each topic must get between two changes of the group.
const PROGRESS_RECORDS: u64 = 100;
/// A rebalance waits for the slowest worker, and a connector for its servers.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a node that leads may need beyond the session's end.
const TAKEOVER_MARGIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_wander_through_a_group_of_java_under_load() -> Result<()> {
    let (stage, _turn) = stage("java_group").await?;
    wander(&stage, Kind::Java).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_wander_from_java_to_nodes_and_back_under_load() -> Result<()> {
    let (stage, _turn) = stage("mixed_group").await?;
    let takeover = wander(&stage, Kind::Node).await?;
    ensure!(takeover <= SESSION_TIMEOUT + TAKEOVER_MARGIN, "taken over after {takeover:?}");
    Ok(())
}

/// Plays all of it with `kind` as c and d. Returns how long it took until the last connector of c went on.
async fn wander(stage: &Stage, kind: Kind) -> Result<Duration> {
    let started = Instant::now();
    let java = Group::new(stage, "mixed");
    let own = match kind {
        Kind::Java => java.clone(),
        Kind::Node => java.clone().without("scheduled.rebalance.max.delay.ms"),
    };
    let a = java.start(Kind::Java).await?;
    let (b, mut c) = tokio::try_join!(java.start(Kind::Java), own.start(kind))?;
    let scene = Scene::start(stage, java.topic("offset"), &b).await?;
    scene.says("all run");

    scene.goes_on(&mut [&mut c]).await?;
    a.stop().await?;
    scene.goes_on(&mut [&mut c]).await?;
    b.stop().await?;
    scene.all_run_on(&[&c]).await.context("c alone")?;
    scene.goes_on(&mut [&mut c]).await?;
    scene.says("c has all");

    let mut d = own.start(kind).await?;
    let shared = scene.all_run_on(&[&c, &d]).await.context("c and d")?;
    scene.goes_on(&mut [&mut c, &mut d]).await?;
    scene.says("c and d share");

    let killed_at_ms = now_ms()?;
    let of_c: Vec<usize> = (0..CONNECTORS).filter(|index| shared[*index] == c.address).collect();
    c.kill()?;
    scene.all_run_on(&[&d]).await.context("d alone")?;
    scene.goes_on(&mut [&mut d]).await?;
    scene.says("d has taken over");

    let mut e = java.start(Kind::Java).await?;
    scene.all_run_on(&[&d, &e]).await.context("d and e")?;
    d.stop().await?;
    scene.all_run_on(&[&e]).await.context("e alone")?;
    scene.goes_on(&mut [&mut e]).await?;
    scene.says("e has all");

    let takeover = scene.takeover(&of_c, killed_at_ms).await?;
    println!(
        "{kind:?}: {:?} from SIGKILL to the first records of the successor, session {SESSION_TIMEOUT:?}, delay of Java's \
         workers {REBALANCE_DELAY:?}",
        takeover
    );
    scene.judge(e).await?;
    eprintln!("all of it took {:?}", started.elapsed());
    Ok(takeover)
}

/// The load, the connectors and their topics.
struct Scene<'a> {
    stage: &'a Stage,
    load: Load,
    offsets: String,
    /// Of each connector, in order.
    topics: Vec<Topic>,
    started: Instant,
}

fn collection(index: usize) -> String {
    format!("wandering{index}")
}

fn name(stage: &Stage, index: usize) -> String {
    format!("{}-{index}", stage.name)
}

fn config(stage: &Stage, index: usize) -> BTreeMap<String, String> {
    const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";
    let uri = stage.uri();
    let separator = if uri.contains('?') { '&' } else { '?' };
    let config = [
        ("connector.class", "com.mongodb.kafka.connect.MongoSourceConnector"),
        ("connection.uri", &format!("{uri}{separator}appName={}", name(stage, index))),
        ("database", &stage.name),
        ("collection", &collection(index)),
        ("poll.await.time.ms", "100"),
        ("key.converter", STRING_CONVERTER),
        ("value.converter", STRING_CONVERTER),
    ];
    config.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

impl<'a> Scene<'a> {
    /// Creates the connectors by way of `member`, and begins to write when their streams are open.
    async fn start(stage: &'a Stage, offsets: String, member: &Member) -> Result<Self> {
        let configs: Vec<_> = (0..CONNECTORS).map(|index| config(stage, index)).collect();
        for (index, config) in configs.iter().enumerate() {
            let post = json!({ "name": name(stage, index), "config": config });
            let ask = Ask::new("POST", "/connectors").json(&post);
            eventually_within(PATIENCE, "a connector is created", async || {
                let answer = member.ask(&ask).await?;
                // A rebalance because of the connector before it may be in the way.
                ensure!([201, 409].contains(&answer.status), "{}", answer.body);
                Ok((answer.status == 201 || answer.body.contains("already exists")).then_some(()))
            })
            .await?;
        }
        for index in 0..CONNECTORS {
            eventually_within(PATIENCE, "a task runs", async || {
                Ok(place(&status(stage, index, member).await?).is_some().then_some(()))
            })
            .await?;
        }
        streams_open(&stage.client, configs.iter()).await?;
        let names: Vec<_> = (0..CONNECTORS).map(collection).collect();
        let load = Load::start_into(stage, Collections::from(names), RATE_PER_S, OPERATIONS_MAX);
        let mut topics = Vec::new();
        for index in 0..CONNECTORS {
            let topic = format!("{}.{}", stage.name, collection(index));
            topics.push(stage.records_of(&topic).await?.topic().clone());
        }
        Ok(Self { stage, load, offsets, topics, started: Instant::now() })
    }

    fn says(&self, what: &str) {
        eprintln!("{:6.1} s: {what}", self.started.elapsed().as_secs_f64());
    }

    /// Waits until every topic has got its part, while these live.
    async fn goes_on(&self, members: &mut [&mut Member]) -> Result<()> {
        self.load.ensure_goes_on("the group has changed")?;
        for topic in &self.topics {
            let wanted = topic.end().await? + PROGRESS_RECORDS;
            let alive = || members.iter_mut().try_for_each(|member| member.ensure_alive());
            topic.wait_for(wanted, PATIENCE, alive, |_| ()).await?;
        }
        Ok(())
    }

    /// Waits until every task runs on one of these, and each of these has one. Returns who runs the task of each
    /// connector.
    async fn all_run_on(&self, members: &[&Member]) -> Result<Vec<String>> {
        let mut last = Vec::new();
        let placed = eventually_within(PATIENCE, "all run there", async || {
            last.clear();
            for index in 0..CONNECTORS {
                last.push(place(&status(self.stage, index, members[members.len() - 1]).await?));
            }
            let is_known = |place: &Option<String>| {
                members.iter().any(|member| Some(&member.address) == place.as_ref())
            };
            let has_one =
                |member: &&Member| last.iter().any(|place| place.as_ref() == Some(&member.address));
            let is_so = last.iter().all(is_known) && members.iter().all(has_one);
            Ok(is_so.then(|| last.iter().flatten().cloned().collect()))
        });
        let placed = placed.await;
        placed.with_context(|| format!("the tasks run on {last:?}"))
    }

    /// From the kill until the last of these connectors had its first record by somebody else.
    async fn takeover(&self, connectors: &[usize], killed_at_ms: i64) -> Result<Duration> {
        let mut longest_ms = 0;
        for index in connectors {
            let events = replay::events(&self.topics[*index]).await?;
            // What the killed worker had sent is older than its end.
            let first = events.iter().find(|event| killed_at_ms < event.at_ms);
            let first = first.context("nothing came after the kill")?;
            longest_ms = longest_ms.max(first.at_ms - killed_at_ms);
        }
        Ok(Duration::from_millis(u64::try_from(longest_ms)?))
    }

    /// Ends the load and `last`, and judges all topics.
    async fn judge(self, mut last: Member) -> Result<()> {
        let Self { stage, load, offsets, topics, .. } = self;
        load.end_early();
        let workload = load.written().await?;
        let report = complete(&topics, &workload, &mut last).await?;
        last.stop().await?;
        eprintln!("{report}");
        ensure!(report.is_at_least_once(), "{report}");
        let offsets = Records::open(&stage.bootstrap(), &offsets).await?;
        let mut repeated = 0;
        for (index, topic) in topics.iter().enumerate() {
            let events = replay::events(topic).await?;
            let positions = replay::positions(offsets.topic(), &name(stage, index)).await?;
            let judged = replay::judge(&events, &positions);
            let replays = judged.with_context(|| format!("connector {index}"))?;
            let Replays { runs, records } = replays;
            println!(
                "connector {index}: {} events, {records} of them again in {runs} runs",
                events.len()
            );
            repeated += records;
            a_broken_run_is_seen(&events, &positions)?;
        }
        let duplicated = report.verdict.duplicated;
        ensure!(repeated == duplicated, "{repeated} came again, but the ledger says {report}");
        Ok(())
    }
}

/// The judge of this very run fails on one event more, and on one that goes back behind what was stored.
fn a_broken_run_is_seen(events: &[Sent], positions: &[Sent]) -> Result<()> {
    let mut again = events.to_vec();
    let last = events.last().context("no event")?;
    again.push(Sent { token: events[0].token.clone(), at_ms: last.at_ms + 60_000 });
    ensure!(
        replay::judge(&again, positions).is_err(),
        "an event that was stored came again unseen"
    );
    Ok(())
}

/// Waits until nothing is missing in the topics, and judges them.
async fn complete(topics: &[Topic], workload: &Workload, last: &mut Member) -> Result<Report> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let together = Topic::together(topics.to_vec());
        let report = check_topic(&together, workload, Format::Json, |_| ()).await?;
        if report.is_at_least_once() || deadline < Instant::now() {
            return Ok(report);
        }
        last.ensure_alive()?;
        tokio::time::sleep(50 * POLL_INTERVAL).await;
    }
}

async fn status(stage: &Stage, index: usize, member: &Member) -> Result<Value> {
    let path = format!("/connectors/{}/status", name(stage, index));
    member.ask(&Ask::get(&path)).await?.json()
}

/// Who runs the task, if it runs.
fn place(status: &Value) -> Option<String> {
    let task = status.pointer("/tasks/0")?;
    (task["state"] == "RUNNING").then(|| task["worker_id"].as_str().map(str::to_owned))?
}
