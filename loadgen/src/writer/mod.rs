//! Writes a workload to MongoDB through the official driver.
//!
//! | how          | sends                       | write concern | for                                    |
//! |--------------|-----------------------------|---------------|----------------------------------------|
//! | [`Backlog`]  | many operations per command | `w: 1`        | a backlog to drain, as fast as it goes |
//! | [`OpenLoop`] | one operation per command   | `w: majority` | latency, each at its intended time     |
//!
//! The write concerns are defaults. With `w: 1` a change stream sees an event only when the journal is flushed, every
//! 100 ms; a latency taken there would be the journal's. Collections come to be with their first insert, before the
//! load where it has transactions (in these they would be made under a lock that others wait for); nothing is dropped
//! here.

mod backlog;
mod lane;
mod open_loop;
mod prepared;
mod write_concern;

use std::time::Duration;

use anyhow::{Context, Result};
use bson::{Timestamp, doc};
use mongodb::Client;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::ClientOptions;

use crate::workload::Workload;
pub use backlog::{Backlog, write_backlog};
pub use lane::{ConnectionReport, WriteTimes};
pub use open_loop::{CONNECTIONS, OpenLoop, OpenLoopReport, write_open_loop};
pub use write_concern::{Acknowledgement, WriteConcern};

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
    /// How each of them was acknowledged.
    pub write_concern: WriteConcern,
    /// Attempts after the first, because the answer was lost or the primary stepped down.
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

/// Makes the collections of a workload that has transactions; those that are there already are left alone.
async fn prepare_collections(client: &Client, workload: &Workload) -> Result<()> {
    const NAMESPACE_EXISTS: i32 = 48;
    if !workload.mix.transactions.are_used() {
        return Ok(());
    }
    let database = client.database(&workload.database);
    let exists = |error: &Error| {
        let kind = error.kind.as_ref();
        matches!(kind, ErrorKind::Command(fault) if fault.code == NAMESPACE_EXISTS)
    };
    for name in workload.collections.names() {
        match database.create_collection(&*name).await {
            Ok(()) => {}
            Err(error) if exists(&error) => {}
            Err(error) => {
                let database = &workload.database;
                return Err(error).with_context(|| format!("cannot create {database}.{name}"));
            }
        }
    }
    Ok(())
}

/// The operation time right after all that happened so far: a change stream that starts there sees nothing older.
pub async fn next_operation_time(client: &Client) -> Result<Timestamp> {
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
