//! Errors as `application/problem+json` (RFC 9457), naming the field at fault.
//!
//! An error answers with its status and leaves a [`Problem`] in the response's extensions; [`super::request_id`], which
//! knows the request's id, writes the body.

use std::any::Any;

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use komainu_notifiers::with_causes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use thiserror::Error;
use utoipa::ToSchema;

use super::heartbeats::refusal;
use super::rates::TooMany;
use crate::heartbeat::PushError;
use crate::store::StoreError;
use crate::store::hands::PinnedMonitor;

/// Seconds until a caller should try again when the database is away: a failover of a database takes tens of them.
const RETRY_AFTER_S: &str = "5";

/// A crowd is over sooner.
const RETRY_SHED_AFTER_S: &str = "2";

/// The framework's own refusals are one line.
const FRAMEWORK_WORDS: usize = 4_096;

/// Why a request is refused or failed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The body or the query is wrong.
    #[error("{detail}")]
    Invalid {
        /// One sentence on the whole.
        detail: String,
        /// Each field at fault.
        errors: Vec<FieldError>,
    },
    /// No key, or an unknown one.
    #[error("send an API key that this cluster knows: Authorization: Bearer kmn_…")]
    Unauthorized,
    /// A key that may not do this, or a signature that does not fit.
    #[error("{0}")]
    Forbidden(String),
    /// No such thing, or no such route.
    #[error("{0}")]
    NotFound(String),
    /// The route exists, for another method.
    #[error("{0}")]
    MethodNotAllowed(String),
    /// It would contradict what is there.
    #[error("{detail}")]
    Conflict {
        /// One sentence on the whole.
        detail: String,
        /// Each field at fault.
        errors: Vec<FieldError>,
    },
    /// It is no longer what the caller had seen.
    #[error("{0}")]
    Stale(String),
    /// Monitors that an operator pinned stand against it.
    #[error("{detail}")]
    Pinned {
        /// One sentence on the whole.
        detail: String,
        /// The pinned monitors.
        pinned: Vec<PinnedMonitor>,
    },
    /// The body is over its limit.
    #[error("the body is longer than {limit} bytes; send less")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body did not come within {seconds} s")]
    TooSlow {
        /// Without a byte, or in all.
        seconds: u64,
    },
    /// Too many bodies are being read at once.
    #[error("too many requests are being read at once")]
    Crowded,
    /// There is no room for this now.
    #[error("{0}")]
    Busy(&'static str),
    /// Too many requests with this key, or too many unknown keys from this address.
    #[error("too many requests; try again in {retry_after_s} s")]
    TooMany {
        /// In seconds.
        retry_after_s: u64,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A push of a heartbeat that does not count.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A bug of ours.
    #[error("something went wrong here; the log has the details under this request_id")]
    Internal(String),
}

/// One field at fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// Its name, as sent.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// The body of an error. RFC 9457, section 3.1; `errors` and `request_id` are extensions of ours.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem: programs go by this.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "/problems/invalid")]
    kind: &'static str,
    /// The status in words.
    #[schema(value_type = String, example = "Bad Request")]
    title: &'static str,
    /// The status.
    #[schema(example = 400)]
    status: u16,
    /// One sentence for people.
    #[schema(example = "name: is missing")]
    detail: String,
    /// Each field at fault, where fields are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Further extensions: numbers that a program goes by.
    #[serde(flatten)]
    #[schema(value_type = Extensions)]
    more: Map<String, Value>,
}

/// What is added to every problem, and to some.
#[derive(ToSchema)]
#[expect(dead_code, reason = "written by the part that knows the request's id; this is what the document says of it")]
struct Extensions {
    /// Under this it stands in the log.
    request_id: String,
}

impl ApiError {
    /// One field at fault.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        let error = FieldError::new(field, message);
        Self::Invalid { detail: format!("{}: {}", error.field, error.message), errors: vec![error] }
    }

    /// It contradicts what is there, at this field.
    pub(super) fn conflict(field: &str, message: impl Into<String>) -> Self {
        let error = FieldError::new(field, message);
        Self::Conflict { detail: format!("{}: {}", error.field, error.message), errors: vec![error] }
    }

    pub(super) fn not_found(what: &str, name: &str) -> Self {
        Self::NotFound(format!("there is no {what} {name}"))
    }

    fn status_and_kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid { .. } | Self::Store(StoreError::Invalid(_) | StoreError::UnknownCursor(_)) => {
                (StatusCode::BAD_REQUEST, "/problems/invalid")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "/problems/unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "/problems/forbidden"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "/problems/not-found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "/problems/method-not-allowed"),
            Self::Conflict { .. } | Self::Pinned { .. } => (StatusCode::CONFLICT, "/problems/conflict"),
            Self::Stale(_) => (StatusCode::PRECONDITION_FAILED, "/problems/stale"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large"),
            Self::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "/problems/too-slow"),
            Self::Crowded | Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "/problems/busy"),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "/problems/too-many"),
            Self::Push(error) => refusal::status_and_kind(error),
            Self::Store(error) if error.is_duplicate() => (StatusCode::CONFLICT, "/problems/conflict"),
            Self::Store(error) if error.is_own_crowd() => (StatusCode::SERVICE_UNAVAILABLE, "/problems/busy"),
            Self::Store(error) if error.is_contention() => (StatusCode::SERVICE_UNAVAILABLE, "/problems/busy"),
            Self::Store(error) if is_database_away(error) => {
                (StatusCode::SERVICE_UNAVAILABLE, "/problems/database-unavailable")
            }
            Self::Store(_) | Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "/problems/internal"),
        }
    }

    /// What the caller is told. Of a failure of ours: nothing that is internal.
    fn detail(&self, status: StatusCode) -> String {
        match status {
            StatusCode::SERVICE_UNAVAILABLE if self.is_shed() => {
                "this watchdog has too many requests at once; nothing was changed, try again, here or at another"
                    .to_owned()
            }
            StatusCode::SERVICE_UNAVAILABLE if self.has_met_others() => {
                "others are changing the same rows, and it met them at each of several tries; nothing was changed, try again"
                    .to_owned()
            }
            StatusCode::SERVICE_UNAVAILABLE if !matches!(self, Self::Push(_)) => {
                "the database cannot be reached or cannot do it now; nothing was changed, try again".to_owned()
            }
            StatusCode::INTERNAL_SERVER_ERROR => {
                "something went wrong here; the log has the details under this request_id".to_owned()
            }
            StatusCode::CONFLICT if matches!(self, Self::Store(_)) => "it exists already".to_owned(),
            _ => self.to_string(),
        }
    }

    /// Extensions that a program goes by.
    fn more(&self) -> Map<String, Value> {
        match self {
            Self::Push(error) => refusal::more(error),
            Self::Pinned { pinned, .. } => {
                let listed = pinned.iter().map(|one| json!({"id": one.id, "name": one.name}));
                Map::from_iter([("pinned".to_owned(), listed.collect())])
            }
            Self::Invalid { .. }
            | Self::Conflict { .. }
            | Self::Unauthorized
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed(_)
            | Self::Stale(_)
            | Self::TooMany { .. }
            | Self::TooLarge { .. }
            | Self::TooSlow { .. }
            | Self::Crowded
            | Self::Busy(_)
            | Self::Store(_)
            | Self::Internal(_) => Map::new(),
        }
    }

    /// Refused for want of a connection or of room: the others have theirs.
    fn is_shed(&self) -> bool {
        matches!(self, Self::Crowded | Self::Busy(_)) || matches!(self, Self::Store(error) if error.is_own_crowd())
    }

    /// It met other changes of the same rows, however often it was tried.
    fn has_met_others(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_contention())
    }

    fn into_errors(self) -> Vec<FieldError> {
        match self {
            Self::Invalid { errors, .. } | Self::Conflict { errors, .. } => errors,
            Self::Push(error) => refusal::errors(&error),
            Self::Store(StoreError::UnknownCursor(text)) => {
                vec![FieldError::new("cursor", format!("{text:?} is none that this list gave"))]
            }
            Self::Unauthorized
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed(_)
            | Self::Stale(_)
            | Self::Pinned { .. }
            | Self::TooLarge { .. }
            | Self::TooSlow { .. }
            | Self::Crowded
            | Self::Busy(_)
            | Self::TooMany { .. }
            | Self::Store(_)
            | Self::Internal(_) => Vec::new(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind) = self.status_and_kind();
        let is_shed = self.is_shed();
        let has_met_others = self.has_met_others();
        if has_met_others {
            tracing::warn!(error = %with_causes(&self), "a request met others at each of its tries");
        }
        // What a heartbeat's task could not store it has logged once, not once for each sender.
        // Nor what it sheds: that would be as many lines as requests.
        if status.is_server_error() && !matches!(self, Self::Push(_)) && !is_shed && !has_met_others {
            tracing::error!(http.status = status.as_u16(), error = %with_causes(&self), "request failed");
        }
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = if let Self::TooMany { retry_after_s } = self { retry_after_s } else { 1 };
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let wait = if is_shed || has_met_others { RETRY_SHED_AFTER_S } else { RETRY_AFTER_S };
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
        }
        let problem = Problem {
            kind,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.detail(status),
            more: self.more(),
            errors: self.into_errors(),
        };
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<TooMany> for ApiError {
    fn from(too_many: TooMany) -> Self {
        Self::TooMany { retry_after_s: too_many.retry_after_s }
    }
}

/// The database, or the way to it, is at fault: the caller may try again.
fn is_database_away(error: &StoreError) -> bool {
    let is_unready = matches!(
        error,
        StoreError::AccessDenied { .. }
            | StoreError::SchemaMissing
            | StoreError::SchemaTooOld { .. }
            | StoreError::SchemaTooNew { .. }
    );
    error.is_lost_connection() || error.is_unavailable() || is_unready
}

pub(super) async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("there is no route {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::MethodNotAllowed(format!("{} does not answer {method}", uri.path()))
}

/// What the framework refuses by itself, in plain text, such as a path that is no UTF-8, is told as everything else.
pub(super) async fn of_framework(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !is_plain || response.extensions().get::<Problem>().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let words = axum::body::to_bytes(body, FRAMEWORK_WORDS).await.unwrap_or_default();
    let detail = String::from_utf8_lossy(&words).into_owned();
    let told = match parts.status {
        StatusCode::BAD_REQUEST => ApiError::Invalid { detail, errors: Vec::new() },
        StatusCode::NOT_FOUND => ApiError::NotFound(detail),
        _ => return Response::from_parts(parts, Body::from(words)),
    };
    told.into_response()
}

#[expect(clippy::needless_pass_by_value, reason = "the layer that catches panics hands it over")]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    ApiError::Internal(words.unwrap_or_else(|| "a handler panicked".to_owned())).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::Request;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::api::request_id;
    use crate::api::support::{Surface, view};

    async fn answer(error: fn() -> ApiError, id: &str) -> (StatusCode, http::HeaderMap, Value) {
        let router =
            Router::new().route("/", get(async move || -> ApiError { error() })).layer(from_fn(request_id::attach));
        let request = Request::builder().uri("/").header("x-request-id", id).body(Body::empty()).unwrap();
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_503_and_says_when_to_try_again() {
        let away = || StoreError::Lost { act: "list nodes", reason: "10.1.2.3 gone".to_owned() }.into();
        let (status, headers, body) = answer(away, "abc-1").await;
        assert_eq!(
            (status.as_u16(), &headers["retry-after"], &headers["x-request-id"]),
            (503, &"5".parse().unwrap(), &"abc-1".parse().unwrap())
        );
        assert_eq!(body["request_id"], "abc-1");
        assert!(!body.to_string().contains("10.1.2.3"), "{body}");
    }

    #[tokio::test]
    async fn what_is_shed_is_503_and_says_so() {
        let shed = || StoreError::PoolTimeout { act: "list nodes", millis: 1_000 }.into();
        let (status, headers, body) = answer(shed, "abc-1").await;
        assert_eq!((status.as_u16(), &headers["retry-after"]), (503, &"2".parse().unwrap()));
        assert_eq!(body["type"], "/problems/busy");
    }

    #[tokio::test]
    async fn a_failure_of_ours_reveals_nothing() {
        let broken = || ApiError::Internal("secret stack".to_owned());
        let (status, _, body) = answer(broken, "not plain: \"").await;
        assert_eq!(status.as_u16(), 500);
        assert!(!body.to_string().contains("secret") && body["request_id"] != "not plain: \"", "{body}");
    }

    #[tokio::test]
    async fn who_meets_others_is_told_so_and_not_that_the_database_is_away() {
        let met = || {
            let reason = "Deadlock found when trying to get lock".to_owned();
            ApiError::Store(StoreError::Contention { act: "move monitors", is_deadlock: true, reason })
        };
        let (status, headers, body) = answer(met, "plain").await;
        assert_eq!((status.as_u16(), &body["type"]), (503, &"/problems/busy".into()));
        assert!(headers.contains_key(header::RETRY_AFTER));
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("others are changing the same rows") && detail.contains("nothing was changed"),
            "{detail}"
        );
    }

    #[tokio::test]
    async fn unknown_routes_and_methods_are_problems_too() {
        let surface = Surface::showing(view()).await;
        let table = [
            ("GET", "/nope", 404),
            ("PUT", "/status", 405),
            ("PATCH", "/api/v1/monitors", 405),
            ("GET", "/api/v1/nope", 404),
        ];
        let garbled = surface.get("/heartbeats/%FF").await;
        assert_eq!((garbled.code, &garbled.json()["type"]), (400, &"/problems/invalid".into()));
        for (method, path, code) in table {
            let answer = surface.send(method, path, None, "").await;
            assert_eq!(
                (answer.code, answer.header("content-type").as_str()),
                (code, "application/problem+json"),
                "{path}"
            );
            assert_eq!(answer.json()["status"], code);
            assert!(answer.json()["detail"].as_str().unwrap().contains(path));
            assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
        }
    }
}
