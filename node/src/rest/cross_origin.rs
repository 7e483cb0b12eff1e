//! Web pages of elsewhere: `access.control.allow.origin` and `access.control.allow.methods`, as Jetty's
//! `CrossOriginFilter` answers for Connect.
//!
//! A page that is not allowed gets its answer without the headers, and the browser keeps it from the page. What it
//! wants to change is refused, which Connect does not do: a page of anywhere could restart a connector in the name of
//! who reads it, by a POST that no browser asks about first.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::RestError;
use crate::config::CrossOrigin;

/// What pages may send, as Jetty has it.
const HEADERS: &str = "X-Requested-With,Content-Type,Accept,Origin";
/// How long a browser may remember the answer, in seconds, as Jetty has it.
const MAX_AGE: &str = "1800";

/// Answers what a browser asks before a request, and marks the answers that a page may see.
pub(super) async fn answer(allowed: CrossOrigin, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD).cloned();
    let is_preflight = *request.method() == Method::OPTIONS && asked.is_some();
    let mut response =
        if is_preflight { StatusCode::OK.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.filter(|origin| allowed.has_origin(origin)) else { return response };
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if is_preflight {
        if !asked.is_some_and(|method| allowed.has_method(&method)) {
            return response;
        }
        set(ACCESS_CONTROL_ALLOW_METHODS, &allowed.methods.join(","));
        set(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        set(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    set(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response
}

/// Refuses changes that a page of elsewhere wants, unless it is `allowed`. Programs that are no browser name no origin.
pub(super) async fn guard(allowed: Option<CrossOrigin>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let origin = headers.get(ORIGIN);
    let is_allowed = || {
        let named = allowed.as_ref().zip(origin);
        named.is_some_and(|(allowed, origin)| allowed.has_origin(origin))
    };
    if changes && is_foreign(headers) && !is_allowed() {
        let origin = origin.and_then(|origin| origin.to_str().ok()).unwrap_or("another site");
        let text = format!(
            "a page of {origin} may not change anything here; access.control.allow.origin in the worker's file \
             allows it"
        );
        return RestError::new(StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

/// Whether a browser sends this for a page that is not of this worker.
fn is_foreign(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        // Over plain HTTP browsers say only where the page is from.
        None => headers.get(ORIGIN).is_some_and(|origin| {
            let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
            let origin = origin.as_bytes();
            let of = [&b"http://"[..], b"https://"]
                .iter()
                .find_map(|scheme| origin.strip_prefix(*scheme));
            of.is_none_or(|of| !of.eq_ignore_ascii_case(host))
        }),
    }
}

impl CrossOrigin {
    fn has_origin(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }

    fn has_method(&self, method: &HeaderValue) -> bool {
        self.methods.iter().any(|allowed| allowed.as_bytes() == method.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_elsewhere_is_known_by_what_its_browser_says() {
        let is_foreign = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("host", "node:8083")].iter().chain(lines) {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_foreign(&headers)
        };
        let (own, other) = (("origin", "http://Node:8083"), ("origin", "http://evil.example"));
        assert!(!is_foreign(&[]) && !is_foreign(&[own]));
        assert!(is_foreign(&[other]) && is_foreign(&[("origin", "null")]));
        // A proxy may have changed the host: the browser knows better.
        assert!(!is_foreign(&[other, ("sec-fetch-site", "same-origin")]));
        assert!(is_foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(is_foreign(&[own, ("sec-fetch-site", "same-site")]));
    }
}
