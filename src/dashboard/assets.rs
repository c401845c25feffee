//! The style, the script and the picture of the dashboard's pages.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::refusal;
use crate::asset::Asset;

const FOLDER: &str = "/watch/assets/";

static STYLE: LazyLock<Asset> = LazyLock::new(|| Asset::style(FOLDER, "watch", include_str!("assets/watch.css")));
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::script(FOLDER, "watch", include_str!("assets/watch.js")));
static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::picture(FOLDER, "icon", include_str!("assets/icon.svg")));

/// Where the style is.
pub(crate) fn style() -> &'static str {
    STYLE.path()
}

/// Where the script is.
pub(super) fn script() -> &'static str {
    SCRIPT.path()
}

/// Where the picture for the browser's tab is.
pub(crate) fn icon() -> &'static str {
    ICON.path()
}

/// One of them.
pub(super) async fn show(Path(name): Path<String>) -> Response {
    let all: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let gone = || refusal(StatusCode::NOT_FOUND, "There is no such file in this version. Reload the page.");
    Asset::answer(all, &name).unwrap_or_else(gone)
}
