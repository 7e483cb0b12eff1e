//! What can be made to go wrong, each with its undo: the steps that a scenario takes.
//!
//! ```text
//!               done to              what a client sees                        undo
//! kill          member, broker       connections refused                       start again, wait
//! pause         member, broker       nothing is answered, nothing is closed    SIGCONT
//! slow          member, broker       answers, late: it runs a share of time    SIGCONT
//! step-down     primary              another primary, or none for a while      wait for one
//! election      a secondary          it is made to stand, and wins             -
//! rolling       all of one kind      one after the other is away               -
//! oplog         replica set          resume tokens of before are lost          -
//! disk-full     member, broker       writes fail, or the server ends           free, start anew
//! delay …       through its proxy    what the name says                        a good network
//! ```
//!
//! A scenario names a fault and its target in TOML: `{ fault = "delay", target = "broker-0",
//! to_server_ms = 20, to_client_ms = 0 }`. Faults take `&Testbed`, so that they come beside a load.

mod duty_cycle;
mod oplog;
mod rolling;
mod target;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use self::duty_cycle::DutyCycle;
pub use self::target::{Target, UnknownTarget};
use crate::{
    Testbed,
    proxy::{Conditions, Flow, Gate, Proxy},
};

/// One thing to go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// SIGKILL.
    Kill {
        /// The server.
        target: Target,
    },
    /// SIGSTOP.
    Pause {
        /// The server.
        target: Target,
    },
    /// SIGSTOP and SIGCONT in turn, so that the server runs a share of the time only.
    Slow {
        /// The server.
        target: Target,
        /// The share of time in which it runs, 1 to 99.
        running_percent: u8,
    },
    /// The primary steps down and does not stand again for that long.
    StepDown {
        /// For how long, in seconds.
        for_s: u32,
    },
    /// A secondary calls an election and wins it.
    Election,
    /// All members are stopped and started, one after the other, the primary last.
    RollingRestartMongodb,
    /// All brokers are stopped and started, one after the other.
    RollingRestartKafka,
    /// Writes until what is in the oplog now is in it no more. Takes a plan with a small oplog.
    OplogRollOver,
    /// The server's data disk is full. Takes a plan with `disk_mb`.
    DiskFull {
        /// The server.
        target: Target,
    },
    /// Bytes arrive later. Takes a plan with `proxied`, as all that follow.
    Delay {
        /// The server.
        target: Target,
        /// How much later what clients send, in milliseconds.
        to_server_ms: u32,
        /// How much later what the server sends, in milliseconds.
        to_client_ms: u32,
    },
    /// Each connection passes on so much and no more, in both directions.
    Throttle {
        /// The server.
        target: Target,
        /// The most, in bytes per second.
        bytes_per_s: u64,
    },
    /// Nothing passes in either direction, and nothing is lost.
    Stall {
        /// The server.
        target: Target,
    },
    /// All connections end with RST; new ones are accepted.
    Reset {
        /// The server.
        target: Target,
    },
    /// Connections are accepted and stay open, and all that is sent is lost.
    HalfOpen {
        /// The server.
        target: Target,
    },
}

/// A fault that was done; undo it, or it stays until the servers end.
#[derive(Debug)]
#[must_use = "a fault stays until it is undone"]
pub struct Injected {
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    Nothing,
    Start(Target),
    Resume(Target),
    EndCycle(DutyCycle),
    WaitForPrimary,
    FreeDisk(Target),
    GoodNetwork(Target),
}

impl Testbed {
    /// Does `fault`. Returns when it holds; one that is over by itself (an election, a rolling
    /// restart, an oplog that was rolled over) when it is over.
    ///
    /// # Errors
    /// When the servers are not ours, are not in the state that the fault needs, or the plan left out
    /// what it needs.
    pub async fn inject(&self, fault: &Fault) -> Result<Injected> {
        let undo = self.inject_fault(fault).await.with_context(|| format!("inject {fault:?}"))?;
        Ok(Injected { undo })
    }

    async fn inject_fault(&self, fault: &Fault) -> Result<Undo> {
        match fault {
            Fault::Kill { target } => {
                let target = target.resolve(self).await?;
                target.server(self)?.kill()?;
                Ok(Undo::Start(target))
            }
            Fault::Pause { target } => {
                let target = target.resolve(self).await?;
                target.server(self)?.pause()?;
                Ok(Undo::Resume(target))
            }
            Fault::Slow { target, running_percent } => {
                let target = target.resolve(self).await?;
                let pid = target.server(self)?.pid()?;
                Ok(Undo::EndCycle(DutyCycle::start(pid, *running_percent)?))
            }
            Fault::StepDown { for_s } => {
                self.mongodb().step_down_for(*for_s).await?;
                Ok(Undo::WaitForPrimary)
            }
            Fault::Election => {
                self.mongodb().elect_another().await?;
                Ok(Undo::Nothing)
            }
            Fault::RollingRestartMongodb => {
                rolling::restart_members(self.mongodb()).await?;
                Ok(Undo::Nothing)
            }
            Fault::RollingRestartKafka => {
                rolling::restart_brokers(self.kafka()).await?;
                Ok(Undo::Nothing)
            }
            Fault::OplogRollOver => {
                oplog::roll_over(self.mongodb()).await?;
                Ok(Undo::Nothing)
            }
            Fault::DiskFull { target } => {
                let target = target.resolve(self).await?;
                target.disk(self)?.fill()?;
                Ok(Undo::FreeDisk(target))
            }
            Fault::Delay { target, to_server_ms, to_client_ms } => {
                let flow =
                    |ms: u32| Flow { delay: Duration::from_millis(ms.into()), ..Flow::default() };
                let (to_server, to_client) = (flow(*to_server_ms), flow(*to_client_ms));
                self.worsen(target, Conditions { to_server, to_client }).await
            }
            Fault::Throttle { target, bytes_per_s } => {
                let flow = Flow { bytes_per_s: Some(*bytes_per_s), ..Flow::default() };
                self.worsen(target, Conditions::both(flow)).await
            }
            Fault::Stall { target } => {
                let flow = Flow { gate: Gate::Stalled, ..Flow::default() };
                self.worsen(target, Conditions::both(flow)).await
            }
            Fault::HalfOpen { target } => {
                let flow = Flow { gate: Gate::Swallowing, ..Flow::default() };
                self.worsen(target, Conditions::both(flow)).await
            }
            Fault::Reset { target } => {
                let target = target.resolve(self).await?;
                target.proxy(self)?.reset();
                Ok(Undo::Nothing)
            }
        }
    }

    async fn worsen(&self, target: &Target, conditions: Conditions) -> Result<Undo> {
        let target = target.resolve(self).await?;
        let proxy: &Proxy = target.proxy(self)?;
        ensure!(
            proxy.conditions() == Conditions::default(),
            "the network of {target} is bad already; undo that first"
        );
        proxy.set(conditions)?;
        Ok(Undo::GoodNetwork(target))
    }
}

impl Injected {
    /// Undoes it, and waits until what was hit serves again.
    ///
    /// # Errors
    /// When it does not, with the end of its log.
    pub async fn undo(self, testbed: &Testbed) -> Result<()> {
        match self.undo {
            Undo::Nothing => Ok(()),
            Undo::Start(target) => target.start(testbed).await,
            Undo::Resume(target) => target.server(testbed)?.resume(),
            Undo::EndCycle(cycle) => cycle.end(),
            Undo::WaitForPrimary => testbed.mongodb().wait_ready().await,
            Undo::FreeDisk(target) => {
                target.disk(testbed)?.free()?;
                let server = target.server(testbed)?;
                // One that still runs may have failed a write and be about to end.
                if server.is_running() {
                    server.kill()?;
                }
                target.start(testbed).await
            }
            Undo::GoodNetwork(target) => target.proxy(testbed)?.set(Conditions::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_read_as_a_scenario_writes_it() {
        let text =
            r#"{"fault": "delay", "target": "broker-1", "to_server_ms": 20, "to_client_ms": 0}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let target = Target::Broker(1);
        assert_eq!(fault, Fault::Delay { target, to_server_ms: 20, to_client_ms: 0 });
        let text = r#"{"fault": "kill", "target": "primary"}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault, Fault::Kill { target: Target::Primary });
        for wrong in [
            r#"{"fault": "kill"}"#,
            r#"{"fault": "kill", "target": "node"}"#,
            r#"{"fault": "melt", "target": "primary"}"#,
            r#"{"fault": "throttle", "target": "primary", "bytes_per_s": 5, "to": 1}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(wrong).is_err(), "{wrong}");
        }
    }
}
