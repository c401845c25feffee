//! What the audit trail tells of pages; a password only as set, a picture only as there.

use serde_json::{Map, Value as Json, json};

use crate::pages::{Definition, Notice};
use crate::store::audit::{self, Deed};
use crate::store::error::StoreError;
use crate::store::session::Session;

type Fields = Map<String, Json>;

/// It was made, changed or deleted; of a change, what differs.
pub(super) async fn note_page(
    session: &mut Session,
    by: &str,
    before: Option<&Definition>,
    after: Option<&Definition>,
) -> Result<(), StoreError> {
    let slug = after.or(before).map_or("", |page| page.slug.as_str());
    let (what, was, is) = match (before, after) {
        (Some(before), Some(after)) => {
            let (mut was, mut is) = (fields(before), fields(after));
            was.retain(|field, value| is.get(field) != Some(value));
            is.retain(|field, _| was.contains_key(field));
            if before.password != after.password {
                was.insert("password".to_owned(), secret(before));
                is.insert("password".to_owned(), json!("(changed)"));
            }
            ("page.edit", Some(was), Some(is))
        }
        (None, after) => ("page.create", None, after.map(fields)),
        (before, None) => ("page.delete", before.map(fields), None),
    };
    let text = |fields: Option<Fields>| fields.map(|fields| Json::Object(fields).to_string());
    let subject = format!("page/{slug}");
    let deed = Deed { who: by.to_owned(), what: what.to_owned(), subject, before: text(was), after: text(is) };
    audit::append_in(session, &deed).await
}

/// Something was written on a page, or taken away.
pub(super) async fn note_notice(
    session: &mut Session,
    (by, what): (&str, &str),
    notice: &Notice,
    words: Option<&str>,
) -> Result<(), StoreError> {
    let told = json!({
        "id": notice.public_id,
        "kind": notice.kind.as_str(),
        "title": notice.title,
        "stage": notice.stage.as_str(),
        "impact": notice.impact.as_str(),
        "words": words,
    });
    let subject = format!("page/{}", notice.slug);
    let deed = Deed { who: by.to_owned(), what: what.to_owned(), subject, before: None, after: Some(told.to_string()) };
    audit::append_in(session, &deed).await
}

fn secret(page: &Definition) -> Json {
    if page.password.is_some() { json!("(set)") } else { Json::Null }
}

fn fields(page: &Definition) -> Fields {
    let mut fields = match serde_json::to_value(page) {
        Ok(Json::Object(fields)) => fields,
        Ok(_) | Err(_) => Fields::new(),
    };
    fields.insert("password".to_owned(), secret(page));
    let has_logo = page.logo.as_ref().map(|logo| format!("({} characters)", logo.len()));
    fields.insert("logo".to_owned(), json!(has_logo));
    fields
}
