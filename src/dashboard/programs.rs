//! The page after a heartbeat was made: its secret, which nobody can show again, and programs to paste that send.

use askama::Template;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use clap::ValueEnum;
use komainu_watchdogs::view::View;
use serde_json::Value;

use super::deeds::encoded;
use super::frame::{Frame, Section, page};
use super::visit::{self, Visitor};
use super::{Desk, wall};
use crate::heartbeat::snippet::{self, Kind, Schedule, Values};

#[derive(Template)]
#[template(path = "programs.html")]
struct Programs {
    frame: Frame,
    title: String,
    name: String,
    path: String,
    secret: String,
    url: String,
    /// What each is for, and its text.
    programs: Vec<(&'static str, String)>,
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Curl => "Shell, with curl and openssl",
        Kind::Python => "Python 3, nothing else",
        Kind::Node => "Node.js 18 or later, nothing else",
        Kind::Systemd => "systemd: a service and its timer, with komainu wrap",
    }
}

/// Shows what the API answered, once.
pub(super) fn show(
    desk: &Desk,
    visitor: &Visitor,
    (headers, title): (&HeaderMap, String),
    heartbeat: &Value,
) -> Response {
    let view = desk.inside.view();
    let text = |field: &str| heartbeat.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, secret) = (text("name"), text("secret"));
    let url = addresses(desk, &view, headers);
    let schedule = Schedule::of(heartbeat);
    let values = Values { name: name.clone(), url: url.clone(), secret: secret.clone(), schedule };
    let programs = Kind::value_variants().iter().map(|kind| (words(*kind), snippet::text(*kind, &values)));
    page(&Programs {
        path: format!("/watch/heartbeats/{}", encoded(&name)),
        programs: programs.collect(),
        frame: Frame::of(desk, visitor, Section::Question, &view),
        title,
        name,
        secret,
        url,
    })
}

/// Where a job reaches the watchdogs: at their own addresses where the browser does too, else by the way by which it came.
fn addresses(desk: &Desk, view: &View, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = view.watchdogs.iter().find(|one| one.watchdog_id == desk.inside.state().watchdog);
    let is_at_its_own = own.is_some_and(|own| wall::is_at(&own.advertise, host));
    match host {
        Some(host) if !is_at_its_own => {
            let is_private = visit::is_private(headers, desk.inside.state().credentials.serving().is_some());
            format!("{}://{host}", if is_private { "https" } else { "http" })
        }
        Some(_) | None => {
            let all = view.watchdogs.iter().map(|one| one.advertise.trim_end_matches('/'));
            all.filter(|address| !address.is_empty()).collect::<Vec<_>>().join(",")
        }
    }
}
