//! A broker's double that spoils what the node sends: the checkers are held against it.
//!
//! ```text
//! node ── Produce ──► proxy ── spoiled Produce ──► broker
//!      ◄─ Metadata ──       ◄── Metadata ─────────         brokers' addresses become the proxy's
//! ```
//!
//! Everything but Produce requests and the addresses in Metadata responses passes through unchanged. Only for a cluster
//! of one broker, without TLS. Two threads per connection; all of them end when the [`Proxy`] is dropped.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};

use crate::tamper::{Fault, Tamperer};
use crate::wire::{Reader, Writer};

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
/// The first version of Metadata with compact fields and tags.
const METADATA_FLEXIBLE: i16 = 9;
/// The first version of Metadata that begins with the throttle time.
const METADATA_THROTTLE: i16 = 3;
const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// See the module.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    upstream: String,
    tamperer: Mutex<Tamperer>,
    stopped: AtomicBool,
    /// Both ends of every connection, to end the threads that wait on them.
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on a free loopback port and passes connections on to the broker at `upstream`, `host:port`.
    pub fn start(upstream: &str, fault: Fault) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("could not bind the proxy")?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?,
            upstream: upstream.to_owned(),
            tamperer: Mutex::new(Tamperer::new(fault)),
            stopped: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Ok(Self { shared, acceptor: Some(acceptor) })
    }

    /// What clients take for the broker, `host:port`.
    pub fn bootstrap(&self) -> String {
        self.shared.address.to_string()
    }

    /// Whether the fault was done to some record.
    pub fn has_tampered(&self) -> bool {
        lock(&self.shared.tamperer).is_done()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.shared.address); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in lock(&self.shared.streams).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let served = client.map_err(Into::into).and_then(|client| serve(client, shared));
        if let Err(error) = served {
            tracing::warn!("the proxy could not serve a connection: {error:#}");
        }
    }
}

fn serve(client: TcpStream, shared: &Arc<Shared>) -> Result<()> {
    let broker = TcpStream::connect(&shared.upstream)
        .with_context(|| format!("could not connect to the broker at {}", shared.upstream))?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    lock(&shared.streams).extend([client.try_clone()?, broker.try_clone()?]);
    let asked: Arc<Mutex<HashMap<i32, i16>>> = Arc::default();
    pump(client.try_clone()?, broker.try_clone()?, {
        let (shared, asked) = (shared.clone(), asked.clone());
        move |request| pass_request(request, &shared, &asked)
    });
    let address = shared.address;
    pump(broker, client, move |response| pass_response(response, address, &asked));
    Ok(())
}

/// Passes messages from one end to the other until either closes.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    mut pass: impl FnMut(Vec<u8>) -> Result<Vec<u8>> + Send + 'static,
) {
    thread::spawn(move || {
        while let Ok(Some(message)) = read_message(&mut from) {
            let passed = pass(message).and_then(|message| {
                to.write_all(&(message.len() as u32).to_be_bytes())?;
                Ok(to.write_all(&message)?)
            });
            if let Err(error) = passed {
                tracing::warn!("the proxy could not pass a message on: {error:#}");
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn read_message(from: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if from.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = u32::from_be_bytes(length) as usize;
    ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

/// `asked`: correlation id and version of the Metadata requests under way.
fn pass_request(
    request: Vec<u8>,
    shared: &Shared,
    asked: &Mutex<HashMap<i32, i16>>,
) -> Result<Vec<u8>> {
    let mut head = Reader(&request);
    let (api, version, correlation_id) = (head.i16()?, head.i16()?, head.i32()?);
    match api {
        PRODUCE => lock(&shared.tamperer).rewrite_produce(&request),
        METADATA => {
            lock(asked).insert(correlation_id, version);
            Ok(request)
        }
        _ => Ok(request),
    }
}

fn pass_response(
    response: Vec<u8>,
    address: SocketAddr,
    asked: &Mutex<HashMap<i32, i16>>,
) -> Result<Vec<u8>> {
    let correlation_id = Reader(&response).i32()?;
    match lock(asked).remove(&correlation_id) {
        Some(version) => rewrite_metadata(&response, version, address),
        None => Ok(response),
    }
}

/// Puts `address` in the place of every broker's. The brokers stand at the front of the response.
fn rewrite_metadata(response: &[u8], version: i16, address: SocketAddr) -> Result<Vec<u8>> {
    let flexible = METADATA_FLEXIBLE <= version;
    let mut from = Reader(response);
    let mut to = Writer::default();
    to.i32(from.i32()?);
    if flexible {
        to.put(from.tags()?);
    }
    if METADATA_THROTTLE <= version {
        to.i32(from.i32()?);
    }
    let brokers = from.array(flexible)?;
    to.array(brokers, flexible);
    for _ in 0..brokers {
        to.i32(from.i32()?);
        from.string(flexible)?;
        from.i32()?;
        to.string(Some(address.ip().to_string().as_bytes()), flexible).i32(address.port().into());
        if 1 <= version {
            to.string(from.string(flexible)?, flexible); // rack
        }
        if flexible {
            to.put(from.tags()?);
        }
    }
    to.put(from.0);
    Ok(to.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(version: i16, host: &str, port: i32) -> Vec<u8> {
        let flexible = METADATA_FLEXIBLE <= version;
        let mut response = Writer::default();
        response.i32(5);
        if flexible {
            response.put(&[0]);
        }
        if METADATA_THROTTLE <= version {
            response.i32(0);
        }
        response.array(1, flexible).i32(1).string(Some(host.as_bytes()), flexible).i32(port);
        if 1 <= version {
            response.string(None, flexible);
        }
        if flexible {
            response.put(&[0]);
        }
        response.put(b"cluster id, topics and so on").0.clone()
    }

    #[test]
    fn clients_are_kept_behind_the_proxy() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4242));
        for version in [0, 1, 4, 8, 9, 12] {
            let response = metadata(version, "broker.example", 9092);
            let rewritten = rewrite_metadata(&response, version, address).expect("whole");
            assert_eq!(rewritten, metadata(version, "127.0.0.1", 4242), "version {version}");
        }
    }

    #[test]
    fn dropping_the_proxy_closes_its_connections() {
        let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let upstream = broker.local_addr().expect("bound").to_string();
        let proxy = Proxy::start(&upstream, Fault::Drop).expect("starts");
        let mut client = TcpStream::connect(proxy.bootstrap()).expect("listens");
        let (mut accepted, _) = broker.accept().expect("passed on");
        drop(proxy);
        assert_eq!(client.read(&mut [0; 1]).expect("closed"), 0);
        assert_eq!(accepted.read(&mut [0; 1]).expect("closed"), 0);
    }
}
