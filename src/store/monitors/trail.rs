//! What the audit trail tells of written monitors: what was and what is, of what changed; secrets only as changed.

use komainu_watchdogs::ids::MonitorId;
use serde_json::{Map, Value as Json, json};

use super::MonitorView;
use super::planning::Update;
use super::rows::NewRow;
use super::writing::{Change, Written};
use crate::monitor::{Secrecy, field_of, secrecy, veiled};
use crate::store::audit::{self, Deed};
use crate::store::error::StoreError;
use crate::store::session::Session;

/// What was written.
pub(super) struct Story<'a> {
    pub(super) written: &'a [Written],
    pub(super) new: &'a [NewRow],
    pub(super) updates: &'a [&'a Update],
}

/// One row: of the one monitor, or of all of them together.
pub(super) async fn note(session: &mut Session, by: &str, story: &Story<'_>) -> Result<(), StoreError> {
    let deed = match (story.written, story.new, story.updates) {
        ([], _, _) | (_, [], []) => return Ok(()),
        ([one], [new], _) => deed(by, "monitor.create", one.id, None, Some(of_new(new))),
        ([one], _, [update]) => {
            let (before, after) = of_update(update);
            deed(by, "monitor.edit", one.id, Some(before), Some(after))
        }
        (many, new, updates) => {
            let mut created = new.iter();
            let mut edits = updates.iter();
            let items = many.iter().filter_map(|one| match one.change {
                Change::Created => {
                    let new = created.next()?;
                    Some(json!({"id": one.id, "ref": one.reference, "created": new.columns.get("name")}))
                }
                Change::Updated => {
                    let update = edits.next()?;
                    let fields: Vec<&str> = update.columns.keys().map(|column| field_of(column)).collect();
                    let name = &update.before.spec.name;
                    Some(json!({"id": one.id, "ref": one.reference, "updated": name, "fields": fields}))
                }
                Change::Unchanged => None,
            });
            let after = Json::Array(items.collect());
            Deed {
                who: by.to_owned(),
                what: "monitor.bulk".to_owned(),
                subject: "monitors".to_owned(),
                before: None,
                after: Some(after.to_string()),
            }
        }
    };
    audit::append_in(session, &deed).await
}

/// It is gone.
pub(super) async fn note_deletion(session: &mut Session, by: &str, gone: &MonitorView) -> Result<(), StoreError> {
    let columns = gone.columns.iter().filter(|(_, value)| !value.is_null());
    let mut before = Map::new();
    for (name, value) in columns {
        before.insert(field_of(name).to_owned(), shown(name, value));
    }
    before.insert("ref".to_owned(), json!(gone.reference));
    before.insert("tags".to_owned(), json!(gone.tags));
    before.insert("channels".to_owned(), json!(gone.channels));
    before.insert("node_id".to_owned(), json!(gone.node_id));
    audit::append_in(session, &deed(by, "monitor.delete", gone.spec.id, Some(Json::Object(before)), None)).await
}

fn deed(by: &str, what: &str, id: MonitorId, before: Option<Json>, after: Option<Json>) -> Deed {
    Deed {
        who: by.to_owned(),
        what: what.to_owned(),
        subject: format!("monitor/{id}"),
        before: before.map(|value| value.to_string()),
        after: after.map(|value| value.to_string()),
    }
}

fn of_new(new: &NewRow) -> Json {
    let mut after: Map<String, Json> =
        new.columns.iter().map(|(name, value)| (field_of(name).to_owned(), shown(name, value))).collect();
    after.insert("ref".to_owned(), json!(new.reference));
    after.insert("node_id".to_owned(), json!(new.node_id));
    after.insert("tags".to_owned(), json!(new.tags));
    if let Some(wish) = new.second_opinion {
        after.insert("second_opinion".to_owned(), json!(wish));
    }
    Json::Object(after)
}

fn of_update(update: &Update) -> (Json, Json) {
    let (mut before, mut after) = (Map::new(), Map::new());
    for (name, value) in &update.columns {
        let was = update.before.columns.get(name).unwrap_or(&Json::Null);
        before.insert(field_of(name).to_owned(), shown(name, was));
        let is_hidden = matches!(secrecy(name), Secrecy::Secret | Secrecy::Token);
        let shown = if is_hidden { json!("(changed)") } else { shown(name, value) };
        after.insert(field_of(name).to_owned(), shown);
    }
    let own = &update.described;
    let view = &update.before;
    let pairs = [
        ("ref", json!(view.reference), own.reference.as_ref().map(|value| json!(value))),
        ("channels", json!(view.channels), own.channels.as_ref().map(|value| json!(value))),
        ("run_on", json!(view.run_on), own.run_on.as_ref().map(|value| json!(value))),
        ("second_opinion", json!(view.second_opinion), own.second_opinion.map(|value| json!(value))),
        ("managed_by", json!(view.managed_by), own.managed_by.as_ref().map(|value| json!(value))),
        ("tags", json!(view.tags), update.tags.as_ref().map(|value| json!(value))),
    ];
    for (name, was, is) in pairs {
        if let Some(is) = is {
            before.insert(name.to_owned(), was);
            after.insert(name.to_owned(), is);
        }
    }
    (Json::Object(before), Json::Object(after))
}

pub(in crate::store) fn shown(column: &str, value: &Json) -> Json {
    match secrecy(column) {
        Secrecy::Open => value.clone(),
        Secrecy::Address => veiled(value),
        Secrecy::Token | Secrecy::Secret if value.is_null() => Json::Null,
        Secrecy::Token | Secrecy::Secret => json!("(not shown)"),
    }
}
