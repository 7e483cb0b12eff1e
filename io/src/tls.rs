//! TLS 1.2 and 1.3 as a client, by rustls: whom to trust, and who we are. As a server: [`server`].
//!
//! Whom to trust is decided as Java decides it: a certificate that is itself in the truststore is trusted, whoever
//! signed it; any other must be signed by an authority that is in it. Certificates are not looked up anywhere.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

pub use rustls::pki_types;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub mod server;
pub(crate) mod session;
mod trust;

use trust::Trust;

/// What a client is made from.
#[derive(Debug)]
pub struct TlsSettings {
    /// Whom it trusts; `None`: the authorities that this system trusts.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// What it shows to servers that ask who it is.
    pub identity: Option<Identity>,
    /// Whether a certificate must be for the host that was connected to.
    pub checks_host_name: bool,
}

/// A certificate with what proves that it is ours.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then those that signed it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// Why a client cannot be made.
#[derive(Debug, Error)]
pub enum TlsError {
    /// There is nobody to trust.
    #[error("there is no certificate of an authority in {0}")]
    NoAuthority(&'static str),
    /// An authority's certificate is none.
    #[error("the certificate of an authority cannot be used: {0}")]
    Authority(rustls::Error),
    /// Certificate and key are none, or do not belong together.
    #[error("the certificate or its key cannot be used: {0}")]
    Identity(rustls::Error),
    /// None of the versions that a server was given.
    #[error("none of these versions is taken; use TLSv1.2, TLSv1.3 or both")]
    NoVersion,
    /// None of the cipher suites that a server was given.
    #[error(
        "none of these cipher suites is safe and known here; leave them out to take all that are"
    )]
    NoCipherSuite,
    /// The library refuses to work.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// Opens connections; clones share everything. Any thread may use it.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// A client with these settings.
    ///
    /// # Errors
    /// See [`TlsError`]. Reads the system's authorities where the settings name none.
    pub fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let (own, authorities) = match settings.authorities {
            Some(authorities) => ("the truststore", authorities),
            None => ("this system", rustls_native_certs::load_native_certs().certs),
        };
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            match roots.add(authority.clone()) {
                Ok(()) => {}
                // One odd certificate among the system's is no reason to trust none.
                Err(_) if own == "this system" => {}
                Err(error) => return Err(TlsError::Authority(error)),
            }
        }
        if roots.is_empty() {
            return Err(TlsError::NoAuthority(own));
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))?;
        let trust = Trust::new(verifier, authorities, settings.checks_host_name);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let config = match settings.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?
            }
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// For libraries that open their connections themselves.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

/// Two that are clones of one.
impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for TlsClient {}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClient")
    }
}
