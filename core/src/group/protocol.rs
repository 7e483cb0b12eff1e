//! Which of Connect's group protocols is spoken.
//!
//! | name | version | what |
//! |---|---|---|
//! | `default` | 0 | eager: everybody stops everything at each change; not spoken here |
//! | `compatible` | 1 | cooperative: only what moves is stopped (KIP-415) |
//! | `sessioned` | 2 | the same bytes; requests between workers are signed (KIP-507) |

use std::fmt;

use crate::kafka::wire::WireError;

/// The protocol type of a group of Connect workers.
pub const PROTOCOL_TYPE: &str = "connect";

/// What a worker calls the oldest protocol; the one that is not spoken.
const EAGER: &str = "default";

/// A protocol that is spoken, in the order of preference from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Cooperative.
    Compatible,
    /// Cooperative, with signed requests between workers.
    Sessioned,
}

impl Protocol {
    /// The name under which a group knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Sessioned => "sessioned",
        }
    }

    /// The version before its bytes.
    pub const fn version(self) -> i16 {
        match self {
            Self::Compatible => 1,
            Self::Sessioned => 2,
        }
    }

    /// The protocol that a coordinator chose.
    pub fn from_name(name: &str) -> Result<Self, UnspokenProtocol> {
        [Self::Compatible, Self::Sessioned]
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(|| UnspokenProtocol { name: name.to_owned() })
    }
}

/// What a worker offers when it joins, by its setting `connect.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// `sessioned`, or `compatible` if a member has no better.
    Sessioned,
    /// `compatible` only.
    Compatible,
}

impl Protocols {
    /// What is offered, the preferred one first.
    pub const fn offered(self) -> &'static [Protocol] {
        match self {
            Self::Sessioned => &[Protocol::Sessioned, Protocol::Compatible],
            Self::Compatible => &[Protocol::Compatible],
        }
    }
}

/// A group has chosen a protocol that is not spoken here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnspokenProtocol {
    /// As the group calls it.
    pub name: String,
}

impl fmt::Display for UnspokenProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name } = self;
        write!(f, "the group speaks the protocol '{name}', which this worker does not speak")?;
        if name == EAGER {
            write!(f, ": it is that of connect.protocol=eager")?;
        }
        write!(f, "; set connect.protocol=compatible or sessioned on every worker of the group")
    }
}

impl std::error::Error for UnspokenProtocol {}

/// Why bytes of another member cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// They are not what the protocol says.
    Wire(WireError),
    /// The version before them is none.
    Version(i16),
}

impl From<WireError> for ProtocolError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Version(version) => write!(f, "{version} is no version of Connect's protocol"),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eager_protocol_is_known_and_refused() {
        assert_eq!(Protocol::from_name("sessioned"), Ok(Protocol::Sessioned));
        assert_eq!(Protocol::from_name("compatible"), Ok(Protocol::Compatible));
        let refused = Protocol::from_name("default").unwrap_err().to_string();
        assert!(refused.contains("connect.protocol=eager"), "{refused}");
    }
}
