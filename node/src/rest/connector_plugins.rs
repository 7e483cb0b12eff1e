//! `/connector-plugins`: what connectors there are.
//!
//! Definitions and validation without a connector are refused by name: they need every property's group, width and
//! order, which the tables of [`crate::config`] do not have yet.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use serde_json::json;

use super::body::ok;
use super::connectors::query_values;
use super::{RestError, Shared, both};
use crate::herder::{CONNECTOR_CLASS, CONNECTOR_VERSION};

/// The converters that are built in.
const CONVERTERS: [&str; 3] = [
    "org.apache.kafka.connect.converters.ByteArrayConverter",
    "org.apache.kafka.connect.json.JsonConverter",
    "org.apache.kafka.connect.storage.StringConverter",
];

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new();
    for path in both("/connector-plugins") {
        routes = routes.route(&path, get(list));
    }
    for path in both("/connector-plugins/{plugin}/config") {
        routes = routes.route(&path, get(not_yet));
    }
    for path in both("/connector-plugins/{plugin}/config/validate") {
        routes = routes.route(&path, put(not_yet));
    }
    routes
}

async fn not_yet() -> RestError {
    RestError::new(
        StatusCode::NOT_IMPLEMENTED,
        "definitions and validation of properties come with a later version; POST or PUT the connector, with \
         initial_state STOPPED if it must not run: the answer names every error, and nothing is made if there is one",
    )
}

async fn list(State(_): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let mut plugins =
        vec![json!({ "class": CONNECTOR_CLASS, "type": "source", "version": CONNECTOR_VERSION })];
    let connectors_only = query_values(query.as_deref(), "connectorsOnly").into_iter().next();
    if connectors_only.is_some_and(|value| !value.eq_ignore_ascii_case("true")) {
        let version = env!("CARGO_PKG_VERSION");
        plugins.extend(
            CONVERTERS
                .map(|class| json!({ "class": class, "type": "converter", "version": version })),
        );
    }
    ok(&plugins)
}
