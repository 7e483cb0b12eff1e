//! The connections of one task, and the operations under way on them.
//!
//! ```text
//!  Machine ── wishes ──► Links ── operation, with its buffers ──► io
//!     ▲                                                            │
//!     └── connected, received, closed ◄── settle ◄── Completion ◄──┘
//! ```
//!
//! Every operation owns its buffers and ends as one [`Completion`]. A link has at most one read and
//! one write under way; further writes wait in its queue. A link that was closed is forgotten at
//! once, and what still completes for it is dropped.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use millrace_core::inbox::Space;
use millrace_core::kafka::{SealId, SealedJob};
use millrace_core::link::{Address, LinkCommand, LinkId, Protocol};
use millrace_io::driver::Driver;
use millrace_io::socket::Socket;
use millrace_io::tls::TlsClient;

/// The longest wait for a connection; a host that drops packets would hold it for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What ended.
pub(crate) enum Completion {
    Link(LinkCompletion),
    Stored {
        result: Result<(), String>,
    },
    Sealed {
        job: Box<SealedJob>,
    },
    /// The thread that had the batch ended.
    SealLost {
        id: SealId,
        reason: String,
    },
}

/// What ended on a connection.
pub(crate) enum LinkCompletion {
    Connected { link: LinkId, result: io::Result<Socket> },
    Received { link: LinkId, space: Space, result: io::Result<usize> },
    Sent { link: LinkId, result: io::Result<()> },
}

impl LinkCompletion {
    fn link(&self) -> LinkId {
        match self {
            Self::Connected { link, .. }
            | Self::Received { link, .. }
            | Self::Sent { link, .. } => *link,
        }
    }
}

/// What connections are made for: it hears of everything that happens to them.
pub(crate) trait Machine {
    /// Why it cannot go on.
    type Error;

    /// A buffer to read into; `None`: nothing is to be read on this link now.
    fn take_space(&mut self, link: LinkId) -> Option<Space>;
    /// The connection is open.
    fn connected(&mut self, link: LinkId, now: Instant) -> Result<(), Self::Error>;
    /// The buffer comes back with `count` new bytes.
    fn received(
        &mut self,
        link: LinkId,
        space: Space,
        count: usize,
        now: Instant,
    ) -> Result<(), Self::Error>;
    /// The connection was lost, or never came to be.
    fn closed(&mut self, link: LinkId, reason: &str, now: Instant) -> Result<(), Self::Error>;
}

/// Which connections are encrypted, and how; the others are in the clear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encryption {
    pub(crate) mongodb: Option<TlsClient>,
    pub(crate) kafka: Option<TlsClient>,
}

impl Encryption {
    fn of(&self, protocol: Protocol) -> Option<&TlsClient> {
        match protocol {
            Protocol::Mongodb => self.mongodb.as_ref(),
            Protocol::Kafka => self.kafka.as_ref(),
        }
    }
}

/// Operations under way, polled by the task.
pub(crate) type Operations = FuturesUnordered<LocalBoxFuture<'static, Completion>>;

/// What went over the connections to one kind of server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkTraffic {
    /// Connections open now.
    pub(crate) open: u64,
    /// Connections opened until now.
    pub(crate) opened: u64,
    /// Bytes, before they are encrypted.
    pub(crate) received_bytes: u64,
    /// Bytes handed to the socket, before they are encrypted.
    pub(crate) sent_bytes: u64,
}

/// What went over the connections of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) mongodb: LinkTraffic,
    pub(crate) kafka: LinkTraffic,
}

impl Traffic {
    fn of(&mut self, protocol: Protocol) -> &mut LinkTraffic {
        match protocol {
            Protocol::Mongodb => &mut self.mongodb,
            Protocol::Kafka => &mut self.kafka,
        }
    }
}

struct Link {
    address: Address,
    protocol: Protocol,
    socket: Option<Socket>,
    queue: VecDeque<Vec<Bytes>>,
    reading: bool,
    writing: bool,
}

/// The open connections of one task.
pub(crate) struct Links {
    links: HashMap<LinkId, Link>,
    driver: Driver,
    encryption: Encryption,
    traffic: Traffic,
}

impl Links {
    /// No connection yet; those to come are driven by `driver`.
    pub(crate) fn new(driver: Driver, encryption: Encryption) -> Self {
        Self { links: HashMap::new(), driver, encryption, traffic: Traffic::default() }
    }

    /// What went over them until now.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Carries out what a machine asked for.
    pub(crate) fn command(&mut self, command: LinkCommand, operations: &Operations) {
        match command {
            LinkCommand::Connect { link, address, protocol } => {
                self.connect(link, address, protocol, operations);
            }
            LinkCommand::Send { link, segments } => {
                if let Some(open) = self.links.get_mut(&link) {
                    let bytes: usize = segments.iter().map(Bytes::len).sum();
                    self.traffic.of(open.protocol).sent_bytes += bytes as u64;
                    open.queue.push_back(segments);
                    write_next(link, open, operations);
                }
            }
            LinkCommand::Close { link } => self.forget(link),
        }
    }

    fn connect(
        &mut self,
        link: LinkId,
        address: Address,
        protocol: Protocol,
        operations: &Operations,
    ) {
        let open = Link {
            address: address.clone(),
            protocol,
            socket: None,
            queue: VecDeque::new(),
            reading: false,
            writing: false,
        };
        self.links.insert(link, open);
        let driver = self.driver;
        let tls = self.encryption.of(protocol).cloned();
        operations.push(Box::pin(async move {
            let to = (address.host.as_str(), address.port);
            let result = Socket::connect(driver, to, tls.as_ref(), CONNECT_TIMEOUT).await;
            Completion::Link(LinkCompletion::Connected { link, result })
        }));
    }

    /// Lets `machine` know how an operation on a connection ended. What ended on a link that was
    /// closed meanwhile is dropped.
    pub(crate) fn settle<M: Machine>(
        &mut self,
        ended: LinkCompletion,
        machine: &mut M,
        operations: &Operations,
        now: Instant,
    ) -> Result<(), M::Error> {
        let link = ended.link();
        let Some(open) = self.links.get_mut(&link) else { return Ok(()) };
        let lost = match ended {
            LinkCompletion::Connected { result: Ok(socket), .. } => {
                open.socket = Some(socket);
                let traffic = self.traffic.of(open.protocol);
                traffic.open += 1;
                traffic.opened += 1;
                return machine.connected(link, now);
            }
            LinkCompletion::Received { space, result, .. } => {
                open.reading = false;
                let count = *result.as_ref().unwrap_or(&0);
                self.traffic.of(open.protocol).received_bytes += count as u64;
                machine.received(link, space, count, now)?;
                match result {
                    Ok(0) => "the peer closed the connection".to_owned(),
                    Ok(_) => return Ok(()),
                    Err(error) => error.to_string(),
                }
            }
            LinkCompletion::Sent { result: Ok(()), .. } => {
                open.writing = false;
                write_next(link, open, operations);
                return Ok(());
            }
            LinkCompletion::Connected { result: Err(error), .. }
            | LinkCompletion::Sent { result: Err(error), .. } => error.to_string(),
        };
        let Some(Link { address, .. }) = self.links.get(&link) else { return Ok(()) };
        let reason = format!("{address}: {lost}");
        self.forget(link);
        machine.closed(link, &reason, now)
    }

    /// Starts a read on every open link that has none under way and for which `machine` has room.
    pub(crate) fn read_ahead(&mut self, machine: &mut impl Machine, operations: &Operations) {
        for (&link, open) in &mut self.links {
            let (false, Some(socket)) = (open.reading, &open.socket) else { continue };
            let Some(space) = machine.take_space(link) else { continue };
            open.reading = true;
            let socket = socket.clone();
            operations.push(Box::pin(async move {
                let filled = space.filled;
                let (bytes, result) = socket.read(space.bytes, filled).await;
                let space = Space { bytes, filled };
                Completion::Link(LinkCompletion::Received { link, space, result })
            }));
        }
    }

    /// Closes the connection; nothing of it is reported any more.
    fn forget(&mut self, link: LinkId) {
        if let Some(Link { socket: Some(socket), protocol, .. }) = self.links.remove(&link) {
            self.traffic.of(protocol).open -= 1;
            socket.close();
        }
    }
}

fn write_next(link: LinkId, open: &mut Link, operations: &Operations) {
    let (false, Some(socket)) = (open.writing, &open.socket) else { return };
    let Some(segments) = open.queue.pop_front() else { return };
    open.writing = true;
    let socket = socket.clone();
    operations.push(Box::pin(async move {
        Completion::Link(LinkCompletion::Sent { link, result: socket.write(segments).await })
    }));
}
