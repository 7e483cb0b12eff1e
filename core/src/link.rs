//! What a protocol machine wants from the network.
//!
//! A link is one connection to one address. The machine names it, the driver opens it, and both speak of it by its
//! [`LinkId`] until it is closed. An id is never used twice, so a late completion of a closed link is recognised and
//! dropped.

use std::fmt;

use bytes::Bytes;

/// Host and port of a server, as the configuration or a server names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// An address from its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port`, `[v6]:port` or a bare host with the protocol's `default_port`. `None` if the port is no
    /// number or the host is empty.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            let port = match rest.strip_prefix(':') {
                Some(port) => port.parse().ok()?,
                None if rest.is_empty() => default_port,
                None => return None,
            };
            return Some(Self::new(host, port));
        }
        match text.rsplit_once(':') {
            Some(("", _)) => None,
            Some((host, port)) => Some(Self::new(host, port.parse().ok()?)),
            None if text.is_empty() => None,
            None => Some(Self::new(text, default_port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Names one connection for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(u64);

/// Makes link ids; one for a pipeline, shared by its machines.
#[derive(Debug, Default)]
pub struct LinkIds(u64);

impl LinkIds {
    /// An id that was never given out before.
    pub fn next_id(&mut self) -> LinkId {
        self.0 += 1;
        LinkId(self.0)
    }
}

/// What is spoken on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MongoDB's wire protocol.
    Mongodb,
    /// Kafka's protocol.
    Kafka,
}

/// What a machine asks of the driver. Commands of one link are carried out in order.
pub enum LinkCommand {
    /// Open a connection. The answer is `handle_connected` or `handle_closed`.
    Connect {
        /// The name of the new connection.
        link: LinkId,
        /// Where to.
        address: Address,
        /// What is spoken there: each has its own settings of encryption.
        protocol: Protocol,
    },
    /// Write all `segments`, one after the other, behind what was asked before.
    Send {
        /// The connection.
        link: LinkId,
        /// The bytes; the driver drops its share when they are written.
        segments: Vec<Bytes>,
    },
    /// Close the connection now. No completion follows.
    Close {
        /// The connection.
        link: LinkId,
    },
}

/// Bytes are counted, not shown: they may hold a password.
impl fmt::Debug for LinkCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { link, address, protocol } => {
                write!(f, "Connect {{ {link:?} to {address} for {protocol:?} }}")
            }
            Self::Send { link, segments } => {
                let bytes: usize = segments.iter().map(Bytes::len).sum();
                write!(f, "Send {{ {bytes} bytes on {link:?} }}")
            }
            Self::Close { link } => write!(f, "Close {{ {link:?} }}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_notation() {
        assert_eq!(Address::parse("a:1", 9), Some(Address::new("a", 1)));
        assert_eq!(Address::parse(" a ", 9), Some(Address::new("a", 9)));
        assert_eq!(Address::parse("[::1]:5", 9), Some(Address::new("::1", 5)));
        assert_eq!(Address::parse("[::1]", 9), Some(Address::new("::1", 9)));
        for bad in ["", ":1", "a:", "a:b", "a:70000", "[::1", "[::1]x"] {
            assert_eq!(Address::parse(bad, 9), None, "{bad}");
        }
        assert_eq!(Address::new("::1", 5).to_string(), "[::1]:5");
    }

    #[test]
    fn a_command_does_not_show_what_it_sends() {
        let link = LinkIds::default().next_id();
        let segments = vec![Bytes::from_static(b"\0user\0"), Bytes::from_static(b"pencil")];
        let command = LinkCommand::Send { link, segments };
        assert_eq!(format!("{command:?}"), "Send { 12 bytes on LinkId(1) }");
    }

    #[test]
    fn link_ids_are_never_used_twice() {
        let mut ids = LinkIds::default();
        assert_ne!(ids.next_id(), ids.next_id());
    }
}
