//! Writes the seeds of every target into `seeds/TARGET`: documents of every type, a conversation, batches.
//!
//! `cargo run --example seeds -- FOLDER`

use std::fs;
use std::path::Path;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, Regex, Timestamp, doc};
use millrace_core::kafka::batch::{BatchBuilder, Stamp};

fn documents() -> Vec<Document> {
    let text = "plain \"quoted\" \\ \n\u{1} ü 語 🚀 ".repeat(8);
    vec![
        doc! {},
        doc! { "_id": ObjectId::from_bytes([1; 12]), "text": text, "n": 1, "long": 5_i64 },
        doc! { "doubles": [0.0, -0.0, 1e300, 1.5e-7, f64::NAN, f64::INFINITY, 100.0] },
        doc! { "binary": Binary { subtype: BinarySubtype::Uuid, bytes: vec![9; 16] }, "b": true },
        doc! {
            "at": DateTime::from_millis(-1), "ts": Timestamp { time: 1, increment: 2 },
            "regex": Regex { pattern: "^a/".try_into().unwrap(), options: "imx".try_into().unwrap() },
            "decimal": "-1.2E+10".parse::<bson::Decimal128>().unwrap(), "null": Bson::Null,
            "min": Bson::MinKey, "max": Bson::MaxKey, "undefined": Bson::Undefined,
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
        },
        doc! { "nested": { "a": [{ "b": [[1, [2]], {}] }, []] } },
    ]
}

fn events() -> Vec<Document> {
    let event = |document: Document| {
        doc! {
            "_id": { "_data": "8263A1B2C3000000012B0229296E04" }, "operationType": "insert",
            "clusterTime": Timestamp { time: 7, increment: 1 }, "fullDocument": document,
            "ns": { "db": "d", "coll": "c" }, "documentKey": { "_id": 1 },
        }
    };
    documents().into_iter().map(event).collect()
}

fn message(request_id: i32, response_to: i32, flags: u32, body: &Document) -> Vec<u8> {
    let body = body.to_vec().expect("valid BSON");
    let mut message = Vec::new();
    for field in [21 + body.len() as i32, request_id, response_to, 2013, flags.cast_signed()] {
        message.extend_from_slice(&field.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(&body);
    message
}

/// A server that greets, opens the stream and sends one batch.
fn conversation() -> Vec<u8> {
    let hello = doc! {
        "isWritablePrimary": true, "setName": "rs0", "hosts": ["a:1"], "primary": "a:1",
        "maxWireVersion": 17, "ok": 1.0,
    };
    let token = doc! { "_data": "8263A1B2C3" };
    let batch = |name: &str, events: Vec<Document>| {
        let events: Vec<Bson> = events.into_iter().map(Bson::from).collect();
        doc! { "cursor": { name: events, "postBatchResumeToken": token.clone(), "id": 9_i64, "ns": "d.c" }, "ok": 1.0 }
    };
    let mut bytes = vec![0xff];
    bytes.extend(message(1, 1, 0, &hello));
    bytes.extend(message(2, 2, 0, &batch("firstBatch", Vec::new())));
    bytes.extend(message(3, 3, 2, &batch("nextBatch", events())));
    bytes
}

fn batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new());
    for (number, document) in documents().iter().enumerate() {
        let value = document.to_vec().expect("valid BSON");
        builder.append(Some(b"key"), 1_700_000_000_000 + number as i64, value.len(), |out| {
            out.extend_from_slice(&value);
        });
    }
    builder.append_null(None, 0);
    builder.seal(Stamp { producer_id: 1, epoch: 0, sequence: 0 }).bytes().to_vec()
}

/// Answers of a broker to the first requests of a client: versions (of nothing), then an empty frame.
fn answers() -> Vec<u8> {
    let mut bytes = vec![0xff];
    for body in [&[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0, 0, 0, 1, 0][..]] {
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("the folder to write to");
    let write = |target: &str, number: usize, bytes: &[u8]| {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{number}")), bytes)
    };
    for (number, document) in documents().into_iter().chain(events()).enumerate() {
        let bytes = document.to_vec().expect("valid BSON");
        write("bson_view", number, &bytes)?;
        write("formatter", number, &bytes)?;
    }
    write("op_msg", 0, &conversation())?;
    write("kafka_response", 0, &answers())?;
    write("batch_round_trip", 0, &batch())
}
