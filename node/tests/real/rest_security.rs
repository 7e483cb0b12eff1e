//! A REST interface that not everybody may use or read: https, certificates of clients, passwords, headers.
//!
//! No server is needed. The client is curl, which shares no code with the node.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::harness::rest::{Answer, Ask};
use super::harness::{NodeProcess, Setup};

/// Nobody listens there.
const NO_BROKER: &str = "127.0.0.1:9";
const HTTPS: &str = "REST interface on https://";
const PLAIN: &str = "REST interface on http://";
const EXTENSION: &str =
    "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
const MODULE: &str = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
/// `anna:s3cret`
const ANNA: &str = "Basic YW5uYTpzM2NyZXQ=";
/// `anna:other`
const WRONG: &str = "Basic YW5uYTpvdGhlcg==";

/// An authority, and what it has signed.
struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("the authority {name}"));
        let key = KeyPair::generate()?;
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
        Ok(Self { folder, issuer: Issuer::new(params, key) })
    }

    /// Its own certificate.
    fn ca(&self) -> String {
        self.folder.join("ca.pem").display().to_string()
    }

    /// The path of a file with a key and its certificate.
    fn signed(&self, name: &str) -> Result<String> {
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let path = self.folder.join(name);
        fs::write(&path, format!("{}{}", key.serialize_pem(), certificate.pem()))?;
        Ok(path.display().to_string())
    }
}

/// Where the node says it listens, the first time it says so with these words.
async fn address(node: &mut NodeProcess, words: &str) -> Result<String> {
    let line = node.logged(words).await?;
    Ok(line.rsplit_once("://").context("an address")?.1.to_owned())
}

/// What curl is answered; `Err` with its words if there is no answer.
fn curl(url: &str, arguments: &[&str]) -> Result<Answer> {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--raw", "--http1.1", "--noproxy", "*", "--max-time", "20"]);
    let output = command.args(arguments).arg(url).stdin(Stdio::null()).output().context("curl")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Answer::parse(&String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_is_spoken_to_whoever_trusts_the_authority_and_silence_holds_nobody_up() -> Result<()>
{
    let setup = Setup::new(NO_BROKER)?;
    let authority = Authority::new(setup.folder(), "ours")?;
    let stranger = Authority::new(setup.folder(), "strange")?;
    let setup = setup
        .worker("listeners", "https://127.0.0.1:0")
        .worker("admin.listeners", "https://localhost:0")
        .worker("admin.listeners.https.ssl.keystore.location", &stranger.signed("server.pem")?)
        .worker("listeners.https.ssl.keystore.location", &authority.signed("server.pem")?);
    let mut node = setup.start()?;
    let rest = address(&mut node, HTTPS).await?;
    let _silent = TcpStream::connect(&rest)?;
    let (ca, other_ca) = (authority.ca(), stranger.ca());
    let answer = curl(&format!("https://{rest}/connectors"), &["--cacert", &ca])?;
    assert_eq!((answer.status, answer.body.as_str()), (200, "[]"));
    let put = ["--cacert", &ca, "-X", "PUT", "-H", "Content-Type: application/json", "-d", "{}"];
    let answer = curl(&format!("https://{rest}/connectors/c/config"), &put)?;
    assert_eq!(answer.status, 400, "{}", answer.body);

    let refused = curl(&format!("https://{rest}/"), &["--cacert", &other_ca]).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let old = ["--cacert", &ca, "--tls-max", "1.1"];
    assert!(curl(&format!("https://{rest}/"), &old).is_err());
    assert!(curl(&format!("http://{rest}/"), &[]).is_err());
    assert!(curl(&format!("https://{rest}/admin/loggers"), &["--cacert", &ca])?.status == 404);
    let log = node.log();
    let admin = log.lines().filter_map(|line| line.split_once(HTTPS)).nth(1);
    let (_, admin) = admin.context("a second listener")?;
    let admin = admin.replace("127.0.0.1", "localhost").replace("[::1]", "localhost");
    let answer = curl(&format!("https://{admin}/admin/loggers"), &["--cacert", &other_ca])?;
    assert_eq!(answer.status, 200);
    let log = node.stop().await?;
    assert!(log.contains(&format!("advertised as https://{rest}/")), "{log}");
    assert!(!log.contains("whoever reaches"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_without_a_certificate_that_is_trusted_is_refused_where_one_is_required()
-> Result<()> {
    let setup = Setup::new(NO_BROKER)?;
    let authority = Authority::new(setup.folder(), "ours")?;
    let stranger = Authority::new(setup.folder(), "strange")?;
    let (known, unknown) = (authority.signed("client.pem")?, stranger.signed("client.pem")?);
    let ca = authority.ca();
    let setup = setup
        .worker("listeners", "https://127.0.0.1:0")
        .worker("ssl.keystore.location", &authority.signed("server.pem")?)
        .worker("ssl.truststore.location", &ca);
    for (auth, without, with_unknown) in
        [("required", false, false), ("requested", true, false), ("none", true, true)]
    {
        let mut node = setup.clone().worker("ssl.client.auth", auth).start()?;
        let url = format!("https://{}/connectors", address(&mut node, HTTPS).await?);
        let ask = |shown: &[&str]| curl(&url, &[&["--cacert", ca.as_str()], shown].concat());
        assert_eq!(ask(&[]).is_ok(), without, "{auth}, without");
        assert_eq!(ask(&["--cert", &unknown]).is_ok(), with_unknown, "{auth}, unknown");
        assert_eq!(ask(&["--cert", &known])?.status, 200, "{auth}, known");
        node.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_users_are_let_in_and_every_answer_has_the_headers() -> Result<()> {
    let setup = Setup::new(NO_BROKER)?;
    let (jaas, users) = (setup.folder().join("jaas"), setup.folder().join("users"));
    fs::write(&users, "anna=s3cret\n")?;
    fs::write(
        &jaas,
        format!("KafkaConnect {{ {MODULE} required file=\"{}\"; }};", users.display()),
    )?;
    let options = format!("-Xmx1g -Djava.security.auth.login.config={}", jaas.display());
    let setup = setup
        .rest()
        .worker("admin.listeners", "http://127.0.0.1:0")
        .worker("rest.extension.classes", EXTENSION)
        .worker("response.http.headers.config", "set X-Frame-Options:DENY, setDate Expires:0")
        .env("KAFKA_OPTS", &options);
    let mut node = setup.start()?;
    let rest = address(&mut node, PLAIN).await?;
    for path in ["/", "/health", "/connectors", "/metrics", "/connectors/c/status", "/no/such"] {
        for header in [None, Some(WRONG), Some("Bearer x")] {
            let ask = Ask::get(path);
            let ask = match header {
                None => ask,
                Some(header) => ask.header("Authorization", header),
            };
            let refused = ask.of(&rest).await?;
            assert_eq!(refused.status, 401, "{path} {header:?}");
            assert_eq!(refused.body, "User cannot access the resource.");
            assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"Kafka Connect\""));
            assert_eq!(refused.header("x-frame-options"), Some("DENY"));
        }
    }
    for (path, status) in [("/connectors", 200), ("/metrics", 200), ("/no/such", 404)] {
        let answer = Ask::get(path).header("Authorization", ANNA).of(&rest).await?;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert!(answer.header("expires").is_some_and(|date| date.ends_with(" GMT")), "{path}");
    }
    for (method, path) in [("POST", "/connectors/c/tasks"), ("PUT", "/connectors/c/fence")] {
        assert_ne!(Ask::new(method, path).of(&rest).await?.status, 401, "{path}");
    }
    let log = node.log();
    let admin = log.lines().filter_map(|line| line.split_once(PLAIN)).nth(1);
    let (_, admin) = admin.context("a second listener")?;
    let answer = Ask::get("/admin/loggers").of(admin).await?;
    assert_eq!((answer.status, answer.header("x-frame-options")), (200, None));
    let log = node.stop().await?;
    assert!(!log.contains("s3cret"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_listener_for_everybody_is_warned_of() -> Result<()> {
    let setup = Setup::new(NO_BROKER)?;
    for (listener, is_warned) in [("http://0.0.0.0:0", true), ("http://127.0.0.1:0", false)] {
        let mut node = setup.clone().worker("listeners", listener).start()?;
        node.logged("advertised as http://").await?;
        assert_eq!(node.log().contains("whoever reaches http://0.0.0.0:"), is_warned, "{listener}");
        node.stop().await?;
    }
    Ok(())
}
