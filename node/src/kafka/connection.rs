//! One connection to one broker: opened, encrypted and logged in, then one request after the other.
//!
//! ```text
//!  TCP ──► TLS ──► ApiVersions, SASL ──► request, answer, request, answer …
//!                                          │ an error, a request given up, a minute without one,
//!                                          │ the end of the session
//!                                          ▼
//!                                        not usable: open another
//! ```
//!
//! A session of SASL is not renewed: shortly before its end the connection counts as not usable. No answer is trusted
//! for its length: memory is taken as its bytes come, up to a bound.

use std::io;
use std::time::{Duration, Instant};

use millrace_core::kafka::api::Api;
use millrace_core::kafka::opening::{Next, Opening, OpeningError};
use millrace_core::kafka::sasl;
use millrace_core::kafka::wire::{FRAME_BYTES_MAX, Reader, WireError};
use millrace_core::link::Address;
use millrace_io::clock;
use millrace_io::tls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::KafkaError;
use crate::config::KafkaSecurity;

/// From the first packet to a connection that can be used.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may lie idle. Brokers, and what is between, forget one without a word.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// When the kernel asks whether the other side is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long bytes may go without a sign that they have come: then the connection is dead, however slow the broker.
/// Within the three seconds of `worker.sync.timeout.ms` another can be opened.
const UNCONFIRMED_MAX: Duration = Duration::from_millis(1500);

/// Memory for an answer before its first byte is there.
const ANSWER_BYTES_FIRST: usize = 16 * 1024;

/// A Kafka cluster, and how connections to it are made.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Whom to ask first (`bootstrap.servers`).
    pub(crate) bootstrap: Vec<Address>,
    /// Encryption and login.
    pub(crate) security: KafkaSecurity,
    /// Shown in the brokers' logs.
    pub(crate) client_id: String,
}

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// See the module.
pub(crate) struct Connection {
    broker: Address,
    client_id: String,
    stream: Box<dyn Stream>,
    correlation: i32,
    /// Whether every request so far was answered.
    is_settled: bool,
    /// When it was last heard of.
    used: Instant,
    session_ends: Option<Instant>,
}

impl Connection {
    /// Connects to `broker` and logs in.
    ///
    /// # Errors
    /// [`KafkaError::Connect`], [`KafkaError::Login`] or [`KafkaError::Unusable`].
    pub(crate) async fn open(cluster: &Cluster, broker: &Address) -> Result<Self, KafkaError> {
        let failed = |error| KafkaError::Connect { broker: broker.clone(), error };
        let opening = async {
            let stream = connect(broker, &cluster.security).await.map_err(failed)?;
            log_in(cluster, broker, stream).await
        };
        let late = || {
            let seconds = OPENING_TIMEOUT.as_secs();
            failed(io::Error::new(io::ErrorKind::TimedOut, format!("not within {seconds} s")))
        };
        timeout(OPENING_TIMEOUT, opening).await.map_err(|_| late())?
    }

    /// Whom this is a connection to.
    pub(crate) fn broker(&self) -> &Address {
        &self.broker
    }

    /// Whether another request can be asked.
    pub(crate) fn is_usable(&self) -> bool {
        let now = clock::now();
        self.is_settled
            && now.saturating_duration_since(self.used) < IDLE_MAX
            && self.session_ends.is_none_or(|end| now < end)
    }

    /// Asks one request and awaits its answer. `write` appends the body of the request, `read` reads that of the
    /// answer. The connection is not usable after an error, nor after this was dropped before its end.
    ///
    /// # Errors
    /// [`KafkaError::Lost`], [`KafkaError::Silent`] or [`KafkaError::Malformed`]. What an answer says is not judged.
    pub(crate) async fn request<T>(
        &mut self,
        api: Api,
        write: impl FnOnce(&mut Vec<u8>),
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, WireError>,
        patience: Duration,
    ) -> Result<T, KafkaError> {
        let (broker, request) = (&self.broker, api.name());
        let lost = |error| KafkaError::Lost { broker: broker.clone(), request, error };
        if !self.is_settled {
            return Err(lost(io::ErrorKind::NotConnected.into()));
        }
        self.is_settled = false;
        let frame = api.request(self.correlation, &self.client_id, write);
        let answer = timeout(patience, exchange(&mut self.stream, &frame)).await;
        let silent = || KafkaError::Silent { broker: broker.clone(), request, after: patience };
        let answer = answer.map_err(|_| silent())?.map_err(lost)?;
        let mut reader = Reader::new(&answer);
        let read = api.expect(&mut reader, self.correlation).and_then(|()| read(&mut reader));
        let malformed = |error| KafkaError::Malformed { broker: broker.clone(), request, error };
        let read = read.map_err(malformed)?;
        self.correlation = self.correlation.wrapping_add(1);
        self.is_settled = true;
        self.used = clock::now();
        Ok(read)
    }
}

async fn connect(broker: &Address, security: &KafkaSecurity) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    socket.set_tcp_user_timeout(Some(UNCONFIRMED_MAX))?;
    let Some(tls) = &security.tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(tls.config()).connect(name, stream).await?))
}

async fn log_in(
    cluster: &Cluster,
    broker: &Address,
    mut stream: Box<dyn Stream>,
) -> Result<Connection, KafkaError> {
    let client_id = cluster.client_id.clone();
    let (mut opening, mut frame) = Opening::begin(&client_id, cluster.security.sasl());
    let began = clock::now();
    loop {
        let broker = broker.clone();
        let answer = match exchange(&mut stream, &frame).await {
            Ok(answer) => answer,
            Err(error) => return Err(KafkaError::Connect { broker, error }),
        };
        match opening.handle(&answer) {
            Ok(Next::Send(next)) => frame = next,
            Ok(Next::Open { session_lifetime, correlation }) => {
                let session_ends = sasl::renewal(session_lifetime, began);
                return Ok(Connection {
                    broker,
                    client_id,
                    stream,
                    correlation,
                    is_settled: true,
                    used: clock::now(),
                    session_ends,
                });
            }
            Err(OpeningError::Sasl(error)) => return Err(KafkaError::Login { broker, error }),
            Err(error) => return Err(KafkaError::Unusable { broker, error }),
        }
    }
}

/// Sends a frame and returns the next one that comes, without its size.
async fn exchange(stream: &mut Box<dyn Stream>, frame: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(frame).await?;
    stream.flush().await?;
    let declared = stream.read_i32().await?;
    let size = match usize::try_from(declared) {
        Ok(size) if size <= FRAME_BYTES_MAX => size,
        _ => return Err(io::Error::other(WireError::Frame { declared })),
    };
    let mut answer = Vec::with_capacity(size.min(ANSWER_BYTES_FIRST));
    let received = stream.take(size as u64).read_to_end(&mut answer).await?;
    if received < size { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::Client;
    use crate::kafka::scripted_broker::ScriptedBroker;

    #[tokio::test]
    async fn connection_that_was_idle_for_a_minute_is_replaced() {
        let broker = ScriptedBroker::start("t", 1).await;
        broker.state().exists = true;
        let cluster = broker.cluster();
        for (idle, connections) in [(IDLE_MAX / 2, 1), (IDLE_MAX, 2)] {
            broker.state().connections = 0;
            let mut connection = Connection::open(&cluster, &cluster.bootstrap[0]).await.unwrap();
            connection.used = clock::now().checked_sub(idle).unwrap();
            let mut client = Client::new(cluster.clone());
            client.keep(connection);
            assert_eq!(client.partitions("t", false).await.unwrap(), [0]);
            assert_eq!(broker.state().connections, connections, "idle for {idle:?}");
        }
    }
}
