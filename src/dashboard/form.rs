//! What a form sends: small, and soon.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::Response;
use http_body_util::{BodyExt, Limited};

use super::frame::refusal;

/// A form of the dashboard is shorter.
const MOST_BYTES: usize = 64 * 1_024;

/// Whoever sends it more slowly holds a place that others need.
const WITHIN: Duration = Duration::from_secs(10);

/// The fields of a form, by name; of a repeated one the last.
#[derive(Debug)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// A field without the blanks around it; `None`: missing or empty.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Of a query.
    pub(crate) fn of_query(query: Option<&str>) -> Self {
        Self::parsed(query.unwrap_or_default().as_bytes())
    }

    fn parsed(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let body = Limited::new(request.into_body(), MOST_BYTES).collect();
        match tokio::time::timeout(WITHIN, body).await {
            Ok(Ok(body)) => Ok(Self::parsed(&body.to_bytes())),
            Ok(Err(_)) => Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "The form is longer than 64 KiB, or broke off.")),
            Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "The form did not come within 10 s.")),
        }
    }
}
