//! The only place where the node reads time and waits for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic time that protocol machines count with.
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch, the timestamp of a record. 0 for a clock before 1970.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Ends at `deadline`, or never without one.
pub async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Ends after `duration`.
pub async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}
