//! Who may use the REST interface: Basic authentication, as `JaasBasicAuthFilter` of Connect 4.1 does it.
//!
//! ```text
//! Authorization: Basic base64(user:password)   ──► one of the users: the resource
//!                                              └─► else 401, User cannot access the resource.
//! POST /connectors/{c}/tasks   PUT /connectors/{c}/fence     from other workers, who sign: not asked
//! ```
//!
//! Unlike in Connect 4.1, which answers 404 first, paths that there are not are not told either; what is no Base64 gets
//! 401, not 500; and a browser is told to ask for a password.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::config::BasicUsers;

const REFUSED: &str = "User cannot access the resource.";
/// As Java decodes: `=` at the end may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Answers 401 unless the request comes from a user, or is one between workers.
pub(super) async fn check(users: Arc<BasicUsers>, request: Request, next: Next) -> Response {
    let credentials = request.headers().get(AUTHORIZATION).and_then(credentials);
    let is_user = credentials.is_some_and(|(user, password)| users.admit(&user, &password));
    if is_user || is_internal(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    tracing::debug!("{} {} without a user's password", request.method(), request.uri().path());
    let mut response = (StatusCode::UNAUTHORIZED, REFUSED).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Kafka Connect\""));
    response
}

/// What other workers ask, which they sign.
fn is_internal(method: &Method, path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/').skip(1);
    let what = (segments.next(), segments.next(), segments.next(), segments.next());
    match what {
        (Some("connectors"), Some(name), Some("tasks"), None) => {
            *method == Method::POST && !name.is_empty()
        }
        (Some("connectors"), Some(name), Some("fence"), None) => {
            *method == Method::PUT && !name.is_empty()
        }
        _ => false,
    }
}

/// User and password; `None`: the header holds none.
fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = BASE64.decode(encoded).ok()?;
    let decoded = String::from_utf8_lossy(&decoded);
    let (user, password) = decoded.split_once(':').filter(|(user, _)| !user.is_empty())?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_java_reads_them() {
        let read = |header: &'static str| credentials(&HeaderValue::from_static(header));
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(read("Basic YTpi"), both("a", "b"));
        assert_eq!(read("bASIC YTpiOmM="), both("a", "b:c"));
        assert_eq!(read("Basic YTpiOmM"), both("a", "b:c"));
        assert_eq!(read("Basic YTo="), both("a", ""));
        assert_eq!(read("Basic w6k6w6k="), both("é", "é"));
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic YWI=",
            "Basic OmI=",
            "Bearer YTpi",
            " YTpi",
            "Basic a:b",
            "Basic  YTpi",
        ] {
            assert_eq!(read(header), None, "{header}");
        }
    }

    #[test]
    fn only_what_workers_sign_goes_without() {
        for path in ["/connectors/c/tasks", "/connectors/c%2Fd/tasks/"] {
            assert!(is_internal(&Method::POST, path), "{path}");
            assert!(!is_internal(&Method::GET, path), "{path}");
        }
        assert!(is_internal(&Method::PUT, "/connectors/c/fence"));
        for path in [
            "/",
            "/health",
            "/connectors",
            "/connectors/tasks",
            "/connectors//tasks",
            "/connectors/c/tasks/0/restart",
            "/x/connectors/c/tasks",
            "/connectors/c/tasks//",
            "//connectors/c/tasks",
        ] {
            assert!(
                !is_internal(&Method::POST, path) && !is_internal(&Method::PUT, path),
                "{path}"
            );
        }
    }
}
