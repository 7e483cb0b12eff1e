//! The fields of Kafka's protocol, for the few messages that the rig builds or takes apart itself.
//!
//! ```text
//! plain       i8 i16 i32 i64 big endian │ string: i16 length │ bytes, array: i32 length │ null: length -1
//! compact     the same with an unsigned varint of length + 1 │ null: 0
//! tags        unsigned varint count, then tag, size, bytes
//! varint      7 bits a byte, low bits first, top bit = more follows; zig-zag where signed
//! ```
//!
//! The rig keeps its own reading of the protocol: what judges the node shares no code with it.

use anyhow::{Context, Result, ensure};

/// Takes bytes apart from the front. Every read fails when the bytes end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("a Kafka message is cut")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.take(1)?.try_into()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    pub(crate) fn unsigned_varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        anyhow::bail!("a varint has more than 10 bytes")
    }

    pub(crate) fn varint(&mut self) -> Result<i64> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A string that may be null. `compact`: in the flexible versions' form.
    pub(crate) fn string(&mut self, compact: bool) -> Result<Option<&'a [u8]>> {
        let length = if compact { self.compact_length()? } else { i64::from(self.i16()?) };
        self.take_or_null(length)
    }

    /// Bytes that may be null.
    pub(crate) fn bytes(&mut self, compact: bool) -> Result<Option<&'a [u8]>> {
        let length = if compact { self.compact_length()? } else { i64::from(self.i32()?) };
        self.take_or_null(length)
    }

    /// The number of elements of an array; null counts as none. Never more than there are bytes.
    pub(crate) fn array(&mut self, compact: bool) -> Result<usize> {
        let count = if compact { self.compact_length()? } else { i64::from(self.i32()?) }.max(0);
        ensure!(count as usize <= self.0.len(), "an array of {count} elements is cut");
        Ok(count as usize)
    }

    /// Skips the tags of a flexible version and returns their bytes.
    pub(crate) fn tags(&mut self) -> Result<&'a [u8]> {
        let all = self.0;
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            self.take(size as usize)?;
        }
        Ok(&all[..all.len() - self.0.len()])
    }

    fn compact_length(&mut self) -> Result<i64> {
        let length = self.unsigned_varint()?;
        ensure!(length <= u64::from(u32::MAX), "a length of {length} is out of range");
        Ok(length as i64 - 1)
    }

    fn take_or_null(&mut self, length: i64) -> Result<Option<&'a [u8]>> {
        if length < 0 {
            return Ok(None);
        }
        self.take(length as usize).map(Some)
    }
}

/// Builds a message, field by field.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn i8(&mut self, value: i8) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn i16(&mut self, value: i16) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn unsigned_varint(&mut self, mut value: u64) -> &mut Self {
        while 0x80 <= value {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub(crate) fn varint(&mut self, value: i64) -> &mut Self {
        self.unsigned_varint(((value << 1) ^ (value >> 63)) as u64)
    }

    pub(crate) fn string(&mut self, value: Option<&[u8]>, compact: bool) -> &mut Self {
        if compact {
            return self.bytes(value, true);
        }
        match value {
            Some(value) => self.i16(value.len() as i16).put(value),
            None => self.i16(-1),
        }
    }

    pub(crate) fn bytes(&mut self, value: Option<&[u8]>, compact: bool) -> &mut Self {
        match (value, compact) {
            (Some(value), true) => self.unsigned_varint(value.len() as u64 + 1).put(value),
            (None, true) => self.unsigned_varint(0),
            (Some(value), false) => self.i32(value.len() as i32).put(value),
            (None, false) => self.i32(-1),
        }
    }

    pub(crate) fn array(&mut self, count: usize, compact: bool) -> &mut Self {
        if compact { self.unsigned_varint(count as u64 + 1) } else { self.i32(count as i32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        for compact in [false, true] {
            let mut writer = Writer::default();
            writer.string(Some(b"name"), compact).string(None, compact);
            writer.bytes(Some(&[7; 300]), compact).bytes(None, compact).array(2, compact);
            writer.i8(-1).i16(-2).i32(-3).i64(-4).put(&[1, 9, 2, 5, 5]);
            let mut reader = Reader(&writer.0);
            assert_eq!(reader.string(compact).expect("there"), Some(&b"name"[..]));
            assert_eq!(reader.string(compact).expect("there"), None);
            assert_eq!(reader.bytes(compact).expect("there"), Some(&[7; 300][..]));
            assert_eq!(reader.bytes(compact).expect("there"), None);
            assert_eq!(reader.array(compact).expect("there"), 2);
            assert_eq!((reader.i8().expect("there"), reader.i16().expect("there")), (-1, -2));
            assert_eq!((reader.i32().expect("there"), reader.i64().expect("there")), (-3, -4));
            assert_eq!(reader.tags().expect("there"), [1, 9, 2, 5, 5]);
            assert!(reader.i8().is_err());
        }
    }

    #[test]
    fn varints_keep_their_value() {
        for value in [0, -1, 1, 63, -64, 64, 300, -70_000, i64::MAX, i64::MIN] {
            let mut writer = Writer::default();
            writer.varint(value);
            assert_eq!(Reader(&writer.0).varint().expect("whole"), value);
            assert!(Reader(&writer.0[..writer.0.len() - 1]).varint().is_err());
        }
    }

    #[test]
    fn an_array_longer_than_its_bytes_is_refused() {
        assert!(Reader(&[0x7f, 0xff, 0xff, 0xff, 0]).array(false).is_err());
        assert!(Reader(&[0xff, 0xff, 0x03, 0]).array(true).is_err());
    }
}
