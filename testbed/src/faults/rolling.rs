//! Rolling restarts: what an upgrade does to clients.
//!
//! ```text
//! secondary, secondary, step-down, the former primary       one is away at a time
//! broker 0, broker 1, broker 2
//! ```

use anyhow::Result;

use crate::{Kafka, Mongodb};

/// Stops and starts every member, the primary last and after it has stepped down.
pub(super) async fn restart_members(mongodb: &Mongodb) -> Result<()> {
    let primary = mongodb.primary().await?;
    for member in (0..mongodb.member_count()).filter(|member| *member != primary) {
        restart_member(mongodb, member).await?;
    }
    if mongodb.member_count() > 1 {
        mongodb.step_down_for(10).await?;
        mongodb.wait_ready().await?;
    }
    restart_member(mongodb, primary).await
}

async fn restart_member(mongodb: &Mongodb, member: usize) -> Result<()> {
    mongodb.stop(member).await?;
    mongodb.start(member).await?;
    // The next one goes only when a majority is there without it.
    mongodb.wait_ready().await
}

/// Stops and starts every broker.
pub(super) async fn restart_brokers(kafka: &Kafka) -> Result<()> {
    for broker in 0..kafka.broker_count() {
        kafka.stop_broker(broker).await?;
        kafka.start_broker(broker).await?;
    }
    kafka.wait_ready().await
}
