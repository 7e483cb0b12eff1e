//! What workers of a group ask each other: the tasks of a connector, for the leader to write, and the fencing of old
//! producers. Both are signed (KIP-507); who signs and what is checked is in [`crate::distributed`].

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{post, put};
use serde_json::{Map, Value};

use super::body::complete;
use super::{Answer, RestError, Shared, resources};
use crate::distributed::{Config, Distributed, Signed, read_properties};

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
    let tasks = tasks(&body)?;
    let group = group(&shared)?;
    let written = async move {
        group.accept_tasks(&name, tasks, Signed { headers: &headers, body: &body }).await
    };
    complete(written).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The properties of each task. Java's tasks may have some that are `null`.
fn tasks(body: &[u8]) -> Result<Vec<Config>, RestError> {
    let tasks: Vec<Map<String, Value>> = serde_json::from_slice(body)
        .map_err(|error| RestError::internal(format!("the body is no list of tasks: {error}")))?;
    Ok(tasks.iter().map(read_properties).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_java_are_read_as_they_are_read_in_the_config_topic() {
        let body = br#"[{"topic.prefix":null,"tasks":2,"is":true,"name":"a"},{}]"#;
        let read = tasks(body).unwrap();
        let texts = [("is", "true"), ("name", "a"), ("tasks", "2")];
        let first = texts.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, [Config::from(first), Config::new()]);
        for body in ["", "{}", "[null]", "[1]", "[{]"] {
            assert!(tasks(body.as_bytes()).is_err(), "{body}");
        }
    }
}
