//! One encrypted connection.
//!
//! ```text
//!  read    socket ──► ciphertext ──► rustls ──► the caller's buffer
//!  write   the caller's segments ──► rustls ──► ciphertext ──► socket
//! ```
//!
//! A read and a write may be under way at the same time. Only a write takes ciphertext out of rustls, so records leave
//! in the order in which they were made; what a read makes (the answer to a change of keys) leaves with the next write.
//! Nothing is borrowed while an operation waits.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConnection, Error};

use super::TlsClient;
use crate::tcp::{Tcp, no_room};

/// One read of the socket: some records of 16 KiB. Bytes.
const READ_BYTES: usize = 128 * 1024;
/// Plaintext that is encrypted before the socket gets it. Bytes.
const WRITE_BYTES: usize = 256 * 1024;

/// See the module.
pub(crate) struct Session {
    connection: RefCell<ClientConnection>,
    received: RefCell<Received>,
}

/// Ciphertext that rustls has not taken yet.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    taken: usize,
    filled: usize,
}

/// What came of decrypting.
enum Taken {
    Bytes(usize),
    /// The peer said that nothing follows.
    Closed,
    /// More has to be read first.
    Nothing,
}

impl Session {
    /// Shakes hands over `tcp` with the server that was connected to as `host`.
    pub(crate) async fn open(tcp: &Tcp, client: &TlsClient, host: &str) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let reason = format!("'{host}' is no host name that a certificate could be for");
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        })?;
        let connection = ClientConnection::new(Arc::clone(&client.config), name);
        let mut connection = connection.map_err(explained)?;
        connection.set_buffer_limit(None);
        let connection = RefCell::new(connection);
        let session = Self { connection, received: RefCell::default() };
        loop {
            session.flush(tcp).await?;
            if !session.connection.borrow().is_handshaking() {
                return Ok(session);
            }
            if !session.receive(tcp).await? {
                let reason = "the server closed the connection during the TLS handshake";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            if let Err(error) = session.decrypt(&mut []) {
                // The alert that says why. That is courtesy: the connection is given up either way.
                let _ = session.flush(tcp).await;
                return Err(error);
            }
        }
    }

    /// As [`crate::socket::Socket::read`].
    pub(crate) async fn read(
        &self,
        tcp: &Tcp,
        mut bytes: Vec<u8>,
        filled: usize,
    ) -> (Vec<u8>, io::Result<usize>) {
        loop {
            let free = bytes.get_mut(filled..).unwrap_or_default();
            if free.is_empty() {
                return (bytes, Err(no_room()));
            }
            match self.decrypt(free) {
                Ok(Taken::Bytes(count)) => return (bytes, Ok(count)),
                Ok(Taken::Closed) => return (bytes, Ok(0)),
                Ok(Taken::Nothing) => {}
                Err(error) => return (bytes, Err(error)),
            }
            match self.receive(tcp).await {
                Ok(true) => {}
                // Without a word before: both protocols say how long their messages are, so a cut one is noticed.
                Ok(false) => return (bytes, Ok(0)),
                Err(error) => return (bytes, Err(error)),
            }
        }
    }

    /// As [`crate::socket::Socket::write`].
    pub(crate) async fn write(&self, tcp: &Tcp, segments: Vec<Bytes>) -> io::Result<()> {
        let mut encrypted = 0;
        for segment in segments {
            for part in segment.chunks(WRITE_BYTES) {
                self.connection.borrow_mut().writer().write_all(part)?;
                encrypted += part.len();
                if WRITE_BYTES <= encrypted {
                    self.flush(tcp).await?;
                    encrypted = 0;
                }
            }
        }
        self.flush(tcp).await
    }

    /// Sends what rustls wants to send.
    async fn flush(&self, tcp: &Tcp) -> io::Result<()> {
        let mut ciphertext = Vec::new();
        {
            let mut connection = self.connection.borrow_mut();
            while connection.wants_write() {
                connection.write_tls(&mut ciphertext)?;
            }
        }
        if ciphertext.is_empty() {
            return Ok(());
        }
        tcp.write(vec![Bytes::from(ciphertext)]).await
    }

    /// Reads ciphertext once all of it was taken. `false`: the peer has closed.
    async fn receive(&self, tcp: &Tcp) -> io::Result<bool> {
        let mut bytes = std::mem::take(&mut self.received.borrow_mut().bytes);
        bytes.resize(READ_BYTES, 0);
        let (bytes, result) = tcp.read(bytes, 0).await;
        let filled = *result.as_ref().unwrap_or(&0);
        *self.received.borrow_mut() = Received { bytes, taken: 0, filled };
        Ok(result? != 0)
    }

    /// Decrypts what was received into `free`, as far as that reaches. With no room it is the handshake's.
    fn decrypt(&self, free: &mut [u8]) -> io::Result<Taken> {
        let mut connection = self.connection.borrow_mut();
        let mut received = self.received.borrow_mut();
        let is_handshake = free.is_empty();
        let mut count = 0;
        loop {
            let room = free.get_mut(count..).unwrap_or_default();
            if room.is_empty() && !is_handshake {
                return Ok(Taken::Bytes(count));
            }
            if !is_handshake {
                match connection.reader().read(room) {
                    Ok(0) => {
                        return Ok(if count == 0 { Taken::Closed } else { Taken::Bytes(count) });
                    }
                    Ok(more) => {
                        count += more;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            let Received { bytes, taken, filled } = &mut *received;
            let mut pending = bytes.get(*taken..*filled).unwrap_or_default();
            if pending.is_empty() || (is_handshake && !connection.is_handshaking()) {
                return Ok(if count == 0 { Taken::Nothing } else { Taken::Bytes(count) });
            }
            *taken += connection.read_tls(&mut pending)?;
            match connection.process_new_packets() {
                Ok(_) => {}
                // It is said again at the next call.
                Err(_) if count != 0 => return Ok(Taken::Bytes(count)),
                Err(error) => return Err(explained(error)),
            }
        }
    }
}

/// An error in words that say what to do.
fn explained(error: Error) -> io::Error {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "of all others the library's own words are told"
    )]
    let what = match &error {
        Error::InvalidMessage(_) => "the server does not answer in TLS; is this its port for TLS?",
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            "the server's certificate is signed by an authority that is not trusted; put that authority's \
             certificate into the truststore"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for other host names than the one that was connected to",
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the server's certificate has expired",
        Error::InvalidCertificate(_) => "the server's certificate is not trusted",
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::HandshakeFailure,
        ) => "the server refused the connection; does it want a client certificate that it knows?",
        _ => "the encrypted connection failed",
    };
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {what} ({error})"))
}

#[cfg(test)]
mod tests;
