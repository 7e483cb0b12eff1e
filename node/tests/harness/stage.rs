//! What one test works with: shared servers, and names that nothing else has.
//!
//! The database, the connector and the prefix of all topics are one fresh name. The test writes and reads back with the
//! official driver.

use std::sync::Arc;

use anyhow::{Context, Result};
use bson::{Document, RawDocumentBuf, Timestamp, doc};
use futures_util::StreamExt;
use millrace_testbed::Testbed;
use mongodb::{Client, Collection, Database};

use super::servers::fresh;
use super::{Connector, Records, Setup};

/// The collection that a stage's connector watches.
pub(crate) const EVENTS: &str = "events";

/// See the module.
pub(crate) struct Stage {
    pub(crate) testbed: Arc<Testbed>,
    /// Name of the database and of the connector.
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl Stage {
    /// A stage on `testbed` for a test about `subject`.
    pub(crate) async fn new(testbed: Arc<Testbed>, subject: &str) -> Result<Self> {
        let client = testbed.mongodb().client().await?;
        Ok(Self { testbed, name: fresh(subject), client })
    }

    pub(crate) fn uri(&self) -> String {
        self.testbed.mongodb().uri()
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.testbed.kafka().bootstrap()
    }

    /// A connector that watches the collection [`EVENTS`].
    pub(crate) fn connector(&self) -> Connector {
        Connector::new(&self.name, &self.uri()).collection(&self.name, EVENTS)
    }

    /// A worker without a connector.
    pub(crate) fn worker(&self) -> Result<Setup> {
        Setup::new(&self.bootstrap())
    }

    /// A worker with that connector.
    pub(crate) fn setup(&self) -> Result<Setup> {
        Ok(self.worker()?.connector(self.connector()))
    }

    /// The topic of [`EVENTS`], if the connector sets no prefix.
    pub(crate) fn topic(&self) -> String {
        format!("{}.{EVENTS}", self.name)
    }

    /// Waits for the topic of [`EVENTS`].
    pub(crate) async fn records(&self) -> Result<Records> {
        self.records_of(&self.topic()).await
    }

    pub(crate) async fn records_of(&self, topic: &str) -> Result<Records> {
        Records::open(&self.bootstrap(), topic).await
    }

    pub(crate) fn database(&self) -> Database {
        self.client.database(&self.name)
    }

    pub(crate) fn events(&self) -> Collection<Document> {
        self.database().collection(EVENTS)
    }

    /// Inserts a document `{_id: id}` for each `id` into [`EVENTS`], one command each.
    pub(crate) async fn insert(&self, ids: impl IntoIterator<Item = i32>) -> Result<()> {
        for id in ids {
            self.events().insert_one(doc! { "_id": id }).await?;
        }
        Ok(())
    }

    /// A change stream that starts here sees everything from now on and nothing older.
    pub(crate) async fn operation_time(&self) -> Result<Timestamp> {
        let pong = self.client.database("admin").run_command(doc! { "ping": 1 }).await?;
        let Timestamp { time, increment } = pong.get_timestamp("operationTime")?;
        Ok(Timestamp { time, increment: increment + 1 })
    }

    /// The next `count` events of [`EVENTS`] since `start`, as the official driver reads them.
    pub(crate) async fn stream(
        &self,
        start: Timestamp,
        count: usize,
    ) -> Result<Vec<RawDocumentBuf>> {
        let stream = self.events().watch().start_at_operation_time(start).await?;
        let mut stream = stream.with_type::<RawDocumentBuf>();
        let mut events = Vec::new();
        while events.len() < count {
            events.push(stream.next().await.context("the change stream ended")??);
        }
        Ok(events)
    }

    /// The token (`_data` in hexadecimal) of the next event of [`EVENTS`] since `start`.
    pub(crate) async fn token_since(&self, start: Timestamp) -> Result<String> {
        let events = self.stream(start, 1).await?;
        Ok(events[0].get_document("_id")?.get_str("_data")?.to_owned())
    }
}
