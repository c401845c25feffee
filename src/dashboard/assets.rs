//! The style, the script and the picture of the pages: parts of the program, under names that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::frame::refusal;

/// One of them.
struct Asset {
    name: String,
    path: String,
    kind: &'static str,
    content: &'static str,
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("watch", "css", "text/css; charset=utf-8", include_str!("assets/watch.css")));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("watch", "js", "text/javascript; charset=utf-8", include_str!("assets/watch.js")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, content: &'static str) -> Self {
        let hash = hex::encode(Sha256::digest(content.as_bytes()));
        let name = format!("{stem}.{}.{extension}", hash.get(..16).unwrap_or_default());
        let path = format!("/watch/assets/{name}");
        Self { name, path, kind, content }
    }
}

/// Where the style is.
pub(super) fn style() -> &'static str {
    &STYLE.path
}

/// Where the script is.
pub(super) fn script() -> &'static str {
    &SCRIPT.path
}

/// Where the picture for the browser's tab is.
pub(super) fn icon() -> &'static str {
    &ICON.path
}

/// Kept for a year: under this name it never changes.
pub(super) async fn show(Path(name): Path<String>) -> Response {
    let Some(asset) = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.name == name) else {
        return refusal(StatusCode::NOT_FOUND, "There is no such file in this version. Reload the page.");
    };
    let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.content).into_response()
}
