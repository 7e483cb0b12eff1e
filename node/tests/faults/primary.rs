//! Step-downs, kills and restarts of the primary under load: the node waits, visibly, and goes on behind its position.

use anyhow::Result;

use super::harness::load::{self, Load, goes_on};
use super::harness::{NodeProcess, Stage};
use super::{stage, three_members};

const RATE_PER_S: f64 = 150.0;

/// One node process and a load, while MongoDB has its faults. Waiting for the node fails as soon as it has ended.
struct Run<'a> {
    stage: &'a Stage,
    node: NodeProcess,
    load: Load,
}

impl<'a> Run<'a> {
    async fn start(stage: &'a Stage, operations: u64) -> Result<Self> {
        let mut node = load::setup(stage)?.start_running().await?;
        let load = Load::start(stage, RATE_PER_S, operations);
        stage.records().await?.at_least(200, &mut node).await?;
        Ok(Self { stage, node, load })
    }

    /// Runs `fault` in the middle of the load and waits until the node goes on. Returns how often it was interrupted.
    async fn fault(
        &mut self,
        name: &str,
        fault: impl Future<Output = Result<()>>,
    ) -> Result<usize> {
        self.load.ensure_goes_on(name)?;
        let interruptions = |node: &NodeProcess| node.log().matches(" to go on").count();
        let before = interruptions(&self.node);
        fault.await?;
        eprintln!("{name}: done");
        goes_on(self.stage, &mut self.node, &format!("after_{name}")).await?;
        Ok(interruptions(&self.node) - before)
    }

    /// As [`Run::fault`], of a fault that cuts the stream: that must be said.
    async fn interruption(
        &mut self,
        name: &str,
        fault: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let interruptions = self.fault(name, fault).await?;
        assert!(0 < interruptions, "{name} is not in the log:\n{}", self.node.log());
        Ok(())
    }

    async fn judge(self) -> Result<()> {
        let report = self.load.judge(self.stage, self.node).await?;
        assert!(report.is_exact(), "{report}");
        Ok(())
    }
}

/// A server that steps down closes no cursor: the node reads on from the same member, now a secondary, until that goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elections_under_load_lose_and_repeat_nothing() -> Result<()> {
    let (stage, _turn) = three_members("election").await?;
    let mongodb = stage.testbed.mongodb();
    let mut run = Run::start(&stage, 4_000).await?;
    let killed = mongodb.primary().await?;
    run.interruption("kill", async {
        mongodb.kill(killed)?;
        assert_ne!(mongodb.primary().await?, killed);
        Ok(())
    })
    .await?;
    mongodb.start(killed).await?;

    let stepped_down = mongodb.primary().await?;
    run.fault("step_down", async {
        mongodb.step_down().await?;
        assert_ne!(mongodb.primary().await?, stepped_down);
        Ok(())
    })
    .await?;
    run.interruption("stop", mongodb.stop(stepped_down)).await?;
    mongodb.start(stepped_down).await?;
    run.judge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_of_the_only_member_under_load_lose_and_repeat_nothing() -> Result<()> {
    let (stage, _turn) = stage("primary").await?;
    let mongodb = stage.testbed.mongodb();
    let mut run = Run::start(&stage, 2_400).await?;
    run.interruption("stop", async {
        mongodb.stop(0).await?;
        mongodb.start(0).await
    })
    .await?;
    run.interruption("kill", async {
        mongodb.kill(0)?;
        mongodb.start(0).await
    })
    .await?;
    run.judge().await
}
