//! Connections, in the clear or encrypted, driven by operations that own their buffers.
//!
//! A [`Socket`] is shared by the one read and the one write that may be under way; the caller keeps to one of each.
//! Reads end as soon as there are bytes. Writes end when every segment is with the kernel; in the clear segments are
//! gathered by `writev`, never joined by copying.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::driver::Driver;
use crate::tcp::Tcp;
use crate::tls::TlsClient;
use crate::tls::session::Session;

/// One open connection. Clones are the same connection; it closes with the last of them.
#[derive(Clone)]
pub struct Socket {
    tcp: Tcp,
    tls: Option<Rc<Session>>,
}

impl Socket {
    /// Connects to `host`:`port`, trying every address that the name has, within `timeout`; with `tls` that includes
    /// the handshake. On a [`Runtime`] of `driver`.
    ///
    /// Sets `TCP_NODELAY`, since requests are whole when they are written, and keep-alive, so that a peer that vanished
    /// without a word is noticed.
    ///
    /// [`Runtime`]: crate::driver::Runtime
    pub async fn connect(
        driver: Driver,
        (host, port): (&str, u16),
        tls: Option<&TlsClient>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let connecting = tokio::time::timeout(timeout, async {
            let tcp = Tcp::connect(driver, host, port).await?;
            let tls = match tls {
                Some(client) => Some(Rc::new(Session::open(&tcp, client, host).await?)),
                None => None,
            };
            Ok(Self { tcp, tls })
        });
        let Ok(connected) = connecting.await else {
            let reason = format!("no connection within {} ms", timeout.as_millis());
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        };
        connected
    }

    /// Ends the connection now: a read under way returns 0 bytes, a write under way fails.
    ///
    /// The descriptor itself goes with the last clone.
    pub fn close(&self) {
        self.tcp.close();
    }

    /// Reads what is there into `bytes[filled..]`, waiting until there is something.
    ///
    /// The buffer comes back with the count of new bytes; 0 means that the peer has closed.
    pub async fn read(self, bytes: Vec<u8>, filled: usize) -> (Vec<u8>, io::Result<usize>) {
        match &self.tls {
            None => self.tcp.read(bytes, filled).await,
            Some(session) => session.read(&self.tcp, bytes, filled).await,
        }
    }

    /// Writes all of `segments` in order. After an error it is unknown how much the peer has got.
    pub async fn write(self, segments: Vec<Bytes>) -> io::Result<()> {
        match &self.tls {
            None => self.tcp.write(segments).await,
            Some(session) => session.write(&self.tcp, segments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Runtime, drivers_here};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Runs the same law over every driver that this machine allows.
    fn over_both<F: Future<Output = ()>>(law: impl Fn(Driver) -> F) {
        for driver in drivers_here() {
            Runtime::new(driver).expect("it was probed").block_on(law(driver));
        }
    }

    async fn pair(driver: Driver) -> (Socket, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = Socket::connect(driver, ("127.0.0.1", port), None, Duration::from_secs(5));
        let (socket, accepted) = tokio::join!(connect, listener.accept());
        (socket.unwrap(), accepted.unwrap().0)
    }

    #[test]
    fn many_segments_arrive_in_order_through_a_full_socket() {
        over_both(|driver| async move {
            let (socket, mut peer) = pair(driver).await;
            let mut want = Vec::new();
            let mut segments = Vec::new();
            for number in 0..5_000_u32 {
                let segment = number.to_be_bytes().repeat(number as usize % 700);
                want.extend_from_slice(&segment);
                segments.push(Bytes::from(segment));
            }
            let receive = async {
                let mut got = vec![0; want.len()];
                tokio::time::sleep(Duration::from_millis(50)).await;
                peer.read_exact(&mut got).await.unwrap();
                got
            };
            let (sent, got) = tokio::join!(socket.write(segments), receive);
            sent.unwrap();
            assert!(got == want, "{driver}");
        });
    }

    #[test]
    fn a_read_keeps_what_the_buffer_holds_and_returns_the_buffer() {
        over_both(|driver| async move {
            let (socket, mut peer) = pair(driver).await;
            peer.write_all(b"xyz").await.unwrap();
            let (bytes, count) = socket.clone().read(b"ab......".to_vec(), 2).await;
            assert_eq!(count.unwrap(), 3);
            assert_eq!(&bytes, b"abxyz...");
            drop(peer);
            let (bytes, count) = socket.clone().read(bytes, 5).await;
            assert_eq!((bytes.len(), count.unwrap()), (8, 0), "0 bytes: the peer has closed");
            let (bytes, error) = socket.read(bytes, 9).await;
            assert_eq!(bytes.len(), 8);
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        });
    }

    #[test]
    fn a_read_waits_for_bytes_and_a_close_ends_it() {
        over_both(|driver| async move {
            let (socket, mut peer) = pair(driver).await;
            let reading = socket.clone().read(vec![0; 8], 0);
            let (read, ()) = tokio::join!(reading, async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                peer.write_all(b"late").await.unwrap();
            });
            assert_eq!(read.1.unwrap(), 4);
            let reading = socket.clone().read(vec![0; 8], 0);
            let (ended, ()) = tokio::join!(reading, async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                socket.close();
            });
            assert_eq!(ended.1.unwrap(), 0);
        });
    }

    #[test]
    fn a_write_to_a_peer_that_has_gone_fails() {
        over_both(|driver| async move {
            let (socket, peer) = pair(driver).await;
            drop(peer);
            let mut written = Ok(());
            for _ in 0..100 {
                written = socket.clone().write(vec![Bytes::from_static(b"x")]).await;
                if written.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(written.is_err(), "{driver}");
        });
    }

    #[test]
    fn a_read_that_is_given_up_leaves_the_connection_whole() {
        over_both(|driver| async move {
            let (socket, peer) = pair(driver).await;
            let reading = socket.clone().read(vec![0; 8], 0);
            assert!(tokio::time::timeout(Duration::from_millis(20), reading).await.is_err());
            socket.clone().write(vec![Bytes::from_static(b"still there")]).await.unwrap();
            let mut got = [0; 11];
            let mut peer = peer;
            peer.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"still there");
        });
    }

    #[test]
    fn a_refused_connection_says_so() {
        over_both(|driver| async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let connecting =
                Socket::connect(driver, ("127.0.0.1", port), None, Duration::from_secs(5));
            let error = connecting.await.err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        });
    }
}
