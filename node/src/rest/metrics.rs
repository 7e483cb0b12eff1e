//! `GET /metrics`: the figures of the worker for Prometheus, whatever format a client prefers: each reads this one.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Shared, both};
use crate::metrics;

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new();
    for path in both("/metrics") {
        routes = routes.route(&path, get(all));
    }
    routes
}

async fn all(State(shared): State<Shared>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&shared.herder)).into_response()
}
