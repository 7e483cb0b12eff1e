//! Documents of one kind of value each, which the shapes of the load generator do not have: 1 KB, seeded.
//!
//! ```text
//!  cjk        text of three bytes a character        emoji      of four, with joiners
//!  numbers    int32, int64, double, decimal          binary     four fields of 200 bytes
//!  nested     arrays in documents in arrays, five deep
//! ```
//!
//! A writer of JSON spends its time differently on each: it copies text that needs no escape, prints numbers, turns
//! bytes into base64, and goes up and down.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Decimal128, Document, doc};

const FIELDS: u64 = 10;
/// Text of a field, bytes; ten fields are 1 KB with their names.
const TEXT_BYTES: usize = 88;

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014): the same numbers for ever.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Ideographs of the basic plane, with a space now and then.
pub(super) fn cjk(number: u64) -> Document {
    let mut random = SplitMix(number);
    text(number, || match random.below(12) {
        0 => ' ',
        _ => char::from_u32(0x4e00 + random.below(0x5000) as u32).unwrap_or('一'),
    })
}

/// Faces, some of them joined to the next, between letters.
pub(super) fn emoji(number: u64) -> Document {
    const JOINER: char = '\u{200d}';
    let mut random = SplitMix(number);
    text(number, || match random.below(8) {
        0 => JOINER,
        1 => 'a',
        _ => char::from_u32(0x1f600 + random.below(0x50) as u32).unwrap_or('😀'),
    })
}

/// A document of ten texts of [`TEXT_BYTES`] at most.
fn text(number: u64, mut character: impl FnMut() -> char) -> Document {
    let mut field = || {
        let mut text = String::with_capacity(TEXT_BYTES);
        loop {
            let next = character();
            if TEXT_BYTES < text.len() + next.len_utf8() {
                return text;
            }
            text.push(next);
        }
    };
    fields(number, |_| Bson::String(field()))
}

/// Small and large ones of all four kinds, below zero too.
pub(super) fn numbers(number: u64) -> Document {
    let mut random = SplitMix(number);
    let array = |random: &mut SplitMix| -> Bson {
        let one = |place: u64, random: &mut SplitMix| match place % 4 {
            0 => Bson::Int32(random.next() as i32),
            1 => Bson::Int64((random.next() as i64) >> random.below(60)),
            2 => Bson::Double(random.next() as i64 as f64 / (1_u64 << random.below(63)) as f64),
            _ => decimal(random),
        };
        Bson::Array((0..7).map(|place| one(place, random)).collect())
    };
    fields(number, |_| array(&mut random))
}

fn decimal(random: &mut SplitMix) -> Bson {
    let text = format!("{}E-{}", random.next() as i64, random.below(20));
    text.parse::<Decimal128>().map_or(Bson::Null, Bson::Decimal128)
}

/// Bytes that mean nothing.
pub(super) fn binary(number: u64) -> Document {
    let mut random = SplitMix(number);
    let mut bytes = || (0..25).flat_map(|_| random.next().to_le_bytes()).collect();
    let mut document = doc! { "_id": number as i64, "v": 0 };
    for field in 0..4 {
        let binary = Binary { subtype: BinarySubtype::Generic, bytes: bytes() };
        document.insert(format!("f{field}"), binary);
    }
    document
}

/// Arrays of documents that hold arrays.
pub(super) fn nested(number: u64) -> Document {
    fn level(random: &mut SplitMix, depth: u32) -> Bson {
        if depth == 0 {
            return Bson::Int32(random.below(1_000) as i32);
        }
        let inner = (0..2).map(|_| level(random, depth - 1)).collect::<Vec<_>>();
        Bson::Array(vec![Bson::Document(doc! { "name": "x", "items": inner })])
    }
    let mut random = SplitMix(number);
    doc! { "_id": number as i64, "v": 0, "tree": level(&mut random, 4) }
}

fn fields(number: u64, mut value: impl FnMut(u64) -> Bson) -> Document {
    let mut document = doc! { "_id": number as i64, "v": 0 };
    for field in 0..FIELDS {
        document.insert(format!("f{field}"), value(field));
    }
    document
}
