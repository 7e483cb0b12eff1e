//! `/admin/loggers`: how much is logged, shown and changed while the worker runs.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value};

use super::body::{Object, ok, texts};
use super::{Answer, RestError, Shared, query, resources};
use crate::logging::Level;

pub(super) fn routes() -> Router<Shared> {
    resources([("/admin/loggers", get(list)), ("/admin/loggers/{logger}", get(show).put(set))])
}

async fn list(State(shared): State<Shared>) -> Response {
    ok(&shared.loggers.all())
}

async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    match shared.loggers.level(&name) {
        Some(level) => Ok(ok(&level)),
        None => Err(RestError::new(StatusCode::NOT_FOUND, format!("Logger {name} not found."))),
    }
}

async fn set(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    Object(body): Object,
) -> Answer {
    let level = level(body)?;
    let scope = query::first(query.as_deref(), "scope").unwrap_or_default();
    if !scope.eq_ignore_ascii_case("cluster") {
        return Ok(ok(&shared.loggers.set(&name, level).map_err(RestError::internal)?));
    }
    // Alone, one worker is the whole cluster; only the answer differs.
    if !shared.herder.tell_logger_level(&name, level.name()).await? {
        shared.loggers.set(&name, level).map_err(RestError::internal)?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn level(body: Map<String, Value>) -> Result<Level, RestError> {
    let Some(text) = texts(body)?.remove("level").flatten() else {
        let text = "Desired 'level' parameter was not specified in request.";
        return Err(RestError::bad_request(text));
    };
    let invalid = || RestError::new(StatusCode::NOT_FOUND, format!("invalid log level '{text}'."));
    text.parse().map_err(|()| invalid())
}
