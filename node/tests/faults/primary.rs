//! Step-downs, kills and restarts of the primary under load: the node waits, visibly, and goes on behind its position.

use anyhow::Result;

use super::harness::load::{self, Load, goes_on};
use super::harness::{NodeProcess, Stage};
use super::{stage, three_members};

const RATE_PER_S: f64 = 150.0;

/// A node and a load, while MongoDB has its faults.
struct Run<'a> {
    stage: &'a Stage,
    node: NodeProcess,
    load: Load,
    pid: u32,
}

impl<'a> Run<'a> {
    async fn start(stage: &'a Stage, operations: u64) -> Result<Self> {
        let mut node = load::setup(stage)?.start_running().await?;
        let (pid, load) = (node.pid(), Load::start(stage, RATE_PER_S, operations));
        stage.records().await?.at_least(200, &mut node).await?;
        Ok(Self { stage, node, load, pid })
    }

    /// Runs `fault` in the middle of the load and waits until the node goes on.
    async fn fault(&mut self, name: &str, fault: impl Future<Output = Result<()>>) -> Result<()> {
        self.load.ensure_goes_on(name)?;
        let interruptions = |node: &NodeProcess| node.log().matches(" to go on").count();
        let before = interruptions(&self.node);
        fault.await?;
        eprintln!("{name}: done");
        goes_on(self.stage, &mut self.node, &format!("after_{name}")).await?;
        let log = self.node.log();
        assert!(before < interruptions(&self.node), "{name} is not in the log:\n{log}");
        Ok(())
    }

    async fn judge(self) -> Result<()> {
        assert_eq!(self.node.pid(), self.pid);
        let report = self.load.judge(self.stage, self.node).await?;
        assert!(report.is_exact(), "{report}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_down_and_a_killed_primary_under_load_lose_and_repeat_nothing() -> Result<()> {
    let (stage, _turn) = three_members("election").await?;
    let mongodb = stage.testbed.mongodb();
    let mut run = Run::start(&stage, 3_000).await?;
    run.fault("step_down", async {
        let before = mongodb.primary().await?;
        mongodb.step_down().await?;
        assert_ne!(mongodb.primary().await?, before);
        Ok(())
    })
    .await?;
    let killed = mongodb.primary().await?;
    run.fault("kill", async {
        mongodb.kill(killed)?;
        assert_ne!(mongodb.primary().await?, killed);
        Ok(())
    })
    .await?;
    mongodb.start(killed).await?;
    run.judge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_of_the_only_member_under_load_lose_and_repeat_nothing() -> Result<()> {
    let (stage, _turn) = stage("primary").await?;
    let mongodb = stage.testbed.mongodb();
    let mut run = Run::start(&stage, 2_400).await?;
    run.fault("stop", async {
        mongodb.stop(0).await?;
        mongodb.start(0).await
    })
    .await?;
    run.fault("kill", async {
        mongodb.kill(0)?;
        mongodb.start(0).await
    })
    .await?;
    run.judge().await
}
