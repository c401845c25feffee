//! The document of this surface (`OpenAPI` 3.1), generated from the handlers, so that it cannot fall behind them.
//!
//! # How to annotate a handler
//!
//! 1. Above the handler, below its doc comment (its first line is the summary, the rest the description):
//!
//!    ```text
//!    /// Deletes a key, by name or by id.
//!    #[utoipa::path(delete, path = "/apikeys/{id}", tag = "apikeys", security(("key" = ["admin"])),
//!        params(("id" = String, Path, description = "Name or id of the key")),
//!        responses((status = 204, description = "It is gone")))]
//!    ```
//!
//!    `path` is relative to where the route is mounted; `security` names the scope; no `security`: needs no key.
//!    Lists answer `body = Items<NodeView>`.
//! 2. What is answered gets `#[derive(ToSchema)]` and a name of its own, `#[schema(as = ApiKey)]`: names are global.
//!    A type of the core gets `#[schema(value_type = Millis)]` ([`Millis`] for `Wall`, `String` for ids), a fixed text
//!    `#[schema(value_type = String)]`. Doc comments of fields are their descriptions.
//! 3. What is read is declared once by [`super::request::request!`]: a body is named by `request_body = NewApiKey` and read
//!    by `Sent<NewApiKey>`, a query by `params(TrailAsked)` and `Asked<TrailAsked>`. Doc comments of fields are their words.
//! 4. In `api.rs`, `.route("/apikeys", get(apikeys::list).post(apikeys::create))` becomes
//!    `.routes(routes!(apikeys::list, apikeys::create))`: one `routes!` for each path.
//!
//! [`complete::complete`] adds to every operation what follows from its kind, and handlers do not repeat: 401, 403, 429 and 503
//! where it needs a key, 400 where it reads a query or a body, 413 where it reads a body, 404 where its path names
//! something. What else it refuses it says itself: `(status = 409, description = "…", body = Problem)`.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi, OpenApiBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::Problem;

mod complete;
#[cfg(test)]
mod tests;

/// The document itself.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// The page to browse and try it.
const PAGE: &str = "/api/v1/docs";

/// The page loads nothing from elsewhere, and the browser sees to it. Its own script sets styles and draws images of
/// data.
const CONTENT_POLICY: header::HeaderValue = header::HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// What stands above everything else in the document.
const DESCRIPTION: &str = include_str!("openapi/description.md");

/// The name of the way in which people and programs say who they are.
const KEY: &str = "key";

/// The name of the one way to say that a gateway calls.
const GATEWAY: &str = "gateway";

/// Milliseconds UTC, in the document.
pub(super) struct Millis;

impl PartialSchema for Millis {
    fn schema() -> RefOr<Schema> {
        let millis = utoipa::schema!(i64).description(Some("Milliseconds since 1970, UTC"));
        millis.examples([1_763_800_000_000_i64]).into()
    }
}

impl ToSchema for Millis {}

/// What the document says before any route is known.
pub(super) fn blank() -> OpenApi {
    let mut info = Info::new("komainu", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("kmn_…")
        .description(Some("An API key: `komainu apikeys create NAME --scope read|write|admin`."));
    let mut components = Components::new();
    components.add_security_scheme(KEY, SecurityScheme::Http(bearer.build()));
    let gateway = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The key of the cluster's gateways: `komainu keygen --gateway --key-file FILE`."));
    components.add_security_scheme(GATEWAY, SecurityScheme::Http(gateway.build()));
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Adds what follows from the kind of each operation.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    complete::complete(&mut document);
    document
}

/// The document and the page. Both need no key: they tell what the sources tell.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let text = Bytes::from(document.to_json().unwrap_or_default());
    let json = move || {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        std::future::ready((headers, text.clone()).into_response())
    };
    // Without this the page would ask a validator on the Internet for its opinion.
    let page = SwaggerUi::new(PAGE).config(Config::new([DOCUMENT]).validator_url("none"));
    let policy = SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    Router::from(page).layer(policy).route(DOCUMENT, get(json))
}
