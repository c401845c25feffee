//! `GET /status`: whether watching really happens, for people and for outside uptime services.
//!
//! 200 for ok and degraded, 503 for down. The answer rests on what this watchdog last published; when it published
//! nothing for three probe intervals its loop hangs, and the answer is down.

use std::time::Duration;

use axum::Json;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::capacity::IdRange;
use komainu_watchdogs::check::State as CheckState;
use komainu_watchdogs::heartbeat::{OUTAGE_TOLD_AFTER, State};
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{Health, View};
use serde::Serialize;
use utoipa::ToSchema;

use self::schema::ViewShown;
use super::openapi::Millis;
use super::{Context, Ctx, auth, health};
use crate::clock;

mod schema;
mod server;

/// How the cluster is.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
struct Full<'a> {
    #[schema(value_type = String)]
    cluster: &'a str,
    #[serde(flatten)]
    #[schema(value_type = ViewShown)]
    view: &'a View,
    heartbeats: Heartbeats,
    checks: Checks,
    second_opinions: SecondOpinions,
    ids: Vec<IdsUsed>,
    #[schema(required)]
    database_server: Option<Box<server::Shown>>,
}

/// What a caller without a key sees where `[status] details = "key"`.
#[derive(Serialize, ToSchema)]
#[schema(as = ShortStatus)]
#[serde(deny_unknown_fields)]
struct Short {
    #[schema(value_type = String)]
    status: Health,
    #[schema(value_type = Option<Millis>, required)]
    checked_at: Option<Wall>,
}

/// Heartbeats by state.
#[derive(Serialize, ToSchema)]
#[schema(as = HeartbeatCounts)]
struct Heartbeats {
    up: u64,
    late: u64,
    failed: u64,
    new: u64,
    /// These are in no state.
    paused: u64,
}

impl Heartbeats {
    fn of(context: &Context) -> Self {
        let counts = context.state.heartbeats.by_state();
        let of = |state: State| counts.get(&state).copied().unwrap_or(0);
        let paused = context.state.heartbeats.paused();
        Self { up: of(State::Up), late: of(State::Late), failed: of(State::Failed), new: of(State::New), paused }
    }
}

/// Looks at monitors that their nodes call up, as this watchdog fares with its share.
#[derive(Serialize, ToSchema)]
#[schema(as = SecondOpinionCounts)]
struct SecondOpinions {
    /// Monitors that watchdogs look at.
    looked_at: u32,
    /// Monitors on which a second opinion is wanted, and at which no watchdog can look.
    left_out: u32,
    /// How long ago it was the turn of those that come next.
    lateness_s: u64,
    /// So much longer than `sample_each` it takes until each is looked at; `null`: no longer.
    #[schema(required)]
    broken_by_s: Option<u64>,
}

impl SecondOpinions {
    fn of(context: &Context) -> Self {
        let sampling = *context.state.sampling.borrow();
        Self {
            looked_at: sampling.wished,
            left_out: sampling.left_out,
            lateness_s: sampling.lateness.as_secs(),
            broken_by_s: sampling.broken_by.map(|late| late.as_secs()),
        }
    }
}

/// How far the ids of one of Kuma's growing tables are used up; tables with ids of 64 bits are left out.
#[derive(Serialize, ToSchema)]
#[schema(as = IdsUsed)]
struct IdsUsed {
    table: String,
    /// Percent of all ids.
    used: u64,
    /// When the last one is given if rows come as in the last day; `null`: not within a hundred years, or not known yet.
    #[schema(value_type = Option<Millis>, required)]
    ends_at: Option<Wall>,
}

impl IdsUsed {
    fn of(context: &Context) -> Vec<Self> {
        let ids = context.state.ids.borrow();
        let shown = |range: &IdRange| Self {
            table: range.table.clone(),
            used: range.percent(),
            ends_at: range.ends_at(ids.at),
        };
        ids.ranges.iter().map(shown).collect()
    }
}

/// Checks by state.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = CheckCounts)]
struct Checks {
    up: u32,
    down: u32,
    partial: u32,
    unknown: u32,
    paused: u32,
    /// Those that are down, by name: a hundred at most.
    down_names: Vec<String>,
}

/// More of them help nobody who reads.
const MOST_NAMES: usize = 100;

impl Checks {
    fn of(context: &Context) -> Self {
        let looks = &context.state.looks;
        let (counts, paused) = looks.counts();
        let down = looks.states().into_iter().filter(|(_, state)| *state == CheckState::Down);
        let of = |state: CheckState| counts.get(&state).copied().unwrap_or(0);
        Self {
            up: of(CheckState::Up),
            down: of(CheckState::Down),
            partial: of(CheckState::Partial),
            unknown: of(CheckState::Unknown),
            paused,
            down_names: down.map(|(name, _)| name).take(MOST_NAMES).collect(),
        }
    }
}

/// Either of them, for the document.
#[derive(ToSchema)]
#[schema(as = StatusAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "the handler answers with one of the two; this is what the document says of it")]
enum Answered<'a> {
    Full(Full<'a>),
    Short(Short),
}

/// Whether watching really happens. HEAD answers the same status.
///
/// A caller without a key sees the colour only, where `[status] details = "key"`.
#[utoipa::path(get, path = "/status", tag = "watching", security((), ("key" = ["read"])),
    responses((status = 200, description = "Ok, or degraded", body = Answered<'_>),
        (status = 503, description = "Down", body = Answered<'_>)))]
pub(super) async fn show(context: Ctx, parts: Parts) -> Response {
    let view = current(&context);
    let code = match view.status {
        Health::Ok | Health::Degraded => StatusCode::OK,
        Health::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    let shows_all = auth::may_see(&parts, &context).await;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    if !shows_all {
        return (code, no_store, Json(Short { status: view.status, checked_at: view.checked_at })).into_response();
    }
    let cluster = &context.state.cluster;
    let (heartbeats, checks, ids) = (Heartbeats::of(&context), Checks::of(&context), IdsUsed::of(&context));
    let second_opinions = SecondOpinions::of(&context);
    let database_server = context.reads.server().map(server::Shown::of).map(Box::new);
    let full = Full { cluster, view: &view, heartbeats, checks, second_opinions, ids, database_server };
    (code, no_store, Json(full)).into_response()
}

/// The view as published, with the age it has now; down when it is too old to be believed.
pub(super) fn current(context: &Context) -> View {
    let mut view = View::clone(&context.state.view.borrow());
    view.verdict_age_ms = health::verdict_age_ms(context);
    let age = context.freshness.age();
    if age > 3 * context.state.policy.probe_interval {
        view.reasons.push(format!("this watchdog's loop stands still since {} s", age.as_secs()));
        view.status = Health::Down;
    }
    if view.checked_at.is_none() {
        view.status = Health::Down;
    }
    let ability = context.state.voice.ability();
    view.status = view.status.max(ability.health);
    view.reasons.extend(ability.reasons);
    for trouble in context.state.credentials.troubles(clock::wall()) {
        view.reasons.push(trouble);
        view.status = view.status.max(Health::Degraded);
    }
    if let Some(blindness) = context.state.looks.blindness() {
        view.reasons.push(format!("checks: {blindness}"));
        view.status = Health::Down;
    } else if let Some(unjudged) = context.state.looks.unjudged() {
        view.reasons.push(format!("checks: {}", unjudged.summary));
        view.status = view.status.max(Health::Degraded);
    }
    if let Some(late) = context.state.sampling.borrow().broken_by {
        let late = late.as_secs();
        view.reasons.push(format!("second opinions: monitors that are up are looked at {late} s later than promised"));
        view.status = view.status.max(Health::Degraded);
    }
    if let Some(outage) = context.state.heartbeats.outage() {
        note_outage(&mut view, outage);
    }
    view
}

/// That no push can be taken: named at once, and down when people are told.
fn note_outage(view: &mut View, outage: Duration) {
    view.reasons.push(format!("pushes: none can be taken since {} s", outage.as_secs()));
    if outage > OUTAGE_TOLD_AFTER {
        view.status = Health::Down;
    } else if view.status == Health::Ok {
        view.status = Health::Degraded;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::api::support::{Surface, TestAnswer, view};
    use crate::config::Details;
    use crate::tls::tests::Office;
    use crate::voice::tests::lost;

    #[tokio::test]
    async fn ok_and_degraded_are_200_and_down_is_503() {
        for (status, code) in [(Health::Ok, 200), (Health::Degraded, 200), (Health::Down, 503)] {
            let surface = Surface::showing(View { status, ..view() }).await;
            assert_eq!(surface.get("/status").await.code, code, "{status:?}");
            assert_eq!(surface.send("HEAD", "/status", None, "").await.code, code, "{status:?}");
        }
    }

    #[tokio::test]
    async fn the_answer_holds_what_the_contract_names() {
        let answer = Surface::showing(view()).await.get("/status").await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        for name in [
            "status",
            "cluster",
            "mode",
            "leader",
            "database",
            "frozen",
            "watchdogs",
            "nodes",
            "monitors",
            "heartbeats",
            "checks",
            "ids",
            "database_server",
            "incidents",
            "checked_at",
            "would_move",
            "reasons",
        ] {
            assert!(body.get(name).is_some(), "{name} is missing");
        }
        assert_eq!(body["leader"], json!({"watchdog_id": "w1", "epoch": 7}));
        assert_eq!(body["heartbeats"], json!({"up": 0, "late": 0, "failed": 0, "new": 0, "paused": 0}));
        let checks = json!({"up": 0, "down": 0, "partial": 0, "unknown": 0, "paused": 0, "down_names": []});
        assert_eq!(body["checks"], checks);
        assert_eq!(body["nodes"][0]["node_id"], "node1");
    }

    #[test]
    fn pushes_that_nobody_can_take_are_named_at_once_and_down_when_people_are_told() {
        for (seconds, status) in [(4, Health::Degraded), (60, Health::Degraded), (61, Health::Down)] {
            let mut shown = View { status: Health::Ok, ..view() };
            note_outage(&mut shown, Duration::from_secs(seconds));
            assert_eq!(shown.status, status, "{seconds}");
            assert_eq!(shown.reasons, [format!("pushes: none can be taken since {seconds} s")]);
        }
    }

    #[tokio::test]
    async fn whoever_can_tell_nobody_is_degraded_by_name_and_down_after_the_limit() {
        let surface = async |limit| {
            let surface = Surface::showing(View { status: Health::Ok, ..view() }).await;
            surface.with_voice(lost(Duration::from_secs(limit)))
        };
        let degraded = surface(900).await;
        let answer = degraded.get("/status").await;
        assert_eq!((answer.code, &answer.json()["status"]), (200, &json!("degraded")));
        let reason = answer.json()["reasons"][0].as_str().unwrap().to_owned();
        assert!(
            reason.starts_with("telling: no channel takes messages since 2") && reason.ends_with(": ops"),
            "{reason}"
        );
        let metrics = String::from_utf8(degraded.get("/metrics").await.body).unwrap();
        for line in ["komainu_can_tell 0", "komainu_channel_working{channel=\"ops\"} 0", "komainu_up 1"] {
            assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
        }
        assert_eq!(surface(15).await.get("/status").await.code, 503);
    }

    #[tokio::test]
    async fn certificates_that_cannot_be_taken_are_degraded_by_name() {
        let office = Office::open();
        let mut surface = Surface::showing(View { status: Health::Ok, ..view() }).await;
        surface.state.credentials = office.credentials();
        assert_eq!(surface.get("/status").await.json()["status"], "ok");
        std::fs::write(office.ca(), "gone").unwrap();
        surface.state.credentials.look();
        surface.state.credentials.look();
        let answer = surface.get("/status").await;
        assert_eq!((answer.code, &answer.json()["status"]), (200, &json!("degraded")));
        let reason = answer.json()["reasons"][0].as_str().unwrap().to_owned();
        assert!(reason.starts_with("tls: ") && reason.contains("ca.crt"), "{reason}");
    }

    #[tokio::test]
    async fn a_watchdog_that_read_nothing_yet_is_not_calm() {
        let blank = View { status: Health::Ok, checked_at: None, ..view() };
        let answer = Surface::showing(blank).await.get("/status").await;
        assert_eq!((answer.code, &answer.json()["status"]), (503, &json!("down")));
    }

    #[tokio::test]
    async fn where_details_need_a_key_a_stranger_sees_the_colour_only() {
        let surface = Surface::showing(view()).await.with_details(Details::Key);
        let seen = |answer: TestAnswer| answer.json().as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(seen(surface.get("/status").await), BTreeSet::from(["checked_at", "status"].map(str::to_owned)));
        let key = surface.key("read").await;
        assert!(seen(surface.send("GET", "/status", Some(&key), "").await).contains("nodes"));
    }
}
