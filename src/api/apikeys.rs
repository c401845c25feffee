//! `/api/v1/apikeys`: keys to this API. A key's text is shown once, when it is made.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::Admin;
use super::openapi::Millis;
use super::page::{Items, Nothing};
use super::problem::{ApiError, Problem};
use super::request::{Asked, Field, Sent, Shape, Text, request};
use crate::keys::ApiKey;
use crate::store::apikeys::{self, ApiKeyInfo, Scope};

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct ApiKeyView {
    id: i64,
    name: String,
    /// `read`, `write` or `admin`.
    #[schema(value_type = String)]
    scope: &'static str,
    #[schema(value_type = Millis)]
    created_at: Wall,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MadeApiKey)]
pub(super) struct Made {
    id: i64,
    name: String,
    /// `read`, `write` or `admin`.
    #[schema(value_type = String)]
    scope: &'static str,
    /// The key itself, this once.
    key: String,
}

request! {
    pub(super) struct NewApiKey {
        /// Unique; the audit trail names it.
        name: Text<1, 100>,
        /// `read`: GET; `write`: monitors, heartbeats, acknowledgements too; `admin`: everything.
        scope: ScopeName,
    }
}

struct ScopeName;

impl Field for ScopeName {
    type Value = Scope;

    fn read(sent: &Value) -> Result<Scope, String> {
        sent.as_str().and_then(Scope::parse).ok_or_else(|| "must be read, write or admin".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&[Scope::Read, Scope::Write, Scope::Admin].map(Scope::as_str))
    }
}

impl From<ApiKeyInfo> for ApiKeyView {
    fn from(info: ApiKeyInfo) -> Self {
        Self { id: info.id, name: info.name, scope: info.scope.as_str(), created_at: info.created_at }
    }
}

/// All keys, without the keys themselves.
#[utoipa::path(get, path = "/apikeys", tag = "apikeys", security(("key" = ["admin"])),
    responses((status = 200, description = "All of them", body = Items<ApiKeyView>)))]
pub(super) async fn list(_: Admin, context: Ctx, _: Asked<Nothing>) -> Result<Json<Items<ApiKeyView>>, ApiError> {
    Ok(Json(Items::whole(apikeys::list(&context.reads).await?)))
}

/// Makes a key. The answer holds the key itself, this once.
#[utoipa::path(post, path = "/apikeys", tag = "apikeys", security(("key" = ["admin"])),
    request_body = NewApiKey,
    responses((status = 201, description = "Made", body = Made),
        (status = 409, description = "There is a key of this name already", body = Problem)))]
pub(super) async fn create(
    Admin(caller): Admin,
    context: Ctx,
    Sent(NewApiKey { name, scope }): Sent<NewApiKey>,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    let store = &context.state.store;
    let (key, hash) = ApiKey::generate();
    let id = match apikeys::create(store, &name, scope, &hash, &caller.who()).await {
        Err(error) if error.is_duplicate() => {
            return Err(ApiError::conflict("name", format!("there is a key {name} already")));
        }
        made => made?,
    };
    Ok((StatusCode::CREATED, Json(Made { id, name, scope: scope.as_str(), key })))
}

/// Deletes a key: other watchdogs stop taking it within five seconds.
///
/// By name, or by id as the list shows it. Where one key is named as another is numbered, nothing is deleted: rename by making
/// a new one, or say the other's number.
#[utoipa::path(delete, path = "/apikeys/{id}", tag = "apikeys", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Name or id of the key")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn remove(
    Admin(caller): Admin,
    context: Ctx,
    Path(which): Path<String>,
) -> Result<StatusCode, ApiError> {
    let store = &context.state.store;
    let known = apikeys::list(store).await?;
    let meant: Vec<_> = known.iter().filter(|info| info.name == which || info.id.to_string() == which).collect();
    let found = match meant.as_slice() {
        [] => return Err(ApiError::not_found("API key", &which)),
        [one] => one,
        [first, ..] => {
            let detail =
                format!("{which} is the name of one key and the id of another ({}); nothing was deleted", first.name);
            return Err(ApiError::conflict("id", detail));
        }
    };
    if !apikeys::delete(store, &found.name, &caller.who()).await? {
        return Err(ApiError::not_found("API key", &which));
    }
    context.known_keys.forget(store, &found.name).await;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::Surface;

    #[tokio::test]
    async fn a_key_works_until_it_is_deleted() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let made = surface.send("POST", "/api/v1/apikeys", Some(&admin), r#"{"name": "ci", "scope": "read"}"#).await;
        assert_eq!(made.code, 201);
        let key = made.json()["key"].as_str().unwrap().to_owned();
        assert_eq!(surface.send("GET", "/api/v1/nodes", Some(&key), "").await.code, 200);
        assert_eq!(surface.send("GET", "/api/v1/apikeys", Some(&key), "").await.code, 403);
        assert_eq!(surface.send("DELETE", "/api/v1/apikeys/ci", Some(&admin), "").await.code, 204);
        assert_eq!(surface.send("GET", "/api/v1/nodes", Some(&key), "").await.code, 401);
        assert_eq!(surface.send("DELETE", "/api/v1/apikeys/ci", Some(&admin), "").await.code, 404);
        let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
        let deed = |n: usize| (&trail["items"][n]["what"], &trail["items"][n]["who"]);
        assert_eq!(deed(0), (&json!("apikey.delete"), &json!("key/admin")));
        assert_eq!(deed(1), (&json!("apikey.create"), &json!("key/admin")));
    }

    #[tokio::test]
    async fn the_list_never_shows_a_key() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let list = surface.send("GET", "/api/v1/apikeys", Some(&admin), "").await.json();
        assert_eq!(list["items"][0]["name"], "admin");
        assert!(!list.to_string().contains("kmn_"));
    }

    #[tokio::test]
    async fn faults_and_conflicts_name_the_field() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let answer = surface.send("POST", "/api/v1/apikeys", Some(&admin), r#"{"name": "x", "scope": "root"}"#).await;
        assert_eq!(
            (answer.code, &answer.json()["errors"]),
            (400, &json!([{"field": "scope", "message": "must be read, write or admin"}]))
        );
        let answer =
            surface.send("POST", "/api/v1/apikeys", Some(&admin), r#"{"name": "admin", "scope": "read"}"#).await;
        assert_eq!((answer.code, &answer.json()["errors"][0]["field"]), (409, &json!("name")));
    }
}
