//! BSON views over any bytes: an error or values, never a panic, and a change event is found in them likewise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_core::event::ChangeEvent;
use millrace_core::mongo::bson::{RawDoc, RawValue};

const DEPTH_MAX: usize = 200;

fn walk(document: RawDoc<'_>, depth: usize) {
    for element in document.iter() {
        let Ok(element) = element else { return };
        match element.value {
            RawValue::Document(inner) | RawValue::Array(inner) if depth < DEPTH_MAX => {
                walk(inner, depth + 1);
            }
            _ => {}
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = RawDoc::new(bytes) else { return };
    walk(document, 0);
    let _ = document.get(b"_id");
    let _ = ChangeEvent::parse(document);
});
