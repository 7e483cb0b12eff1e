//! Which connections are encrypted: `security.protocol` and `ssl.*` of Kafka's clients, `connection.ssl.*` and the
//! connection string of MongoDB. Who we are to Kafka is in [`super::sasl`].
//!
//! ```text
//! producer.*, producer.override.*   what a connector writes with
//! without a prefix                  the worker's own connections: it reads the offset topic
//! connection.uri: tls=true          the connections to MongoDB; connection.ssl.* says whom they trust
//! ```
//!
//! Names, types and defaults of `ssl.*` are those of `SslConfigs` of Kafka 4.1. Where Java trusts its own `cacerts`,
//! the authorities of the system are trusted here.

use std::collections::BTreeMap;

use millrace_core::kafka::sasl::{Login, SaslConfig};
use millrace_io::tls::{Identity, TlsClient, TlsSettings};

use super::error::{Reason, Shown};
use super::key_store::{KeyStoreError, Store};
use super::mongo_uri::MongoConnection;
use super::property::{Kind, Property, Values};
use super::report::Report;
use super::sasl;

const RUSTLS: &str =
    "connections are encrypted by rustls, TLS 1.3 or 1.2 with its safe cipher suites";
const BY_CONTENT: &str = "what a store is, its bytes say: PEM or PKCS #12";
const STORE_TYPES: &[&str] = &["JKS", "PKCS12", "PEM"];

/// The properties of a Kafka client that concern encryption.
pub(super) const TLS_PROPERTIES: &[Property] = &[
    Property::text("security.protocol", "PLAINTEXT").one_of_any_case(&[
        "plaintext",
        "ssl",
        "sasl_plaintext",
        "sasl_ssl",
    ]),
    Property::text("ssl.protocol", "TLSv1.3").accepted(RUSTLS),
    Property::text("ssl.provider", "").accepted(RUSTLS),
    Property::list("ssl.cipher.suites", "").accepted(RUSTLS),
    Property::list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3").accepted(RUSTLS),
    Property::text("ssl.keystore.type", "JKS").one_of_strings(STORE_TYPES).accepted(BY_CONTENT),
    Property::optional("ssl.keystore.location", Kind::Text),
    Property::optional("ssl.keystore.password", Kind::Password),
    Property::optional("ssl.key.password", Kind::Password),
    Property::optional("ssl.keystore.key", Kind::Password),
    Property::optional("ssl.keystore.certificate.chain", Kind::Password),
    Property::text("ssl.truststore.type", "JKS").one_of_strings(STORE_TYPES).accepted(BY_CONTENT),
    Property::optional("ssl.truststore.location", Kind::Text),
    Property::optional("ssl.truststore.password", Kind::Password),
    Property::optional("ssl.truststore.certificates", Kind::Password),
    Property::text("ssl.keymanager.algorithm", "SunX509").accepted(RUSTLS),
    Property::text("ssl.trustmanager.algorithm", "PKIX").accepted(RUSTLS),
    Property::text("ssl.endpoint.identification.algorithm", "https")
        .one_of_any_case(&["https"])
        .or_empty(),
    Property::text("ssl.secure.random.implementation", "").accepted(RUSTLS),
    Property::optional("ssl.engine.factory.class", Kind::Text)
        .not_yet("Java classes cannot be loaded; connections are encrypted by rustls"),
];

/// What `security.protocol` of a Kafka client comes to: SSL has the first, SASL_PLAINTEXT the second, SASL_SSL both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KafkaSecurity {
    /// How connections to brokers are encrypted; `None`: not at all.
    pub(crate) tls: Option<TlsClient>,
    /// Who we are to brokers; `None`: nobody.
    pub(crate) login: Option<Login>,
}

impl KafkaSecurity {
    /// The login for one client, with a secret of its own.
    pub(crate) fn sasl(&self) -> Option<SaslConfig> {
        let login = self.login.clone()?;
        Some(SaslConfig { login, nonce_seed: rand::random() })
    }
}

/// How connections to Kafka are made; `Err`: a problem was reported. `prefix` stands before the names in the file.
pub(super) fn kafka(
    values: &Values,
    prefix: &str,
    report: &mut Report,
) -> Result<KafkaSecurity, ()> {
    let (tls, login) = (kafka_tls(values, prefix, report), sasl::login(values, prefix, report));
    Ok(KafkaSecurity { tls: tls?, login: login? })
}

fn kafka_tls(values: &Values, prefix: &str, report: &mut Report) -> Result<Option<TlsClient>, ()> {
    let protocol = values.text("security.protocol").to_ascii_lowercase();
    if !matches!(protocol.as_str(), "ssl" | "sasl_ssl") {
        return Ok(None);
    }
    let mut problem = |name: &str, error: KeyStoreError| {
        report.refuse(&format!("{prefix}{name}"), Shown::Hidden, Reason::KeyStore(error));
    };
    let authorities = store(values, "ssl.truststore.location", "ssl.truststore.password")
        .or_else(|| pem(values, &["ssl.truststore.certificates"]))
        .map(|store| store.and_then(|store| store.authorities()))
        .transpose()
        .map_err(|error| problem("ssl.truststore.location", error))?;
    let identity = store(values, "ssl.keystore.location", "ssl.keystore.password")
        .or_else(|| pem(values, &["ssl.keystore.key", "ssl.keystore.certificate.chain"]))
        .map(|store| store.and_then(|store| store.identity()))
        .transpose()
        .map_err(|error| problem("ssl.keystore.location", error))?;
    let checks_host_name = !values.text("ssl.endpoint.identification.algorithm").is_empty();
    let settings = TlsSettings { authorities, identity, checks_host_name };
    client(settings, &format!("{prefix}security.protocol"), report)
}

/// The client for connections to MongoDB; `Ok(None)`: they are in the clear; `Err`: a problem was reported.
pub(super) fn mongodb(
    values: &Values,
    connection: &MongoConnection,
    report: &mut Report,
) -> Result<Option<TlsClient>, ()> {
    const TRUST: (&str, &str) = ("connection.ssl.truststore", "connection.ssl.truststorePassword");
    const KEYS: (&str, &str) = ("connection.ssl.keystore", "connection.ssl.keystorePassword");
    let stores = [TRUST, KEYS].map(|(location, password)| store(values, location, password));
    let Some(tls) = connection.tls else {
        for ((location, _), store) in [TRUST, KEYS].iter().zip(stores) {
            if store.is_some() {
                report.warn(format!("{location} has no effect without tls=true in connection.uri"));
            }
        }
        return Ok(None);
    };
    let [authorities, identity] = stores;
    let mut problem = |name: &str, error: KeyStoreError| {
        report.refuse(name, Shown::Hidden, Reason::KeyStore(error));
    };
    let authorities = authorities
        .map(|store| store.and_then(|store| store.authorities()))
        .transpose()
        .map_err(|error| problem(TRUST.0, error))?;
    let identity: Option<Identity> = identity
        .map(|store| store.and_then(|store| store.identity()))
        .transpose()
        .map_err(|error| problem(KEYS.0, error))?;
    let settings = TlsSettings { authorities, identity, checks_host_name: tls.checks_host_name };
    client(settings, "connection.uri", report)
}

/// What the worker's own connections are opened with.
pub(super) fn of_worker(
    given: &BTreeMap<String, String>,
    values: &Values,
    report: &mut Report,
) -> Result<KafkaSecurity, ()> {
    let in_the_clear = values.text("security.protocol").eq_ignore_ascii_case("plaintext");
    if !in_the_clear && !given.contains_key("producer.security.protocol") {
        report.warn(
            "security.protocol is for the worker's own connections; those of its connectors are made by \
             producer.security.protocol, which is not there",
        );
    }
    kafka(values, "", report)
}

fn client(settings: TlsSettings, name: &str, report: &mut Report) -> Result<Option<TlsClient>, ()> {
    TlsClient::new(settings).map(Some).map_err(|error| {
        report.refuse(name, Shown::Hidden, Reason::Tls(error.to_string()));
    })
}

/// The store that two properties name; `None`: they name none.
fn store(values: &Values, location: &str, password: &str) -> Option<Result<Store, KeyStoreError>> {
    match values.text(location) {
        "" => None,
        path => Some(Store::read(path, values.text(password))),
    }
}

/// What lies in the properties themselves.
fn pem(values: &Values, names: &[&str]) -> Option<Result<Store, KeyStoreError>> {
    let texts: Vec<&str> = names.iter().map(|name| values.text(name)).collect();
    if texts.iter().all(|text| text.is_empty()) {
        return None;
    }
    Some(Ok(Store::pem(&names.join(", "), &texts.join("\n"))))
}
