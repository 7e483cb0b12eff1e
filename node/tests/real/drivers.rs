//! The same events over every I/O driver, and what the worker says about which one it uses.

use anyhow::Result;

use super::stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_driver_moves_the_same_events_and_is_named() -> Result<()> {
    for driver in ["epoll", "uring"] {
        let stage = stage(&format!("driver_{driver}")).await?;
        let setup = stage.setup()?.worker("io.driver", driver);
        let mut node = setup.start_running().await?;
        stage.insert(0..500).await?;
        let records = stage.records().await?.at_least(500, &mut node).await?;
        for (id, record) in records.iter().enumerate() {
            assert_eq!(record.key_text(), format!(r#"{{"_id": {id}}}"#), "{driver}");
        }
        let log = node.stop().await?;
        let used = log.contains(&format!("I/O driver {driver}"));
        // A machine may forbid io_uring: then that, why, and what is used instead must be said.
        let replaced = log.contains("io_uring cannot be used here (")
            && log.contains("I/O driver epoll instead");
        assert!(used || (driver == "uring" && replaced), "{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_driver_is_refused_by_name() -> Result<()> {
    let stage = stage("driver_unknown").await?;
    let log = stage.setup()?.worker("io.driver", "kqueue").fails(2).await?;
    assert!(log.contains("io.driver") && log.contains("auto, uring, epoll"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_only_read_when_that_is_asked_for() -> Result<()> {
    let stage = stage("only_read").await?;
    let start = stage.operation_time().await?;
    stage.insert(0..300).await?;
    let connector = stage
        .connector()
        .set("startup.mode", "timestamp")
        .set("startup.mode.timestamp.start.at.operation.time", &start.time.to_string());
    let setup = stage.worker()?.connector(connector).argument("--only-read").argument("300");
    let (code, output) = setup.start()?.ended().await?;
    assert_eq!(code, 0, "{output}");
    assert!(output.contains(r#""events":300"#), "{output}");
    assert!(!setup.offsets().exists(), "no position is stored");
    Ok(())
}
