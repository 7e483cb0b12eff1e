//! Says which resume token may be stored: the newest whose events are all acknowledged.
//!
//! Events are numbered from 1 as they are taken from the stream. Batches of several partitions are open at a time and
//! are acknowledged in any order.
//!
//! ```text
//! events      1 2 3 4 5 6 7 8 9 …
//! batch A     ■ ■   ■                  first event 1, acknowledged
//! batch B         ■   ■ ■              first event 3, in flight   ◄── everything before 3 is safe
//! batch C                 ■ ■          first event 7, acknowledged
//! marks         ▲     ▲     ▲          (event 2, token) is safe; (5, …) and (8, …) wait for B
//! ```
//!
//! A batch opened later has a later first event, so the first batch that is not acknowledged bounds what is safe.
//! Events that make no record (filtered, no topic) need nothing but their number.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::format::token::{
    TokenError, write_heartbeat_offset_value, write_offset_gaps, write_offset_value,
};
use crate::gaps::Gap;
use crate::kafka::BatchId;
use crate::mongo::watch::token_time;

/// A position that may be stored, a resume token or how far a copy is: every event up to it is acknowledged by Kafka
/// or makes no record.
///
/// Only [`Progress`] makes one, so storing a token too early does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeToken {
    token: Vec<u8>,
    by_heartbeat: bool,
    gaps: Option<Arc<str>>,
}

impl SafeToken {
    /// The position as raw BSON.
    pub fn as_bytes(&self) -> &[u8] {
        &self.token
    }

    /// The cluster time of the position, in seconds since the Unix epoch; a copy's has none.
    pub fn cluster_time(&self) -> Option<u32> {
        token_time(&self.token).map(|(seconds, _)| seconds)
    }

    /// Whether a heartbeat carried it to Kafka, which its position says.
    pub fn is_by_heartbeat(&self) -> bool {
        self.by_heartbeat
    }

    /// The value of Kafka Connect's offset that says all this.
    ///
    /// # Errors
    /// [`TokenError`] if the position is not one that can be stored.
    pub fn offset_value(&self) -> Result<Vec<u8>, TokenError> {
        let mut value = Vec::new();
        let write =
            if self.by_heartbeat { write_heartbeat_offset_value } else { write_offset_value };
        write(&self.token, &mut value)?;
        if let Some(gaps) = &self.gaps {
            write_offset_gaps(gaps, &mut value);
        }
        Ok(value)
    }
}

#[derive(Debug)]
struct Outstanding {
    batch: BatchId,
    first_event: u64,
    /// When the change of its first record was made.
    made_at_ms: Option<i64>,
    acknowledged: bool,
}

#[derive(Debug)]
struct Mark {
    /// The token covers every event up to this one.
    event: u64,
    token: Vec<u8>,
    by_heartbeat: bool,
    /// What was skipped before it.
    gaps: Option<Arc<str>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Progress {
    /// Number of the last event taken.
    event: u64,
    /// In the order of opening; the front is never acknowledged.
    batches: VecDeque<Outstanding>,
    /// In the order of events.
    marks: VecDeque<Mark>,
    /// Token buffers to use again.
    spare: Vec<Vec<u8>>,
    /// Number and token of the last heartbeat; number 0: none.
    heartbeat: (u64, Vec<u8>),
    /// The record of gaps that every mark carries from now on.
    gaps: Option<Arc<str>>,
}

impl Progress {
    /// Goes on with the record of gaps that was stored.
    pub fn with_gaps(gaps: Option<String>) -> Self {
        Self { gaps: gaps.map(Arc::from), ..Self::default() }
    }

    /// Notes that something was skipped behind the event taken last. Positions marked later say so.
    pub fn gap(&mut self, gap: &Gap) {
        let record = gap.added_to(self.gaps.as_deref().unwrap_or_default());
        self.gaps = Some(Arc::from(record));
    }

    /// Counts one event taken from the stream.
    pub fn event_taken(&mut self) {
        self.event += 1;
    }

    /// Events taken so far.
    pub fn events(&self) -> u64 {
        self.event
    }

    /// The record of the event taken last opened `batch`. Batches open in the order of their ids. `made_at_ms` says
    /// when that change was made, in milliseconds since the Unix epoch.
    pub fn batch_opened(&mut self, batch: BatchId, made_at_ms: Option<i64>) {
        debug_assert!(self.batches.back().is_none_or(|last| last.batch < batch));
        let first_event = self.event;
        self.batches.push_back(Outstanding { batch, first_event, made_at_ms, acknowledged: false });
    }

    /// When the oldest change in `batch` was made, as it was told when the batch was opened. `None` too if the batch is
    /// acknowledged, or none of ours.
    pub fn made_at_ms(&self, batch: BatchId) -> Option<i64> {
        self.batches.get(self.place(batch)?)?.made_at_ms
    }

    fn place(&self, batch: BatchId) -> Option<usize> {
        self.batches.binary_search_by_key(&batch, |outstanding| outstanding.batch).ok()
    }

    /// Notes that `token` (raw BSON) stands behind the event taken last. Nothing new if that is a
    /// heartbeat with the same token.
    pub fn mark(&mut self, token: &[u8]) {
        let (event, of_heartbeat) = &self.heartbeat;
        if *event != self.event || self.event == 0 || of_heartbeat != token {
            self.mark_by(token, false);
        }
    }

    /// Notes that the event taken last is a heartbeat, which carries `token` (raw BSON).
    pub fn mark_heartbeat(&mut self, token: &[u8]) {
        self.heartbeat.0 = self.event;
        self.heartbeat.1.clear();
        self.heartbeat.1.extend_from_slice(token);
        self.mark_by(token, true);
    }

    fn mark_by(&mut self, token: &[u8], by_heartbeat: bool) {
        let mut buffer = match self.marks.back_mut() {
            Some(last) if last.event == self.event => {
                last.by_heartbeat = by_heartbeat;
                last.gaps.clone_from(&self.gaps);
                last.token.clear();
                last.token.extend_from_slice(token);
                return;
            }
            Some(_) | None => self.spare.pop().unwrap_or_default(),
        };
        buffer.clear();
        buffer.extend_from_slice(token);
        let gaps = self.gaps.clone();
        self.marks.push_back(Mark { event: self.event, token: buffer, by_heartbeat, gaps });
    }

    /// Notes that every record of `batch` is acknowledged. `false` if it is none of ours.
    pub fn acknowledged(&mut self, batch: BatchId) -> bool {
        let Some(at) = self.place(batch) else { return false };
        if let Some(outstanding) = self.batches.get_mut(at) {
            outstanding.acknowledged = true;
        }
        while self.batches.front().is_some_and(|first| first.acknowledged) {
            self.batches.pop_front();
        }
        true
    }

    /// Whether [`Progress::take_safe_token`] has something to return.
    pub fn has_safe_token(&self) -> bool {
        self.marks.front().is_some_and(|mark| mark.event < self.unsafe_from())
    }

    /// The newest token that may be stored, if there is a newer one than was last returned.
    pub fn take_safe_token(&mut self) -> Option<SafeToken> {
        let unsafe_from = self.unsafe_from();
        let mut newest: Option<Mark> = None;
        while self.marks.front().is_some_and(|mark| mark.event < unsafe_from) {
            let mark = self.marks.pop_front()?;
            if let Some(older) = newest.replace(mark) {
                self.spare.push(older.token);
            }
        }
        let mark = newest?;
        let by_heartbeat = mark.by_heartbeat;
        let token = SafeToken { token: mark.token.clone(), by_heartbeat, gaps: mark.gaps };
        self.spare.push(mark.token);
        Some(token)
    }

    /// Whether every event taken is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.batches.is_empty()
    }

    /// The first event that is not known to be acknowledged.
    fn unsafe_from(&self) -> u64 {
        self.batches.front().map_or(u64::MAX, |first| first.first_event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(number: u64) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    fn safe_event(progress: &mut Progress) -> Option<u64> {
        let token = progress.take_safe_token()?;
        Some(u64::from_be_bytes(token.as_bytes().try_into().unwrap()))
    }

    #[test]
    fn a_token_waits_for_the_oldest_batch_before_it() {
        let mut progress = Progress::default();
        for (event, batch) in [(1, Some(1)), (2, None), (3, Some(2)), (4, None), (5, Some(3))] {
            progress.event_taken();
            if let Some(batch) = batch {
                progress.batch_opened(BatchId(batch), None);
            }
            progress.mark(&token(event));
        }
        assert_eq!(safe_event(&mut progress), None);
        assert!(progress.acknowledged(BatchId(3)));
        assert_eq!(safe_event(&mut progress), None, "batch 1 is still out");
        assert!(progress.acknowledged(BatchId(1)));
        assert_eq!(safe_event(&mut progress), Some(2), "batch 2 begins with event 3");
        assert!(progress.acknowledged(BatchId(2)));
        assert_eq!(safe_event(&mut progress), Some(5));
        assert!(progress.is_settled());
        assert_eq!(safe_event(&mut progress), None, "a token is given out once");
    }

    #[test]
    fn the_opening_position_and_idle_positions_are_safe_without_a_record() {
        let mut progress = Progress::default();
        progress.mark(&token(0));
        assert_eq!(safe_event(&mut progress), Some(0));
        progress.mark(&token(1));
        progress.mark(&token(2));
        assert_eq!(safe_event(&mut progress), Some(2), "the newer mark of the same event counts");
    }

    #[test]
    fn the_position_of_a_heartbeat_says_so_until_another_token_comes() {
        let mut progress = Progress::default();
        progress.event_taken();
        progress.batch_opened(BatchId(1), None);
        progress.mark_heartbeat(&token(1));
        progress.mark(&token(1));
        assert!(progress.take_safe_token().is_none(), "it waits for its record");
        progress.acknowledged(BatchId(1));
        assert!(progress.take_safe_token().is_some_and(|token| token.is_by_heartbeat()));
        progress.mark(&token(1));
        assert!(progress.take_safe_token().is_none(), "stored already");
        progress.mark(&token(2));
        assert!(progress.take_safe_token().is_some_and(|token| !token.is_by_heartbeat()));
        progress.event_taken();
        progress.mark(&token(1));
        assert!(progress.take_safe_token().is_some_and(|token| !token.is_by_heartbeat()));
    }

    #[test]
    fn a_gap_is_carried_by_the_positions_behind_it_and_no_other() {
        let gap = |from| Gap { from: Some(from), to: None, policy: "now", reason: String::new() };
        let mut progress = Progress::with_gaps(Some("1..2 now".to_owned()));
        let position = |n: u8| bson::doc! { "_data": n.to_string() }.to_vec().unwrap();
        let value = |progress: &mut Progress| {
            String::from_utf8(progress.take_safe_token().unwrap().offset_value().unwrap()).unwrap()
        };
        progress.mark(&position(1));
        let before = r#"{"_id":"{\"_data\": \"1\"}","millrace.gaps":"1..2 now"}"#;
        assert_eq!(value(&mut progress), before);
        progress.event_taken();
        progress.batch_opened(BatchId(1), None);
        progress.mark(&position(2));
        progress.gap(&gap(7));
        progress.event_taken();
        progress.mark_heartbeat(&position(3));
        assert!(progress.take_safe_token().is_none(), "the gap waits for what is before it");
        progress.acknowledged(BatchId(1));
        let behind = r#"{"_id":"{\"_data\": \"3\"}","HEARTBEAT":"true","millrace.gaps":"1..2 now, 7..? now"}"#;
        assert_eq!(value(&mut progress), behind);
    }

    #[test]
    fn the_age_of_a_batch_is_known_until_it_is_acknowledged() {
        let mut progress = Progress::default();
        for (batch, made_at_ms) in [(1, Some(10)), (2, None), (3, Some(30))] {
            progress.event_taken();
            progress.batch_opened(BatchId(batch), made_at_ms);
        }
        let ages = |progress: &Progress| [1, 2, 3].map(|id| progress.made_at_ms(BatchId(id)));
        assert_eq!(ages(&progress), [Some(10), None, Some(30)]);
        progress.acknowledged(BatchId(1));
        assert_eq!(ages(&progress), [None, None, Some(30)]);
    }

    #[test]
    fn an_unknown_batch_changes_nothing() {
        let mut progress = Progress::default();
        progress.event_taken();
        progress.batch_opened(BatchId(7), None);
        assert!(!progress.acknowledged(BatchId(8)));
        assert!(!progress.is_settled());
    }

    proptest! {
        #[test]
        fn no_token_is_ever_ahead_of_an_unacknowledged_event(
            steps in proptest::collection::vec((0_u8..4, 0_usize..8), 1..300)
        ) {
            let mut progress = Progress::default();
            let mut batch_of_event: Vec<Option<u64>> = Vec::new();
            let mut open: Vec<u64> = Vec::new();
            let mut unacknowledged: Vec<u64> = Vec::new();
            let mut next_batch = 0;
            for (step, pick) in steps {
                match step {
                    0 => {
                        progress.event_taken();
                        next_batch += 1;
                        progress.batch_opened(BatchId(next_batch), None);
                        open.push(next_batch);
                        unacknowledged.push(next_batch);
                        batch_of_event.push(Some(next_batch));
                    }
                    1 => {
                        progress.event_taken();
                        batch_of_event.push(open.get(pick % open.len().max(1)).copied());
                    }
                    2 => progress.mark(&token(batch_of_event.len() as u64)),
                    _ => if !unacknowledged.is_empty() {
                        let batch = unacknowledged.remove(pick % unacknowledged.len());
                        open.retain(|other| *other != batch);
                        progress.acknowledged(BatchId(batch));
                    }
                }
                if let Some(event) = safe_event(&mut progress) {
                    for batch in batch_of_event[..event as usize].iter().flatten() {
                        prop_assert!(!unacknowledged.contains(batch), "event {event}, batch {batch}");
                    }
                }
            }
        }
    }
}
