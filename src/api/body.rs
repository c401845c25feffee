//! Bodies: limited in length before they are read, then parsed with the place of the first fault.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::fields::Fields;
use super::problem::ApiError;

/// Of everything but heartbeats and bulk.
const LIMIT: usize = 1024 * 1024;

/// The fields of a body that is one JSON object.
pub(super) struct Object(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request.into_body(), LIMIT).await?;
        parse(&bytes).map(Self)
    }
}

/// The fields of a body that may be left out: then there are none.
pub(super) struct Optional(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Optional {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request.into_body(), LIMIT).await?;
        if bytes.trim_ascii().is_empty() { Ok(Self(Fields::of_query(None))) } else { parse(&bytes).map(Self) }
    }
}

/// The raw bytes of a body of at most so many.
pub(super) async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge { limit }),
        Err(_) => Err(invalid("the body broke off before its end".to_owned())),
    }
}

fn parse(bytes: &[u8]) -> Result<Fields, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Err(invalid("the body is empty; send a JSON object".to_owned()));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(Fields::new(object)),
        Ok(_) => Err(invalid("the body must be one JSON object".to_owned())),
        Err(error) => {
            let text = error.to_string();
            let problem = text.split(" at line ").next().unwrap_or_default().to_owned();
            Err(invalid(format!("line {}, column {}: {problem}", error.line(), error.column())))
        }
    }
}

fn invalid(detail: String) -> ApiError {
    ApiError::Invalid { detail, errors: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> String {
        parse(body.as_bytes()).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn garbage_is_placed_by_line_and_column() {
        assert_eq!(told("{\n  \"name\": oops\n}"), "line 2, column 11: expected value");
        assert_eq!(told("{\"name\": \"x\""), "line 1, column 12: EOF while parsing an object");
        assert_eq!(told(" "), "the body is empty; send a JSON object");
        assert_eq!(told("[]"), "the body must be one JSON object");
    }
}
