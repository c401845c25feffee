//! Why a wish was not carried out, as the caller is told; and what a caller says it had seen.

use axum::http::{HeaderMap, header};

use crate::api::problem::{ApiError, FieldError};
use crate::monitor::Fault;
use crate::store::monitors::Refusal;

/// A list of ten thousand faults helps nobody.
const MOST_ERRORS: usize = 1_000;

/// Of a request on one monitor.
pub(super) fn one(refusal: Refusal, name: &str) -> ApiError {
    match refusal {
        Refusal::Faults(faults) => error_of(faults.into_iter().map(|(_, fault)| fault).collect()),
        Refusal::Unknown => ApiError::not_found("monitor", name),
        Refusal::Stale => stale(),
    }
}

pub(super) fn stale() -> ApiError {
    ApiError::Stale("the monitor is not, or no longer, what If-Match or If-None-Match says; read it again".to_owned())
}

/// Of a request on many: each field is named with its item.
pub(super) fn many(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Faults(faults) => error_of(
            faults
                .into_iter()
                .map(|(at, fault)| Fault { field: format!("items[{at}].{}", fault.field), ..fault })
                .collect(),
        ),
        // No item names a key, so none can be unknown; one whose row went meanwhile is tried again by the client.
        Refusal::Unknown | Refusal::Stale => stale(),
    }
}

/// 409 when all that is wrong is what is there already; 400 otherwise.
pub(super) fn error_of(faults: Vec<Fault>) -> ApiError {
    let is_conflict = faults.iter().all(|fault| fault.is_conflict);
    let count = faults.len();
    let errors: Vec<FieldError> =
        faults.into_iter().take(MOST_ERRORS).map(|fault| FieldError::new(fault.field, fault.message)).collect();
    let detail = match errors.as_slice() {
        [only] => format!("{}: {}", only.field, only.message),
        many if many.len() < count => format!("{count} fields are wrong; the first {MOST_ERRORS} are listed"),
        _ => format!("{count} fields are wrong"),
    };
    if is_conflict { ApiError::Conflict { detail, errors } } else { ApiError::Invalid { detail, errors } }
}

/// The tags of `If-Match`; none: whatever is there.
pub(super) fn if_match(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}

/// Whether the caller wants a new monitor and nothing else (`If-None-Match: *`).
pub(super) fn wants_new(headers: &HeaderMap) -> bool {
    headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes().trim_ascii() == b"*")
}
