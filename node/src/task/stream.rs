//! A change stream joined to its sockets, without a pipeline: for who only reads it, or only looks whether it opens.

use std::time::Instant;

use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use millrace_core::inbox::Space;
use millrace_core::link::{LinkId, LinkIds};
use millrace_core::mongo::session::{ResumePosition, Session, SessionConfig, SessionError};
use millrace_io::clock;
use millrace_io::driver::Driver;

use super::links::{Completion, Encryption, Links, Machine, Operations};

/// See the module.
pub(super) struct Stream {
    pub(super) session: Session,
    ids: LinkIds,
    links: Links,
    operations: Operations,
}

impl Stream {
    /// No connection yet.
    pub(super) fn new(
        config: SessionConfig,
        start: ResumePosition,
        (driver, encryption): (Driver, Encryption),
    ) -> Self {
        Self {
            session: Session::new(config, start, clock::now()),
            ids: LinkIds::default(),
            links: Links::new(driver, encryption),
            operations: Operations::new(),
        }
    }

    /// Does what the session asks for, and reads wherever there is room.
    pub(super) fn carry_out(&mut self) {
        while let Some(command) = self.session.poll(&mut self.ids, clock::now()) {
            self.links.command(command, &self.operations);
        }
        self.links.read_ahead(&mut self.session, &self.operations);
    }

    /// Takes in all that has ended, without waiting for more.
    pub(super) fn complete_what_ended(&mut self) -> Result<(), SessionError> {
        while let Some(Some(completion)) = self.operations.next().now_or_never() {
            self.complete(completion)?;
            self.links.read_ahead(&mut self.session, &self.operations);
        }
        Ok(())
    }

    /// Waits until something happens.
    pub(super) async fn wait(&mut self) -> Result<(), SessionError> {
        tokio::select! {
            Some(completion) = self.operations.next() => self.complete(completion),
            () = clock::wait_until(self.session.deadline()) => {
                self.session.handle_timeout(clock::now())
            }
        }
    }

    fn complete(&mut self, completion: Completion) -> Result<(), SessionError> {
        match completion {
            Completion::Link(ended) => {
                self.links.settle(ended, &mut self.session, &self.operations, clock::now())
            }
            Completion::Stored { .. } | Completion::Sealed { .. } | Completion::SealLost { .. } => {
                Ok(())
            }
        }
    }
}

impl Machine for Session {
    type Error = SessionError;

    fn take_space(&mut self, link: LinkId) -> Option<Space> {
        self.inbox(link)?.take_space()
    }

    fn connected(&mut self, link: LinkId, now: Instant) -> Result<(), SessionError> {
        self.handle_connected(link, rand::random(), now)
    }

    fn received(
        &mut self,
        link: LinkId,
        space: Space,
        count: usize,
        _now: Instant,
    ) -> Result<(), SessionError> {
        if let Some(inbox) = self.inbox(link) {
            inbox.give_back(space, count);
        }
        Ok(())
    }

    fn closed(&mut self, link: LinkId, reason: &str, now: Instant) -> Result<(), SessionError> {
        self.handle_closed(link, reason, now)
    }
}
