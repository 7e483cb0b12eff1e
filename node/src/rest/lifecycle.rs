//! `/connectors/{c}/pause`, `resume`, `stop`, `restart` and the restart of a task.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{post, put};

use super::body::{complete, json_response};
use super::connectors::task_number;
use super::{Answer, Shared, query, resources};
use crate::herder::Restart;

pub(super) fn routes() -> Router<Shared> {
    resources([
        ("/connectors/{connector}/pause", put(pause)),
        ("/connectors/{connector}/resume", put(resume)),
        ("/connectors/{connector}/stop", put(stop)),
        ("/connectors/{connector}/restart", post(restart)),
        ("/connectors/{connector}/tasks/{task}/restart", post(restart_task)),
    ])
}

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
        query::first(query.as_deref(), parameter)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
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
