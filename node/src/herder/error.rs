//! Why the herder does not do what it was asked, in Connect's words where Connect has words.

use std::path::Path;

use thiserror::Error;

use super::entities::CONNECTOR_CLASS;
use crate::config::{CONNECTOR_VERSION, Validation};

/// See the module.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum HerderError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// There is one already.
    #[error("{0}")]
    AlreadyExists(String),
    /// It cannot be done to this thing, or not now.
    #[error("{0}")]
    BadRequest(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
    /// Another worker has to do it; `url` is where that is, if it is known.
    #[error(
        "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."
    )]
    Elsewhere { url: Option<String> },
    /// A request between workers is not signed as it should be.
    #[error("{0}")]
    Forbidden(String),
    /// The worker cannot tell yet whether a request between workers may be carried out.
    #[error("{0}")]
    NotReady(String),
}

/// Where the same errors can be had property by property.
const ENDPOINT: &str = "You can also find the above list of errors at the endpoint \
                        `/connector-plugins/{connectorType}/config/validate`";

impl HerderError {
    pub(crate) fn no_connector(name: &str) -> Self {
        Self::NotFound(format!("Connector {name} not found"))
    }

    /// In the words of pause, resume and stop.
    pub(crate) fn unknown(name: &str) -> Self {
        Self::NotFound(format!("Unknown connector {name}"))
    }

    pub(crate) fn no_status(name: &str) -> Self {
        Self::NotFound(format!("No status found for connector {name}"))
    }

    pub(crate) fn no_task_status(name: &str, task: i32) -> Self {
        Self::NotFound(format!("No status found for task {name}-{task}"))
    }

    pub(crate) fn not_stopped(name: &str) -> Self {
        Self::BadRequest(format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done \
             for the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
        ))
    }

    /// A topic of the group could not be read or written.
    pub(crate) fn of_topic(error: impl std::error::Error) -> Self {
        Self::Failed(format!(
            "{error}; this may be due to a transient error and the request can be safely retried"
        ))
    }

    /// Old producers could not be fenced.
    pub(crate) fn of_fencing(error: impl std::error::Error) -> Self {
        Self::Failed(format!("Failed to perform zombie fencing: {error}"))
    }

    pub(crate) fn invalid(validation: &Validation) -> Self {
        let mut text = format!(
            "Connector configuration is invalid and contains the following {} error(s):",
            validation.error_count()
        );
        for error in validation.errors() {
            text.push_str(&format!("\n{error}"));
        }
        Self::BadRequest(format!("{text}\n{ENDPOINT}"))
    }
}

/// Logs what a configuration that can be run is noted for. `path` is the file or connector.
pub(crate) fn say(path: &Path, notices: &[crate::config::Notice]) {
    use crate::config::Severity;
    for notice in notices {
        match notice.severity {
            Severity::Info => tracing::info!("{}: {}", path.display(), notice.text),
            Severity::Warning => tracing::warn!("{}: {}", path.display(), notice.text),
        }
    }
}

/// In Connect's words, but for the plug-ins that Java would list.
pub(crate) fn unknown_class(class: &str) -> String {
    format!(
        "Failed to find any class that implements Connector and which name matches {class}, available connectors \
         are: {CONNECTOR_CLASS} {CONNECTOR_VERSION}"
    )
}
