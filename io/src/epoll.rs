//! Reads and writes by readiness: each is tried at once, and waits only where the kernel says so.

use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::segments::{IO_SLICES_MAX, advance};

/// Reads what is there, waiting until there is something.
pub(crate) async fn read(stream: &TcpStream, free: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.try_read(free) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            result => return result,
        }
    }
}

/// Writes all of `segments` in order.
pub(crate) async fn write(stream: &TcpStream, mut segments: Vec<Bytes>) -> io::Result<()> {
    let mut first = 0;
    while let Some(rest) = segments.get_mut(first..).filter(|rest| !rest.is_empty()) {
        let mut slices = [IoSlice::new(&[]); IO_SLICES_MAX];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(rest.iter()) {
            *slice = IoSlice::new(segment);
            count += 1;
        }
        match stream.try_write_vectored(&slices[..count]) {
            Ok(written) => first += advance(rest, written)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
