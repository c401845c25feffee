//! The dashboard under `/watch`: what the cluster is and does, for people with a key, and hands to act with.
//!
//! Owns pages: what stands on them, who may see them, how they stay fresh. Knows nothing of its own about the cluster: what a page
//! shows is what the watchdog publishes and what the API answers, and what a hand does is a request to the API, with its guards,
//! its refusals and its audit trail. Every page works without JavaScript; a script keeps it fresh.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use self::atlas::Atlas;
use self::events::Streams;
use self::recall::Recall;
use self::ticket::Tickets;
use crate::api::Inside;
use crate::clock;
use crate::sealed::Seals;

pub(crate) use self::assets::{icon, style};
pub(crate) use self::frame::page_with;
pub(crate) use self::headers::protect;
pub(crate) use self::ticket::link as sign_in_link;

mod assets;
mod atlas;
mod audit;
mod channels;
pub(crate) mod chart;
mod checks;
mod deeds;
mod events;
pub(crate) mod form;
mod frame;
mod hands;
mod headers;
mod heartbeats;
mod incidents;
mod maintenances;
mod monitor;
mod monitors;
mod moves;
mod nodes;
mod origin;
mod overview;
mod pages;
mod programs;
mod recall;
mod session;
mod sign_in;
mod silences;
mod ticket;
pub(crate) mod visit;
mod wall;
pub(crate) mod words;

#[cfg(test)]
mod tests;

/// Where it stands. None of Kuma's own paths under the same host begin so.
pub(crate) const ROOT: &str = "/watch";

/// What all pages share.
struct Desk {
    inside: Inside,
    seals: Seals,
    recall: Recall,
    atlas: Atlas,
    streams: Streams,
    tickets: Tickets,
    /// Who may search and sort all monitors now.
    sorting: Arc<Semaphore>,
}

/// The extractor of what all pages share.
type Counter = axum::extract::State<Arc<Desk>>;

/// Every page.
pub(crate) fn routes(inside: Inside) -> Router {
    let seals = Seals::of(&inside.state().key);
    let (recall, atlas, streams) = (Recall::default(), Atlas::default(), Streams::default());
    let tickets = Tickets::since(clock::wall());
    let sorting = Arc::new(Semaphore::new(monitors::SORTED_AT_ONCE));
    let desk = Arc::new(Desk { inside, seals, recall, atlas, streams, tickets, sorting });
    // It ends when nobody has the pages any more.
    tokio::spawn(atlas::keep(Arc::downgrade(&desk)));
    let pages = Router::new()
        .route("/watch", get(overview::show))
        .route("/watch/monitors", get(monitors::list))
        .route("/watch/monitors/{id}", get(monitor::show))
        .route("/watch/checks", get(checks::list))
        .route("/watch/checks/{name}", get(checks::show))
        .route("/watch/heartbeats", get(heartbeats::list))
        .route("/watch/heartbeats/{name}", get(heartbeats::show))
        .route("/watch/audit", get(audit::list))
        .route("/watch/channels", get(channels::list))
        .route("/watch/moves", get(moves::list))
        .route("/watch/nodes", get(nodes::list))
        .route("/watch/silences", get(silences::list))
        .route("/watch/maintenances", get(maintenances::list))
        .route("/watch/pages", get(pages::list))
        .route("/watch/pages/{slug}", get(pages::show))
        .route("/watch/incidents", get(incidents::list))
        .route("/watch/incidents/{id}", get(incidents::show))
        .route("/watch/hands", get(hands::ask).post(hands::act))
        .route("/watch/wall", get(wall::show))
        .route("/watch/wall/tickets", post(wall::ticket))
        .route("/watch/sign-out", post(sign_in::sign_out))
        .layer(from_fn_with_state(Arc::clone(&desk), visit::admit))
        .route("/watch/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .layer(from_fn(origin::ensure_own))
        .layer(headers::compressed())
        // Neither a stream nor what is cached for a year is compressed for each who asks.
        .route("/watch/events", get(events::stream))
        .route("/watch/assets/{name}", get(assets::show))
        .route("/", get(overview::lead_there));
    pages.layer(from_fn(protect)).with_state(desk)
}
