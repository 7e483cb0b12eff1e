//! The servers that the tests of one binary share.
//!
//! They start with the first test and end with the last that holds them: a static that owned them would never drop
//! them. Names are new in every run, so servers given from outside may be used again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use millrace_testbed::{Plan, Servers, Testbed};
use tokio::sync::Mutex;

/// A set of servers that comes with its first user and goes with its last.
pub(crate) struct Shared {
    testbed: Mutex<Weak<Testbed>>,
}

impl Shared {
    pub(crate) const fn new() -> Self {
        Self { testbed: Mutex::const_new(Weak::new()) }
    }

    /// The servers; started by `plan` if nobody has them.
    pub(crate) async fn get(
        &self,
        servers: Servers,
        plan: impl FnOnce() -> Plan,
    ) -> Result<Arc<Testbed>> {
        let mut shared = self.testbed.lock().await;
        if let Some(testbed) = shared.upgrade() {
            return Ok(testbed);
        }
        let testbed = Arc::new(Testbed::up(plan(), servers).await?);
        *shared = Arc::downgrade(&testbed);
        Ok(testbed)
    }
}

/// A name for a database or topic that nothing else has: `millrace_<subject>_<run and number>`.
pub(crate) fn fresh(subject: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("millrace_{subject}_{:x}{number:02x}", now.as_millis())
}
