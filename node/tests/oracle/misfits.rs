//! A document that its schema does not fit, where there is no topic for dead letters.
//!
//! ```text
//! written              1 fits    2 does not    3 fits
//! tolerance none       ■ ■       both tasks end and name the document
//! tolerance all        ■ ■       Java drops it ■       the node's task ends: an intended difference
//! ```
//!
//! With a topic for dead letters nothing ends: that is among the cases, and in every run of `bench run oracle`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::doc;

use crate::case::{Case, Lane, Write};
use crate::harness::records::Record;
use crate::harness::{Records, eventually};
use crate::pair::{Pair, Side};
use crate::servers;

const SCHEMA: &str = r#"{"type": "record", "name": "Strict", "fields": [
    {"name": "_id", "type": "int"}, {"name": "fits", "type": "boolean"}]}"#;
/// What both say of the second document.
const REASON: &str = "Missing field 'fits' in: ";
const NOTHING: Write = |_| Box::pin(async { Ok(()) });

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misfit_ends_both_tasks_and_with_tolerance_only_the_one_that_may_not_drop_it()
-> Result<()> {
    let testbed = servers().await?;
    let (client, uri) = (testbed.mongodb().client().await?, testbed.mongodb().uri());
    let folder = tempfile::tempdir()?;
    let (none, all) = (case("misfit_none"), case("misfit_all").set("errors.tolerance", "all"));
    let side = |runner: &str, lane: Lane| Side {
        connectors: [&none, &all]
            .map(|case| (case.name.clone(), file(case, lane, &uri, runner)))
            .into(),
        offsets: folder.path().join(format!("{runner}.offsets")),
    };
    let mut pair =
        Pair::start(&testbed, &side("java", Lane::Java), &side("node", Lane::Node)).await?;
    let insert = async |document: bson::Document| -> Result<()> {
        for case in [&none, &all] {
            case.place(&client, &uri).events().insert_one(document.clone()).await?;
        }
        Ok(())
    };
    let topics = Topics { bootstrap: testbed.kafka().bootstrap() };

    insert(doc! { "_id": 1, "fits": true }).await?;
    for (case, lane) in
        [(&none, Lane::Java), (&none, Lane::Node), (&all, Lane::Java), (&all, Lane::Node)]
    {
        topics.holds(case, lane, 1).await?;
    }
    insert(doc! { "_id": 2 }).await?;
    insert(doc! { "_id": 3, "fits": true }).await?;
    let of_node = pair.node.logged("connector misfit_none failed").await?;
    pair.node.logged("connector misfit_all failed").await?;
    let of_java = eventually("Java's task fails", async || {
        Ok(pair.worker.ensure_running(&none.name).await.err().map(|error| format!("{error:#}")))
    });
    let of_java = of_java.await?;
    for text in [&of_java, &of_node] {
        ensure!(text.contains(REASON), "{text}");
    }
    topics.holds(&all, Lane::Java, 2).await?;
    pair.worker.ensure_running(&all.name).await.context("Java tolerates")?;

    let of = |case, lane| topics.all(case, lane);
    ensure!(
        same(&of(&none, Lane::Java).await?, &of(&none, Lane::Node).await?),
        "records before the misfit"
    );
    let (java, node) = (of(&all, Lane::Java).await?, of(&all, Lane::Node).await?);
    ensure!(java.len() == 2 && node.len() == 1, "{java:?} {node:?}");
    ensure!(same(&java[..1], &node), "records before the misfit: {java:?} {node:?}");
    Ok(())
}

fn case(name: &str) -> Case {
    Case::new(name, NOTHING)
        .set("publish.full.document.only", "true")
        .set("output.format.value", "schema")
        .set("output.schema.value", SCHEMA)
}

fn file(case: &Case, lane: Lane, uri: &str, runner: &str) -> BTreeMap<String, String> {
    let separator = if uri.contains('?') { '&' } else { '?' };
    case.file(lane, &format!("{uri}{separator}appName={runner}-{}", case.name), "")
}

struct Topics {
    bootstrap: String,
}

impl Topics {
    async fn open(&self, case: &Case, lane: Lane) -> Result<Records> {
        let suffix = format!("{lane:?}").to_lowercase();
        Records::open(&self.bootstrap, &format!("{}.events.{suffix}", case.database)).await
    }

    /// Waits until there are so many.
    async fn holds(&self, case: &Case, lane: Lane, count: usize) -> Result<()> {
        let records = self.open(case, lane).await?;
        eventually(&format!("{count} records of {} in {lane:?}'s lane", case.name), async || {
            Ok((count <= records.all().await?.len()).then_some(()))
        })
        .await
    }

    async fn all(&self, case: &Case, lane: Lane) -> Result<Vec<Record>> {
        self.open(case, lane).await?.all().await
    }
}

fn same(java: &[Record], node: &[Record]) -> bool {
    let parts = |records: &[Record]| -> Vec<_> {
        records.iter().map(|record| (record.key.clone(), record.value.clone())).collect()
    };
    parts(java) == parts(node)
}
