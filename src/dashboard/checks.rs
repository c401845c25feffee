//! Checks: what the watchdogs see with their own eyes, each voter's word beside the others', and how the verdict came to change.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use komainu_watchdogs::check::{Outcome, Stand, View as Seen};
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::Desk;
use super::chart::Uptime;
use super::deeds::encoded;
use super::form::Form;
use super::frame::{AWAY, Frame, Section, page, unread};
use super::recall::{Items, Reading};
use super::visit::Visitor;
use super::words::{At, span};

/// The first page of the list: read now and then, so that it is known when the database goes.
pub(super) const FIRST: &str = "/api/v1/checks?limit=100";

#[derive(Template)]
#[template(path = "checks.html")]
struct Checks {
    frame: Frame,
    items: Vec<Check>,
    next: Option<String>,
    remembered: Option<String>,
    /// Why nothing can be vouched for.
    blindness: Option<String>,
}

/// A check, as the API shows it.
#[derive(Clone, Deserialize)]
struct Check {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    interval: u64,
    state: String,
    since: Option<i64>,
    reason: Option<String>,
    paused: bool,
    severity: String,
    #[serde(default)]
    tags: Vec<String>,
    url: Option<String>,
    hostname: Option<String>,
}

impl Check {
    fn target(&self) -> &str {
        self.url.as_deref().or(self.hostname.as_deref()).unwrap_or_default()
    }

    fn since(&self) -> Option<At> {
        self.since.map(Wall).map(At)
    }

    fn path(&self) -> String {
        format!("/watch/checks/{}", encoded(&self.name))
    }
}

/// The state as this watchdog judges it now: the table is a second behind.
fn as_of_now(desk: &Desk, check: &mut Check) {
    if let Some(shown) = desk.inside.state().looks.shown(&check.name).filter(|_| !check.paused) {
        let now = shown.verdict.state.as_str();
        if check.state != now {
            (check.state, check.since, check.reason) = (now.to_owned(), None, Some(shown.verdict.reason.to_string()));
        }
    }
}

pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Form::of_query(query.as_deref()).turned(FIRST);
    let (mut read, age) = match desk.need_list::<Items<Check>>(&visitor, (Section::Checks, &asked)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    for check in &mut read.items {
        as_of_now(&desk, check);
    }
    let state = desk.inside.state();
    page(&Checks {
        blindness: state.looks.blindness(),
        items: read.items,
        next: read.next,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Checks, &desk.inside.view()),
    })
}

#[derive(Template)]
#[template(path = "check.html")]
struct Shown {
    frame: Frame,
    check: Check,
    reason: Option<String>,
    votes: Vec<Vote>,
    uptimes: Vec<(&'static str, String)>,
    transitions: Vec<Transition>,
    remembered: Option<String>,
    blindness: Option<String>,
}

/// A voter's word.
struct Vote {
    watchdog: String,
    zone: String,
    stand: &'static str,
    words: String,
    took: String,
    phases: String,
    address: String,
    age: String,
}

impl Vote {
    fn of(Seen { watchdog, zone, stand, look }: Seen) -> Self {
        let answer = look.as_ref().map(|look| look.answer.clone()).unwrap_or_default();
        let code = look.as_ref().and_then(|look| match look.outcome {
            Outcome::Up => None,
            Outcome::Failed(failure) => Some(failure.as_str()),
            Outcome::Unable(trouble) => Some(trouble.as_str()),
        });
        let words = [code.unwrap_or_default(), answer.detail.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
        let phases = serde_json::to_value(answer.phases).unwrap_or_default();
        let phases = phases.as_object().into_iter().flatten().filter(|(_, ms)| !ms.is_null());
        Self {
            watchdog: watchdog.to_string(),
            zone: zone.to_string(),
            stand: stand_in_a_word(stand),
            words: words.join(": "),
            took: look.as_ref().map_or_else(String::new, |look| format!("{} ms", look.answer.ms)),
            phases: phases
                .map(|(name, ms)| format!("{} {ms}", name.trim_end_matches("_ms")))
                .collect::<Vec<_>>()
                .join(", "),
            address: answer.address.unwrap_or_default(),
            age: look.map_or_else(String::new, |look| format!("{} s ago", look.age_ms / 1_000)),
        }
    }
}

fn stand_in_a_word(stand: Stand) -> &'static str {
    match stand {
        Stand::Up => "up",
        Stand::Failed => "failed",
        Stand::Unable => "unable",
        Stand::Stale => "stale",
        Stand::Silent => "silent",
    }
}

#[derive(Deserialize)]
struct Transition {
    at: i64,
    from: String,
    to: String,
    reason: String,
    first_failing: Option<String>,
}

impl Transition {
    fn at(&self) -> At {
        At(Wall(self.at))
    }
}

#[derive(Deserialize)]
struct Uptimes {
    #[serde(rename = "24h")]
    day: Uptime,
    #[serde(rename = "7d")]
    week: Uptime,
    #[serde(rename = "30d")]
    month: Uptime,
    #[serde(rename = "90d")]
    quarter: Uptime,
}

pub(super) async fn show(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let base = format!("/api/v1/checks/{}", encoded(&name));
    let (mut check, age) = match desk.read::<Check>(&visitor, &base).await {
        Reading::Known(check, age) => (check, age),
        Reading::Refused(status, words) => return unread(&desk, &visitor, Section::Checks, (status, &words)),
        Reading::Away => match remembered(&desk, &name) {
            // What the watchdog itself knows of it is of now.
            Some(check) => (check, None),
            None => return unread(&desk, &visitor, Section::Checks, (StatusCode::SERVICE_UNAVAILABLE, AWAY.1)),
        },
    };
    as_of_now(&desk, &mut check);
    let transitions = desk.read::<Items<Transition>>(&visitor, &format!("{base}/transitions?limit=50")).await.known();
    let uptimes = desk.read::<Uptimes>(&visitor, &format!("{base}/uptime")).await.known();
    let seen = desk.inside.state().looks.shown(&name).map(|shown| shown.verdict);
    page(&Shown {
        reason: seen.as_ref().map(|verdict| verdict.reason.to_string()).filter(|_| !check.paused),
        votes: seen.map_or(vec![], |verdict| verdict.views.into_iter().map(Vote::of).collect()),
        uptimes: uptimes.map_or(vec![], |uptimes| percents(&uptimes)),
        transitions: transitions.map_or(vec![], |transitions| transitions.items),
        remembered: age.map(span),
        blindness: desk.inside.state().looks.blindness(),
        frame: Frame::of(&desk, &visitor, Section::Checks, &desk.inside.view()),
        check,
    })
}

/// What the watchdog itself knows of it, where the table cannot be read.
fn remembered(desk: &Desk, name: &str) -> Option<Check> {
    let shown = desk.inside.state().looks.shown(name)?;
    Some(Check {
        name: name.to_owned(),
        kind: "check".to_owned(),
        interval: 0,
        state: shown.verdict.state.as_str().to_owned(),
        since: shown.standing.since.map(|since| since.0),
        reason: None,
        paused: false,
        severity: String::new(),
        tags: vec![],
        url: None,
        hostname: None,
    })
}

fn percents(uptimes: &Uptimes) -> Vec<(&'static str, String)> {
    let Uptimes { day, week, month, quarter } = uptimes;
    vec![("24 hours", day.words()), ("7 days", week.words()), ("30 days", month.words()), ("90 days", quarter.words())]
}
