//! Looks how far back the oplog reaches, so that people see how long a connector's position survives.
//!
//! ```text
//!  every 10 s, over a connection of its own:   local.oplog.rs, oldest entry ──► Figures::oplog_begin
//! ```
//!
//! Runs beside the pipelines, on the runtime of the REST interface, and as long as somebody reads the figures: the
//! position of a paused connector grows old, too. A user without the right to read the oplog is told so once. A router
//! has no oplog: there is nothing to see in a sharded cluster.

use std::io;
use std::time::Duration;

use millrace_core::link::Address;
use millrace_core::memory::MemoryBudget;
use millrace_core::mongo::lost_position::OplogBegin;
use millrace_core::mongo::oplog_look::{Heard, OplogLook};
use millrace_core::mongo::session_error::SessionError;
use millrace_io::tls::TlsClient;
use millrace_io::tls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::build::session_config;
use super::figures::{FiguresCell, OplogObserver};
use super::locate::Located;
use crate::config::SourceConfig;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks that a server has refused: somebody may grant the right.
const REFUSED_INTERVAL: Duration = Duration::from_secs(300);
/// Connectors that begin together do not look together.
const FIRST_MS_MAX: u64 = 2_000;
/// How long all servers may take to be connected to, to let us in and to answer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a look came to nothing this time.
#[derive(Debug, Error)]
enum LookError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("no server could be asked")]
    NoServer,
}

/// A connection, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Looks at the oplog of `source` for as long as there is a [`FiguresCell`] of this task.
pub(crate) fn watch_oplog(source: &SourceConfig, located: Located, figures: &FiguresCell) {
    // The answers have a few hundred bytes: nothing of them is counted.
    let config = session_config(source, located, MemoryBudget::unbounded());
    let watch = OplogWatch {
        connector: source.name.clone(),
        look: OplogLook::new(config),
        tls: source.mongo_tls.clone(),
        wire: None,
    };
    tokio::spawn(watch.run(figures.observer()));
}

struct OplogWatch {
    connector: String,
    look: OplogLook,
    tls: Option<TlsClient>,
    wire: Option<Box<dyn Wire>>,
}

impl OplogWatch {
    async fn run(mut self, figures: OplogObserver) {
        let mut pause = Duration::from_millis(rand::random_range(0..FIRST_MS_MAX));
        let mut is_told = false;
        loop {
            sleep(pause).await;
            if !figures.is_wanted() {
                return;
            }
            pause = INTERVAL;
            let begin = match timeout(LOOK_TIMEOUT, self.look()).await {
                Ok(Ok(OplogBegin::At { time, .. })) => Some(time),
                Ok(Ok(OplogBegin::Unknown { reason })) => {
                    pause = REFUSED_INTERVAL;
                    if !std::mem::replace(&mut is_told, true) {
                        self.tell(&reason);
                    }
                    None
                }
                Ok(Err(error)) => self.unanswered(&error.to_string()),
                Err(_) => self.unanswered("no answer in time"),
            };
            if !figures.note(begin) {
                return;
            }
        }
    }

    fn tell(&self, reason: &str) {
        tracing::info!(
            "connector {}: how long its position survives is not known, and \
             millrace_source_oplog_headroom_seconds has no series: {reason}; the user of connection.uri needs \
             the action find on local.oplog.rs, which the role read on the database local has",
            self.connector
        );
    }

    /// The next look begins with a new connection. The task has its own view of the servers, and says what is wrong.
    fn unanswered(&mut self, reason: &str) -> Option<u32> {
        tracing::debug!("connector {}: the oplog could not be looked at: {reason}", self.connector);
        self.wire = None;
        self.look.closed();
        None
    }

    /// Asks over the connection that there is, or looks for the primary.
    async fn look(&mut self) -> Result<OplogBegin, LookError> {
        if let (Some(question), Some(wire)) = (self.look.ask(), &mut self.wire) {
            return exchange(&mut self.look, wire.as_mut(), &question).await;
        }
        let mut last = LookError::NoServer;
        while let Some(server) = self.look.next_server() {
            match self.begin(server).await {
                Ok(begin) => return Ok(begin),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn begin(&mut self, server: Address) -> Result<OplogBegin, LookError> {
        let mut wire = connect(&server, self.tls.as_ref()).await?;
        let hello = self.look.connected(server, rand::random());
        let begin = exchange(&mut self.look, wire.as_mut(), &hello).await?;
        self.wire = Some(wire);
        Ok(begin)
    }
}

async fn connect(server: &Address, tls: Option<&TlsClient>) -> io::Result<Box<dyn Wire>> {
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(tls.config()).connect(name, stream).await?))
}

/// Sends, and reads until there is the answer to the question.
async fn exchange(
    look: &mut OplogLook,
    wire: &mut dyn Wire,
    first: &[u8],
) -> Result<OplogBegin, LookError> {
    wire.write_all(first).await?;
    wire.flush().await?;
    loop {
        let Some(mut space) = look.take_space() else {
            return Err(io::Error::other("an answer that is too large").into());
        };
        let free = space.bytes.get_mut(space.filled..).unwrap_or_default();
        let received = wire.read(free).await?;
        if received == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match look.received(space, received)? {
            Heard::Wait => {}
            Heard::Send(next) => {
                wire.write_all(&next).await?;
                wire.flush().await?;
            }
            Heard::Known(begin) => return Ok(begin),
        }
    }
}
