//! The operations under way on the connections of one task.
//!
//! Every operation owns its buffers and ends as one [`Completion`]. A link has at most one read and
//! one write under way; further writes wait in its queue. A link that was closed is forgotten at
//! once, and what still completes for it is dropped.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use millrace_core::inbox::Space;
use millrace_core::link::{Address, LinkCommand, LinkId};
use millrace_io::socket::Socket;

/// The longest wait for a connection; a host that drops packets would hold it for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What ended.
pub(crate) enum Completion {
    Connected { link: LinkId, result: io::Result<Socket> },
    Received { link: LinkId, space: Space, result: io::Result<usize> },
    Sent { link: LinkId, result: io::Result<()> },
    Stored { result: Result<(), String> },
}

/// Operations under way, polled by the task.
pub(crate) type Operations = FuturesUnordered<LocalBoxFuture<'static, Completion>>;

struct Link {
    address: Address,
    socket: Option<Socket>,
    queue: VecDeque<Vec<Bytes>>,
    reading: bool,
    writing: bool,
}

/// The open connections of one task.
#[derive(Default)]
pub(crate) struct Links {
    links: HashMap<LinkId, Link>,
}

impl Links {
    /// Carries out what a machine asked for.
    pub(crate) fn command(&mut self, command: LinkCommand, operations: &Operations) {
        match command {
            LinkCommand::Connect { link, address } => self.connect(link, address, operations),
            LinkCommand::Send { link, segments } => {
                if let Some(open) = self.links.get_mut(&link) {
                    open.queue.push_back(segments);
                    write_next(link, open, operations);
                }
            }
            LinkCommand::Close { link } => self.forget(link),
        }
    }

    fn connect(&mut self, link: LinkId, address: Address, operations: &Operations) {
        let open = Link {
            address: address.clone(),
            socket: None,
            queue: VecDeque::new(),
            reading: false,
            writing: false,
        };
        self.links.insert(link, open);
        operations.push(Box::pin(async move {
            let result = Socket::connect(&address.host, address.port, CONNECT_TIMEOUT).await;
            Completion::Connected { link, result }
        }));
    }

    /// Notes that the connection is open. `false` if it was closed meanwhile.
    pub(crate) fn connected(&mut self, link: LinkId, socket: Socket) -> bool {
        match self.links.get_mut(&link) {
            Some(open) => {
                open.socket = Some(socket);
                true
            }
            None => false,
        }
    }

    /// Notes that a write ended and starts the next.
    pub(crate) fn sent(&mut self, link: LinkId, operations: &Operations) {
        if let Some(open) = self.links.get_mut(&link) {
            open.writing = false;
            write_next(link, open, operations);
        }
    }

    /// Notes that a read ended. `false` if the link was closed meanwhile.
    pub(crate) fn received(&mut self, link: LinkId) -> bool {
        match self.links.get_mut(&link) {
            Some(open) => {
                open.reading = false;
                true
            }
            None => false,
        }
    }

    /// Starts a read on every open link that has none under way and for which `space` has room.
    pub(crate) fn read_ahead(
        &mut self,
        mut space: impl FnMut(LinkId) -> Option<Space>,
        operations: &Operations,
    ) {
        for (&link, open) in &mut self.links {
            let (false, Some(socket)) = (open.reading, &open.socket) else { continue };
            let Some(space) = space(link) else { continue };
            open.reading = true;
            let socket = socket.clone();
            operations.push(Box::pin(async move {
                let filled = space.filled;
                let (bytes, result) = socket.read(space.bytes, filled).await;
                Completion::Received { link, space: Space { bytes, filled }, result }
            }));
        }
    }

    /// Closes the connection; nothing of it is reported any more.
    pub(crate) fn forget(&mut self, link: LinkId) {
        if let Some(Link { socket: Some(socket), .. }) = self.links.remove(&link) {
            socket.close();
        }
    }

    /// Where a link leads, for messages.
    pub(crate) fn address(&self, link: LinkId) -> Option<&Address> {
        self.links.get(&link).map(|open| &open.address)
    }
}

fn write_next(link: LinkId, open: &mut Link, operations: &Operations) {
    let (false, Some(socket)) = (open.writing, &open.socket) else { return };
    let Some(segments) = open.queue.pop_front() else { return };
    open.writing = true;
    let socket = socket.clone();
    operations.push(Box::pin(async move {
        Completion::Sent { link, result: socket.write(segments).await }
    }));
}
