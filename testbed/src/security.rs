//! Certificates and passwords of one set of servers, made anew for it and gone with its folder.
//!
//! ```text
//! <run folder>/tls-mongodb/, tls-kafka/
//!   ca.pem       the certificate that all others are signed with; its key is never written
//!   server.pem   key and certificate for 127.0.0.1 and localhost, of every server
//!   client.pem   key and certificate for clients, where servers ask for one
//!   ca.p12       ca.pem for Java, where it is asked for
//! ```
//!
//! Keys are PKCS #8 in PEM: what mongod, Kafka (`ssl.keystore.type=PEM`) and drivers all read.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use crate::fetch::{blocking, kafka_libraries};

/// Whether and how connections of clients are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// They are not.
    #[default]
    Off,
    /// Whoever asks for it is shown a certificate; whoever does not is served too, at
    /// [`crate::Mongodb::plain_uri`] and [`crate::Kafka::plain_bootstrap`].
    Offered,
    /// The server shows a certificate.
    Server,
    /// Both sides show one; a client without is refused.
    Mutual,
}

/// The files of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// What clients trust.
    pub ca: PathBuf,
    /// Key and certificate of servers.
    pub(crate) server: PathBuf,
    /// Key and certificate for clients.
    pub client: PathBuf,
}

/// The authority's certificate in a PKCS #12 file, as Java programs take it that do not read PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truststore {
    /// Where it lies.
    pub path: PathBuf,
    /// Java wants one. What the file holds is public.
    pub password: &'static str,
}

/// As in Java's own truststore.
const TRUSTSTORE_PASSWORD: &str = "changeit";

impl Certificates {
    /// What Java programs trust, written beside the authority's certificate by the `keytool` of the Java that runs
    /// Kafka.
    ///
    /// # Errors
    /// When there is no Java, or its `keytool` fails.
    pub async fn truststore(&self) -> Result<Truststore> {
        let keytool = kafka_libraries().await?.keytool();
        let (ca, path) = (self.ca.clone(), self.ca.with_extension("p12"));
        let store = Truststore { path, password: TRUSTSTORE_PASSWORD };
        let made = store.clone();
        blocking(move || import(&keytool, &ca, &made)).await?;
        Ok(store)
    }

    /// Makes an authority, a server certificate and a client certificate in `folder`.
    ///
    /// # Errors
    /// When a key cannot be made or a file cannot be written.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Millrace testbed authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("make a key")?;
        let authority = params.self_signed(&key).context("sign the authority's certificate")?;
        let issuer = Issuer::new(params, key);
        let certificates = Self {
            ca: folder.join("ca.pem"),
            server: folder.join("server.pem"),
            client: folder.join("client.pem"),
        };
        write_secret(&certificates.ca, &authority.pem())?;
        write_secret(&certificates.server, &signed(&issuer, "server")?)?;
        write_secret(&certificates.client, &signed(&issuer, "client")?)?;
        Ok(certificates)
    }
}

fn import(keytool: &Path, ca: &Path, Truststore { path, password }: &Truststore) -> Result<()> {
    // Tests that share servers ask at the same time; the second finds the file of the first.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if path.exists() {
        return Ok(());
    }
    let mut command = Command::new(keytool);
    command.args(["-importcert", "-noprompt", "-alias", "testbed", "-storetype", "PKCS12"]);
    command.args(["-storepass", password]).arg("-file").arg(ca).arg("-keystore").arg(path);
    let tried = || format!("run {}: it comes with Java", keytool.display());
    let output = command.stdin(Stdio::null()).output().with_context(tried)?;
    ensure!(
        output.status.success(),
        "{} made no truststore of {} ({}): {}{}",
        keytool.display(),
        ca.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Key and certificate, in this order, of a party that may be server and client: members of a
/// replica set are both.
fn signed(issuer: &Issuer<'_, KeyPair>, name: &str) -> Result<String> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::OrganizationName, "Millrace");
    params.distinguished_name.push(DnType::OrganizationalUnitName, name);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().context("make a key")?;
    let certificate = params.signed_by(&key, issuer).context("sign a certificate")?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Writes a file that only its owner reads; mongod refuses a key that others can read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

/// A password or key that debug text does not show.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// 32 hexadecimal digits from the randomness that the standard library seeds its maps with.
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        let word = || RandomState::new().hash_one(0);
        Self(format!("{:016x}{:016x}", word(), word()))
    }

    /// The text, for whoever is to be let in.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn key_and_certificate_stand_in_one_file_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::create(&folder.path().join("tls")).unwrap();
        for path in [&certificates.server, &certificates.client] {
            let text = fs::read_to_string(path).unwrap();
            let key = text.find("-----BEGIN PRIVATE KEY-----").unwrap();
            assert!(key < text.find("-----BEGIN CERTIFICATE-----").unwrap());
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let ca = fs::read_to_string(&certificates.ca).unwrap();
        assert!(ca.contains("BEGIN CERTIFICATE") && !ca.contains("PRIVATE KEY"), "{ca}");
    }

    #[tokio::test]
    async fn truststore_holds_the_authority_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::create(folder.path()).unwrap();
        let Truststore { path, password } = certificates.truststore().await.unwrap();
        assert_eq!(certificates.truststore().await.unwrap().path, path, "asked for again");
        let keytool = kafka_libraries().await.unwrap().keytool();
        let mut command = Command::new(keytool);
        command.args(["-list", "-rfc", "-storepass", password, "-keystore"]).arg(path);
        let listed = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let body = |pem: &str| {
            let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----").unwrap();
            let (body, _) = rest.split_once("-----END CERTIFICATE-----").unwrap();
            body.split_whitespace().collect::<String>()
        };
        assert_eq!(body(&listed), body(&fs::read_to_string(&certificates.ca).unwrap()));
        assert_eq!(listed.matches("BEGIN CERTIFICATE").count(), 1, "{listed}");
    }

    #[test]
    fn secrets_differ_and_are_never_in_debug_text() {
        let (secret, other) = (Secret::new(), Secret::new());
        assert_eq!(secret.text().len(), 32);
        assert_ne!(secret.text(), other.text());
        assert!(!format!("{secret:?}").contains(secret.text()));
    }
}
