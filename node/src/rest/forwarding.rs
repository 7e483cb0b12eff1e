//! Requests that another worker of the group has to answer: they are carried to it, and its answer back.
//!
//! ```text
//! client ──► worker ──?forward=true──► leader ──?forward=false──► whoever runs the task
//!                                                                   └─► 409: who does what has changed meanwhile
//! ```
//!
//! As Connect does: two hops at most, the body as it came, and who the client is (`Authorization`).

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::body::{json_response, outlive};
use super::connectors::set_location;
use super::{BODY_BYTES_MAX, RestError, Shared, query};
use crate::distributed::{Distributed, ForwardError, WorkerAnswer};

/// Goes with an answer that another worker has to give; where that is, if it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere(pub(super) Option<String>);

/// A request as it came.
struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers a request here, or carries it to the worker that can.
pub(super) async fn carry(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Some(group) = shared.group.clone() else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return RestError::bare(StatusCode::PAYLOAD_TOO_LARGE).into_response();
    };
    let copy = Copy {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    match response.extensions().get::<Elsewhere>() {
        None => response,
        // The answer says that nobody knows where.
        Some(Elsewhere(None)) => response,
        Some(Elsewhere(Some(url))) => {
            let url = url.clone();
            // It arrives though the client leaves.
            let carried = outlive(async move { copy.carry_to(&url, &group).await });
            carried.await.flatten().unwrap_or_else(IntoResponse::into_response)
        }
    }
}

impl Copy {
    async fn carry_to(&self, url: &str, group: &Distributed) -> Result<Response, RestError> {
        let forward = query::first(self.uri.query(), "forward");
        if forward.as_deref().is_some_and(|forward| !forward.eq_ignore_ascii_case("true")) {
            let text = "Cannot complete request because of a conflicting operation (e.g. worker rebalance)";
            return Err(RestError::new(StatusCode::CONFLICT, text));
        }
        let query = query::with(self.uri.query(), "forward", &forward.is_none().to_string());
        let path = self.uri.path().trim_start_matches('/');
        let url = format!("{url}{path}?{query}");
        let client = self.headers.get(AUTHORIZATION);
        let body = (!self.body.is_empty()).then(|| self.body.clone());
        let WorkerAnswer { status, body } =
            group.carry(self.method.clone(), &url, client, body).await?;
        let Some(body) = body else { return Ok(status.into_response()) };
        let mut response = json_response(status, &body);
        if let (StatusCode::CREATED, Some(name)) = (status, body["name"].as_str()) {
            set_location(&self.headers, name, &mut response);
        }
        Ok(response)
    }
}

impl From<ForwardError> for RestError {
    fn from(error: ForwardError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}
