//! One monitor: what it found last, how much of the time it was up, how long answers took, where it runs and why, its incidents.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;
use serde_json::Value;

use super::chart::{Bar, Line, Took, Uptime, line};
use super::deeds::encoded;
use super::form::Form;
use super::frame::{Frame, Section, page};
use super::recall::Items;
use super::visit::Visitor;
use super::words::{At, counted, span};
use super::{Desk, incidents};

#[derive(Template)]
#[template(path = "monitor.html")]
struct Shown {
    frame: Frame,
    monitor: Monitor,
    bars: Vec<Bar>,
    uptimes: Vec<(&'static str, String)>,
    reach: Reach,
    line: Option<Line>,
    certificate: Option<Certificate>,
    /// Where it is and was; `None`: that cannot be read now, and was not before.
    places: Option<Vec<Place>>,
    incidents: Vec<incidents::Incident>,
    settings: Vec<(String, String)>,
    remembered: Option<String>,
    /// How old the last beat is, in words, where it is older than it should be.
    overdue: Option<String>,
}

/// A monitor, as the API shows it.
#[derive(Clone, Deserialize)]
struct Monitor {
    id: i64,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    active: bool,
    status: String,
    interval: Option<i64>,
    node_id: Option<String>,
    assigned_node: Option<String>,
    effective_node: Option<String>,
    pinned: bool,
    reason: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    created_at: Option<i64>,
    updated_at: Option<i64>,
    last_beat: Option<Beat>,
    opinion: Option<Opinion>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Clone, Deserialize)]
struct Beat {
    time: i64,
    status: String,
    msg: String,
    ping_ms: Option<i64>,
}

impl Beat {
    fn at(&self) -> At {
        At(Wall(self.time))
    }
}

/// What the watchdogs see of its target.
#[derive(Clone, Deserialize)]
struct Opinion {
    asked: String,
    from: String,
    left_out: Option<String>,
    words: Option<String>,
    seen_at: Option<i64>,
    waiting_since: Option<i64>,
}

impl Opinion {
    /// What is wanted of them, who says so, and what they see, in sentences.
    fn sentences(&self) -> Vec<String> {
        let by = match self.from.as_str() {
            "monitor" => "its own settings",
            "tag" => "a tag",
            "rule" => "a rule of the configuration",
            _ => "the default",
        };
        let mut words = vec![match self.asked.as_str() {
            "note" => format!("What they see is noted beside its incidents ({by})."),
            "require" => format!("Nobody is told that it is down before most of them see it too ({by})."),
            _ => format!("They are not asked about its target ({by})."),
        }];
        words.extend(self.left_out.as_ref().map(|why| format!("They cannot look: {why}.")));
        words.extend(self.words.clone());
        words
    }

    fn seen(&self) -> Option<At> {
        self.seen_at.map(Wall).map(At)
    }

    fn waiting(&self) -> Option<At> {
        self.waiting_since.map(Wall).map(At)
    }
}

/// A node that runs it, or ran it.
#[derive(Deserialize)]
struct Place {
    node_id: String,
    why: String,
    generation: u64,
    since: i64,
}

impl Place {
    fn since(&self) -> At {
        At(Wall(self.since))
    }
}

/// What was last seen of its target's certificate.
#[derive(Deserialize)]
struct Certificate {
    subject: Option<String>,
    issuer: Option<String>,
    ends_at: i64,
    first_to_end: Option<LinkOfChain>,
}

/// Another certificate of the chain, which ends before it.
#[derive(Deserialize)]
struct LinkOfChain {
    subject: Option<String>,
    ends_at: i64,
}

/// The colour of a certificate of which so many days are left: Kuma tells of its end 7, 14 and 21 days before.
fn sign_of(days: i64) -> &'static str {
    match days {
        ..=6 => "down",
        7..=20 => "warning",
        21.. => "ok",
    }
}

impl Certificate {
    fn ends(&self) -> At {
        At(Wall(self.ends_at))
    }

    fn left(&self, frame: &Frame) -> (&'static str, String) {
        left(self.ends_at, frame)
    }
}

impl LinkOfChain {
    fn ends(&self) -> At {
        At(Wall(self.ends_at))
    }

    fn left(&self, frame: &Frame) -> (&'static str, String) {
        left(self.ends_at, frame)
    }
}

/// How many days are left of it, with a sign.
fn left(ends_at: i64, frame: &Frame) -> (&'static str, String) {
    const DAY_MS: i64 = 86_400_000;
    let days = ends_at.saturating_sub(frame.now.0).div_euclid(DAY_MS);
    let words = match u64::try_from(days) {
        Ok(days) => format!("{} left", counted(days, "day")),
        Err(_) => "it has ended".to_owned(),
    };
    (sign_of(days), words)
}

#[derive(Deserialize)]
struct Uptimes {
    #[serde(rename = "24h")]
    day: Uptime,
    #[serde(rename = "7d")]
    week: Uptime,
    #[serde(rename = "30d")]
    month: Uptime,
}

#[derive(Deserialize)]
struct Point {
    at: i64,
    ping_ms: Option<f64>,
}

/// How far back the line goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    Day,
    Week,
    Month,
}

impl Reach {
    const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    fn name(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Day => "a day",
            Self::Week => "a week",
            Self::Month => "a month",
        }
    }

    fn step_ms(self) -> i64 {
        match self {
            Self::Day => 60_000,
            Self::Week => 3_600_000,
            Self::Month => 86_400_000,
        }
    }
}

impl Monitor {
    fn created(&self) -> Option<At> {
        self.created_at.map(Wall).map(At)
    }

    fn updated(&self) -> Option<At> {
        self.updated_at.map(Wall).map(At)
    }

    /// Where it runs and why, in sentences.
    fn place(&self) -> Vec<String> {
        let home = self.node_id.as_deref();
        let runs = self.effective_node.as_deref().filter(|node| !node.is_empty());
        let mut words = Vec::new();
        match (runs, home) {
            (Some(runs), Some(home)) if runs == home => words.push(format!("It runs on {runs}, which is its home.")),
            (Some(runs), Some(home)) => words.push(format!("It runs on {runs}; its home is {home}.")),
            (Some(runs), None) => words.push(format!("It runs on {runs}.")),
            (None, Some(home)) => words.push(format!("Nobody runs it just now; its home is {home}.")),
            (None, None) => words.push("Nobody runs it yet.".to_owned()),
        }
        if self.pinned {
            words.push("It is pinned: nothing but a hand moves it.".to_owned());
        }
        if self.assigned_node.as_deref() == Some("") {
            words.push("It is being moved: it stops at one node before it starts at the next.".to_owned());
        }
        let reason = self.reason.as_deref().and_then(MoveReason::parse);
        words.extend(reason.map(|reason| reason.sentence().to_owned()));
        words
    }
}

pub(super) async fn show(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let base = format!("/api/v1/monitors/{}", encoded(&id));
    let (monitor, age) = match desk.need::<Monitor>(&visitor, (Section::Monitors, &base)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    let form = Form::of_query(query.as_deref());
    let reach = Reach::ALL.into_iter().find(|reach| Some(reach.name()) == form.field("span")).unwrap_or(Reach::Day);
    let beats = desk.read::<Items<Beat>>(&visitor, &format!("{base}/beats?limit=60")).await.known();
    let uptimes = desk.read::<Uptimes>(&visitor, &format!("{base}/uptime")).await.known();
    let points = desk.read::<Items<Point>>(&visitor, &format!("{base}/series?span={}", reach.name())).await.known();
    let key = format!("/api/v1/incidents?limit=20&key=monitor/{}", encoded(&id));
    let incidents = desk.read::<Items<incidents::Incident>>(&visitor, &key).await.known();
    let certificate = desk.read::<Certificate>(&visitor, &format!("{base}/certificate")).await.known();
    let places = desk.read::<Items<Place>>(&visitor, &format!("{base}/moves")).await.known();
    let took = |point: &Point| Took { at: Wall(point.at), ms: point.ping_ms };
    let points: Vec<Took> = points.map_or(vec![], |points| points.items.iter().map(took).collect());
    page(&Shown {
        bars: bars(beats.map_or(vec![], |beats| beats.items)),
        uptimes: uptimes.map_or(vec![], |uptimes| percents(&uptimes)),
        line: line(&points, reach.step_ms()),
        certificate,
        places: places.map(|places| places.items),
        reach,
        incidents: incidents.map_or(vec![], |incidents| incidents.items),
        settings: settings(&monitor),
        remembered: age.map(span),
        overdue: overdue(&desk, &monitor),
        frame: Frame::of(&desk, &visitor, Section::Monitors, &desk.inside.view()),
        monitor,
    })
}

fn percents(Uptimes { day, week, month }: &Uptimes) -> Vec<(&'static str, String)> {
    vec![("24 hours", day.words()), ("7 days", week.words()), ("30 days", month.words())]
}

/// The last beats, oldest first.
fn bars(beats: Vec<Beat>) -> Vec<Bar> {
    let state = |status: &str| ["up", "down", "pending", "maintenance"].into_iter().find(|known| *known == status);
    let bar = |beat: Beat| {
        let took = beat.ping_ms.map_or_else(String::new, |ms| format!(", {ms} ms"));
        let label = format!("{}: {}{took}. {}", beat.at(), beat.status, beat.msg);
        Bar { state: state(&beat.status).unwrap_or("unknown"), label }
    };
    beats.into_iter().rev().map(bar).collect()
}

/// That nothing was heard of it for longer than two intervals and a minute.
fn overdue(desk: &Desk, monitor: &Monitor) -> Option<String> {
    let beat = monitor.last_beat.as_ref().filter(|_| monitor.active)?;
    let now = desk.inside.view().checked_at?;
    let age = Duration::from_millis(u64::try_from(now.0.saturating_sub(beat.time)).ok()?);
    let interval = Duration::from_secs(u64::try_from(monitor.interval?).ok()?);
    (age > 2 * interval + Duration::from_secs(60)).then(|| span(age))
}

/// Columns that say something: neither empty nor shown elsewhere.
fn settings(monitor: &Monitor) -> Vec<(String, String)> {
    let shown = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::Null | Value::Bool(false) => return None,
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => return None,
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        Some((name.clone(), text))
    };
    let mut settings: Vec<_> = monitor.rest.iter().filter_map(shown).collect();
    settings.sort();
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn monitor(change: &Value) -> Monitor {
        let mut shown = json!({"id": 7, "name": "shop", "type": "http", "active": true, "status": "up", "interval": 60,
            "node_id": "node1", "assigned_node": null, "effective_node": "node1", "pinned": false, "reason": null,
            "tags": [], "last_beat": null, "url": "https://shop.example", "accepted_statuscodes": ["200-299"],
            "keyword": null, "description": "", "headers": {"x": 1}});
        shown.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(shown).unwrap()
    }

    #[test]
    fn where_it_runs_is_said_with_the_reason() {
        let place = |change: Value| monitor(&change).place().join(" ");
        assert_eq!(place(json!({})), "It runs on node1, which is its home.");
        let away = json!({"effective_node": "node2", "reason": "node_offline"});
        assert_eq!(
            place(away),
            "It runs on node2; its home is node1. The node before was offline, and this one took over."
        );
        let moving = json!({"effective_node": "", "assigned_node": "", "pinned": true});
        let words = "Nobody runs it just now; its home is node1. It is pinned: nothing but a hand moves it. \
                     It is being moved: it stops at one node before it starts at the next.";
        assert_eq!(place(moving), words);
    }

    #[test]
    fn what_the_watchdogs_see_of_its_target_is_said_in_sentences() {
        let opinion = json!({"asked": "require", "from": "tag", "left_out": null, "seen": "up",
            "words": "w1 and w2 reach it", "seen_at": 1, "waiting_since": null});
        let said = monitor(&json!({ "opinion": opinion })).opinion.unwrap().sentences().join(" ");
        assert_eq!(said, "Nobody is told that it is down before most of them see it too (a tag). w1 and w2 reach it");
    }

    #[test]
    fn only_settings_that_say_something_are_listed() {
        let texts = [("accepted_statuscodes", "200-299"), ("headers", "{\"x\":1}"), ("url", "https://shop.example")];
        let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(settings(&monitor(&json!({}))), texts);
    }
}
