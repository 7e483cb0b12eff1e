//! Opens a connector's change stream once and leaves it: whether its servers can be reached, and its user may watch.
//!
//! Says what the MongoDB connector says of the same when it validates a configuration. That connector asks for the
//! user's rights; here the stream is opened, which takes them.

use std::time::Duration;

use millrace_core::memory::MemoryBudget;
use millrace_core::mongo::session::{Item, ResumePosition, SessionConfig, SessionError};
use millrace_io::clock;
use millrace_io::driver::{Driver, Runtime};

use super::build::{encryption, session_config};
use super::links::Encryption;
use super::locate::locate;
use super::stream::Stream;
use crate::config::SourceConfig;

/// How long servers are looked for: the connector's, the driver's time for a connection and half a second.
const TIMEOUT: Duration = Duration::from_millis(10_500);
/// How long it may take to find the servers and to open the stream. One that is slow is none that cannot be reached.
const OPENING_TIMEOUT: Duration = Duration::from_secs(12);
const UNREACHABLE: &str = "Unable to connect to the server.";
const UNAUTHORIZED: &str =
    "Invalid user permissions. Missing the following action permissions: changeStream, find";
/// Memory for the one reply that is wanted. Bytes.
const MEMORY_BYTES_MAX: usize = 32 << 20;

/// What `connection.uri` is refused for; `None`: nothing that the connector would refuse it for. Blocks for up to
/// [`OPENING_TIMEOUT`], and longer only while the system's resolver is at a name: that cannot be broken off.
///
/// # Errors
/// When there is no runtime for `driver`.
pub(crate) fn objection(source: &SourceConfig, driver: Driver) -> std::io::Result<Option<String>> {
    let runtime = Runtime::new(driver)?;
    Ok(runtime.block_on(async {
        let look = tokio::time::timeout(OPENING_TIMEOUT, look(source, driver));
        look.await.unwrap_or_default()
    }))
}

async fn look(source: &SourceConfig, driver: Driver) -> Option<String> {
    let located = match locate(&source.mongo).await {
        Ok(located) => located,
        Err(error) => return Some(error.to_string()),
    };
    let mut config = session_config(source, located, MemoryBudget::new(MEMORY_BYTES_MAX));
    config.server_selection_timeout = TIMEOUT;
    let stream = Stream::new(config, ResumePosition::Now, (driver, encryption(source)));
    open(stream).await.err().as_ref().and_then(objection_of)
}

/// Opens a stream at `start` and leaves it, on a [`Runtime`] of [`Driver::Epoll`].
///
/// # Errors
/// Those that would end a task.
pub(crate) async fn open_at(
    config: SessionConfig,
    start: ResumePosition,
    encryption: Encryption,
) -> Result<(), SessionError> {
    open(Stream::new(config, start, (Driver::Epoll, encryption))).await
}

async fn open(mut stream: Stream) -> Result<(), SessionError> {
    loop {
        while let Some(item) = stream.session.next_item(clock::now())? {
            if item == Item::Opened {
                return Ok(());
            }
        }
        stream.carry_out();
        stream.wait().await?;
    }
}

/// Java's words for what Java looks at; anything else is for the task to say.
fn objection_of(error: &SessionError) -> Option<String> {
    if error.is_unreachable() {
        Some(UNREACHABLE.to_owned())
    } else if error.is_login_refused() {
        Some(format!("Invalid user permissions authentication failed. {error}"))
    } else {
        error.is_unauthorized().then(|| UNAUTHORIZED.to_owned())
    }
}
