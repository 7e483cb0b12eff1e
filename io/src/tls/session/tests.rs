//! Laws of encrypted connections, against rustls as the server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use crate::driver::{Driver, Runtime, drivers_here};
use crate::socket::Socket;
use crate::tls::{Identity, TlsClient, TlsSettings};

type Accepted = StreamOwned<ServerConnection, TcpStream>;

/// An authority, and what it signed.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn signed_for(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key: private(&key) }
    }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).unwrap()
}

/// A server of one connection, and its port.
fn serve<T: Send + 'static>(
    versions: &[&'static SupportedProtocolVersion],
    identity: Identity,
    clients: Option<&Authority>,
    work: impl FnOnce(Accepted) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = builder.with_single_cert(identity.chain, identity.key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        work(StreamOwned::new(connection, stream))
    });
    (port, serving)
}

fn client(authority: &CertificateDer<'static>) -> TlsSettings {
    let authorities = Some(vec![authority.clone()]);
    TlsSettings { authorities, identity: None, checks_host_name: true }
}

async fn connect(driver: Driver, port: u16, settings: TlsSettings) -> std::io::Result<Socket> {
    let client = TlsClient::new(settings).unwrap();
    Socket::connect(driver, ("127.0.0.1", port), Some(&client), Duration::from_secs(10)).await
}

fn refusal(driver: Driver, port: u16, settings: TlsSettings) -> String {
    Runtime::new(driver).unwrap().block_on(async {
        match connect(driver, port, settings).await {
            // TLS 1.3 lets a server refuse a client only behind the handshake.
            Ok(socket) => socket.read(vec![0; 100], 0).await.1.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    })
}

/// Bytes that tell where they belong.
fn numbered(len: usize) -> Vec<u8> {
    (0..len.div_ceil(4)).flat_map(|at| (at as u32).to_le_bytes()).take(len).collect()
}

async fn read_all(socket: &Socket, len: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < len {
        // Room of odd sizes, and bytes before it that must stay.
        let room = 1 + got.len() % 300_007;
        let mut bytes = vec![7; 3];
        bytes.resize(3 + room, 0);
        let (bytes, count) = socket.clone().read(bytes, 3).await;
        let count = count.unwrap();
        assert_ne!(count, 0, "closed after {} bytes", got.len());
        assert_eq!(bytes[..3], [7; 3]);
        got.extend_from_slice(&bytes[3..3 + count]);
    }
    got
}

#[test]
fn bytes_arrive_in_order_both_ways_at_once_whatever_the_version_and_through_a_change_of_keys() {
    const LEN: usize = 3_000_001;
    for driver in drivers_here() {
        for version in rustls::ALL_VERSIONS {
            let authority = Authority::new();
            let identity = authority.signed_for("127.0.0.1");
            let (port, serving) = serve(&[*version], identity, None, |mut stream| {
                let (mut got, sent) = (vec![0; LEN], numbered(LEN));
                for (at, part) in sent.chunks(LEN / 5).enumerate() {
                    stream.write_all(part).unwrap();
                    let until = got.len().min((at + 1) * (LEN / 5));
                    stream.read_exact(&mut got[at * (LEN / 5)..until]).unwrap();
                    // Only TLS 1.3 has it.
                    let _ = stream.conn.refresh_traffic_keys();
                }
                got
            });
            Runtime::new(driver).unwrap().block_on(async {
                let socket = connect(driver, port, client(&authority.certificate)).await.unwrap();
                let sent = Bytes::from(numbered(LEN));
                let segments =
                    (0..LEN).step_by(LEN / 7).map(|at| sent.slice(at..LEN.min(at + LEN / 7)));
                let writing = socket.clone().write(segments.collect());
                let (written, got) = tokio::join!(writing, read_all(&socket, LEN));
                written.unwrap();
                assert!(got == numbered(LEN), "{driver} {version:?}");
            });
            assert!(serving.join().unwrap() == numbered(LEN), "{driver} {version:?}");
        }
    }
}

#[test]
fn a_peer_that_ends_the_connection_is_read_to_its_end() {
    for driver in drivers_here() {
        let authority = Authority::new();
        let identity = authority.signed_for("127.0.0.1");
        let (port, serving) = serve(rustls::ALL_VERSIONS, identity, None, |mut stream| {
            stream.write_all(b"the last words").unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        });
        Runtime::new(driver).unwrap().block_on(async {
            let socket = connect(driver, port, client(&authority.certificate)).await.unwrap();
            assert_eq!(read_all(&socket, 14).await, b"the last words");
            assert_eq!(socket.read(vec![0; 10], 0).await.1.unwrap(), 0);
        });
        serving.join().unwrap();
    }
}

#[test]
fn a_server_that_is_not_trusted_is_refused_with_the_remedy() {
    for driver in drivers_here() {
        let (ours, other) = (Authority::new(), Authority::new());
        let handshake = |mut stream: Accepted| stream.conn.complete_io(&mut stream.sock).is_err();
        let (port, serving) =
            serve(rustls::ALL_VERSIONS, other.signed_for("127.0.0.1"), None, handshake);
        let refused = refusal(driver, port, client(&ours.certificate));
        assert!(refused.contains("into the truststore"), "{refused}");
        assert!(serving.join().unwrap(), "the server was not told");

        let (port, serving) =
            serve(rustls::ALL_VERSIONS, ours.signed_for("example.org"), None, handshake);
        let refused = refusal(driver, port, client(&ours.certificate));
        assert!(refused.contains("for other host names"), "{refused}");
        serving.join().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plain = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = stream.read(&mut [0; 1_000]).unwrap();
        });
        let refused = refusal(driver, port, client(&ours.certificate));
        assert!(refused.contains("port for TLS"), "{refused}");
        plain.join().unwrap();
    }
}

#[test]
fn a_host_name_counts_unless_it_is_not_to_be_looked_at() {
    for driver in drivers_here() {
        let authority = Authority::new();
        let identity = authority.signed_for("example.org");
        // In the truststore itself: trusted, whoever signed it, but for its own name.
        let leaf = identity.chain[0].clone();
        for trusted in [leaf, authority.certificate.clone()] {
            for checks_host_name in [true, false] {
                let identity =
                    Identity { chain: identity.chain.clone(), key: identity.key.clone_key() };
                let (port, serving) = serve(rustls::ALL_VERSIONS, identity, None, |mut stream| {
                    stream.conn.complete_io(&mut stream.sock).is_ok()
                });
                let settings = TlsSettings { checks_host_name, ..client(&trusted) };
                let connected =
                    Runtime::new(driver).unwrap().block_on(connect(driver, port, settings));
                assert_eq!(connected.is_err(), checks_host_name);
                drop(connected);
                assert_eq!(serving.join().unwrap(), !checks_host_name);
            }
        }
    }
}

#[test]
fn a_server_that_asks_who_we_are_is_shown_it() {
    for driver in drivers_here() {
        for version in rustls::ALL_VERSIONS {
            let authority = Authority::new();
            let start = || {
                let identity = authority.signed_for("127.0.0.1");
                serve(&[*version], identity, Some(&authority), |mut stream| {
                    stream.write_all(b"welcome").and_then(|()| stream.flush()).is_ok()
                })
            };
            let (port, serving) = start();
            let refused = refusal(driver, port, client(&authority.certificate));
            assert!(refused.contains("client certificate"), "{refused}");
            assert!(!serving.join().unwrap());

            let (port, serving) = start();
            let identity = Some(authority.signed_for("us"));
            let settings = TlsSettings { identity, ..client(&authority.certificate) };
            Runtime::new(driver).unwrap().block_on(async {
                let socket = connect(driver, port, settings).await.unwrap();
                assert_eq!(read_all(&socket, 7).await, b"welcome");
            });
            assert!(serving.join().unwrap());
        }
    }
}

#[test]
fn a_server_that_goes_away_in_the_handshake_is_no_connection() {
    for driver in drivers_here() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let closing = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.read(&mut [0; 10_000]).unwrap();
        });
        let refused = refusal(driver, port, client(&Authority::new().certificate));
        assert!(refused.contains("during the TLS handshake"), "{refused}");
        closing.join().unwrap();
    }
}
