//! `/connectors/{c}/pause`, `resume`, `stop`, `restart` and the restart of a task.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};

use super::body::{complete, json_response};
use super::connectors::{query_values, task_number};
use super::{RestError, Shared, both};
use crate::herder::Restart;

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new();
    for path in both("/connectors/{connector}/pause") {
        routes = routes.route(&path, put(pause));
    }
    for path in both("/connectors/{connector}/resume") {
        routes = routes.route(&path, put(resume));
    }
    for path in both("/connectors/{connector}/stop") {
        routes = routes.route(&path, put(stop));
    }
    for path in both("/connectors/{connector}/restart") {
        routes = routes.route(&path, post(restart));
    }
    for path in both("/connectors/{connector}/tasks/{task}/restart") {
        routes = routes.route(&path, post(restart_task));
    }
    routes
}

type Answer = Result<Response, RestError>;

async fn pause(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    complete(async move { shared.herder.pause(&name).await }).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn resume(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    complete(async move { shared.herder.resume(&name).await }).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn stop(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    complete(async move { shared.herder.stop_connector(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn restart(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let is_true = |parameter| {
        let first = query_values(query.as_deref(), parameter).into_iter().next();
        first.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    let restart =
        Restart { include_tasks: is_true("includeTasks"), only_failed: is_true("onlyFailed") };
    if restart == Restart::default() {
        complete(async move { shared.herder.restart_connector(&name).await }).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let plan = complete(async move { shared.herder.restart_with_tasks(&name, restart).await });
    Ok(json_response(StatusCode::ACCEPTED, &plan.await?))
}

async fn restart_task(
    State(shared): State<Shared>,
    Path((name, task)): Path<(String, String)>,
) -> Answer {
    let task = task_number(&task)?;
    complete(async move { shared.herder.restart_task(&name, task).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
