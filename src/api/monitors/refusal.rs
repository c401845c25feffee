//! Why a wish was not carried out, as the caller is told; and what a caller says it had seen.

use axum::http::{HeaderMap, header};

use crate::api::problem::{ApiError, FieldError};
use crate::monitor::FieldFault;
use crate::store::monitors::Refusal;

/// A list of ten thousand faults helps nobody.
const MOST_ERRORS: usize = 1_000;

/// Of a request on one; `thing`: `monitor`.
pub(in crate::api) fn one(refusal: Refusal, thing: &str, name: &str) -> ApiError {
    match refusal {
        Refusal::Faults(faults) => error_of(faults.into_iter().map(|(_, fault)| fault).collect()),
        Refusal::Unknown => ApiError::not_found(thing, name),
        Refusal::Stale => stale(thing),
    }
}

pub(in crate::api) fn stale(thing: &str) -> ApiError {
    ApiError::Stale(format!("the {thing} is not, or no longer, what If-Match or If-None-Match says; read it again"))
}

/// Of a request on many: each field is named with its item.
pub(in crate::api) fn many(refusal: Refusal, thing: &str) -> ApiError {
    match refusal {
        Refusal::Faults(faults) => error_of(
            faults
                .into_iter()
                .map(|(at, fault)| FieldFault { field: format!("items[{at}].{}", fault.field), ..fault })
                .collect(),
        ),
        // No item names a key, so none can be unknown; one whose row went meanwhile is tried again by the client.
        Refusal::Unknown | Refusal::Stale => stale(thing),
    }
}

/// 409 when all that is wrong is what is there already; 400 otherwise.
pub(in crate::api) fn error_of(faults: Vec<FieldFault>) -> ApiError {
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

/// The tags of `If-Match`; none: it is not there, whatever is stored will do.
pub(in crate::api) fn if_match(headers: &HeaderMap) -> Result<Vec<String>, ApiError> {
    let values: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    let tags: Vec<String> = texts
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect();
    let is_tag = |tag: &String| tag == "*" || (tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"'));
    // Whoever sends it wants to overwrite nothing unseen: what cannot be read is no permission.
    if !values.is_empty() && (tags.is_empty() || !tags.iter().all(is_tag)) {
        let message = "must be entity tags as ETag gave them, each in double quotes, or *";
        return Err(ApiError::field("If-Match", message));
    }
    Ok(tags)
}

/// Whether the caller wants a new one and nothing else (`If-None-Match: *`).
pub(in crate::api) fn wants_new(headers: &HeaderMap) -> bool {
    headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes().trim_ascii() == b"*")
}
