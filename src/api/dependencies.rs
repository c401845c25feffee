//! `/api/v1/dependencies`: what depends on what, so that trouble of many is told as trouble of the one that causes it.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::dependency::MOST_CAUSES;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::{Reader, Writer};
use super::fields::Fields;
use super::page::{DryRun, Items, PageAsked};
use super::problem::{ApiError, FieldError, Problem};
use super::request::{Asked, Field, Request, Sent, Shape, Text, Texts, request};
use crate::store::dependencies::{
    self, Dependency, DependencyFilter, MOST_DEPENDENCIES, MOST_TOGETHER, Refusal, Wish, rehearse, write,
};

#[derive(Serialize, ToSchema)]
#[schema(as = Dependency)]
pub(super) struct DependencyView {
    /// `check/shop`.
    subject: String,
    /// While one of these is critical, and people know of it, they are not told of this.
    depends_on: Vec<String>,
    /// Of these, what is not there, or not there any more.
    missing: Vec<String>,
}

impl From<Dependency> for DependencyView {
    fn from(Dependency { subject, causes, missing }: Dependency) -> Self {
        Self { subject, depends_on: causes, missing }
    }
}

request! {
    pub(super) struct DependenciesAsked {
        /// Of this: `check/shop`
        subject: Option<Text<1, 500>>,
        /// That name this
        cause: Option<Text<1, 500>>,
        ..page: PageAsked,
    }
}

request! {
    pub(super) struct CausesSent {
        /// `monitor/7` (or `monitor/` and its ref), `check/shop`, `heartbeat/backup`, `node/node1`; none: it depends on nothing.
        depends_on: Texts<MOST_CAUSES>,
    }
}

request! {
    pub(super) struct DependencySent {
        /// `monitor/7` (or `monitor/` and its ref), `check/shop`, `heartbeat/backup`, `node/node1`.
        subject: Text<1, 500>,
        /// As the subject is named; none: it depends on nothing.
        depends_on: Texts<MOST_CAUSES>,
    }
}

request! {
    pub(super) struct DependenciesSent {
        /// All or none of them.
        items: Wishes,
    }
}

/// A list of what is to depend on what.
struct Wishes;

impl Field for Wishes {
    type Value = Vec<Wish>;

    fn read(sent: &Value) -> Result<Vec<Wish>, String> {
        let items = sent.as_array().ok_or_else(|| "must be a list".to_owned())?;
        if items.is_empty() || items.len() > MOST_TOGETHER {
            return Err(format!("must have 1 to {MOST_TOGETHER} entries"));
        }
        let read = |(at, item): (usize, &Value)| {
            let object = item.as_object().ok_or_else(|| format!("[{at}] must be an object"))?;
            let read: Result<DependencySent, ApiError> = Fields::new(object.clone()).read();
            let DependencySent { subject, depends_on } = read.map_err(|error| format!("[{at}] {error}"))?;
            Ok(Wish { subject, causes: depends_on })
        };
        items.iter().enumerate().map(read).collect()
    }

    fn shape() -> Shape {
        let properties = <DependencySent as Request>::properties();
        let item = super::request::object(&[], properties);
        Shape::list(item, |list| list.min_items(Some(1)).max_items(Some(MOST_TOGETHER)))
    }
}

/// What depends on what, in the order of what depends; all filters must hold.
#[utoipa::path(get, path = "/dependencies", tag = "dependencies", security(("key" = ["read"])),
    params(DependenciesAsked),
    responses((status = 200, description = "A page of them", body = Items<DependencyView>)))]
pub(super) async fn list(
    _: Reader,
    context: Ctx,
    Asked(DependenciesAsked { subject, cause, page }): Asked<DependenciesAsked>,
) -> Result<Json<Items<DependencyView>>, ApiError> {
    let filter = DependencyFilter { subject, cause };
    let found = dependencies::list(&context.reads, &filter, page.cursor.as_deref(), page.limit()).await?;
    let items = found.items.into_iter().map(DependencyView::from).collect();
    Ok(Json(Items { items, next: found.next }))
}

/// What one thing depends on.
#[utoipa::path(get, path = "/dependencies/{kind}/{name}", tag = "dependencies", security(("key" = ["read"])),
    params(("kind" = String, Path, description = "`monitor`, `check`, `heartbeat` or `node`"),
        ("name" = String, Path, description = "Its name, or id")),
    responses((status = 200, description = "What it depends on", body = DependencyView)))]
pub(super) async fn show(
    _: Reader,
    context: Ctx,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<DependencyView>, ApiError> {
    let subject = format!("{kind}/{name}");
    let found = dependencies::get(&context.reads, &subject).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| ApiError::not_found("dependency of", &subject))
}

/// Says what one thing depends on, and on nothing else. A circle is refused by its path, and so is what is not there.
#[utoipa::path(put, path = "/dependencies/{kind}/{name}", tag = "dependencies", security(("key" = ["write"])),
    params(("kind" = String, Path, description = "`monitor`, `check`, `heartbeat` or `node`"),
        ("name" = String, Path, description = "Its name, or id; of a monitor its ref, too"),
        DryRun),
    request_body = CausesSent,
    responses((status = 200, description = "As it is now", body = DependencyView),
        (status = 204, description = "It would be so"),
        (status = 409, description = "There are too many already", body = Problem)))]
pub(super) async fn put(
    Writer(caller): Writer,
    context: Ctx,
    Path((kind, name)): Path<(String, String)>,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Sent(CausesSent { depends_on }): Sent<CausesSent>,
) -> Result<Response, ApiError> {
    let store = &context.state.store;
    let wish = Wish { subject: format!("{kind}/{name}"), causes: depends_on };
    if dry_run.unwrap_or_default() {
        rehearse(store, &[wish]).await?.map_err(refused_one)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let keys = write(store, &caller.who(), &[wish]).await?.map_err(refused_one)?;
    let subject = keys.into_iter().next().unwrap_or_default();
    let nothing = || Dependency { subject: subject.clone(), causes: vec![], missing: vec![] };
    let now = dependencies::get(store, &subject).await?.unwrap_or_else(nothing);
    Ok(Json(DependencyView::from(now)).into_response())
}

/// It depends on nothing any more.
#[utoipa::path(delete, path = "/dependencies/{kind}/{name}", tag = "dependencies", security(("key" = ["write"])),
    params(("kind" = String, Path, description = "`monitor`, `check`, `heartbeat` or `node`"),
        ("name" = String, Path, description = "Its name, or id; of a monitor its ref, too")),
    responses((status = 204, description = "It depends on nothing")))]
pub(super) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path((kind, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let wish = Wish { subject: format!("{kind}/{name}"), causes: vec![] };
    write(&context.state.store, &caller.who(), &[wish]).await?.map_err(refused_one)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
#[schema(as = DependenciesWritten)]
pub(super) struct WrittenView {
    /// What now depends on what was sent, in the order of the request.
    subjects: Vec<String>,
}

/// Says of up to 1,000 things what each depends on; all or none. `errors` names the item: `items[17].depends_on`.
#[utoipa::path(post, path = "/dependencies/bulk", tag = "dependencies", security(("key" = ["write"])),
    params(DryRun),
    request_body = DependenciesSent,
    responses((status = 200, description = "As it is now", body = WrittenView),
        (status = 204, description = "It would be so"),
        (status = 409, description = "There are too many already", body = Problem)))]
pub(super) async fn bulk(
    Writer(caller): Writer,
    context: Ctx,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Sent(DependenciesSent { items }): Sent<DependenciesSent>,
) -> Result<Response, ApiError> {
    let store = &context.state.store;
    let place = |at: usize, field: &str| format!("items[{at}].{field}");
    if dry_run.unwrap_or_default() {
        rehearse(store, &items).await?.map_err(|refusal| refused(refusal, place))?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let subjects = write(store, &caller.who(), &items).await?.map_err(|refusal| refused(refusal, place))?;
    Ok(Json(WrittenView { subjects }).into_response())
}

fn refused_one(refusal: Refusal) -> ApiError {
    refused(refusal, |_, field| field.to_owned())
}

fn refused(refusal: Refusal, place: impl Fn(usize, &str) -> String) -> ApiError {
    let faults = match refusal {
        Refusal::TooMany => {
            let detail = format!("there would be more than {MOST_DEPENDENCIES} dependencies");
            return ApiError::conflict("depends_on", detail);
        }
        Refusal::Faults(faults) => faults,
    };
    let errors: Vec<_> =
        faults.into_iter().map(|(at, field, message)| FieldError::new(place(at, field), message)).collect();
    match errors.as_slice() {
        [only] => ApiError::field(&only.field, only.message.clone()),
        many => ApiError::Invalid { detail: format!("{} fields are wrong", many.len()), errors },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::support::Surface;

    const PATH: &str = "/api/v1/dependencies";

    async fn check(surface: &Surface, key: &str, name: &str) {
        let body = json!({"name": name, "type": "ping", "hostname": "192.0.2.1"}).to_string();
        assert_eq!(surface.send("POST", "/api/v1/checks", Some(key), &body).await.code, 201);
    }

    async fn put(surface: &Surface, key: &str, (subject, causes): (&str, &[&str])) -> (u16, Value) {
        let body = json!({"depends_on": causes}).to_string();
        let answer = surface.send("PUT", &format!("{PATH}/{subject}"), Some(key), &body).await;
        (answer.code, answer.json())
    }

    #[tokio::test]
    async fn what_depends_on_what_is_declared_shown_and_taken_back() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        for name in ["shop", "router", "line"] {
            check(&surface, &key, name).await;
        }
        let (code, made) = put(&surface, &key, ("check/shop", &["check/router"])).await;
        let shown = json!({"subject": "check/shop", "depends_on": ["check/router"], "missing": []});
        assert_eq!((code, &made), (200, &shown));
        let path = format!("{PATH}/check/shop");
        assert_eq!(surface.send("GET", &path, Some(&key), "").await.json(), shown);
        let listed = async |query: &str| {
            let answer = surface.send("GET", &format!("{PATH}{query}"), Some(&key), "").await;
            answer.json()["items"].as_array().unwrap().len()
        };
        assert_eq!(
            [listed("").await, listed("?cause=check/router").await, listed("?cause=check/shop").await],
            [1, 1, 0]
        );
        assert_eq!(surface.send("DELETE", "/api/v1/checks/router", Some(&key), "").await.code, 204);
        assert_eq!(surface.send("GET", &path, Some(&key), "").await.json()["missing"], json!(["check/router"]));
        assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 204);
        assert_eq!(surface.send("GET", &path, Some(&key), "").await.code, 404);
    }

    #[tokio::test]
    async fn a_circle_is_refused_by_its_path_and_what_is_not_there_by_its_name() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        for name in ["a", "b", "c"] {
            check(&surface, &key, name).await;
        }
        assert_eq!(put(&surface, &key, ("check/a", &["check/b"])).await.0, 200);
        assert_eq!(put(&surface, &key, ("check/b", &["check/c"])).await.0, 200);
        let (code, refused) = put(&surface, &key, ("check/c", &["check/a"])).await;
        let path = "check/c depends on check/a depends on check/b depends on check/c";
        assert_eq!(
            (code, refused["errors"][0]["message"].as_str()),
            (400, Some(format!("is a circle: {path}").as_str()))
        );
        let refusals = [
            ("check/a", "check/a", "check/a cannot depend on itself"),
            ("check/a", "heartbeat/x", "there is no heartbeat x"),
            ("check/a", "leader", "\"leader\" must be monitor/ID, check/NAME, heartbeat/NAME or node/ID"),
        ];
        for (subject, cause, why) in refusals {
            let (code, refused) = put(&surface, &key, (subject, &[cause])).await;
            let first = &refused["errors"][0];
            assert_eq!(
                (code, first["field"].as_str(), first["message"].as_str()),
                (400, Some("depends_on"), Some(why))
            );
        }
        let (code, refused) = put(&surface, &key, ("check/x", &["check/a"])).await;
        assert_eq!((code, &refused["errors"][0]["field"]), (400, &json!("subject")));
    }

    #[tokio::test]
    async fn of_many_all_are_declared_or_none_and_a_circle_among_them_is_seen() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        for name in ["a", "b", "c"] {
            check(&surface, &key, name).await;
        }
        let send = async |query: &str, pairs: &[(&str, &str)]| {
            let items: Vec<_> =
                pairs.iter().map(|(child, cause)| json!({"subject": child, "depends_on": [cause]})).collect();
            let path = format!("{PATH}/bulk{query}");
            surface.send("POST", &path, Some(&key), &json!({ "items": items }).to_string()).await
        };
        let circle = send("", &[("check/a", "check/b"), ("check/b", "check/a")]).await;
        assert_eq!((circle.code, &circle.json()["errors"][0]["field"]), (400, &json!("items[0].depends_on")));
        let chain = [("check/a", "check/b"), ("check/b", "check/c")];
        assert_eq!(send("?dry_run=true", &chain).await.code, 204);
        assert_eq!(surface.send("GET", PATH, Some(&key), "").await.json()["items"], json!([]));
        let made = send("", &chain).await;
        assert_eq!((made.code, &made.json()["subjects"]), (200, &json!(["check/a", "check/b"])));
        let body = r#"{"items": [{"subject": "check/a"}]}"#;
        let unreadable = surface.send("POST", &format!("{PATH}/bulk"), Some(&key), body).await;
        let first = &unreadable.json()["errors"][0];
        let message = "[0] depends_on: is missing";
        assert_eq!((unreadable.code, first["message"].as_str()), (400, Some(message)), "{first}");
    }
}
