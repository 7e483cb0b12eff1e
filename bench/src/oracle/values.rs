//! Documents of every BSON type with edge values, byte by byte: also what no library would build.
//!
//! ```text
//! document   int32 length, elements, 0
//! element    type, name, 0, value
//! wild       any name (empty, $, dots, controls, twice the same), any type, any depth, text that is no UTF-8
//! ```
//!
//! Text that is no UTF-8 is as far as BSON can carry a lone surrogate: three bytes that UTF-8 forbids. mongod stores
//! them.

use std::collections::BTreeSet;

use bson::RawDocumentBuf;

use super::random::Random;

/// The deepest nesting: the server takes 180 levels, and an event adds some of its own.
const DEPTH_MAX: usize = 90;
/// Kinds of wild values, and how many of them have no others inside.
const KINDS: usize = 22;
const FLAT_KINDS: usize = 19;
const NULL: usize = 9;
const DECIMAL: usize = 17;
/// Most fields of a wild document.
const FIELDS_MAX: usize = 9;

/// Doubles whose text is decided by a rule of its own.
const DOUBLES: &[f64] = &[
    0.0,
    -0.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    5e-324,
    1e7,
    1e-3,
    9_999_999.0,
    0.000_999,
    1e21,
    1e22,
    2e23,
    9_007_199_254_740_993.0,
    0.1,
];
/// Milliseconds at the edges of calendars and of their texts.
const DATES: &[i64] = &[
    0,
    -1,
    1,
    100,
    -62_135_596_800_000,
    -62_135_596_800_001,
    -62_167_219_200_001,
    253_402_300_799_999,
    253_402_300_800_000,
    1_582_934_400_000,
    31_556_889_864_403_199,
    -31_557_014_167_219_200,
    i64::MAX,
    i64::MIN,
];

/// Writes one document.
#[derive(Debug, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    fn element(&mut self, kind: u8, name: &[u8]) -> &mut Self {
        self.0.push(kind);
        // A name ends with its first NUL.
        self.0.extend(name.iter().filter(|byte| **byte != 0));
        self.0.push(0);
        self
    }

    /// An element that is its type alone.
    fn empty(&mut self, kind: u8, name: &[u8]) {
        self.element(kind, name);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn string(&mut self, text: &[u8]) {
        self.put(&(text.len() as u32 + 1).to_le_bytes());
        self.put(text);
        self.0.push(0);
    }

    /// An `int32`.
    pub fn int32(&mut self, name: &str, value: i32) {
        self.element(0x10, name.as_bytes()).put(&value.to_le_bytes());
    }

    /// Elements of another document, as they are.
    pub fn elements(&mut self, elements: &[u8]) {
        self.put(elements);
    }

    /// A document; what `fill` does is inside.
    pub fn document(&mut self, name: &[u8], fill: impl FnOnce(&mut Self)) {
        self.element(0x03, name).nested(fill);
    }

    fn array(&mut self, name: &[u8], fill: impl FnOnce(&mut Self)) {
        self.element(0x04, name).nested(fill);
    }

    fn nested(&mut self, fill: impl FnOnce(&mut Self)) {
        let begin = self.0.len();
        self.put(&[0; 4]);
        fill(self);
        self.0.push(0);
        let bytes = (self.0.len() - begin) as u32;
        if let Some(length) = self.0.get_mut(begin..begin + 4) {
            length.copy_from_slice(&bytes.to_le_bytes());
        }
    }

    /// The whole document that `fill` writes.
    ///
    /// # Panics
    /// Never: its frame is right by construction.
    pub fn whole(fill: impl FnOnce(&mut Self)) -> RawDocumentBuf {
        let mut bytes = Self::default();
        bytes.nested(fill);
        RawDocumentBuf::from_bytes(bytes.0).expect("a frame of its own length")
    }

    /// A wild value under `name`; documents and arrays in it go at most `depth` deeper.
    pub fn wild(&mut self, name: &[u8], random: &mut Random, depth: usize) {
        self.of_kind(kind(random, depth), name, random, depth);
    }

    /// Every edge that is fixed, and a wild value of each of the [`KINDS`].
    pub fn edges(&mut self, random: &mut Random) {
        for value in DOUBLES {
            self.element(0x01, b"double").put(&value.to_le_bytes());
        }
        for value in DATES {
            self.element(0x09, b"date").put(&value.to_le_bytes());
        }
        for value in [0, -1, i64::MAX, i64::MIN] {
            self.element(0x12, b"long").put(&value.to_le_bytes());
        }
        for (name, kind) in [("__proto__", 0xff), ("ー\u{200d}💧", 0x7f)] {
            self.empty(kind, name.as_bytes());
        }
        self.element(0x02, b"lone").string(b"\xed\xa0\x80");
        for kind in 0..KINDS {
            self.of_kind(kind, b"kind", random, 1);
        }
    }

    fn of_kind(&mut self, kind: usize, name: &[u8], random: &mut Random, depth: usize) {
        match kind {
            0 | 1 => self.element(0x01, name).put(&double(random).to_le_bytes()),
            2 | 3 => self.element(0x02, name).string(&text(random)),
            4 => self.binary(name, random),
            5 => self.empty(0x06, name),
            6 => self.element(0x07, name).put(&object_id(random)),
            7 => self.element(0x08, name).put(&[random.below(2) as u8]),
            8 => self.element(0x09, name).put(&date(random).to_le_bytes()),
            NULL => self.empty(0x0a, name),
            10 => self.regex(name, random),
            11 => {
                self.element(0x0c, name).string(&text(random));
                self.put(&object_id(random));
            }
            12 => self.element(0x0d, name).string(&text(random)),
            13 => self.element(0x0e, name).string(&text(random)),
            14 => self.element(0x10, name).put(&int32(random).to_le_bytes()),
            15 => self.element(0x11, name).put(&random.bits().to_le_bytes()),
            16 => self.element(0x12, name).put(&int64(random).to_le_bytes()),
            DECIMAL => self.element(0x13, name).put(&decimal(random).to_le_bytes()),
            18 => self.empty(*random.one_of(&[0xff, 0x7f]), name),
            19 => self.code_with_scope(name, random, depth),
            20 => self.array(name, |inner| {
                for place in 0..random.below(5) {
                    inner.wild(place.to_string().as_bytes(), random, depth - 1);
                }
            }),
            _ => self.document(name, |inner| inner.wild_fields(random, depth - 1)),
        }
    }

    /// Some fields with wild names and values.
    pub fn wild_fields(&mut self, random: &mut Random, depth: usize) {
        let (mut last, mut names) = (Vec::new(), BTreeSet::new());
        for _ in 0..random.below(FIELDS_MAX) {
            // One name in twelve stands there twice.
            let mut name = if random.once_in(12) { last.clone() } else { field_name(random) };
            // Of two `_id`s an aggregation shows the first one twice: see COMPAT.md.
            if name == b"_id" {
                name = b"_ID".to_vec();
            }
            let mut kind = kind(random, depth);
            // Of two decimals Java takes the scale of one and the digits of the other; its converter refuses that.
            if !names.insert(name.clone()) && kind == DECIMAL {
                kind = NULL;
            }
            self.of_kind(kind, &name, random, depth);
            last = name;
        }
    }

    /// Documents and arrays in one another, as deep as the server takes them.
    pub fn deep(&mut self, name: &[u8], random: &mut Random) {
        self.levels(name, random.below(DEPTH_MAX), random);
    }

    fn levels(&mut self, name: &[u8], left: usize, random: &mut Random) {
        match (left, random.once_in(3)) {
            (0, _) => self.wild(name, random, 0),
            (_, true) => self.array(name, |inner| inner.levels(b"0", left - 1, random)),
            (_, false) => self.document(name, |inner| inner.levels(b"d", left - 1, random)),
        }
    }

    fn binary(&mut self, name: &[u8], random: &mut Random) {
        // Every subtype that has a name, and some of the user's own.
        let subtype = *random.one_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x80, 0xff]);
        let length = match subtype {
            3..=5 => 16,
            7 => 1,
            _ => random.below(24),
        };
        let mut bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        // The server looks into columns: this is an empty one.
        if subtype == 7 {
            bytes.fill(0);
        }
        self.element(0x05, name);
        // The old form has its length twice.
        let outer = if subtype == 2 { length + 4 } else { length };
        self.put(&(outer as u32).to_le_bytes());
        self.0.push(subtype);
        if subtype == 2 {
            self.put(&(length as u32).to_le_bytes());
        }
        self.put(&bytes);
    }

    fn regex(&mut self, name: &[u8], random: &mut Random) {
        let pattern = text(random);
        self.element(0x0b, name);
        self.0.extend(pattern.iter().filter(|byte| **byte != 0));
        self.0.push(0);
        self.put(random.one_of::<&[u8]>(&[b"", b"i", b"im", b"imsx", b"lsu", b"xz"]));
        self.0.push(0);
    }

    fn code_with_scope(&mut self, name: &[u8], random: &mut Random, depth: usize) {
        self.element(0x0f, name);
        let begin = self.0.len();
        self.put(&[0; 4]);
        self.string(&text(random));
        self.nested(|scope| scope.wild_fields(random, depth - 1));
        let bytes = (self.0.len() - begin) as u32;
        if let Some(length) = self.0.get_mut(begin..begin + 4) {
            length.copy_from_slice(&bytes.to_le_bytes());
        }
    }
}

fn kind(random: &mut Random, depth: usize) -> usize {
    random.below(if depth == 0 { FLAT_KINDS } else { KINDS })
}

/// Names that somebody, somewhere, gives a field.
fn field_name(random: &mut Random) -> Vec<u8> {
    const ODD: &[&str] = &[
        "",
        "a",
        "A",
        "0",
        "17",
        "a.b",
        ".",
        "a.",
        "$a",
        "$set",
        "$ref",
        "$id",
        "$oid",
        "$date",
        "$numberLong",
        " ",
        "a b",
        "\"",
        "\\",
        "/",
        "'",
        "\t",
        "\u{1}",
        "\u{7f}",
        "é",
        "ß",
        "ー",
        "💧",
        "\u{301}",
        "\u{200d}",
        "\u{feff}",
        "_id",
        "__",
        "ns",
        "fullDocument",
        "__proto__",
        "copyingData",
    ];
    match random.below(10) {
        0 => text(random),
        1 => format!("field_{}", "n".repeat(random.below(300))).into_bytes(),
        2..=4 => format!("f{}", random.below(100)).into_bytes(),
        _ => random.one_of(ODD).as_bytes().to_vec(),
    }
}

/// Text: words, escapes, characters of every plane and category, and bytes that are no text.
fn text(random: &mut Random) -> Vec<u8> {
    const WORDS: &[&str] = &[
        "millrace",
        "replication",
        "incomprehensibilities",
        "",
        " ",
        "\"quoted\"",
        "a\\b",
        "C:\\new\\table",
        "</script>",
        "\r\n",
        "NaN",
        "null",
        "{\"a\": 1}",
        "$oid",
        "ﬁ",
        "Ǆ",
        "İ",
        "\u{2028}\u{2029}",
        "👨\u{200d}👩\u{200d}👧",
        "नमस्ते",
    ];
    let mut text = Vec::new();
    let kind = random.below(8);
    for _ in 0..random.below(12) {
        match kind {
            0..=2 => text.extend(random.one_of(WORDS).as_bytes()),
            3 => text.push(random.below(0x80) as u8),
            4 | 5 => push(&mut text, character(random, 0x1_0000)),
            6 => push(&mut text, character(random, 0x11_0000)),
            // A lone surrogate, a byte that begins nothing, one that ends nothing, a form too long.
            _ => text.extend_from_slice(random.one_of::<&[u8]>(&[
                b"a",
                b"\xed\xa0\x80",
                b"\xed\xbf\xbf",
                b"\xff",
                b"\x80",
                b"\xc3",
                b"\xe2\x82",
                b"\xc0\x80",
                b"\xf5\x80\x80\x80",
            ])),
        }
    }
    text
}

/// Some character below `end`, which is no surrogate.
fn character(random: &mut Random, end: usize) -> char {
    loop {
        if let Some(character) = char::from_u32(random.below(end) as u32) {
            return character;
        }
    }
}

fn push(text: &mut Vec<u8>, character: char) {
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn double(random: &mut Random) -> f64 {
    match random.below(4) {
        0 => *random.one_of(DOUBLES),
        1 => f64::from_bits(random.bits()),
        // As people write them: few digits, small exponents.
        2 => random.below(1_000_000) as f64 * 10_f64.powi(random.below(40) as i32 - 20),
        _ => (random.bits() as i32).into(),
    }
}

fn int32(random: &mut Random) -> i32 {
    let bits = random.bits() as i32;
    *random.one_of(&[0, 1, -1, i32::MAX, i32::MIN, bits])
}

fn int64(random: &mut Random) -> i64 {
    let bits = random.bits().cast_signed();
    *random.one_of(&[0, -1, i64::MAX, i64::MIN, 1 << 53, bits, bits >> 30])
}

/// Milliseconds: also before 1970, after 9999, and beyond what a calendar has.
fn date(random: &mut Random) -> i64 {
    match random.below(3) {
        0 => *random.one_of(DATES),
        1 => random.bits().cast_signed() >> random.below(64),
        _ => 1_600_000_000_000 + random.below(100_000_000_000) as i64,
    }
}

/// Bits of a Decimal128: zeros with signs and exponents, forms with few digits, not a number, infinities, any bits.
fn decimal(random: &mut Random) -> u128 {
    let sign = u128::from(random.bits() & 1) << 127;
    let exponent = match random.below(3) {
        0 => 6_176,
        1 => 6_176 - 20 + random.below(40) as u128,
        _ => random.below(12_288) as u128,
    };
    let few = random.below(100_000) as u128;
    match random.below(6) {
        0 => sign | 0x7c << 120,
        1 => sign | 0x78 << 120,
        2 => sign | exponent << 113,
        3 | 4 => sign | exponent << 113 | few,
        _ => u128::from(random.bits()) << 64 | u128::from(random.bits()),
    }
}

fn object_id(random: &mut Random) -> [u8; 12] {
    let mut id = [0; 12];
    id.fill_with(|| random.bits() as u8);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wild(seed: u64) -> RawDocumentBuf {
        let mut random = Random::new(seed);
        Bytes::whole(|bytes| bytes.wild_fields(&mut random, 4))
    }

    /// Type bytes of all elements, nested ones too, as the library reads them.
    fn kinds(document: &bson::RawDocument, found: &mut BTreeSet<u8>) {
        for element in document.iter_elements() {
            // A name that is no text ends the library's walk.
            let Ok(element) = element else { return };
            found.insert(element.element_type() as u8);
            // Values with text that is no text are for the frame's sake alone.
            match element.value() {
                Ok(bson::RawBsonRef::Document(inner)) => kinds(inner, found),
                Ok(bson::RawBsonRef::Array(inner)) => {
                    let inner = bson::RawDocument::from_bytes(inner.as_bytes());
                    kinds(inner.expect("the frame of an array"), found);
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    #[test]
    fn wild_documents_have_every_type_in_a_frame_that_holds() {
        let mut found = BTreeSet::new();
        for seed in 0..500 {
            kinds(&wild(seed), &mut found);
        }
        let mut all: BTreeSet<u8> = (0x01..=0x13).collect();
        all.extend([0x7f, 0xff]);
        assert_eq!(found, all);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(wild(3).as_bytes(), wild(3).as_bytes());
        assert_ne!(wild(3).as_bytes(), wild(4).as_bytes());
    }

    #[test]
    fn some_text_is_no_utf_8_and_some_names_come_twice() {
        let mut random = Random::new(1);
        assert!((0..200).any(|_| String::from_utf8(text(&mut random)).is_err()));
        let twice = (0..200).any(|seed| {
            let document = wild(seed);
            let names: Vec<_> = document
                .iter_elements()
                .filter_map(|element| Some(element.ok()?.key().as_str().to_owned()))
                .collect();
            names.iter().collect::<BTreeSet<_>>().len() < names.len()
        });
        assert!(twice);
    }
}
