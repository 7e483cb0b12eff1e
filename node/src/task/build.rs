//! From a checked configuration to a pipeline: what the operator wrote, in the words of `core`.

use std::time::Duration;

use millrace_core::connect::{DatumConverter, JsonSettings, SchemaOutput};
use millrace_core::format;
use millrace_core::kafka::{self, ClientConfig, NewTopic};
use millrace_core::memory::MemoryBudget;
use millrace_core::mongo::copy::{CopyPosition, CopySpec};
use millrace_core::mongo::session::{ResumePosition, ServerApi, SessionConfig};
use millrace_core::mongo::watch::{self, WatchSpec};
use millrace_core::pipeline::{
    self, CopyConfig, DeadLetterConfig, HeaderConverter, HeartbeatConfig, KeyDocument,
    LostPositionPolicy, OffsetTopic, PipelineConfig, RecordConfig, TransformConfig,
};
use millrace_core::transform::Origin;

use super::links::Encryption;
use super::locate::Located;
use crate::config::{
    Acks, ConverterKind, CopyExisting, DeadLetters, FullDocument, FullDocumentBeforeChange,
    HeaderConverterKind, Heartbeats, LostPosition, OffsetStorage, Output, OutputFormat,
    ProducerSettings, Publish, Scope, SourceConfig, Startup, TopicCreation, WorkerConfig,
};
use crate::offsets::GoOn;

/// Bytes read ahead of the parser: one reply of the server, so that it can work on the next.
const READ_AHEAD_BYTES_MAX: usize = 16 << 20;
/// How long servers are looked for at the start before that is an error.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);
/// The least time between two stored positions: each costs a write to the disk or a request. After a
/// crash as much is sent again. Ten times as long made no latency better, though mongod's journal was on
/// the same disk (`bench run latency`, with `+offset.flush.interval.ms=100` beside a build that waited 1 s).
const STORE_INTERVAL_MAX: Duration = Duration::from_millis(100);
/// The longest pause between two attempts (`retry.backoff.max.ms` of Java's producer).
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The pipeline of `source` in a worker, from the servers in `located`, going on where `stored` says; `gaps` is what
/// was skipped before.
pub(crate) fn pipeline_config(
    worker: &WorkerConfig,
    (source, located): (&SourceConfig, Located),
    (stored, gaps): (GoOn, Option<String>),
    offset_key: Vec<u8>,
    memory: &MemoryBudget,
) -> anyhow::Result<PipelineConfig> {
    let flush_interval = Duration::from_millis(worker.offset_flush_interval_ms);
    Ok(PipelineConfig {
        session: session_config(source, located, memory.clone()),
        copy: copy(source, &stored)?,
        start: match stored {
            GoOn::After { token } => ResumePosition::After(token),
            GoOn::Begin | GoOn::Copy { .. } => first_position(source),
        },
        lost_position: match &source.lost_position {
            LostPosition::Fail => LostPositionPolicy::Fail,
            LostPosition::Oldest => LostPositionPolicy::Oldest,
            LostPosition::Now => LostPositionPolicy::Now,
            LostPosition::Copy(copy) => LostPositionPolicy::Copy(copy_spec(copy)),
        },
        gaps,
        client: client(worker, &source.name, &source.producer, memory.clone()),
        records: records(source)?,
        create_topics: create_topics(&source.topic_creation),
        dead_letters: dead_letters(source)?,
        heartbeats: heartbeats(source)?,
        offset_topic: offset_topic(&worker.offsets, offset_key),
        store_interval: flush_interval.min(STORE_INTERVAL_MAX),
    })
}

/// Where `source` begins if no position is stored.
pub(crate) fn first_position(source: &SourceConfig) -> ResumePosition {
    match &source.startup {
        Startup::Latest | Startup::CopyExisting(_) => ResumePosition::Now,
        Startup::Timestamp(at) => {
            ResumePosition::AtOperationTime { time: at.time, increment: at.increment }
        }
    }
}

/// What is copied first, if anything.
fn copy(source: &SourceConfig, stored: &GoOn) -> anyhow::Result<Option<CopyConfig>> {
    let connector = &source.name;
    let unfinished = match stored {
        GoOn::After { .. } => return Ok(None),
        GoOn::Begin => None,
        GoOn::Copy { position } => Some(position),
    };
    let copy = match (&source.startup, &source.lost_position, unfinished) {
        (Startup::CopyExisting(copy), _, _) | (_, LostPosition::Copy(copy), Some(_)) => Some(copy),
        (Startup::Latest | Startup::Timestamp(_), _, _) => None,
    };
    let Some(copy) = copy else {
        if unfinished.is_some() {
            tracing::warn!(
                "connector {connector}: a copy of existing data had not ended when it was stopped; \
                 what was not copied is not copied now, events are read from where startup.mode says"
            );
        }
        return Ok(None);
    };
    let resumed = match unfinished {
        Some(Some(position)) => Some(CopyPosition::read(position)?),
        Some(None) => {
            tracing::warn!("connector {connector}: Java was copying; the copy begins again");
            None
        }
        None => None,
    };
    Ok(Some(CopyConfig { spec: copy_spec(copy), resumed }))
}

fn copy_spec(copy: &CopyExisting) -> CopySpec {
    CopySpec {
        pipeline: copy.pipeline.clone(),
        namespace_regex: copy.namespace_regex.clone(),
        allow_disk_use: copy.allow_disk_use,
        threads_max: copy.threads_max,
    }
}

/// How the connections of `source` are encrypted.
pub(crate) fn encryption(source: &SourceConfig) -> Encryption {
    Encryption { mongodb: source.mongo_tls.clone(), kafka: source.producer.security.tls.clone() }
}

/// The change stream of `source`, from the servers in `located`.
pub(crate) fn session_config(
    source: &SourceConfig,
    located: Located,
    memory: MemoryBudget,
) -> SessionConfig {
    let mongo = &source.mongo;
    SessionConfig {
        seeds: located.seeds,
        replica_set: located.replica_set,
        login: located.login,
        app_name: mongo.app_name.clone().unwrap_or_else(|| format!("millrace {}", source.name)),
        server_api: source.server_api.map(|api| ServerApi {
            strict: api.strict,
            deprecation_errors: api.deprecation_errors,
        }),
        watch: WatchSpec {
            scope: match source.scope.clone() {
                Scope::Deployment => watch::Scope::Deployment,
                Scope::Database(database) => watch::Scope::Database(database),
                Scope::Collection { database, collection } => {
                    watch::Scope::Collection { database, collection }
                }
            },
            pipeline: source.pipeline.clone(),
            full_document: source.full_document.map(full_document),
            full_document_before_change: source.full_document_before_change.map(before_change),
            batch_size: source.batch_size,
            await_time_ms: u64::from(source.await_time_ms),
            show_expanded_events: source.show_expanded_events,
            collation: source.collation.clone(),
            split_large_events: source.split_large_events,
        },
        server_selection_timeout: Duration::from_millis(mongo.server_selection_timeout_ms),
        read_ahead_bytes_max: READ_AHEAD_BYTES_MAX,
        memory,
    }
}

fn full_document(mode: FullDocument) -> watch::FullDocument {
    match mode {
        FullDocument::Default => watch::FullDocument::Default,
        FullDocument::UpdateLookup => watch::FullDocument::UpdateLookup,
        FullDocument::WhenAvailable => watch::FullDocument::WhenAvailable,
        FullDocument::Required => watch::FullDocument::Required,
    }
}

fn before_change(mode: FullDocumentBeforeChange) -> watch::FullDocumentBeforeChange {
    match mode {
        FullDocumentBeforeChange::Default => watch::FullDocumentBeforeChange::Default,
        FullDocumentBeforeChange::Off => watch::FullDocumentBeforeChange::Off,
        FullDocumentBeforeChange::WhenAvailable => watch::FullDocumentBeforeChange::WhenAvailable,
        FullDocumentBeforeChange::Required => watch::FullDocumentBeforeChange::Required,
    }
}

fn client(
    worker: &WorkerConfig,
    connector: &str,
    producer: &ProducerSettings,
    memory: MemoryBudget,
) -> ClientConfig {
    // Connect's own default means for ever; the operator may have named a time himself.
    let delivery_timeout = (producer.delivery_timeout_ms != i32::MAX.cast_unsigned())
        .then(|| Duration::from_millis(u64::from(producer.delivery_timeout_ms)));
    ClientConfig {
        bootstrap: producer.bootstrap.clone().unwrap_or_else(|| worker.bootstrap.clone()),
        client_id: client_id(connector, producer),
        sasl: producer.security.sasl(),
        acks: match producer.acks {
            Acks::All => kafka::Acks::All,
            Acks::Leader => kafka::Acks::Leader,
        },
        idempotence: true,
        in_flight_max: usize::from(producer.requests_in_flight_max),
        batch_bytes_max: producer.batch_bytes_max as usize,
        compression: producer.compression,
        compression_threads: worker.compression_threads,
        request_bytes_max: producer.request_bytes_max as usize,
        linger: Duration::from_millis(producer.linger_ms),
        request_timeout: Duration::from_millis(u64::from(producer.request_timeout_ms)),
        delivery_timeout,
        retry_backoff: Duration::from_millis(producer.retry_backoff_ms),
        retry_backoff_max: RETRY_BACKOFF_MAX,
        startup_timeout: STARTUP_TIMEOUT,
        buffer_bytes_max: usize::try_from(producer.buffer_bytes_max).unwrap_or(usize::MAX),
        memory,
    }
}

/// What the producer of a connector calls itself, as in Connect where the operator says nothing.
pub(crate) fn client_id(connector: &str, producer: &ProducerSettings) -> String {
    let own = || format!("connector-producer-{connector}-0");
    producer.client_id.clone().unwrap_or_else(own)
}

fn records(source: &SourceConfig) -> Result<RecordConfig, format::EncoderError> {
    Ok(RecordConfig {
        key: encoder(&source.key)?.by(source.java),
        value: encoder(&source.value)?.by(source.java),
        publish: match source.publish {
            Publish::Event => pipeline::Publish::Event,
            Publish::FullDocument { tombstone_on_delete } => {
                pipeline::Publish::FullDocument { tombstone_on_delete }
            }
        },
        key_document: match source.key.format {
            OutputFormat::Schema { .. } => KeyDocument::Event,
            OutputFormat::Bson | OutputFormat::Json(_) if source.document_key_as_key => {
                KeyDocument::DocumentKey
            }
            OutputFormat::Bson | OutputFormat::Json(_) => KeyDocument::Token,
        },
        router: match source.chain.is_empty() {
            true => source.topic.router(),
            false => source.topic.router().with_any_name(),
        },
        transforms: transforms(source)?.map(Box::new),
    })
}

fn transforms(source: &SourceConfig) -> Result<Option<TransformConfig>, format::EncoderError> {
    if source.chain.is_empty() {
        return Ok(None);
    }
    Ok(Some(TransformConfig {
        chain: source.chain.clone(),
        key: origin(&source.key, source.java)?,
        value: origin(&source.value, source.java)?,
        key_converter: datum_converter(source.key.converter),
        value_converter: datum_converter(source.value.converter),
        header_converter: match source.header_converter {
            HeaderConverterKind::Simple => HeaderConverter::Simple,
            HeaderConverterKind::Of(kind) => HeaderConverter::Of(datum_converter(kind)),
        },
    }))
}

fn origin(output: &Output, java: format::JavaVersion) -> Result<Origin, format::EncoderError> {
    Ok(match &output.format {
        OutputFormat::Bson => Origin::Bson,
        OutputFormat::Json(formatter) => Origin::text(*formatter, java)?,
        OutputFormat::Schema { source, formatter } => Origin::Schema(SchemaOutput {
            source: source.clone(),
            formatter: *formatter,
            json: json_settings(output.converter),
        }),
    })
}

fn datum_converter(kind: ConverterKind) -> DatumConverter {
    DatumConverter { converter: converter(kind), json: json_settings(kind) }
}

fn json_settings(kind: ConverterKind) -> JsonSettings {
    match kind {
        ConverterKind::Json { settings, .. } => settings,
        ConverterKind::ByteArray | ConverterKind::String => JsonSettings::DEFAULT,
    }
}

fn encoder(output: &Output) -> Result<format::Encoder, format::EncoderError> {
    let converter = converter(output.converter);
    match &output.format {
        OutputFormat::Bson => format::Encoder::new(format::OutputFormat::Bson, converter),
        OutputFormat::Json(formatter) => {
            format::Encoder::new(format::OutputFormat::Json(*formatter), converter)
        }
        OutputFormat::Schema { source, formatter } => {
            let json = json_settings(output.converter);
            let (source, formatter) = (source.clone(), *formatter);
            format::Encoder::schema(SchemaOutput { source, formatter, json }, converter)
        }
    }
}

/// Writes texts that are `toJson()` of a document, whatever the output format.
fn text_encoder(output: &Output) -> Result<format::Encoder, format::EncoderError> {
    let format = format::OutputFormat::Json(format::JsonFormatter::Relaxed);
    format::Encoder::new(format, converter(output.converter))
}

fn plain_text() -> Result<format::Encoder, format::EncoderError> {
    let format = format::OutputFormat::Json(format::JsonFormatter::Relaxed);
    format::Encoder::new(format, format::Converter::String)
}

fn converter(kind: ConverterKind) -> format::Converter {
    match kind {
        ConverterKind::ByteArray => format::Converter::ByteArray,
        ConverterKind::Json { schemas, .. } => format::Converter::Json { schemas_enable: schemas },
        ConverterKind::String => format::Converter::String,
    }
}

fn dead_letters(source: &SourceConfig) -> Result<Option<DeadLetterConfig>, format::EncoderError> {
    let Some(DeadLetters { topic, log }) = source.dead_letters.clone() else { return Ok(None) };
    let (key, value) =
        (text_encoder(&source.key)?.by(source.java), text_encoder(&source.value)?.by(source.java));
    Ok(Some(DeadLetterConfig { topic, key, value, log }))
}

fn heartbeats(source: &SourceConfig) -> Result<Option<HeartbeatConfig>, format::EncoderError> {
    let Some(Heartbeats { topic, interval_ms }) = source.heartbeats.clone() else {
        return Ok(None);
    };
    Ok(Some(HeartbeatConfig {
        topic,
        interval: Duration::from_millis(interval_ms),
        key: match source.chain.is_empty() {
            true => text_encoder(&source.key)?.by(source.java),
            // The chain comes before the converter.
            false => plain_text()?.by(source.java),
        },
        value: converter(source.value.converter).optional_bytes_null(),
    }))
}

fn create_topics(creation: &TopicCreation) -> Option<NewTopic> {
    match creation {
        TopicCreation::ByBroker => None,
        TopicCreation::Declared { partitions, replication_factor, settings } => Some(NewTopic {
            partitions: *partitions,
            replication_factor: *replication_factor,
            settings: settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }),
    }
}

fn offset_topic(offsets: &OffsetStorage, key: Vec<u8>) -> Option<OffsetTopic> {
    match offsets {
        OffsetStorage::File(_) => None,
        OffsetStorage::Topic { name, partitions, replication_factor } => Some(OffsetTopic {
            name: name.clone(),
            create: NewTopic {
                partitions: *partitions,
                replication_factor: *replication_factor,
                settings: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
            },
            key,
        }),
    }
}
