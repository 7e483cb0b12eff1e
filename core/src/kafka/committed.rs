//! What counts in a partition: records outside of transactions, and those of transactions that were committed.
//!
//! ```text
//!  7: 0-3 │ none: 4 │ 9: 5 │ 7: 6-8 │ marker of 7: abort 9 │ 7: 10 │ …   7 and 9 are producers in transactions
//!  skipped   counts   counts  skipped                         counts     aborted: 7 from 0 on
//! ```
//!
//! A broker that is asked for [`Isolation::Committed`] ends its answer before the oldest transaction that is open,
//! and names those among the rest that were aborted, by where they began; each ends at the marker of its producer.
//! Markers are no records but have offsets (KIP-98).
//!
//! [`Isolation::Committed`]: crate::kafka::api::fetch::Isolation::Committed

use std::collections::BTreeSet;

use crate::kafka::api::fetch::Fetched;
use crate::kafka::batch_reader::{BatchError, Record, RecordBatch, RecordBatches};
use crate::kafka::wire::{FRAME_BYTES_MAX, Reader, WireError};

/// The type of a marker, behind the version of its key.
const ABORT: i16 = 0;

/// Hands each record from offset `next` on to `take`, and moves `next` behind each batch that was read. Compressed
/// records are read back into `room`.
///
/// # Errors
/// When a batch is not one. What lies before it was handed out, and `next` stands at it.
pub fn read_committed(
    fetched: &Fetched<'_>,
    next: &mut i64,
    room: &mut Vec<u8>,
    mut take: impl FnMut(Record<'_>),
) -> Result<(), BatchError> {
    let mut aborting = BTreeSet::new();
    let mut to_come = fetched.aborted.clone();
    for batch in RecordBatches::new(fetched.records) {
        let batch = batch?;
        let begins_later = to_come.extract_if(.., |one| one.first_offset < batch.next_offset());
        aborting.extend(begins_later.map(|one| one.producer_id));
        if batch.is_control() {
            if is_abort(&batch, room)? {
                aborting.remove(&batch.producer_id);
            }
        } else if !batch.is_transactional() || !aborting.contains(&batch.producer_id) {
            for record in batch.records(room, FRAME_BYTES_MAX)? {
                let record = record?;
                // A batch is sent whole, from its beginning.
                if *next <= record.offset {
                    take(record);
                }
            }
        }
        *next = batch.next_offset().max(*next);
    }
    Ok(())
}

/// Whether a batch of control holds the end of a transaction that was aborted. Compaction may have emptied it.
fn is_abort(batch: &RecordBatch<'_>, room: &mut Vec<u8>) -> Result<bool, BatchError> {
    let Some(marker) = batch.records(room, FRAME_BYTES_MAX)?.next() else { return Ok(false) };
    let mut key = Reader::new(marker?.key.ok_or(WireError::Length { declared: -1 })?);
    let _version = key.i16()?;
    Ok(key.i16()? == ABORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::api::fetch::Aborted;
    use crate::kafka::batch::{BatchBuilder, CRC_COVERS_FROM, Stamp};
    use crate::kafka::errors::ErrorCode;

    const TRANSACTION: u8 = 0x10;
    const CONTROL: u8 = 0x30;
    const COMMIT: i16 = 1;

    /// Grows by batches as a broker stores them.
    #[derive(Default)]
    struct Log(Vec<u8>, i64);

    impl Log {
        fn batch(&mut self, producer_id: i64, attributes: u8, keys: &[&[u8]]) {
            let mut builder = BatchBuilder::new(Vec::new());
            for key in keys {
                builder.append_null(Some(key), 1);
            }
            let mut bytes =
                builder.seal(Stamp { producer_id, epoch: 0, sequence: 0 }).bytes().to_vec();
            bytes[..8].copy_from_slice(&self.1.to_be_bytes());
            bytes[22] = attributes;
            let crc = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            self.0.extend_from_slice(&bytes);
            self.1 += keys.len() as i64;
        }

        fn marker(&mut self, producer_id: i64, kind: i16) {
            let key = [[0, 0], kind.to_be_bytes()].concat();
            self.batch(producer_id, CONTROL, &[&key]);
        }

        fn read(&self, aborted: &[(i64, i64)], from: i64) -> (Vec<String>, i64) {
            let aborted = aborted
                .iter()
                .map(|&(producer_id, first_offset)| Aborted { producer_id, first_offset });
            let (error, aborted) = (ErrorCode::NONE, aborted.collect());
            let fetched = Fetched { partition: 0, error, aborted, records: &self.0 };
            let (mut next, mut seen) = (from, Vec::new());
            let text = |key: Option<&[u8]>| String::from_utf8(key.unwrap().to_vec()).unwrap();
            read_committed(&fetched, &mut next, &mut Vec::new(), |record| {
                seen.push(text(record.key));
            })
            .unwrap();
            (seen, next)
        }
    }

    fn log() -> Log {
        let mut log = Log::default();
        log.batch(7, TRANSACTION, &[b"a0", b"a1"]);
        log.batch(-1, 0, &[b"plain"]);
        log.batch(9, TRANSACTION, &[b"c"]);
        log.batch(7, TRANSACTION, &[b"a2"]);
        log.marker(7, ABORT);
        log.marker(9, COMMIT);
        log.batch(7, TRANSACTION, &[b"again"]);
        log.marker(7, COMMIT);
        log.batch(9, TRANSACTION, &[b"late"]);
        log.marker(9, ABORT);
        log
    }

    #[test]
    fn what_was_aborted_does_not_count_and_markers_have_offsets() {
        let aborted = [(9, 9), (7, 0)];
        let seen = ["plain", "c", "again"].map(str::to_owned).to_vec();
        assert_eq!(log().read(&aborted, 0), (seen, 11));
    }

    #[test]
    fn reading_begins_in_the_midst_of_a_batch() {
        let mut log = Log::default();
        log.batch(-1, 0, &[b"0", b"1", b"2"]);
        assert_eq!(log.read(&[], 2), (vec!["2".to_owned()], 3));
        assert_eq!(log.read(&[], 3), (vec![], 3));
    }

    #[test]
    fn a_producer_outside_of_transactions_is_not_skipped_for_its_aborted_ones() {
        let mut log = Log::default();
        log.batch(7, 0, &[b"0"]);
        assert_eq!(log.read(&[(7, 0)], 0).0, ["0"]);
    }

    #[test]
    fn what_is_cut_is_left_for_the_next_answer_and_what_was_altered_is_refused() {
        let mut log = log();
        let whole = log.0.len();
        log.0.truncate(whole - 1);
        assert_eq!(log.read(&[(9, 9), (7, 0)], 0).1, 10);
        let at = whole - 20;
        log.0.push(0);
        log.0[at] ^= 1;
        let fetched =
            Fetched { partition: 0, error: ErrorCode::NONE, aborted: Vec::new(), records: &log.0 };
        let mut next = 0;
        let error = read_committed(&fetched, &mut next, &mut Vec::new(), |_| {}).unwrap_err();
        assert!(matches!(error, BatchError::Crc { .. }), "{error}");
        assert_eq!(next, 10);
    }
}
