//! A worker of a group before it has read its topics: `/health` says that it starts, whoever wants more waits.
//!
//! ```text
//!  request ──► the resources are there? ── yes ──► as always
//!                      │ no
//!                      ├── /health ──► 503 starting
//!                      └── wait for them, as long as a request may take
//! ```

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::{REQUEST_TIMEOUT, RestError, root};

/// Where resources are put that come later.
pub(super) type Later = watch::Receiver<Option<Router>>;

/// Answers with the resources that come later.
pub(super) fn gate(later: Later) -> Router {
    Router::new().fallback(move |request: Request| answer(later.clone(), request))
}

async fn answer(mut later: Later, request: Request) -> Response {
    let is_health = request.uri().path().trim_end_matches('/') == "/health";
    let there = later.borrow().clone();
    let resources = match there {
        Some(resources) => Some(resources),
        None if is_health => return root::starting(),
        None => match timeout(REQUEST_TIMEOUT, later.wait_for(Option::is_some)).await {
            Ok(Ok(resources)) => resources.clone(),
            // The worker ends, or has not started in time.
            Ok(Err(_)) | Err(_) => None,
        },
    };
    match resources {
        Some(resources) => {
            let answered: Result<Response, Infallible> = resources.oneshot(request).await;
            answered.unwrap_or_else(|never| match never {})
        }
        None => RestError::internal("Request timed out. The worker is still starting up.")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    async fn ask(gate: &Router, path: &str) -> StatusCode {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        gate.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn health_is_told_at_once_and_the_rest_when_it_is_there() {
        let (open, later) = watch::channel(None);
        let gate = gate(later);
        assert_eq!(ask(&gate, "/health").await, StatusCode::SERVICE_UNAVAILABLE);
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { ask(&gate, "/connectors").await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let resources = Router::new().route("/connectors", get(async || StatusCode::ACCEPTED));
        open.send_replace(Some(resources.route("/health", get(async || StatusCode::OK))));
        assert_eq!(waiting.await.unwrap(), StatusCode::ACCEPTED);
        assert_eq!(ask(&gate, "/health").await, StatusCode::OK);
        assert_eq!(ask(&gate, "/x").await, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_worker_that_ends_before_it_has_started_leaves_nobody_waiting() {
        let (open, later) = watch::channel(None);
        drop(open);
        assert_eq!(ask(&gate(later), "/connectors").await, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
