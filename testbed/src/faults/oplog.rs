//! An oplog that is rolled over: what it held is overwritten, and resume tokens of then are lost.
//!
//! Notes are written instead of documents: they fill the oplog, touch no collection, and no change
//! stream shows them. The server removes old entries when the cap is passed, from a thread of its
//! own, a tenth of the oplog at a time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};
use mongodb::Client;

use crate::{Mongodb, replica_set::direct_client};

/// The size of one note.
const NOTE_BYTES: usize = 4 << 20;
/// A larger oplog takes minutes and the disk's room.
const OPLOG_MB_MAX: u32 = 2_048;
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(180);

/// Writes until the newest entry of now is the oldest or gone.
pub(super) async fn roll_over(mongodb: &Mongodb) -> Result<()> {
    let oplog_mb = mongodb.facts().oplog_mb.context("there is no oplog, or it is not ours")?;
    ensure!(
        oplog_mb <= OPLOG_MB_MAX,
        "roll over an oplog of {oplog_mb} MiB: that takes too long; plan one of {OPLOG_MB_MAX} or \
         less with `oplog_mb`"
    );
    let (address, access) = mongodb.primary_address().await?;
    let client = direct_client(&address, &access)?;
    let newest = entry(&client, -1).await?;
    let data = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![0; NOTE_BYTES] });
    let deadline = Instant::now() + LIMIT;
    while entry(&client, 1).await? <= newest {
        if Instant::now() > deadline {
            bail!("the oplog of {oplog_mb} MiB still holds what it held {LIMIT:?} ago");
        }
        let note = doc! { "appendOplogNote": 1, "data": { "filler": &data } };
        client.database("admin").run_command(note).await.context("write a note to the oplog")?;
    }
    Ok(())
}

/// The time of the oldest entry (`order` 1) or the newest (-1).
async fn entry(client: &Client, order: i32) -> Result<Timestamp> {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let found = oplog
        .find_one(doc! {})
        .sort(doc! { "$natural": order })
        .projection(doc! { "ts": 1 })
        .await
        .context("read the oplog")?;
    let entry = found.context("the oplog is empty")?;
    entry.get_timestamp("ts").context("an entry without a time")
}
