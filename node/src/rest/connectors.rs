//! `/connectors`: which there are, what each is and how it stands, and its configuration.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap, HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::{Map, Value, json};

use super::body::{Object, complete, json_response, ok, text, texts};
use super::{Answer, RestError, Shared, query, resources};
use crate::config::TargetState;
use crate::herder::{ConnectorInfo, HerderError};
use crate::worker::Posted;

pub(super) fn routes() -> Router<Shared> {
    resources([
        ("/connectors", get(list).post(create)),
        ("/connectors/{connector}", get(info).delete(remove)),
        ("/connectors/{connector}/config", get(config).put(put_config).patch(patch_config)),
        ("/connectors/{connector}/status", get(status)),
        ("/connectors/{connector}/tasks", get(tasks)),
        ("/connectors/{connector}/tasks/{task}/status", get(task_status)),
        ("/connectors/{connector}/topics", get(topics)),
        ("/connectors/{connector}/topics/reset", put(reset_topics)),
    ])
}

async fn list(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let expansions = query::values(query.as_deref(), "expand");
    if expansions.is_empty() {
        return Ok(ok(&shared.herder.names()));
    }
    let herder = &shared.herder;
    let connectors = expanded(herder.names(), &expansions, |name, expansion| match expansion {
        "status" => herder.status(name).map(|status| Some(value(status))),
        "info" => herder.info(name).map(|info| Some(value(info))),
        other => {
            tracing::info!("Ignoring unknown expansion type {other}");
            Ok(None)
        }
    });
    Ok(ok(&connectors?))
}

/// What `look` finds of each name. A connector that was deleted since it was named is left out.
fn expanded(
    names: Vec<String>,
    expansions: &[String],
    look: impl Fn(&str, &str) -> Result<Option<Value>, HerderError>,
) -> Result<Map<String, Value>, HerderError> {
    let mut connectors = Map::new();
    for name in names {
        let found = expansions
            .iter()
            .map(|expansion| look(&name, expansion).map(|found| Some((expansion.clone(), found?))));
        match found.filter_map(Result::transpose).collect::<Result<Map<_, _>, _>>() {
            Ok(found) => {
                connectors.insert(name, Value::Object(found));
            }
            Err(HerderError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(connectors)
}

async fn create(State(shared): State<Shared>, headers: HeaderMap, Object(body): Object) -> Answer {
    let mut body = body;
    if let Some(unknown) =
        body.keys().find(|key| !["name", "config", "initial_state"].contains(&key.as_str()))
    {
        return Err(RestError::internal(format!(
            "Unrecognized field \"{unknown}\" (3 known properties: \"name\", \"config\", \"initial_state\")"
        )));
    }
    let mut take = |name: &str| body.remove(name).unwrap_or(Value::Null);
    let name = text("name", take("name"))?.unwrap_or_default().trim().to_owned();
    let initial = match text("initial_state", take("initial_state"))? {
        None => None,
        Some(state) => Some(TargetState::parse(&state).ok_or_else(|| {
            RestError::internal(format!(
                "initial_state {state} is none of RUNNING, PAUSED and STOPPED"
            ))
        })?),
    };
    let Value::Object(config) = take("config") else {
        return Err(RestError::bad_request("the request has no object config"));
    };
    let config = named(&name, texts(config)?)?;
    let herder = shared.herder;
    let of = name.clone();
    let info = complete(async move { herder.create(&of, config, initial).await }).await?;
    Ok(created(&headers, &name, &info))
}

async fn info(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(ok(&shared.herder.info(&name)?))
}

async fn config(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(ok(&shared.herder.info(&name)?.config))
}

async fn put_config(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Object(body): Object,
) -> Answer {
    let config = named(&name, texts(body)?)?;
    let (herder, of) = (shared.herder, name.clone());
    let made = complete(async move { herder.put_config(&of, config).await }).await?;
    Ok(if made.is_new { created(&headers, &name, &made.info) } else { ok(&made.info) })
}

async fn patch_config(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Object(body): Object,
) -> Answer {
    let patch = texts(body)?;
    Ok(ok(&complete(async move { shared.herder.patch_config(&name, patch).await }).await?))
}

async fn remove(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    complete(async move { shared.herder.delete(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn status(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(ok(&shared.herder.status(&name)?))
}

async fn tasks(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(ok(&shared.herder.tasks(&name)?))
}

async fn task_status(
    State(shared): State<Shared>,
    Path((name, task)): Path<(String, String)>,
) -> Answer {
    Ok(ok(&shared.herder.task_status(&name, task_number(&task)?)?))
}

async fn topics(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    ensure_tracking(&shared)?;
    let topics = shared.herder.active_topics(&name);
    Ok(ok(&json!({ name: { "topics": topics } })))
}

async fn reset_topics(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    ensure_tracking(&shared)?;
    if !shared.herder.worker().config().rest.topic_tracking_reset {
        let text = "Topic tracking reset is disabled.";
        return Err(RestError::new(StatusCode::FORBIDDEN, text));
    }
    shared.herder.reset_active_topics(&name);
    Ok(StatusCode::ACCEPTED.into_response())
}

fn ensure_tracking(shared: &Shared) -> Result<(), RestError> {
    if shared.herder.worker().config().rest.topic_tracking {
        return Ok(());
    }
    Err(RestError::new(StatusCode::FORBIDDEN, "Topic tracking is disabled."))
}

/// The number of a task in a path; what is no number names nothing.
pub(super) fn task_number(text: &str) -> Result<i32, RestError> {
    text.parse().map_err(|_| RestError::bare(StatusCode::NOT_FOUND))
}

fn value(entity: impl serde::Serialize) -> Value {
    // Entities have text keys, so this does not fail.
    serde_json::to_value(entity).unwrap_or(Value::Null)
}

/// The properties of the connector that the request is about, its name among them.
fn named(name: &str, mut config: Posted) -> Result<Posted, RestError> {
    match config.get("name") {
        Some(Some(included)) if included != name => Err(RestError::bad_request(format!(
            "Connector name configuration ({included}) doesn't match connector name in the URL \
             ({name})"
        ))),
        Some(Some(_)) => Ok(config),
        Some(None) | None => {
            config.insert("name".to_owned(), Some(name.to_owned()));
            Ok(config)
        }
    }
}

fn created(headers: &HeaderMap, name: &str, info: &ConnectorInfo) -> Response {
    let mut response = json_response(StatusCode::CREATED, info);
    set_location(headers, name, &mut response);
    response
}

/// Says where a connector is that was made, at the address that the client has asked.
pub(super) fn set_location(asked: &HeaderMap, name: &str, response: &mut Response) {
    let host = asked.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = if host.is_empty() { String::new() } else { format!("http://{host}") };
    let location = format!("{origin}/connectors/{}", path_segment(name));
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
}

/// `name` as one segment of a path.
pub(crate) fn path_segment(name: &str) -> String {
    let mut segment = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_that_is_deleted_meanwhile_is_left_out() {
        let names = || vec!["a".to_owned(), "gone".to_owned(), "z".to_owned()];
        let expansions = ["info", "x", "status"].map(str::to_owned);
        let gone = |name: &str, expansion: &str, error: HerderError| match (name, expansion) {
            ("gone", "status") => Err(error),
            (_, "x") => Ok(None),
            _ => Ok(Some(json!(name))),
        };
        let deleted = |name: &str, expansion: &str| {
            gone(name, expansion, HerderError::NotFound("No status found".to_owned()))
        };
        assert_eq!(
            Value::Object(expanded(names(), &expansions, deleted).unwrap()),
            json!({ "a": { "info": "a", "status": "a" }, "z": { "info": "z", "status": "z" } })
        );
        let failed = HerderError::Failed("out of order".to_owned());
        let fails = |name: &str, expansion: &str| gone(name, expansion, failed.clone());
        assert_eq!(expanded(names(), &expansions, fails), Err(failed.clone()));
    }

    #[test]
    fn name_in_a_path_is_one_segment() {
        assert_eq!(path_segment("a b/ü-_.~"), "a%20b%2F%C3%BC-_.~");
    }
}
