//! `POST /peer/v1/try`: a peer asks that this watchdog look once at what is no check.

use axum::extract::Request;
use axum::response::Response;

use super::{Certified, SignedParams, SignedReport, question, signed_answer};
use crate::api::Ctx;
use crate::api::checks::trial::{STOPS, of_peer, room};
use crate::api::problem::{ApiError, Problem};
use crate::looks::trial::{PATH, TrialRequest};

/// A body of the API, and some: numbers may be written at greater length.
const LIMIT: usize = 2 * 1024 * 1024;

/// What this watchdog sees of a target now. Answered within the timeout of the look and a few seconds.
#[utoipa::path(post, path = "/peer/v1/try", tag = "peers", params(SignedParams),
    request_body(content = Object, description = "Of one version of komainu to the same version"),
    responses((status = 200, description = "What it saw, signed", body = SignedReport),
        (status = 403, description = "The signature is missing or does not fit", body = Problem),
        (status = 400, description = "It is no question, or no check", body = Problem),
        (status = 503, description = "Eight tries are under way, or this watchdog stops", body = Problem)))]
pub(in crate::api) async fn answer(_: Certified, context: Ctx, request: Request) -> Result<Response, ApiError> {
    let TrialRequest { check, .. } = question(&context, request, (PATH, LIMIT)).await?;
    let definition = of_peer(&check)?;
    let (room, looks) = (room(&context)?, &context.state.looks);
    let tried = tokio::select! {
        tried = Box::pin(looks.look_once(&room, &definition)) => tried,
        () = context.state.stopping.cancelled() => return Err(STOPS),
    };
    signed_answer(&context, ("POST", PATH), &tried)
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::check::{Failure, Outcome};
    use serde_json::{Value, json};

    use crate::api::support::{KEY, Surface, TestAnswer};
    use crate::clock;
    use crate::looks::trial::{MOST_AT_ONCE, PATH, TrialAnswer};
    use crate::signature;

    async fn ask(surface: &Surface, check: &Value) -> TestAnswer {
        let question = json!({"watchdog": "w2", "check": check}).to_string();
        let signed = signature::sign(KEY.as_bytes(), clock::wall(), "POST", PATH, question.as_bytes());
        surface.send_with("POST", PATH, &[(signature::HEADER, &signed)], &question).await
    }

    fn closed() -> Value {
        json!({"type": "port", "hostname": "127.0.0.1", "port": 1, "timeout": 2})
    }

    #[tokio::test]
    async fn a_peer_is_answered_what_one_look_saw_and_a_stranger_is_not() {
        let surface = Surface::plain().await;
        let answer = ask(&surface, &closed()).await;
        assert_eq!(answer.code, 200);
        let back = answer.header(signature::HEADER);
        signature::verify(KEY.as_bytes(), &back, clock::wall(), "POST", PATH, &answer.body).unwrap();
        let tried: TrialAnswer = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((tried.watchdog.as_str(), tried.zone.as_str()), ("w1", "here"));
        assert_eq!(tried.outcome, Outcome::Failed(Failure::Refused));
        let question = json!({"watchdog": "w2", "check": closed()}).to_string();
        let forged = signature::sign(b"another key", clock::wall(), "POST", PATH, question.as_bytes());
        let other = signature::sign(KEY.as_bytes(), clock::wall(), "POST", PATH, b"{}");
        for header in [forged, other] {
            assert_eq!(surface.send_with("POST", PATH, &[(signature::HEADER, &header)], &question).await.code, 403);
        }
        assert_eq!(surface.send("POST", PATH, None, &question).await.code, 403);
    }

    #[tokio::test]
    async fn a_peer_whose_guard_is_wider_leads_nobody_to_secrets() {
        let surface = Surface::plain().await;
        let check = json!({"type": "http", "url": "http://169.254.169.254/", "timeout": 2});
        let tried: TrialAnswer = serde_json::from_slice(&ask(&surface, &check).await.body).unwrap();
        assert_eq!(tried.outcome, Outcome::Failed(Failure::Forbidden), "{tried:?}");
    }

    #[tokio::test]
    async fn a_question_that_is_none_is_refused_and_so_is_one_too_many() {
        let surface = Surface::plain().await;
        assert_eq!(ask(&surface, &json!({"type": "port"})).await.code, 400);
        assert_eq!(ask(&surface, &json!({"colour": 1})).await.code, 400);
        let rooms: Vec<_> = (0..MOST_AT_ONCE).map(|_| surface.state.looks.room_for_trial().unwrap()).collect();
        assert_eq!(ask(&surface, &closed()).await.code, 503);
        drop(rooms);
        assert_eq!(ask(&surface, &closed()).await.code, 200);
    }
}
