//! Bodies of requests and answers: JSON, read as loosely as Connect's Jackson does where a text is wanted.
//!
//! A number or a boolean where a text is wanted becomes its text; an array or an object is refused.

use std::future::Future;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{REQUEST_TIMEOUT, RestError};
use crate::herder::HerderError;
use crate::worker::Posted;

const JSON: &str = "application/json";
/// What a client may write for it.
const JSON_KINDS: [&str; 3] = [JSON, "application/*", "*/*"];

/// An answer with a body.
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            response
        }
        Err(error) => {
            tracing::error!("an answer of the REST interface cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An answer of 200 with a body.
pub(super) fn ok(body: &impl Serialize) -> Response {
    json_response(StatusCode::OK, body)
}

/// Carries out `work`, which goes on if the client leaves or the time is up.
pub(super) async fn complete<T: Send + 'static>(
    work: impl Future<Output = Result<T, HerderError>> + Send + 'static,
) -> Result<T, RestError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, outlive(work)).await {
        Ok(done) => done?.map_err(RestError::from),
        Err(_) => Err(RestError::internal("Request timed out")),
    }
}

/// Awaits `work`, which goes on if nobody awaits it any more.
pub(super) async fn outlive<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, RestError> {
    let panicked = |_| RestError::internal("the request has panicked; the log says where");
    tokio::spawn(work).await.map_err(panicked)
}

/// Refuses a body that says it is not JSON, and a client that takes no JSON.
pub(super) async fn check_types(request: Request, next: Next) -> Response {
    let is_question = *request.method() == Method::OPTIONS;
    match refusal(request.headers()).filter(|_| !is_question) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// Why a request with these headers is not answered with JSON.
pub(super) fn refusal(headers: &HeaderMap) -> Option<RestError> {
    let includes_json = |header: &HeaderValue| {
        let kinds = header.to_str().unwrap_or_default().split(',');
        let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        kinds.any(|kind| JSON_KINDS.iter().any(|json| json.eq_ignore_ascii_case(kind)))
    };
    if !headers.get(CONTENT_TYPE).is_none_or(includes_json) {
        Some(RestError::unreached(StatusCode::UNSUPPORTED_MEDIA_TYPE))
    } else if headers.contains_key(ACCEPT) && !headers.get_all(ACCEPT).iter().any(includes_json) {
        Some(RestError::unreached(StatusCode::NOT_ACCEPTABLE))
    } else {
        None
    }
}

/// A body that is a JSON object.
pub(super) struct Object(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => object(&bytes).map(Self),
            Err(rejection) => Err(RestError::new(rejection.status(), rejection.body_text())),
        }
    }
}

fn object(bytes: &Bytes) -> Result<Map<String, Value>, RestError> {
    if bytes.trim_ascii().is_empty() {
        return Err(RestError::bad_request("the request has no body; a JSON object is wanted"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(RestError::internal("the body is JSON, but no object")),
        Err(error) => Err(RestError::internal(format!("the body is no JSON: {error}"))),
    }
}

/// Texts by name; `None` where there is `null`.
pub(super) fn texts(object: Map<String, Value>) -> Result<Posted, RestError> {
    let texts = object.into_iter().map(|(name, value)| {
        let value = text(&name, value)?;
        Ok((name, value))
    });
    texts.collect()
}

/// The text that `value` is, or can be taken for.
pub(super) fn text(name: &str, value: Value) -> Result<Option<String>, RestError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(RestError::internal(format!(
            "{name} has an array or an object where a text is wanted"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Posted, RestError> {
        texts(object(&Bytes::from(value.to_string()))?)
    }

    #[tokio::test]
    async fn work_goes_on_if_the_client_leaves() {
        let (go, may_go) = tokio::sync::oneshot::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let work = outlive(async move {
            may_go.await.unwrap();
            done.send(()).unwrap();
        });
        // Asked once, then given up.
        assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
        go.send(()).unwrap();
        is_done.await.unwrap();
        let panicking: Result<(), _> = outlive(async { panic!("on purpose") }).await;
        assert_eq!(panicking.unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn primitives_become_texts_and_null_stays() {
        let read = read(json!({ "a": 1, "b": true, "c": "x", "d": null, "e": 1.5 })).unwrap();
        let values: Vec<_> = read.values().map(Option::as_deref).collect();
        assert_eq!(values, [Some("1"), Some("true"), Some("x"), None, Some("1.5")]);
    }

    #[test]
    fn body_that_is_no_object_of_texts_is_refused() {
        for value in [json!({ "a": [] }), json!({ "a": {} }), json!([]), json!(5)] {
            assert_eq!(read(value).unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
        }
        for bytes in ["", " ", "{", "{\"a\":}"] {
            assert!(object(&Bytes::from(bytes)).is_err(), "{bytes}");
        }
    }
}
