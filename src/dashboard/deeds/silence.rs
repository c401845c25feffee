//! What is done to silences.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Choice, Deed, Rehearsal, Scene, Want, Wish, encoded, one};
use crate::dashboard::words::counted;
use crate::duration;
use crate::store::apikeys::Scope;

/// For how long: as it is sent, and in words.
type Lasts = &'static [(&'static str, &'static str)];

/// Until what it is about is over.
const RESOLVED: &str = "resolved";

/// Somebody works on it, or nobody does before the morning.
pub(super) const FROM_AN_INCIDENT: Lasts =
    &[("3600", "for 1 hour"), ("28800", "for 8 hours"), (RESOLVED, "until it is over, 30 days at most")];

const PLANNED: Lasts = &[
    ("3600", "for 1 hour"),
    ("14400", "for 4 hours"),
    ("28800", "for 8 hours"),
    ("86400", "for a day"),
    ("604800", "for a week"),
    ("2592000", "for 30 days, the longest"),
    (RESOLVED, "until it is over, 30 days at most: one condition must name a key"),
];

/// Keys that are named; of more there is a number.
const MOST_KEYS: usize = 10;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    Ok(match verb {
        "add" => Some(add(scene)),
        "expire" => Some(expire(scene)?),
        _ => None,
    })
}

fn add(scene: &Scene<'_>) -> Deed {
    let matchers: Vec<String> =
        scene.typed("matchers").lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let deed = of(&matchers, scene, PLANNED);
    let conditions = Want::lines("matchers", "What it takes, one condition a line; all must hold", 10_000)
        .hint("kind=monitor, key=monitor/7, key=~node/eu-.*, tag=shop, tag!=shop, severity=warning, node=node1, channel=phone")
        .needed()
        .typed(scene, "");
    let wish = Wish { body: deed.wish.body.map(|body| with_times(scene, body)), ..deed.wish };
    // Before anything was written there is nothing to ask.
    let rehearsal = deed.rehearsal.filter(|_| scene.form.field("matchers").is_some());
    Deed {
        title: "Make a silence?".to_owned(),
        wants: std::iter::once(conditions).chain(deed.wants).chain(times(scene)).collect(),
        rehearsal,
        wish,
        faults: lasts_s(scene).err().map(|words| ("lasts_s".to_owned(), words)).into_iter().collect(),
        look: Some("Show what it would hold"),
        done: "The silence stands.".to_owned(),
        ..deed
    }
}

/// When it comes again, if it does.
fn times(scene: &Scene<'_>) -> [Want; 3] {
    [
        Want::line("cron", "Only from these times on, as in crontab", 200)
            .hint("0 2 * * 0: each Sunday at two; all the time where nothing stands here")
            .typed(scene, ""),
        Want::line("lasts_s", "So long each time", 20).hint("2h, 30m").typed(scene, ""),
        Want::line("time_zone", "In this time zone", 60)
            .hint("UTC, Europe/Berlin; UTC where nothing stands here")
            .typed(scene, ""),
    ]
}

/// Before anything is filled in, there is none.
fn lasts_s(scene: &Scene<'_>) -> Result<Option<u64>, String> {
    scene.form.field("lasts_s").filter(|_| scene.is_sent).map(duration::parse_seconds).transpose()
}

fn with_times(scene: &Scene<'_>, mut body: Value) -> Value {
    if let Some(body) = body.as_object_mut() {
        for name in ["cron", "time_zone"] {
            body.extend(scene.form.field(name).map(|text| (name.to_owned(), text.into())));
        }
        body.extend(lasts_s(scene).ok().flatten().map(|seconds| ("lasts_s".to_owned(), seconds.into())));
    }
    body
}

/// A silence of these, for as long as somebody chooses. What it is called and about is to be said.
pub(super) fn of(matchers: &[String], scene: &Scene<'_>, lasts: Lasts) -> Deed {
    let (chosen, comment) = (scene.typed("duration_s"), scene.typed("comment"));
    let preview = Wish::post("/silences/preview").with(json!({ "matchers": matchers }));
    let mut body = json!({ "matchers": matchers, "comment": comment });
    let (field, until) = match chosen.as_str() {
        RESOLVED => ("until_resolved", json!(true)),
        other => ("duration_s", other.parse::<i64>().map_or_else(|_| json!(other), |seconds| json!(seconds))),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert(field.to_owned(), until);
    }
    Deed {
        button: "Silence it",
        consequences: one(
            "What would be told of it is held; it stays open and shown. What is still wrong at the end of the silence is told then, and \
             whoever knows that it is wrong hears when it is over.",
        ),
        wants: vec![
            Want::choice("duration_s", "For how long", Choice::named(lasts))
                .also(&["until_resolved", "ends_at"])
                .typed(scene, "3600"),
            Want::line("comment", "Why, for whoever wonders", 1_000).needed().typed(scene, ""),
        ],
        rehearsal: Some(Rehearsal { wish: preview, told: would_hold }),
        ..Deed::asking("silence.add", Scope::Write, Wish::post("/silences").with(body))
    }
}

fn expire(scene: &Scene<'_>) -> Result<Deed, String> {
    let id = scene.text("silence")?;
    let silence = scene.read.get("silence");
    let text = |field: &str| silence.and_then(|silence| silence.get(field)).and_then(Value::as_str);
    let list = |field: &str| {
        let items = silence.and_then(|silence| silence.get(field)).and_then(Value::as_array);
        items.map_or_else(Vec::new, |items| items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let held = silence.and_then(|silence| silence.get("held_incidents")).and_then(Value::as_u64).unwrap_or(0);
    let what = if held == 0 {
        "It holds nothing now: nobody is told of anything at once.".to_owned()
    } else {
        let keys = named(held, &list("held_keys"));
        format!("What it holds and is still wrong is told within some five seconds: {keys}")
    };
    let about = text("comment").map(|comment| {
        format!("{}; {} wanted it: {comment}", list("matchers").join(", "), text("author").unwrap_or("somebody"))
    });
    Ok(Deed {
        subject: vec![("silence", id.to_owned())],
        title: "End this silence now?".to_owned(),
        button: "End it",
        consequences: about.into_iter().chain([what]).collect(),
        done: "The silence is over.".to_owned(),
        ..Deed::asking("silence.expire", Scope::Write, Wish::of(Method::DELETE, &format!("/silences/{}", encoded(id))))
    })
}

/// What a preview says.
fn would_hold(body: &Value) -> Option<Vec<String>> {
    let count = body.get("incidents")?.as_u64()?;
    if count == 0 {
        return Some(one("Of what is wrong now it would hold nothing."));
    }
    let keys: Vec<String> = body.get("keys")?.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Some(vec![format!("Of what is wrong now it would hold {}", named(count, &keys))])
}

/// `3 incidents: a, b, c.`
fn named(count: u64, keys: &[String]) -> String {
    let shown: Vec<&str> = keys.iter().take(MOST_KEYS).map(String::as_str).collect();
    let more = if usize::try_from(count).is_ok_and(|count| count <= shown.len()) { "" } else { ", and more" };
    format!("{}: {}{more}.", counted(count, "incident"), shown.join(", "))
}
