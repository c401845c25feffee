//! A page in the shapes of Uptime Kuma's public JSON, for clients that exist. Takes public types only.
//!
//! Kuma numbers monitors; here each component has the number of its place on the page, which says nothing of monitors. Messages are empty.

use komainu_watchdogs::time::Wall;
use serde_json::{Map, Value, json};

use super::notice::Kind;
use super::public::{PublicNotice, PublicPage};
use super::standing::Standing;
use super::words::formatted;

/// `/api/status-page/{slug}`
pub(super) fn page(page: &PublicPage) -> Value {
    let mut number = 0;
    let groups = page.groups.iter().enumerate().map(|(at, group)| {
        let monitors = group.components.iter().map(|component| {
            number += 1;
            json!({"id": number, "name": component.name, "sendUrl": 0, "type": "manual"})
        });
        let monitors: Vec<Value> = monitors.collect();
        json!({"id": at + 1, "name": group.name, "weight": at + 1, "monitorList": monitors})
    });
    let groups: Vec<Value> = groups.collect();
    let planned: Vec<Value> = page.planned().enumerate().map(|(at, notice)| maintenance(at + 1, notice)).collect();
    json!({
        "config": {
            "slug": page.slug,
            "title": page.title,
            "description": page.description,
            "icon": "/icon.svg",
            "autoRefreshInterval": 300,
            "theme": "auto",
            "published": true,
            "showTags": false,
            "customCSS": "",
            "footerText": page.footer,
            "showPoweredBy": false,
            "googleAnalyticsId": null,
            "showCertificateExpiry": false,
        },
        "incident": page.open_incidents().next().map(incident),
        "publicGroupList": groups,
        "maintenanceList": planned,
    })
}

fn said(notice: &PublicNotice) -> &str {
    notice.updates.last().map_or("", |update| update.words.as_str())
}

/// As Kuma writes dates.
fn date(at: Wall) -> String {
    formatted(at, "%Y-%m-%d %H:%M:%S")
}

fn incident(notice: &PublicNotice) -> Value {
    json!({
        "id": 1,
        "style": "warning",
        "title": notice.title,
        "content": said(notice),
        "pin": 1,
        "createdDate": date(notice.created_at),
        "lastUpdatedDate": date(notice.changed_at),
    })
}

fn maintenance(number: usize, notice: &PublicNotice) -> Value {
    let is_on = notice.kind == Kind::Maintenance && notice.stage != super::notice::Stage::Scheduled;
    json!({
        "id": number,
        "title": notice.title,
        "description": said(notice),
        "strategy": "single",
        "active": true,
        "status": if is_on { "under-maintenance" } else { "scheduled" },
        "timeslotList": notice.window.map(|(from, until)| json!({"startDate": date(from), "endDate": date(until)})),
    })
}

/// `/api/status-page/heartbeat/{slug}`: of each component how it is now, and how much of the last day that was counted it was reached.
pub(super) fn heartbeats(page: &PublicPage, as_of: Wall) -> Value {
    let (mut beats, mut uptimes) = (Map::new(), Map::new());
    for (at, component) in page.components().enumerate() {
        let status = match component.standing {
            Standing::Operational | Standing::Degraded => 1,
            Standing::Unknown => 2,
            Standing::Partial | Standing::Major => 0,
            Standing::Maintenance => 3,
        };
        let number = at + 1;
        let beat = json!({"status": status, "time": date(as_of), "msg": "", "ping": null});
        beats.insert(number.to_string(), json!([beat]));
        let share = component.days.iter().rev().find_map(|(_, day)| day.share());
        uptimes.insert(format!("{number}_24"), json!(share));
    }
    json!({"heartbeatList": beats, "uptimeList": uptimes})
}
