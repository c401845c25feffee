//! The wall: what is wrong, in large letters, for a screen that nobody touches. Where its watchdog is gone it goes on at another one.
//!
//! While its watchdog answers, the page holds a ticket for each of the others: made by a POST, good once and for five minutes, to
//! read only, and no longer than its own session. Where its watchdog is gone it asks which of the others answers, and opens the
//! wall there with that ticket in the fragment, which no server, proxy or log sees.

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::view::{MonitorsView, View};
use serde::Serialize;
use url::Url;

use super::form::Form;
use super::frame::{Frame, Section, page, refusal};
use super::headers;
use super::overview::{Problem, problems, reasons};
use super::session::Session;
use super::ticket::Ticket;
use super::visit::{self, Visitor};
use super::words::{counted, grouped};
use crate::sealed::Purpose;

/// More are not read from across a room.
const MOST_PROBLEMS: usize = 12;

/// Other watchdogs that a wall goes on at.
const MOST_OTHERS: usize = 8;

#[derive(Template)]
#[template(path = "wall.html")]
struct Wall {
    frame: Frame,
    reasons: Vec<String>,
    problems: Vec<Problem>,
    more: usize,
    down: usize,
    monitors: MonitorsView,
    /// In JSON, for the script.
    others: String,
}

/// Another watchdog, as a browser reaches it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
struct Other {
    id: String,
    origin: String,
}

/// The others, where the page was opened at this watchdog's own address. Elsewhere a proxy stands before it, whose address is
/// the only one that this browser is known to reach, and who chooses another one by itself.
fn others(view: &View, me: &str, host: Option<&str>) -> Vec<Other> {
    let origin = |advertise: &str| Some(Url::parse(advertise).ok()?.origin()).filter(url::Origin::is_tuple);
    let own = view.watchdogs.iter().find(|one| one.watchdog_id.as_str() == me);
    let Some(own) = own.and_then(|own| origin(&own.advertise)) else { return vec![] };
    let own = own.ascii_serialization();
    if !is_at(&own, host) {
        return vec![];
    }
    // A page that came encrypted may not ask one that does not.
    let scheme = own.split(':').next().unwrap_or_default();
    let other = |one: &komainu_watchdogs::view::WatchdogView| {
        let origin = origin(&one.advertise)?.ascii_serialization();
        let is_alike = origin.split(':').next() == Some(scheme) && origin != own;
        (is_alike && one.status != "stopped").then(|| Other { id: one.watchdog_id.to_string(), origin })
    };
    view.watchdogs.iter().filter_map(other).take(MOST_OTHERS).collect()
}

/// Whether a browser that asked this host came to that very address.
pub(super) fn is_at(advertise: &str, host: Option<&str>) -> bool {
    let origin = Url::parse(advertise).map(|url| url.origin().ascii_serialization());
    let authority = origin.as_ref().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some() && authority == host
}

fn others_of(desk: &super::Desk, view: &View, headers: &HeaderMap) -> Vec<Other> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    others(view, desk.inside.state().watchdog.as_str(), host)
}

pub(super) async fn show(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Response {
    let view = desk.inside.view();
    let mut problems = problems(&desk, &visitor, &view).await;
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    let others = others_of(&desk, &view, &headers);
    let mut response = page(&Wall {
        reasons: reasons(&view),
        problems,
        more,
        down: desk.atlas.down(),
        monitors: view.monitors,
        others: serde_json::to_string(&others).unwrap_or_default(),
        frame: Frame::of(&desk, &visitor, Section::Elsewhere, &view),
    });
    let origins: BTreeSet<&str> = others.iter().map(|other| other.origin.as_str()).collect();
    if let Ok(policy) = HeaderValue::from_str(&headers::policy(origins)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A ticket for one of the others.
pub(super) async fn ticket(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let wanted = form.field("watchdog").unwrap_or_default();
    let is_known = others_of(&desk, &desk.inside.view(), &headers).iter().any(|other| other.id == wanted);
    let session = Session::sent(&headers, &desk.seals, visit::now());
    let Some(session) = session.filter(|_| is_known) else {
        return refusal(StatusCode::NOT_FOUND, "watchdog: a wall that was opened here goes on at none of this name");
    };
    let ticket = Ticket::to_read(&visitor.caller, wanted, (visit::now(), session.expires()));
    desk.seals.seal(Purpose::Wall, &ticket).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use komainu_watchdogs::time::Wall;
    use komainu_watchdogs::view::WatchdogView;

    use super::*;

    fn view(advertised: &[&str]) -> View {
        let row = |(number, advertise): (usize, &&str)| WatchdogView {
            watchdog_id: format!("w{}", number + 1).as_str().into(),
            status: "up",
            last_seen_ms: Wall(1),
            sees: BTreeMap::new(),
            advertise: (*advertise).to_owned(),
        };
        View { watchdogs: advertised.iter().enumerate().map(row).collect(), ..View::default() }
    }

    fn found(advertised: &[&str], host: &str) -> Vec<String> {
        others(&view(advertised), "w1", Some(host)).into_iter().map(|other| other.origin).collect()
    }

    #[test]
    fn a_wall_goes_on_at_the_others_where_it_was_opened_at_its_own_address() {
        let all = ["http://w1:8900", "http://w2:8900/x?y", "http://w3:8900"];
        assert_eq!(found(&all, "w1:8900"), ["http://w2:8900", "http://w3:8900"]);
        assert!(found(&all, "kuma.example").is_empty(), "through a proxy");
    }

    #[test]
    fn what_no_policy_should_name_is_left_out() {
        let all =
            ["https://w1", "http://w2", "https://w3;script-src *", "javascript:alert(1)", "https://w1", "https://w6"];
        assert_eq!(found(&all, "w1"), ["https://w6"]);
    }
}
