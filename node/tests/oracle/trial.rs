//! Every case on both sides at once, three rounds, and what the topics hold in the end.
//!
//! ```text
//! round          Java lane     node lane     written
//! 0 apart        worker        node          the content of each case
//! 1 handed over  node          worker        some while nobody runs, some while both run
//! 2 handed back  worker        node          the same
//! ```
//!
//! In each round a side finds the offsets file that the other has left, under the same connectors' names, and must go
//! on in the other's topics without a gap or a repetition. Each round ends with a fence: a document whose record must
//! be in both lanes before both sides are stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::doc;
use futures_util::future::try_join_all;
use millrace_bench::consumer;
use millrace_testbed::Testbed;
use mongodb::Client;
use tokio::sync::OnceCell;

use super::case::{Case, Lane, Place};
use super::cases;
use super::compare::{Topics, differences};
use super::harness::records::{Record, Records};
use super::harness::{POLL_INTERVAL, offsets};
use super::pair::{Pair, Side};
use super::servers;

/// How long a lane may stand still before its fence is given up.
const STALLED_MAX: Duration = Duration::from_secs(20);
const ROUNDS: usize = 3;

/// What every topic of a case holds in the end.
pub(crate) struct Outcome {
    java: Topics,
    node: Topics,
}

/// Every case by name, and what was seen beside the records.
pub(crate) struct Trial {
    outcomes: BTreeMap<String, Outcome>,
    /// Keys in the offsets file that Java began and in the one that the node began.
    stored: [Vec<String>; 2],
}

/// The one trial of this run; the first test that asks for it runs it.
pub(crate) async fn trial() -> Result<&'static Trial> {
    static TRIAL: OnceCell<Result<Trial, String>> = OnceCell::const_new();
    let trial =
        TRIAL.get_or_init(|| async { run().await.map_err(|error| format!("{error:?}")) }).await;
    trial.as_ref().map_err(|error| anyhow::Error::msg(error.clone()))
}

impl Trial {
    /// Fails unless the lanes of every case hold the same records, and show what the case is about.
    pub(crate) fn judge(&self, cases: &[Case]) -> Result<()> {
        let mut found = Vec::new();
        for case in cases {
            let outcome = self.outcomes.get(&case.name).context("a case that was not run")?;
            let differences = differences(&outcome.java, &outcome.node);
            found.extend(differences.into_iter().map(|text| format!("{}: {text}", case.name)));
            found.extend(not_shown(case, &outcome.java));
            let records: usize = outcome.java.values().map(Vec::len).sum();
            eprintln!("{}: {records} records in {} topics", case.name, outcome.java.len());
        }
        ensure!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
        Ok(())
    }
}

/// Both sides have written to both files: whoever did not know a key of the other would have left two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_store_positions_under_the_same_keys() -> Result<()> {
    let [java, node] = &trial().await?.stored;
    ensure!(java == node, "keys in Java's file: {java:#?}\nkeys in the node's: {node:#?}");
    ensure!(java.len() == cases::all()?.len(), "one key for each connector: {java:#?}");
    Ok(())
}

/// What a case is about and Java's records do not show.
fn not_shown(case: &Case, java: &Topics) -> Vec<String> {
    let records = || java.values().flatten();
    let mut missing: Vec<_> = case
        .shows
        .iter()
        .filter(|text| !records().any(|record| holds(record, text)))
        .map(|text| format!("{}: no record of Java shows {text}", case.name))
        .collect();
    if case.shows_tombstone && !records().any(|record| record.value.is_none()) {
        missing.push(format!("{}: no record of Java is a tombstone", case.name));
    }
    missing
}

fn holds(record: &Record, text: &str) -> bool {
    let parts = [&record.key, &record.value];
    parts
        .into_iter()
        .flatten()
        .any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

async fn run() -> Result<Trial> {
    let started = Instant::now();
    let testbed = servers().await?;
    let client = testbed.mongodb().client().await?;
    let (cases, uri) = (cases::all()?, testbed.mongodb().uri());
    let placed = |case: &Case| case.place(&client, &uri);
    let start = operation_time(&client).await?;
    each(&cases, &placed, |case, place| {
        let before = case.before.map(|before| before(place));
        async { if let Some(before) = before { before.await } else { Ok(()) } }
    })
    .await?;
    let folder = tempfile::tempdir()?;
    for round in 0..ROUNDS {
        if round > 0 {
            each(&cases, &placed, |case, place| hand_over(case, place, round, "away")).await?;
        }
        let side = |runner, lane| Side {
            connectors: connectors(&cases, lane, &testbed, runner, &start),
            offsets: offsets_file(folder.path(), lane),
        };
        let (of_java, of_node) =
            if round % 2 == 0 { (Lane::Java, Lane::Node) } else { (Lane::Node, Lane::Java) };
        let (java, node) = (side("java", of_java), side("node", of_node));
        let mut pair = Pair::start(&testbed, &java, &node).await?;
        if round == 0 {
            each(&cases, &placed, |case, place| (case.content)(place)).await?;
        } else {
            each(&cases, &placed, |case, place| hand_over(case, place, round, "live")).await?;
        }
        each(&cases, &placed, |case, place| fence(case, place, round)).await?;
        eprintln!("round {round}: written after {:.1?}", started.elapsed());
        let late = fences(&cases, &testbed, round).await?;
        ensure!(
            late.is_empty(),
            "round {round}: no fence in {late:?}; {:?}",
            pair.ensure_running().await
        );
        pair.stop().await?;
        eprintln!("round {round}: stopped after {:.1?}", started.elapsed());
    }
    let stored =
        [Lane::Java, Lane::Node].map(|lane| offsets::read(&offsets_file(folder.path(), lane)));
    let [java, node] = stored;
    let stored = [java?, node?].map(|pairs| pairs.into_keys().collect());
    let outcomes = read_all(&cases, &testbed).await?;
    eprintln!("the trial took {:.1?}", started.elapsed());
    Ok(Trial { outcomes, stored })
}

/// Writes for all cases at once; each has databases of its own.
async fn each<F: Future<Output = Result<()>>>(
    cases: &[Case],
    placed: &impl Fn(&Case) -> Place,
    write: impl Fn(&Case, Place) -> F,
) -> Result<()> {
    let writes = cases.iter().map(|case| {
        let write = write(case, placed(case));
        async { write.await.with_context(|| format!("write for {}", case.name)) }
    });
    try_join_all(writes).await.map(drop)
}

/// Some changes of every kind. What an update's look-up finds must not depend on when it looks, so a document that is
/// updated while streams are open is not changed again.
fn hand_over(
    case: &Case,
    place: Place,
    round: usize,
    when: &str,
) -> impl Future<Output = Result<()>> + use<> {
    let id = |name: &str| doc! { "_id": format!("{when}-{round}-{name}") };
    let (kept, gone, updated) = (id("kept"), id("gone"), id("updated"));
    let (collection, away) = (place.collection(&case.collection), when == "away");
    async move {
        for id in [&kept, &gone, &updated] {
            collection.insert_one(id.clone()).await?;
        }
        collection
            .replace_one(kept, doc! { "replaced": "é\u{1}\u{30fc}😀", "n": f64::NAN })
            .await?;
        collection
            .update_one(updated.clone(), doc! { "$set": { "n": 1.0e10, "a.b": [1_i64] } })
            .await?;
        if away {
            collection.delete_one(updated).await?;
        }
        collection.delete_one(gone).await?;
        Ok(())
    }
}

fn fence(case: &Case, place: Place, round: usize) -> impl Future<Output = Result<()>> + use<> {
    let needs_none = round == 0 && case.last.is_some();
    let collection = place.collection(&case.collection);
    async move {
        if !needs_none {
            collection.insert_one(doc! { "_id": Case::fence(round) }).await?;
        }
        Ok(())
    }
}

/// The texts by which the last record of a round is known: as text, or as raw BSON in base 64.
fn fence_texts(case: &Case, round: usize) -> Result<Vec<String>> {
    if let Some(text) = case.last.filter(|_| round == 0) {
        return Ok(vec![text.to_owned()]);
    }
    let bytes = doc! { "_id": Case::fence(round) }.to_vec()?;
    Ok(vec![Case::fence(round), base64(&bytes)])
}

/// Base 64 without the last group, which may be incomplete.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    });
    groups.collect()
}

/// Waits for the fence of every case in both lanes. Returns where there is none.
async fn fences(cases: &[Case], testbed: &Testbed, round: usize) -> Result<Vec<String>> {
    let client = consumer::connect(&testbed.kafka().bootstrap()).await?;
    let mut waiting: Vec<(&Case, Lane)> = Vec::new();
    for lane in [Lane::Java, Lane::Node] {
        waiting.extend(cases.iter().map(|case| (case, lane)));
    }
    let mut topics: BTreeMap<String, (Records, u64)> = BTreeMap::new();
    let mut moved = Instant::now();
    while !waiting.is_empty() && moved.elapsed() < STALLED_MAX {
        for topic in client.list_topics().await? {
            if !topics.contains_key(&topic.name) {
                let records = Records::open(&testbed.kafka().bootstrap(), &topic.name).await?;
                topics.insert(topic.name, (records, 0));
            }
        }
        let mut still = Vec::new();
        for (case, lane) in waiting {
            let mut found = false;
            for (_, (records, seen)) in
                topics.iter_mut().filter(|(name, _)| case.unmarked(lane, name).is_some())
            {
                let end = records.topic().end().await?;
                if *seen < end {
                    (*seen, moved) = (end, Instant::now());
                    let texts = fence_texts(case, round)?;
                    let all = records.all().await?;
                    found |= all.iter().any(|record| texts.iter().any(|text| holds(record, text)));
                }
            }
            if !found {
                still.push((case, lane));
            }
        }
        waiting = still;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(waiting.into_iter().map(|(case, lane)| format!("{} of {lane:?}", case.name)).collect())
}

async fn read_all(cases: &[Case], testbed: &Testbed) -> Result<BTreeMap<String, Outcome>> {
    let bootstrap = testbed.kafka().bootstrap();
    let client = consumer::connect(&bootstrap).await?;
    let names: Vec<_> = client.list_topics().await?.into_iter().map(|topic| topic.name).collect();
    let mut outcomes = BTreeMap::new();
    for case in cases {
        let mut lanes = [Topics::new(), Topics::new()];
        for (topics, lane) in lanes.iter_mut().zip([Lane::Java, Lane::Node]) {
            for name in &names {
                if let Some(unmarked) = case.unmarked(lane, name) {
                    topics.insert(unmarked, Records::open(&bootstrap, name).await?.all().await?);
                }
            }
        }
        let [java, node] = lanes;
        outcomes.insert(case.name.clone(), Outcome { java, node });
    }
    Ok(outcomes)
}

/// The connectors of a lane by name. Their streams carry the name of who runs them and of the case, so that the server
/// can tell them apart.
fn connectors(
    cases: &[Case],
    lane: Lane,
    testbed: &Testbed,
    runner: &str,
    start: &str,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let uri = testbed.mongodb().uri();
    let separator = if uri.contains('?') { '&' } else { '?' };
    let connectors = cases.iter().map(|case| {
        let uri = format!("{uri}{separator}appName={runner}-{}", case.name);
        (case.name.clone(), case.file(lane, &uri, start))
    });
    connectors.collect()
}

fn offsets_file(folder: &Path, lane: Lane) -> std::path::PathBuf {
    folder.join(format!("{lane:?}.offsets"))
}

/// The operation time after all that has happened, as a connector's file has it.
async fn operation_time(client: &Client) -> Result<String> {
    let pong = client.database("admin").run_command(doc! { "ping": 1 }).await?;
    let time = pong.get_timestamp("operationTime")?;
    Ok(format!(r#"{{"$timestamp": {{"t": {}, "i": {}}}}}"#, time.time, time.increment + 1))
}
