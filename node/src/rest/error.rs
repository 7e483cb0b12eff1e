//! A request that is not answered with what it asked for: Connect's `{"error_code": 404, "message": "…"}`.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::body::json_response;
use super::forwarding::Elsewhere;
use crate::herder::HerderError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Whether the answer says that it is JSON. Connect's does not where no resource was reached.
    pub(super) has_type: bool,
    /// Set if another worker of the group has to answer.
    pub(super) elsewhere: Option<Elsewhere>,
}

impl RestError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), has_type: true, elsewhere: None }
    }

    /// An error that has no words of its own: `HTTP 404 Not Found`.
    pub(super) fn bare(status: StatusCode) -> Self {
        Self::new(status, format!("HTTP {status}"))
    }

    /// As [`RestError::bare`], before a resource was reached.
    pub(super) fn unreached(status: StatusCode) -> Self {
        Self { has_type: false, ..Self::bare(status) }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<HerderError> for RestError {
    fn from(error: HerderError) -> Self {
        let status = match &error {
            HerderError::NotFound(_) => StatusCode::NOT_FOUND,
            HerderError::AlreadyExists(_) => StatusCode::CONFLICT,
            HerderError::BadRequest(_) => StatusCode::BAD_REQUEST,
            HerderError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            HerderError::Elsewhere { .. } => StatusCode::CONFLICT,
            HerderError::Forbidden(_) => StatusCode::FORBIDDEN,
            HerderError::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let message = error.to_string();
        let elsewhere = match error {
            HerderError::Elsewhere { url } => Some(Elsewhere(url)),
            HerderError::NotFound(_)
            | HerderError::AlreadyExists(_)
            | HerderError::BadRequest(_)
            | HerderError::Failed(_)
            | HerderError::Forbidden(_)
            | HerderError::NotReady(_) => None,
        };
        Self { elsewhere, ..Self::new(status, message) }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.status.as_u16(), "message": self.message });
        let mut response = json_response(self.status, &body);
        if !self.has_type {
            response.headers_mut().remove(CONTENT_TYPE);
        }
        if let Some(elsewhere) = self.elsewhere {
            response.extensions_mut().insert(elsewhere);
        }
        response
    }
}

pub(super) async fn not_found() -> RestError {
    RestError::unreached(StatusCode::NOT_FOUND)
}

pub(super) async fn method_not_allowed() -> RestError {
    RestError::unreached(StatusCode::METHOD_NOT_ALLOWED)
}
