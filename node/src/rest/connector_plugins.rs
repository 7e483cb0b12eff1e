//! `/connector-plugins`: what connectors and converters there are, their properties, and whether a configuration of a
//! connector is right.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use serde_json::json;

use super::body::{Object, complete, ok, texts};
use super::{Answer, RestError, Shared, query, resources};
use crate::config::{CONNECTOR_VERSION, CONVERTER_CLASSES, CONVERTER_VERSION, definitions};
use crate::herder::CONNECTOR_CLASS;

pub(super) fn routes() -> Router<Shared> {
    resources([
        ("/connector-plugins", get(list)),
        ("/connector-plugins/{plugin}/config", get(config)),
        ("/connector-plugins/{plugin}/config/validate", put(validate)),
    ])
}

async fn list(RawQuery(query): RawQuery) -> Response {
    let mut plugins =
        vec![json!({ "class": CONNECTOR_CLASS, "type": "source", "version": CONNECTOR_VERSION })];
    let connectors_only = query::first(query.as_deref(), "connectorsOnly");
    if connectors_only.is_some_and(|value| !value.eq_ignore_ascii_case("true")) {
        plugins.extend(CONVERTER_CLASSES.map(
            |class| json!({ "class": class, "type": "converter", "version": CONVERTER_VERSION }),
        ));
    }
    ok(&plugins)
}

async fn config(Path(plugin): Path<String>) -> Answer {
    let Some(definitions) = definitions(&plugin) else {
        let text = format!("Unknown plugin {plugin}.");
        return Err(RestError::new(StatusCode::NOT_FOUND, text));
    };
    Ok(ok(&definitions))
}

async fn validate(
    State(shared): State<Shared>,
    Path(plugin): Path<String>,
    Object(body): Object,
) -> Answer {
    let posted = texts(body)?;
    let class = posted.get("connector.class").cloned().flatten();
    if let Some(class) = class
        && !short(&class).ends_with(short(&plugin))
    {
        return Err(RestError::bad_request(format!(
            "Included connector type {class} does not match request type {plugin}"
        )));
    }
    let validation = complete(async move { shared.herder.worker().validate(posted).await }).await;
    // Connect makes no difference here between a wrong request and a fault of its own.
    let validation = validation
        .map_err(|error| RestError { status: StatusCode::INTERNAL_SERVER_ERROR, ..error })?;
    Ok(ok(&validation))
}

/// A class without `Connector` at its end, as Connect compares them.
fn short(class: &str) -> &str {
    class.strip_suffix("Connector").filter(|short| !short.is_empty()).unwrap_or(class)
}
