//! One question to one broker, over a connection of its own: what the cluster is called, and whether we are let in.

use std::io;

use millrace_core::kafka::cluster_id::{Inquiry, InquiryError, Next};
use millrace_core::link::Address;
use millrace_io::tls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::KafkaSecurity;

/// An answer names the brokers, and no topics.
const ANSWER_BYTES_MAX: u32 = 1 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Answer(#[from] InquiryError),
}

/// Asks `broker` what the cluster is called. `None`: it has no name.
///
/// # Errors
/// See [`AskError`]; asking again helps unless it is [`InquiryError::Sasl`].
pub(crate) async fn ask(
    broker: &Address,
    security: &KafkaSecurity,
) -> Result<Option<String>, AskError> {
    let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
    let Some(tls) = &security.tls else { return ask_over(stream, security).await };
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls.config()).connect(name, stream).await?;
    ask_over(stream, security).await
}

async fn ask_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    security: &KafkaSecurity,
) -> Result<Option<String>, AskError> {
    let (mut inquiry, mut frame) = Inquiry::begin("millrace-cluster-id", security.sasl());
    loop {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        let size = stream.read_u32().await?;
        if ANSWER_BYTES_MAX < size {
            return Err(io::Error::other(format!("an answer of {size} bytes")).into());
        }
        let mut answer = vec![0; size as usize];
        stream.read_exact(&mut answer).await?;
        match inquiry.handle(&answer)? {
            Next::Send(next) => frame = next,
            Next::Known(name) => return Ok(name),
        }
    }
}
