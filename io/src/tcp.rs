//! One TCP connection, on the driver of its runtime.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::driver::Driver;
use crate::{epoll, uring};

/// After this long without a byte the peer is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Clones are the same connection; it closes with the last of them.
#[derive(Clone)]
pub(crate) enum Tcp {
    Epoll(Rc<TcpStream>),
    Uring(Rc<tokio_uring::net::TcpStream>),
}

impl Tcp {
    /// Tries every address that the name has.
    pub(crate) async fn connect(driver: Driver, host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
        Ok(match driver {
            Driver::Epoll => Self::Epoll(Rc::new(stream)),
            Driver::Uring => {
                let stream = stream.into_std()?;
                // Else an operation ends with EAGAIN instead of waiting in the kernel.
                stream.set_nonblocking(false)?;
                Self::Uring(Rc::new(tokio_uring::net::TcpStream::from_std(stream)))
            }
        })
    }

    /// Ends the connection now. An error means that it was closed already.
    pub(crate) fn close(&self) {
        let both = std::net::Shutdown::Both;
        let _ = match self {
            Self::Epoll(stream) => socket2::SockRef::from(&**stream).shutdown(both),
            Self::Uring(stream) => stream.shutdown(both),
        };
    }

    /// Reads what is there into `bytes[filled..]`, waiting until there is something.
    pub(crate) async fn read(
        &self,
        mut bytes: Vec<u8>,
        filled: usize,
    ) -> (Vec<u8>, io::Result<usize>) {
        let Some(free) = bytes.get_mut(filled..) else { return (bytes, Err(no_room())) };
        match self {
            Self::Epoll(stream) => {
                let result = epoll::read(stream, free).await;
                (bytes, result)
            }
            Self::Uring(stream) => uring::read(stream, bytes, filled).await,
        }
    }

    /// Writes all of `segments` in order.
    pub(crate) async fn write(&self, segments: Vec<Bytes>) -> io::Result<()> {
        match self {
            Self::Epoll(stream) => epoll::write(stream, segments).await,
            Self::Uring(stream) => uring::write(stream, segments).await,
        }
    }
}

/// The caller's mistake.
pub(crate) fn no_room() -> io::Error {
    let reason = "the buffer is shorter than what it is said to hold";
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
