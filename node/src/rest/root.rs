//! `GET /` and `GET /health`: which worker this is, and whether it is well. A browser gets the status page at `/`.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::Shared;
use super::body::{json_response, ok, refusal};
use crate::herder::Health;
use crate::page::{self, ASSETS, Seen};

const HEALTHY: &str = "Worker has completed startup and is ready to handle requests.";
const STARTING: &str = "Worker is still starting up.";
const UNHEALTHY: &str =
    "Worker was unable to handle this request and may be unable to handle other requests.";

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/health", get(health)).route("/health/", get(health))
}

/// What answers a browser, too.
pub(super) fn page_routes() -> Router<Shared> {
    let routes = Router::new().route("/", get(server)).route("/ui/figures.json", get(figures));
    ASSETS
        .iter()
        .fold(routes, |routes, asset| routes.route(asset.path, get(async move || asset.answer())))
}

async fn figures(State(shared): State<Shared>) -> Response {
    ok(&Seen::of(&*shared.herder))
}

async fn server(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if page::is_wanted(&headers) {
        return page::answer(&*shared.herder);
    }
    if let Some(refusal) = refusal(&headers) {
        return refusal.into_response();
    }
    let version = env!("CARGO_PKG_VERSION");
    let cluster = shared.herder.worker().cluster_id();
    ok(&json!({ "version": version, "commit": "unknown", "kafka_cluster_id": cluster }))
}

async fn health(State(shared): State<Shared>) -> Response {
    let (code, status, message) = match shared.herder.health().await {
        Health::Healthy => (StatusCode::OK, "healthy", HEALTHY),
        Health::Starting => return starting(),
        Health::Unhealthy => (StatusCode::INTERNAL_SERVER_ERROR, "unhealthy", UNHEALTHY),
    };
    json_response(code, &json!({ "status": status, "message": message }))
}

/// How it stands with a worker that is not in its group yet.
pub(super) fn starting() -> Response {
    let body = json!({ "status": "starting", "message": STARTING });
    json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
}
