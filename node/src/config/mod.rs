//! Kafka Connect's worker and connector files, read into values that the node can run.
//!
//! ```text
//! worker.properties ── properties ─────► table ─► worker::WorkerConfig ┐ converters, producer.*
//! connector.json    ── connector_file ─► table ─► source_check ────────┴─► source::SourceConfig
//!                                        (name, type, default, check, what becomes of it,
//!                                         what a form shows: validation, definition)
//! ```
//!
//! Before a table looks at a value, [`providers`] fill in its placeholders.
//!
//! Every property that Java knows stands in one table with what becomes of it here: used, accepted
//! with a stated meaning, or refused by name. Nothing is dropped in silence. All errors of a file
//! are collected and shown together, in Java's words where Java has words for them.
//!
//! Holding a [`SourceConfig`] or a [`WorkerConfig`] means that every rule was checked. Secrets are
//! never printed. Nothing here opens a socket.

mod alias_settings;
mod avro;
mod basic_auth;
mod check;
mod client_overrides;
mod collation;
mod connect_properties;
mod connector_file;
mod converter;
mod copy_existing;
mod dead_letters;
mod definition;
mod distributed;
mod distributed_properties;
mod encryption;
mod error;
mod extended_json;
mod heartbeats;
mod jaas;
mod json_formatter;
mod json_lexer;
mod key_store;
mod mongo_login;
mod mongo_uri;
mod operation_time;
mod output_schema;
mod own_properties;
mod producer;
mod producer_properties;
mod properties;
mod property;
mod providers;
mod report;
mod response_headers;
mod rest;
mod rest_tls;
mod sasl;
mod secret;
mod server_api;
mod source;
mod source_check;
mod source_properties;
#[cfg(feature = "rig")]
pub(crate) mod state_table;
mod topic_creation;
mod topic_naming;
mod transform_classes;
mod transforms;
mod uri_options;
mod validation;
mod worker;
mod worker_properties;

pub(crate) use basic_auth::BasicUsers;
pub(crate) use connect_properties::CONNECTOR_VERSION;
pub(crate) use connector_file::{ConnectorFile, TargetState};
pub(crate) use converter::{
    CONVERTER_CLASSES, CONVERTER_VERSION, ConverterKind, HeaderConverterKind,
};
pub(crate) use copy_existing::CopyExisting;
pub(crate) use dead_letters::DeadLetters;
pub(crate) use distributed::{DistributedConfig, StorageTopic};
pub(crate) use encryption::KafkaSecurity;
pub(crate) use error::Problem;
pub(crate) use heartbeats::Heartbeats;
pub(crate) use mongo_login::MongoLogin;
pub(crate) use mongo_uri::{MongoConnection, Servers, SrvName, UriError};
pub(crate) use producer::{Acks, ProducerSettings};
pub(crate) use providers::Concealed;
pub(crate) use report::{Notice, Severity};
pub(crate) use response_headers::{HeaderRule, RuleValue};
pub(crate) use rest::{Admin, CrossOrigin, Listener, RestConfig};
pub(crate) use source::{
    FullDocument, FullDocumentBeforeChange, LostPosition, Output, OutputFormat, Publish, Scope,
    SourceConfig, SourcePartition, Startup,
};
pub(crate) use source_check::Examined;
pub(crate) use topic_creation::TopicCreation;
pub(crate) use uri_options::read_options;
pub(crate) use validation::{Validation, definitions, objections_to_null};
pub(crate) use worker::{Mode, OffsetStorage, TaskRestart, WorkerConfig};
