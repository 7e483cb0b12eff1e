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
use millrace_io::tls::{TlsClient, TlsSettings};

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
    Property::text("security.protocol", "PLAINTEXT")
        .one_of_strings_any_case(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"])
        .medium(
            "Whether connections to brokers are in the clear or encrypted, and how one \
             logs in.",
        ),
    Property::text("ssl.protocol", "TLSv1.3")
        .accepted(RUSTLS)
        .medium("The TLS version that Java prefers; without effect here."),
    Property::text("ssl.provider", "")
        .accepted(RUSTLS)
        .default_of_java(None)
        .medium("Java's provider of TLS; without effect here."),
    Property::list("ssl.cipher.suites", "")
        .accepted(RUSTLS)
        .default_of_java(None)
        .low("The cipher suites that Java takes; without effect here."),
    Property::list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3")
        .accepted(RUSTLS)
        .medium("The TLS versions that Java takes; without effect here."),
    Property::text("ssl.keystore.type", "JKS")
        .one_of_strings(STORE_TYPES)
        .accepted(BY_CONTENT)
        .medium("What kind of file the key store is; its bytes say that here."),
    Property::optional("ssl.keystore.location", Kind::Text)
        .high("The file with the certificate and the key that a connection shows."),
    Property::optional("ssl.keystore.password", Kind::Password)
        .high("The password of the key store."),
    Property::optional("ssl.key.password", Kind::Password).high("The password of the key."),
    Property::optional("ssl.keystore.key", Kind::Password)
        .high("The key that a connection shows, as PEM text."),
    Property::optional("ssl.keystore.certificate.chain", Kind::Password)
        .high("The certificates that a connection shows, as PEM text."),
    Property::text("ssl.truststore.type", "JKS")
        .one_of_strings(STORE_TYPES)
        .accepted(BY_CONTENT)
        .medium("What kind of file the trust store is; its bytes say that here."),
    Property::optional("ssl.truststore.location", Kind::Text)
        .high("The file with the certificates that a connection trusts."),
    Property::optional("ssl.truststore.password", Kind::Password)
        .high("The password of the trust store."),
    Property::optional("ssl.truststore.certificates", Kind::Password)
        .high("The certificates that a connection trusts, as PEM text."),
    Property::text("ssl.keymanager.algorithm", "SunX509")
        .accepted(RUSTLS)
        .low("How Java manages keys; without effect here."),
    Property::text("ssl.trustmanager.algorithm", "PKIX")
        .accepted(RUSTLS)
        .low("How Java manages certificates; without effect here."),
    Property::text("ssl.endpoint.identification.algorithm", "https")
        .one_of_any_case(&["https"])
        .or_empty()
        .low(
            "Whether a certificate must be for the host that was connected to: https; \
             empty: no.",
        ),
    Property::text("ssl.secure.random.implementation", "")
        .accepted(RUSTLS)
        .default_of_java(None)
        .low("Java's source of random numbers; without effect here."),
    Property::optional("ssl.engine.factory.class", Kind::Class)
        .not_yet("Java classes cannot be loaded; connections are encrypted by rustls")
        .low("The class that makes Java's TLS engine; refused here."),
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
    let names = ["ssl.truststore.location", "ssl.keystore.location", "security.protocol"]
        .map(|name| format!("{prefix}{name}"));
    let checks_host_name = !values.text("ssl.endpoint.identification.algorithm").is_empty();
    client(stores(values), checks_host_name, names.each_ref().map(String::as_str), report)
}

/// The stores that `ssl.*` names, or holds: whom to trust, and who we are.
pub(super) fn stores(values: &Values) -> [Option<Result<Store, KeyStoreError>>; 2] {
    let trust = store(values, "ssl.truststore.location", "ssl.truststore.password")
        .or_else(|| pem(values, &["ssl.truststore.certificates"]));
    let keys = store(values, "ssl.keystore.location", "ssl.keystore.password")
        .or_else(|| pem(values, &["ssl.keystore.key", "ssl.keystore.certificate.chain"]));
    [trust, keys]
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
    client(stores, tls.checks_host_name, [TRUST.0, KEYS.0, "connection.uri"], report)
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

/// A client that trusts what lies in the first store, and shows what lies in the second. Problems are those of three
/// properties: of either store, and of the client.
fn client(
    [trust, keys]: [Option<Result<Store, KeyStoreError>>; 2],
    checks_host_name: bool,
    [of_trust, of_keys, of_client]: [&str; 3],
    report: &mut Report,
) -> Result<Option<TlsClient>, ()> {
    let mut refuse = |name: &str, reason| report.refuse(name, Shown::Hidden, reason);
    let authorities = trust
        .map(|store| store.and_then(|store| store.authorities()))
        .transpose()
        .map_err(|error| refuse(of_trust, Reason::KeyStore(error)))?;
    let identity = keys
        .map(|store| store.and_then(|store| store.identity()))
        .transpose()
        .map_err(|error| refuse(of_keys, Reason::KeyStore(error)))?;
    TlsClient::new(TlsSettings { authorities, identity, checks_host_name })
        .map(Some)
        .map_err(|error| refuse(of_client, Reason::Tls(error.to_string())))
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
