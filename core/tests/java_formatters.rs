//! Holds all three JSON formatters against what the Java connector 2.0.1 wrote in Connect 4.1.0 on
//! JDK 17: the shape of every type, dates, and thousands of seeded documents.
//!
//! What the formatters share (text, doubles, decimals) is held in `java_golden.rs`. The files under
//! `golden/` and how they were made: `golden/README.md`.

mod seeded;

use millrace_core::format::{Converter, Encoder, JsonFormatter, OutputFormat};
use millrace_core::mongo::bson::RawDoc;
use seeded::{Seeded, framed};
use sha2::{Digest, Sha256};

/// Documents behind a hash.
const DOCUMENTS: usize = 20_000;
/// Dates behind a hash.
const DATES: usize = 200_000;

const TEXT: Converter = Converter::String;
const LITERAL: Converter = Converter::Json { schemas_enable: false };
const ENVELOPE: Converter = Converter::Json { schemas_enable: true };

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("hexadecimal") as u8;
    assert!(hex.len().is_multiple_of(2));
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn encode(formatter: JsonFormatter, converter: Converter, document: &[u8], out: &mut Vec<u8>) {
    let encoder = Encoder::new(OutputFormat::Json(formatter), converter).expect("they go together");
    encoder.encode(RawDoc::new(document).expect("a frame"), out).expect("valid BSON");
}

fn hold(formatter: JsonFormatter, file: &str) {
    let mut count = 0;
    for line in file.lines() {
        let (bson, expected) = line.split_once('\t').expect("two columns");
        let mut out = Vec::new();
        encode(formatter, TEXT, &bytes(bson), &mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected, "{bson}");
        count += 1;
    }
    assert!(count > 200, "a file without cases proves nothing");
}

fn hash(name: &str) -> Vec<u8> {
    let mut lines = include_str!("golden/hashes.tsv").lines();
    bytes(lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('\t')).expect("a hash"))
}

#[test]
fn documents_of_every_type_have_the_text_of_extended_json() {
    hold(JsonFormatter::Extended, include_str!("golden/extended_json.tsv"));
}

#[test]
fn documents_of_every_type_have_the_text_of_simplified_json() {
    hold(JsonFormatter::Simplified, include_str!("golden/simplified_json.tsv"));
}

#[test]
fn documents_of_every_type_have_the_text_of_to_json() {
    hold(JsonFormatter::Relaxed, include_str!("golden/relaxed_json.tsv"));
}

#[test]
fn seeded_documents_make_the_records_of_java_in_every_formatter_and_converter() {
    for (formatter, name) in [
        (JsonFormatter::Default, "documents-default"),
        (JsonFormatter::Extended, "documents-extended"),
        (JsonFormatter::Simplified, "documents-simplified"),
    ] {
        let (mut seeded, mut digest, mut out) = (Seeded::new(3), Sha256::new(), Vec::new());
        for _ in 0..DOCUMENTS {
            let document = seeded.document();
            out.clear();
            for converter in [TEXT, LITERAL, ENVELOPE] {
                encode(formatter, converter, &document, &mut out);
                out.push(b'\n');
            }
            digest.update(&out);
        }
        assert_eq!(digest.finalize().to_vec(), hash(name), "{name}");
    }
}

#[test]
fn dates_have_the_text_of_java_from_the_first_to_the_last() {
    let hash_of = |seed, draw: &dyn Fn(&mut Seeded) -> i64| {
        let (mut seeded, mut digest, mut out) = (Seeded::new(seed), Sha256::new(), Vec::new());
        for _ in 0..DATES {
            let unix_ms = draw(&mut seeded).to_le_bytes();
            let document = framed(&[&[9, b'a', 0], &unix_ms[..]].concat());
            out.clear();
            encode(JsonFormatter::Simplified, TEXT, &document, &mut out);
            out.push(b'\n');
            digest.update(&out);
        }
        digest.finalize().to_vec()
    };
    assert_eq!(hash_of(4, &Seeded::signed), hash("dates-of-random-bits"));
    let around_now =
        |seeded: &mut Seeded| seeded.below(600_000_000_000_000) as i64 - 300_000_000_000_000;
    assert_eq!(hash_of(5, &around_now), hash("dates-around-now"));
}
