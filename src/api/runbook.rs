//! `GET /runbook`: what each incident means and what to do about it, where every message's link leads.
//!
//! The page is part of the program, needs no key and no database: it is read when nothing else works.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use pulldown_cmark::{Options, Parser, html};

/// Written for people who read it in the repository too.
const RUNBOOK: &str = include_str!("../../docs/runbook.md");

/// Rendered once.
static PAGE: LazyLock<String> = LazyLock::new(|| page(RUNBOOK));

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;\
                     color:#222;background:#fff}h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}\
                     code{background:#f3f3f3;padding:.1em .3em;border-radius:.2em}\
                     @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code{background:#2a2a2a}\
                     h2{border-color:#444}}";

/// What each incident means and what to do about it: where every message's link leads.
#[utoipa::path(get, path = "/runbook", tag = "watching",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(super) async fn show() -> Response {
    // It changes with the program only; an hour is short enough to see an upgrade.
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, PAGE.as_str()).into_response()
}

fn page(text: &str) -> String {
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(text, Options::empty()));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>komainu: runbook</title><style>{STYLE}</style></head>\
         <body>\n{body}</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use komainu_notifiers::Kind;

    use crate::api::support::Surface;

    #[tokio::test]
    async fn every_kind_has_its_anchor_in_the_page_and_nobody_needs_a_key() {
        let answer = Surface::plain().await.get("/runbook").await;
        assert_eq!(answer.code, 200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "public, max-age=3600");
        let page = String::from_utf8(answer.body).unwrap();
        for kind in Kind::ALL {
            assert!(page.contains(&format!("<a id=\"{}\"></a>", kind.as_str())), "{} has no anchor", kind.as_str());
        }
        assert!(page.contains("<h2>database: the database cannot be written, or nobody can judge</h2>"));
    }
}
