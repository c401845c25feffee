//! The stream that keeps pages fresh: it says that something changed, and the page fetches itself anew.

use std::collections::hash_map::DefaultHasher;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use komainu_watchdogs::view::View;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Counter, Desk, visit};

/// Streams at once: each holds a connection.
const MOST: usize = 2_000;

/// A connection that says nothing for longer is taken for dead by proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Those who may have a stream, and what they were told of last.
pub(super) struct Streams {
    room: Arc<Semaphore>,
    /// The view that was looked at last, by where it is, and its mark.
    marked: Mutex<Option<(Arc<View>, u64)>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), marked: Mutex::new(None) }
    }
}

impl Streams {
    /// What a view shows, without its ages: another number, and a page looks different.
    fn mark(&self, view: &Arc<View>) -> u64 {
        let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mark)) = marked.as_ref().filter(|(before, _)| Arc::ptr_eq(before, view)) {
            return *mark;
        }
        let mark = mark(view);
        *marked = Some((Arc::clone(view), mark));
        mark
    }
}

fn mark(view: &View) -> u64 {
    let mut calm = view.clone();
    (calm.checked_at, calm.verdict_age_ms) = (None, None);
    for watchdog in &mut calm.watchdogs {
        watchdog.last_seen_ms.0 = 0;
    }
    for node in &mut calm.nodes {
        node.last_seen_ms = None;
    }
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&calm).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// One who listens.
struct Listener {
    desk: Arc<Desk>,
    view: watch::Receiver<Arc<View>>,
    headers: HeaderMap,
    told: Option<u64>,
    _room: OwnedSemaphorePermit,
}

impl Listener {
    /// Waits for a change. `None`: signed out, or this process stops; the browser comes again by itself.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            let mark = {
                let view = Arc::clone(&self.view.borrow_and_update());
                self.desk.streams.mark(&view)
            };
            if self.told != Some(mark) {
                visit::caller(&self.desk, &self.headers).await?;
                self.told = Some(mark);
                return Some((Event::default().event("change").data(format!("{mark:x}")), self));
            }
            self.view.changed().await.ok()?;
        }
    }
}

/// Says `change` at once and whenever something did.
pub(super) async fn stream(State(desk): Counter, headers: HeaderMap) -> Response {
    let Some(caller) = visit::caller(&desk, &headers).await else { return StatusCode::UNAUTHORIZED.into_response() };
    if desk.inside.count(&caller).is_err() {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let Ok(room) = Arc::clone(&desk.streams.room).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Too many pages are open live; this one is fetched anew instead.\n")
            .into_response();
    };
    let stopping = desk.inside.state().stopping.clone();
    let listener = Listener { view: desk.inside.state().view.clone(), desk, headers, told: None, _room: room };
    Sse::new(changes(listener).take_until(stopping.cancelled_owned()))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

fn changes(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |listener| async { listener.next().await.map(|(event, listener)| (Ok(event), listener)) })
}
