//! The tape: replies of a change stream as a mongod sent them, kept in memory to be played again and again.
//!
//! ```text
//! mongod ─► raw_stream ─► Tape ─► file ─► replay server        whole OP_MSG messages, one behind the other
//!                           └─► judge                          the same events, to compare records with
//!
//! played    reply 1, reply 2, … reply n, reply 1, …            only request ids and answered ids change
//! ```
//!
//! Nothing inside of a document is changed: the events of every turn have the same resume tokens and cluster times.
//! Whoever plays a tape plays whole replies.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};

use crate::raw_stream::{
    self, BEFORE_DOCUMENT_BYTES, Batch, FLAG_MORE_TO_COME, HEADER_BYTES, RawStream, Watched,
};

/// Replies with events, in the order of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tape {
    replies: Vec<Reply>,
}

/// One message and how many events are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reply {
    message: Vec<u8>,
    events: u64,
}

/// How much is played of a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Messages, over all turns.
    pub(crate) replies: u64,
    /// Events in them.
    pub(crate) events: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

impl Tape {
    /// Reads `events` events of a stream that has so many. Its first reply, which answers another command, is no part
    /// of the tape.
    ///
    /// # Errors
    /// When the server is not reached, or no event comes for `idle_max`.
    pub(crate) fn capture(watched: &Watched<'_>, events: u64, idle_max: Duration) -> Result<Self> {
        let mut stream = RawStream::open(watched, idle_max)?;
        let mut seen = count_events(stream.reply())?;
        let (mut replies, mut news) = (Vec::new(), Instant::now());
        while seen < events {
            stream.advance().with_context(|| format!("captured {seen} of {events} events"))?;
            let count = count_events(stream.reply())?;
            if count != 0 {
                let message = raw_stream::message([0, 0], FLAG_MORE_TO_COME, stream.reply());
                replies.push(Reply { message, events: count });
                (seen, news) = (seen + count, Instant::now());
            }
            ensure!(news.elapsed() < idle_max, "the stream ends after {seen} of {events} events");
        }
        Self::of(replies)
    }

    /// Replies with these events, `events_each` in every one but the last.
    pub(crate) fn of_events(events: &[Document], events_each: usize) -> Result<Self> {
        let reply = |events: &[Document]| {
            let token = doc! { "_data": "82" };
            let cursor = doc! { "nextBatch": events.to_vec(), "id": 9_i64, "ns": "d.c", "postBatchResumeToken": token };
            let reply = doc! { "cursor": cursor, "ok": 1.0 }.to_vec()?;
            let message = raw_stream::message([0, 0], FLAG_MORE_TO_COME, &reply);
            Ok(Reply { message, events: events.len() as u64 })
        };
        Self::of(events.chunks(events_each.max(1)).map(reply).collect::<Result<_>>()?)
    }

    fn of(replies: Vec<Reply>) -> Result<Self> {
        ensure!(!replies.is_empty(), "there is no reply with events to be played");
        Ok(Self { replies })
    }

    /// Writes the messages into a file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> =
            self.replies.iter().flat_map(|reply| &reply.message).copied().collect();
        std::fs::write(path, bytes).with_context(|| format!("could not write {}", path.display()))
    }

    /// Reads what [`Tape::write`] has written.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path);
        let bytes = bytes.with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no tape", path.display()))
    }

    fn parse(mut bytes: &[u8]) -> Result<Self> {
        let mut replies = Vec::new();
        while let Some(length) = bytes.first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            ensure!(HEADER_BYTES + BEFORE_DOCUMENT_BYTES < length, "a message is too short");
            let (message, rest) = bytes.split_at_checked(length).context("a message is cut")?;
            let events = count_events(&message[HEADER_BYTES + BEFORE_DOCUMENT_BYTES..])?;
            ensure!(events != 0, "a message has no events");
            replies.push(Reply { message: message.to_vec(), events });
            bytes = rest;
        }
        ensure!(bytes.is_empty(), "a message is cut");
        Self::of(replies)
    }

    /// As many whole replies as hold `events_min` events.
    pub(crate) fn covering(&self, events_min: u64) -> Extent {
        let mut extent = Extent { replies: 0, events: 0, bytes: 0 };
        for reply in self.replies.iter().cycle() {
            if events_min <= extent.events {
                break;
            }
            extent.replies += 1;
            extent.events += reply.events;
            extent.bytes += reply.message.len() as u64;
        }
        extent
    }

    /// Events of one turn.
    pub(crate) fn events_per_turn(&self) -> u64 {
        self.replies.iter().map(|reply| reply.events).sum()
    }

    /// The messages, to be sent after [`address_message`] has been told what they answer.
    pub(crate) fn into_messages(self) -> Vec<Vec<u8>> {
        self.replies.into_iter().map(|reply| reply.message).collect()
    }

    /// The events of one turn, each as the bytes of its document.
    pub(crate) fn events(&self) -> Result<Vec<&[u8]>> {
        let mut events = Vec::new();
        for reply in &self.replies {
            let document = &reply.message[HEADER_BYTES + BEFORE_DOCUMENT_BYTES..];
            for event in Batch::parse(document)?.events() {
                events.push(event?);
            }
        }
        Ok(events)
    }
}

/// Gives a message its id and that of the message that it answers, and says whether more follow unasked.
pub(crate) fn address_message(message: &mut [u8], ids: [i32; 2], flags: u32) {
    message[4..8].copy_from_slice(&ids[0].to_le_bytes());
    message[8..12].copy_from_slice(&ids[1].to_le_bytes());
    message[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&flags.to_le_bytes());
}

fn count_events(reply: &[u8]) -> Result<u64> {
    let mut count = 0;
    for event in Batch::parse(reply)?.events() {
        event?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tape of `events`, so many in each reply.
    pub(crate) fn tape_of(events: &[Vec<u8>], events_each: usize) -> Tape {
        let read = |event: &Vec<u8>| Document::from_reader(&**event).expect("a document");
        let events: Vec<_> = events.iter().map(read).collect();
        Tape::of_events(&events, events_each).expect("replies")
    }

    /// A tape of so many replies with so many inserts each, numbered from 0.
    pub(crate) fn tape(replies: u64, events_each: u64) -> Tape {
        let event = |number: u64| {
            let id = number as i64;
            let event = doc! { "_id": { "_data": format!("82{number:08X}") }, "operationType": "insert",
            "fullDocument": { "_id": id, "a": "x" }, "ns": { "db": "d", "coll": "c" },
            "documentKey": { "_id": id } };
            event.to_vec().expect("encodes")
        };
        let events: Vec<_> = (0..replies * events_each).map(event).collect();
        tape_of(&events, events_each as usize)
    }

    #[test]
    fn a_tape_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tape");
        let tape = tape(3, 5);
        tape.write(&path).expect("written");
        assert_eq!(Tape::read(&path).expect("read"), tape);
        let bytes = std::fs::read(&path).expect("there");
        for end in 1..bytes.len() {
            let cut = Tape::parse(&bytes[..end]);
            let whole = cut.map_or(0, |cut| cut.replies.iter().map(|r| r.message.len()).sum());
            assert!(whole == 0 || whole == end, "{end}");
        }
        assert!(Tape::parse(&[]).is_err());
    }

    #[test]
    fn whole_replies_are_played_until_there_are_enough_events() {
        let tape = tape(3, 5);
        assert_eq!(tape.events_per_turn(), 15);
        let replies = |events| {
            let Extent { replies, events, .. } = tape.covering(events);
            (replies, events)
        };
        assert_eq!([replies(1), replies(15), replies(16)], [(1, 5), (3, 15), (4, 20)]);
        let turn = tape.covering(15).bytes;
        assert_eq!(tape.covering(30).bytes, 2 * turn);
    }

    #[test]
    fn the_events_of_a_turn_are_those_of_all_replies_in_order() {
        let tape = tape(2, 3);
        let events = tape.events().expect("whole");
        let keys: Vec<i64> = events
            .iter()
            .map(|event| raw_stream::document_key(event).expect("a key"))
            .map(|key| Document::from_reader(key).expect("a document").get_i64("_id").expect("id"))
            .collect();
        assert_eq!(keys, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_addressed_message_differs_in_nothing_else() {
        let [mut message] = <[_; 1]>::try_from(tape(1, 2).into_messages()).expect("one");
        let before = message.clone();
        address_message(&mut message, [7, 300], 0);
        assert_eq!(message[4..12], [7, 0, 0, 0, 44, 1, 0, 0]);
        assert_eq!(message[16..20], [0; 4]);
        assert_eq!(
            (&message[..4], &message[12..16], &message[20..]),
            (&before[..4], &before[12..16], &before[20..])
        );
    }
}
