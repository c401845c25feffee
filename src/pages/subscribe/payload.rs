//! What a subscriber's program is told: the shape of Statuspage's webhooks. Pure; of a page it takes public words only.

use komainu_watchdogs::time::Wall;
use serde_json::{Value, json};

use super::Links;
use crate::pages::News;
use crate::pages::notice::{Kind, Stage};
use crate::pages::statuspage::notice_json;
use crate::pages::words::iso;
use crate::store::subscriptions::asking::CONFIRMED_WITHIN;
use crate::store::subscriptions::claim::{Due, Message};

/// The body.
pub(crate) fn payload(links: &Links<'_>, due: &Due, now: Wall) -> Value {
    let page = |id: Option<&str>, title: &str| json!({"id": id, "name": title, "url": links.page(&due.slug)});
    match &due.message {
        Message::Greeting { wish, .. } => json!({
            "type": "subscription.confirm",
            "timestamp": iso(now),
            "page": page(None, &due.title),
            "confirm": links.confirming(due, &wish.nonce),
            "confirm_within_s": CONFIRMED_WITHIN.as_secs(),
        }),
        Message::News { news, .. } => {
            let notice = &news.notice;
            let components = notice.components.iter().map(|(id, name)| json!({"id": id, "name": name}));
            let components: Vec<Value> = components.collect();
            let shortlink = links.notice(&due.slug, &notice.id);
            json!({
                "type": kind(news),
                "timestamp": iso(news.at),
                "meta": {
                    "unsubscribe": links.leaving(due),
                    "generated_at": iso(news.at),
                    "may_be_repeated": due.may_be_repeated,
                },
                "page": page(Some(&news.page), &news.title),
                "incident": notice_json((&news.page, &shortlink), notice, &components),
            })
        }
    }
}

fn kind(news: &News) -> &'static str {
    match (news.notice.kind, news.notice.stage) {
        (_, Stage::Resolved) => "incident.resolved",
        (_, Stage::Completed) => "maintenance.completed",
        (Kind::Incident, _) if news.is_first => "incident.created",
        (Kind::Incident, _) => "incident.updated",
        (Kind::Maintenance, Stage::InProgress) if news.words.is_none() => "maintenance.begun",
        (Kind::Maintenance, _) if news.is_first => "maintenance.announced",
        (Kind::Maintenance, _) => "maintenance.updated",
    }
}
