//! A DNS server on loopback that knows a few names: SRV and TXT, over UDP.
//!
//! ```text
//! header 12 │ question: name, type, class │ answer: 0xc00c (the name of the question), type, class, ttl, length, data
//! ```
//!
//! Written from RFC 1035 and RFC 2782, without the library that the node asks with. What it does not know does not
//! exist.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const SRV: u16 = 33;
const TXT: u16 = 16;
const HEADER_BYTES: usize = 12;
/// The pieces of a TXT record: short, so that a reader must join them.
const PIECE_BYTES: usize = 7;

/// What is known of a name.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Hosts and ports.
    Srv(Vec<(String, u16)>),
    /// One record each.
    Txt(Vec<String>),
}

/// See the module. Dropping ends it.
pub(crate) struct DnsServer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl DnsServer {
    /// Serves `answers` by their names.
    pub(crate) async fn start(answers: &[(&str, Answer)]) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let answers: BTreeMap<String, Answer> =
            answers.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).collect();
        let serving = tokio::spawn(async move {
            let mut question = [0; 1_500];
            while let Ok((size, peer)) = socket.recv_from(&mut question).await {
                let Some(reply) = reply(&question[..size], &answers) else { continue };
                let _ = socket.send_to(&reply, peer).await;
            }
        });
        Ok(Self { address, serving })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn reply(message: &[u8], answers: &BTreeMap<String, Answer>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = HEADER_BYTES;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let question = message.get(HEADER_BYTES..at + 4)?;
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let records = match (answers.get(&labels.join(".")), kind) {
        (Some(Answer::Srv(servers)), SRV) => {
            servers.iter().map(|(host, port)| srv_data(host, *port)).collect()
        }
        (Some(Answer::Txt(texts)), TXT) => texts.iter().map(|text| txt_data(text)).collect(),
        (_, _) => Vec::new(),
    };
    // An answer to what was asked, recursion desired and available; 3: there is no such name.
    let code = if answers.contains_key(&labels.join(".")) { 0 } else { 3 };
    let mut out = message.get(..2)?.to_vec();
    out.extend_from_slice(&[0x81, 0x80 | code, 0, 1]);
    out.extend_from_slice(&(records.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(question);
    for data in records {
        out.extend_from_slice(&[0xc0, HEADER_BYTES as u8]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend_from_slice(&data);
    }
    Some(out)
}

/// Priority and weight are 0.
fn srv_data(host: &str, port: u16) -> Vec<u8> {
    let mut data = vec![0; 4];
    data.extend_from_slice(&port.to_be_bytes());
    for label in host.split('.') {
        data.push(label.len() as u8);
        data.extend_from_slice(label.as_bytes());
    }
    data.push(0);
    data
}

/// Each piece behind its length.
fn txt_data(text: &str) -> Vec<u8> {
    let pieces = text.as_bytes().chunks(PIECE_BYTES);
    pieces.flat_map(|piece| [&[piece.len() as u8], piece].concat()).collect()
}
