//! Web pages of elsewhere: `access.control.allow.origin` and `access.control.allow.methods`, as Jetty's
//! `CrossOriginFilter` answers for Connect.
//!
//! A page that is not allowed gets its answer without the headers, and the browser keeps it from the page.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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

impl CrossOrigin {
    fn has_origin(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }

    fn has_method(&self, method: &HeaderValue) -> bool {
        self.methods.iter().any(|allowed| allowed.as_bytes() == method.as_bytes())
    }
}
