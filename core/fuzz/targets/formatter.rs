//! Every formatter and converter over any document: an error, or text that is whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_core::format::{Converter, Encoder, JsonFormatter, OutputFormat};
use millrace_core::mongo::bson::RawDoc;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = RawDoc::new(bytes) else { return };
    let converters = [
        Converter::String,
        Converter::Json { schemas_enable: false },
        Converter::Json { schemas_enable: true },
    ];
    let formatters = [JsonFormatter::Default, JsonFormatter::Extended, JsonFormatter::Simplified];
    for (formatter, converter) in formatters
        .into_iter()
        .flat_map(|formatter| converters.map(|converter| (formatter, converter)))
    {
        let format = OutputFormat::Json(formatter);
        let encoder = Encoder::new(format, converter).expect("a pair that is known");
        let mut out = b"before".to_vec();
        if encoder.encode(document, &mut out).is_ok() {
            assert!(out.starts_with(b"before"), "what stood there stays");
            assert!(std::str::from_utf8(&out).is_ok(), "text is UTF-8 whatever the document held");
        }
    }
    let encoder = Encoder::new(OutputFormat::Bson, Converter::ByteArray).expect("a known pair");
    let mut out = Vec::new();
    if encoder.encode(document, &mut out).is_ok() {
        assert_eq!(out, document.as_bytes());
    }
});
