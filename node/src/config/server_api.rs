//! `server.api.version`, `server.api.strict` and `server.api.deprecation.errors`.

use super::error::{Reason, Shown};
use super::property::Values;
use super::report::Report;

/// Version 1 of the Stable API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerApi {
    /// What is outside of it is refused.
    pub(crate) strict: bool,
    /// What is deprecated is refused.
    pub(crate) deprecation_errors: bool,
}

impl ServerApi {
    /// Checks the three properties.
    pub(super) fn new(values: &Values, report: &mut Report) -> Option<Self> {
        const VERSION: &str = "server.api.version";
        match values.text(VERSION) {
            "" => {
                for flag in ["server.api.strict", "server.api.deprecation.errors"] {
                    if values.boolean(flag) {
                        report.warn(format!("{flag} has no effect without {VERSION}"));
                    }
                }
                None
            }
            "1" => Some(Self {
                strict: values.boolean("server.api.strict"),
                deprecation_errors: values.boolean("server.api.deprecation.errors"),
            }),
            other => {
                let reason = Reason::ServerApiVersion(other.to_owned());
                report.refuse(VERSION, Shown::Text(other.to_owned()), reason);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source_check::tests::{error, source};
    use super::*;

    #[test]
    fn stable_api_has_version_1_only() {
        assert_eq!(api("server.api.version="), None);
        let want = ServerApi { strict: true, deprecation_errors: false };
        assert_eq!(api("server.api.version=1\nserver.api.strict=true"), Some(want));
        assert!(error("server.api.version=2").ends_with(
            "Invalid value 2 for configuration server.api.version: Unsupported server API version: 2"
        ));
        let (config, notices) = source("server.api.strict=true", true).unwrap();
        assert_eq!(config.server_api, None);
        assert_eq!(notices[0].text, "server.api.strict has no effect without server.api.version");
    }

    fn api(lines: &str) -> Option<ServerApi> {
        source(lines, true).unwrap().0.server_api
    }
}
