//! Whether an open change stream is told from one that was there before, on a real server.

use std::time::Duration;

use anyhow::Result;
use bson::{Document, doc};
use futures_util::StreamExt;
use millrace_bench::open_streams::OpenStreams;
use millrace_testbed::{MongodbPlan, Plan, Servers, Testbed};
use mongodb::Client;
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ChangeStreamEvent;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

async fn open(client: &Client) -> Result<ChangeStream<ChangeStreamEvent<Document>>> {
    Ok(client.database("millrace_streams").collection::<Document>("events").watch().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_stream_that_was_not_there_before_is_waited_for() -> Result<()> {
    let testbed = Testbed::up(Plan::only_mongodb(MongodbPlan::default()), Servers::Native).await?;
    let client = testbed.mongodb().client().await?;
    let before = OpenStreams::note(&client).await?;
    let error = before.wait_for_stream(SHORT).await.expect_err("there is none").to_string();
    assert!(error.contains("no change stream was opened within 300ms"), "{error}");

    // Idle: nobody asks for its next events.
    let idle = open(&client).await?;
    before.wait_for_stream(LONG).await?;
    let with_idle = OpenStreams::note(&client).await?;
    let error = with_idle.wait_for_stream(SHORT).await.expect_err("the old one").to_string();
    assert!(error.contains("mongod has 1 of them"), "{error}");

    // Busy: it waits in a request for events that do not come, and it is opened while we wait.
    let opening = tokio::spawn({
        let client = client.clone();
        async move {
            tokio::time::sleep(SHORT).await;
            let mut busy = open(&client).await?;
            busy.next().await;
            anyhow::Ok(())
        }
    });
    with_idle.wait_for_stream(LONG).await?;
    let with_busy = OpenStreams::note(&client).await?;
    assert!(with_busy.wait_for_stream(SHORT).await.is_err(), "a request is no new stream");
    opening.abort();

    // An open cursor that is no change stream does not count.
    let numbers = client.database("millrace_streams").collection::<Document>("numbers");
    numbers.insert_many((0..5).map(|i| doc! { "_id": i })).await?;
    let found = numbers.find(doc! {}).batch_size(2).await?;
    assert!(with_busy.wait_for_stream(SHORT).await.is_err(), "a find is no change stream");
    drop(found);
    drop(idle);
    Ok(())
}
