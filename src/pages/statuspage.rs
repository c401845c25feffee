//! A page in the shapes of Statuspage's API v2, for clients that exist. Takes public types only.
//!
//! Shapes: <https://metastatuspage.com/api/v2>. Statuspage knows no component of which nothing is known: it is `degraded_performance` here,
//! so that nobody takes it for well.

use komainu_watchdogs::time::Wall;
use serde_json::{Value, json};

use super::feeds::{address, link};
use super::notice::{Kind, Stage};
use super::public::{PublicComponent, PublicGroup, PublicNotice, PublicPage, PublicUpdate};
use super::standing::Standing;
use super::words::{iso, words};

/// The latest notices that a list bears.
const MOST: usize = 50;

/// Which document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Document {
    Summary,
    Status,
    Components,
    Incidents,
    Unresolved,
    Maintenances,
    Upcoming,
    Active,
}

impl Document {
    pub(super) const ALL: [Self; 8] = [
        Self::Summary,
        Self::Status,
        Self::Components,
        Self::Incidents,
        Self::Unresolved,
        Self::Maintenances,
        Self::Upcoming,
        Self::Active,
    ];

    /// Below `api/v2/`.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Summary => "summary.json",
            Self::Status => "status.json",
            Self::Components => "components.json",
            Self::Incidents => "incidents.json",
            Self::Unresolved => "incidents/unresolved.json",
            Self::Maintenances => "scheduled-maintenances.json",
            Self::Upcoming => "scheduled-maintenances/upcoming.json",
            Self::Active => "scheduled-maintenances/active.json",
        }
    }
}

/// One of the documents; `as_of`: when what it says was read.
pub(super) fn document(which: Document, page: &PublicPage, base: &str, as_of: Wall) -> Value {
    let head = json!({
        "id": page.id,
        "name": page.title,
        "url": address(base, page),
        "time_zone": "Etc/UTC",
        "updated_at": iso(as_of),
    });
    let incidents = |keep: fn(&PublicNotice) -> bool| notices((page, base), Kind::Incident, (keep, as_of));
    let planned = |keep: fn(&PublicNotice) -> bool| notices((page, base), Kind::Maintenance, (keep, as_of));
    match which {
        Document::Summary => json!({
            "page": head,
            "components": components(page, as_of),
            "incidents": incidents(is_open),
            "scheduled_maintenances": planned(is_open),
            "status": status(page),
        }),
        Document::Status => json!({"page": head, "status": status(page)}),
        Document::Components => json!({"page": head, "components": components(page, as_of)}),
        Document::Incidents => json!({"page": head, "incidents": incidents(|_| true)}),
        Document::Unresolved => json!({"page": head, "incidents": incidents(is_open)}),
        Document::Maintenances => json!({"page": head, "scheduled_maintenances": planned(|_| true)}),
        Document::Upcoming => {
            json!({"page": head, "scheduled_maintenances": planned(|notice| notice.stage == Stage::Scheduled)})
        }
        Document::Active => json!({"page": head, "scheduled_maintenances": planned(is_active)}),
    }
}

fn is_open(notice: &PublicNotice) -> bool {
    !notice.stage.is_over()
}

fn is_active(notice: &PublicNotice) -> bool {
    matches!(notice.stage, Stage::InProgress | Stage::Verifying)
}

fn status(page: &PublicPage) -> Value {
    json!({"indicator": page.overall.indicator(), "description": words(page.language).overall(page.overall)})
}

/// Groups are components too, with those that stand in them.
fn components(page: &PublicPage, as_of: Wall) -> Vec<Value> {
    let mut shown = vec![];
    let mut place = 0;
    for group in &page.groups {
        if group.name.is_empty() {
            for component in &group.components {
                place += 1;
                shown.push(component_shown(page, component, None, (place, as_of)));
            }
            continue;
        }
        place += 1;
        shown.push(group_shown(page, group, (place, as_of)));
        for (at, component) in group.components.iter().enumerate() {
            shown.push(component_shown(page, component, Some(&group.id), (at + 1, as_of)));
        }
    }
    shown
}

fn group_shown(page: &PublicPage, group: &PublicGroup, (place, as_of): (usize, Wall)) -> Value {
    let standings: Vec<Standing> = group.components.iter().map(|component| component.standing).collect();
    json!({
        "id": group.id,
        "name": group.name,
        "status": Standing::of_all(&standings).statuspage(),
        "created_at": iso(page.changed_at),
        "updated_at": iso(as_of),
        "position": place,
        "description": null,
        "showcase": false,
        "start_date": null,
        "group_id": null,
        "page_id": page.id,
        "group": true,
        "only_show_if_degraded": false,
        "components": group.components.iter().map(|component| &component.id).collect::<Vec<_>>(),
    })
}

fn component_shown(
    page: &PublicPage,
    component: &PublicComponent,
    group: Option<&str>,
    (place, as_of): (usize, Wall),
) -> Value {
    json!({
        "id": component.id,
        "name": component.name,
        "status": component.standing.statuspage(),
        "created_at": iso(page.changed_at),
        "updated_at": iso(as_of),
        "position": place,
        "description": Some(&component.description).filter(|text| !text.is_empty()),
        "showcase": true,
        "start_date": null,
        "group_id": group,
        "page_id": page.id,
        "group": false,
        "only_show_if_degraded": false,
    })
}

fn notices(
    (page, base): (&PublicPage, &str),
    kind: Kind,
    (keep, as_of): (fn(&PublicNotice) -> bool, Wall),
) -> Vec<Value> {
    let of_kind = page.notices.iter().filter(|notice| notice.kind == kind && keep(notice)).take(MOST);
    of_kind.map(|notice| notice_shown((page, base), notice, as_of)).collect()
}

fn notice_shown((page, base): (&PublicPage, &str), notice: &PublicNotice, as_of: Wall) -> Value {
    let of_notice: Vec<Value> = page
        .groups
        .iter()
        .flat_map(|group| group.components.iter().map(move |component| (group, component)))
        .filter(|(_, component)| notice.components.iter().any(|(id, _)| *id == component.id))
        .enumerate()
        .map(|(at, (group, component))| {
            let group = Some(group.id.as_str()).filter(|_| !group.name.is_empty());
            component_shown(page, component, group, (at + 1, as_of))
        })
        .collect();
    notice_json((&page.id, &link(base, page, notice)), notice, &of_notice)
}

/// A notice with the components that it is about; `(page, shortlink)`: the page's id, and where the notice can be read.
pub(super) fn notice_json((page, shortlink): (&str, &str), notice: &PublicNotice, components: &[Value]) -> Value {
    let impact = match notice.kind {
        Kind::Incident => notice.impact.as_str(),
        Kind::Maintenance => "maintenance",
    };
    let (from, until) = notice.window.unzip();
    json!({
        "id": notice.id,
        "name": notice.title,
        "status": notice.stage.as_str(),
        "created_at": iso(notice.created_at),
        "updated_at": iso(notice.changed_at),
        "monitoring_at": notice.updates.iter().find(|update| update.stage == Stage::Monitoring).map(|update| iso(update.at)),
        "resolved_at": notice.ended_at().map(iso),
        "impact": impact,
        "shortlink": shortlink,
        "started_at": iso(notice.at()),
        "page_id": page,
        "scheduled_for": from.map(iso),
        "scheduled_until": until.map(iso),
        "incident_updates": notice.updates.iter().rev().map(|update| update_shown(notice, update)).collect::<Vec<_>>(),
        "components": components,
    })
}

fn update_shown(notice: &PublicNotice, update: &PublicUpdate) -> Value {
    json!({
        "id": update.id,
        "status": update.stage.as_str(),
        "body": update.words,
        "incident_id": notice.id,
        "created_at": iso(update.at),
        "updated_at": iso(update.at),
        "display_at": iso(update.at),
        "affected_components": null,
        "deliver_notifications": false,
        "custom_tweet": null,
        "tweet_id": null,
    })
}
