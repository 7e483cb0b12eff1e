//! TLS of the REST interface: what its `https` listeners show and ask for, and how other workers are connected to.
//!
//! ```text
//! listeners.https.ssl.*         for `listeners`, and for connections to other workers
//! admin.listeners.https.ssl.*   for `admin.listeners`
//! ssl.*                         where nothing begins with the prefix; one property that does, and none of these counts
//! ```
//!
//! As `SSLUtils` of Connect 4.1 reads them. Without a trust store the key store is one, as in Jetty: workers that share
//! a certificate trust each other.

use std::collections::BTreeMap;

use millrace_io::tls::pki_types::CertificateDer;
use millrace_io::tls::server::{ClientCertificates, TlsServer, TlsServerSettings};
use millrace_io::tls::{Identity, TlsClient, TlsError, TlsSettings};

use super::encryption::{TLS_PROPERTIES, stores};
use super::error::{Reason, Shown};
use super::key_store::{KeyStoreError, Store};
use super::property::{Property, Values, check_all};
use super::report::Report;

/// The prefix for `listeners`.
pub(super) const LISTENERS_PREFIX: &str = "listeners.https.";
/// The prefix for `admin.listeners`.
pub(super) const ADMIN_PREFIX: &str = "admin.listeners.https.";

const KEY_STORE: &str = "ssl.keystore.location";
const TRUST_STORE: &str = "ssl.truststore.location";

/// What only listeners have.
pub(super) const LISTENER_PROPERTIES: &[Property] =
    &[Property::text("ssl.client.auth", "none").one_of_strings(&["required", "requested", "none"])];

/// The settings of one prefix, with the stores that they name.
pub(super) struct RestTls<'a> {
    values: Scoped<'a>,
    prefix: &'static str,
    trust: Option<Store>,
    keys: Option<Store>,
}

/// Values with the prefix, or those without.
enum Scoped<'a> {
    Own(Values),
    Plain(&'a Values),
}

impl<'a> RestTls<'a> {
    /// Reads the settings and the stores; `Err`: a problem was reported.
    pub(super) fn read(
        given: &BTreeMap<String, String>,
        plain: &'a Values,
        prefix: &'static str,
        report: &mut Report,
    ) -> Result<Self, ()> {
        let own: BTreeMap<String, String> = given
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
            })
            .collect();
        let (values, prefix) = if own.is_empty() {
            (Scoped::Plain(plain), "")
        } else {
            let table = TLS_PROPERTIES.iter().chain(LISTENER_PROPERTIES);
            let (values, unknown) = check_all(table, &own, prefix, report);
            for name in unknown {
                report.unknown(&format!("{prefix}{name}"), None);
            }
            (Scoped::Own(values), prefix)
        };
        let mut tls = Self { values, prefix, trust: None, keys: None };
        let [trust, keys] = stores(tls.values.get());
        tls.trust = trust.transpose().map_err(|error| tls.refuse(TRUST_STORE, error, report))?;
        tls.keys = keys.transpose().map_err(|error| tls.refuse(KEY_STORE, error, report))?;
        Ok(tls)
    }

    /// What listeners accept connections with; `Err`: a problem was reported.
    pub(super) fn server(&self, report: &mut Report) -> Result<TlsServer, ()> {
        let Some(identity) = self.identity(report)? else {
            let name = format!("{}{KEY_STORE}", self.prefix);
            let text = format!(
                "an https listener shows a certificate; name a PKCS #12 store or a PEM file with one and its key in \
                 {name}"
            );
            report.problem(&name, Reason::Conflict(text));
            return Err(());
        };
        let values = self.values.get();
        let trusted =
            |report: &mut Report| Ok(self.trusted(Some(&identity), report)?.unwrap_or_default());
        let clients = match values.text("ssl.client.auth") {
            "required" => ClientCertificates::Required(trusted(report)?),
            "requested" => ClientCertificates::Requested(trusted(report)?),
            _ => ClientCertificates::NotAsked,
        };
        let versions = values.list("ssl.enabled.protocols").to_vec();
        let cipher_suites = values.list("ssl.cipher.suites").to_vec();
        TlsServer::new(TlsServerSettings { identity, clients, versions, cipher_suites })
            .map_err(|error| self.refuse_tls(&error, report))
    }

    /// What connections to other workers are opened with; `Err`: a problem was reported.
    pub(super) fn client(&self, report: &mut Report) -> Result<TlsClient, ()> {
        let identity = self.identity(report)?;
        let authorities = self.trusted(identity.as_ref(), report)?;
        let algorithm = self.values.get().text("ssl.endpoint.identification.algorithm");
        let checks_host_name = !algorithm.is_empty();
        TlsClient::new(TlsSettings { authorities, identity, checks_host_name })
            .map_err(|error| self.refuse_tls(&error, report))
    }

    fn identity(&self, report: &mut Report) -> Result<Option<Identity>, ()> {
        let identity = self.keys.as_ref().map(Store::identity).transpose();
        identity.map_err(|error| self.refuse(KEY_STORE, error, report))
    }

    /// Whom to trust; `None`: there is no store that would say it.
    fn trusted(
        &self,
        identity: Option<&Identity>,
        report: &mut Report,
    ) -> Result<Option<Vec<CertificateDer<'static>>>, ()> {
        if let Some(trust) = &self.trust {
            let trusted = trust.authorities().map(Some);
            return trusted.map_err(|error| self.refuse(TRUST_STORE, error, report));
        }
        // Most key stores hold no other certificate than their own.
        let others = self.keys.as_ref().and_then(|keys| keys.authorities().ok());
        Ok(identity.map(|identity| {
            let own = identity.chain.first().cloned();
            others.into_iter().flatten().chain(own).collect()
        }))
    }

    fn refuse(&self, name: &str, error: KeyStoreError, report: &mut Report) {
        report.refuse(&format!("{}{name}", self.prefix), Shown::Hidden, Reason::KeyStore(error));
    }

    /// What the properties say, each by itself in order, makes nothing.
    fn refuse_tls(&self, error: &TlsError, report: &mut Report) {
        let name = match error {
            TlsError::NoVersion => "ssl.enabled.protocols",
            TlsError::NoCipherSuite => "ssl.cipher.suites",
            TlsError::NoAuthority(_) | TlsError::Authority(_) => TRUST_STORE,
            TlsError::Identity(_) | TlsError::Setup(_) => KEY_STORE,
        };
        let name = format!("{}{name}", self.prefix);
        report.refuse(&name, Shown::Hidden, Reason::Tls(error.to_string()));
    }
}

impl Scoped<'_> {
    fn get(&self) -> &Values {
        match self {
            Self::Own(values) => values,
            Self::Plain(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertifiedKey, KeyPair};
    use tempfile::{NamedTempFile, TempDir};

    use super::super::rest::{Admin, Protocol, RestConfig};
    use super::super::worker::{Mode, WorkerConfig};

    /// A worker's REST interface with these lines, or what is wrong with them.
    fn rest(lines: &str) -> Result<RestConfig, String> {
        let text = format!(
            "key.converter=JsonConverter\nvalue.converter=JsonConverter\noffset.storage.file.filename=/o\n{lines}"
        );
        let worker =
            WorkerConfig::parse(Path::new("w.properties"), text.as_bytes(), Mode::Standalone, true);
        worker.map(|(worker, _)| worker.rest).map_err(|error| error.to_string())
    }

    /// A PEM file with a key and its certificate.
    fn key_store() -> (TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.pem").to_str().unwrap().to_owned();
        let CertifiedKey::<KeyPair> { cert, signing_key } =
            rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
        std::fs::write(&path, format!("{}{}", signing_key.serialize_pem(), cert.pem())).unwrap();
        (folder, path)
    }

    #[test]
    fn listeners_have_the_server_of_their_prefix() {
        let (_folder, keys) = key_store();
        let both = format!(
            "listeners=https://:8443,http://:8083,https://h:1\nssl.keystore.location={keys}\n\
             admin.listeners=https://:9443\n"
        );
        let shared = rest(&both).unwrap();
        let protocols: Vec<_> = shared.listeners.iter().map(|one| one.protocol()).collect();
        assert_eq!(protocols, [Protocol::Https, Protocol::Http, Protocol::Https]);
        assert_eq!(shared.listeners[0].tls, shared.listeners[2].tls);
        assert_eq!(shared.advertised_protocol, Protocol::Http);
        assert!(shared.client_tls.is_some());
        let Admin::Own(admin) = &shared.admin else { panic!("{:?}", shared.admin) };
        assert!(admin[0].tls.is_some() && admin[0].tls != shared.listeners[0].tls);
        // Nothing of what has no prefix is left.
        let own = rest(&format!("{both}admin.listeners.https.ssl.client.auth=none")).unwrap_err();
        assert!(own.contains("in admin.listeners.https.ssl.keystore.location"), "{own}");
        let own = format!("{both}admin.listeners.https.ssl.keystore.location={keys}");
        assert!(rest(&own).is_ok());
    }

    #[test]
    fn protocol_that_is_advertised_is_the_files_or_http_or_what_there_is() {
        let (_folder, keys) = key_store();
        let advertised = |lines: &str| {
            let config = rest(&format!("{lines}\nssl.keystore.location={keys}")).unwrap();
            (config.advertised_protocol, config.client_tls.is_some())
        };
        assert_eq!(advertised(""), (Protocol::Http, false));
        assert_eq!(advertised("listeners=https://:1"), (Protocol::Https, true));
        assert_eq!(advertised("listeners=https://:1,http://:2"), (Protocol::Http, true));
        let chosen = "listeners=http://:2,https://:1\nrest.advertised.listener=HTTPS";
        assert_eq!(advertised(chosen), (Protocol::Https, true));
        // A proxy in front speaks it.
        assert_eq!(advertised("rest.advertised.listener=https"), (Protocol::Https, true));
    }

    #[test]
    fn clients_are_asked_for_certificates_that_the_key_store_knows_where_there_is_no_other() {
        let (_folder, keys) = key_store();
        let https = format!("listeners=https://:1\nssl.keystore.location={keys}\n");
        for line in [
            "ssl.client.auth=required".to_owned(),
            "ssl.client.auth=requested".to_owned(),
            format!("ssl.client.auth=required\nssl.truststore.location={keys}"),
            "ssl.enabled.protocols=TLSv1.3,TLSv1".to_owned(),
            "ssl.cipher.suites=TLS_AES_256_GCM_SHA384".to_owned(),
        ] {
            assert!(rest(&format!("{https}{line}")).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_makes_no_server_is_refused_by_name_and_once() {
        let (_folder, keys) = key_store();
        let jks = NamedTempFile::new().unwrap();
        std::fs::write(jks.path(), [0xfe, 0xed, 0xfe, 0xed, 0]).unwrap();
        let jks = jks.path().to_str().unwrap().to_owned();
        let good = format!("ssl.keystore.location={keys}\n");
        for (lines, name, reason) in [
            (String::new(), "", "in ssl.keystore.location"),
            (
                "ssl.keystore.location=/nowhere/k".to_owned(),
                "ssl.keystore.location",
                "/nowhere/k failed",
            ),
            (
                format!("ssl.keystore.location={jks}"),
                "ssl.keystore.location",
                "-deststoretype PKCS12",
            ),
            (
                format!("listeners.https.ssl.keystore.location={jks}"),
                "listeners.https.ssl.keystore.location",
                "-deststoretype PKCS12",
            ),
            (
                format!("{good}ssl.client.auth=required\nssl.truststore.location=/nowhere/t"),
                "ssl.truststore.location",
                "/nowhere/t failed",
            ),
            (
                format!("{good}ssl.client.auth=always"),
                "ssl.client.auth",
                "required, requested, none",
            ),
            (
                format!("{good}ssl.enabled.protocols=TLSv1.1"),
                "ssl.enabled.protocols",
                "use TLSv1.2",
            ),
            (format!("{good}ssl.cipher.suites=RC4"), "ssl.cipher.suites", "none of these"),
            (
                format!("{good}listeners.https.ssl.kystore=x"),
                "listeners.https.ssl.kystore",
                "unknown",
            ),
        ] {
            let error = rest(&format!("listeners=https://:1\n{lines}")).unwrap_err();
            assert!(
                error.contains("contains the following 1 error(s)") || name.contains("kystore"),
                "{error}"
            );
            assert!(
                error.contains(&format!("configuration {name}")) && error.contains(reason),
                "{error}"
            );
        }
    }
}
