//! Compresses the records of a batch, and reads them back.
//!
//! ```text
//! code  codec   framing                                             level
//!  1    gzip    RFC 1952                                            1 to 9, -1 for the usual one
//!  2    snappy  blocks as snappy-java frames them (`snappy`)        none
//!  3    lz4     LZ4 frame (`lz4`)                                   1 to 17; 9 is the fast one
//!  4    zstd    RFC 8878                                            -131072 to 22
//! ```
//!
//! The code stands in the attributes of a batch. Only the records are compressed, never the header.
//! A [`Compressor`] keeps the tables of its codec and the room for the result, so that a batch costs
//! no allocation. What does not get smaller is not compressed: the codec is a matter of each batch,
//! so a batch never grows by compressing it.
//!
//! Reading back trusts no length: it is bounded by what the caller allows. Facts: Kafka's
//! `CompressionType` and `org.apache.kafka.common.compress` 4.1.

mod lz4;
mod snappy;

use std::fmt;
use std::io::{BufRead, Read};

use flate2::{Compress, FlushCompress, Status};

/// What a producer does with its batches: `compression.type` and the level of that type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// gzip.
    Gzip {
        /// 1 to 9; -1: what zlib takes for the usual, 6.
        level: i32,
    },
    /// snappy, which has no levels.
    Snappy,
    /// LZ4.
    Lz4 {
        /// 1 to 17. 9 is the fast compressor, every other level the thorough one, as in Kafka.
        level: i32,
    },
    /// Zstandard.
    Zstd {
        /// -131072 to 22; 0: the usual, 3.
        level: i32,
    },
}

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// gzip.
    Gzip = 1,
    /// snappy.
    Snappy = 2,
    /// LZ4.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

/// Why compressed bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// They are cut, or not of this codec.
    Malformed,
    /// They hold more than is allowed.
    TooLarge {
        /// The bytes allowed.
        bytes_max: usize,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the compressed bytes are malformed"),
            Self::TooLarge { bytes_max } => {
                write!(f, "the compressed bytes hold more than the {bytes_max} allowed")
            }
        }
    }
}

impl std::error::Error for CodecError {}

impl Codec {
    /// The codec of this code; `None` if there is none.
    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|codec| codec.code() == code)
    }

    /// Its code in the attributes of a batch.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Reads `compressed` back into `out`, whose content is dropped. Allocates what the decoder
    /// needs, and at most `bytes_max` bytes for the result.
    ///
    /// # Errors
    /// [`CodecError`], with a part of the result in `out`.
    pub fn decompress(
        self,
        compressed: &[u8],
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        out.clear();
        match self {
            Self::Gzip => {
                read_bounded(flate2::bufread::MultiGzDecoder::new(compressed), bytes_max, out)
            }
            Self::Snappy => snappy::decompress(compressed, bytes_max, out),
            Self::Lz4 => lz4::decompress(compressed, bytes_max, out),
            Self::Zstd => decompress_zstd(compressed, bytes_max, out),
        }
    }
}

/// Reads to the end, but no more than `bytes_max` bytes.
fn read_bounded(source: impl Read, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let limit = (bytes_max as u64).saturating_add(1);
    source.take(limit).read_to_end(out).map_err(|_| CodecError::Malformed)?;
    if bytes_max < out.len() { Err(CodecError::TooLarge { bytes_max }) } else { Ok(()) }
}

/// The window of a frame is memory that its decoder takes at once, so it is bounded too: to what
/// the result may have, but no less than the 8 MiB that the format asks every decoder for.
fn decompress_zstd(
    compressed: impl BufRead,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let window_log = usize::BITS - bytes_max.saturating_sub(1).leading_zeros();
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(compressed).map_err(|_| CodecError::Malformed)?;
    decoder.window_log_max(window_log.clamp(23, 27)).map_err(|_| CodecError::Malformed)?;
    read_bounded(decoder, bytes_max, out)
}

/// Compresses one batch after the other. Made once per producer.
pub struct Compressor {
    engine: Engine,
    /// The compressed records of the last batch.
    out: Vec<u8>,
}

enum Engine {
    None,
    Gzip(Compress),
    Snappy(Box<snap::raw::Encoder>),
    Lz4(lz4::Mode),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("codec", &self.codec()).finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor; of [`Compression::None`] one that does nothing. Levels outside their range
    /// count as the nearest inside it.
    pub fn new(compression: Compression) -> Self {
        let engine = match compression {
            Compression::None => Engine::None,
            Compression::Gzip { level } => {
                let level = match u32::try_from(level) {
                    Ok(level) => flate2::Compression::new(level.min(9)),
                    Err(_) => flate2::Compression::default(),
                };
                // The largest window, as in Java's `Deflater`.
                Engine::Gzip(Compress::new_gzip(level, 15))
            }
            Compression::Snappy => Engine::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Lz4 { level } => Engine::Lz4(lz4::mode(level)),
            // Only a level out of range is refused, and a level is never that here.
            Compression::Zstd { level } => zstd::bulk::Compressor::new(level.clamp(-131_072, 22))
                .map_or(Engine::None, Engine::Zstd),
        };
        Self { engine, out: Vec::new() }
    }

    /// What it compresses with.
    pub fn codec(&self) -> Option<Codec> {
        match self.engine {
            Engine::None => None,
            Engine::Gzip(_) => Some(Codec::Gzip),
            Engine::Snappy(_) => Some(Codec::Snappy),
            Engine::Lz4(_) => Some(Codec::Lz4),
            Engine::Zstd(_) => Some(Codec::Zstd),
        }
    }

    /// The compressed form of `records`; `None` if it would not be smaller.
    pub fn compress(&mut self, records: &[u8]) -> Option<(Codec, &[u8])> {
        let codec = self.codec()?;
        self.out.clear();
        match &mut self.engine {
            Engine::None => return None,
            Engine::Gzip(engine) => gzip(engine, records, &mut self.out)?,
            Engine::Snappy(engine) => snappy::compress(engine, records, &mut self.out)?,
            Engine::Lz4(mode) => lz4::compress(*mode, records, &mut self.out)?,
            Engine::Zstd(engine) => {
                // With this much room the library writes the result in one go.
                self.out.reserve(zstd::zstd_safe::compress_bound(records.len()));
                engine.compress_to_buffer(records, &mut self.out).ok()?;
            }
        }
        (self.out.len() < records.len()).then_some((codec, self.out.as_slice()))
    }
}

/// Appends a gzip member; `None` if it does not fit into as many bytes as it had.
fn gzip(engine: &mut Compress, records: &[u8], out: &mut Vec<u8>) -> Option<()> {
    engine.reset();
    out.reserve(records.len());
    match engine.compress_vec(records, out, FlushCompress::Finish).ok()? {
        Status::StreamEnd => Some(()),
        Status::Ok | Status::BufError => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const ALL: [Compression; 4] = [
        Compression::Gzip { level: -1 },
        Compression::Snappy,
        Compression::Lz4 { level: 9 },
        Compression::Zstd { level: 3 },
    ];

    const ROOM: usize = 10 << 20;

    /// Bytes that no codec makes smaller.
    pub(super) fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let byte = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(byte).take(len).collect()
    }

    /// Bytes that every codec makes smaller.
    fn text(len: usize) -> Vec<u8> {
        let words =
            (0_u32..).flat_map(|i| format!("{} the {} ", i % 97, i * i % 1_009).into_bytes());
        words.take(len).collect()
    }

    fn there_and_back(compressor: &mut Compressor, records: &[u8]) -> Vec<u8> {
        let (codec, compressed) = compressor.compress(records).expect("it gets smaller");
        assert!(compressed.len() < records.len());
        let mut out = b"dropped".to_vec();
        codec.decompress(compressed, ROOM, &mut out).expect("well-formed");
        out
    }

    #[test]
    fn every_codec_and_level_comes_back_as_it_went_batch_after_batch() {
        let levels = (1..=9).chain([-1]).map(|level| Compression::Gzip { level });
        let levels = levels.chain((1..=17).map(|level| Compression::Lz4 { level }));
        let zstd = [-7, 0, 1, 3, 12, 22].map(|level| Compression::Zstd { level });
        for compression in levels.chain(zstd).chain([Compression::Snappy]) {
            let mut compressor = Compressor::new(compression);
            for len in [5_000, 200_000, 32 * 1_024, 64 * 1_024, 65_537, 5_000] {
                let records = text(len);
                assert_eq!(there_and_back(&mut compressor, &records), records, "{compression:?}");
            }
        }
    }

    #[test]
    fn what_does_not_get_smaller_is_left_alone() {
        let noise = noise(200_000);
        for compression in ALL {
            let mut compressor = Compressor::new(compression);
            for records in [&noise[..], &noise[..40], &[]] {
                assert!(compressor.compress(records).is_none(), "{compression:?}");
            }
            let records = text(5_000);
            assert_eq!(there_and_back(&mut compressor, &records), records);
        }
        assert!(Compressor::new(Compression::None).compress(&text(5_000)).is_none());
    }

    #[test]
    fn nothing_is_allocated_for_the_next_batch_of_the_same_size() {
        for compression in ALL {
            let mut compressor = Compressor::new(compression);
            compressor.compress(&text(200_000)).expect("it gets smaller");
            let (capacity, place) = (compressor.out.capacity(), compressor.out.as_ptr());
            for len in [200_000, 1_000, 200_000] {
                compressor.compress(&text(len)).expect("it gets smaller");
            }
            assert_eq!((compressor.out.capacity(), compressor.out.as_ptr()), (capacity, place));
        }
    }

    #[test]
    fn more_than_is_allowed_is_refused_and_never_held() {
        let bomb = vec![7; 5 << 20];
        for compression in ALL {
            let mut compressor = Compressor::new(compression);
            let (codec, compressed) = compressor.compress(&bomb).expect("it gets smaller");
            let mut out = Vec::new();
            let bytes_max = 100_000;
            let refused = codec.decompress(compressed, bytes_max, &mut out);
            assert_eq!(refused, Err(CodecError::TooLarge { bytes_max }), "{compression:?}");
            assert!(out.capacity() <= 4 * bytes_max, "{compression:?} {}", out.capacity());
            assert_eq!(codec.decompress(compressed, bomb.len(), &mut out), Ok(()));
            assert_eq!(out, bomb);
        }
    }

    #[test]
    fn bytes_cut_anywhere_are_an_error() {
        let records = text(100_000);
        for compression in ALL {
            let mut compressor = Compressor::new(compression);
            let (codec, compressed) = compressor.compress(&records).expect("it gets smaller");
            let mut out = Vec::new();
            let step = compressed.len() / 300;
            let cuts = (1..200).chain((200..compressed.len()).step_by(step));
            for cut in cuts.chain(compressed.len() - 20..compressed.len()) {
                let read = codec.decompress(&compressed[..cut], ROOM, &mut out);
                // A cut between two blocks of snappy cannot be seen here; the batch misses records.
                let is_whole = read.is_ok() && out == records;
                let is_seen = read.is_err() || codec == Codec::Snappy;
                assert!(is_seen && !is_whole, "{compression:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn codes_are_those_of_kafka() {
        let names = [1, 2, 3, 4].map(|code| Codec::from_code(code).map(Codec::name));
        assert_eq!(names, [Some("gzip"), Some("snappy"), Some("lz4"), Some("zstd")]);
        assert_eq!([0, 5, 6, 7, -1].map(Codec::from_code), [None; 5]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic_or_hold_more_than_allowed(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<proptest::sample::Index>(), byte in any::<u8>(),
        ) {
            let records = text(3_000);
            for compression in ALL {
                let mut compressor = Compressor::new(compression);
                let (codec, compressed) = compressor.compress(&records).expect("it gets smaller");
                let mut damaged = compressed.to_vec();
                let at = at.index(damaged.len());
                damaged[at] = byte;
                let mut out = Vec::new();
                let _ = codec.decompress(&damaged, 10_000, &mut out);
                prop_assert!(out.len() <= 10_001);
                let header = bytes.len().min(18);
                bytes[..header].copy_from_slice(&compressed[..header]);
                let _ = codec.decompress(&bytes, 10_000, &mut out);
                prop_assert!(out.len() <= 10_001);
            }
        }
    }
}
