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
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::doc;
use futures_util::future::try_join_all;
use millrace_bench::consumer;
use millrace_bench::oracle::compare::{Topics, differences};
use millrace_testbed::Testbed;
use mongodb::Client;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::case::{Case, Lane, Place};
use super::cases;
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
    /// Heartbeats in Java's lane and in the node's: how many and when is a matter of time, so they
    /// are not among the topics that are held against each other.
    heartbeats: [Vec<Record>; 2],
}

/// A lane in which the fence of a round did not come.
struct Late {
    case: String,
    lane: Lane,
    round: usize,
}

/// Every case by name, and what was seen beside the records.
pub(crate) struct Trial {
    outcomes: BTreeMap<String, Outcome>,
    /// Fences that did not come.
    late: Vec<Late>,
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
            for Late { lane, round, .. } in self.late.iter().filter(|late| late.case == case.name) {
                found.push(format!("{}: no fence in round {round}, {lane:?} lane", case.name));
            }
            let records: usize = outcome.java.values().map(Vec::len).sum();
            eprintln!("{}: {records} records in {} topics", case.name, outcome.java.len());
        }
        ensure!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
        Ok(())
    }
}

impl Trial {
    /// Heartbeats of a case: Java's lane and the node's.
    pub(crate) fn heartbeats(&self, case: &str) -> Result<&[Vec<Record>; 2]> {
        Ok(&self.outcomes.get(case).context("a case that was not run")?.heartbeats)
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
        .filter(|text| !records().any(|record| record.holds(text)))
        .map(|text| format!("{}: no record of Java shows {text}", case.name))
        .collect();
    if case.shows_tombstone && !records().any(|record| record.value.is_none()) {
        missing.push(format!("{}: no record of Java is a tombstone", case.name));
    }
    missing
}

async fn run() -> Result<Trial> {
    let started = Instant::now();
    let testbed = servers().await?;
    let client = testbed.mongodb().client().await?;
    let start = operation_time(&client).await?;
    let run = Run { testbed, client, cases: cases::all()?, folder: tempfile::tempdir()?, start };
    run.each(|case, place| {
        let before = case.before.map(|before| before(place));
        async { if let Some(before) = before { before.await } else { Ok(()) } }
    })
    .await?;
    let mut late = Vec::new();
    for round in 0..ROUNDS {
        if round > 0 {
            run.each(|case, place| hand_over(case, place, round, "away")).await?;
        }
        late = run.round(round).await?;
        eprintln!("round {round} ended after {:.1?}", started.elapsed());
        // What came until then says more than further rounds would.
        if !late.is_empty() {
            break;
        }
    }
    let [java, node] = [Lane::Java, Lane::Node].map(|lane| offsets::read(&run.offsets_file(lane)));
    let stored = [java?, node?].map(|pairs| pairs.into_keys().collect());
    let outcomes = run.read_all().await?;
    Ok(Trial { outcomes, late, stored })
}

/// What the rounds share.
struct Run {
    testbed: Arc<Testbed>,
    client: Client,
    cases: Vec<Case>,
    folder: TempDir,
    /// See [`super::case::START_TIME`].
    start: String,
}

impl Run {
    /// Starts both sides, writes while they run, waits for the fences and stops both. Returns where there is none.
    async fn round(&self, round: usize) -> Result<Vec<Late>> {
        let (of_java, of_node) = if round.is_multiple_of(2) {
            (Lane::Java, Lane::Node)
        } else {
            (Lane::Node, Lane::Java)
        };
        let (java, node) = (self.side("java", of_java), self.side("node", of_node));
        let mut pair = Pair::start(&self.testbed, &java, &node).await?;
        if round == 0 {
            self.each(|case, place| (case.content)(place)).await?;
        } else {
            self.each(|case, place| hand_over(case, place, round, "live")).await?;
        }
        self.each(|case, place| fence(case, place, round)).await?;
        let late = self.fences(round).await?;
        if late.is_empty() {
            pair.stop().await?;
        } else {
            for outcome in [pair.ensure_running().await, pair.stop().await] {
                outcome.unwrap_or_else(|error| eprintln!("round {round}: {error:#}"));
            }
        }
        Ok(late)
    }

    /// Writes for all cases at once; each has databases of its own.
    async fn each<F: Future<Output = Result<()>>>(
        &self,
        write: impl Fn(&Case, Place) -> F,
    ) -> Result<()> {
        let uri = self.testbed.mongodb().uri();
        let writes = self.cases.iter().map(|case| {
            let write = write(case, case.place(&self.client, &uri));
            async { write.await.with_context(|| format!("write for {}", case.name)) }
        });
        try_join_all(writes).await.map(drop)
    }

    /// Waits for the fence of every case in both lanes. Returns where there is none.
    async fn fences(&self, round: usize) -> Result<Vec<Late>> {
        let bootstrap = self.testbed.kafka().bootstrap();
        let client = consumer::connect(&bootstrap).await?;
        let mut waiting: Vec<(&Case, Lane)> = Vec::new();
        for lane in [Lane::Java, Lane::Node] {
            waiting.extend(self.cases.iter().map(|case| (case, lane)));
        }
        let mut topics: BTreeMap<String, Watched> = BTreeMap::new();
        let mut moved = Instant::now();
        while !waiting.is_empty() && moved.elapsed() < STALLED_MAX {
            for topic in client.list_topics().await? {
                if let Entry::Vacant(place) = topics.entry(topic.name) {
                    let records = Records::open(&bootstrap, place.key()).await?;
                    place.insert(Watched { records, seen: 0 });
                }
            }
            let mut still = Vec::new();
            for (case, lane) in waiting {
                let mut found = false;
                for (_, topic) in
                    topics.iter_mut().filter(|(name, _)| case.unmarked(lane, name).is_some())
                {
                    let look = topic.look_for(&fence_texts(case, round)?).await?;
                    found |= look == Look::Found;
                    if look != Look::NothingNew {
                        moved = Instant::now();
                    }
                }
                if !found {
                    still.push((case, lane));
                }
            }
            waiting = still;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(waiting
            .into_iter()
            .map(|(case, lane)| Late { case: case.name.clone(), lane, round })
            .collect())
    }

    /// Every topic of every case.
    async fn read_all(&self) -> Result<BTreeMap<String, Outcome>> {
        let bootstrap = self.testbed.kafka().bootstrap();
        let client = consumer::connect(&bootstrap).await?;
        let names: Vec<_> =
            client.list_topics().await?.into_iter().map(|topic| topic.name).collect();
        let mut outcomes = BTreeMap::new();
        for case in &self.cases {
            let mut lanes = [Topics::new(), Topics::new()];
            for (topics, lane) in lanes.iter_mut().zip([Lane::Java, Lane::Node]) {
                for name in &names {
                    if let Some(unmarked) = case.unmarked(lane, name) {
                        topics
                            .insert(unmarked, Records::open(&bootstrap, name).await?.all().await?);
                    }
                }
            }
            let [java, node] = lanes;
            let mut heartbeats = [Vec::new(), Vec::new()];
            for (records, lane) in heartbeats.iter_mut().zip([Lane::Java, Lane::Node]) {
                if let Some(topic) = case.heartbeat_topic(lane).filter(|name| names.contains(name))
                {
                    *records = Records::open(&bootstrap, &topic).await?.all().await?;
                }
            }
            outcomes.insert(case.name.clone(), Outcome { java, node, heartbeats });
        }
        Ok(outcomes)
    }

    /// The connectors of a lane. Their streams carry the name of who runs them and of the case, so that the server can
    /// tell them apart.
    fn side(&self, runner: &str, lane: Lane) -> Side {
        let uri = self.testbed.mongodb().uri();
        let separator = if uri.contains('?') { '&' } else { '?' };
        let connectors = self.cases.iter().map(|case| {
            let uri = format!("{uri}{separator}appName={runner}-{}", case.name);
            (case.name.clone(), case.file(lane, &uri, &self.start))
        });
        Side { connectors: connectors.collect(), offsets: self.offsets_file(lane) }
    }

    fn offsets_file(&self, lane: Lane) -> PathBuf {
        self.folder.path().join(format!("{lane:?}.offsets"))
    }
}

/// A topic that a fence is waited for in.
struct Watched {
    records: Records,
    /// How many records it held at the last look.
    seen: u64,
}

/// What came of a look.
#[derive(PartialEq, Eq)]
enum Look {
    NothingNew,
    NotYet,
    Found,
}

impl Watched {
    /// Whether a record holds one of `texts`; read only when there are new ones.
    async fn look_for(&mut self, texts: &[String]) -> Result<Look> {
        let end = self.records.topic().end().await?;
        if end <= self.seen {
            return Ok(Look::NothingNew);
        }
        self.seen = end;
        let records = self.records.all().await?;
        let found = records.iter().any(|record| texts.iter().any(|text| record.holds(text)));
        Ok(if found { Look::Found } else { Look::NotYet })
    }
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

/// The operation time after all that has happened, as a connector's file has it.
async fn operation_time(client: &Client) -> Result<String> {
    let pong = client.database("admin").run_command(doc! { "ping": 1 }).await?;
    let time = pong.get_timestamp("operationTime")?;
    Ok(format!(r#"{{"$timestamp": {{"t": {}, "i": {}}}}}"#, time.time, time.increment + 1))
}
