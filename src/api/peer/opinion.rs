//! `POST /peer/v1/opinion`: a peer asks that this watchdog look once at what a monitor looks at.

use axum::extract::Request;
use axum::response::Response;

use super::{Certified, SignedParams, SignedReport, question, signed_answer};
use crate::api::Ctx;
use crate::api::checks::trial::STOPS;
use crate::api::problem::{ApiError, Problem};
use crate::looks::opinion::{OpinionRequest, PATH};
use crate::store::opinions;

/// A name and a number.
const LIMIT: usize = 4 * 1024;

/// What this watchdog sees of a monitor's target now, by the settings that stand in the database. Answered within the timeout of the look and a
/// few seconds.
#[utoipa::path(post, path = "/peer/v1/opinion", tag = "peers", params(SignedParams),
    request_body(content = Object, description = "Of one version of komainu to the same version"),
    responses((status = 200, description = "What it saw, signed", body = SignedReport),
        (status = 400, description = "It is no question", body = Problem),
        (status = 403, description = "The signature is missing or does not fit", body = Problem),
        (status = 404, description = "There is no such monitor", body = Problem),
        (status = 503, description = "As many looks as may be are under way, the database cannot be reached, or this watchdog stops", body = Problem)))]
pub(in crate::api) async fn answer(_: Certified, context: Ctx, request: Request) -> Result<Response, ApiError> {
    let OpinionRequest { monitor, .. } = question(&context, request, (PATH, LIMIT)).await?;
    let looks = &context.state.looks;
    let room = looks.room_for_peer().ok_or(ApiError::Crowded)?;
    let target = opinions::target(&context.reads, monitor)
        .await?
        .ok_or_else(|| ApiError::not_found("monitor", &monitor.to_string()))?;
    let seen = tokio::select! {
        seen = Box::pin(looks.look_beside_node(&room, &target)) => seen,
        () = context.state.stopping.cancelled() => return Err(STOPS),
    };
    signed_answer(&context, ("POST", PATH), &seen)
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::check::{Failure, Outcome, Trouble};
    use serde_json::json;

    use crate::api::support::{KEY, Surface, TestAnswer};
    use crate::clock;
    use crate::looks::opinion::{MOST_FOR_PEERS, PATH};
    use crate::looks::trial::TrialAnswer;
    use crate::signature;

    async fn monitor(surface: &Surface, url: &str) -> i64 {
        let key = surface.key("write").await;
        let body = json!({"name": "shop", "type": "http", "url": url, "timeout": 2, "basic_auth_pass": "hunter2"});
        let made = surface.send("POST", "/api/v1/monitors", Some(&key), &body.to_string()).await;
        made.json()["id"].as_i64().unwrap()
    }

    async fn ask(surface: &Surface, monitor: i64) -> TestAnswer {
        let question = json!({"watchdog": "w2", "monitor": monitor}).to_string();
        let signed = signature::sign(KEY.as_bytes(), clock::wall(), "POST", PATH, question.as_bytes());
        surface.send_with("POST", PATH, &[(signature::HEADER, &signed)], &question).await
    }

    #[tokio::test]
    async fn a_peer_names_a_monitor_and_is_answered_what_its_target_says() {
        let surface = Surface::plain().await;
        let id = monitor(&surface, "http://127.0.0.1:1/").await;
        let answer = ask(&surface, id).await;
        assert_eq!(answer.code, 200);
        let seen: TrialAnswer = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((seen.watchdog.as_str(), seen.outcome), ("w1", Outcome::Failed(Failure::Refused)));
        assert!(!String::from_utf8_lossy(&answer.body).contains("hunter2"));
        assert_eq!(ask(&surface, id + 1).await.code, 404);
    }

    #[tokio::test]
    async fn an_address_at_which_this_watchdog_does_not_look_is_no_vote() {
        let surface = Surface::plain().await;
        let id = monitor(&surface, "http://169.254.169.254/").await;
        let seen: TrialAnswer = serde_json::from_slice(&ask(&surface, id).await.body).unwrap();
        assert_eq!(seen.outcome, Outcome::Unable(Trouble::Permission));
    }

    #[tokio::test]
    async fn a_stranger_is_not_answered_and_nor_is_one_too_many() {
        let surface = Surface::plain().await;
        let id = monitor(&surface, "http://127.0.0.1:1/").await;
        let question = json!({"watchdog": "w2", "monitor": id}).to_string();
        let forged = signature::sign(b"another key", clock::wall(), "POST", PATH, question.as_bytes());
        assert_eq!(surface.send_with("POST", PATH, &[(signature::HEADER, &forged)], &question).await.code, 403);
        assert_eq!(surface.send("POST", PATH, None, &question).await.code, 403);
        let rooms: Vec<_> = (0..MOST_FOR_PEERS).map(|_| surface.state.looks.room_for_peer().unwrap()).collect();
        assert_eq!(ask(&surface, id).await.code, 503);
        drop(rooms);
        assert_eq!(ask(&surface, id).await.code, 200);
    }
}
