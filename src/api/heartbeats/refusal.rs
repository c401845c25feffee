//! How a push that does not count is told: status, problem type, the field at fault, and the numbers that a sender goes
//! by (`server_time`, `last_time`: unix seconds).

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::shown::seconds;
use crate::api::problem::FieldError;
use crate::heartbeat::PushError;
use crate::heartbeat::body::BodyError;

pub(in crate::api) fn status_and_kind(error: &PushError) -> (StatusCode, &'static str) {
    match error {
        PushError::Forbidden => (StatusCode::FORBIDDEN, "/problems/forbidden"),
        PushError::Body(_) => (StatusCode::BAD_REQUEST, "/problems/invalid"),
        PushError::OutsideWindow { .. } => (StatusCode::BAD_REQUEST, "/problems/outside-window"),
        PushError::Replayed(_) => (StatusCode::CONFLICT, "/problems/replayed"),
        PushError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "/problems/too-many"),
        PushError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "/problems/database-unavailable"),
    }
}

pub(in crate::api) fn errors(error: &PushError) -> Vec<FieldError> {
    match error {
        PushError::Body(BodyError::Field { field, problem }) => vec![FieldError::new(*field, *problem)],
        PushError::OutsideWindow { .. } => {
            vec![FieldError::new("time", "is more than 300 s off the server's; compare the clocks of the two hosts")]
        }
        PushError::Forbidden
        | PushError::Body(BodyError::Malformed(_))
        | PushError::Replayed(_)
        | PushError::TooMany
        | PushError::Unavailable => Vec::new(),
    }
}

pub(in crate::api) fn more(error: &PushError) -> Map<String, Value> {
    let (name, us) = match error {
        PushError::OutsideWindow { server_us } => ("server_time", *server_us),
        PushError::Replayed(replayed) => ("last_time", replayed.last_time_us),
        PushError::Forbidden | PushError::Body(_) | PushError::TooMany | PushError::Unavailable => return Map::new(),
    };
    Map::from_iter([(name.to_owned(), json!(seconds(us)))])
}
