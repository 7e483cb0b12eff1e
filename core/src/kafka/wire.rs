//! Integers, strings and frames of the Kafka protocol.
//!
//! ```text
//! request    size i32 │ key i16 │ version i16 │ correlation i32 │ client id │ tags │ body
//! answer     size i32 │ correlation i32 │ tags, except for ApiVersions │ body
//! ```
//!
//! The client id has a length of two bytes. Fixed integers are big-endian. Varints are
//! little-endian groups of seven bits; the signed ones are zigzag. A compact length is a varint of
//! `length + 1`, so that 0 means null. Every version spoken here is flexible (KIP-482), so each
//! structure ends in tagged fields; the ones received are skipped. SaslHandshake alone is not: its
//! strings and arrays have lengths of two and four bytes, and nothing has tags.
//!
//! [`Reader`] borrows and trusts nothing: each length is checked against the bytes that are there.
//! Sizes are bytes.

use std::fmt;

use crate::inbox::Inbox;

/// Answers larger than this are taken for bytes that are not Kafka's.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why bytes are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Fewer bytes are left than the next field has.
    Truncated {
        /// Bytes of the field.
        wanted: usize,
        /// Bytes left.
        left: usize,
    },
    /// A varint has more groups than its type can hold.
    VarintTooLong,
    /// A length is negative, or null where null is not allowed.
    Length {
        /// The length as it was sent.
        declared: i64,
    },
    /// A string is not UTF-8.
    NotUtf8,
    /// The size before an answer is negative or above [`FRAME_BYTES_MAX`].
    Frame {
        /// The size as it was sent.
        declared: i32,
    },
    /// An answer names another request than the oldest one open.
    Correlation {
        /// What was asked.
        wanted: i32,
        /// What was answered.
        got: i32,
    },
    /// An answer came though nothing was asked.
    Unasked,
    /// An answer leaves out something that was asked for.
    Incomplete,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { wanted, left } => {
                write!(f, "a field of {wanted} bytes where {left} are left")
            }
            Self::VarintTooLong => write!(f, "a variable-length integer does not end"),
            Self::Length { declared } => write!(f, "a field has the impossible length {declared}"),
            Self::NotUtf8 => write!(f, "a string is not UTF-8"),
            Self::Frame { declared } => write!(
                f,
                "an answer of {declared} bytes is no Kafka answer; does this listener want TLS?"
            ),
            Self::Correlation { wanted, got } => {
                write!(f, "request {wanted} was asked, request {got} answered")
            }
            Self::Unasked => write!(f, "an answer came though nothing was asked"),
            Self::Incomplete => write!(f, "the answer leaves out a partition that was asked for"),
        }
    }
}

impl std::error::Error for WireError {}

/// Takes fields off the front of borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident -> $int:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self) -> Result<$int, WireError> {
            let bytes = self.array::<{ size_of::<$int>() }>()?;
            Ok(<$int>::from_be_bytes(bytes))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// What is not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let Some((head, rest)) = self.bytes.split_at_checked(count) else {
            return Err(WireError::Truncated { wanted: count, left: self.bytes.len() });
        };
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(WireError::Truncated { wanted: N, left: self.bytes.len() });
        };
        self.bytes = rest;
        Ok(*head)
    }

    fixed! {
        /// One signed byte.
        i8 -> i8;
        /// Two bytes.
        i16 -> i16;
        /// Four bytes.
        i32 -> i32;
        /// Four bytes, unsigned.
        u32 -> u32;
        /// Eight bytes.
        i64 -> i64;
    }

    /// One byte; anything but 0 is true.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.i8()? != 0)
    }

    fn groups(&mut self, bits_max: u32) -> Result<u64, WireError> {
        let mut value = 0_u64;
        let mut shift = 0;
        while shift < bits_max {
            let [byte] = self.array::<1>()?;
            let group = u64::from(byte & 0x7f);
            if bits_max - shift < 7 && (group >> (bits_max - shift)) != 0 {
                return Err(WireError::VarintTooLong);
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(WireError::VarintTooLong)
    }

    /// An unsigned varint of up to 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        Ok(self.groups(32)? as u32)
    }

    /// A zigzag varint of up to 32 bits.
    pub fn varint(&mut self) -> Result<i32, WireError> {
        let value = self.groups(32)? as u32;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// A zigzag varint of up to 64 bits.
    pub fn varlong(&mut self) -> Result<i64, WireError> {
        let value = self.groups(64)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Bytes behind a zigzag length, as in records; -1 is null.
    pub fn varint_bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length)
                    .map_err(|_| WireError::Length { declared: i64::from(length) })?;
                self.take(length).map(Some)
            }
        }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        Ok((self.unsigned_varint()? as usize).checked_sub(1))
    }

    /// Bytes behind a compact length, or null.
    pub fn compact_bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.compact_length()? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// A string behind a compact length, or null.
    pub fn compact_string(&mut self) -> Result<Option<&'a str>, WireError> {
        let Some(bytes) = self.compact_bytes()? else { return Ok(None) };
        str::from_utf8(bytes).map(Some).map_err(|_| WireError::NotUtf8)
    }

    /// A string that must not be null.
    pub fn compact_name(&mut self) -> Result<&'a str, WireError> {
        self.compact_string()?.ok_or(WireError::Length { declared: -1 })
    }

    /// A string behind a length of two bytes, which must not be null.
    pub fn name(&mut self) -> Result<&'a str, WireError> {
        let declared = self.i16()?;
        let length = usize::try_from(declared)
            .map_err(|_| WireError::Length { declared: i64::from(declared) })?;
        str::from_utf8(self.take(length)?).map_err(|_| WireError::NotUtf8)
    }

    /// The number of elements of a compact array; null counts as empty. Each element has at least
    /// one byte, so more elements than bytes left is an error: a loop or an allocation of this
    /// length is bounded by what was received.
    pub fn compact_array(&mut self) -> Result<usize, WireError> {
        let length = self.compact_length()?.unwrap_or(0);
        if self.left() < length {
            return Err(WireError::Truncated { wanted: length, left: self.left() });
        }
        Ok(length)
    }

    /// Skips an array of fixed-size elements.
    pub fn skip_compact_array(&mut self, element_bytes: usize) -> Result<(), WireError> {
        let length = self.compact_array()?;
        self.take(length.saturating_mul(element_bytes)).map(|_| ())
    }

    /// Skips the tagged fields at the end of a structure.
    pub fn skip_tags(&mut self) -> Result<(), WireError> {
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.take(size)?;
        }
        Ok(())
    }
}

/// Bytes of `value` as an unsigned varint.
pub const fn unsigned_varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes of `value` as a zigzag varint; the same for 32 and 64 bits.
pub const fn varint_bytes(value: i64) -> usize {
    unsigned_varint_bytes(zigzag(value))
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends an unsigned varint.
pub fn put_unsigned_varint(out: &mut Vec<u8>, mut value: u64) {
    while 0x80 <= value {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zigzag varint.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_unsigned_varint(out, zigzag(value));
}

/// Writes a zigzag varint over the front of `place`, which has [`varint_bytes`] of it.
pub fn set_varint(place: &mut [u8], value: i64) {
    let mut value = zigzag(value);
    for byte in place {
        *byte = if 0x80 <= value { value as u8 | 0x80 } else { value as u8 };
        value >>= 7;
    }
}

/// Appends a compact length: of bytes, a string or an array.
pub fn put_compact_length(out: &mut Vec<u8>, length: usize) {
    put_unsigned_varint(out, length as u64 + 1);
}

/// Appends null in place of a compact string, array or bytes.
pub fn put_compact_null(out: &mut Vec<u8>) {
    out.push(0);
}

/// Appends a compact string.
pub fn put_compact_string(out: &mut Vec<u8>, text: &str) {
    put_compact_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends an integer, big-endian.
pub fn put_i8(out: &mut Vec<u8>, value: i8) {
    out.push(value as u8);
}

/// Appends an integer, big-endian.
pub fn put_i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends an integer, big-endian.
pub fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends an integer, big-endian.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a boolean.
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Appends a string behind a length of two bytes. What is longer than that can say is cut.
pub fn put_name(out: &mut Vec<u8>, text: &str) {
    let text = text.get(..i16::MAX as usize).unwrap_or(text);
    put_i16(out, text.len() as i16);
    out.extend_from_slice(text.as_bytes());
}

/// Appends bytes behind a compact length.
pub fn put_compact_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_compact_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Ends a structure that has no tagged fields.
pub fn put_no_tags(out: &mut Vec<u8>) {
    out.push(0);
}

/// Begins a request: the size, left blank, and request header v1. Flexible requests have tagged
/// fields behind it.
pub fn begin_request(out: &mut Vec<u8>, key: i16, version: i16, correlation: i32, client_id: &str) {
    put_i32(out, 0);
    put_i16(out, key);
    put_i16(out, version);
    put_i32(out, correlation);
    put_name(out, client_id);
}

/// Fills in the size of a request of `size_bytes`, the four bytes of the size included.
pub fn finish_request(out: &mut [u8], size_bytes: usize) {
    if let Some(place) = out.first_chunk_mut::<4>() {
        *place = (size_bytes.saturating_sub(4) as u32).to_be_bytes();
    }
}

/// Brings the next frame together at the front of `inbox` and returns its size without the four
/// bytes of the size, or `None` until all of it was received.
pub fn next_frame(inbox: &mut Inbox) -> Result<Option<usize>, WireError> {
    inbox.gather(4);
    let Some(size) = inbox.bytes().first_chunk::<4>() else { return Ok(None) };
    let declared = i32::from_be_bytes(*size);
    let size = match usize::try_from(declared) {
        Ok(size) if size <= FRAME_BYTES_MAX => size,
        _ => return Err(WireError::Frame { declared }),
    };
    Ok(inbox.gather(size + 4).then_some(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_are_the_bytes_of_the_protocol_guide() {
        for (value, bytes) in [
            (0_i64, &[0_u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(i64::from(Reader::new(&out).varint().unwrap()), value);
        }
    }

    #[test]
    fn varints_that_overflow_or_do_not_end_are_refused() {
        assert_eq!(Reader::new(&[0xff; 6]).varint(), Err(WireError::VarintTooLong));
        let too_large = [0xff, 0xff, 0xff, 0xff, 0x1f];
        assert_eq!(Reader::new(&too_large).unsigned_varint(), Err(WireError::VarintTooLong));
        assert_eq!(Reader::new(&[0xff; 11]).varlong(), Err(WireError::VarintTooLong));
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint().is_ok());
    }

    #[test]
    fn lengths_beyond_the_bytes_that_are_there_are_refused() {
        assert!(Reader::new(&[9, b'a']).compact_bytes().is_err());
        assert!(Reader::new(&[9, b'a']).compact_array().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).skip_compact_array(8).is_err());
        assert!(Reader::new(&[1, 0, 9]).skip_tags().is_err());
        assert_eq!(Reader::new(&[3]).varint_bytes(), Err(WireError::Length { declared: -2 }));
        assert_eq!(Reader::new(&[2, 0xff]).compact_string(), Err(WireError::NotUtf8));
        assert_eq!(Reader::new(&[0]).compact_name(), Err(WireError::Length { declared: -1 }));
    }

    #[test]
    fn a_frame_is_seen_when_all_of_it_is_there() {
        let mut inbox = Inbox::new(4, 1024);
        for (i, byte) in [0_u8, 0, 0, 3, b'a', b'b', b'c'].into_iter().enumerate() {
            let mut space = inbox.take_space().unwrap();
            space.bytes[space.filled] = byte;
            inbox.give_back(space, 1);
            assert_eq!(next_frame(&mut inbox).unwrap(), (i == 6).then_some(3));
        }
        assert_eq!(inbox.bytes(), b"\0\0\0\x03abc");
    }

    #[test]
    fn bytes_of_another_protocol_are_no_frame() {
        let mut inbox = Inbox::new(64, 1024);
        let mut space = inbox.take_space().unwrap();
        space.bytes[space.filled..][..5].copy_from_slice(b"HTTP/");
        inbox.give_back(space, 5);
        assert!(matches!(next_frame(&mut inbox), Err(WireError::Frame { .. })));
    }

    proptest! {
        #[test]
        fn varints_come_back_and_are_as_long_as_announced(value: i64, small: i32) {
            for value in [value, i64::from(small)] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                prop_assert_eq!(out.len(), varint_bytes(value));
                prop_assert_eq!(Reader::new(&out).varlong().unwrap(), value);
                let mut place = vec![0; out.len()];
                set_varint(&mut place, value);
                prop_assert_eq!(&place, &out);
                for cut in 0..out.len() {
                    prop_assert!(Reader::new(&out[..cut]).varlong().is_err());
                }
            }
        }
    }
}
