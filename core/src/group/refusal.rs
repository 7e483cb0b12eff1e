//! Why a worker is not in its group: what passes, and what a person must change.

use std::fmt;

use crate::group::leader::UnreadableMember;
use crate::group::protocol::{ProtocolError, UnspokenProtocol};
use crate::kafka::api::Api;
use crate::kafka::errors::ErrorCode;

/// Something that is tried again, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A broker refuses a request.
    Refused {
        /// Which.
        api: Api,
        /// Why.
        error: ErrorCode,
    },
    /// This worker leads, and cannot read what a member says.
    Member(UnreadableMember),
    /// What the leader has assigned cannot be read.
    Assignment(ProtocolError),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { api, error } => {
                write!(f, "the broker answers {error} to {}; the worker tries again", api.name())
            }
            Self::Member(error) => error.fmt(f),
            Self::Assignment(error) => write!(
                f,
                "what the leader has assigned cannot be read: {error}; the worker joins again"
            ),
        }
    }
}

/// The worker cannot be in this group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// A broker refuses for good.
    Refused {
        /// The group.
        group: String,
        /// Which request.
        api: Api,
        /// Why.
        error: ErrorCode,
    },
    /// The group speaks something else.
    Protocol(UnspokenProtocol),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { group, api, error } => {
                let api = api.name();
                write!(f, "the worker cannot be in the group '{group}': ")?;
                write!(f, "the broker answers {error} to {api}")?;
                if let Some(remedy) = remedy(*error) {
                    write!(f, "; {remedy}")?;
                }
                Ok(())
            }
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GroupError {}

fn remedy(error: ErrorCode) -> Option<&'static str> {
    Some(match error {
        ErrorCode::GROUP_AUTHORIZATION_FAILED => {
            "not authorized to access the group: give the worker's user the right to READ it"
        }
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
            "its members are consumers, or workers with connect.protocol=eager: choose another group.id, or set \
             connect.protocol=compatible or sessioned on every worker"
        }
        ErrorCode::INVALID_SESSION_TIMEOUT => {
            "set session.timeout.ms between group.min.session.timeout.ms and group.max.session.timeout.ms of the broker"
        }
        ErrorCode::INVALID_GROUP_ID => "group.id must not be empty",
        ErrorCode::GROUP_MAX_SIZE_REACHED => {
            "the group has as many members as group.max.size of the broker allows"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_group_the_request_the_reason_and_the_remedy() {
        let error = GroupError::Refused {
            group: "workers".into(),
            api: Api::JoinGroup,
            error: ErrorCode::GROUP_AUTHORIZATION_FAILED,
        };
        let text = error.to_string();
        for part in ["'workers'", "JoinGroup", "GROUP_AUTHORIZATION_FAILED", "READ"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
