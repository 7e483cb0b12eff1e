//! What targets share: bytes of a peer, received in reads of one size.

use millrace_core::inbox::Inbox;

/// What a peer says, and how it is cut on its way.
#[derive(Debug)]
pub struct Wire<'a> {
    read_bytes_max: usize,
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    /// The first byte of `input` says how many bytes a read has, the others are received; `None` of nothing.
    pub fn new(input: &'a [u8]) -> Option<Self> {
        let (cut, rest) = input.split_first()?;
        Some(Self { read_bytes_max: usize::from(*cut) + 1, rest })
    }

    /// Receives one read; `None`: everything was received, or the inbox takes no more.
    pub fn receive(&mut self, inbox: &mut Inbox) -> Option<()> {
        let mut space = inbox.take_space()?;
        let free = space.bytes.get_mut(space.filled..)?;
        let read = self.rest.len().min(self.read_bytes_max).min(free.len());
        let (front, rest) = self.rest.split_at(read);
        free[..read].copy_from_slice(front);
        self.rest = rest;
        inbox.give_back(space, read);
        (read != 0).then_some(())
    }
}
