//! `/api/v1/apikeys`: keys to this API. A key's text is shown once, when it is made.

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::json;

use super::Ctx;
use super::audit::{self, Done};
use super::auth::Admin;
use super::body::Object;
use super::fields::Fields;
use super::page::Items;
use super::problem::ApiError;
use crate::keys::ApiKey;
use crate::store::apikeys::{self, ApiKeyInfo, Scope};

#[derive(Serialize)]
pub(super) struct Shown {
    id: i64,
    name: String,
    scope: &'static str,
    created_at: Wall,
}

#[derive(Serialize)]
pub(super) struct Made {
    id: i64,
    name: String,
    scope: &'static str,
    /// The key itself, this once.
    key: String,
}

impl From<ApiKeyInfo> for Shown {
    fn from(info: ApiKeyInfo) -> Self {
        Self { id: info.id, name: info.name, scope: info.scope.as_str(), created_at: info.created_at }
    }
}

pub(super) async fn list(_: Admin, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Items<Shown>>, ApiError> {
    Fields::of_query(query.as_deref()).finish()?;
    Ok(Json(Items::whole(apikeys::list(&context.state.store).await?)))
}

pub(super) async fn create(
    Admin(caller): Admin,
    context: Ctx,
    Object(mut fields): Object,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    let name = fields.required_text("name", 100);
    let scope = fields.required_text("scope", 10);
    let scope = scope.and_then(|text| {
        let scope = Scope::parse(&text);
        if scope.is_none() {
            fields.fault("scope", "must be read, write or admin");
        }
        scope
    });
    fields.finish()?;
    let (Some(name), Some(scope)) = (name, scope) else { return Err(ApiError::field("name", "is missing")) };

    let store = &context.state.store;
    let (key, hash) = ApiKey::generate();
    let id = match apikeys::create(store, &name, scope, &hash).await {
        Err(error) if error.is_duplicate() => {
            return Err(ApiError::conflict("name", format!("there is a key {name} already")));
        }
        made => made?,
    };
    let after = json!({"name": name, "scope": scope.as_str()});
    audit::note(store, &caller, Done { what: "apikey.create", subject: &name, before: None, after: Some(after) }).await;
    Ok((StatusCode::CREATED, Json(Made { id, name, scope: scope.as_str(), key })))
}

/// By name or by id: the id is what the list shows first, the name is what people know.
pub(super) async fn remove(
    Admin(caller): Admin,
    context: Ctx,
    Path(which): Path<String>,
) -> Result<StatusCode, ApiError> {
    let store = &context.state.store;
    let known = apikeys::list(store).await?;
    let found = known.iter().find(|info| info.name == which || info.id.to_string() == which);
    let found = found.ok_or_else(|| ApiError::not_found("API key", &which))?;
    if !apikeys::delete(store, &found.name).await? {
        return Err(ApiError::not_found("API key", &which));
    }
    context.known_keys.forget_all();
    let before = json!({"name": found.name, "scope": found.scope.as_str()});
    audit::note(
        store,
        &caller,
        Done { what: "apikey.delete", subject: &found.name, before: Some(before), after: None },
    )
    .await;
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
