//! The style, the script and the icon of public pages.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::asset::Asset;

const FOLDER: &str = "/pages/assets/";

static STYLE: LazyLock<Asset> = LazyLock::new(|| Asset::style(FOLDER, "pages", include_str!("assets/pages.css")));
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::script(FOLDER, "pages", include_str!("assets/pages.js")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::picture(FOLDER, "pages", include_str!("../dashboard/assets/icon.svg")));

/// Where the style is.
pub(super) fn style() -> &'static str {
    STYLE.path()
}

/// Where the icon is.
pub(super) fn icon() -> &'static str {
    ICON.path()
}

/// Where the script is.
pub(super) fn script() -> &'static str {
    SCRIPT.path()
}

/// One of them.
pub(super) async fn show(Path(name): Path<String>) -> Response {
    let all: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    Asset::answer(all, &name).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}
