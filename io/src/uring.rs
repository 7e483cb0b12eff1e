//! Reads and writes by completion: the kernel has the buffers until it says that it is done.
//!
//! An operation that is dropped before it ends keeps its buffers until the kernel gives them back; `tokio-uring` sees
//! to that. Buffers are not registered with the kernel: a socket copies through them either way, and a registered one
//! would have to be chosen before it is known how large an event is.

use std::io;

use bytes::Bytes;
use tokio_uring::buf::BoundedBuf as _;
use tokio_uring::net::TcpStream;

use crate::segments::{IO_SLICES_MAX, advance};

/// Reads what is there into `bytes[filled..]`, waiting until there is something. `filled` is at most the length.
pub(crate) async fn read(
    stream: &TcpStream,
    mut bytes: Vec<u8>,
    filled: usize,
) -> (Vec<u8>, io::Result<usize>) {
    loop {
        let end = bytes.len();
        let (result, slice) = stream.read(bytes.slice(filled..end)).await;
        bytes = slice.into_inner();
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return (bytes, result),
        }
    }
}

/// Writes all of `segments` in order.
pub(crate) async fn write(stream: &TcpStream, mut segments: Vec<Bytes>) -> io::Result<()> {
    while !segments.is_empty() {
        let rest = segments.split_off(segments.len().min(IO_SLICES_MAX));
        let (result, mut sent) = stream.writev(segments).await;
        let done = match result {
            Ok(written) => advance(&mut sent, written)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        sent.drain(..done);
        sent.extend(rest);
        segments = sent;
    }
    Ok(())
}
