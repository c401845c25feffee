//! `POST /peer/v1/look`: a peer asks that checks be looked at now, and fetches what this watchdog saw.

use axum::extract::Request;
use axum::response::Response;

use super::{Certified, SignedParams, SignedReport, question, signed_answer};
use crate::api::Ctx;
use crate::api::problem::{ApiError, Problem};
use crate::looks::peers::{LookRequest, PATH};

/// A thousand names of checks, and some.
const LIMIT: usize = 256 * 1024;

/// What this watchdog sees of checks: those that are named are looked at now. Answered within some two seconds.
#[utoipa::path(post, path = "/peer/v1/look", tag = "peers", params(SignedParams),
    request_body(content = Object, description = "Of one version of komainu to the same version"),
    responses((status = 200, description = "The looks, signed", body = SignedReport),
        (status = 403, description = "The signature is missing or does not fit", body = Problem),
        (status = 422, description = "It is no question", body = Problem),
        (status = 503, description = "Too much is asked at once", body = Problem)))]
pub(in crate::api) async fn answer(_: Certified, context: Ctx, request: Request) -> Result<Response, ApiError> {
    let asked: LookRequest = question(&context, request, (PATH, LIMIT)).await?;
    let told = context.state.looks.answer(asked).await.ok_or(ApiError::Crowded)?;
    signed_answer(&context, ("POST", PATH), &told)
}

#[cfg(test)]
mod tests {
    use crate::api::support::{KEY, Surface, view};
    use crate::clock;
    use crate::looks::peers::{LookAnswer, PATH};
    use crate::signature;

    #[tokio::test]
    async fn a_peer_is_answered_what_was_seen_and_a_stranger_is_not() {
        let surface = Surface::showing(view()).await;
        let question = r#"{"watchdog": "w2", "checks": []}"#;
        let signed = signature::sign(KEY.as_bytes(), clock::wall(), "POST", PATH, question.as_bytes());
        let answer = surface.send_with("POST", PATH, &[(signature::HEADER, &signed)], question).await;
        assert_eq!(answer.code, 200);
        let back = answer.header(signature::HEADER);
        signature::verify(KEY.as_bytes(), &back, clock::wall(), "POST", PATH, &answer.body).unwrap();
        let told: LookAnswer = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((told.watchdog.as_str(), told.looks.len(), told.is_more), ("w1", 0, false));
        let forged = signature::sign(b"another key", clock::wall(), "POST", PATH, question.as_bytes());
        let other = signature::sign(KEY.as_bytes(), clock::wall(), "POST", PATH, b"{}");
        for header in [forged, other] {
            let refused = surface.send_with("POST", PATH, &[(signature::HEADER, &header)], question).await;
            assert_eq!(refused.code, 403);
        }
    }
}
