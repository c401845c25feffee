//! What a form sends: small, and soon.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::Response;
use http_body_util::{BodyExt, Limited};

use super::deeds::encoded;
use super::frame::refusal;
use super::visit::Visitor;

/// A form of a stranger is shorter.
const MOST_BYTES: usize = 64 * 1_024;

/// Of somebody who has signed in: 20,000 characters of any script, each of which is sent as nine or twelve.
const MOST_BYTES_SIGNED_IN: usize = 256 * 1_024;

/// A form of ours has fewer fields; what comes after them is nobody's.
const MOST_FIELDS: usize = 2_000;

/// Whoever sends it more slowly holds a place that others need.
const WITHIN: Duration = Duration::from_secs(10);

/// The fields of a form, in the order in which they were sent.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// A field without the blanks around it, of a repeated one the last; `None`: missing or empty.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.sent(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A field as it was sent, of a repeated one the last; `None`: missing.
    pub(super) fn sent(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All of a field that is sent once for each of several.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A list as this form goes on in it, beside what the path asks for already.
    pub(super) fn turned(&self, list: &str) -> String {
        self.field("cursor").map_or_else(|| list.to_owned(), |cursor| format!("{list}&cursor={}", encoded(cursor)))
    }

    /// Of a query.
    pub(crate) fn of_query(query: Option<&str>) -> Self {
        Self::parsed(query.unwrap_or_default().as_bytes())
    }

    fn parsed(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().take(MOST_FIELDS).collect())
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let has_signed_in = request.extensions().get::<Visitor>().is_some();
        let most = if has_signed_in { MOST_BYTES_SIGNED_IN } else { MOST_BYTES };
        let body = Limited::new(request.into_body(), most).collect();
        match tokio::time::timeout(WITHIN, body).await {
            Ok(Ok(body)) => Ok(Self::parsed(&body.to_bytes())),
            Ok(Err(_)) => {
                let words = format!("The form is longer than {} KiB, or broke off.", most / 1_024);
                Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, &words))
            }
            Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "The form did not come within 10 s.")),
        }
    }
}
