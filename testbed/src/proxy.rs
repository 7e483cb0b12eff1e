//! A TCP proxy on loopback that makes a bad network before one server.
//!
//! ```text
//! client ──► to_server: queue ► delay ► throttle ► gate ──► server      the port that is advertised
//!        ◄── to_client: gate ◄ throttle ◄ delay ◄ queue ◄──             is the proxy's, so clients
//!                                                                       come back to it
//! ```
//!
//! Bytes are passed as they are; what they say is not looked at. Conditions hold for bytes that
//! arrive after they were set, on connections old and new. Nothing is set from the start: then a
//! chunk is written as soon as it was read. Delays are kept to the millisecond: never early, up to
//! 1 ms late. All proxies share one thread of their own.

mod pump;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::{own_runtime::OwnRuntime, port::Port};

/// How long the acceptor rests after it could not accept, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
static RUNTIME: OwnRuntime = OwnRuntime::new("testbed-proxy", 1);
/// How often a connection that waits for better conditions looks again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// One way through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What clients send.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// They are passed on.
    #[default]
    Open,
    /// They wait: nothing is read any more, so the sender's buffers fill up. Nothing is lost.
    Stalled,
    /// They are read and thrown away, ends of streams too: the sender is told that all arrived, the
    /// receiver hears nothing. A connection that lost bytes so is reset when the gate opens. New
    /// connections are accepted, and not passed on until then.
    Swallowing,
}

/// The conditions of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// How much later each byte is passed on.
    pub delay: Duration,
    /// The most that one connection passes on; `None` for no bound.
    pub bytes_per_s: Option<u64>,
    /// Whether anything passes.
    pub gate: Gate,
}

/// All conditions of one proxy; the default is a good network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// What clients send.
    pub to_server: Flow,
    /// What the server sends.
    pub to_client: Flow,
}

/// A proxy before one server. Its connections are closed when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: Port,
    acceptor: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    conditions: Mutex<Conditions>,
    connections: Mutex<HashMap<u64, Connection>>,
    accepted: AtomicU64,
    to_server_bytes: AtomicU64,
    to_client_bytes: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    reset: Arc<AtomicBool>,
}

impl Conditions {
    /// Both directions alike.
    pub fn both(flow: Flow) -> Self {
        Self { to_server: flow, to_client: flow }
    }

    fn of(&self, direction: Direction) -> Flow {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

impl Proxy {
    /// Listens on a port of its own and passes connections on to `upstream`, `host:port`. The server
    /// need not be there yet: until it is, connections are reset.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(upstream: &str) -> Result<Self> {
        let port = Port::lease()?;
        let address = port.address();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            conditions: Mutex::default(),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
            to_server_bytes: AtomicU64::new(0),
            to_client_bytes: AtomicU64::new(0),
        });
        let runtime = RUNTIME.get()?;
        let listener = runtime
            .spawn(TcpListener::bind(address.clone()))
            .await?
            .with_context(|| format!("listen on {address} for the proxy of {upstream}"))?;
        let acceptor = runtime.spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, port, acceptor })
    }

    /// `host:port` of the proxy, to be advertised in the server's place.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// Sets what the network is like from now on; the default makes it good again.
    ///
    /// # Errors
    /// When a throttle lets nothing through: that is what a gate is for.
    pub fn set(&self, conditions: Conditions) -> Result<()> {
        for flow in [conditions.to_server, conditions.to_client] {
            ensure!(flow.bytes_per_s != Some(0), "throttle to 0 bytes/s: close the gate instead");
        }
        *lock(&self.shared.conditions) = conditions;
        Ok(())
    }

    /// What the network is like.
    pub fn conditions(&self) -> Conditions {
        *lock(&self.shared.conditions)
    }

    /// Ends all connections with RST towards both sides, as a firewall or a crashed machine does.
    /// Returns how many. New ones are accepted.
    pub fn reset(&self) -> usize {
        let connections: Vec<_> = lock(&self.shared.connections).drain().collect();
        for (_, connection) in &connections {
            connection.reset.store(true, Ordering::SeqCst);
            connection.task.abort();
        }
        connections.len()
    }

    /// How many connections there are now.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.connections).len()
    }

    /// How many connections were accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many bytes were passed on in one direction since the start.
    pub fn passed_bytes(&self, direction: Direction) -> u64 {
        self.shared.passed(direction).load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        for (_, connection) in lock(&self.shared.connections).drain() {
            connection.task.abort();
        }
    }
}

impl Shared {
    fn flow(&self, direction: Direction) -> Flow {
        lock(&self.conditions).of(direction)
    }

    fn passed(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::ToServer => &self.to_server_bytes,
            Direction::ToClient => &self.to_client_bytes,
        }
    }
}

/// Both sockets of one connection. Closed with RST if it was asked for.
struct Ends {
    client: TcpStream,
    server: Option<TcpStream>,
    reset: Arc<AtomicBool>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if self.reset.load(Ordering::SeqCst) {
            // A socket that is closed with a linger time of zero sends RST instead of FIN. One that
            // is gone already needs none.
            let _ = self.client.set_zero_linger();
            let _ = self.server.as_ref().map(TcpStream::set_zero_linger);
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!("the proxy of {} cannot accept: {error}", shared.upstream);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let id = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let reset = Arc::new(AtomicBool::new(false));
        // Held until it is noted: a connection that ends at once must find itself there.
        let mut connections = lock(&shared.connections);
        let task = tokio::spawn({
            let (shared, reset) = (Arc::clone(&shared), Arc::clone(&reset));
            async move {
                pump::serve(Ends { client, server: None, reset }, &shared).await;
                lock(&shared.connections).remove(&id);
            }
        });
        connections.insert(id, Connection { task: task.abort_handle(), reset });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
