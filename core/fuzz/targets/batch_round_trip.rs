//! Batches: what is built is read back the same, with every codec; any bytes are read as batches or are an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_core::kafka::batch::{BatchBuilder, Stamp};
use millrace_core::kafka::batch_reader::RecordBatches;
use millrace_core::kafka::codec::{Compression, Compressor};

/// Of what compressed records may hold.
const RECORDS_BYTES_MAX: usize = 1 << 20;

/// Cuts the input into records: a length byte, a flag byte, then as many bytes.
fn records(mut bytes: &[u8]) -> Vec<(Option<&[u8]>, Option<&[u8]>, i64)> {
    let mut records = Vec::new();
    while let [length, flags, rest @ ..] = bytes {
        let (value, after) = rest.split_at(rest.len().min(usize::from(*length)));
        let key = (flags & 1 != 0).then(|| &value[..value.len() / 2]);
        let timestamp_ms = i64::from(*flags).wrapping_mul(i64::from(*length) << 40);
        records.push((key, (flags & 2 != 0).then_some(value), timestamp_ms));
        bytes = after;
    }
    records
}

fuzz_target!(|bytes: &[u8]| {
    for batch in RecordBatches::new(bytes) {
        let Ok(batch) = batch else { break };
        if let Ok(records) = batch.records(&mut Vec::new(), RECORDS_BYTES_MAX) {
            for record in records {
                if record.is_err() {
                    break;
                }
            }
        }
    }
    let records = records(bytes);
    if records.is_empty() {
        return;
    }
    let codecs = [
        Compression::None,
        Compression::Gzip { level: 1 },
        Compression::Snappy,
        Compression::Lz4 { level: 9 },
        Compression::Zstd { level: 1 },
    ];
    for compression in codecs {
        let mut builder = BatchBuilder::new(Vec::new());
        for (key, value, timestamp_ms) in &records {
            match value {
                // A wrong hint must cost a move and nothing else.
                Some(value) => builder.append(*key, *timestamp_ms, value.len() / 2, |out| {
                    out.extend_from_slice(value);
                }),
                None => builder.append_null(*key, *timestamp_ms),
            }
        }
        let mut compressor = Compressor::new(compression);
        let stamp = Stamp { producer_id: 7, epoch: 1, sequence: 3 };
        let (sealed, _) = builder.seal_compressed(stamp, &mut compressor, Vec::with_capacity);
        let batch = RecordBatches::new(sealed.bytes()).next().expect("a batch").expect("whole");
        let mut room = Vec::new();
        let read = batch.records(&mut room, RECORDS_BYTES_MAX).expect("readable");
        let read: Vec<_> = read.map(|record| record.expect("whole")).collect();
        assert_eq!(read.len(), records.len());
        for (got, (key, value, timestamp_ms)) in read.iter().zip(&records) {
            assert_eq!((got.key, got.value, got.timestamp_ms), (*key, *value, *timestamp_ms));
        }
    }
});
