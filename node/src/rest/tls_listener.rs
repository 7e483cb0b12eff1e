//! A socket that is listened to with TLS: what comes out has its handshake behind it.
//!
//! ```text
//! accept ──► handshake, a task of its own, at most 10 s ──► connection
//!    │                              └──► none: the reason is logged at debug level
//!    └──► the next one, at once
//! ```
//!
//! Who is slow, or speaks no TLS, keeps nobody waiting.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use millrace_io::tls::server::TlsServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

type Connection = (TlsStream<TcpStream>, SocketAddr);

/// See the module.
pub(super) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<Connection>>,
}

impl TlsListener {
    pub(super) fn new(tcp: TcpListener, server: &TlsServer) -> Self {
        Self { tcp, acceptor: server.config().into(), handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        loop {
            tokio::select! {
                (tcp, peer) = Listener::accept(&mut self.tcp) => {
                    self.handshakes.spawn(handshake(self.acceptor.clone(), tcp, peer));
                }
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn handshake(acceptor: TlsAcceptor, tcp: TcpStream, peer: SocketAddr) -> Option<Connection> {
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => return Some((stream, peer)),
        Ok(Err(error)) => tracing::debug!("no TLS with {peer}: {error}"),
        Err(_) => tracing::debug!("no TLS with {peer} within {} s", HANDSHAKE_TIMEOUT.as_secs()),
    }
    None
}
