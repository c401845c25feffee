//! `/api/v1/routes`: who would be told of something, when and why, and what holds it now.

use axum::Json;
use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::FLAPPING_FROM;
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;

use super::Ctx;
use super::auth::Reader;
use super::openapi::Millis;
use super::problem::ApiError;
use super::request::{Asked, Field, Shape, Text, Whole, request};
use crate::oncall::explained::{Explanation, Step, written};
use crate::silence::{Silence, holder};
use crate::store::explaining::{self, Known};
use crate::store::incidents::Story;
use crate::store::silences::labels;

/// The last millisecond that a calendar shows.
const LATEST: i64 = 253_402_207_200_000;

#[derive(Serialize, ToSchema)]
#[schema(as = RouteExplanation)]
pub(super) struct ExplanationView {
    /// Kind and subject.
    key: String,
    /// `critical` or `warning`.
    #[schema(value_type = String)]
    severity: &'static str,
    tags: Vec<String>,
    /// The node that it is about, or that runs it.
    #[schema(required, value_type = Option<String>)]
    node: Option<NodeId>,
    /// When it opens, or opened; or what was asked for.
    #[schema(value_type = Millis)]
    at: Wall,
    /// The incident, if it is open.
    #[schema(required)]
    incident: Option<i64>,
    /// Who is told.
    told: Vec<ToldView>,
    /// What each route says to it, in their order.
    routes: Vec<RouteView>,
    /// Who is called while nobody takes care of it.
    steps: Vec<StepView>,
    /// What keeps it from being told at this moment, a sentence each.
    held: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RouteTold)]
struct ToldView {
    channel: String,
    /// What opens within this time is one message.
    group_wait_s: u64,
    /// It is told again so often while it lasts; `null`: once.
    #[schema(required)]
    repeat_s: Option<u64>,
    /// Why this channel.
    why: String,
    /// What keeps this channel from being told at that time.
    #[schema(required)]
    held_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RouteAsked)]
struct RouteView {
    /// Its place in the configuration, from 1.
    route: usize,
    channels: Vec<String>,
    /// Whether it takes it.
    is_told: bool,
    /// Why, or why not.
    why: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RouteStep)]
struct StepView {
    ladder: String,
    /// From 1.
    step: usize,
    /// So long after it opened.
    after_s: u64,
    /// Whoever is called then.
    people: Vec<String>,
    /// The channels that are told then.
    channels: Vec<String>,
}

impl From<Step> for StepView {
    fn from(Step { ladder, step, after, people, channels }: Step) -> Self {
        Self { ladder, step, after_s: after.as_secs(), people, channels }
    }
}

/// `critical` or `warning`.
struct HowBad;

impl Field for HowBad {
    type Value = Severity;

    fn read(sent: &Value) -> Result<Severity, String> {
        let all = [Severity::Critical, Severity::Warning];
        let found = all.into_iter().find(|severity| sent.as_str() == Some(severity.as_str()));
        found.ok_or_else(|| "must be critical or warning".to_owned())
    }

    fn shape() -> Shape {
        Shape::one(Type::String, |text| text.enum_values(Some(["critical", "warning"])))
    }
}

request! {
    pub(super) struct ExplainAsked {
        /// `check/shop`, `monitor/7`, `node/node1`, `database` …; it need not be there.
        key: Text<1, 500>,
        /// If it were so bad; otherwise as it is, or critical.
        severity: Option<HowBad>,
        /// If it bore these tags, with commas between them; otherwise its own.
        tags: Option<Text<1, 1_000>>,
        /// If this node ran it; otherwise the one that does.
        node: Option<Text<1, 200>>,
        /// If it opened then; otherwise when it opened, or now.
        at: Option<Whole<0, LATEST>>,
    }
}

/// Who would be told of something, through which route and ladder, when and why, and what holds it now. By the configuration of the
/// watchdog that answers.
#[utoipa::path(get, path = "/routes/explain", tag = "incidents", security(("key" = ["read"])),
    params(ExplainAsked),
    responses((status = 200, description = "Who, when and why", body = ExplanationView)))]
pub(super) async fn explain(
    _: Reader,
    context: Ctx,
    Asked(asked): Asked<ExplainAsked>,
) -> Result<Json<ExplanationView>, ApiError> {
    let ExplainAsked { key, severity, tags, node, at } = asked;
    let at = at.map(Wall);
    let mut known = explaining::known(&context.reads, &key, at).await?;
    let subject = &mut known.subject;
    subject.severity = severity.unwrap_or(subject.severity);
    if let Some(tags) = tags {
        subject.tags = tags.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect();
    }
    if let Some(node) = node {
        subject.node = Some(NodeId::from(node.as_str()));
    }
    let opened_at = known.story.as_ref().map(|story| story.incident.opened_at);
    let at = at.or(opened_at).unwrap_or(known.now);
    let (routing, on_call) = (&context.state.telling.routing, &context.state.telling.on_call);
    let found = Explanation::of((routing, on_call), &known.subject, at);
    Ok(Json(view(found, known, at)))
}

fn view(found: Explanation, known: Known, at: Wall) -> ExplanationView {
    let told = found.channels.into_iter().map(|told| ToldView {
        held_by: silenced(&known.in_force, &known.subject, &told.planned.channel),
        channel: told.planned.channel,
        group_wait_s: told.planned.group_wait.as_secs(),
        repeat_s: told.planned.repeat.map(|repeat| repeat.as_secs()),
        why: told.why,
    });
    let told = told.collect();
    let routes = found.routes.into_iter().map(|asked| RouteView {
        route: asked.route,
        channels: asked.channels,
        is_told: asked.is_told,
        why: asked.why,
    });
    let routes = routes.collect();
    let held = held(&known);
    let Subject { key, severity, tags, node, .. } = known.subject;
    ExplanationView {
        key,
        severity: severity.as_str(),
        tags,
        node,
        at,
        incident: known.story.map(|story| story.incident.id),
        told,
        routes,
        steps: found.steps.into_iter().map(StepView::from).collect(),
        held,
    }
}

/// What somebody silenced, or works on.
fn silenced(in_force: &[Silence], subject: &Subject, channel: &str) -> Option<String> {
    let id = holder(in_force, &labels(subject, None, channel))?;
    let silence = in_force.iter().find(|silence| silence.id == id)?;
    let (made, until) = (&silence.made, written(silence.made.ends_at));
    Some(match &made.window {
        Some(window) => format!("maintenance {}, until {until}", window.name),
        None => format!("a silence of {} ({}), until {until}", made.author, made.comment),
    })
}

/// What keeps it from being told now, whatever the channel.
fn held(known: &Known) -> Vec<String> {
    let of_story = known.story.iter().flat_map(held_by_itself);
    let explained = known.causes.iter().map(|cause| {
        format!("{cause} is critical, which explains it: whoever knows of that is told of this once that is over, if it is still so")
    });
    of_story.chain(explained).collect()
}

fn held_by_itself(story: &Story) -> Vec<String> {
    let incident = &story.incident;
    let mut held = vec![];
    if let Some(at) = incident.acknowledged_at {
        let who = incident.acknowledged_by.as_deref().unwrap_or("somebody");
        held.push(format!("{who} acknowledged it at {}: no reminders, and ladders stand still", written(at)));
    }
    if incident.flaps >= FLAPPING_FROM {
        held.push(format!("it came back {} times: people are told of its end alone", incident.flaps));
    }
    for delivery in story.deliveries.iter().filter(|delivery| delivery.state == "held") {
        let holder = delivery.held_by.map(|incident| format!("incident {incident}, which explains it"));
        let holder = holder.or_else(|| delivery.silenced_by.as_ref().map(|id| format!("silence {id}")));
        let holder = holder.or_else(|| delivery.maintained_by.as_ref().map(|name| format!("maintenance {name}")));
        let holder = holder.unwrap_or_else(|| "something that is about to end".to_owned());
        held.push(format!("{} is not told because of {holder}", delivery.channel));
    }
    held
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use komainu_watchdogs::routing::{Matcher, Route, Routing};
    use serde_json::{Value, json};

    use crate::api::support::Surface;
    use crate::store::incidents;

    async fn surface() -> Surface {
        let mut surface = Surface::plain().await;
        let of_nodes = Matcher { node: Some("eu-*".to_owned()), tag: Some("shop".to_owned()), ..Matcher::default() };
        let night = Route { matcher: of_nodes, channels: vec!["mail".to_owned()], ..Route::default() };
        let repeat = Some(Duration::from_secs(3_600));
        let all = Route { channels: vec!["ops".to_owned()], repeat, ..Route::default() };
        let channels = ["mail", "ops"].map(str::to_owned).to_vec();
        surface.state.telling.routing = Arc::new(Routing { channels, routes: vec![night, all] });
        surface.lasting()
    }

    async fn explain(surface: &Surface, query: &str) -> Value {
        let key = surface.key("read").await;
        let answer = surface.send("GET", &format!("/api/v1/routes/explain?{query}"), Some(&key), "").await;
        assert_eq!(answer.code, 200, "{}", answer.json());
        answer.json()
    }

    #[tokio::test]
    async fn who_would_be_told_of_what_is_not_there_yet_is_said_with_the_reason() {
        let surface = surface().await;
        let found = explain(&surface, "key=node/us-1").await;
        let told = json!([{"channel": "ops", "group_wait_s": 0, "repeat_s": 3600, "why": "route 2", "held_by": null}]);
        assert_eq!((&found["told"], &found["severity"], &found["incident"]), (&told, &json!("critical"), &Value::Null));
        assert_eq!(found["routes"][0]["why"], "asks for tag shop");
        let found =
            explain(&surface, "key=monitor/7&tags=shop,%20new&node=eu-1&severity=warning&at=1800000000000").await;
        assert_eq!(found["told"][0]["channel"], "mail", "{found}");
        assert_eq!((&found["tags"], &found["at"]), (&json!(["shop", "new"]), &json!(1_800_000_000_000_i64)));
        let key = surface.key("read").await;
        for (query, field) in [("key=x&severity=bad", "severity"), ("", "key"), ("key=x&at=never", "at")] {
            let refused = surface.send("GET", &format!("/api/v1/routes/explain?{query}"), Some(&key), "").await;
            assert_eq!((refused.code, &refused.json()["errors"][0]["field"]), (400, &json!(field)), "{query}");
        }
        assert_eq!(surface.get("/api/v1/routes/explain?key=x").await.code, 401);
    }

    #[tokio::test]
    async fn what_holds_something_is_said_with_who_and_until_when() {
        let surface = surface().await;
        let id = surface.raise("later/1").await;
        let write = surface.key("write").await;
        let silence = json!({"matchers": ["key=later/1"], "duration_s": 3_600, "comment": "we know"}).to_string();
        assert_eq!(surface.send("POST", "/api/v1/silences", Some(&write), &silence).await.code, 201);
        assert!(incidents::acknowledge(&surface.state.store, id, "ada").await.unwrap());
        surface.raise("node/eu-1").await;
        let found = explain(&surface, "key=later/1").await;
        assert_eq!(found["incident"], json!(id));
        let held_by = found["told"][0]["held_by"].as_str().unwrap();
        assert!(held_by.starts_with("a silence of ") && held_by.contains("(we know), until 20"), "{held_by}");
        let held = found["held"][0].as_str().unwrap();
        assert!(held.starts_with("ada acknowledged it at "), "{held}");
        surface.add_node("eu-1").await;
        surface.add_push_monitor("t0k3n", "eu-1").await;
        let found = explain(&surface, "key=monitor/1").await;
        let held = found["held"][0].as_str().unwrap();
        assert!(held.starts_with("node/eu-1 is critical, which explains it"), "{held}");
    }
}
