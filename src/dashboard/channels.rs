//! Channels: by what people are told, what each took last, and what waits for it.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::frame::{Frame, Section, page};
use super::recall::Items;
use super::visit::Visitor;
use super::words::{At, grouped, span};

/// All of them: read now and then, so that they are known when the database goes.
pub(super) const ALL: &str = "/api/v1/channels";

#[derive(Template)]
#[template(path = "channels.html")]
struct Channels {
    frame: Frame,
    items: Vec<Channel>,
    /// Why people may not be told just now.
    troubles: Vec<String>,
    remembered: Option<String>,
}

/// A channel, as the API shows it.
#[derive(Deserialize)]
struct Channel {
    name: String,
    is_configured: bool,
    failures: u32,
    last_sent_at: Option<i64>,
    last_error: Option<String>,
    last_error_at: Option<i64>,
    waiting: u64,
    held: u64,
    failed: u64,
    oldest_due_at: Option<i64>,
}

impl Channel {
    /// The sign and the word for it.
    fn state(&self) -> (&'static str, &'static str) {
        match (self.is_configured, self.failures, self.last_sent_at) {
            (false, ..) => ("plain", "not configured here"),
            (true, 1.., _) => ("failing", "failing"),
            (true, 0, Some(_)) => ("ok", "works"),
            (true, 0, None) => ("new", "not used yet"),
        }
    }

    /// How many wait, are held, and were refused for good.
    fn counts(&self) -> [String; 3] {
        [self.waiting, self.held, self.failed].map(grouped)
    }

    fn sent(&self) -> Option<At> {
        self.last_sent_at.map(Wall).map(At)
    }

    /// What it said last when it refused, unless it took something since.
    fn error(&self) -> Option<(&str, Option<At>)> {
        let error = self.last_error.as_deref().filter(|error| !error.is_empty())?;
        Some((error, self.last_error_at.map(Wall).map(At)))
    }

    /// Since when the first of those that wait should have gone.
    fn overdue(&self, frame: &Frame) -> Option<At> {
        self.oldest_due_at.filter(|due| self.waiting > 0 && *due < frame.now.0).map(Wall).map(At)
    }
}

pub(super) async fn list(State(desk): super::Counter, Extension(visitor): Extension<Visitor>) -> Response {
    let read = desk.need_list::<Items<Channel>>(&visitor, (Section::Channels, ALL)).await;
    let (Items { items, .. }, age) = match read {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    page(&Channels {
        frame: Frame::of(&desk, &visitor, Section::Channels, &desk.inside.view()),
        items,
        troubles: desk.inside.state().voice.ability().reasons,
        remembered: age.map(span),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_a_channel_fares_is_said_in_a_word() {
        let state = |is_configured: bool, failures: u32, last_sent_at: Option<i64>| {
            let channel = json!({"name": "ops", "is_configured": is_configured, "failures": failures,
                "last_sent_at": last_sent_at, "last_error": null, "last_error_at": null, "waiting": 0, "held": 0,
                "failed": 0, "oldest_due_at": null});
            serde_json::from_value::<Channel>(channel).unwrap().state().1
        };
        let words = [(false, 3, None), (true, 3, Some(1)), (true, 0, Some(1)), (true, 0, None)]
            .map(|(is_configured, failures, sent)| state(is_configured, failures, sent));
        assert_eq!(words, ["not configured here", "failing", "works", "not used yet"]);
    }
}
