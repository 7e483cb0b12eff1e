//! TLS 1.2 and 1.3 as a server, by rustls: what it shows, and whom it asks for a certificate.
//!
//! A client's certificate is believed as Java believes it: one that is itself among the trusted, whoever signed it; any
//! other must be signed by one of them. The authorities of the system are never asked.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use super::{Identity, TlsError};

/// What a server is made from.
#[derive(Debug)]
pub struct TlsServerSettings {
    /// What it shows.
    pub identity: Identity,
    /// What it asks of clients.
    pub clients: ClientCertificates,
    /// The versions that it takes, such as `TLSv1.3`; names of others are passed over.
    pub versions: Vec<String>,
    /// The cipher suites that it takes, by their registered names; empty: all that are safe.
    pub cipher_suites: Vec<String>,
}

/// Whether a client shows a certificate.
#[derive(Debug)]
pub enum ClientCertificates {
    /// It is not asked.
    NotAsked,
    /// It may; what it shows must be trusted by these.
    Requested(Vec<CertificateDer<'static>>),
    /// It must.
    Required(Vec<CertificateDer<'static>>),
}

/// Takes connections; clones share everything. Any thread may use it.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// A server with these settings.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(settings: TlsServerSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(provider(&settings.cipher_suites)?);
        let versions = versions(&settings.versions)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(TlsError::Setup)?;
        let builder = match settings.clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Requested(trusted) => {
                builder.with_client_cert_verifier(trust(trusted, &provider, false)?)
            }
            ClientCertificates::Required(trusted) => {
                builder.with_client_cert_verifier(trust(trusted, &provider, true)?)
            }
        };
        let Identity { chain, key } = settings.identity;
        let config = builder.with_single_cert(chain, key).map_err(TlsError::Identity)?;
        Ok(Self { config: Arc::new(config) })
    }

    /// For whoever accepts the connections.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn provider(cipher_suites: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = ring::default_provider();
    if cipher_suites.is_empty() {
        return Ok(provider);
    }
    provider.cipher_suites.retain(|known| {
        let known = format!("{:?}", known.suite()).replace("TLS13_", "TLS_");
        cipher_suites.contains(&known)
    });
    if provider.cipher_suites.is_empty() {
        return Err(TlsError::NoCipherSuite);
    }
    Ok(provider)
}

fn versions(names: &[String]) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let known = [("TLSv1.3", &TLS13), ("TLSv1.2", &TLS12)];
    let versions = known.into_iter().filter(|(name, _)| names.iter().any(|other| other == name));
    let versions: Vec<_> = versions.map(|(_, version)| version).collect();
    if versions.is_empty() { Err(TlsError::NoVersion) } else { Ok(versions) }
}

fn trust(
    trusted: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
    is_required: bool,
) -> Result<Arc<ClientTrust>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in &trusted {
        roots.add(certificate.clone()).map_err(TlsError::Authority)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoAuthority("the truststore"));
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    let webpki =
        builder.build().map_err(|error| TlsError::Setup(Error::General(error.to_string())))?;
    Ok(Arc::new(ClientTrust { webpki, trusted }))
}

/// Signatures and chains are checked by webpki; see the module for what is added.
#[derive(Debug)]
struct ClientTrust {
    webpki: Arc<dyn ClientCertVerifier>,
    /// Trusted by themselves.
    trusted: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for ClientTrust {
    fn client_auth_mandatory(&self) -> bool {
        self.webpki.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.trusted.iter().any(|trusted| trusted == certificate) {
            return Ok(ClientCertVerified::assertion());
        }
        self.webpki.verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Two that are clones of one.
impl PartialEq for TlsServer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for TlsServer {}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsServer")
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, KeyPair};

    use super::*;
    use crate::tls::{TlsClient, TlsSettings};

    fn certified() -> CertifiedKey<KeyPair> {
        rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap()
    }

    fn identity(of: &CertifiedKey<KeyPair>) -> Identity {
        let key = of.signing_key.serialize_der().try_into().unwrap();
        Identity { chain: vec![of.cert.der().clone()], key }
    }

    fn settings(of: &CertifiedKey<KeyPair>, clients: ClientCertificates) -> TlsServerSettings {
        let versions = vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()];
        TlsServerSettings { identity: identity(of), clients, versions, cipher_suites: Vec::new() }
    }

    /// Lets a client who shows `shown` come, with both sides in memory. What was agreed on, or what the server said.
    fn handshake(
        settings: TlsServerSettings,
        server: &CertifiedKey<KeyPair>,
        shown: Option<&CertifiedKey<KeyPair>>,
    ) -> Result<String, String> {
        let authorities = Some(vec![server.cert.der().clone()]);
        let client =
            TlsSettings { authorities, identity: shown.map(identity), checks_host_name: true };
        let client = TlsClient::new(client).unwrap().config();
        let mut client = rustls::ClientConnection::new(client, "h".try_into().unwrap()).unwrap();
        let server = TlsServer::new(settings).map_err(|error| error.to_string())?;
        let mut server = rustls::ServerConnection::new(server.config()).unwrap();
        for _ in 0..4 {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        }
        assert!(!server.is_handshaking());
        let suite = server.negotiated_cipher_suite().unwrap().suite();
        Ok(format!("{:?} {suite:?}", server.protocol_version().unwrap()))
    }

    #[test]
    fn certificate_is_asked_for_as_the_settings_say() {
        let (own, friend, stranger) = (certified(), certified(), certified());
        let trusted = || vec![friend.cert.der().clone()];
        let ask = |clients, shown| handshake(settings(&own, clients), &own, shown);
        assert!(ask(ClientCertificates::NotAsked, None).is_ok());
        assert!(ask(ClientCertificates::NotAsked, Some(&stranger)).is_ok());
        assert!(ask(ClientCertificates::Requested(trusted()), None).is_ok());
        assert!(ask(ClientCertificates::Requested(trusted()), Some(&friend)).is_ok());
        assert!(ask(ClientCertificates::Requested(trusted()), Some(&stranger)).is_err());
        assert!(ask(ClientCertificates::Required(trusted()), Some(&friend)).is_ok());
        assert!(ask(ClientCertificates::Required(trusted()), Some(&stranger)).is_err());
        let refused = ask(ClientCertificates::Required(trusted()), None).unwrap_err();
        assert!(refused.contains("peer sent no certificates"), "{refused}");
    }

    #[test]
    fn only_versions_and_suites_that_are_named_are_taken() {
        let own = certified();
        let ask = |versions: &[&str], suites: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let settings = settings(&own, ClientCertificates::NotAsked);
            let (versions, cipher_suites) = (names(versions), names(suites));
            handshake(TlsServerSettings { versions, cipher_suites, ..settings }, &own, None)
        };
        const OLD: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
        const NEW: &str = "TLS_CHACHA20_POLY1305_SHA256";
        let both = ["TLSv1.2", "TLSv1.3"];
        assert!(ask(&["TLSv1.2"], &[]).unwrap().starts_with("TLSv1_2 "));
        assert!(ask(&["TLSv1.3", "TLSv1"], &[]).unwrap().starts_with("TLSv1_3 "));
        assert_eq!(ask(&both, &[OLD, "TLS_RSA_WITH_RC4"]).unwrap(), format!("TLSv1_2 {OLD}"));
        assert!(ask(&both, &[NEW]).unwrap().ends_with("TLS13_CHACHA20_POLY1305_SHA256"));
        assert!(ask(&["TLSv1.1"], &[]).unwrap_err().contains("TLSv1.2"));
        assert!(ask(&both, &["TLS_RSA_WITH_RC4"]).unwrap_err().contains("cipher suite"));
    }

    #[test]
    fn key_of_another_certificate_is_refused() {
        let (own, other) = (certified(), certified());
        let chain = vec![other.cert.der().clone()];
        let mut settings = settings(&own, ClientCertificates::NotAsked);
        settings.identity.chain = chain;
        let refused = TlsServer::new(settings).unwrap_err().to_string();
        assert!(refused.contains("certificate or its key cannot be used"), "{refused}");
    }
}
