//! Figures that a Connect runtime is chosen by, with bounds. Each test prints what it has measured.
//!
//! | figure                                                      | bound                                 |
//! |-------------------------------------------------------------|---------------------------------------|
//! | 200 connectors in one worker, p99 of states and lists       | 20 ms                                 |
//! | 1,000 requests a second, right and wrong, for 20 s          | no 5xx, resident memory stays         |
//! | cold start of a worker until its connector's first record   | 300 ms                                |
//!
//! The bounds on times hold for a release build on an idle machine. A debug build, which shares its cores with the
//! tests' own servers, gets [`RELAXED`] times as much.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use millrace_bench::oracle::random::Random;
use serde_json::{Map, Value, json};

use crate::corpus::{Place, Sequence, Setting, sequences};
use crate::harness::rest::Ask;
use crate::harness::{EVENTS, NodeProcess, Stage, eventually, eventually_within};
use crate::pressure::{Outcome, press, quantile};
use crate::stage;

/// By how much the bounds on times are wider in a debug build.
const RELAXED: u32 = if cfg!(debug_assertions) { 10 } else { 1 };

const CONNECTORS: usize = 200;
const READ_RATE_PER_S: f64 = 200.0;
const READS: usize = 2_000;
const READ_P99_MAX: Duration = Duration::from_millis(20);

const RATE_PER_S: f64 = 1_000.0;
const REQUESTS: usize = 20_000;
/// How many of them come before memory is looked at first.
const WARM_UP: usize = 5_000;
const GROWTH_KIB_MAX: u64 = 16 * 1_024;
/// One request in so many may change something.
const CHANGES: usize = 20;

const COLD_START_MAX: Duration = Duration::from_millis(300);
const COLD_STARTS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_states_of_200_connectors_are_told_at_once() -> Result<()> {
    let (stage, _turn) = stage("figures_many").await?;
    let mut setup = stage.worker()?.rest();
    let name = |number: usize| format!("{}_{number}", stage.name);
    for number in 0..CONNECTORS {
        let connector = crate::harness::Connector::new(&name(number), &stage.uri());
        setup = setup.connector(connector.collection(&stage.name, &format!("c{number}")));
    }
    let mut node = setup.start()?;
    let address = node.rest_address().await?;
    eventually_within(Duration::from_secs(120), "all run", async || {
        node.ensure_alive()?;
        let all = Ask::get("/connectors?expand=status").of(&address).await?.json()?;
        let states = all.as_object().into_iter().flat_map(Map::values);
        let running =
            states.filter(|one| one.pointer("/status/tasks/0/state") == Some(&json!("RUNNING")));
        Ok((running.count() == CONNECTORS).then_some(()))
    })
    .await?;

    let mut random = Random::new(1);
    let reads: Vec<_> = (0..READS)
        .map(|_| match random.below(4) {
            0 => Ask::get("/connectors"),
            _ => Ask::get(&format!("/connectors/{}/status", name(random.below(CONNECTORS)))),
        })
        .collect();
    let outcomes = press(&address, reads, READ_RATE_PER_S).await?;
    let p99 = quantile(&outcomes, 0.99);
    println!(
        "{CONNECTORS} connectors, {READ_RATE_PER_S}/s: p50 {:?}, p99 {p99:?}, {} KiB resident",
        quantile(&outcomes, 0.5),
        resident_kib(&node)?
    );
    node.stop().await?;
    ensure!(outcomes.iter().all(|outcome| outcome.status == 200), "not all were answered");
    ensure!(p99 <= RELAXED * READ_P99_MAX, "p99 {p99:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_right_and_wrong_requests_harms_nothing() -> Result<()> {
    let (stage, _turn) = stage("figures_flood").await?;
    let mut node = stage.setup()?.rest().start_running().await?;
    let address = node.rest_address().await?;
    let requests = requests(&stage)?;
    let (first, rest) = requests.split_at(WARM_UP);
    let mut outcomes = press(&address, first.to_vec(), RATE_PER_S).await?;
    let before_kib = resident_kib(&node)?;
    let started = Instant::now();
    let later = press(&address, rest.to_vec(), RATE_PER_S).await?;
    let rate_per_s = rest.len() as f64 / started.elapsed().as_secs_f64();
    let after_kib = resident_kib(&node)?;
    outcomes.extend(
        later.iter().map(|outcome| Outcome { request: WARM_UP + outcome.request, ..*outcome }),
    );
    println!(
        "{rate_per_s:.0} requests/s: p50 {:?}, p99 {:?}, {before_kib} KiB then {after_kib} KiB resident",
        quantile(&outcomes, 0.5),
        quantile(&outcomes, 0.99)
    );
    // What Java's JSON library cannot read is a 500 of Java, and so of the node; the corpus says so.
    let is_read = |ask: &Ask| match serde_json::from_str::<Value>(&ask.body) {
        Ok(body) => body.is_object() && body["initial_state"] != "FLYING",
        Err(_) => ask.body.is_empty(),
    };
    let failed = outcomes.iter().filter(|outcome| 500 <= outcome.status);
    let failed = failed.map(|outcome| (outcome.status, &requests[outcome.request]));
    let failed: Vec<_> = failed.filter(|(_, ask)| is_read(ask)).collect();
    ensure!(
        failed.is_empty(),
        "{} times: {:?}",
        failed.len(),
        failed.iter().take(5).collect::<Vec<_>>()
    );
    let refused = outcomes.iter().filter(|outcome| 400 <= outcome.status).count();
    ensure!(REQUESTS / 10 < refused && refused < REQUESTS * 9 / 10, "{refused} were refused");
    ensure!(after_kib <= before_kib + GROWTH_KIB_MAX, "{before_kib} KiB grew to {after_kib} KiB");
    goes_on(&stage, &mut node, &address).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_starts_has_replicated_a_moment_later() -> Result<()> {
    let (stage, _turn) = stage("figures_cold").await?;
    let setup = stage.setup()?;
    let mut node = setup.start_running().await?;
    stage.insert([0]).await?;
    let records = stage.records().await?;
    records.at_least(1, &mut node).await?;
    node.stop().await?;
    let mut starts = Vec::new();
    for id in 1..=COLD_STARTS {
        stage.insert([i32::try_from(id)?]).await?;
        let started = Instant::now();
        let mut node = setup.start()?;
        let wanted = id as u64 + 1;
        eventually("the first record", async || {
            node.ensure_alive()?;
            Ok((wanted <= records.topic().end().await?).then_some(()))
        })
        .await?;
        starts.push(started.elapsed());
        node.stop().await?;
    }
    starts.sort_unstable();
    let median = starts[COLD_STARTS / 2];
    println!("cold start until the first record: {starts:?}");
    ensure!(median <= RELAXED * COLD_START_MAX, "{median:?}");
    Ok(())
}

/// Memory that is resident. KiB.
fn resident_kib(node: &NodeProcess) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

/// Requests of all clients about the connector of `stage`, drawn; a part of them is spoilt. Those that a worker sends
/// to another, and what makes other connectors, are left out.
fn requests(stage: &Stage) -> Result<Vec<Ask>> {
    let words = vec![("$name", stage.name.clone()), ("$topic", stage.topic())];
    let mut config = Map::new();
    for (name, value) in [
        ("connector.class", "MongoSource"),
        ("connection.uri", &stage.uri()),
        ("database", &stage.name),
        ("collection", EVENTS),
    ] {
        config.insert(name.to_owned(), Value::from(value));
    }
    let setting = Setting { words, config };
    let (mut reads, mut changes) = (Vec::new(), Vec::new());
    for sequence in &sequences()? {
        for ask in of_standalone(sequence, &setting)? {
            let of_reads = ask.method == "GET" || ask.method == "HEAD";
            if of_reads { reads.push(ask) } else { changes.push(ask) }
        }
    }
    let mut random = Random::new(7);
    let draw = |_| {
        let of = if random.once_in(CHANGES) { &changes } else { &reads };
        let ask = random.one_of(of).clone();
        if random.once_in(4) { spoilt(ask, &mut random) } else { ask }
    };
    Ok((0..REQUESTS).map(draw).collect())
}

fn of_standalone(sequence: &Sequence, setting: &Setting) -> Result<Vec<Ask>> {
    let is_internal = |endpoint: &str| {
        ["POST /connectors/{}/tasks", "PUT /connectors/{}/fence"].contains(&endpoint)
    };
    let requests = sequence
        .requests()
        .filter(|request| request.at == Place::Leader && !is_internal(&request.endpoint()));
    requests.map(|request| sequence.ask(request, setting)).collect()
}

/// The same request with something about it that is wrong.
fn spoilt(mut ask: Ask, random: &mut Random) -> Ask {
    match random.below(4) {
        0 => ask.path = format!("{}%00/{}", ask.path, random.below(1_000)),
        1 => ask.path = ask.path.replace("connectors", "connector"),
        2 => ask.method = (*random.one_of(&["TRACE", "OPTIONS", "PATCH", "LOCK"])).to_owned(),
        _ if ask.body.is_empty() => ask.path.push_str("?expand=%zz&&=&includeTasks=maybe"),
        _ => {
            let cut = random.below(ask.body.len());
            ask.body = String::from_utf8_lossy(&ask.body.as_bytes()[..cut]).into_owned();
        }
    }
    ask
}

/// Whatever state the connector was left in, it is made anew, and replicates.
async fn goes_on(stage: &Stage, node: &mut NodeProcess, address: &str) -> Result<()> {
    node.ensure_alive()?;
    let path = format!("/connectors/{}", stage.name);
    Ask::new("DELETE", &path).of(address).await?;
    let config = json!({
        "connector.class": "MongoSource",
        "connection.uri": stage.uri(),
        "database": stage.name,
        "collection": "after",
    });
    Ask::new("PUT", &format!("{path}/config")).json(&config).of(address).await?.success()?;
    eventually("it runs again", async || {
        let status = Ask::get(&format!("{path}/tasks/0/status")).of(address).await?.json()?;
        Ok((status["state"] == "RUNNING").then_some(()))
    })
    .await?;
    stage.database().collection("after").insert_one(bson::doc! { "_id": 1 }).await?;
    let topic = format!("{}.after", stage.name);
    stage.records_of(&topic).await?.at_least(1, node).await.map(drop)
}
