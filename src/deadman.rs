//! The dead-man: an outside address that is pinged while watching really happens, so that silence of everything is
//! noticed by somebody who expects to hear from us.
//!
//! Pings only while `/status` would answer 200: this watchdog's view is fresh, the database takes writes, a majority
//! lives, people can be told. Otherwise it stays silent, which is its whole message. The address is a secret: no log shows it.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::{Health, View};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

use crate::voice::Voice;
use crate::{channels, clock, probe};

/// Who expects to hear from this watchdog, and what it goes by.
#[derive(Clone, Debug)]
pub struct Deadman {
    /// Pinged with GET.
    pub url: Url,
    /// How often.
    pub interval: Duration,
    /// A view older than this is no view: three probe intervals.
    pub fresh_for: Duration,
}

/// Pings until it is dropped, or until nobody publishes views any more.
pub async fn run(deadman: Deadman, mut view: watch::Receiver<Arc<View>>, voice: Voice) {
    let http = match channels::client() {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "no dead-man pings: the HTTP client could not be made");
            return;
        }
    };
    let mut seen_at = clock::now();
    let mut due_at = clock::now();
    let mut was_told = None;
    // At most one: whoever takes long to answer keeps nobody from seeing what is published meanwhile.
    let mut pings = JoinSet::new();
    loop {
        tokio::select! {
            changed = view.changed() => match changed {
                Ok(()) => seen_at = clock::now(),
                Err(_) => return,
            },
            Some(Ok(outcome)) = pings.join_next() => tell(&mut was_told, outcome),
            () = clock::sleep_until(due_at) => {
                due_at = clock::now() + deadman.interval;
                let can_tell = !voice.ability().is_mute;
                let is_well = can_tell && is_well(&view.borrow_and_update(), seen_at, clock::now(), &deadman);
                if !is_well {
                    tell(&mut was_told, TurnOutcome::Silent);
                } else if pings.is_empty() {
                    let (http, url) = (http.clone(), deadman.url.clone());
                    pings.spawn(async move { ping(&http, &url).await });
                }
            }
        }
    }
}

/// The judgement of `/status`: 200.
fn is_well(view: &View, seen_at: Mono, now: Mono, deadman: &Deadman) -> bool {
    let is_fresh = now.since(seen_at) <= deadman.fresh_for;
    let is_watching = match view.status {
        Health::Ok | Health::Degraded => true,
        Health::Down => false,
    };
    is_fresh && is_watching && view.checked_at.is_some()
}

/// What came of one turn.
#[derive(Clone, PartialEq, Eq, Debug)]
enum TurnOutcome {
    Pinged,
    Silent,
    Failed(String),
}

async fn ping(http: &reqwest::Client, url: &Url) -> TurnOutcome {
    match http.get(url.clone()).send().await {
        Ok(answer) if answer.status().is_success() => TurnOutcome::Pinged,
        Ok(answer) => TurnOutcome::Failed(format!("HTTP {}", answer.status().as_u16())),
        Err(error) => TurnOutcome::Failed(probe::reason(&error).to_string()),
    }
}

/// Once per change: a dead-man that fails all night is one line.
fn tell(last: &mut Option<TurnOutcome>, outcome: TurnOutcome) {
    if last.as_ref() == Some(&outcome) {
        return;
    }
    match &outcome {
        TurnOutcome::Pinged => tracing::info!("the dead-man is pinged"),
        TurnOutcome::Silent => tracing::warn!("the dead-man is not pinged: this watchdog is not well"),
        TurnOutcome::Failed(reason) => tracing::warn!(reason, "the dead-man could not be pinged"),
    }
    *last = Some(outcome);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use komainu_watchdogs::time::Wall;

    use super::*;
    use crate::voice::tests::lost;

    fn view(status: Health) -> Arc<View> {
        Arc::new(View { status, checked_at: Some(Wall(1)), ..View::default() })
    }

    /// An outside service that counts, and answers with this status.
    async fn outside(status: u16) -> (Deadman, Arc<AtomicU32>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/secret", listener.local_addr().unwrap()).parse().unwrap();
        let pings = Arc::new(AtomicU32::new(0));
        let (counted, status) = (Arc::clone(&pings), http::StatusCode::from_u16(status).unwrap());
        let app = axum::Router::new().fallback(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { status }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let deadman = Deadman { url, interval: Duration::from_millis(20), fresh_for: Duration::from_secs(15) };
        (deadman, pings)
    }

    async fn wait_for_more(pings: &AtomicU32) {
        let (before, began_at) = (pings.load(Ordering::Relaxed), clock::now());
        while pings.load(Ordering::Relaxed) < before + 2 {
            assert!(clock::now().since(began_at) < Duration::from_secs(10), "no ping came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn it_is_pinged_while_watching_happens_and_not_while_it_does_not() {
        let (deadman, pings) = outside(200).await;
        let (publish, views) = watch::channel(view(Health::Ok));
        let voice = Voice::default();
        let task = tokio::spawn(run(deadman, views, voice.clone()));
        wait_for_more(&pings).await;
        publish.send_replace(view(Health::Degraded));
        wait_for_more(&pings).await;
        publish.send_replace(view(Health::Down));
        let before = pings.load(Ordering::Relaxed);
        // Time in which ten more would come.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let since = pings.load(Ordering::Relaxed) - before;
        assert!(since <= 1, "{since} pings, and only one may have been under way");
        publish.send_replace(view(Health::Ok));
        wait_for_more(&pings).await;
        drop(publish);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn while_a_service_takes_long_to_answer_views_are_seen() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping", listener.local_addr().unwrap()).parse().unwrap();
        let pings = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pings);
        let app = axum::Router::new().fallback(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>()
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let deadman = Deadman { url, interval: Duration::from_millis(20), fresh_for: Duration::from_secs(15) };
        let (publish, views) = watch::channel(view(Health::Ok));
        let task = tokio::spawn(run(deadman, views, Voice::default()));
        while pings.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // It ends at once with whoever publishes, though no answer came.
        drop(publish);
        tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
        assert_eq!(pings.load(Ordering::Relaxed), 1, "one at a time");
    }

    #[tokio::test]
    async fn whoever_can_tell_nobody_for_too_long_is_silent() {
        for (limit, expected) in [(900, true), (15, false)] {
            let (deadman, pings) = outside(200).await;
            let (_publish, views) = watch::channel(view(Health::Ok));
            let task = tokio::spawn(run(deadman, views, lost(Duration::from_secs(limit))));
            if expected {
                wait_for_more(&pings).await;
            } else {
                // Time in which ten would come.
                tokio::time::sleep(Duration::from_millis(200)).await;
                assert_eq!(pings.load(Ordering::Relaxed), 0);
            }
            task.abort();
        }
    }

    #[tokio::test]
    async fn an_old_view_or_none_is_no_reason_to_ping() {
        let (deadman, _) = outside(200).await;
        let (then, now) = (Mono::secs(1), Mono::secs(17));
        assert!(is_well(&view(Health::Ok), Mono::secs(2), now, &deadman));
        assert!(!is_well(&view(Health::Ok), then, now, &deadman));
        assert!(!is_well(&View { status: Health::Ok, ..View::default() }, now, now, &deadman));
    }

    #[tokio::test]
    async fn a_refusal_is_told_without_the_address() {
        let (deadman, _) = outside(404).await;
        let http = channels::client().unwrap();
        assert_eq!(ping(&http, &deadman.url).await, TurnOutcome::Failed("HTTP 404".to_owned()));
        let nowhere: Url = "http://127.0.0.1:1/secret".parse().unwrap();
        let TurnOutcome::Failed(reason) = ping(&http, &nowhere).await else { panic!("nobody listens there") };
        assert!(!reason.contains("secret"), "{reason}");
    }
}
