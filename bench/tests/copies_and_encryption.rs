//! The scenarios `snapshot` and `tls` on real servers, small: what arms copy or send encrypted is exactly what was
//! written, and an arm that cannot take part is in the record with its reason.

use anyhow::{Context, Result};
use millrace_bench::arm::{Format, Trust, own_binary};
use millrace_bench::backlog::Backlog;
use millrace_bench::progress::Progress;
use millrace_bench::rival::{Contender, Rival};
use millrace_bench::run::{self, Run};
use millrace_bench::scenario::{Arm, Entry, Scenario};
use millrace_loadgen::stop::Stop;
use millrace_results::record::{ArmRecord, RunRecord};
use millrace_testbed::{Servers, Testbed};

const EVENTS: u64 = 3_000;

/// A scenario of the rig's own, so small that it only shows that it works.
fn small(name: &str, arms: &[&str]) -> Result<Scenario> {
    let mut all = Scenario::all()?.into_iter();
    let mut scenario = all.find(|scenario| scenario.name == name).context("no such scenario")?;
    let arms = arms.iter().map(|arm| arm.parse::<Entry>().map_err(anyhow::Error::msg));
    scenario.arms = arms.collect::<Result<_>>()?;
    (scenario.rounds, scenario.warm_up_rounds) = (1, 0);
    scenario.resize(Some(EVENTS), None)?;
    Ok(scenario)
}

async fn run(scenario: Scenario) -> Result<RunRecord> {
    let (binary, stop) = (own_binary()?, Stop::new());
    let run = Run { scenario, servers: Servers::Native, binary, base: None, stop };
    run::run(&run, Progress::hidden()).await
}

fn arm<'a>(record: &'a RunRecord, name: &str) -> Result<&'a ArmRecord> {
    let found = record.arms.iter().find(|arm| arm.name == name);
    found.with_context(|| format!("{name} is not in the record"))
}

fn assert_exact(record: &RunRecord, name: &str) -> Result<()> {
    let arm = arm(record, name)?;
    assert!(arm.valid && arm.faults.is_none(), "{name}: {:?} {:?}", arm.invalid_reason, arm.faults);
    assert_eq!(arm.events, EVENTS, "{name}");
    Ok(())
}

fn assert_unsupported(record: &RunRecord, name: &str, reason: &str) -> Result<()> {
    let arm = arm(record, name)?;
    let lack = arm.unsupported.as_deref().unwrap_or("supported");
    assert!(!arm.valid && arm.rounds.is_empty() && lack.contains(reason), "{name}: {lack}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_a_collection_is_copied_once_by_every_arm_that_can() -> Result<()> {
    let arms = ["null-reader", "connector-tuned", "debezium", "node-reader", "null-path"];
    let record = run(small("snapshot", &arms)?).await?;
    assert_exact(&record, "connector-tuned")?;
    assert_exact(&record, "debezium")?;
    let wall = arm(&record, "null-reader")?;
    assert!(EVENTS <= wall.rounds[0].events && wall.faults.is_none(), "{wall:?}");
    assert_unsupported(&record, "node-reader", "one change stream")?;
    assert_unsupported(&record, "null-path", "one change stream")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_over_encrypted_connections_is_all_there() -> Result<()> {
    let arms = ["connector-tuned", "straight-line", "null-path"];
    let record = run(small("tls", &arms)?).await?;
    assert_exact(&record, "connector-tuned")?;
    assert_unsupported(&record, "straight-line", "OpenSSL")?;
    assert_unsupported(&record, "null-path", "in the clear")
}

/// A connector that trusts somebody else does not run: so whoever runs has looked at the certificates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arm_that_trusts_another_authority_reads_nothing() -> Result<()> {
    let scenario = small("tls", &[Arm::ConnectorTuned.name()])?;
    let testbed = Testbed::up(scenario.plan(), Servers::Native).await?;
    let kafka = testbed.kafka().certificates().context("the plan encrypts")?;
    let workload = scenario.backlog()?.workload;
    let backlog = Backlog::write(&testbed, workload, Progress::hidden()).await?;
    let plan = backlog.encrypt(backlog.node_plan(&own_binary()?, Format::Json, "wrong")?)?;
    let trust = plan.trust.clone().context("it encrypts")?;
    let trust = Some(Trust { mongodb: kafka.truststore().await?, ..trust });
    let plan = millrace_bench::arm::NodePlan { trust, ..plan };
    let started = Contender::start(Some(Rival::ConnectorTuned), &plan).await;
    started.err().context("it runs though it trusts nobody here")?;
    Ok(())
}
