//! `/api/v1/silences`: what people want to hear nothing of for a while, and what is not told because of it.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;

use super::Ctx;
use super::auth::{Reader, Writer};
use super::body::Object;
use super::fields::Fields;
use super::openapi::Millis;
use super::page::{Items, PageAsked};
use super::problem::{ApiError, Problem};
use super::request::{Asked, Field, Flag, Request, Sent, Shape, Text, Whole, request};
use crate::silence::{
    LONGEST_SILENCE, MOST_MATCHERS, MOST_SILENCES, Matcher, NewSilence, Phase, Recurrence, Silence, fault_of_end,
    fault_of_matchers,
};
use crate::store::Store;
use crate::store::incidents::{self, IncidentFilter};
use crate::store::silences::{self, Holds, Made, WouldHold};

/// Thirty days, in seconds.
const LONGEST_S: i64 = 30 * 86_400;

/// The end of the year 2099, in milliseconds.
const LATEST: i64 = 4_102_444_799_999;

/// A minute is the shortest that makes sense to anybody.
const SHORTEST_S: i64 = 60;

#[derive(Serialize, ToSchema)]
#[schema(as = Silence)]
pub(super) struct SilenceView {
    /// A UUID.
    id: String,
    /// All of them must hold: `kind="monitor"`, `key=~"node/eu-.*"`.
    matchers: Vec<String>,
    /// `pending`, `active` or `expired`.
    #[schema(value_type = String)]
    state: &'static str,
    #[schema(value_type = Millis)]
    starts_at: Wall,
    #[schema(value_type = Millis)]
    ends_at: Wall,
    /// It ends as soon as what it is about is over.
    until_resolved: bool,
    /// When it is in force between its start and its end; `null`: all the time.
    #[schema(required)]
    recurrence: Option<RecurrenceView>,
    author: String,
    comment: String,
    #[schema(value_type = Millis)]
    created_at: Wall,
    /// Open incidents of which something is not told because of it.
    held_incidents: u64,
    /// The first hundred of their keys.
    held_keys: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SilenceRecurrence)]
struct RecurrenceView {
    /// When each time begins.
    cron: String,
    /// How long each time lasts, in seconds.
    lasts_s: u64,
    time_zone: String,
}

impl SilenceView {
    fn of(silence: Silence, holds: Holds, now: Wall) -> Self {
        let state = silence.made.phase(now).as_str();
        let NewSilence { matchers, starts_at, ends_at, until_resolved, recurrence, author, comment, .. } = silence.made;
        Self {
            id: silence.uid,
            matchers: matchers.iter().map(ToString::to_string).collect(),
            state,
            starts_at,
            ends_at,
            until_resolved,
            recurrence: recurrence.map(|Recurrence { cron, duration_s, time_zone }| RecurrenceView {
                cron,
                lasts_s: duration_s,
                time_zone,
            }),
            author,
            comment,
            created_at: silence.created_at,
            held_incidents: holds.incidents,
            held_keys: holds.keys,
        }
    }
}

/// Conditions as `amtool` takes them.
struct Matchers;

impl Field for Matchers {
    type Value = Vec<Matcher>;

    fn read(sent: &Value) -> Result<Vec<Matcher>, String> {
        let texts: Option<Vec<&str>> = sent.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        let texts = texts.ok_or_else(|| "must be a list of texts like kind=monitor or key=~node/eu-.*".to_owned())?;
        // One more than there may be says so.
        let read = texts.into_iter().take(MOST_MATCHERS + 1).map(Matcher::parse);
        let matchers = read.collect::<Result<Vec<_>, _>>()?;
        fault_of_matchers(&matchers).map_or(Ok(matchers), Err)
    }

    fn shape() -> Shape {
        let text = ObjectBuilder::new().schema_type(Type::String);
        Shape::list(text, |list| list.min_items(Some(1)).max_items(Some(MOST_MATCHERS)))
    }
}

pub(super) struct PhaseName;

impl Field for PhaseName {
    type Value = Phase;

    fn read(sent: &Value) -> Result<Phase, String> {
        sent.as_str().and_then(Phase::parse).ok_or_else(|| "must be pending, active or expired".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&["pending", "active", "expired"])
    }
}

request! {
    pub(super) struct SilencesAsked {
        /// Only those that are so far
        state: Option<PhaseName>,
        ..page: PageAsked,
    }
}

request! {
    /// Until when is said by one of `duration_s`, `ends_at` and `until_resolved`.
    pub(super) struct NewSilenceAsked {
        /// `kind=monitor`, `key=~node/eu-.*`, `tag!=shop` …, of kind, key, severity, tag, node and channel; all must hold.
        matchers: Matchers,
        /// Why, for people.
        comment: Text<1, 1_000>,
        /// Who wants it; whoever asks, unless it says so.
        author: Option<Text<1, 100>>,
        /// From when, in milliseconds; now, unless it says so.
        starts_at: Option<Whole<0, LATEST>>,
        /// Until when, in milliseconds; 30 days after its start at the latest.
        ends_at: Option<Whole<0, LATEST>>,
        /// For how long from its start.
        duration_s: Option<Whole<SHORTEST_S, LONGEST_S>>,
        /// Until what it is about is over, 30 days at most; one matcher must name a key: `key=monitor/7`.
        until_resolved: Option<Flag>,
        /// In force only from these times on: five fields as in crontab(5).
        cron: Option<Text<1, 200>>,
        /// So long each time.
        lasts_s: Option<Whole<SHORTEST_S, LONGEST_S>>,
        /// Of the cron times; UTC, unless it says so.
        time_zone: Option<Text<1, 60>>,
    }
}

/// Silences, the latest first.
#[utoipa::path(get, path = "/silences", tag = "silences", security(("key" = ["read"])),
    params(SilencesAsked),
    responses((status = 200, description = "A page of them", body = Items<SilenceView>)))]
pub(super) async fn list(
    _: Reader,
    context: Ctx,
    Asked(SilencesAsked { state, page }): Asked<SilencesAsked>,
) -> Result<Json<Items<SilenceView>>, ApiError> {
    let store = &context.reads;
    let now = silences::now(store).await?;
    let found = silences::list(store, state, page.cursor.as_deref(), page.limit()).await?;
    let mut held = silences::held_by(store, &found.items).await?;
    let items = found.items.into_iter().map(|silence| {
        let holds = held.remove(&silence.id).unwrap_or_default();
        SilenceView::of(silence, holds, now)
    });
    Ok(Json(Items { items: items.collect(), next: found.next }))
}

/// One silence, with what it holds.
#[utoipa::path(get, path = "/silences/{id}", tag = "silences", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Its UUID")),
    responses((status = 200, description = "The silence", body = SilenceView)))]
pub(super) async fn show(_: Reader, context: Ctx, Path(id): Path<String>) -> Result<Json<SilenceView>, ApiError> {
    let found = silences::get(&context.reads, &id).await?;
    let silence = found.ok_or_else(|| ApiError::not_found("silence", &id))?;
    view(&context.reads, silence).await.map(Json)
}

/// Holds what these take from now on, or from its start: telling, never looking. What is still bad at its end is told then.
#[utoipa::path(post, path = "/silences", tag = "silences", security(("key" = ["write"])),
    request_body = NewSilenceAsked,
    responses((status = 201, description = "It stands", body = SilenceView),
        (status = 409, description = "There are too many already, or what it should outlast is not wrong", body = Problem)))]
pub(super) async fn create(Writer(caller): Writer, context: Ctx, Object(fields): Object) -> Result<Response, ApiError> {
    let store = &context.state.store;
    let new = read(fields, silences::now(store).await?, &caller.who())?;
    // It would end at once.
    if let Some(key) = new.only_key().filter(|_| new.until_resolved) {
        let filter = IncidentFilter { is_open: Some(true), key: Some(key.to_owned()) };
        if incidents::list(store, &filter, None, 1).await?.items.is_empty() {
            let detail = format!("nothing of {key} is wrong now: say by duration_s or ends_at until when");
            return Err(ApiError::conflict("until_resolved", detail));
        }
    }
    match silences::create(store, &new, &caller.who()).await? {
        Made::TooMany => {
            let detail = format!("there are {MOST_SILENCES} silences already that are not over");
            Err(ApiError::conflict("matchers", detail))
        }
        Made::Silence(silence) => {
            let location = HeaderValue::from_str(&format!("/api/v1/silences/{}", silence.uid));
            let shown = view(store, *silence).await?;
            let mut answer = (StatusCode::CREATED, Json(shown)).into_response();
            if let Ok(location) = location {
                answer.headers_mut().insert(header::LOCATION, location);
            }
            Ok(answer)
        }
    }
}

/// Ends a silence now. What it held and is still bad is told. One that is over stays as it is.
#[utoipa::path(delete, path = "/silences/{id}", tag = "silences", security(("key" = ["write"])),
    params(("id" = String, Path, description = "Its UUID")),
    responses((status = 200, description = "It is over", body = SilenceView)))]
pub(super) async fn expire(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
) -> Result<Json<SilenceView>, ApiError> {
    let store = &context.state.store;
    let found = silences::expire(store, &id, &caller.who()).await?;
    let silence = found.ok_or_else(|| ApiError::not_found("silence", &id))?;
    view(store, silence).await.map(Json)
}

request! {
    pub(super) struct PreviewSilence {
        /// `kind=monitor`, `key=~node/eu-.*`, `tag!=shop` …; all must hold.
        matchers: Matchers,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SilencePreview)]
pub(super) struct PreviewView {
    /// Open incidents that it would hold; of the latest 10,000.
    incidents: u64,
    /// The first hundred of their keys.
    keys: Vec<String>,
}

/// What of that which is wrong now a silence of these would hold; nothing is stored.
#[utoipa::path(post, path = "/silences/preview", tag = "silences", security(("key" = ["read"])),
    request_body = PreviewSilence,
    responses((status = 200, description = "What it would hold", body = PreviewView)))]
pub(super) async fn preview(
    _: Reader,
    context: Ctx,
    Sent(PreviewSilence { matchers }): Sent<PreviewSilence>,
) -> Result<Json<PreviewView>, ApiError> {
    let WouldHold { incidents, keys } =
        silences::would_hold(&context.reads, &matchers, &context.state.telling.routing.channels).await?;
    Ok(Json(PreviewView { incidents, keys }))
}

async fn view(store: &Store, silence: Silence) -> Result<SilenceView, ApiError> {
    let now = silences::now(store).await?;
    let mut held = silences::held_by(store, std::slice::from_ref(&silence)).await?;
    let holds = held.remove(&silence.id).unwrap_or_default();
    Ok(SilenceView::of(silence, holds, now))
}

/// All faults at once: those between fields, too.
fn read(mut fields: Fields, now: Wall, who: &str) -> Result<NewSilence, ApiError> {
    let asked = NewSilenceAsked::take(&mut fields);
    let new = asked.map(|asked| judged(asked, &mut fields, (now, who)));
    fields.finish()?;
    new.ok_or_else(|| ApiError::Internal("a field is missing, and nobody said so".to_owned()))
}

fn judged(asked: NewSilenceAsked, fields: &mut Fields, (now, who): (Wall, &str)) -> NewSilence {
    let starts_at = asked.starts_at.map_or(now, Wall);
    let until_resolved = asked.until_resolved.unwrap_or_default();
    let ends = [asked.ends_at.is_some(), asked.duration_s.is_some(), until_resolved];
    if ends.into_iter().filter(|is_given| *is_given).count() != 1 {
        fields.fault("duration_s", "say until when by one of duration_s, ends_at and until_resolved");
    }
    let longest = starts_at + LONGEST_SILENCE;
    let after = |seconds: i64| starts_at + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let ends_at = asked.ends_at.map(Wall).or_else(|| asked.duration_s.map(after)).unwrap_or(longest);
    if let Some(fault) = fault_of_end(starts_at, ends_at, now) {
        fields.fault("ends_at", fault);
    }
    let new = NewSilence {
        matchers: asked.matchers,
        starts_at,
        ends_at,
        until_resolved,
        recurrence: recurrence(asked.cron, asked.lasts_s, asked.time_zone, (fields, now)),
        author: asked.author.unwrap_or_else(|| who.to_owned()),
        comment: asked.comment,
        window: None,
    };
    if until_resolved && new.only_key().is_none() {
        fields.fault("matchers", "until_resolved needs one that names a key: key=monitor/7");
    }
    new
}

pub(super) fn recurrence(
    cron: Option<String>,
    lasts_s: Option<i64>,
    time_zone: Option<String>,
    (fields, now): (&mut Fields, Wall),
) -> Option<Recurrence> {
    let Some(cron) = cron else {
        for (field, is_given) in [("lasts_s", lasts_s.is_some()), ("time_zone", time_zone.is_some())] {
            if is_given {
                fields.fault(field, "goes with cron");
            }
        }
        return None;
    };
    let Some(lasts_s) = lasts_s else {
        fields.fault("lasts_s", "is missing: how long each time lasts");
        return None;
    };
    let duration_s = u64::try_from(lasts_s).unwrap_or(0);
    let times = Recurrence { cron, duration_s, time_zone: time_zone.unwrap_or_else(|| "UTC".to_owned()) };
    if let Err((field, why)) = times.check(now) {
        fields.fault(field, why);
    }
    Some(times)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::support::Surface;

    const PATH: &str = "/api/v1/silences";

    async fn post(surface: &Surface, key: &str, body: &Value) -> (u16, Value) {
        let answer = surface.send("POST", PATH, Some(key), &body.to_string()).await;
        (answer.code, answer.json())
    }

    #[tokio::test]
    async fn a_silence_is_made_shown_listed_and_ended() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let body = json!({"matchers": ["kind=monitor", "tag=shop"], "comment": "a new switch", "duration_s": 7200});
        let (code, made) = post(&surface, &key, &body).await;
        assert_eq!((code, &made["state"], &made["author"]), (201, &"active".into(), &"key/write".into()), "{made}");
        assert_eq!(made["matchers"], json!(["kind=\"monitor\"", "tag=\"shop\""]));
        let lasts = made["ends_at"].as_i64().unwrap() - made["starts_at"].as_i64().unwrap();
        assert_eq!(lasts, 7_200_000);
        let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
        assert_eq!(surface.send("GET", &path, Some(&key), "").await.json(), made);
        let of_state = async |state: &str| {
            let path = format!("{PATH}?state={state}");
            surface.send("GET", &path, Some(&key), "").await.json()["items"].as_array().unwrap().len()
        };
        assert_eq!((of_state("active").await, of_state("pending").await, of_state("expired").await), (1, 0, 0));
        let read = surface.key("read").await;
        assert_eq!(surface.send("DELETE", &path, Some(&read), "").await.code, 403);
        let ended = surface.send("DELETE", &path, Some(&key), "").await;
        assert_eq!((ended.code, &ended.json()["state"]), (200, &"expired".into()));
        assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.json()["state"], "expired", "and stays so");
        assert_eq!((of_state("active").await, of_state("expired").await), (0, 1));
        let admin = surface.key("admin").await;
        let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
        let deeds: Vec<_> =
            trail["items"].as_array().unwrap().iter().map(|deed| deed["what"].as_str().unwrap()).collect();
        assert_eq!(deeds.iter().filter(|what| what.starts_with("silence.")).count(), 2, "{deeds:?}");
        assert_eq!(surface.send("GET", &format!("{PATH}/nobody"), Some(&key), "").await.code, 404);
    }

    #[tokio::test]
    async fn each_fault_of_a_silence_is_named_by_its_field() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let good = json!({"matchers": ["kind=monitor"], "comment": "x", "duration_s": 7200});
        let with = |changes: Value| {
            let mut body = good.clone();
            body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            body
        };
        for (body, field, word) in [
            (with(json!({"matchers": []})), "matchers", "1 to 20"),
            (with(json!({"matchers": ["monitor"]})), "matchers", "kind=monitor"),
            (with(json!({"matchers": ["tag=~.*"]})), "matchers", "must name something"),
            (with(json!({"matchers": ["key=~("]})), "matchers", "regular expression"),
            (with(json!({"comment": " "})), "comment", "missing"),
            (with(json!({"ends_at": 1})), "duration_s", "one of"),
            (with(json!({"duration_s": null})), "duration_s", "one of"),
            (with(json!({"duration_s": 5})), "duration_s", "60"),
            (with(json!({"duration_s": null, "ends_at": 1})), "ends_at", "after its start"),
            (with(json!({"duration_s": null, "ends_at": 4_000_000_000_000_i64})), "ends_at", "30 days"),
            (with(json!({"duration_s": null, "until_resolved": true})), "matchers", "names a key"),
            (with(json!({"cron": "0 2 * * *"})), "lasts_s", "missing"),
            (with(json!({"cron": "0 2 31 2 *", "lasts_s": 60})), "cron", "never"),
            (with(json!({"cron": "0 2 * * *", "lasts_s": 60, "time_zone": "Mars"})), "time_zone", "Mars"),
            (with(json!({"time_zone": "UTC"})), "time_zone", "goes with cron"),
            (with(json!({"colour": "red"})), "colour", "unknown field"),
        ] {
            let (code, answer) = post(&surface, &key, &body).await;
            let errors = answer["errors"].as_array().cloned().unwrap_or_default();
            let named = errors
                .iter()
                .any(|error| error["field"] == field && error["message"].as_str().unwrap_or_default().contains(word));
            assert!(code == 400 && named, "{body}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_silence_until_something_is_over_needs_something_that_is_wrong() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let body = json!({"matchers": ["key=node/node1"], "comment": "we are on it", "until_resolved": true});
        let (code, refused) = post(&surface, &key, &body).await;
        assert_eq!((code, &refused["errors"][0]["field"]), (409, &"until_resolved".into()), "{refused}");
        surface.raise("node/node1").await;
        assert_eq!(post(&surface, &key, &body).await.0, 201);
    }

    #[tokio::test]
    async fn a_preview_says_what_would_be_held_and_stores_nothing() {
        let surface = Surface::plain().await;
        let key = surface.key("read").await;
        surface.raise("node/node1").await;
        surface.raise("capacity").await;
        let body = json!({"matchers": ["kind=node"]}).to_string();
        let preview = surface.send("POST", &format!("{PATH}/preview"), Some(&key), &body).await;
        assert_eq!(preview.json(), json!({"incidents": 1, "keys": ["node/node1"]}));
        let none = surface.send("GET", PATH, Some(&key), "").await.json();
        assert_eq!(none["items"], json!([]));
    }
}
