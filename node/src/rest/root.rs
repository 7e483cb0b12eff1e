//! `GET /` and `GET /health`: which worker this is, and whether it is well.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::Shared;
use super::body::{json_response, ok};
use crate::herder::Health;

const HEALTHY: &str = "Worker has completed startup and is ready to handle requests.";
const STARTING: &str = "Worker is still starting up.";
const UNHEALTHY: &str =
    "Worker was unable to handle this request and may be unable to handle other requests.";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(server))
        .route("/health", get(health))
        .route("/health/", get(health))
}

async fn server(State(shared): State<Shared>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let cluster = shared.herder.worker().cluster_id();
    ok(&json!({ "version": version, "commit": "unknown", "kafka_cluster_id": cluster }))
}

async fn health(State(shared): State<Shared>) -> Response {
    let (code, status, message) = match shared.herder.health().await {
        Health::Healthy => (StatusCode::OK, "healthy", HEALTHY),
        Health::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting", STARTING),
        Health::Unhealthy => (StatusCode::INTERNAL_SERVER_ERROR, "unhealthy", UNHEALTHY),
    };
    json_response(code, &json!({ "status": status, "message": message }))
}
