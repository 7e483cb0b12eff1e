//! `GET /metrics`: the figures of the worker for Prometheus, whatever format a client prefers: each reads this one.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Shared, resources};
use crate::metrics;

pub(super) fn routes() -> Router<Shared> {
    resources([("/metrics", get(all))])
}

async fn all(State(shared): State<Shared>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&shared.herder.figures()))
        .into_response()
}
