//! `/api/v1/incidents`: what is and was wrong, what was told of it, and who takes care of it.

use axum::Json;
use axum::extract::Path;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::{Reader, Writer};
use super::openapi::Millis;
use super::page::{Items, PageAsked};
use super::problem::{ApiError, Problem};
use super::request::{Asked, Flag, Sent, Text, request};
use crate::store::Store;
use crate::store::incidents::{self, Delivery, Event, Incident, IncidentFilter, Story};

#[derive(Serialize, ToSchema)]
#[schema(as = Incident)]
pub(super) struct IncidentView {
    id: i64,
    /// Kind and subject: `node/node1`.
    key: String,
    /// `critical` or `warning`.
    severity: String,
    summary: String,
    /// Watchdogs that see it, of how many that may vote.
    #[schema(value_type = [u32; 2])]
    votes: (u32, u32),
    /// Of one that came back soon after it was over: when it did.
    #[schema(value_type = Millis)]
    opened_at: Wall,
    #[schema(value_type = Millis)]
    first_opened_at: Wall,
    #[schema(value_type = Millis)]
    last_bad_at: Wall,
    #[schema(value_type = Option<Millis>, required)]
    resolved_at: Option<Wall>,
    /// Whose hand resolved it; `null` where it is open or ended by itself.
    #[schema(required)]
    resolved_by: Option<String>,
    #[schema(value_type = Option<Millis>, required)]
    acknowledged_at: Option<Wall>,
    #[schema(required)]
    acknowledged_by: Option<String>,
    /// How often it came back soon after it was over.
    flaps: u32,
}

/// One incident, with what was and will be told of it.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentStory)]
pub(super) struct IncidentStoryView {
    #[serde(flatten)]
    incident: IncidentView,
    events: Vec<IncidentEventView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = IncidentEvent)]
struct IncidentEventView {
    /// `opened`, `reminder`, `resolved` …
    event: String,
    summary: String,
    #[schema(value_type = Millis)]
    at: Wall,
    deliveries: Vec<DeliveryView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryView {
    channel: String,
    /// `waiting`, `sent`, `held` …
    state: String,
    /// The incident that explains this one.
    #[schema(required)]
    held_by: Option<i64>,
    /// The silence that holds it back.
    #[schema(required)]
    silenced_by: Option<String>,
    /// The maintenance that holds it back, by its name.
    #[schema(required)]
    maintained_by: Option<String>,
    #[schema(value_type = Millis)]
    due_at: Wall,
    attempts: u32,
    may_be_repeated: bool,
    #[schema(required)]
    last_error: Option<String>,
    #[schema(value_type = Option<Millis>, required)]
    sent_at: Option<Wall>,
    #[schema(value_type = Millis)]
    entered_at: Wall,
    /// From when it was entered until the vendor had taken it, in milliseconds.
    #[schema(required)]
    took_ms: Option<u64>,
    /// What the vendor said when it took it.
    #[schema(required)]
    answer: Option<String>,
    /// Names the message that told it: `webhook-id`, `Message-ID`, Pushbullet's `guid`.
    #[schema(required)]
    message_id: Option<String>,
    /// What the vendor calls it.
    #[schema(required)]
    vendor_ref: Option<String>,
}

impl From<Story> for IncidentStoryView {
    fn from(story: Story) -> Self {
        let Story { incident, events, deliveries } = story;
        let shown = |event: Event| {
            let of_event = deliveries.iter().filter(|delivery| delivery.event_id == event.id);
            let deliveries = of_event.cloned().map(DeliveryView::from).collect();
            IncidentEventView { event: event.kind, summary: event.summary, at: event.at, deliveries }
        };
        Self { incident: incident.into(), events: events.into_iter().map(shown).collect() }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            channel: delivery.channel,
            state: delivery.state,
            held_by: delivery.held_by,
            silenced_by: delivery.silenced_by,
            maintained_by: delivery.maintained_by,
            due_at: delivery.due_at,
            attempts: delivery.attempts,
            may_be_repeated: delivery.may_be_repeated,
            last_error: delivery.last_error,
            sent_at: delivery.sent_at,
            entered_at: delivery.entered_at,
            took_ms: delivery.sent_at.and_then(|at| u64::try_from(at.0 - delivery.entered_at.0).ok()),
            answer: delivery.answer,
            message_id: delivery.notice,
            vendor_ref: delivery.vendor_ref,
        }
    }
}

impl From<Incident> for IncidentView {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id,
            key: incident.key,
            severity: incident.severity,
            summary: incident.summary,
            votes: (incident.votes_bad, incident.votes_of),
            opened_at: incident.opened_at,
            first_opened_at: incident.first_opened_at,
            last_bad_at: incident.last_bad_at,
            resolved_at: incident.resolved_at,
            resolved_by: incident.resolved_by,
            acknowledged_at: incident.acknowledged_at,
            acknowledged_by: incident.acknowledged_by,
            flaps: incident.flaps,
        }
    }
}

request! {
    pub(super) struct IncidentsAsked {
        /// Those that are open, or those that are over
        open: Option<Flag>,
        /// A kind (`node`), or kind and subject (`node/node1`)
        key: Option<Text<0, 200>>,
        ..page: PageAsked,
    }
}

/// Incidents, the latest first.
#[utoipa::path(get, path = "/incidents", tag = "incidents", security(("key" = ["read"])),
    params(IncidentsAsked),
    responses((status = 200, description = "A page of them", body = Items<IncidentView>)))]
pub(super) async fn list(
    _: Reader,
    context: Ctx,
    Asked(IncidentsAsked { open, key, page }): Asked<IncidentsAsked>,
) -> Result<Json<Items<IncidentView>>, ApiError> {
    let filter = IncidentFilter { is_open: open, key };
    let page = incidents::list(&context.reads, &filter, page.cursor.as_deref(), page.limit()).await?;
    Ok(Json(Items::of(page)))
}

/// One incident, with what was and will be told of it.
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", security(("key" = ["read"])),
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "The incident", body = IncidentStoryView)))]
pub(super) async fn show(_: Reader, context: Ctx, Path(id): Path<String>) -> Result<Json<IncidentStoryView>, ApiError> {
    story(&context.reads, &id).await
}

/// Somebody takes care of it: no reminders. A resolved one needs nobody.
#[utoipa::path(post, path = "/incidents/{id}/ack", tag = "incidents", security(("key" = ["write"])),
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "Noted", body = IncidentStoryView),
        (status = 409, description = "It is over already", body = Problem)))]
pub(super) async fn acknowledge(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
) -> Result<Json<IncidentStoryView>, ApiError> {
    let store = &context.state.store;
    let number = id.parse().map_err(|_| ApiError::not_found("incident", &id))?;
    if incidents::acknowledge(store, number, &caller.who()).await? {
        return story(store, &id).await;
    }
    if incidents::get(store, number).await?.is_none() {
        return Err(ApiError::not_found("incident", &id));
    }
    Err(ApiError::conflict("id", format!("incident {id} is over already")))
}

request! {
    pub(super) struct ResolveIncident {
        /// Why, for whoever is told and for the audit trail.
        why: Text<1, 1_000>,
    }
}

/// It is over: nobody looks at what it is about any more, or knows better. Told as its end. Where what is wrong still is,
/// the next look opens a new incident.
#[utoipa::path(post, path = "/incidents/{id}/resolve", tag = "incidents", security(("key" = ["write"])),
    params(("id" = i64, Path, description = "Its number")), request_body = ResolveIncident,
    responses((status = 200, description = "Resolved", body = IncidentStoryView),
        (status = 409, description = "It is over already", body = Problem)))]
pub(super) async fn resolve(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    Sent(ResolveIncident { why }): Sent<ResolveIncident>,
) -> Result<Json<IncidentStoryView>, ApiError> {
    let store = &context.state.store;
    let number = id.parse().map_err(|_| ApiError::not_found("incident", &id))?;
    if incidents::resolve(store, number, &caller.who(), &why).await? {
        return story(store, &id).await;
    }
    if incidents::get(store, number).await?.is_none() {
        return Err(ApiError::not_found("incident", &id));
    }
    Err(ApiError::conflict("id", format!("incident {id} is over already")))
}

async fn story(store: &Store, id: &str) -> Result<Json<IncidentStoryView>, ApiError> {
    let unknown = || ApiError::not_found("incident", id);
    let number = id.parse().map_err(|_| unknown())?;
    let found = incidents::get(store, number).await?.ok_or_else(unknown)?;
    Ok(Json(found.into()))
}

#[cfg(test)]
mod tests {
    use crate::api::support::Surface;

    #[tokio::test]
    async fn an_unknown_filter_is_named() {
        let surface = Surface::plain().await;
        let key = surface.key("read").await;
        assert_eq!(surface.send("GET", "/api/v1/incidents?open=true&key=node", Some(&key), "").await.code, 200);
        let answer = surface.send("GET", "/api/v1/incidents?opne=true", Some(&key), "").await;
        assert_eq!((answer.code, &answer.json()["errors"][0]["field"]), (400, &"opne".into()));
    }

    #[tokio::test]
    async fn an_incident_shows_what_was_told_of_it_and_is_acknowledged_once_it_is_open() {
        let surface = Surface::plain().await;
        let write = surface.key("write").await;
        let id = surface.raise("node/node1").await;
        let path = format!("/api/v1/incidents/{id}");
        let shown = surface.send("GET", &path, Some(&write), "").await.json();
        assert_eq!(shown["events"][0]["event"], "opened");
        assert_eq!(shown["events"][0]["deliveries"][0]["state"], "waiting");
        let acknowledged = surface.send("POST", &format!("{path}/ack"), Some(&write), "").await;
        assert_eq!((acknowledged.code, &acknowledged.json()["acknowledged_by"]), (200, &"key/write".into()));
        surface.resolve("node/node1").await;
        assert_eq!(surface.send("POST", &format!("{path}/ack"), Some(&write), "").await.code, 409);
        assert_eq!(surface.send("POST", "/api/v1/incidents/999/ack", Some(&write), "").await.code, 404);
        let read = surface.key("read").await;
        assert_eq!(surface.send("POST", &format!("{path}/ack"), Some(&read), "").await.code, 403);
    }

    #[tokio::test]
    async fn a_hand_resolves_an_incident_and_says_why() {
        let surface = Surface::plain().await;
        let write = surface.key("write").await;
        let id = surface.raise("channel/old").await;
        let path = format!("/api/v1/incidents/{id}/resolve");
        let nothing = surface.send("POST", &path, Some(&write), "{}").await;
        assert_eq!((nothing.code, &nothing.json()["errors"][0]["field"]), (400, &"why".into()));
        let why = r#"{"why": "renamed"}"#;
        let read = surface.key("read").await;
        assert_eq!(surface.send("POST", &path, Some(&read), why).await.code, 403);
        let resolved = surface.send("POST", &path, Some(&write), why).await;
        let story = resolved.json();
        assert_eq!((resolved.code, &story["resolved_by"]), (200, &"key/write".into()));
        let end = &story["events"][1];
        assert!(end["summary"].as_str().unwrap().starts_with("resolved by key/write: renamed (it was: "), "{end}");
        assert_eq!(surface.send("POST", &path, Some(&write), why).await.code, 409);
        let audit =
            surface.send("GET", "/api/v1/audit?what=incident.resolve", Some(&surface.key("admin").await), "").await;
        assert_eq!(audit.json()["items"].as_array().unwrap().len(), 1);
        let again = surface.raise("channel/old").await;
        assert_ne!(again, id, "what is bad still is a new incident");
    }
}
