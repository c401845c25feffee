//! `GET|HEAD /checks/{name}`: 200 while a check is up or partial, 404 when it is down or unknown to this watchdog, 503 when nobody can
//! say. For outside uptime services: the same for both methods, never cached, never redirected.

use axum::Json;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::check::{Look, Outcome, Reason, Stand, State, View};
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::openapi::Millis;
use crate::api::{Ctx, auth};
use crate::looks::ShownCheck;

/// What a check is, and each voter's word.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckState)]
pub(in crate::api) struct CheckStateView {
    name: String,
    /// `up`, `partial`, `down`, `unknown`; `null`: there is no such check, as far as this watchdog knows.
    #[schema(value_type = Option<String>, required)]
    state: Option<State>,
    /// Since when; `null`: nobody knows.
    #[schema(value_type = Option<Millis>, required)]
    since: Option<Wall>,
    /// Why, in words for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The same as a code with counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    because: Option<Reason>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    votes: Vec<VoteView>,
}

/// One voter's word.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckVote)]
pub(in crate::api) struct VoteView {
    #[schema(value_type = String)]
    watchdog: WatchdogId,
    zone: String,
    /// `up`, `failed`; `unable`: it could not look, `stale`: it looked too long ago, `silent`: nothing was heard of it; these three
    /// are no votes.
    #[schema(value_type = String)]
    verdict: Stand,
    /// In a word: `refused`, `status`, … of a failure, `route`, `descriptors`, … of own trouble.
    #[schema(value_type = Option<String>, required)]
    reason: Option<&'static str>,
    /// In words for people, to callers with a key.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// How long the look took; `null`: there was none.
    #[schema(required)]
    ms: Option<u32>,
    #[schema(value_type = Object)]
    phases: komainu_watchdogs::check::Phases,
    /// The last one that was asked, to callers with a key.
    #[schema(required)]
    address: Option<String>,
    /// The status of an HTTP answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// When the certificate that was shown ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Millis>)]
    certificate_ends_at: Option<Wall>,
    /// How long ago the look ended.
    #[schema(required)]
    age_s: Option<u64>,
}

impl From<View> for VoteView {
    fn from(View { watchdog, zone, stand, look }: View) -> Self {
        let reason = look.as_ref().and_then(|look| match look.outcome {
            Outcome::Up => None,
            Outcome::Failed(failure) => Some(failure.as_str()),
            Outcome::Unable(trouble) => Some(trouble.as_str()),
        });
        let (ms, age_s) = (look.as_ref().map(|look| look.answer.ms), look.as_ref().map(|look| look.age_ms / 1_000));
        let answer = look.map(|Look { answer, .. }| answer).unwrap_or_default();
        Self {
            watchdog,
            zone: zone.to_string(),
            verdict: stand,
            reason,
            message: answer.detail,
            ms,
            phases: answer.phases,
            address: answer.address,
            status: answer.status,
            certificate_ends_at: answer.certificate_ends_at,
            age_s,
        }
    }
}

impl CheckStateView {
    /// Where this watchdog can vouch for nothing, that is the reason, and nobody's word counts.
    pub(in crate::api) fn of(name: String, shown: Option<ShownCheck>, blindness: Option<String>) -> Self {
        if blindness.is_some() {
            let state = shown.map(|_| State::Unknown);
            return Self { name, state, since: None, reason: blindness, because: None, votes: vec![] };
        }
        let Some(ShownCheck { standing, verdict, .. }) = shown else {
            return Self { name, state: None, since: None, reason: None, because: None, votes: vec![] };
        };
        Self {
            name,
            state: Some(verdict.state),
            since: standing.since.filter(|_| standing.state == verdict.state),
            reason: Some(verdict.reason.to_string()),
            because: Some(verdict.reason),
            votes: verdict.views.into_iter().map(VoteView::from).collect(),
        }
    }
}

impl CheckStateView {
    fn seen_by(mut self, has_key: bool) -> Self {
        if !has_key {
            for vote in &mut self.votes {
                vote.message.clear();
                vote.address = None;
            }
        }
        self
    }
}

/// What a check is, for outside uptime services. HEAD answers the same status.
#[utoipa::path(get, path = "/checks/{name}", tag = "watching",
    security((), ("key" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is up, or partial", body = CheckStateView),
        (status = 404, description = "It is down, or there is none of this name", body = CheckStateView),
        (status = 503, description = "Nobody can say, or this watchdog cannot", body = CheckStateView)))]
pub(in crate::api) async fn show(context: Ctx, Path(name): Path<String>, parts: Parts) -> Response {
    let looks = &context.state.looks;
    let shown = looks.shown(&name);
    let blindness = looks.blindness();
    let code = match shown.as_ref().map(|shown| shown.verdict.state) {
        _ if blindness.is_some() => StatusCode::SERVICE_UNAVAILABLE,
        Some(State::Up | State::Partial) => StatusCode::OK,
        Some(State::Down) => StatusCode::NOT_FOUND,
        None if looks.is_defined() => StatusCode::NOT_FOUND,
        Some(State::Unknown) | None => StatusCode::SERVICE_UNAVAILABLE,
    };
    // A stranger is told what outside services need; what a target says, and where it stands, is for those with a key.
    let has_key = auth::has_key(&parts, &context).await;
    let body = Json(CheckStateView::of(name, shown, blindness).seen_by(has_key));
    let mut response = (code, [(header::CACHE_CONTROL, "no-store")], body).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
