//! A replica set whose oplog has rolled over: what each policy for a lost position does, says and stores.
//!
//! ```text
//!  documents   0 1 │ 2 3            │ 4 5 │ 6
//!              read, node stopped   │     │ inserted while the node runs
//!                    └ overwritten ─┘     └ the oplog holds 4 and 5 when the node starts
//! ```

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use millrace_testbed::faults::Fault;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, Testbed};

use super::harness::servers::Shared;
use super::harness::{Setup, Stage, eventually, offsets};

const POLICY: &str = "resume.policy.lost.position";

/// Servers of this file alone: a roll-over is one for everybody.
async fn servers() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    let plan = || {
        Plan::default()
            .mongodb(MongodbPlan::default().cache_gb(0.25).oplog_mb(16))
            .kafka(KafkaPlan::default().heap_mb(512))
    };
    SHARED.get(Servers::Auto, plan).await
}

struct Case {
    stage: Stage,
    setup: Setup,
}

impl Case {
    /// A node that has read two documents and is stopped; `policy` is what it is to do later.
    async fn replicated(testbed: Arc<Testbed>, policy: &str) -> Result<Self> {
        let stage = Stage::new(testbed, policy).await?;
        let setup = stage.worker()?.connector(stage.connector().set(POLICY, policy));
        let mut node = setup.start_running().await?;
        stage.insert([0, 1]).await?;
        stage.records().await?.at_least(2, &mut node).await?;
        node.stop().await?;
        stage.insert([2, 3]).await?;
        Ok(Self { stage, setup })
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let records = self.stage.records().await?.all().await?;
        Ok(records.iter().map(|record| record.key_text().to_owned()).collect())
    }

    fn stored(&self) -> Result<String> {
        let stored = offsets::read(&self.setup.offsets())?;
        ensure!(stored.len() == 1, "one position was expected: {stored:?}");
        stored.into_values().next().context("a position")
    }

    /// The node goes on, says what it skipped and sends `ids` behind what it had sent, and 6 among them.
    async fn goes_on(&self, policy: &str, ids: &[i32]) -> Result<()> {
        let mut node = self.setup.start_running().await?;
        let said = node.logged(&format!("{POLICY}={policy}: from cluster time")).await?;
        assert!(said.contains("WARN"), "{said}");
        assert!(said.contains("ago; the oplog begins at"), "{said}");
        let want = 2 + ids.len() as u64;
        // A document that is inserted while others are copied may be copied, too, and come twice.
        self.stage.records().await?.at_least(want - 1, &mut node).await?;
        self.stage.insert([6]).await?;
        self.stage.records().await?.at_least(want, &mut node).await?;
        let keys: Vec<_> =
            [0, 1].iter().chain(ids).map(|id| format!(r#"{{"_id": {id}}}"#)).collect();
        let mut found = self.keys().await?;
        if policy == "copy" {
            // Copied documents come in any order, before the stream.
            found[2..].sort();
        }
        assert_eq!(found, keys, "{policy}");
        // What is stored later still says so, and after a restart too.
        let gap = format!(" {policy}\"");
        let of_six = eventually("the position behind the last event", async || {
            let stored = self.stored()?;
            Ok((stored.contains(&gap) && !stored.contains("copyingData")).then_some(stored))
        })
        .await?;
        node.stop().await?;
        let (_, gaps) = of_six.split_once(r#""millrace.gaps":""#).context("a record of gaps")?;
        let (from, to) =
            gaps.split_once(' ').and_then(|(times, _)| times.split_once("..")).context("times")?;
        ensure!(from.parse::<u32>()? <= to.parse::<u32>()?, "{gaps}");
        let mut node = self.setup.start_running().await?;
        self.stage.insert([8]).await?;
        self.stage.records().await?.at_least(want + 1, &mut node).await?;
        let log = node.stop().await?;
        assert!(!log.contains(POLICY), "nothing is lost any more:\n{log}");
        assert!(self.stored()?.contains(gaps.trim_end_matches('}')), "{} {gaps}", self.stored()?);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_the_oplog_has_passed_is_lost_as_the_policy_says() -> Result<()> {
    let testbed = servers().await?;
    let case = |policy| Case::replicated(Arc::clone(&testbed), policy);
    let (fail, oldest) = (case("fail").await?, case("oldest").await?);
    let (now, copy) = (case("now").await?, case("copy").await?);
    testbed.inject(&Fault::OplogRollOver).await?.undo(&testbed).await?;
    for case in [&fail, &oldest, &now, &copy] {
        case.stage.insert([4, 5]).await?;
    }

    let before = fail.stored()?;
    let log = fail.setup.fails(1).await?;
    for part in ["ago; the oplog begins at", "the gap is at least", "nothing was skipped", POLICY] {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert_eq!(fail.stored()?, before, "the stored offset was changed");
    assert_eq!(fail.keys().await?.len(), 2, "records in the topic");

    oldest.goes_on("oldest", &[4, 5, 6]).await?;
    now.goes_on("now", &[6]).await?;
    copy.goes_on("copy", &[0, 1, 2, 3, 4, 5, 6]).await
}
