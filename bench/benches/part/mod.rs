//! The parts of the hot path that the benches drive, each over one event at a time into memory that is used again.

use std::hint::black_box;

use millrace_core::event::ChangeEvent;
use millrace_core::format::{Converter, Encoder, JsonFormatter, OutputFormat};
use millrace_core::kafka::batch::{BatchBuilder, Stamp, checksum};
use millrace_core::kafka::partitioner::partition_for_key;
use millrace_core::mongo::bson::RawDoc;
use millrace_core::route::Router;

/// A batch is sealed when it has this many bytes.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Partitions of the topic that keys are spread over.
const PARTITIONS: u32 = 12;

/// One part and its memory.
pub(crate) struct Part {
    work: Work,
    router: Router,
    out: Vec<u8>,
    batch: Option<BatchBuilder>,
}

enum Work {
    /// Walks the event's top-level fields.
    Event,
    /// Walks them and finds the topic.
    Route,
    /// Sums up its bytes as the checksum of a batch does.
    Crc32c,
    /// Copies it whole.
    Bson(Encoder),
    /// Writes it as text.
    Json(Encoder),
    /// Writes it as text inside a JSON string.
    Quoted(Encoder),
    /// Walks it and appends it to a record batch, checksum included.
    Batch(Encoder),
    /// The whole way of an event: fields, topic, key, partition, batch, checksum.
    Path(Encoder),
}

impl Part {
    /// Every part.
    pub(crate) const NAMES: [&str; 12] = [
        "event",
        "route",
        "crc32c",
        "bson",
        "json",
        "extended",
        "simplified",
        "quoted",
        "batch",
        "batch-json",
        "path-bson",
        "path-json",
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let encoder = |format, converter| Encoder::new(format, converter).ok();
        let by = |formatter| encoder(OutputFormat::Json(formatter), Converter::String);
        let text = by(JsonFormatter::Default)?;
        let raw = encoder(OutputFormat::Bson, Converter::ByteArray)?;
        let work = match name {
            "event" => Work::Event,
            "route" => Work::Route,
            "crc32c" => Work::Crc32c,
            "bson" => Work::Bson(raw),
            "json" => Work::Json(text),
            "extended" => Work::Json(by(JsonFormatter::Extended)?),
            "simplified" => Work::Json(by(JsonFormatter::Simplified)?),
            "quoted" => Work::Quoted(encoder(
                OutputFormat::Json(JsonFormatter::Default),
                Converter::Json { schemas_enable: false },
            )?),
            "batch" => Work::Batch(raw),
            "batch-json" => Work::Batch(text),
            "path-bson" => Work::Path(raw),
            "path-json" => Work::Path(text),
            _ => return None,
        };
        let router = Router::new("bench", "", ".");
        Some(Self { work, router, out: Vec::new(), batch: None })
    }

    pub(crate) fn run(&mut self, event: &[u8]) {
        let document = RawDoc::new(event).expect("an event of the corpus");
        match &self.work {
            Work::Event => {
                black_box(ChangeEvent::parse(document).expect("an event of the corpus"));
            }
            Work::Route => {
                let change = ChangeEvent::parse(document).expect("an event of the corpus");
                black_box(route(&mut self.router, &change));
            }
            Work::Crc32c => {
                black_box(checksum(event));
            }
            Work::Bson(encoder) | Work::Json(encoder) | Work::Quoted(encoder) => {
                self.out.clear();
                encoder.encode(document, &mut self.out).expect("an event of the corpus");
                black_box(self.out.as_slice());
            }
            Work::Batch(encoder) => {
                let change = ChangeEvent::parse(document).expect("an event of the corpus");
                append(&mut self.out, &mut self.batch, encoder, document, &change);
            }
            Work::Path(encoder) => {
                let change = ChangeEvent::parse(document).expect("an event of the corpus");
                black_box(route(&mut self.router, &change));
                append(&mut self.out, &mut self.batch, encoder, document, &change);
                black_box(partition_for_key(&self.out, PARTITIONS));
            }
        }
    }
}

fn route(router: &mut Router, change: &ChangeEvent<'_>) -> usize {
    let database = change.database.expect("a namespace of the corpus");
    let topic = router.route(database, change.collection);
    topic.ok().flatten().expect("a topic of the corpus").index()
}

fn append(
    key: &mut Vec<u8>,
    open: &mut Option<BatchBuilder>,
    encoder: &Encoder,
    document: RawDoc<'_>,
    change: &ChangeEvent<'_>,
) {
    key.clear();
    if let Some(document_key) = change.document_key {
        encoder.encode(document_key, key).expect("a key of the corpus");
    }
    let batch = open.get_or_insert_with(|| BatchBuilder::new(Vec::new()));
    batch.append(Some(key), 0, encoder.size_hint(document), |out| {
        encoder.encode(document, out).expect("an event of the corpus");
    });
    if BATCH_BYTES_MAX <= batch.size_bytes()
        && let Some(batch) = open.take()
    {
        let sealed = black_box(batch.seal(Stamp::NONE));
        *open = sealed.recycle().map(BatchBuilder::new);
    }
}
