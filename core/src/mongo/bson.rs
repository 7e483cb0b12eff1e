//! Borrowed views of BSON: a document is walked where it lies, nothing is copied and no length is
//! trusted.
//!
//! ```text
//!  RawDoc    i32 length │ element … element │ 0
//!  element   u8 type │ name … 0 │ value        little-endian throughout
//!  string    i32 length with the 0 │ bytes … 0
//!  binary    i32 length │ u8 subtype │ bytes
//! ```
//!
//! Making a [`RawDoc`] checks its frame only (length and last byte). Elements are checked as they
//! are walked, each against the bytes that are there, so an unread part costs nothing. Names and
//! strings stay bytes: whether they are UTF-8 is for whoever turns them into text to ask. Depth is
//! not bounded here; whoever descends must bound it. Facts: the BSON specification 1.1,
//! bsonspec.org.

use std::fmt;

/// Bytes of the smallest document: its length and its terminator.
pub const DOC_BYTES_MIN: usize = 5;

/// Type bytes that others look at before they take a value.
pub(crate) mod kind {
    pub(crate) const STRING: u8 = 0x02;
    pub(crate) const DOCUMENT: u8 = 0x03;
    pub(crate) const DATE_TIME: u8 = 0x09;
    pub(crate) const TIMESTAMP: u8 = 0x11;
}

/// Why bytes are no BSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BsonError {
    /// A document's frame says `declared` bytes where `present` bytes are.
    Frame {
        /// The length in the first four bytes; -1 if not even these are there.
        declared: i32,
        /// The bytes that are there.
        present: usize,
    },
    /// A document, string or name does not end in a zero byte.
    Unterminated,
    /// A value of type `kind` reaches over the end of its document.
    Truncated {
        /// The element's type byte.
        kind: u8,
    },
    /// The lengths inside a value of type `kind` contradict each other, or a boolean is neither 0
    /// nor 1.
    Malformed {
        /// The element's type byte.
        kind: u8,
    },
    /// No such type in the specification.
    UnknownKind {
        /// The element's type byte.
        kind: u8,
    },
}

impl fmt::Display for BsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Frame { declared, present } => {
                write!(f, "a BSON document says it has {declared} bytes where {present} are")
            }
            Self::Unterminated => f.write_str("a BSON document, string or name has no end mark"),
            Self::Truncated { kind } => {
                write!(f, "a BSON value of type 0x{kind:02x} reaches over the end of its document")
            }
            Self::Malformed { kind } => write!(f, "a BSON value of type 0x{kind:02x} is malformed"),
            Self::UnknownKind { kind } => write!(f, "there is no BSON type 0x{kind:02x}"),
        }
    }
}

impl std::error::Error for BsonError {}

/// A document or array where it lies. Its frame is checked, its elements are not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawDoc<'a> {
    /// Invariant: the first four bytes are `bytes.len()`, at least [`DOC_BYTES_MIN`], and the last
    /// byte is 0.
    bytes: &'a [u8],
}

impl<'a> RawDoc<'a> {
    /// The document without elements.
    pub const EMPTY: RawDoc<'static> = RawDoc { bytes: &[5, 0, 0, 0, 0] };

    /// The document that `bytes` are, all of them.
    ///
    /// # Errors
    /// [`BsonError::Frame`] if the length is not that of `bytes`, [`BsonError::Unterminated`] if
    /// the end is not zero.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, BsonError> {
        let (doc, rest) = Self::split_from(bytes)?;
        if rest.is_empty() {
            Ok(doc)
        } else {
            let declared = i32::try_from(doc.bytes.len()).unwrap_or(i32::MAX);
            Err(BsonError::Frame { declared, present: bytes.len() })
        }
    }

    /// The document at the front of `bytes`, and what follows it.
    ///
    /// # Errors
    /// As [`RawDoc::new`], except that bytes may follow.
    #[inline]
    pub fn split_from(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), BsonError> {
        let Some(head) = bytes.first_chunk::<4>() else {
            return Err(BsonError::Frame { declared: -1, present: bytes.len() });
        };
        let declared = i32::from_le_bytes(*head);
        let len = usize::try_from(declared).unwrap_or(0);
        match bytes.split_at_checked(len) {
            Some((doc, rest)) if DOC_BYTES_MIN <= len => match doc.last() {
                Some(0) => Ok((Self { bytes: doc }, rest)),
                Some(_) | None => Err(BsonError::Unterminated),
            },
            Some(_) | None => Err(BsonError::Frame { declared, present: bytes.len() }),
        }
    }

    /// The whole document, its length and terminator included.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.bytes.len() <= DOC_BYTES_MIN
    }

    /// Its elements in order.
    #[inline]
    pub fn iter(self) -> Elements<'a> {
        let body = self.bytes.len().checked_sub(1).and_then(|end| self.bytes.get(4..end));
        Elements { rest: body.unwrap_or_default() }
    }

    /// The first element called `name`. Walks from the front; `Ok(None)` if there is none.
    ///
    /// # Errors
    /// What is wrong with the first malformed element before it.
    pub fn get(self, name: &[u8]) -> Result<Option<RawValue<'a>>, BsonError> {
        for element in self {
            let element = element?;
            if element.name == name {
                return Ok(Some(element.value));
            }
        }
        Ok(None)
    }
}

impl<'a> RawDoc<'a> {
    /// All bytes of the first element called `name`, its type and name included; empty if there is none.
    ///
    /// # Errors
    /// What is wrong with the first malformed element up to it.
    pub fn element_bytes(self, name: &[u8]) -> Result<&'a [u8], BsonError> {
        let mut elements = self.iter();
        while let Some(element) = elements.next_with_bytes() {
            let (element, bytes) = element?;
            if element.name == name {
                return Ok(bytes);
            }
        }
        Ok(&[])
    }
}

impl<'a> IntoIterator for RawDoc<'a> {
    type Item = Result<RawElement<'a>, BsonError>;
    type IntoIter = Elements<'a>;

    #[inline]
    fn into_iter(self) -> Elements<'a> {
        self.iter()
    }
}

impl fmt::Debug for RawDoc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for element in *self {
            match element {
                Ok(element) => map.entry(&String::from_utf8_lossy(element.name), &element.value),
                Err(error) => map.entry(&"malformed", &error),
            };
        }
        map.finish()
    }
}

/// One field of a document, or one item of an array (its name is then its index in decimal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawElement<'a> {
    /// The name without its terminator; not checked to be UTF-8.
    pub name: &'a [u8],
    /// The value.
    pub value: RawValue<'a>,
}

impl<'a> RawElement<'a> {
    /// The element at the front of `bytes`.
    ///
    /// # Errors
    /// What is wrong with it; [`BsonError::Unterminated`] if there is nothing.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BsonError> {
        Elements { rest: bytes }.next().unwrap_or(Err(BsonError::Unterminated))
    }
}

/// A value where it lies. Strings are without their terminator and not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are named as in the specification")]
pub enum RawValue<'a> {
    /// 0x01
    Double(f64),
    /// 0x02
    String(&'a [u8]),
    /// 0x03
    Document(RawDoc<'a>),
    /// 0x04
    Array(RawDoc<'a>),
    /// 0x05. For subtype 2 `bytes` is what its inner length frames.
    Binary { subtype: u8, bytes: &'a [u8] },
    /// 0x06, deprecated.
    Undefined,
    /// 0x07
    ObjectId(&'a [u8; 12]),
    /// 0x08
    Boolean(bool),
    /// 0x09. Milliseconds since 1970-01-01 UTC.
    DateTime(i64),
    /// 0x0a
    Null,
    /// 0x0b
    Regex { pattern: &'a [u8], options: &'a [u8] },
    /// 0x0c, deprecated.
    DbPointer { namespace: &'a [u8], id: &'a [u8; 12] },
    /// 0x0d
    JavaScript(&'a [u8]),
    /// 0x0e, deprecated.
    Symbol(&'a [u8]),
    /// 0x0f, deprecated.
    JavaScriptWithScope { code: &'a [u8], scope: RawDoc<'a> },
    /// 0x10
    Int32(i32),
    /// 0x11. `time` is seconds since 1970-01-01 UTC.
    Timestamp { time: u32, increment: u32 },
    /// 0x12
    Int64(i64),
    /// 0x13. IEEE 754-2008 decimal128, binary integer encoding, little-endian.
    Decimal128(&'a [u8; 16]),
    /// 0xff
    MinKey,
    /// 0x7f
    MaxKey,
}

impl RawValue<'_> {
    /// A number of any type as an integer, a fraction cut off. `None` for everything else.
    pub fn as_i64(self) -> Option<i64> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is no number")]
        match self {
            Self::Int32(number) => Some(i64::from(number)),
            Self::Int64(number) => Some(number),
            Self::Double(number) => Some(number as i64),
            _ => None,
        }
    }

    /// Whether it reads as true: `true`, or a number that is not 0. Servers send `ok: 1.0`.
    pub fn is_true(self) -> bool {
        #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is not true")]
        match self {
            Self::Boolean(value) => value,
            Self::Double(number) => number != 0.0,
            Self::Int32(number) => number != 0,
            Self::Int64(number) => number != 0,
            _ => false,
        }
    }
}

/// Walks the elements of a document. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<RawElement<'a>, BsonError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.take_kind()?;
        let element = self.take_cstring().and_then(|name| {
            let value = self.take_value(kind)?;
            Ok(RawElement { name, value })
        });
        if element.is_err() {
            self.rest = &[];
        }
        Some(element)
    }
}

impl std::iter::FusedIterator for Elements<'_> {}

/// The parts of an element one by one, in this order: kind, name, value. For who writes them as it
/// takes them; everybody else iterates.
impl<'a> Elements<'a> {
    /// The next element, and its bytes from kind to value, for who moves it as it is.
    pub(crate) fn next_with_bytes(
        &mut self,
    ) -> Option<Result<(RawElement<'a>, &'a [u8]), BsonError>> {
        let before = self.rest;
        let element = self.next()?;
        let bytes = before.len() - self.rest.len();
        Some(element.map(|element| (element, before.get(..bytes).unwrap_or_default())))
    }

    /// What is not taken yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The type of the next element; `None` at the end.
    #[inline]
    pub(crate) fn take_kind(&mut self) -> Option<u8> {
        let (&kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(kind)
    }

    /// Takes type and name of the next element if they are `head`: the type byte, the name, its zero. Where the
    /// name that comes is known this is one comparison; nothing is taken otherwise.
    #[inline]
    pub(crate) fn take_head(&mut self, head: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(head);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Leaves out `len` bytes that were looked at in [`Elements::rest`].
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    #[inline(always)]
    pub(crate) fn take_value(&mut self, kind: u8) -> Result<RawValue<'a>, BsonError> {
        Ok(match kind {
            0x01 => RawValue::Double(f64::from_le_bytes(*self.take_array(kind)?)),
            0x02 => RawValue::String(self.take_string(kind)?),
            0x03 => RawValue::Document(self.take_doc()?),
            0x04 => RawValue::Array(self.take_doc()?),
            0x05 => self.take_binary(kind)?,
            0x06 => RawValue::Undefined,
            0x07 => RawValue::ObjectId(self.take_array(kind)?),
            0x08 => match self.take_array::<1>(kind)? {
                [0] => RawValue::Boolean(false),
                [1] => RawValue::Boolean(true),
                _ => return Err(BsonError::Malformed { kind }),
            },
            0x09 => RawValue::DateTime(i64::from_le_bytes(*self.take_array(kind)?)),
            0x0a => RawValue::Null,
            0x0b => {
                let pattern = self.take_cstring()?;
                RawValue::Regex { pattern, options: self.take_cstring()? }
            }
            0x0c => {
                let namespace = self.take_string(kind)?;
                RawValue::DbPointer { namespace, id: self.take_array(kind)? }
            }
            0x0d => RawValue::JavaScript(self.take_string(kind)?),
            0x0e => RawValue::Symbol(self.take_string(kind)?),
            0x0f => self.take_code_with_scope(kind)?,
            0x10 => RawValue::Int32(i32::from_le_bytes(*self.take_array(kind)?)),
            0x11 => {
                let (time, increment) = self.take_timestamp(kind)?;
                RawValue::Timestamp { time, increment }
            }
            0x12 => RawValue::Int64(i64::from_le_bytes(*self.take_array(kind)?)),
            0x13 => RawValue::Decimal128(self.take_array(kind)?),
            0x7f => RawValue::MaxKey,
            0xff => RawValue::MinKey,
            _ => return Err(BsonError::UnknownKind { kind }),
        })
    }

    #[inline]
    fn take_array<const N: usize>(&mut self, kind: u8) -> Result<&'a [u8; N], BsonError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(BsonError::Truncated { kind })?;
        self.rest = rest;
        Ok(array)
    }

    #[inline]
    fn take_bytes(&mut self, len: usize, kind: u8) -> Result<&'a [u8], BsonError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(BsonError::Truncated { kind })?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn take_len(&mut self, kind: u8) -> Result<usize, BsonError> {
        let declared = i32::from_le_bytes(*self.take_array(kind)?);
        usize::try_from(declared).map_err(|_| BsonError::Malformed { kind })
    }

    #[inline]
    pub(crate) fn take_cstring(&mut self) -> Result<&'a [u8], BsonError> {
        let end = first_zero(self.rest).ok_or(BsonError::Unterminated)?;
        let (text, rest) = self.rest.split_at_checked(end).ok_or(BsonError::Unterminated)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    #[inline]
    pub(crate) fn take_string(&mut self, kind: u8) -> Result<&'a [u8], BsonError> {
        let len = self.take_len(kind)?;
        match self.take_bytes(len, kind)?.split_last() {
            Some((0, text)) => Ok(text),
            Some(_) => Err(BsonError::Unterminated),
            None => Err(BsonError::Malformed { kind }),
        }
    }

    /// Seconds since 1970-01-01 UTC, and a counter within the second.
    #[inline]
    pub(crate) fn take_timestamp(&mut self, kind: u8) -> Result<(u32, u32), BsonError> {
        let increment = u32::from_le_bytes(*self.take_array(kind)?);
        Ok((u32::from_le_bytes(*self.take_array(kind)?), increment))
    }

    #[inline]
    pub(crate) fn take_doc(&mut self) -> Result<RawDoc<'a>, BsonError> {
        let (doc, rest) = RawDoc::split_from(self.rest)?;
        self.rest = rest;
        Ok(doc)
    }

    fn take_binary(&mut self, kind: u8) -> Result<RawValue<'a>, BsonError> {
        let len = self.take_len(kind)?;
        let [subtype] = *self.take_array(kind)?;
        let mut bytes = self.take_bytes(len, kind)?;
        if subtype == 2 {
            let (inner, rest) =
                bytes.split_first_chunk::<4>().ok_or(BsonError::Malformed { kind })?;
            if usize::try_from(i32::from_le_bytes(*inner)) != Ok(rest.len()) {
                return Err(BsonError::Malformed { kind });
            }
            bytes = rest;
        }
        Ok(RawValue::Binary { subtype, bytes })
    }

    fn take_code_with_scope(&mut self, kind: u8) -> Result<RawValue<'a>, BsonError> {
        let len = self.take_len(kind)?;
        let inner = len.checked_sub(4).ok_or(BsonError::Malformed { kind })?;
        let mut inner = Elements { rest: self.take_bytes(inner, kind)? };
        let code = inner.take_string(kind)?;
        let scope = inner.take_doc()?;
        if inner.rest.is_empty() {
            Ok(RawValue::JavaScriptWithScope { code, scope })
        } else {
            Err(BsonError::Malformed { kind })
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

/// Where the first zero byte is. Names are short: a few words looked at here beat a call.
#[inline]
fn first_zero(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let (words, _) = bytes.as_chunks::<8>();
    let mut looked_at = 0;
    for word in words.iter().take(4) {
        let word = u64::from_le_bytes(*word);
        // The lowest mark is exact; a subtraction borrows only from bytes above it.
        let zeros = word.wrapping_sub(ONES) & !word & TOPS;
        if zeros != 0 {
            return Some(looked_at + zeros.trailing_zeros() as usize / 8);
        }
        looked_at += 8;
    }
    let rest = bytes.get(looked_at..)?;
    memchr::memchr(0, rest).map(|at| looked_at + at)
}
