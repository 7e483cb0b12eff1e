//! The parts of the hot path that the benches drive, each over one event at a time into memory that is used again.

use std::hint::black_box;

use millrace_core::event::ChangeEvent;
use millrace_core::format::{Converter, Encoder, JsonFormatter, OutputFormat};
use millrace_core::kafka::batch::{BatchBuilder, Stamp};
use millrace_core::mongo::bson::RawDoc;

/// A batch is sealed when it has this many bytes.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// One part and its memory.
pub(crate) struct Part {
    work: Work,
    out: Vec<u8>,
    batch: Option<BatchBuilder>,
}

#[derive(Clone, Copy)]
enum Work {
    /// Walks the event's top-level fields.
    Event,
    /// Writes it as text.
    Json(Encoder),
    /// Writes it as text inside a JSON string.
    Quoted(Encoder),
    /// Walks it and appends it to a record batch, checksum included.
    Batch(Encoder),
}

impl Part {
    /// Every part.
    pub(crate) const NAMES: [&str; 7] =
        ["event", "json", "extended", "simplified", "quoted", "batch", "batch-json"];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let encoder = |format, converter| Encoder::new(format, converter).ok();
        let by = |formatter| encoder(OutputFormat::Json(formatter), Converter::String);
        let text = by(JsonFormatter::Default)?;
        let work = match name {
            "event" => Work::Event,
            "json" => Work::Json(text),
            "extended" => Work::Json(by(JsonFormatter::Extended)?),
            "simplified" => Work::Json(by(JsonFormatter::Simplified)?),
            "quoted" => Work::Quoted(encoder(
                OutputFormat::Json(JsonFormatter::Default),
                Converter::Json { schemas_enable: false },
            )?),
            "batch" => Work::Batch(encoder(OutputFormat::Bson, Converter::ByteArray)?),
            "batch-json" => Work::Batch(text),
            _ => return None,
        };
        Some(Self { work, out: Vec::new(), batch: None })
    }

    pub(crate) fn run(&mut self, event: &[u8]) {
        let document = RawDoc::new(event).expect("an event of the corpus");
        match self.work {
            Work::Event => {
                black_box(ChangeEvent::parse(document).expect("an event of the corpus"));
            }
            Work::Json(encoder) | Work::Quoted(encoder) => {
                self.out.clear();
                encoder.encode(document, &mut self.out).expect("an event of the corpus");
                black_box(self.out.as_slice());
            }
            Work::Batch(encoder) => self.append(encoder, document),
        }
    }

    fn append(&mut self, encoder: Encoder, document: RawDoc<'_>) {
        let change = ChangeEvent::parse(document).expect("an event of the corpus");
        self.out.clear();
        if let Some(key) = change.document_key {
            encoder.encode(key, &mut self.out).expect("a key of the corpus");
        }
        let batch = self.batch.get_or_insert_with(|| BatchBuilder::new(Vec::new()));
        batch.append(Some(&self.out), 0, encoder.size_hint(document), |out| {
            encoder.encode(document, out).expect("an event of the corpus");
        });
        if BATCH_BYTES_MAX <= batch.size_bytes()
            && let Some(batch) = self.batch.take()
        {
            let sealed = black_box(batch.seal(Stamp::NONE));
            self.batch = sealed.recycle().map(BatchBuilder::new);
        }
    }
}
