//! `--demo N`: monitors to watch, and a target of our own for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use axum::Router;
use axum::routing::any;
use tokio::net::TcpListener;

use super::{Args, prepare};
use crate::store::Store;
use crate::store::monitors::{self, MonitorFilter, MonitorSpec, MonitorView, NewMonitor};

/// In each of the target's answers: keyword monitors look for it.
const KEYWORD: &str = "guarded";

/// Of each demo monitor, in seconds: short enough that people see it beat.
const INTERVAL_S: u32 = 10;

/// Monitors of one page of a list.
const PAGE: u32 = 1_000;

const PREFIX: &str = "demo-";

/// Makes the demo's monitors that are missing, and starts the target if there are any. Returns how many there are.
pub(super) async fn run(store: &Store, args: &Args) -> anyhow::Result<u32> {
    let existing = existing(store).await?;
    if existing.is_empty() && args.demo == 0 {
        return Ok(0);
    }
    prepare::ensure_free(args.demo_port(), "target of the demo")?;
    serve(args.demo_port()).await?;
    let (stale, good): (Vec<_>, Vec<_>) = existing.into_iter().partition(|view| !is_at(&view.spec, args.demo_port()));
    for view in &stale {
        // One that is gone already is as good.
        let _ = monitors::delete(store, "up", view.spec.id, &[]).await?;
    }
    let known: BTreeSet<String> = good.into_iter().filter_map(|view| view.reference).collect();
    let again = stale.into_iter().filter_map(|view| number_of(view.reference.as_deref()));
    let wanted: BTreeSet<u32> = (1..=args.demo).chain(again).collect();
    let missing: Vec<NewMonitor> = wanted
        .into_iter()
        .filter(|number| !known.contains(&format!("{PREFIX}{number}")))
        .map(|number| monitor(number, args.demo_port()))
        .collect();
    if !missing.is_empty() {
        monitors::create_all(store, &missing).await?;
    }
    Ok(u32::try_from(known.len() + missing.len()).unwrap_or(u32::MAX))
}

async fn existing(store: &Store) -> anyhow::Result<Vec<MonitorView>> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = monitors::list(store, &MonitorFilter::default(), cursor.as_deref(), PAGE).await?;
        found.extend(page.items.into_iter().filter(|view| number_of(view.reference.as_deref()).is_some()));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

fn number_of(reference: Option<&str>) -> Option<u32> {
    reference?.strip_prefix(PREFIX)?.parse().ok()
}

/// Made for another `--port`: nothing answers there any more.
fn is_at(spec: &MonitorSpec, port: u16) -> bool {
    let in_url = spec.url.as_deref().and_then(|url| url::Url::parse(url).ok()).and_then(|url| url.port());
    spec.port.or(in_url) == Some(port)
}

/// Mostly http, every tenth keyword, every twentieth port.
fn monitor(number: u32, port: u16) -> NewMonitor {
    let spec = MonitorSpec {
        name: format!("demo {number}"),
        interval: INTERVAL_S,
        retry_interval: INTERVAL_S,
        timeout: f64::from(INTERVAL_S) * 0.8,
        ..MonitorSpec::default()
    };
    let url = Some(format!("http://127.0.0.1:{port}/{number}"));
    let spec = match (number % 20, number % 10) {
        (0, _) => {
            MonitorSpec { kind: "port".to_owned(), hostname: Some("127.0.0.1".to_owned()), port: Some(port), ..spec }
        }
        (_, 0) => MonitorSpec { kind: "keyword".to_owned(), url, keyword: Some(KEYWORD.to_owned()), ..spec },
        _ => MonitorSpec { url, ..spec },
    };
    NewMonitor {
        spec,
        reference: Some(format!("{PREFIX}{number}")),
        tags: vec!["demo".to_owned()],
        ..NewMonitor::default()
    }
}

/// Answers everything with 200, the keyword, and how often it was asked.
async fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {port} for the demo"))?;
    let asked = Arc::new(AtomicU64::new(0));
    let answer = move || {
        let count = asked.fetch_add(1, Ordering::Relaxed) + 1;
        std::future::ready(format!("this target is {KEYWORD}; request {count}\n"))
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_ten_looks_for_a_keyword_and_one_in_twenty_for_a_port() {
        let kinds: Vec<String> = (1..=20).map(|number| monitor(number, 8909).spec.kind).collect();
        let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
        assert_eq!((count("http"), count("keyword"), count("port")), (18, 1, 1));
    }

    #[test]
    fn a_monitor_of_another_port_is_recognised() {
        for number in [1, 10, 20] {
            let spec = monitor(number, 8909).spec;
            assert!(is_at(&spec, 8909) && !is_at(&spec, 9009), "{}", spec.kind);
        }
    }
}
