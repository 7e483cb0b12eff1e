//! TCP connections over epoll, driven by operations that own their buffers.
//!
//! A [`Socket`] is shared by the one read and the one write that may be under way; the caller keeps to one of each.
//! Reads end as soon as there are bytes. Writes end when every segment is with the kernel; segments are gathered by
//! `writev`, never joined by copying.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

/// Segments given to one `writev`; the kernel takes at most 1024.
const IO_SLICES_MAX: usize = 64;

/// One open connection. Clones are the same connection; it closes with the last of them.
#[derive(Clone, Debug)]
pub struct Socket {
    stream: Rc<TcpStream>,
}

impl Socket {
    /// Connects to `host`:`port`, trying every address that the name has, within `timeout`.
    ///
    /// Sets `TCP_NODELAY`, since requests are whole when they are written, and keep-alive, so that a peer that vanished
    /// without a word is noticed.
    pub async fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let connecting = tokio::time::timeout(timeout, TcpStream::connect((host, port)));
        let Ok(connected) = connecting.await else {
            let reason = format!("no connection within {} ms", timeout.as_millis());
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        };
        let stream = connected?;
        stream.set_nodelay(true)?;
        let keep_alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
        Ok(Self { stream: Rc::new(stream) })
    }

    /// Ends the connection now: a read under way returns 0 bytes, a write under way fails.
    ///
    /// The descriptor itself goes with the last clone. An error means that it was closed already.
    pub fn close(&self) {
        let _ = socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Both);
    }

    /// Reads what is there into `bytes[filled..]`, waiting until there is something.
    ///
    /// The buffer comes back with the count of new bytes; 0 means that the peer has closed.
    pub async fn read(self, mut bytes: Vec<u8>, filled: usize) -> (Vec<u8>, io::Result<usize>) {
        let Some(free) = bytes.get_mut(filled..) else {
            let reason = "the buffer is shorter than what it is said to hold";
            return (bytes, Err(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        };
        loop {
            match self.stream.try_read(free) {
                Ok(count) => return (bytes, Ok(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return (bytes, Err(error)),
            }
            if let Err(error) = self.stream.readable().await {
                return (bytes, Err(error));
            }
        }
    }

    /// Writes all of `segments` in order. After an error it is unknown how much the peer has got.
    pub async fn write(self, mut segments: Vec<Bytes>) -> io::Result<()> {
        let mut first = 0;
        while let Some(rest) = segments.get_mut(first..).filter(|rest| !rest.is_empty()) {
            let mut slices = [IoSlice::new(&[]); IO_SLICES_MAX];
            let mut count = 0;
            for (slice, segment) in slices.iter_mut().zip(rest.iter()) {
                *slice = IoSlice::new(segment);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => first += advance(rest, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Takes `written` bytes off the front of `segments` and returns how many of them are done.
fn advance(segments: &mut [Bytes], mut written: usize) -> usize {
    let mut done = 0;
    for segment in segments {
        if written < segment.len() {
            segment.advance(written);
            break;
        }
        written -= segment.len();
        *segment = Bytes::new();
        done += 1;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = Socket::connect("127.0.0.1", port, Duration::from_secs(5));
        let (socket, accepted) = tokio::join!(connect, listener.accept());
        (socket.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn many_segments_arrive_in_order_through_a_full_socket() {
        let (socket, mut peer) = pair().await;
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
        assert!(got == want);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_read_keeps_what_the_buffer_holds_and_returns_the_buffer() {
        let (socket, mut peer) = pair().await;
        peer.write_all(b"xyz").await.unwrap();
        let (bytes, count) = socket.clone().read(b"ab......".to_vec(), 2).await;
        assert_eq!(count.unwrap(), 3);
        assert_eq!(&bytes, b"abxyz...");
        drop(peer);
        let (bytes, count) = socket.read(bytes, 5).await;
        assert_eq!((bytes.len(), count.unwrap()), (8, 0), "0 bytes: the peer has closed");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn closing_ends_a_read_under_way() {
        let (socket, _peer) = pair().await;
        let reading = socket.clone().read(vec![0; 8], 0);
        let (ended, ()) = tokio::join!(reading, async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            socket.close();
        });
        assert_eq!(ended.1.unwrap(), 0);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_refused_connection_says_so() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = Socket::connect("127.0.0.1", port, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
