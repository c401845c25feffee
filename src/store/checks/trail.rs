//! What the audit trail tells of checks: what was and what is, of what changed; secrets only as changed.

use serde_json::{Map, Value as Json, json};

use super::Check;
use crate::check::{Definition, quorum_json};
use crate::monitor::{Secrecy, field_of, secrecy};
use crate::store::audit::{self, Deed};
use crate::store::error::StoreError;
use crate::store::monitors::shown;
use crate::store::pool::Store;
use crate::store::session::Session;

/// One row: of the one check that was written, or of all of them together.
pub(super) async fn note(
    session: &mut Session,
    by: &str,
    written: &[(Option<&Check>, &Definition)],
) -> Result<(), StoreError> {
    let deed = match written {
        [] => return Ok(()),
        [(None, after)] => deed(by, "check.create", &after.name, (None, Some(whole(after)))),
        [(Some(before), after)] => {
            let (was, is) = difference(&before.definition, after);
            deed(by, "check.edit", &after.name, (Some(was), Some(is)))
        }
        many => {
            let items = many.iter().map(|(before, after)| match before {
                None => json!({"name": after.name, "created": after.kind}),
                Some(before) => {
                    let (_, is) = difference(&before.definition, after);
                    json!({"name": after.name, "fields": is.keys().collect::<Vec<_>>()})
                }
            });
            let after = Json::Array(items.collect()).to_string();
            let (who, what, subject) = (by.to_owned(), "check.bulk".to_owned(), "checks".to_owned());
            Deed { who, what, subject, before: None, after: Some(after) }
        }
    };
    audit::append_in(session, &deed).await
}

/// It is gone.
pub(super) async fn note_deletion(session: &mut Session, by: &str, gone: &Definition) -> Result<(), StoreError> {
    audit::append_in(session, &deed(by, "check.delete", &gone.name, (Some(whole(gone)), None))).await
}

/// It was tried, and nothing was made of it.
pub async fn note_trial(store: &Store, by: &str, tried: &Definition) -> Result<(), StoreError> {
    let (who, what, subject) = (by.to_owned(), "check.try".to_owned(), "checks".to_owned());
    let after = Some(Json::Object(whole(tried)).to_string());
    audit::append(store, &Deed { who, what, subject, before: None, after }).await
}

type Fields = Map<String, Json>;

fn deed(by: &str, what: &str, name: &str, (before, after): (Option<Fields>, Option<Fields>)) -> Deed {
    let text = |fields: Option<Fields>| fields.map(|fields| Json::Object(fields).to_string());
    let (who, what) = (by.to_owned(), what.to_owned());
    Deed { who, what, subject: format!("check/{name}"), before: text(before), after: text(after) }
}

/// By the names that the API has for them; secrets not shown.
fn whole(definition: &Definition) -> Fields {
    let mut fields = own(definition);
    let settings =
        definition.settings.iter().map(|(column, value)| (field_of(column).to_owned(), shown(column, value)));
    fields.extend(settings);
    fields
}

fn own(definition: &Definition) -> Fields {
    let fields = [
        ("type", json!(definition.kind)),
        ("interval", json!(definition.interval_s)),
        ("timeout", json!(definition.timeout_s)),
        ("quorum", quorum_json(definition.quorum)),
        ("zones", json!(definition.zones)),
        ("severity", json!(definition.severity)),
        ("channels", json!(definition.channels)),
        ("tags", json!(definition.tags)),
        ("paused", json!(definition.is_paused)),
        ("managed_by", json!(definition.managed_by)),
    ];
    fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

/// What differs: as it was, and as it is.
fn difference(before: &Definition, after: &Definition) -> (Fields, Fields) {
    let (mut was, mut is) = (own(before), own(after));
    was.retain(|field, value| is.get(field) != Some(value));
    is.retain(|field, _| was.contains_key(field));
    let columns = before.settings.keys().chain(after.settings.keys());
    for column in columns.filter(|column| before.settings.get(*column) != after.settings.get(*column)) {
        let of = |definition: &Definition| shown(column, definition.settings.get(column).unwrap_or(&Json::Null));
        let is_hidden = matches!(secrecy(column), Secrecy::Secret | Secrecy::Token);
        let new = if is_hidden { json!("(changed)") } else { of(after) };
        was.insert(field_of(column).to_owned(), of(before));
        is.insert(field_of(column).to_owned(), new);
    }
    (was, is)
}
