//! Writes BSON elements one behind the other into one buffer.
//!
//! ```text
//! document := length:i32le element* 00
//! element  := type:u8 name:cstring value          string := length_with_nul:i32le bytes 00
//! ```
//!
//! The `bson` crate builds a document from owned values; at 100 000 documents a second per core that is one allocation
//! per field too many. Its decoder is the judge of this file: see the tests of [`crate::document`].

use std::fmt::Display;
use std::io::Write;

/// Type bytes of the elements, <https://bsonspec.org/spec.html>.
pub(crate) mod element {
    pub(crate) const DOUBLE: u8 = 0x01;
    pub(crate) const STRING: u8 = 0x02;
    pub(crate) const DOCUMENT: u8 = 0x03;
    pub(crate) const ARRAY: u8 = 0x04;
    pub(crate) const BINARY: u8 = 0x05;
    pub(crate) const UNDEFINED: u8 = 0x06;
    pub(crate) const OBJECT_ID: u8 = 0x07;
    pub(crate) const BOOLEAN: u8 = 0x08;
    pub(crate) const DATE_TIME: u8 = 0x09;
    pub(crate) const NULL: u8 = 0x0a;
    pub(crate) const REGEX: u8 = 0x0b;
    pub(crate) const DB_POINTER: u8 = 0x0c;
    pub(crate) const JAVASCRIPT: u8 = 0x0d;
    pub(crate) const SYMBOL: u8 = 0x0e;
    pub(crate) const JAVASCRIPT_WITH_SCOPE: u8 = 0x0f;
    pub(crate) const INT32: u8 = 0x10;
    pub(crate) const TIMESTAMP: u8 = 0x11;
    pub(crate) const INT64: u8 = 0x12;
    pub(crate) const DECIMAL128: u8 = 0x13;
    pub(crate) const MIN_KEY: u8 = 0xff;
    pub(crate) const MAX_KEY: u8 = 0x7f;
}

/// A document under construction, or several one inside the other.
#[derive(Debug, Default)]
pub(crate) struct BsonWriter {
    bytes: Vec<u8>,
}

/// Where an open length field lies.
#[must_use]
#[derive(Debug)]
pub(crate) struct Open(usize);

impl BsonWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets what was written and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Leaves room for a length that [`Self::close_document`] or [`Self::close_length`] fills in.
    pub(crate) fn open(&mut self) -> Open {
        let open = Open(self.bytes.len());
        self.raw(&[0; 4]);
        open
    }

    /// Ends a document or an array.
    pub(crate) fn close_document(&mut self, open: Open) {
        self.bytes.push(0);
        self.close_length(open);
    }

    /// Fills in a length that counts itself, as those of documents and of code with scope do.
    pub(crate) fn close_length(&mut self, open: Open) {
        let length = length_i32(self.bytes.len() - open.0);
        self.bytes[open.0..open.0 + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Ends a string whose text was written with [`Self::raw`]; its length counts the final NUL but not itself.
    pub(crate) fn close_string(&mut self, open: Open) {
        self.bytes.push(0);
        let length = length_i32(self.bytes.len() - open.0 - 4);
        self.bytes[open.0..open.0 + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Type and name of the next element; its value follows. Elements of arrays are named by their index.
    pub(crate) fn element(&mut self, kind: u8, name: impl Display) {
        self.bytes.push(kind);
        let start = self.bytes.len();
        write!(self.bytes, "{name}").expect("a vector takes all");
        debug_assert!(!self.bytes[start..].contains(&0), "a name with NUL would end early");
        self.bytes.push(0);
    }

    pub(crate) fn cstring(&mut self, text: &str) {
        debug_assert!(!text.as_bytes().contains(&0), "a text with NUL would end early");
        self.raw(text.as_bytes());
        self.bytes.push(0);
    }

    pub(crate) fn string(&mut self, text: &str) {
        let open = self.open();
        self.raw(text.as_bytes());
        self.close_string(open);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes behind what is written, for text that is made in place.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

fn length_i32(length: usize) -> i32 {
    i32::try_from(length).expect("BSON ends at 2 GiB, the server at 16 MiB")
}
