//! Certificates and keys out of the files that Java programs have them in.
//!
//! What a file is, its bytes say: PEM begins with dashes, a JKS store with a mark of its own, and anything else is
//! taken for PKCS #12, which is what `keytool` writes since Java 9. JKS is read by Java alone.

use std::fs::File;
use std::io::{self, Read as _};

use millrace_io::tls::Identity;
use millrace_io::tls::pki_types::pem::{self, PemObject as _};
use millrace_io::tls::pki_types::{CertificateDer, PrivateKeyDer};
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use thiserror::Error;

use super::secret::Secret;

const JKS_MARK: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const PEM_MARK: &[u8] = b"-----BEGIN ";
/// The largest store that is read: whoever asks for a configuration to be checked names the file. Bytes.
const STORE_BYTES_MAX: u64 = 4 << 20;

/// Why a store is of no use. Holds no password.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum KeyStoreError {
    #[error("reading {path} failed: {error}")]
    Unreadable { path: String, error: String },
    #[error("{0} is no regular file; name a file with PEM text or a PKCS #12 store")]
    NotAFile(String),
    #[error(
        "{0} is larger than {max} MiB, as no store is that is in use; name a file with only the certificates and keys \
         that are needed",
        max = STORE_BYTES_MAX >> 20
    )]
    TooLarge(String),
    #[error(
        "{0} is a JKS store, which only Java reads; keytool -importkeystore -srckeystore {0} -destkeystore {0}.p12 \
         -deststoretype PKCS12 makes one that can be used here"
    )]
    Jks(String),
    #[error("{what} is no PKCS #12 store, or the password is not its own: {error}")]
    Pkcs12 { what: String, error: String },
    #[error("the PEM text of {what} cannot be read: {error}")]
    Pem { what: String, error: String },
    #[error("there is no certificate in {0}")]
    NoCertificate(String),
    #[error("there is no private key in {0}")]
    NoKey(String),
    #[error(
        "the private key in {0} is encrypted; openssl pkcs8 -in KEY -out PLAIN_KEY makes one that can be used here, or \
         a PKCS #12 store keeps it encrypted"
    )]
    EncryptedKey(String),
}

/// A store that lies in a file, or in the text of a property.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// For people: the path, or the property.
    what: String,
    bytes: Vec<u8>,
    password: Secret,
}

impl Store {
    /// Reads the file at `path`.
    pub(super) fn read(path: &str, password: &str) -> Result<Self, KeyStoreError> {
        let bytes = bytes_of(path)?;
        if bytes.starts_with(&JKS_MARK) {
            return Err(KeyStoreError::Jks(path.to_owned()));
        }
        Ok(Self { what: path.to_owned(), bytes, password: Secret::new(password) })
    }

    /// PEM that is written into the properties `what`.
    pub(super) fn pem(what: &str, text: &str) -> Self {
        // A properties file joins lines with spaces or none; PEM wants its marks on lines of their own.
        let text = text.replace("----- ", "-----\n").replace(" -----", "\n-----");
        let (what, bytes) = (what.to_owned(), text.into_bytes());
        Self { what, bytes, password: Secret::new("") }
    }

    /// The certificates to trust.
    pub(super) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, KeyStoreError> {
        let certificates = if self.is_pem() { self.pem_certificates()? } else { self.trusted()? };
        if certificates.is_empty() {
            return Err(KeyStoreError::NoCertificate(self.what.clone()));
        }
        Ok(certificates)
    }

    /// The private key, and the certificates that belong to it.
    pub(super) fn identity(&self) -> Result<Identity, KeyStoreError> {
        if !self.is_pem() {
            return self.key_entry();
        }
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
        if self.bytes.windows(encrypted.len()).any(|window| window == encrypted) {
            return Err(KeyStoreError::EncryptedKey(self.what.clone()));
        }
        let chain = self.authorities()?;
        match PrivateKeyDer::pem_slice_iter(&self.bytes).next() {
            Some(Ok(key)) => Ok(Identity { chain, key }),
            Some(Err(error)) => Err(self.malformed(&error)),
            None => Err(KeyStoreError::NoKey(self.what.clone())),
        }
    }

    fn is_pem(&self) -> bool {
        self.bytes.trim_ascii_start().starts_with(PEM_MARK)
            || self
                .bytes
                .windows(PEM_MARK.len() + 1)
                .any(|window| window.first() == Some(&b'\n') && window.ends_with(PEM_MARK))
    }

    fn pem_certificates(&self) -> Result<Vec<CertificateDer<'static>>, KeyStoreError> {
        CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| self.malformed(&error))
    }

    fn malformed(&self, error: &pem::Error) -> KeyStoreError {
        KeyStoreError::Pem { what: self.what.clone(), error: error.to_string() }
    }

    fn open(&self) -> Result<KeyStore, KeyStoreError> {
        let policy = Pkcs12ImportPolicy::Relaxed;
        KeyStore::from_pkcs12(&self.bytes, self.password.expose(), policy).map_err(|error| {
            KeyStoreError::Pkcs12 { what: self.what.clone(), error: error.to_string() }
        })
    }

    fn trusted(&self) -> Result<Vec<CertificateDer<'static>>, KeyStoreError> {
        let store = self.open()?;
        let certificates = store.entries().filter_map(|(_, entry)| match entry {
            KeyStoreEntry::Certificate(certificate) => Some(certificate),
            KeyStoreEntry::PrivateKeyChain(_) | KeyStoreEntry::Secret(_) => None,
        });
        Ok(certificates.map(|certificate| certificate.as_der().to_vec().into()).collect())
    }

    fn key_entry(&self) -> Result<Identity, KeyStoreError> {
        let store = self.open()?;
        let Some((_, entry)) = store.private_key_chain() else {
            return Err(KeyStoreError::NoKey(self.what.clone()));
        };
        let key = PrivateKeyDer::try_from(entry.key().as_der().to_vec())
            .map_err(|_| KeyStoreError::NoKey(self.what.clone()))?;
        let certificates = entry.certs().iter();
        let chain: Vec<CertificateDer<'static>> =
            certificates.map(|certificate| certificate.as_der().to_vec().into()).collect();
        if chain.is_empty() {
            return Err(KeyStoreError::NoCertificate(self.what.clone()));
        }
        Ok(Identity { chain, key })
    }
}

/// What is in the file at `path`. A pipe or a device, which may never end, is not opened.
fn bytes_of(path: &str) -> Result<Vec<u8>, KeyStoreError> {
    let unreadable = |error: io::Error| {
        let (path, error) = (path.to_owned(), error.to_string());
        KeyStoreError::Unreadable { path, error }
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(KeyStoreError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    // The size that a file system tells is not always that of what is read.
    let mut file = file.take(STORE_BYTES_MAX + 1);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if file.limit() == 0 {
        return Err(KeyStoreError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use p12_keystore::{Certificate, PrivateKey, PrivateKeyChain};
    use rcgen::{CertifiedKey, KeyPair};

    use super::*;

    fn certified() -> CertifiedKey<KeyPair> {
        rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap()
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn read(bytes: &[u8], password: &str) -> Result<Store, KeyStoreError> {
        let file = file(bytes);
        Store::read(file.path().to_str().unwrap(), password)
    }

    fn pkcs12(entries: &[(&str, KeyStoreEntry)]) -> Vec<u8> {
        let mut store = KeyStore::new();
        for (alias, entry) in entries {
            store.add_entry(alias, entry.clone());
        }
        store.writer("s3cret").write().unwrap()
    }

    fn trusted(of: &CertifiedKey<KeyPair>) -> KeyStoreEntry {
        KeyStoreEntry::Certificate(Certificate::from_der(of.cert.der()).unwrap())
    }

    fn with_key(of: &CertifiedKey<KeyPair>) -> KeyStoreEntry {
        let key = PrivateKey::from_der(&of.signing_key.serialize_der()).unwrap();
        let chain = [Certificate::from_der(of.cert.der()).unwrap()];
        KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(b"1".to_vec(), key, chain))
    }

    #[test]
    fn pem_and_pkcs12_hold_the_same_whatever_their_names() {
        let (one, two) = (certified(), certified());
        let both = [one.cert.der().clone(), two.cert.der().clone()];
        let pem = format!("a comment\n{}{}", one.cert.pem(), two.cert.pem());
        assert_eq!(read(pem.as_bytes(), "").unwrap().authorities().unwrap(), both);
        let bytes = pkcs12(&[("a", trusted(&one)), ("b", trusted(&two))]);
        let mut certificates = read(&bytes, "s3cret").unwrap().authorities().unwrap();
        certificates.sort_by_key(|certificate| *certificate != both[0]);
        assert_eq!(certificates, both);

        let key = one.signing_key.serialize_der();
        let pem = format!("{}{}", one.signing_key.serialize_pem(), one.cert.pem());
        for store in [read(pem.as_bytes(), ""), read(&pkcs12(&[("k", with_key(&one))]), "s3cret")] {
            let identity = store.unwrap().identity().unwrap();
            assert_eq!(identity.chain, [one.cert.der().clone()]);
            assert_eq!(identity.key.secret_der(), key);
        }
    }

    #[test]
    fn pem_in_a_property_may_have_lost_its_lines() {
        let one = certified();
        let lines = one.cert.pem();
        for text in [lines.clone(), lines.replace('\n', " "), lines.replace("\r\n", " ")] {
            let store = Store::pem("ssl.truststore.certificates", &text);
            assert_eq!(store.authorities().unwrap(), [one.cert.der().clone()], "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_with_the_remedy_and_without_the_password() {
        let one = certified();
        let store = pkcs12(&[("a", trusted(&one))]);
        let said = |result: Result<String, KeyStoreError>| result.unwrap_err().to_string();
        let authorities = |bytes: &[u8], password: &str| {
            said(read(bytes, password).and_then(|store| store.authorities()).map(|_| String::new()))
        };
        let identity = |bytes: &[u8], password: &str| {
            said(read(bytes, password).and_then(|store| store.identity()).map(|_| String::new()))
        };
        assert!(authorities(&[0xfe, 0xed, 0xfe, 0xed, 0], "").contains("-deststoretype PKCS12"));
        let wrong = authorities(&store, "n0t-it");
        assert!(
            wrong.contains("the password is not its own") && !wrong.contains("n0t-it"),
            "{wrong}"
        );
        assert!(authorities(b"hello", "").contains("no PKCS #12 store"));
        let no_certificate = one.signing_key.serialize_pem();
        assert!(authorities(no_certificate.as_bytes(), "").contains("no certificate in"));
        assert!(identity(one.cert.pem().as_bytes(), "").contains("no private key in"));
        assert!(identity(&store, "s3cret").contains("no private key in"));
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(identity(encrypted.as_bytes(), "").contains("openssl pkcs8"));
        let unreadable = Store::read("/nowhere/x.p12", "").unwrap_err().to_string();
        assert!(unreadable.contains("reading /nowhere/x.p12 failed"), "{unreadable}");
    }

    /// Reading one of them would not end; the test must not wait for that.
    fn refusal(path: &str) -> String {
        let (path, (told, refusal)) = (path.to_owned(), mpsc::channel());
        std::thread::spawn(move || told.send(Store::read(&path, "").unwrap_err().to_string()));
        refusal.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn what_never_ends_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe").to_str().unwrap().to_owned();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_str(), "/dev/zero", folder.path().to_str().unwrap()] {
            let refusal = refusal(path);
            assert!(refusal.starts_with(&format!("{path} is no regular file; name")), "{refusal}");
        }
        let large = vec![b'x'; (4 << 20) + 1];
        let said = |bytes: &[u8]| read(bytes, "").map(|store| store.bytes.len());
        assert_eq!(said(&large[1..]), Ok(4 << 20));
        let refusal = said(&large).unwrap_err().to_string();
        assert!(refusal.contains(" is larger than 4 MiB, "), "{refusal}");
    }
}
