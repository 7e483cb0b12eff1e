//! Values whose text is decided character by character and digit by digit: Unicode, doubles, decimals, dates; and what
//! is large or deep.
//!
//! Numbers are drawn from a fixed seed, so a difference comes again.

use anyhow::Result;
use bson::{Bson, DateTime, Decimal128, Document, doc};

use crate::case::{Case, Place};
use crate::trial::trial;

/// Values of one document.
const CHUNK: usize = 500;
const DOUBLES: usize = 12_000;
const DECIMALS: usize = 4_000;
const DATES: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn characters_numbers_and_sizes_have_javas_bytes() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("characters", |place| Box::pin(characters(place))).strings().shows(r"\u001f"),
        // Escaped once by the connector and once more by the converter.
        Case::new("characters_in_json", |place| Box::pin(characters(place))).shows(r"\\u001f"),
        Case::new("numbers", |place| Box::pin(numbers(place))).strings().shows("4.9E-324"),
        Case::new("sizes", |place| Box::pin(sizes(place)))
            .strings()
            .set("producer.override.max.request.size", "16000000")
            .shows(r#"{"": {"": {"": "#),
    ]
}

/// Every character of the basic plane and a sample of the others, in values and in names.
async fn characters(place: Place) -> Result<()> {
    let basic = ('\0'..='\u{ffff}').collect::<Vec<char>>();
    let others = ('\u{10000}'..=char::MAX).step_by(61).collect::<Vec<char>>();
    let mut documents = Vec::new();
    for chunk in basic.chunks(1_024).chain(others.chunks(1_024)) {
        let text: String = chunk.iter().collect();
        // A name ends with the first NUL.
        let name: String = chunk.iter().filter(|c| **c != '\0').take(128).collect();
        documents.push(doc! { "_id": documents.len() as i32, "text": text, format!("n{name}"): 1 });
    }
    place.events().insert_many(documents).await?;
    Ok(())
}

async fn numbers(place: Place) -> Result<()> {
    let mut random = Random(2026);
    let mut values: Vec<Bson> = special_doubles().map(Bson::Double).collect();
    for _ in 0..DOUBLES / 2 {
        values.push(Bson::Double(f64::from_bits(random.next())));
        // As people write them: few digits, small exponents.
        let digits = (random.next() % 1_000_000) as f64;
        let exponent = (random.next() % 40) as i32 - 20;
        values.push(Bson::Double(digits * 10_f64.powi(exponent)));
    }
    for _ in 0..DECIMALS {
        let bits = u128::from(random.next()) << 64 | u128::from(random.next());
        // Small coefficients have shorter texts and their own rules.
        let bits =
            if bits & 1 == 0 { bits } else { (bits & !(u128::MAX >> 15)) | (bits % 100_000) };
        values.push(Bson::Decimal128(Decimal128::from_bytes(bits.to_le_bytes())));
    }
    for _ in 0..DATES {
        let bits = random.next().cast_signed() >> (random.next() % 64);
        values.push(Bson::DateTime(DateTime::from_millis(bits)));
        values.push(Bson::Int64(bits));
        values.push(Bson::Int32(bits as i32));
    }
    let documents = (0_i32..)
        .zip(values.chunks(CHUNK))
        .map(|(id, chunk)| doc! { "_id": id, "values": chunk.to_vec() });
    place.events().insert_many(documents).await?;
    Ok(())
}

/// NaNs, infinities, zeros, the ends of the range, and powers of ten and two with their neighbours.
fn special_doubles() -> impl Iterator<Item = f64> {
    let named = [
        0.0,
        f64::NAN,
        f64::INFINITY,
        f64::MIN_POSITIVE,
        f64::MAX,
        1.0e21,
        9_007_199_254_740_993.0,
    ];
    let quiet_nan = [0x7ff8_0000_0000_0001, 0x7ff0_0000_0000_0001].map(f64::from_bits);
    let subnormal = (0..52).map(|bit| f64::from_bits(1 << bit));
    let tens = (-323..309).map(|exponent| format!("1e{exponent}").parse().unwrap_or(f64::NAN));
    let twos = (-1_074..1_024).step_by(7).map(|exponent| 2_f64.powi(exponent));
    let all = named.into_iter().chain(quiet_nan).chain(subnormal).chain(tens).chain(twos);
    all.flat_map(|value: f64| {
        let neighbours = [value.to_bits().wrapping_sub(1), value.to_bits().wrapping_add(1)];
        let [below, above] = neighbours.map(f64::from_bits);
        [value, -value, below, above]
    })
}

/// Documents around the sizes at which buffers grow, up to several times Kafka's own limit, and nested ones.
async fn sizes(place: Place) -> Result<()> {
    let lengths = [0, 1, 16_383, 65_536, 900_000, 1_048_576, 5_000_000];
    for (id, length) in (0_i32..).zip(lengths) {
        place.events().insert_one(doc! { "_id": id, "text": "é".repeat(length / 2) }).await?;
    }
    let mut nested = doc! { "": Bson::Array(Vec::new()) };
    for depth in 0..90 {
        let inner = Bson::Document(nested);
        nested = if depth % 3 == 0 {
            doc! { "": [inner, Document::new()] }
        } else {
            doc! { "": inner }
        };
    }
    place.events().insert_one(doc! { "_id": "nested", "value": nested }).await?;
    let wide: Document =
        (0..5_000).map(|field| (format!("f{field}"), Bson::Int32(field))).collect();
    place.events().insert_one(wide).await?;
    Ok(())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
