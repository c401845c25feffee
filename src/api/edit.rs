//! What a write to one thing says beside its fields: which thing, and on what terms.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Context;
use super::monitors::refusal;
use super::page::DryRun;
use super::request::Asked;

/// The frame of a PUT or PATCH.
pub(super) struct Edit {
    /// The last piece of its path.
    pub(super) name: String,
    /// It is judged, and not done.
    pub(super) is_rehearsal: bool,
    /// `If-Match`: what is there must bear one of these; none: whatever is there will do.
    pub(super) if_match: Vec<String>,
    /// `If-None-Match: *`: nothing must be there.
    pub(super) wants_new: bool,
}

impl FromRequestParts<Arc<Context>> for Edit {
    type Rejection = Response;

    /// Handlers name the caller before it: whoever holds no key was refused by then.
    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Response> {
        let path = Path::from_request_parts(parts, context).await;
        let Path(name) = path.map_err(IntoResponse::into_response)?;
        let asked = Asked::from_request_parts(parts, context).await;
        let Asked(DryRun { dry_run }) = asked.map_err(IntoResponse::into_response)?;
        let if_match = refusal::if_match(&parts.headers).map_err(IntoResponse::into_response)?;
        let wants_new = refusal::wants_new(&parts.headers);
        Ok(Self { name, is_rehearsal: dry_run.unwrap_or_default(), if_match, wants_new })
    }
}
