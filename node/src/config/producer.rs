//! What of the Kafka producer's settings is used: `producer.*` of the worker, `producer.override.*`
//! of the connector.
//!
//! The connector's value wins (`connector.client.config.override.policy=All`). Names and checks are
//! those of `ProducerConfig` of Kafka 4.1; defaults are Kafka Connect's, with three exceptions:
//!
//! | setting | Connect | here | why |
//! |---|---|---|---|
//! | `batch.size` | 16 384 | 1 048 576 | it goes out when nothing waits, size adds no latency |
//! | `max.in.flight.requests…` | 1 | 5 | the producer is idempotent: order holds with up to five |
//! | `enable.idempotence` | false | always on | it only takes duplicates away |
//!
//! `acks=0` is refused: positions would be stored that no broker has confirmed.

use std::collections::BTreeMap;

use millrace_core::kafka::Compression;
use millrace_core::link::Address;

use super::encryption::{self, KafkaSecurity, TLS_PROPERTIES};
use super::error::{Reason, Shown};
use super::producer_properties::PRODUCER_PROPERTIES;
use super::property::{Property, Values, check_all, nearest};
use super::report::Report;
use super::sasl::SASL_PROPERTIES;

/// Kafka's bound for an idempotent producer.
const REQUESTS_IN_FLIGHT_MAX: i64 = 5;
/// The port of Kafka where none is given.
pub(super) const PORT_DEFAULT: u16 = 9092;

/// What the node's producer runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducerSettings {
    /// Brokers to ask first, where the connector has its own; `None`: the worker's.
    pub(crate) bootstrap: Option<Vec<Address>>,
    /// Largest batch of one partition, uncompressed. A larger record gets a batch of its own.
    pub(crate) batch_bytes_max: u32,
    /// What is done with a full batch.
    pub(crate) compression: Compression,
    /// Added wait for a batch to fill.
    pub(crate) linger_ms: u64,
    /// Unacknowledged bytes at which the source is not read further.
    pub(crate) buffer_bytes_max: u64,
    /// Largest produce request.
    pub(crate) request_bytes_max: u32,
    /// Who must have a record before it counts as sent.
    pub(crate) acks: Acks,
    /// Silence after which a request counts as failed.
    pub(crate) request_timeout_ms: u32,
    /// Time from batch to acknowledgement after which Java gives up.
    pub(crate) delivery_timeout_ms: u32,
    /// Wait before a request is sent again.
    pub(crate) retry_backoff_ms: u64,
    /// Produce requests under way per connection, 1 to 5.
    pub(crate) requests_in_flight_max: u8,
    /// How connections to brokers are made.
    pub(crate) security: KafkaSecurity,
    /// What the broker's log calls this client; `None`: the node chooses.
    pub(crate) client_id: Option<String>,
}

/// Who must have a record before it counts as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    /// All replicas in sync.
    All,
    /// The leader alone; a position may be stored whose record dies with it.
    Leader,
}

/// Joins the worker's settings with the connector's and checks them. Names are shown with their
/// prefix. `None` if a problem was reported.
pub(super) fn parse_producer(
    worker: &BTreeMap<String, String>,
    connector: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<ProducerSettings> {
    // The worker's own were checked with its file; here they are only values.
    check_names(connector, OVERRIDE, report);
    let mut joined = worker.clone();
    joined.extend(connector.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut silent = Report::new(false, Vec::new());
    let (values, _) = check_all(table(), &joined, OVERRIDE, &mut silent);
    settings(&values, report)
}

/// How the names of a connector's settings begin.
pub(super) const OVERRIDE: &str = "producer.override.";

/// The setting of that name, without the prefix.
pub(super) fn property(name: &str) -> Option<&'static Property> {
    table().find(|property| property.name == name)
}

/// Checks the names and values of one file; `prefix` stands before the names in that file.
pub(super) fn check_names(given: &BTreeMap<String, String>, prefix: &str, report: &mut Report) {
    let (_, unknown) = check_all(table(), given, prefix, report);
    for name in unknown {
        let near = nearest(name, table().map(|property| property.name));
        report.unknown(&format!("{prefix}{name}"), near.map(|near| format!("{prefix}{near}")));
    }
}

/// Whether a setting that stands in no table may still be a secret: a misspelt one is none the less.
pub(super) fn may_be_secret(name: &str) -> bool {
    ["sasl.", "security.", "ssl."].into_iter().any(|family| name.starts_with(family))
}

fn table() -> impl Iterator<Item = &'static Property> {
    PRODUCER_PROPERTIES.iter().chain(TLS_PROPERTIES).chain(SASL_PROPERTIES)
}

fn settings(values: &Values, report: &mut Report) -> Option<ProducerSettings> {
    let narrow = |name: &str| values.integer(name).and_then(|number| u32::try_from(number).ok());
    let wide = |name: &str| values.integer(name).and_then(|number| u64::try_from(number).ok());
    let in_flight = values.integer("max.in.flight.requests.per.connection")?;
    if in_flight > REQUESTS_IN_FLIGHT_MAX {
        report.info(format!(
            "max.in.flight.requests.per.connection: {REQUESTS_IN_FLIGHT_MAX} instead of \
             {in_flight}, the most that keeps order"
        ));
    }
    let bootstrap = match values.list("bootstrap.servers") {
        [] => None,
        servers => Some(parse_addresses("producer.override.bootstrap.servers", servers, report)?),
    };
    let security = encryption::kafka(values, OVERRIDE, report).ok()?;
    Some(ProducerSettings {
        bootstrap,
        security,
        batch_bytes_max: narrow("batch.size")?,
        compression: compression(values)?,
        linger_ms: wide("linger.ms")?,
        buffer_bytes_max: wide("buffer.memory")?,
        request_bytes_max: narrow("max.request.size")?,
        acks: if values.text("acks") == "1" { Acks::Leader } else { Acks::All },
        request_timeout_ms: narrow("request.timeout.ms")?,
        delivery_timeout_ms: narrow("delivery.timeout.ms")?,
        retry_backoff_ms: wide("retry.backoff.ms")?,
        requests_in_flight_max: u8::try_from(in_flight.min(REQUESTS_IN_FLIGHT_MAX)).ok()?,
        client_id: Some(values.text("client.id").to_owned()).filter(|id| !id.is_empty()),
    })
}

/// The codec with its own level; the levels of the others count for nothing.
fn compression(values: &Values) -> Option<Compression> {
    let level = |codec| {
        let level = values.integer(&format!("compression.{codec}.level"))?;
        i32::try_from(level).ok()
    };
    match values.text("compression.type") {
        "none" => Some(Compression::None),
        "gzip" => Some(Compression::Gzip { level: level("gzip")? }),
        "snappy" => Some(Compression::Snappy),
        "lz4" => Some(Compression::Lz4 { level: level("lz4")? }),
        "zstd" => Some(Compression::Zstd { level: level("zstd")? }),
        _ => None,
    }
}

/// Reads broker addresses; a listener name before them (`PLAINTEXT://h:1`) is taken off as Java
/// does.
pub(super) fn parse_addresses(
    name: &str,
    servers: &[String],
    report: &mut Report,
) -> Option<Vec<Address>> {
    let mut addresses = Vec::with_capacity(servers.len());
    for server in servers {
        let bare = server.split_once("://").map_or(server.as_str(), |(_, bare)| bare);
        match Address::parse(bare, PORT_DEFAULT) {
            Some(address) if address.port != 0 => addresses.push(address),
            Some(_) | None => {
                let reason = Reason::NotAnAddress(server.clone());
                report.refuse(name, Shown::Text(servers.join(",")), reason);
                return None;
            }
        }
    }
    Some(addresses)
}

#[cfg(test)]
mod tests {
    use super::super::error::{ConfigError, Subject};
    use super::super::report::Notice;
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn parse(
        worker: &[(&str, &str)],
        connector: &[(&str, &str)],
    ) -> Result<(ProducerSettings, Vec<Notice>), ConfigError> {
        let mut report = Report::new(false, Vec::new());
        let settings = parse_producer(&map(worker), &map(connector), &mut report);
        report.finish("c".as_ref(), Subject::Connector, settings)
    }

    #[test]
    fn defaults_are_those_that_are_written_above() {
        let (settings, notices) = parse(&[], &[]).unwrap();
        assert_eq!(notices, []);
        assert_eq!(
            settings,
            ProducerSettings {
                security: KafkaSecurity::default(),
                bootstrap: None,
                batch_bytes_max: 1_048_576,
                compression: Compression::None,
                linger_ms: 0,
                buffer_bytes_max: 33_554_432,
                request_bytes_max: 1_048_576,
                acks: Acks::All,
                request_timeout_ms: 30_000,
                delivery_timeout_ms: i32::MAX.cast_unsigned(),
                retry_backoff_ms: 100,
                requests_in_flight_max: 5,
                client_id: None,
            }
        );
    }

    #[test]
    fn connector_wins_over_worker_wins_over_default() {
        let worker = [("batch.size", "1000"), ("linger.ms", "5"), ("acks", "1")];
        let (settings, _) = parse(&worker, &[("batch.size", "2000"), ("client.id", "c")]).unwrap();
        assert_eq!((settings.batch_bytes_max, settings.linger_ms), (2000, 5));
        assert_eq!((settings.acks, settings.client_id.as_deref()), (Acks::Leader, Some("c")));
    }

    #[test]
    fn acks_0_is_refused_with_the_reason() {
        let error = parse(&[], &[("acks", "0")]).unwrap_err().to_string();
        assert!(error.ends_with(
            "Invalid value 0 for configuration producer.override.acks: not supported by this \
             version: with acks=0 no broker confirms a record, so the position that is stored after \
             it would be a guess"
        ));
    }

    #[test]
    fn what_we_do_not_support_is_refused_by_name() {
        for (name, value) in [
            ("security.providers", "x"),
            ("sasl.login.class", "x"),
            ("transactional.id", "x"),
            ("partitioner.class", "x"),
            ("interceptor.classes", "x"),
        ] {
            let error = parse(&[], &[(name, value)]).unwrap_err().to_string();
            assert!(
                error.contains(&format!(
                    "for configuration producer.override.{name}: not supported"
                )),
                "{error}"
            );
        }
        assert!(parse(&[], &[("security.protocol", "PLAINTEXT")]).is_ok());
    }

    #[test]
    fn codecs_have_the_levels_of_kafka() {
        let compression = |worker: &[_], connector: &[_]| {
            let (settings, notices) = parse(worker, connector).unwrap();
            assert_eq!(notices, []);
            settings.compression
        };
        for (codec, usual) in [
            ("none", Compression::None),
            ("gzip", Compression::Gzip { level: -1 }),
            ("snappy", Compression::Snappy),
            ("lz4", Compression::Lz4 { level: 9 }),
            ("zstd", Compression::Zstd { level: 3 }),
        ] {
            assert_eq!(compression(&[("compression.type", codec)], &[]), usual);
            assert_eq!(
                compression(&[("compression.type", "gzip")], &[("compression.type", codec)]),
                usual
            );
        }
        let levels = [
            ("compression.gzip.level", "9"),
            ("compression.lz4.level", "17"),
            ("compression.zstd.level", "-131072"),
        ];
        for (codec, wanted) in [
            ("gzip", Compression::Gzip { level: 9 }),
            ("lz4", Compression::Lz4 { level: 17 }),
            ("zstd", Compression::Zstd { level: -131_072 }),
        ] {
            assert_eq!(compression(&levels, &[("compression.type", codec)]), wanted);
        }
    }

    /// Printed by `ProducerConfig` of Kafka 4.1.0.
    #[test]
    fn wrong_codecs_and_levels_are_refused_in_kafkas_words() {
        let gzip = "Value must be between 1 and 9 or equal to -1";
        let names = "String must be one of: none, gzip, snappy, lz4, zstd";
        for (name, value, words) in [
            ("compression.type", "foo", names),
            ("compression.type", "", names),
            ("compression.type", "GZIP", names),
            ("compression.gzip.level", "0", gzip),
            ("compression.gzip.level", "10", gzip),
            ("compression.gzip.level", "-2", gzip),
            ("compression.gzip.level", "x", "Not a number of type INT"),
            ("compression.lz4.level", "0", "Value must be at least 1"),
            ("compression.lz4.level", "18", "Value must be no more than 17"),
            ("compression.zstd.level", "23", "Value must be no more than 22"),
            ("compression.zstd.level", "-131073", "Value must be at least -131072"),
            ("acks", "2", "String must be one of: all, -1, 0, 1"),
        ] {
            let error = parse(&[], &[(name, value)]).unwrap_err().to_string();
            let wanted = format!(
                "Invalid value {value} for configuration producer.override.{name}: {words}"
            );
            assert!(error.ends_with(&wanted), "{error}");
        }
    }

    #[test]
    fn more_than_five_in_flight_are_five() {
        let (settings, notices) =
            parse(&[], &[("max.in.flight.requests.per.connection", "9")]).unwrap();
        assert_eq!((settings.requests_in_flight_max, notices.len()), (5, 1));
    }

    #[test]
    fn addresses_are_read_and_bad_ones_named() {
        let (settings, _) = parse(&[], &[("bootstrap.servers", "a:1, PLAINTEXT://b:2")]).unwrap();
        assert_eq!(settings.bootstrap, Some(vec![Address::new("a", 1), Address::new("b", 2)]));
        let error = parse(&[], &[("bootstrap.servers", "a:x")]).unwrap_err().to_string();
        assert!(error.contains("'a:x' is no broker address"));
    }

    #[test]
    fn unknown_setting_is_noted_with_the_likely_name() {
        let (_, notices) = parse(&[], &[("linger", "1"), ("batch.sise", "1")]).unwrap();
        assert!(notices[0].text.ends_with("Did you mean 'producer.override.batch.size'?"));
    }
}
