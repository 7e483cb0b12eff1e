//! What workers of a group ask each other: the tasks of a connector, for the leader to write, and the fencing of old
//! producers. Both are signed (KIP-507); who signs and what is checked is in [`crate::distributed`].

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{post, put};

use super::body::complete;
use super::{Answer, RestError, Shared, resources};
use crate::distributed::{Distributed, Signed};

pub(super) fn routes() -> Router<Shared> {
    resources([
        ("/connectors/{connector}/tasks", post(put_tasks)),
        ("/connectors/{connector}/fence", put(fence)),
    ])
}

async fn put_tasks(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let tasks: Vec<BTreeMap<String, String>> = serde_json::from_slice(&body)
        .map_err(|error| RestError::internal(format!("the body is no list of tasks: {error}")))?;
    let group = group(&shared)?;
    let written = async move {
        group.accept_tasks(&name, tasks, Signed { headers: &headers, body: &body }).await
    };
    complete(written).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn fence(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let group = group(&shared)?;
    let fenced = async move { group.fence(&name, Signed { headers: &headers, body: &body }).await };
    complete(fenced).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn group(shared: &Shared) -> Result<Arc<Distributed>, RestError> {
    shared.group.clone().ok_or_else(|| RestError::unreached(StatusCode::METHOD_NOT_ALLOWED))
}
