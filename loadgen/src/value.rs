//! One random value of every BSON type.
//!
//! The values are valid in every respect that a server or another driver checks: no surrogates, regular expression
//! options in order, decimals with a coefficient in range, timestamps that the server does not replace (it sets
//! `Timestamp(0, 0)` to its own time). Binary subtype 2 is left out: drivers disagree on whether its inner length
//! belongs to the value.

use std::fmt::Display;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::bson_writer::{BsonWriter, element};
use crate::random::below;
use crate::text;

/// A BSON type of a payload field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Double,
    String,
    Document,
    Array,
    Binary,
    Undefined,
    ObjectId,
    Boolean,
    DateTime,
    Null,
    Regex,
    DbPointer,
    JavaScript,
    Symbol,
    JavaScriptWithScope,
    Int32,
    Timestamp,
    Int64,
    Decimal128,
    MinKey,
    MaxKey,
    /// A document within a document, some levels deep.
    Nested,
}

impl ValueKind {
    /// Every type of the specification.
    pub(crate) const ALL: &[Self] = &[
        Self::String,
        Self::Double,
        Self::Document,
        Self::Array,
        Self::Binary,
        Self::Undefined,
        Self::ObjectId,
        Self::Boolean,
        Self::DateTime,
        Self::Null,
        Self::Regex,
        Self::DbPointer,
        Self::JavaScript,
        Self::Symbol,
        Self::JavaScriptWithScope,
        Self::Int32,
        Self::Timestamp,
        Self::Int64,
        Self::Decimal128,
        Self::MinKey,
        Self::MaxKey,
    ];

    /// What an ordinary application stores, text first.
    pub(crate) const PLAIN: &[Self] = &[
        Self::String,
        Self::Int32,
        Self::String,
        Self::Double,
        Self::Int64,
        Self::String,
        Self::Boolean,
        Self::DateTime,
    ];

    /// What a ledger or a sensor stores.
    pub(crate) const NUMBERS: &[Self] =
        &[Self::Int32, Self::Double, Self::Int64, Self::Decimal128, Self::Double];

    /// Nothing but nested documents.
    pub(crate) const DEEP: &[Self] = &[Self::Nested];

    /// Whether two values of this type may well be the same.
    pub(crate) fn is_narrow(self) -> bool {
        match self {
            Self::Undefined
            | Self::Boolean
            | Self::Null
            | Self::Int32
            | Self::MinKey
            | Self::MaxKey => true,
            Self::Double
            | Self::String
            | Self::Document
            | Self::Array
            | Self::Binary
            | Self::ObjectId
            | Self::DateTime
            | Self::Regex
            | Self::DbPointer
            | Self::JavaScript
            | Self::Symbol
            | Self::JavaScriptWithScope
            | Self::Timestamp
            | Self::Int64
            | Self::Decimal128
            | Self::Nested => false,
        }
    }
}

/// Draws values and writes them.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) rng: ChaCha8Rng,
    /// Text beyond ASCII letters.
    pub(crate) unicode: bool,
    /// NaN, infinities, negative zero and subnormal numbers.
    pub(crate) special_doubles: bool,
    /// No short cuts to zero, empty or round values: two draws are never the same. Narrow kinds cannot do that.
    pub(crate) distinct: bool,
}

impl Values {
    /// Writes one element. Text and binary fill `room` bytes (at least eight); other types take what they take.
    pub(crate) fn push(
        &mut self,
        writer: &mut BsonWriter,
        name: impl Display,
        kind: ValueKind,
        room: usize,
    ) {
        match kind {
            ValueKind::Double => self.double(writer, name),
            ValueKind::String => self.string(writer, element::STRING, name, room),
            ValueKind::Document => self.document(writer, name, room),
            ValueKind::Array => self.array(writer, name, room),
            ValueKind::Binary => self.binary(writer, name, room),
            ValueKind::Undefined => writer.element(element::UNDEFINED, name),
            ValueKind::ObjectId => {
                writer.element(element::OBJECT_ID, name);
                self.random(writer, 12);
            }
            ValueKind::Boolean => {
                writer.element(element::BOOLEAN, name);
                writer.raw(&[u8::from(self.one_in(2))]);
            }
            ValueKind::DateTime => self.date_time(writer, name),
            ValueKind::Null => writer.element(element::NULL, name),
            ValueKind::Regex => self.regex(writer, name),
            ValueKind::DbPointer => self.db_pointer(writer, name),
            ValueKind::JavaScript => {
                writer.element(element::JAVASCRIPT, name);
                self.code(writer);
            }
            ValueKind::Symbol => self.string(writer, element::SYMBOL, name, 8),
            ValueKind::JavaScriptWithScope => self.code_with_scope(writer, name),
            ValueKind::Int32 => {
                writer.element(element::INT32, name);
                self.random(writer, 4);
            }
            ValueKind::Timestamp => self.timestamp(writer, name),
            ValueKind::Int64 => {
                writer.element(element::INT64, name);
                self.random(writer, 8);
            }
            ValueKind::Decimal128 => self.decimal128(writer, name),
            ValueKind::MinKey => writer.element(element::MIN_KEY, name),
            ValueKind::MaxKey => writer.element(element::MAX_KEY, name),
            ValueKind::Nested => self.nested(writer, name, room),
        }
    }

    /// Text that fills `bytes` exactly.
    pub(crate) fn text(&mut self, writer: &mut BsonWriter, bytes: usize) {
        if self.unicode {
            text::push_unicode(writer.buffer(), &mut self.rng, bytes);
        } else {
            text::push_plain(writer.buffer(), &mut self.rng, bytes);
        }
    }

    fn one_in(&mut self, cases: u64) -> bool {
        below(&mut self.rng, cases) == 0
    }

    fn random(&mut self, writer: &mut BsonWriter, bytes: usize) {
        let buffer = writer.buffer();
        let start = buffer.len();
        buffer.resize(start + bytes, 0);
        self.rng.fill_bytes(&mut buffer[start..]);
    }

    fn string(&mut self, writer: &mut BsonWriter, kind: u8, name: impl Display, room: usize) {
        writer.element(kind, name);
        let open = writer.open();
        self.text(writer, room.max(8));
        writer.close_string(open);
    }

    fn double(&mut self, writer: &mut BsonWriter, name: impl Display) {
        const SPECIAL: [f64; 6] =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, f64::MIN_POSITIVE / 3.0];
        let bits = self.rng.next_u64();
        let integer = f64::from(bits as i32);
        let value = match (bits >> 32) & 3 {
            _ if self.special_doubles && !self.distinct && self.one_in(4) => {
                SPECIAL[(bits % SPECIAL.len() as u64) as usize]
            }
            0 if !self.distinct => integer,
            1 if !self.distinct => integer / 100.0,
            // Any sign and mantissa; an exponent of 1 to 2046 is a normal number.
            _ => {
                let exponent = 1 + below(&mut self.rng, 2_046);
                f64::from_bits((bits & !(0x7ff << 52)) | (exponent << 52))
            }
        };
        writer.element(element::DOUBLE, name);
        writer.raw(&value.to_le_bytes());
    }

    fn document(&mut self, writer: &mut BsonWriter, name: impl Display, room: usize) {
        writer.element(element::DOCUMENT, name);
        let outer = writer.open();
        if self.distinct || !self.one_in(16) {
            self.string(writer, element::STRING, "name", room / 2);
            self.push(writer, "at", ValueKind::DateTime, 0);
            writer.element(element::DOCUMENT, "in");
            let inner = writer.open();
            self.push(writer, "x", ValueKind::Double, 0);
            self.push(writer, "none", ValueKind::Null, 0);
            writer.element(element::ARRAY, "list");
            let list = writer.open();
            self.push(writer, 0, ValueKind::Int32, 0);
            self.push(writer, 1, ValueKind::Decimal128, 0);
            writer.close_document(list);
            writer.close_document(inner);
        }
        writer.close_document(outer);
    }

    /// `{ n: …, in: { n: …, in: { … text: "…" } } }`, 2 to 16 levels.
    fn nested(&mut self, writer: &mut BsonWriter, name: impl Display, room: usize) {
        /// Type, name, length, number and end of a level.
        const LEVEL_BYTES: usize = 1 + 3 + 4 + 7 + 1;
        let levels = 2 + below(&mut self.rng, 15) as usize;
        writer.element(element::DOCUMENT, name);
        let mut open = vec![writer.open()];
        self.push(writer, "n", ValueKind::Int32, 0);
        while open.len() < levels {
            writer.element(element::DOCUMENT, "in");
            open.push(writer.open());
            self.push(writer, "n", ValueKind::Int32, 0);
        }
        self.string(writer, element::STRING, "text", room.saturating_sub(levels * LEVEL_BYTES));
        while let Some(level) = open.pop() {
            writer.close_document(level);
        }
    }

    fn array(&mut self, writer: &mut BsonWriter, name: impl Display, room: usize) {
        writer.element(element::ARRAY, name);
        let outer = writer.open();
        if self.distinct || !self.one_in(16) {
            self.string(writer, element::STRING, 0, room / 2);
            self.push(writer, 1, ValueKind::Int64, 0);
            writer.element(element::ARRAY, 2);
            let inner = writer.open();
            self.push(writer, 0, ValueKind::Boolean, 0);
            writer.close_document(inner);
            writer.element(element::DOCUMENT, 3);
            let inner = writer.open();
            self.push(writer, "k", ValueKind::ObjectId, 0);
            writer.close_document(inner);
        }
        writer.close_document(outer);
    }

    fn binary(&mut self, writer: &mut BsonWriter, name: impl Display, room: usize) {
        const GENERIC: u8 = 0;
        const UUID: u8 = 4;
        const MD5: u8 = 5;
        const USER: u8 = 0x80;
        let (subtype, bytes) = match below(&mut self.rng, 4) {
            0 => (UUID, 16),
            1 => (MD5, 16),
            2 => (USER, room.max(8)),
            _ => (GENERIC, room.max(8)),
        };
        writer.element(element::BINARY, name);
        writer.i32(i32::try_from(bytes).unwrap_or(i32::MAX));
        writer.raw(&[subtype]);
        self.random(writer, bytes);
    }

    /// Years 1 to 9999, so most of them are before 1970.
    fn date_time(&mut self, writer: &mut BsonWriter, name: impl Display) {
        const FIRST_MS: i64 = -62_135_596_800_000;
        const LAST_MS: i64 = 253_402_300_799_999;
        let span = FIRST_MS.abs_diff(LAST_MS) + 1;
        writer.element(element::DATE_TIME, name);
        writer.i64(FIRST_MS.saturating_add_unsigned(self.rng.next_u64() % span));
    }

    fn regex(&mut self, writer: &mut BsonWriter, name: impl Display) {
        const OPTIONS: [&str; 4] = ["", "i", "ims", "x"];
        writer.element(element::REGEX, name);
        writer.raw(b"^");
        text::push_plain(writer.buffer(), &mut self.rng, 9);
        writer.cstring("/\\w+\"$");
        writer.cstring(OPTIONS[below(&mut self.rng, 4) as usize]);
    }

    fn db_pointer(&mut self, writer: &mut BsonWriter, name: impl Display) {
        writer.element(element::DB_POINTER, name);
        writer.string("library.books");
        self.random(writer, 12);
    }

    fn code(&mut self, writer: &mut BsonWriter) {
        let open = writer.open();
        writer.raw(b"function () { return '");
        text::push_plain(writer.buffer(), &mut self.rng, 9);
        writer.raw(b"'; }");
        writer.close_string(open);
    }

    fn code_with_scope(&mut self, writer: &mut BsonWriter, name: impl Display) {
        writer.element(element::JAVASCRIPT_WITH_SCOPE, name);
        let open = writer.open();
        self.code(writer);
        let scope = writer.open();
        self.push(writer, "n", ValueKind::Int32, 0);
        self.push(writer, "s", ValueKind::String, 8);
        writer.close_document(scope);
        writer.close_length(open);
    }

    fn timestamp(&mut self, writer: &mut BsonWriter, name: impl Display) {
        writer.element(element::TIMESTAMP, name);
        writer.i64((self.rng.next_u64() | 1).cast_signed());
    }

    /// Binary integer decimal: sign, 14 bits of exponent, 113 bits of coefficient, of which at most 80 are drawn here
    /// (24 digits; the type holds 34).
    fn decimal128(&mut self, writer: &mut BsonWriter, name: impl Display) {
        const EXPONENT_BIAS: u64 = 6_176;
        const EXPONENT_COUNT: u64 = 12_288;
        const SPECIAL_HIGH: [u64; 3] = [0x7800 << 48, 0xf800 << 48, 0x7c00 << 48];
        writer.element(element::DECIMAL128, name);
        if self.special_doubles && !self.distinct && self.one_in(8) {
            let high = SPECIAL_HIGH[below(&mut self.rng, 3) as usize];
            writer.raw(&u128::from(high).rotate_left(64).to_le_bytes());
            return;
        }
        let low = self.rng.next_u64();
        let draw = self.rng.next_u64();
        let exponent = if self.one_in(8) {
            below(&mut self.rng, EXPONENT_COUNT)
        } else {
            EXPONENT_BIAS - 24 + below(&mut self.rng, 32)
        };
        let high = (draw & (1 << 63)) | (exponent << 49) | (draw & 0xffff);
        writer.raw(&low.to_le_bytes());
        writer.raw(&high.to_le_bytes());
    }
}
