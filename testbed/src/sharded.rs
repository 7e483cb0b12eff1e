//! Sharded deployments: reached at the address of a mongos, never started here.
//!
//! ```text
//! MILLRACE_MONGODB_URI ──► mongos ──► shard, shard, …        facts: how many shards
//! ```
//!
//! A sharded deployment needs the program mongos. No package that servers are fetched from carries
//! it, so there is none to start.

use anyhow::{Context as _, Result, bail};
use bson::{Document, doc};
use mongodb::Database;

/// What a mongos says of itself in `hello`.
const MONGOS: &str = "isdbgrid";

/// How many shards stand behind an address; `None` if it is no mongos.
///
/// # Errors
/// When a mongos does not list its shards: the user may lack the right `listShards`.
pub(crate) async fn count_shards(admin: &Database, hello: &Document) -> Result<Option<usize>> {
    if hello.get_str("msg").ok() != Some(MONGOS) {
        return Ok(None);
    }
    let listed = admin.run_command(doc! { "listShards": 1 }).await;
    let listed = listed.context("ask mongos for its shards")?;
    Ok(Some(listed.get_array("shards").context("read the list of shards")?.len()))
}

/// Refuses to start what cannot be had.
///
/// # Errors
/// Always: what is missing, and what to do instead.
pub(crate) fn refuse_to_start() -> Result<()> {
    bail!(
        "start a sharded deployment: that needs the program mongos, which none of the packages that \
         servers are fetched from carries; set MILLRACE_MONGODB_URI to the address of a mongos that \
         runs, and use --servers external"
    )
}
