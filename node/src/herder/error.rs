//! Why the herder does not do what it was asked, in Connect's words where Connect has words.

use std::path::Path;

use thiserror::Error;

use crate::config::Validation;

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
}

/// Where the same errors can be had property by property.
const ENDPOINT: &str = "You can also find the above list of errors at the endpoint \
                        `/connector-plugins/{connectorType}/config/validate`";

impl HerderError {
    pub(super) fn no_connector(name: &str) -> Self {
        Self::NotFound(format!("Connector {name} not found"))
    }

    pub(super) fn invalid(validation: &Validation) -> Self {
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
