//! What the Kafka cluster is called: asked until a broker says it, while the worker already serves.
//!
//! Connect asks before it starts and ends without an answer. Here a worker may be up before its brokers are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::kafka::cluster_id;
use millrace_core::link::Address;
use millrace_io::tls::TlsClient;
use millrace_io::tls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::Herder;

/// How long one broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two rounds over the brokers.
const PAUSE: Duration = Duration::from_secs(2);
/// An answer names the brokers, and no topics.
const ANSWER_BYTES_MAX: u32 = 1 << 20;

impl Herder {
    /// Ends when the name is known.
    pub(crate) async fn find_cluster(self: Arc<Self>) {
        loop {
            for broker in &self.worker.bootstrap {
                match timeout(ANSWER_TIMEOUT, ask(broker, self.worker.tls.as_ref())).await {
                    Ok(Ok(Some(name))) => return drop(self.cluster_id.set(name)),
                    Ok(Ok(None)) => return,
                    Ok(Err(error)) => {
                        tracing::debug!("{broker} does not name the cluster: {error}");
                    }
                    Err(_) => tracing::debug!("{broker} does not name the cluster in time"),
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// `None` until a broker has said it.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }
}

async fn ask(broker: &Address, tls: Option<&TlsClient>) -> io::Result<Option<String>> {
    let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
    let Some(tls) = tls else { return ask_over(stream).await };
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    ask_over(TlsConnector::from(tls.config()).connect(name, stream).await?).await
}

async fn ask_over(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Option<String>> {
    stream.write_all(&cluster_id::request("millrace-cluster-id")).await?;
    stream.flush().await?;
    let size = stream.read_u32().await?;
    if ANSWER_BYTES_MAX < size {
        return Err(io::Error::other(format!("an answer of {size} bytes")));
    }
    let mut answer = vec![0; size as usize];
    stream.read_exact(&mut answer).await?;
    cluster_id::read(&answer).map_err(io::Error::other)
}
