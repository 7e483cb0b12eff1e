//! Bytes received and not yet taken: a queue of segments, read ahead of the parser.
//!
//! ```text
//!  current segment                          next segments             with the driver
//! ┌────────┬─────────┬───────────────────┐ ┌────┬───────────────────┐ ┌────┬──────────────┐
//! │ room   │ taken   │ unread ……………… tail │ │room│ received          │ │room│ being filled │
//! └────────┴─────────┴───────────────────┘ └────┴───────────────────┘ └────┴──────────────┘
//!                              tail moves into ───► room: the only bytes that are ever moved
//! ```
//!
//! A reply of MongoDB has up to 16 MB and is sent in one go after the server has worked on it. Whoever reads it only as
//! fast as it is worked on makes the server wait, so the inbox takes it in at the speed of the socket, up to
//! `read_ahead_bytes_max`. Segments are recycled; an event larger than a segment makes the current one grow, and that
//! growth is given back when the event is taken. Memory comes from a [`Loan`]: when that is refused nothing is read
//! ahead, but an event that is not whole yet may always be read on.
//!
//! The inbox does not read: the driver takes a [`Space`], fills it and gives it back.

use std::collections::VecDeque;

use crate::memory::Loan;

/// Free bytes at the front of each segment, for the tail of the one before. Bytes.
const ROOM_BYTES: usize = 16 * 1024;

/// A read of at most this part of a segment is copied behind the one before it, if it fits there.
const SMALL_READ_DIVISOR: usize = 4;

/// A buffer on its way to a socket and back: the driver writes at `filled` and reports how many bytes it wrote.
#[derive(Debug)]
pub struct Space {
    /// The whole buffer. The driver writes into `bytes[filled..]`.
    pub bytes: Vec<u8>,
    /// Bytes at the front that are not the driver's.
    pub filled: usize,
}

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    /// Invariant: `start <= end <= bytes.len()`.
    start: usize,
    end: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Inbox {
    current: Segment,
    next: VecDeque<Segment>,
    spare: Vec<Vec<u8>>,
    segment_bytes: usize,
    read_ahead_bytes_max: usize,
    /// Received bytes in `next`.
    queued_bytes: usize,
    /// Of the buffer that is with the driver; 0 while none is. Bytes.
    out_bytes: usize,
    /// Of all buffers, that one included. Bytes.
    held_bytes: usize,
    /// What the parser asked for last and did not get; else 0. Bytes that must lie together.
    wanted_bytes: usize,
    memory: Loan,
}

impl Inbox {
    /// An inbox that reads into segments of `segment_bytes` and stops when `read_ahead_bytes_max` are unread.
    /// Memory is taken as it is needed: at most `read_ahead_bytes_max` and two segments, and an event larger than that.
    /// Nobody else is asked for it; see [`Inbox::within`].
    pub fn new(segment_bytes: usize, read_ahead_bytes_max: usize) -> Self {
        Self {
            current: Segment { bytes: Vec::new(), start: 0, end: 0 },
            next: VecDeque::new(),
            spare: Vec::new(),
            segment_bytes,
            read_ahead_bytes_max,
            queued_bytes: 0,
            out_bytes: 0,
            held_bytes: 0,
            wanted_bytes: 0,
            memory: Loan::unbounded(),
        }
    }

    /// The same, with memory from `memory`. To be called before anything is read.
    pub fn within(self, memory: Loan) -> Self {
        Self { memory, ..self }
    }

    /// The unread bytes that lie together. More may follow after [`Inbox::join_next`].
    pub fn bytes(&self) -> &[u8] {
        self.current.bytes.get(self.current.start..self.current.end).unwrap_or_default()
    }

    /// All unread bytes, joined or not.
    pub fn unread_bytes(&self) -> usize {
        self.current.end - self.current.start + self.queued_bytes
    }

    /// Takes `count` bytes off the front of [`Inbox::bytes`]; never more than there are.
    pub fn consume(&mut self, count: usize) {
        self.current.start = self.current.end.min(self.current.start.saturating_add(count));
        if self.current.start == self.current.end
            && ROOM_BYTES + self.segment_bytes < self.current.bytes.capacity()
        {
            self.return_current();
        }
    }

    /// Gives back the buffer of the current segment, which holds nothing.
    fn return_current(&mut self) {
        self.held_bytes -= self.current.bytes.capacity();
        self.current = Segment { bytes: Vec::new(), start: 0, end: 0 };
        self.memory.settle(self.held_bytes);
    }

    /// Puts `wanted` unread bytes together in [`Inbox::bytes`]. `false` if as many have not arrived: wait for the
    /// socket.
    #[inline]
    pub fn gather(&mut self, wanted: usize) -> bool {
        if wanted <= self.bytes().len() {
            return true;
        }
        let is_there =
            wanted <= self.unread_bytes() && self.join_next(wanted) && wanted <= self.bytes().len();
        self.wanted_bytes = if is_there { 0 } else { wanted };
        is_there
    }

    /// Puts more bytes behind [`Inbox::bytes`], so that at least `wanted` lie together if that many were received.
    /// `false` if nothing could be added: wait for the socket.
    pub fn join_next(&mut self, wanted: usize) -> bool {
        let mut joined = false;
        while let Some(next) = self.next.pop_front() {
            self.queued_bytes -= next.end - next.start;
            self.join(next, wanted);
            joined = true;
            if wanted <= self.bytes().len() {
                break;
            }
        }
        joined
    }

    fn join(&mut self, mut next: Segment, wanted: usize) {
        let tail_bytes = self.current.end - self.current.start;
        if tail_bytes <= next.start {
            let start = next.start - tail_bytes;
            if let Some(room) = next.bytes.get_mut(start..next.start) {
                room.copy_from_slice(self.bytes());
            }
            next.start = start;
            let old = std::mem::replace(&mut self.current, next);
            self.recycle(old.bytes);
            return;
        }
        // The event is larger than the room: bring it together in a buffer that holds all of it.
        let received = next.bytes.get(next.start..next.end).unwrap_or_default();
        let mut bytes = if self.current.start == 0 && self.current.end == self.current.bytes.len() {
            self.held_bytes -= self.current.bytes.capacity();
            std::mem::take(&mut self.current.bytes)
        } else {
            let mut bytes = Vec::with_capacity(wanted.max(tail_bytes + received.len()));
            bytes.extend_from_slice(self.bytes());
            bytes
        };
        bytes.extend_from_slice(received);
        self.held_bytes += bytes.capacity();
        let end = bytes.len();
        let old = std::mem::replace(&mut self.current, Segment { bytes, start: 0, end });
        self.recycle(old.bytes);
        self.recycle(next.bytes);
    }

    /// A buffer for the socket to fill; `None` while one is out, when enough is read ahead, or when there is no memory
    /// for more than the event at the front.
    pub fn take_space(&mut self) -> Option<Space> {
        if self.out_bytes != 0 || self.read_ahead_bytes_max <= self.unread_bytes() {
            return None;
        }
        let bytes = match self.spare.pop() {
            Some(bytes) => bytes,
            None => self.new_segment()?,
        };
        self.out_bytes = bytes.capacity();
        Some(Space { bytes, filled: ROOM_BYTES })
    }

    fn new_segment(&mut self) -> Option<Vec<u8>> {
        let segment_bytes = ROOM_BYTES.saturating_add(self.segment_bytes);
        let held_bytes = self.held_bytes.saturating_add(segment_bytes);
        if !self.memory.cover(held_bytes) {
            if self.wanted_bytes.max(1) <= self.unread_bytes() {
                return None;
            }
            // The parser waits for these very bytes.
            self.memory.settle(held_bytes);
        }
        self.held_bytes = held_bytes;
        Some(vec![0; segment_bytes])
    }

    /// Takes the buffer back with `received` new bytes behind what was filled.
    pub fn give_back(&mut self, space: Space, received: usize) {
        self.out_bytes = 0;
        let end = space.filled.saturating_add(received).min(space.bytes.len());
        let start = space.filled.min(end);
        let segment = Segment { bytes: space.bytes, start, end };
        self.queued_bytes += end - start;
        if start == end || self.append_small(&segment) {
            self.recycle(segment.bytes);
        } else {
            self.next.push_back(segment);
        }
    }

    /// Copies a small read behind the segment queued last. Only happens while the parser is behind;
    /// without it many small reads would hold a segment each, far more memory than bytes received.
    fn append_small(&mut self, read: &Segment) -> bool {
        let received = read.bytes.get(read.start..read.end).unwrap_or_default();
        let Some(last) = self.next.back_mut() else { return false };
        if self.segment_bytes / SMALL_READ_DIVISOR < received.len() {
            return false;
        }
        let end = last.end + received.len();
        let Some(free) = last.bytes.get_mut(last.end..end) else { return false };
        free.copy_from_slice(received);
        last.end = end;
        true
    }

    /// Forgets everything received, as after a lost connection. A space that is out is not expected back.
    pub fn clear(&mut self) {
        self.current.start = self.current.end;
        self.wanted_bytes = 0;
        while let Some(segment) = self.next.pop_front() {
            self.recycle(segment.bytes);
        }
        self.queued_bytes = 0;
        self.held_bytes -= std::mem::take(&mut self.out_bytes);
        self.memory.settle(self.held_bytes);
    }

    /// Returns the memory that holds nothing. Costs the next read an allocation.
    pub fn release(&mut self) {
        for bytes in std::mem::take(&mut self.spare) {
            self.held_bytes -= bytes.capacity();
        }
        if self.current.start == self.current.end {
            self.return_current();
        } else {
            self.memory.settle(self.held_bytes);
        }
    }

    fn recycle(&mut self, bytes: Vec<u8>) {
        let segments_max = self.read_ahead_bytes_max / self.segment_bytes.max(1) + 2;
        // One is kept whatever the others want: else each read would ask for memory.
        let spares_max = if self.memory.is_tight() { 1 } else { segments_max };
        if bytes.len() == ROOM_BYTES + self.segment_bytes && self.spare.len() < spares_max {
            self.spare.push(bytes);
            return;
        }
        self.held_bytes -= bytes.capacity();
        self.memory.settle(self.held_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use proptest::prelude::*;

    fn receive(inbox: &mut Inbox, data: &[u8]) {
        let mut space = inbox.take_space().expect("room to read");
        space.bytes[space.filled..space.filled + data.len()].copy_from_slice(data);
        inbox.give_back(space, data.len());
    }

    #[test]
    fn reading_stops_at_the_bound_and_goes_on_after_taking() {
        let mut inbox = Inbox::new(8, 16);
        receive(&mut inbox, &[1; 8]);
        receive(&mut inbox, &[2; 8]);
        assert!(inbox.take_space().is_none());
        assert!(inbox.join_next(1));
        inbox.consume(1);
        assert!(inbox.take_space().is_some());
        assert!(inbox.take_space().is_none(), "one buffer is out at a time");
    }

    #[test]
    fn an_event_larger_than_a_segment_grows_only_for_itself() {
        let mut inbox = Inbox::new(32 * 1024, 1 << 20);
        let event: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
        for part in event.chunks(32 * 1024) {
            receive(&mut inbox, part);
        }
        assert!(inbox.join_next(event.len()));
        assert_eq!(inbox.bytes(), event);
        inbox.consume(event.len());
        receive(&mut inbox, b"after");
        assert!(inbox.join_next(5));
        assert_eq!(inbox.bytes(), b"after");
        assert_eq!(inbox.current.bytes.len(), ROOM_BYTES + 32 * 1024);
    }

    /// What the inbox really has, counted buffer by buffer.
    fn held(inbox: &Inbox) -> usize {
        let queued: usize = inbox.next.iter().map(|segment| segment.bytes.capacity()).sum();
        let spare: usize = inbox.spare.iter().map(Vec::capacity).sum();
        inbox.current.bytes.capacity() + queued + spare + inbox.out_bytes
    }

    #[test]
    fn without_memory_nothing_is_read_ahead_but_every_event_is_read_to_its_end() {
        let budget = MemoryBudget::new(0);
        let mut inbox = Inbox::new(256 * 1024, 64 << 20).within(budget.loan(0));
        receive(&mut inbox, &[1; 1024]);
        assert!(inbox.take_space().is_none(), "there is something to take first");
        assert!(inbox.gather(1));
        let event: Vec<u8> = (0..5_000_000_u32).map(|i| (i / 3) as u8).collect();
        let mut parts = event.chunks(256 * 1024);
        inbox.consume(1024);
        while !inbox.gather(event.len()) {
            receive(&mut inbox, parts.next().unwrap());
        }
        assert_eq!(inbox.bytes(), event);
        assert!(event.len() <= budget.lent_bytes());
        inbox.consume(event.len());
        receive(&mut inbox, b"after");
        assert!(inbox.gather(5));
        assert!(budget.lent_bytes() <= 1 << 20, "the event's memory is returned");
    }

    #[test]
    fn rest_returns_what_holds_nothing() {
        let budget = MemoryBudget::new(1 << 20);
        let mut inbox = Inbox::new(32 * 1024, 1 << 20).within(budget.loan(0));
        for _ in 0..8 {
            receive(&mut inbox, &[1; 32 * 1024]);
        }
        while inbox.join_next(1) {
            inbox.consume(inbox.bytes().len());
        }
        assert_ne!(budget.lent_bytes(), 0);
        inbox.release();
        assert_eq!((budget.lent_bytes(), inbox.held_bytes), (0, 0));
        receive(&mut inbox, b"kept");
        inbox.join_next(4);
        inbox.release();
        assert_eq!(inbox.bytes(), b"kept");
    }

    #[test]
    fn many_small_reads_share_a_segment_while_the_parser_is_behind() {
        let mut inbox = Inbox::new(1_000, 1 << 20);
        let data: Vec<u8> = (0..10_000_u32).map(|i| (i / 7) as u8).collect();
        for part in data.chunks(10) {
            receive(&mut inbox, part);
        }
        assert!(inbox.next.len() <= 11, "{} segments for 10 kB", inbox.next.len());
        let mut taken = Vec::new();
        while inbox.join_next(1) {
            taken.extend_from_slice(inbox.bytes());
            inbox.consume(inbox.bytes().len());
        }
        assert!(taken == data);
    }

    #[test]
    fn clearing_forgets_every_byte() {
        let mut inbox = Inbox::new(8, 64);
        receive(&mut inbox, b"abc");
        inbox.join_next(1);
        receive(&mut inbox, b"def");
        inbox.clear();
        assert_eq!(inbox.unread_bytes(), 0);
        assert!(!inbox.join_next(1));
        receive(&mut inbox, b"new");
        assert!(inbox.join_next(3));
        assert_eq!(inbox.bytes(), b"new");
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in_however_they_are_cut(
            data in proptest::collection::vec(any::<u8>(), 0..60_000),
            cuts in proptest::collection::vec((1_usize..20_000, 1_usize..40_000), 1..40),
        ) {
            let mut inbox = Inbox::new(20_000, usize::MAX);
            let (mut sent, mut taken) = (0, Vec::new());
            for (receive_bytes, take_bytes) in cuts.iter().copied().cycle().take(10_000) {
                if sent == data.len() && inbox.unread_bytes() == 0 { break; }
                let part = &data[sent..data.len().min(sent + receive_bytes)];
                sent += part.len();
                if !part.is_empty() { receive(&mut inbox, part); }
                let take_bytes = take_bytes.min(inbox.unread_bytes());
                if inbox.bytes().len() < take_bytes { inbox.join_next(take_bytes); }
                prop_assert!(take_bytes <= inbox.bytes().len());
                taken.extend_from_slice(&inbox.bytes()[..take_bytes]);
                inbox.consume(take_bytes);
                prop_assert_eq!(inbox.held_bytes, held(&inbox));
            }
            prop_assert!(taken == data);
        }
    }
}
