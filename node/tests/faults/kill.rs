//! `kill -9` of the node under load.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::harness::load::{self, Load, stored_behind};
use super::harness::window::{Kill, judge_windows};
use super::harness::{NodeProcess, Records, Setup, Stage, eventually, offsets};
use super::stage;
use super::unread::{port_of, unread_bytes};

const KILLS: usize = 20;
/// Every third kill comes while the broker is stopped and requests lie unread in its sockets.
const IN_FLIGHT_EVERY: usize = 3;
const RATE_PER_S: f64 = 250.0;
/// What a kill takes beside the start of a node: new acknowledgements, the pause, the end of the topic.
const ROUND: Duration = Duration::from_millis(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_20_times_under_load_loses_nothing_and_repeats_only_what_was_not_stored()
-> Result<()> {
    let (stage, _turn) = stage("kill").await?;
    let setup = load::setup(&stage)?;
    let started = Instant::now();
    let mut node = setup.start_running().await?;
    let round = started.elapsed() + ROUND;
    // Half as long again as the kills should take.
    let operations = KILLS as f64 * round.as_secs_f64() * 1.5 * RATE_PER_S;
    eprintln!("a node takes {:?} to start: {operations:.0} operations", started.elapsed());
    let load = Load::start(&stage, RATE_PER_S, operations as u64);
    let records = stage.records().await?;
    records.at_least(50, &mut node).await?;

    let mut kills: Vec<Kill> = Vec::new();
    for number in 1..=KILLS {
        let newest = match kills.last() {
            Some(kill) => kill.newest.clone(),
            None => offsets::token(&setup.offsets())?.context("an opening position")?,
        };
        stored_behind(&newest, &setup, &mut node).await?;
        load.ensure_goes_on(&format!("kill {number}"))?;
        let how = kill(number, &stage, node).await?;
        let kill = look(&setup, &records).await?;
        eprintln!("kill {number} {how}: {} records, {} stored", kill.end, kill.stored);
        kills.push(kill);
        node = setup.start_running().await?;
    }
    let report = load.judge(&stage, node).await?;
    assert!(report.is_at_least_once(), "{report}");

    let all = records.all().await?;
    let tokens: Vec<_> = all.iter().map(|record| record.token()).collect::<Result<_>>()?;
    let repeats = judge_windows(&tokens, &kills)?;
    eprintln!("{} records, {repeats} of them repeats of what was not stored", tokens.len());
    assert_eq!(repeats as u64, report.verdict.duplicated);
    Ok(())
}

/// Kills the node, some times with requests in flight. Returns how it went.
async fn kill(number: usize, stage: &Stage, node: NodeProcess) -> Result<String> {
    // Another place in the life of a batch and of a stored position each time.
    let jitter = Duration::from_millis(number as u64 * 37 % 110);
    if !number.is_multiple_of(IN_FLIGHT_EVERY) {
        tokio::time::sleep(jitter).await;
        node.kill()?;
        return Ok(format!("after {jitter:?}"));
    }
    let kafka = stage.testbed.kafka();
    let port = port_of(&stage.bootstrap())?;
    kafka.pause()?;
    let killed = async {
        tokio::time::sleep(Duration::from_millis(150) + jitter).await;
        let unread = eventually("requests in the sockets of the stopped broker", async || {
            Ok(Some(unread_bytes(node.pid(), port)?).filter(|&unread| 0 < unread))
        });
        let unread = unread.await?;
        node.kill()?;
        Ok(format!("with {unread} bytes in flight"))
    };
    let killed = killed.await;
    kafka.resume()?;
    killed
}

/// What is stored and what has arrived, now that the node is dead.
async fn look(setup: &Setup, records: &Records) -> Result<Kill> {
    let stored = offsets::token(&setup.offsets())?.context("a stored position")?;
    // What was in flight is appended when the broker gets to it.
    let end = records.settled().await? as usize;
    let all = records.all().await?;
    let tokens: Vec<_> = all.iter().map(|record| record.token()).collect::<Result<_>>()?;
    let newest = tokens.iter().max().context("an empty topic")?;
    Ok(Kill { stored, newest: (*newest).to_owned(), end })
}
