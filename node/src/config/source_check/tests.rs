//! Laws of connector files.

use std::path::Path;

use millrace_core::connect::JsonSettings;

use super::super::copy_existing::CopyExisting;
use super::super::mongo_uri::Servers;
use super::super::topic_creation::TopicCreation;
use super::super::worker::Mode;
use super::*;

const BASE: &str =
    "name=c\nconnector.class=MongoSource\nkey.converter=String\nvalue.converter=String\n";

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

pub(crate) fn worker() -> WorkerConfig {
    WorkerConfig::read(&fixture("worker-standalone.properties"), Mode::Standalone, true).unwrap().0
}

pub(crate) fn source(
    lines: &str,
    strict: bool,
) -> Result<(SourceConfig, Vec<Notice>), ConfigError> {
    let text = format!("{BASE}{lines}");
    let file = ConnectorFile::parse(Path::new("c.properties"), text.as_bytes()).unwrap();
    SourceConfig::new(&file, &worker(), strict)
}

fn with(lines: &str) -> SourceConfig {
    source(lines, true).unwrap().0
}

pub(crate) fn error(lines: &str) -> String {
    source(lines, false).unwrap_err().to_string()
}

#[test]
fn fixture_of_the_mongodb_source_runs_unmodified() {
    let file = ConnectorFile::read(&fixture("mongodb-source.json")).unwrap();
    let (config, notices) = SourceConfig::new(&file, &worker(), true).unwrap();
    assert!(notices[0].text.ends_with("go to topic mongo..yourDatabase.yourCollection"));
    assert_eq!(notices.len(), 1);
    assert_eq!(config.name, "mongodb-source-connector");
    let seeds = vec![millrace_core::link::Address::new("localhost", 27017)];
    assert_eq!(config.mongo.servers, Servers::Listed(seeds));
    let (database, collection) = ("yourDatabase".to_owned(), "yourCollection".to_owned());
    assert_eq!(config.scope, Scope::Collection { database, collection });
    assert_eq!(config.partition.name, "mongodb://localhost:27017/yourDatabase.yourCollection");
    assert_eq!(config.topic.prefix, "mongo.");
    assert_eq!(config.await_time_ms, 5000);
    let converter = ConverterKind::Json { schemas: true, settings: JsonSettings::DEFAULT };
    let json = Output { format: OutputFormat::Json(JsonFormatter::Default), converter };
    assert_eq!((&config.key, &config.value), (&json, &json));
    assert_eq!(config.topic_creation, TopicCreation::ByBroker);
}

#[test]
fn other_connectors_are_refused_by_class() {
    for (name, class) in [
        ("file-source.properties", "FileStreamSource"),
        ("s3-sink.properties", "io.confluent.connect.s3.S3SinkConnector"),
    ] {
        let file = ConnectorFile::read(&fixture(name)).unwrap();
        let error = SourceConfig::new(&file, &worker(), false).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!(
                "contains the following 1 error(s):\n  Invalid value {class} for configuration \
                 connector.class: not supported by this version: the one connector is \
                 com.mongodb.kafka.connect.MongoSourceConnector; others come with a later \
                 version"
            )),
            "{error}"
        );
    }
}

#[test]
fn defaults_are_those_of_java() {
    let config = with("");
    assert_eq!(config.scope, Scope::Deployment);
    assert_eq!(config.partition.name, "mongodb://localhost:27017,localhost:27018,localhost:27019/");
    assert_eq!((config.batch_size, config.await_time_ms), (None, 5000));
    assert_eq!((config.full_document, config.full_document_before_change), (None, None));
    assert_eq!((config.publish, config.startup), (Publish::Event, Startup::Latest));
    assert!(config.document_key_as_key && !config.show_expanded_events);
    assert_eq!(config.topic.separator, ".");
    assert!(config.pipeline.is_empty());
}

#[test]
fn everything_that_is_supported_is_read() {
    let config = with(
        "connection.uri=mongodb://u:p%40@h2:27018,h1/?replicaSet=rs\ndatabase=db\n\
         batch.size=7\npipeline=[{$match: {operationType: 'insert'}}]\n\
         change.stream.full.document=whenAvailable\n\
         change.stream.full.document.before.change=required\n\
         change.stream.show.expanded.events=true\nchange.stream.document.key.as.key=false\n\
         topic.suffix=s\ntopic.separator=-\nstartup.mode=Timestamp\n\
         startup.mode.timestamp.start.at.operation.time=30\nproducer.override.batch.size=5000\n\
         poll.await.time.ms=9999999999",
    );
    assert_eq!(config.partition.name, "mongodb://h1,h2:27018/db");
    assert_eq!(config.batch_size, Some(7));
    assert_eq!(config.pipeline.len(), 1);
    assert_eq!(config.full_document, Some(FullDocument::WhenAvailable));
    assert_eq!(config.full_document_before_change, Some(FullDocumentBeforeChange::Required));
    assert!(config.show_expanded_events && !config.document_key_as_key);
    assert_eq!(config.startup, Startup::Timestamp(OperationTime { time: 30, increment: 0 }));
    assert_eq!(config.producer.batch_bytes_max, 5000);
    assert_eq!(config.await_time_ms, i32::MAX.cast_unsigned());
}

#[test]
fn publishing_only_the_document_asks_for_the_lookup() {
    let config = with(
        "publish.full.document.only=true\npublish.full.document.only.tombstone.on.delete=true\n\
         change.stream.full.document=required",
    );
    assert_eq!(config.publish, Publish::FullDocument { tombstone_on_delete: true });
    assert_eq!(config.full_document, Some(FullDocument::UpdateLookup));
}

#[test]
fn custom_partition_name_replaces_the_default() {
    let partition = with("offset.partition.name=mine").partition;
    assert_eq!(partition, SourcePartition { name: "mine".to_owned(), is_custom: true });
}

#[test]
fn one_formatter_writes_keys_and_values() {
    let class = "com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson";
    let config = with(&format!("output.json.formatter={class}"));
    let format = OutputFormat::Json(JsonFormatter::Simplified);
    assert_eq!((&config.key.format, &config.value.format), (&format, &format));
}

#[test]
fn format_and_converter_must_fit() {
    assert!(error("output.format.key=bson").ends_with(
        "Invalid value bson for configuration output.format.key: StringConverter takes no \
         bytes; use output.format.key=json, or key.converter=…ByteArrayConverter"
    ));
    let bytes = "value.converter=ByteArray";
    assert!(
        error(bytes).contains("ByteArrayConverter takes no text; use output.format.value=bson")
    );
    let config = with(&format!("{bytes}\noutput.format.value=BSON"));
    assert_eq!(config.value.format, OutputFormat::Bson);
}

#[test]
fn setting_of_a_converter_that_is_not_named_has_no_effect_and_says_so() {
    let text = b"name=c\nconnector.class=MongoSource\nkey.converter.schemas.enable=false";
    let file = ConnectorFile::parse(Path::new("c"), text).unwrap();
    let (config, notices) = SourceConfig::new(&file, &worker(), true).unwrap();
    assert!(matches!(config.key.converter, ConverterKind::Json { schemas: true, .. }));
    assert!(notices[0].text.starts_with("key.converter.schemas.enable has no effect without"));
}

#[test]
fn what_java_knows_and_we_do_not_is_refused_by_name() {
    for line in [
        "output.json.formatter=com.x.MyJson",
        "topic.mapper=com.x.Y",
        "mongo.custom.auth.mechanism.enable=true",
        "exactly.once.support=Required",
        "transaction.boundary=interval",
        "offsets.storage.topic=t",
        "topic.creation.groups=g",
    ] {
        let name = line.split('=').next().unwrap();
        let error = error(line);
        assert!(
            error.contains(&format!("for configuration {name}: not supported by this version")),
            "{error}"
        );
    }
}

#[test]
fn the_same_properties_at_their_defaults_are_fine() {
    let (_, notices) = source(
        "startup.mode=latest\ncopy.existing=false\nerrors.tolerance=none\n\
         heartbeat.interval.ms=0\nexactly.once.support=requested\ntransaction.boundary=poll\n\
         transforms=\ntasks.max=1\n\
         output.json.formatter=com.mongodb.kafka.connect.source.json.formatter.DefaultJson\n\
         topic.namespace.map=\ncollation=\nerrors.log.enable=false\npoll.max.batch.size=1000",
        true,
    )
    .unwrap();
    assert_eq!(notices, []);
}

#[test]
fn property_that_nobody_knows_is_warned_of_or_refused() {
    let (_, notices) = source("publish.full.documents.only=true", false).unwrap();
    assert_eq!(
        notices[0].text,
        "The configuration 'publish.full.documents.only' was supplied but isn't a known config. \
         Did you mean 'publish.full.document.only'?"
    );
    let strict = source("publish.full.documents.only=hunter2", true).unwrap_err().to_string();
    assert!(strict.ends_with(
        "Invalid value [hidden] for configuration publish.full.documents.only: unknown \
         property; did you mean 'publish.full.document.only'?"
    ));
}

#[test]
fn all_problems_are_shown_together_and_no_secret() {
    let error = error(
        "connection.uri=mongodb://u:hunter2@h/?loadBalanced=true\nbatch.size=-1\ncollection=c\npipeline=[{]\n\
         change.stream.full.document=updatelookup\npublish.full.document.only=maybe\n\
         producer.override.acks=0",
    );
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(
        lines,
        [
            "c.properties: Connector configuration is invalid and contains the following 6 \
             error(s):",
            "  Invalid value -1 for configuration batch.size: Value must be at least 0",
            "  Invalid value maybe for configuration publish.full.document.only: Expected value \
             to be either true or false",
            "  Invalid value updatelookup for configuration change.stream.full.document: Invalid \
             enumerator value. Should be one of: [default, updateLookup, whenAvailable, required]",
            "  Invalid value [hidden] for configuration connection.uri: option loadBalanced is \
             not supported by this version: load balancers come with a later version",
            "  Invalid value [{] for configuration pipeline: Not a valid JSON array: expected a \
             field name but found ']' at character 3",
            "  Invalid value 0 for configuration producer.override.acks: not supported by this \
             version: with acks=0 no broker confirms a record, so the position that is stored \
             after it would be a guess",
        ]
    );
}

#[test]
fn groups_of_topics_are_refused_once() {
    let error = error("topic.creation.groups=g");
    assert_eq!(error.matches("for configuration topic.creation.groups: not supported").count(), 1);
}

#[test]
fn collection_without_a_database_is_looked_at_when_nothing_else_is_wrong_as_in_java() {
    let about_database = "for configuration collection: Missing database configuration `database`";
    assert!(error("collection=c").contains(about_database));
    assert!(error("collection=c\ntasks.max=0").contains(about_database));
    assert!(!error("collection=c\nbatch.size=-1").contains(about_database));
}

#[test]
fn start_time_is_checked_in_every_mode() {
    let line = "startup.mode.timestamp.start.at.operation.time";
    assert!(error(&format!("{line}=zz")).contains("Must be either an integer number of seconds"));
    let (config, notices) = source(&format!("{line}=5"), true).unwrap();
    assert_eq!((config.startup, notices.len()), (Startup::Latest, 1));
    assert_eq!(with("startup.mode=timestamp").startup, Startup::Latest);
}

#[test]
fn a_copy_is_asked_for_in_two_ways_and_the_newer_name_wins() {
    let copy = |lines: &str| match with(lines).startup {
        Startup::CopyExisting(copy) => copy,
        Startup::Latest | Startup::Timestamp(_) => panic!("{lines} asks for a copy"),
    };
    let plain = copy("copy.existing=true");
    assert_eq!(plain, copy("startup.mode=COPY_EXISTING"));
    assert_eq!((&plain.namespace_regex, plain.allow_disk_use), (&None, true));
    assert!(plain.pipeline.is_empty() && 1 <= plain.threads_max);
    let older = "startup.mode=copy_existing\ncopy.existing.max.threads=3\n\
                 copy.existing.pipeline=[{$match: {}}]\ncopy.existing.namespace.regex=a$\n\
                 copy.existing.allow.disk.use=false";
    let copied = copy(older);
    assert_eq!((copied.pipeline.len(), copied.threads_max), (1, 3));
    let regex = |copied: &CopyExisting| {
        copied.namespace_regex.as_ref().map(|regex| regex.as_str().to_owned())
    };
    assert_eq!((regex(&copied).as_deref(), copied.allow_disk_use), (Some("a$"), false));
    let prefix = "startup.mode.copy.existing";
    let both = format!(
        "{older}\n{prefix}.max.threads=4\n{prefix}.pipeline=\n{prefix}.namespace.regex=b\n\
         {prefix}.allow.disk.use=true"
    );
    let copied = copy(&both);
    assert_eq!((copied.pipeline.len(), copied.threads_max), (0, 4));
    assert_eq!((regex(&copied).as_deref(), copied.allow_disk_use), (Some("b"), true));
    assert_eq!(with("startup.mode=latest\ncopy.existing=true").startup, Startup::Latest);
    assert!(
        error("copy.existing=true\ncopy.existing.pipeline=[{]").contains("copy.existing.pipeline")
    );
    let (_, notices) = source("copy.existing.max.threads=2", true).unwrap();
    assert!(notices[0].text.ends_with("no effect without startup.mode=copy_existing"));
}

#[test]
fn an_expression_for_namespaces_that_java_refuses_or_we_do_not_understand_is_named() {
    let of = |regex: &str| {
        error(&format!(
            "startup.mode=copy_existing\nstartup.mode.copy.existing.namespace.regex={regex}"
        ))
    };
    let of_java = "Invalid value (a for configuration startup.mode.copy.existing.namespace.regex: Invalid regex: \
                   Unclosed group near index 2\n(a";
    assert!(of("(a").contains(of_java), "{}", of("(a"));
    for (regex, part) in
        [("[a&&b]", "&&"), ("\\\\bshop", "\\b"), ("\\\\p{javaLowerCase}", "javaLowerCase")]
    {
        let text = of(regex);
        assert!(
            text.contains("Invalid regex: not supported by this version: ") && text.contains(part),
            "{text}"
        );
    }
}

#[test]
fn nothing_printed_holds_the_password() {
    let config = with("connection.uri=mongodb://u:hunter2@h/");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn name_with_control_characters_is_refused() {
    let file =
        ConnectorFile::parse(Path::new("c"), b"name=a\\nb\nconnector.class=MongoSource").unwrap();
    let error = SourceConfig::new(&file, &worker(), false).unwrap_err().to_string();
    assert!(error.contains(
        "String may not contain control sequences but had the following ASCII chars: 10"
    ));
}

#[test]
fn what_providers_fill_in_runs_and_is_in_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.properties");
    let of_file = |key: &str| format!("${{file:{}:{key}}}", path.display());
    let write = |database: &str| {
        let text =
            format!("database={database}\nbroken=[{{canary\nuri=mongodb://canary:x/\nmap=canary");
        std::fs::write(&path, text).unwrap();
    };
    let text = "key.converter=String\nvalue.converter=String\noffset.storage.file.filename=/o\n\
                config.providers=file\nconfig.providers.file.class=FileConfigProvider";
    let (worker, _) =
        WorkerConfig::parse(Path::new("w"), text.as_bytes(), Mode::Standalone, true).unwrap();
    let source = |lines: &str| {
        let file =
            ConnectorFile::parse(Path::new("c"), format!("{BASE}{lines}").as_bytes()).unwrap();
        SourceConfig::new(&file, &worker, true)
    };
    write("canary1");
    let (first, _) = source(&format!("database={}", of_file("database"))).unwrap();
    assert_eq!(first.scope, Scope::Database("canary1".to_owned()));
    assert!(!format!("{:?}", first.unresolved).contains("file"), "what was given may be a secret");
    write("canary2");
    let second = first.renewed(&worker).unwrap();
    assert_eq!(second.scope, Scope::Database("canary2".to_owned()));
    assert_eq!(second.concealed().without_secrets("canary2"), of_file("database"));

    for (property, key, word) in [
        ("batch.size", "database", "Not a number"),
        ("pipeline", "broken", "could quote a secret"),
        ("connection.uri", "uri", "could quote a secret"),
        ("topic.namespace.map", "map", "could quote a secret"),
        ("producer.override.bootstrap.servers", "uri", "could quote a secret"),
        ("output.format.value", "database", "Should be one of"),
        ("key.converter", "database", "not supported"),
        ("transforms", "database", ""),
    ] {
        let error = source(&format!("{property}={}", of_file(key))).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("canary"), "{property}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
    let gone = second.renewed(&worker).unwrap_err().to_string();
    assert!(gone.contains("Could not read properties from file"), "{gone}");
}
