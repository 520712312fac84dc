use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::engine::{Error, Kind};

/// A request that is not answered.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    why: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// The request is wrong.
    pub(super) fn usage(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// Too many ask at once.
    pub(super) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests wait for an answer; try again",
        )
    }

    /// Why, for people.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::NotAllowed => StatusCode::FORBIDDEN,
            Kind::Lacking => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.chain())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.why }).to_string();
        let kind = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, kind, Body::from(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1: browsers ask for a user and a password.
            let realm = HeaderValue::from_static("Basic realm=\"relay\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

/// The answer where nothing is.
pub(super) async fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "nothing is here; /api/v1/openapi.json lists what there is")
}

/// The answer to a method that would change something.
pub(super) async fn not_allowed() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered")
}
