//! Which server a fault is done to.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{Testbed, data_disk::DataDisk, launch::Server, proxy::Proxy};

/// A server, by what it is in its deployment. Written `primary`, `secondary`, `member-0`,
/// `broker-0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The member that is primary when the fault comes.
    Primary,
    /// A member that is not.
    Secondary,
    /// One member by its index.
    Member(usize),
    /// One broker by its index.
    Broker(usize),
}

/// A text that names no server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTarget(pub String);

impl Target {
    /// The same server by its index, so that the undo meets the one that was hit.
    pub(super) async fn resolve(self, testbed: &Testbed) -> Result<Self> {
        match self {
            Self::Primary => Ok(Self::Member(testbed.mongodb().primary().await?)),
            Self::Secondary => {
                let primary = testbed.mongodb().primary().await?;
                let mut members = 0..testbed.mongodb().member_count();
                let other = members.find(|member| *member != primary);
                other.map(Self::Member).context("the only member is the primary")
            }
            Self::Member(_) | Self::Broker(_) => Ok(self),
        }
    }

    pub(super) fn server(self, testbed: &Testbed) -> Result<&Server> {
        match self.indexed()? {
            Indexed::Member(index) => Ok(&testbed.mongodb().member(index)?.server),
            Indexed::Broker(index) => Ok(&testbed.kafka().broker(index)?.server),
        }
    }

    pub(super) fn proxy(self, testbed: &Testbed) -> Result<&Proxy> {
        match self.indexed()? {
            Indexed::Member(index) => testbed.mongodb().proxy(index),
            Indexed::Broker(index) => testbed.kafka().proxy(index),
        }
    }

    pub(super) fn disk(self, testbed: &Testbed) -> Result<&DataDisk> {
        let disk = match self.indexed()? {
            Indexed::Member(index) => &testbed.mongodb().member(index)?.disk,
            Indexed::Broker(index) => &testbed.kafka().broker(index)?.disk,
        };
        disk.as_ref().with_context(|| {
            format!(
                "{self} has no data disk of its own, and the machine's is not filled; plan it \
                     with `disk_mb`"
            )
        })
    }

    pub(super) async fn start(self, testbed: &Testbed) -> Result<()> {
        match self.indexed()? {
            Indexed::Member(index) => testbed.mongodb().start(index).await,
            Indexed::Broker(index) => testbed.kafka().start_broker(index).await,
        }
    }

    fn indexed(self) -> Result<Indexed> {
        match self {
            Self::Member(index) => Ok(Indexed::Member(index)),
            Self::Broker(index) => Ok(Indexed::Broker(index)),
            Self::Primary | Self::Secondary => {
                anyhow::bail!("{self} is not one server until it was looked up")
            }
        }
    }
}

enum Indexed {
    Member(usize),
    Broker(usize),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::Secondary => f.write_str("secondary"),
            Self::Member(index) => write!(f, "member-{index}"),
            Self::Broker(index) => write!(f, "broker-{index}"),
        }
    }
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, UnknownTarget> {
        let unknown = || UnknownTarget(text.to_owned());
        match text {
            "primary" => return Ok(Self::Primary),
            "secondary" => return Ok(Self::Secondary),
            _ => {}
        }
        let (kind, index) = text.split_once('-').ok_or_else(unknown)?;
        let index = index.parse().map_err(|_| unknown())?;
        match kind {
            "member" => Ok(Self::Member(index)),
            "broker" => Ok(Self::Broker(index)),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = UnknownTarget;

    fn try_from(text: String) -> Result<Self, UnknownTarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no server; give primary, secondary, member-0 or broker-0 (or another number)",
            self.0
        )
    }
}

impl std::error::Error for UnknownTarget {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_what_its_text_says() {
        for target in [Target::Primary, Target::Secondary, Target::Member(2), Target::Broker(0)] {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        for text in ["", "member", "member-", "member-x", "node-0"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
