//! Writes a workload to MongoDB through the official driver.
//!
//! | how                 | sends                       | write concern | for                                    |
//! |---------------------|-----------------------------|---------------|----------------------------------------|
//! | [`write_backlog`]   | many operations per command | `w: 1`        | a backlog to drain, as fast as it goes |
//! | [`write_open_loop`] | one operation per command   | `w: majority` | latency, each at its intended time     |
//!
//! With `w: 1` a change stream sees an event only when the journal is flushed, every 100 ms; a latency taken there
//! would be the journal's. Collections come to be with their first insert; nothing is dropped here.

mod backlog;
mod open_loop;

use std::time::Duration;

use anyhow::{Context, Result};
use bson::{Timestamp, doc};
use mongodb::Client;
use mongodb::options::ClientOptions;

pub use backlog::write_backlog;
pub use open_loop::{Lateness, write_open_loop};

/// What was written, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Operations that the server acknowledged.
    pub operations: u64,
    /// BSON bytes of the documents of inserts and replaces and of the `$set` of updates.
    pub bytes: u64,
    /// From the first write (or its intended time) to the last acknowledgement.
    pub elapsed: Duration,
    /// A change stream that starts at this operation time sees every write and nothing older. One increment after the
    /// newest operation before the first write, so that the drop of an older collection is not seen.
    pub started_at_operation_time: Timestamp,
    /// As a run record names it.
    pub write_concern: &'static str,
    /// Operations that were sent again because the answer was lost or the primary stepped down.
    pub retries: u64,
}

/// A client with up to `connections` connections.
async fn connect(uri: &str, connections: u32) -> Result<Client> {
    let mut options = ClientOptions::parse(uri)
        .await
        .context("cannot read the connection string of MongoDB: check the URI")?;
    options.app_name.get_or_insert_with(|| "millrace-loadgen".to_owned());
    options.max_pool_size = Some(connections);
    // The default of two makes a burst of new connections trickle in.
    options.max_connecting = Some(connections.min(16));
    Client::with_options(options)
        .context("cannot use the connection string of MongoDB: check the URI")
}

/// The operation time right after all that happened so far.
async fn next_operation_time(client: &Client) -> Result<Timestamp> {
    let reply = client
        .database("admin")
        .run_command(doc! { "ping": 1 })
        .await
        .context("cannot reach the primary to write to: check that the replica set runs")?;
    let Timestamp { time, increment } = reply.get_timestamp("operationTime").context(
        "the server tells no operation time, so it is no replica set: initiate one with rs.initiate()",
    )?;
    Ok(Timestamp { time, increment: increment + 1 })
}
