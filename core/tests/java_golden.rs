//! Holds the formatters against what the Java connector 2.0.1 wrote in Connect 4.1.0 on JDK 17, and on JDK 25 where
//! that writes something else.
//!
//! The files under `golden/` and how they were made: `golden/README.md`. Here only the public
//! interface is used.

use millrace_core::format::token::{
    OffsetKey, StoredOffset, read_offset_key, read_offset_value, read_token, write_offset_key,
    write_offset_value, write_token,
};
use millrace_core::format::{Converter, Encoder, JavaVersion, JsonFormatter, OutputFormat};
use millrace_core::mongo::bson::RawDoc;
use millrace_core::route::Router;
use sha2::{Digest, Sha256};

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);

/// The cases of a file, each cut into its columns.
fn cases<const COLUMNS: usize>(file: &'static str) -> Vec<[&'static str; COLUMNS]> {
    let cut = |line: &'static str| {
        let columns: Vec<_> = line.split('\t').collect();
        columns.try_into().unwrap_or_else(|_| panic!("wrong number of columns: {line}"))
    };
    let cases: Vec<_> = file.trim_end_matches('\n').split('\n').map(cut).collect();
    assert!(cases.len() > 1, "a file without cases proves nothing");
    cases
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn encode(format: OutputFormat, converter: Converter, document: &[u8]) -> String {
    let encoder = Encoder::new(format, converter).expect("they go together");
    let mut out = Vec::new();
    encoder.encode(RawDoc::new(document).expect("a frame"), &mut out).expect("valid BSON");
    String::from_utf8(out).expect("UTF-8")
}

fn text(document: &[u8]) -> String {
    text_by(JavaVersion::V17, document)
}

fn text_by(java: JavaVersion, document: &[u8]) -> String {
    let encoder = Encoder::new(JSON, Converter::String).expect("they go together").by(java);
    let mut out = Vec::new();
    encoder.encode(RawDoc::new(document).expect("a frame"), &mut out).expect("valid BSON");
    String::from_utf8(out).expect("UTF-8")
}

/// A document with the one element `a`.
fn document(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = i32::try_from(value.len() + 8).expect("small");
    [&len.to_le_bytes(), &[kind, b'a', 0][..], value, &[0]].concat()
}

fn string_document(string: &[u8]) -> Vec<u8> {
    let len = i32::try_from(string.len() + 1).expect("small");
    document(0x02, &[&len.to_le_bytes(), string, &[0]].concat())
}

fn double_text(java: JavaVersion, value: f64) -> String {
    let text = text_by(java, &document(0x01, &value.to_le_bytes()));
    text[6..text.len() - 1].to_owned()
}

#[test]
fn documents_of_every_type_have_the_text_of_java() {
    for [bson, expected] in cases(include_str!("golden/default_json.tsv")) {
        assert_eq!(text(&bytes(bson)), expected, "{bson}");
    }
}

#[test]
fn json_converter_makes_the_records_of_java() {
    for [bson, json, json_schema, raw, raw_schema] in
        cases(include_str!("golden/json_converter.tsv"))
    {
        let document = bytes(bson);
        let plain = Converter::Json { schemas_enable: false };
        let envelope = Converter::Json { schemas_enable: true };
        assert_eq!(encode(JSON, plain, &document), json);
        assert_eq!(encode(JSON, envelope, &document), json_schema);
        assert_eq!(encode(OutputFormat::Bson, plain, &document), raw);
        assert_eq!(encode(OutputFormat::Bson, envelope, &document), raw_schema);
    }
}

#[test]
fn doubles_have_the_digits_of_each_jdk() {
    for (java, file) in [
        (JavaVersion::V17, include_str!("golden/doubles.tsv")),
        (JavaVersion::V25, include_str!("golden/doubles_25.tsv")),
    ] {
        for [bits, expected] in cases(file) {
            let value = f64::from_bits(u64::from_str_radix(bits, 16).expect("hexadecimal"));
            assert_eq!(double_text(java, value), expected, "{bits} {java:?}");
        }
    }
}

/// What stands inside another JSON string, and by the other formatters, goes by the same JDK.
#[test]
fn every_shape_of_a_record_goes_by_the_jdk() {
    // 2.0E23 and U+20C0, which Unicode has since 14.0.
    let double = document(0x01, &2e23_f64.to_le_bytes());
    let string = string_document("\u{20c0}".as_bytes());
    for converter in [
        Converter::String,
        Converter::Json { schemas_enable: false },
        Converter::Json { schemas_enable: true },
    ] {
        for formatter in [
            JsonFormatter::Default,
            JsonFormatter::Extended,
            JsonFormatter::Simplified,
            JsonFormatter::Relaxed,
        ] {
            let encoder = Encoder::new(OutputFormat::Json(formatter), converter).expect("a pair");
            for (java, digits, character) in [
                (JavaVersion::V17, "1.9999999999999998E23", "\\u20c0"),
                (JavaVersion::V25, "2.0E23", "\u{20c0}"),
            ] {
                let text = |document: &[u8]| {
                    let mut out = Vec::new();
                    let document = RawDoc::new(document).expect("a frame");
                    encoder.clone().by(java).encode(document, &mut out).expect("valid BSON");
                    String::from_utf8(out).expect("UTF-8")
                };
                assert!(text(&double).contains(digits), "{java:?} {}", text(&double));
                assert!(text(&string).contains(character), "{java:?} {}", text(&string));
            }
        }
    }
}

#[test]
fn decimals_have_the_text_of_java() {
    for [value, expected] in cases(include_str!("golden/decimal128.tsv")) {
        let text = text(&document(0x13, &bytes(value)));
        assert_eq!(text, format!("{{\"a\": {{\"$numberDecimal\": \"{expected}\"}}}}"), "{value}");
    }
}

#[test]
fn malformed_strings_are_read_as_by_java() {
    for [string, expected] in cases(include_str!("golden/utf8.tsv")) {
        let text = text(&string_document(&bytes(string)));
        assert_eq!(text, format!("{{\"a\": \"{expected}\"}}"), "{string}");
    }
}

fn hash(name: &str) -> Vec<u8> {
    hash_by(JavaVersion::V17, name)
}

fn hash_by(java: JavaVersion, name: &str) -> Vec<u8> {
    let cases = cases(match java {
        JavaVersion::V17 => include_str!("golden/hashes.tsv"),
        JavaVersion::V25 => include_str!("golden/hashes_25.tsv"),
    });
    let [_, hash] = cases.into_iter().find(|case| case[0] == name).expect("a hash of this name");
    bytes(hash)
}

#[test]
fn every_character_is_escaped_as_by_java() {
    let hash_of = |java: JavaVersion, scalars: &mut dyn Iterator<Item = char>| {
        let mut digest = Sha256::new();
        for scalar in scalars {
            let mut buffer = [0; 4];
            let string = string_document(scalar.encode_utf8(&mut buffer).as_bytes());
            digest.update(text_by(java, &string));
        }
        digest.finalize().to_vec()
    };
    for java in [JavaVersion::V17, JavaVersion::V25] {
        let found = hash_of(java, &mut ('\0'..='\u{ffff}'));
        assert_eq!(found, hash_by(java, "basic-plane"), "{java:?}");
    }
    let mut beyond = ('\u{1_0000}'..='\u{10_ffff}').step_by(7);
    assert_eq!(hash_of(JavaVersion::V17, &mut beyond), hash("every-7th-beyond"));
}

/// Vigna's SplitMix64, which the Java program has as well.
fn split_mix_64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn a_million_seeded_doubles_have_the_digits_of_each_jdk() {
    for java in [JavaVersion::V17, JavaVersion::V25] {
        hold_seeded_doubles(java);
    }
}

fn hold_seeded_doubles(java: JavaVersion) {
    let hash_of = |next: &mut dyn FnMut() -> f64| {
        let mut digest = Sha256::new();
        for _ in 0..500_000 {
            digest.update(double_text(java, next()));
            digest.update(b"\n");
        }
        digest.finalize().to_vec()
    };
    let mut state = 1;
    let mut random_bits = || f64::from_bits(split_mix_64(&mut state));
    assert_eq!(hash_of(&mut random_bits), hash_by(java, "doubles-of-random-bits"));
    let mut state = 2;
    let mut short_decimals = || {
        let x = split_mix_64(&mut state);
        let exponent = i64::try_from(x >> 32).expect("32 bits").rem_euclid(40) - 20;
        format!("{}e{exponent}", (x >> 1) % 100_000).parse().expect("a number")
    };
    assert_eq!(hash_of(&mut short_decimals), hash_by(java, "doubles-of-short-decimals"));
}

#[test]
fn positions_are_stored_as_by_connect_and_read_back() {
    let mut kinds = [0, 0];
    for line in include_str!("golden/offsets.tsv").trim_end_matches('\n').split('\n') {
        let mut out = Vec::new();
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["value", bson, token, value] => {
                let bson = bytes(bson);
                write_token(RawDoc::new(&bson).expect("a frame"), &mut out).expect("a token");
                assert_eq!(String::from_utf8_lossy(&out), token);
                out.clear();
                write_offset_value(&bson, &mut out).expect("a token");
                assert_eq!(String::from_utf8_lossy(&out), value);
                assert_eq!(read_token(token.as_bytes()), Ok(bson.clone()));
                assert_eq!(read_offset_value(value.as_bytes()), Ok(StoredOffset::Token(bson)));
                kinds[0] += 1;
            }
            ["key", connector, partition, key] => {
                let name = |hex| String::from_utf8(bytes(hex)).expect("UTF-8");
                let (connector, partition) = (name(connector), name(partition));
                write_offset_key(&connector, &partition, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), key);
                let expected = OffsetKey { connector, partition };
                assert_eq!(read_offset_key(key.as_bytes()), Ok(expected));
                kinds[1] += 1;
            }
            _ => panic!("wrong number of columns: {line}"),
        }
    }
    assert!(kinds.iter().all(|&count| count > 1));
}

#[test]
fn topics_are_named_and_refused_as_in_java() {
    for [prefix, suffix, separator, db, coll, topic, verdict] in
        cases(include_str!("golden/topics.tsv"))
    {
        let mut router = Router::new(prefix, suffix, separator);
        match router.route(db.as_bytes(), Some(coll.as_bytes())) {
            Ok(index) => {
                let index = index.expect("a topic");
                assert_eq!((router.name(index), "taken"), (topic, verdict));
            }
            Err(error) => assert_eq!((error.topic.as_str(), "refused"), (topic, verdict)),
        }
    }
}
