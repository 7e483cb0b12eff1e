//! What a MongoDB source connector runs with.
//!
//! Holding a [`SourceConfig`] means that every rule was checked; [`super::source_check`] makes one.
//! Times are in milliseconds, sizes in bytes, batch sizes in events. Defaults are Java's.

use std::fmt;
use std::sync::Arc;

use millrace_core::connect::SchemaSource;
use millrace_core::format::{JavaVersion, JsonFormatter};
use millrace_core::transform::Chain;
use millrace_io::tls::TlsClient;

use super::connector_file::ConnectorFile;
use super::converter::{ConverterKind, HeaderConverterKind};
use super::copy_existing::CopyExisting;
use super::dead_letters::DeadLetters;
use super::heartbeats::Heartbeats;
use super::mongo_uri::{MongoConnection, Servers};
use super::operation_time::OperationTime;
use super::producer::ProducerSettings;
use super::providers::Concealed;
use super::server_api::ServerApi;
use super::topic_creation::TopicCreation;
use super::topic_naming::TopicNaming;

/// A source connector, checked.
#[derive(Clone, Debug)]
pub(crate) struct SourceConfig {
    /// The connector's name.
    pub(crate) name: String,
    /// Where MongoDB is and how to log in.
    pub(crate) mongo: MongoConnection,
    /// How connections to MongoDB are encrypted; `None`: not at all.
    pub(crate) mongo_tls: Option<TlsClient>,
    /// What is watched.
    pub(crate) scope: Scope,
    /// What the offsets are stored under.
    pub(crate) partition: SourcePartition,
    /// Stages behind `$changeStream`, each a BSON document.
    pub(crate) pipeline: Vec<Vec<u8>>,
    /// Events per reply of the server; `None`: the server chooses.
    pub(crate) batch_size: Option<u32>,
    /// How long the server holds a reply back while there is no event (`maxTimeMS` of `getMore`).
    pub(crate) await_time_ms: u32,
    /// Which documents an update carries; `None`: the option is not sent.
    pub(crate) full_document: Option<FullDocument>,
    /// Which earlier versions events carry; `None`: the option is not sent.
    pub(crate) full_document_before_change: Option<FullDocumentBeforeChange>,
    /// `showExpandedEvents`.
    pub(crate) show_expanded_events: bool,
    /// How the stages compare texts, as BSON; `None` compares bytes.
    pub(crate) collation: Option<Vec<u8>>,
    /// Events above 16 MB come in fragments and are joined.
    pub(crate) split_large_events: bool,
    /// The Stable API that every command asks for.
    pub(crate) server_api: Option<ServerApi>,
    /// What of an event becomes the value.
    pub(crate) publish: Publish,
    /// The key is `documentKey` where an event has one; else always the resume token.
    pub(crate) document_key_as_key: bool,
    /// How topics are named.
    pub(crate) topic: TopicNaming,
    /// Where to begin without a stored position.
    pub(crate) startup: Startup,
    /// Where to begin if the stored position is lost.
    pub(crate) lost_position: LostPosition,
    /// The Java whose text is written.
    pub(crate) java: JavaVersion,
    /// How keys are written.
    pub(crate) key: Output,
    /// How values are written.
    pub(crate) value: Output,
    /// What changes the records; empty: nothing does.
    pub(crate) chain: Chain,
    /// How headers are written, which only the chain makes.
    pub(crate) header_converter: HeaderConverterKind,
    /// Where changes go that cannot be written; `None`: such a change ends the task.
    pub(crate) dead_letters: Option<DeadLetters>,
    /// Records for idle times.
    pub(crate) heartbeats: Option<Heartbeats>,
    /// Who creates topics.
    pub(crate) topic_creation: TopicCreation,
    /// What the producer runs with.
    pub(crate) producer: ProducerSettings,
    /// What it was before providers filled in their placeholders; `None`: there was nothing to fill in.
    pub(super) unresolved: Option<Unresolved>,
}

/// A connector as it was given. Has no `Debug` text: what was given may be a secret too.
#[derive(Clone)]
pub(super) struct Unresolved {
    pub(super) file: Arc<ConnectorFile>,
    pub(super) concealed: Concealed,
}

impl fmt::Debug for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every database.
    Deployment,
    /// Every collection of a database.
    Database(String),
    /// One collection.
    Collection { database: String, collection: String },
}

/// What the offsets of a connector are stored under: the value of `ns` in Connect's source
/// partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourcePartition {
    /// The name. Holds no credentials.
    pub(crate) name: String,
    /// `offset.partition.name` was given. Choosing a new one is the documented way to drop a
    /// position.
    pub(crate) is_custom: bool,
}

/// `change.stream.full.document`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullDocument {
    Default,
    UpdateLookup,
    WhenAvailable,
    Required,
}

impl FullDocument {
    /// The server's name of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::UpdateLookup => "updateLookup",
            Self::WhenAvailable => "whenAvailable",
            Self::Required => "required",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Default, Self::UpdateLookup, Self::WhenAvailable, Self::Required];
        all.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// `change.stream.full.document.before.change`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullDocumentBeforeChange {
    Default,
    Off,
    WhenAvailable,
    Required,
}

impl FullDocumentBeforeChange {
    /// The server's name of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Off => "off",
            Self::WhenAvailable => "whenAvailable",
            Self::Required => "required",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Default, Self::Off, Self::WhenAvailable, Self::Required];
        all.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What of an event becomes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// The whole event.
    Event,
    /// Its `fullDocument`; events without one make no record, or a tombstone.
    FullDocument { tombstone_on_delete: bool },
}

/// Where to begin without a stored position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Startup {
    /// With the first event after the start.
    Latest,
    /// With the first event at or after this operation.
    Timestamp(OperationTime),
    /// With what is there, then with the first event after the start.
    CopyExisting(CopyExisting),
}

/// What follows when the server no longer knows the stored position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LostPosition {
    /// The task fails.
    Fail,
    /// With what the oplog still has.
    Oldest,
    /// With the first event from then on.
    Now,
    /// With what is there, then with the first event from then on.
    Copy(CopyExisting),
}

/// How keys or values are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    /// What the connector makes.
    pub(crate) format: OutputFormat,
    /// What the converter makes of that.
    pub(crate) converter: ConverterKind,
}

/// What the connector makes of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OutputFormat {
    /// The document as it is.
    Bson,
    /// Text of this formatter.
    Json(JsonFormatter),
    /// A struct; texts of documents inside it are by this formatter.
    Schema { source: SchemaSource, formatter: JsonFormatter },
}

impl SourcePartition {
    /// The custom name, or Java's: scheme, sorted hosts, database and collection
    /// (`MongoSourceTask.createDefaultPartitionName`).
    pub(super) fn new(custom: &str, mongo: &MongoConnection, scope: &Scope) -> Self {
        if !custom.is_empty() {
            return Self { name: custom.to_owned(), is_custom: true };
        }
        let watched = match scope {
            Scope::Deployment => String::new(),
            Scope::Database(database) => database.clone(),
            Scope::Collection { database, collection } => format!("{database}.{collection}"),
        };
        let scheme = match mongo.servers {
            Servers::Listed(_) => "mongodb",
            Servers::Srv(_) => "mongodb+srv",
        };
        let name = format!("{scheme}://{}/{watched}", mongo.hosts.join(","));
        Self { name, is_custom: false }
    }
}
