//! Whether somebody's change stream is open: asked of mongod, because nobody else knows.
//!
//! ```text
//! OpenStreams::note ── cursors that are open before ──► the arm starts ──► wait_for_stream ── one more cursor ──► go
//!                                                          │
//!                                                          └─ "RUNNING": Connect polls the task, no more than that
//! ```
//!
//! A live run must not write before the arm listens: an arm that starts at "now" would miss those events, and the wait
//! of those that it catches up with would count as its latency. A connector that is RUNNING in Kafka Connect may still
//! be seconds from its first `aggregate`.
//!
//! Cursors are told apart by their id. A reader that has none between two requests, or that opens its stream again
//! after an error, has a new id each time; a cursor that was open before and is still open never counts.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::Client;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The change streams that were open at a moment.
#[derive(Clone, Debug)]
pub struct OpenStreams {
    client: Client,
    cursors: HashSet<i64>,
}

impl OpenStreams {
    /// Notes which are open now. To be called before the reader is started that is to be waited for.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn note(client: &Client) -> Result<Self> {
        Ok(Self { client: client.clone(), cursors: open_cursors(client).await? })
    }

    /// Waits until a change stream is open that was not.
    ///
    /// # Errors
    /// When there is none within `timeout`; when the server does not tell.
    pub async fn wait_for_stream(&self, timeout: Duration) -> Result<()> {
        let asked = Instant::now();
        loop {
            let open = open_cursors(&self.client).await?;
            if open.difference(&self.cursors).next().is_some() {
                return Ok(());
            }
            if timeout < asked.elapsed() {
                bail!(
                    "no change stream was opened within {timeout:?}: mongod has {} of them, as before; see whether the \
                     reader runs and reads this deployment",
                    open.len()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// The ids of all cursors of change streams, idle between two requests or waiting in one.
async fn open_cursors(client: &Client) -> Result<HashSet<i64>> {
    let pipeline = [
        doc! { "$currentOp": { "idleCursors": true, "allUsers": true } },
        doc! { "$match": { "cursor.originatingCommand.pipeline.0.$changeStream": { "$exists": true } } },
        doc! { "$project": { "cursor": "$cursor.cursorId" } },
    ];
    let found = client.database("admin").aggregate(pipeline).await;
    let found: Vec<Document> = found
        .context("could not ask mongod for its open cursors ($currentOp)")?
        .try_collect()
        .await
        .context("could not read mongod's open cursors")?;
    found.iter().map(|op| op.get_i64("cursor").context("a cursor has no id")).collect()
}
