//! A style, a script or a picture that is part of the program, under a name that changes with its content.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// One of them.
pub(crate) struct Asset {
    /// The last part of its path.
    name: String,
    path: String,
    kind: &'static str,
    content: &'static str,
}

impl Asset {
    /// `stem.HASH.css` below a folder, which ends with a slash.
    pub(crate) fn style(folder: &str, stem: &str, content: &'static str) -> Self {
        Self::new((folder, stem, "css"), "text/css; charset=utf-8", content)
    }

    /// `stem.HASH.js` below a folder.
    pub(crate) fn script(folder: &str, stem: &str, content: &'static str) -> Self {
        Self::new((folder, stem, "js"), "text/javascript; charset=utf-8", content)
    }

    /// `stem.HASH.svg` below a folder.
    pub(crate) fn picture(folder: &str, stem: &str, content: &'static str) -> Self {
        Self::new((folder, stem, "svg"), "image/svg+xml", content)
    }

    fn new((folder, stem, extension): (&str, &str, &str), kind: &'static str, content: &'static str) -> Self {
        let hash = hex::encode(Sha256::digest(content.as_bytes()));
        let name = format!("{stem}.{}.{extension}", hash.get(..16).unwrap_or_default());
        Self { path: format!("{folder}{name}"), name, kind, content }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The one of this name, kept for a year: under this name it never changes. `None`: this version has no such one.
    pub(crate) fn answer<'a>(all: impl IntoIterator<Item = &'a Self>, name: &str) -> Option<Response> {
        let asset = all.into_iter().find(|asset| asset.name == name)?;
        let kept = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
        Some(([(header::CONTENT_TYPE, asset.kind), kept], asset.content).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_is_another_name() {
        let style = |content| Asset::style("/watch/assets/", "watch", content);
        assert_ne!(style("a{}").path(), style("b{}").path());
        assert!(style("a{}").path().starts_with("/watch/assets/watch."));
        let old = style("a{}").name;
        assert!(Asset::answer([&style("b{}")], &old).is_none());
        assert_eq!(Asset::answer([&style("a{}")], &old).unwrap().headers()["content-type"], "text/css; charset=utf-8");
    }
}
