//! Incidents and maintenances on a page: written, updated, read, deleted.

use std::collections::BTreeMap;

use komainu_watchdogs::time::Wall;

use super::writing::find;
use super::{Refusal, faulty, fresh_id, is_met, lock, raise, trail};
use crate::monitor::FieldFault;
use crate::pages::news::{heard, news};
use crate::pages::notice::{
    Draft, Impact, Kind, MOST_NOTICES, MOST_UPDATES, Notice, Update, components_fault, window_fault,
};
use crate::store::error::StoreError;
use crate::store::insert::inserted;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::subscriptions;
use crate::store::value::{Row, Value, values};

const COLUMNS: [&str; 16] = [
    "public_id",
    "slug",
    "kind",
    "title",
    "impact",
    "stage",
    "components",
    "starts_at",
    "ends_at",
    "turns_at",
    "resolved_at",
    "incident_id",
    "revision",
    "created_at",
    "created_by",
    "changed_at",
];

/// Rows of one statement.
const MANY: usize = 500;

/// The id of what was written; or why nothing was.
pub type Posted = Result<String, Refusal>;

/// Writes a new one on a page.
pub async fn post(store: &Store, by: &str, (slug, kind): (&str, Kind), draft: &Draft) -> Result<Posted, StoreError> {
    in_transaction!(store, "write on a page", |session| post_in(session, by, (slug, kind), draft).await)
}

pub(in crate::store) async fn post_in(
    session: &mut Session,
    by: &str,
    (slug, kind): (&str, Kind),
    draft: &Draft,
) -> Result<Posted, StoreError> {
    let (revision, now) = lock(session).await?;
    let Some(page) = find(session, slug).await? else { return Ok(Err(Refusal::Unknown)) };
    let components = draft.components.clone().unwrap_or_default();
    let window = (kind == Kind::Maintenance).then(|| window_fault(draft.starts_at, draft.ends_at)).transpose();
    let mut faults: Vec<FieldFault> = components_fault(&components, &page.definition).into_iter().collect();
    faults.extend(window.as_ref().err().cloned());
    let count = "SELECT COUNT(*) AS notices FROM komainu_page_notice WHERE slug = ?";
    let row = session.row("count what was written", count, values![slug]).await?;
    if row.map_or(Ok(0), |row| row.small("notices"))? >= MOST_NOTICES {
        let words = format!("a page bears at most {MOST_NOTICES}; delete old ones");
        faults.push(FieldFault::conflict("title", words));
    }
    if !faults.is_empty() {
        return Ok(Err(faulty(faults)));
    }
    let [first, ..] = kind.stages();
    let stage = draft.stage.unwrap_or(first);
    let mut notice = Notice {
        id: 0,
        public_id: fresh_id(),
        slug: slug.to_owned(),
        kind,
        title: draft.title.clone().unwrap_or_default(),
        impact: draft.impact.unwrap_or(Impact::None),
        stage,
        components,
        window: window.ok().flatten(),
        turns_at: None,
        resolved_at: stage.is_over().then_some(now),
        incident_id: draft.incident_id,
        revision: revision + 1,
        created_at: now,
        created_by: by.to_owned(),
        changed_at: now,
        updates: vec![],
    };
    notice.turns_at = notice.next_change(now);
    let (sql, values) = inserted(session.dialect(), "komainu_page_notice", &COLUMNS, vec![stored(&notice)]);
    session.execute("write on a page", Sql::Once(sql), values).await?;
    notice.updates.extend(say(session, by, &notice, draft).await?);
    let news = news(&page.definition, &notice, draft.words.as_deref(), (true, now));
    subscriptions::enter(session, &notice, &news).await?;
    raise(session, revision + 1).await?;
    trail::note_notice(session, (by, "page.post"), &notice, draft.words.as_deref()).await?;
    Ok(Ok(notice.public_id))
}

fn stored(notice: &Notice) -> Vec<Value> {
    let (starts_at, ends_at) = notice.window.unzip();
    values![
        &notice.public_id,
        &notice.slug,
        notice.kind.as_str(),
        &notice.title,
        notice.impact.as_str(),
        notice.stage.as_str(),
        serde_json::to_string(&notice.components).unwrap_or_default(),
        starts_at,
        ends_at,
        notice.turns_at,
        notice.resolved_at,
        notice.incident_id,
        notice.revision,
        notice.created_at,
        &notice.created_by,
        notice.changed_at,
    ]
}

/// What the draft says in words, if anything. Its row bears the notice's public id: the key that the database gave it is not known here.
async fn say(session: &mut Session, by: &str, notice: &Notice, draft: &Draft) -> Result<Option<Update>, StoreError> {
    let Some(words) = draft.words.clone() else { return Ok(None) };
    let sql = "INSERT INTO komainu_page_update (notice_id, stage, words, at, said_by) \
               SELECT id, ?, ?, ?, ? FROM komainu_page_notice WHERE public_id = ?";
    let values = values![notice.stage.as_str(), &words, notice.changed_at, by, &notice.public_id];
    session.execute("write on a page", sql, values).await?;
    Ok(Some(Update { id: 0, stage: notice.stage, words, at: notice.changed_at, said_by: by.to_owned() }))
}

/// Which one, and what the client had seen of it.
#[derive(Clone, Copy, Debug)]
pub struct Which<'a> {
    /// Its page.
    pub slug: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its public id.
    pub id: &'a str,
    /// One of these; empty: whatever is there.
    pub if_match: &'a [String],
}

/// Says something of one, or changes what was said of it as a whole.
pub async fn update(
    store: &Store,
    by: &str,
    which: Which<'_>,
    draft: &Draft,
) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, "write on a page", |session| update_in(session, by, which, draft).await)
}

pub(in crate::store) async fn update_in(
    session: &mut Session,
    by: &str,
    which: Which<'_>,
    draft: &Draft,
) -> Result<Result<(), Refusal>, StoreError> {
    let (revision, now) = lock(session).await?;
    let Some(page) = find(session, which.slug).await? else { return Ok(Err(Refusal::Unknown)) };
    let before = match seen(session, which).await? {
        Ok(before) => before,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let components = draft.components.clone();
    let window = before
        .window
        .map(|(from, until)| window_fault(Some(draft.starts_at.unwrap_or(from)), Some(draft.ends_at.unwrap_or(until))));
    let window = window.transpose();
    let mut faults: Vec<FieldFault> =
        components.iter().filter_map(|components| components_fault(components, &page.definition)).collect();
    faults.extend(window.as_ref().err().cloned());
    if draft.words.is_some() && before.updates.len() >= usize::try_from(MOST_UPDATES).unwrap_or(usize::MAX) {
        faults.push(FieldFault::conflict("text", format!("at most {MOST_UPDATES} updates are kept of one")));
    }
    if !faults.is_empty() {
        return Ok(Err(faulty(faults)));
    }
    let stage = draft.stage.unwrap_or(before.stage);
    let known = (heard(&before, now), before.window);
    let mut after = Notice {
        title: draft.title.clone().unwrap_or(before.title),
        impact: draft.impact.unwrap_or(before.impact),
        stage,
        components: components.unwrap_or(before.components),
        window: window.ok().flatten(),
        resolved_at: stage.is_over().then(|| before.resolved_at.unwrap_or(now)),
        revision: revision + 1,
        changed_at: now,
        ..before
    };
    after.turns_at = after.next_change(now);
    rewrite(session, &after).await?;
    after.updates.extend(say(session, by, &after, draft).await?);
    // Whoever reads the page sees that it went on, or that its time is another one, also where nobody says so in words.
    if draft.words.is_some() || known != (after.stage_at(now), after.window) {
        let news = news(&page.definition, &after, draft.words.as_deref(), (false, now));
        subscriptions::enter(session, &after, &news).await?;
    }
    raise(session, after.revision).await?;
    trail::note_notice(session, (by, "page.update"), &after, draft.words.as_deref()).await?;
    Ok(Ok(()))
}

/// Everything of it that may change.
async fn rewrite(session: &mut Session, after: &Notice) -> Result<(), StoreError> {
    let sets = [
        "title",
        "impact",
        "stage",
        "components",
        "starts_at",
        "ends_at",
        "turns_at",
        "resolved_at",
        "revision",
        "changed_at",
    ];
    let sets = sets.map(|column| format!("{column} = ?")).join(", ");
    let (starts_at, ends_at) = after.window.unzip();
    let components = serde_json::to_string(&after.components).unwrap_or_default();
    let values = values![
        &after.title,
        after.impact.as_str(),
        after.stage.as_str(),
        components,
        starts_at,
        ends_at,
        after.turns_at,
        after.resolved_at,
        after.revision,
        after.changed_at,
        after.id
    ];
    let sql = format!("UPDATE komainu_page_notice SET {sets} WHERE id = ?");
    session.execute("write on a page", sql, values).await.map(|_| ())
}

/// The one that is meant, if it is what the client had seen.
async fn seen(session: &mut Session, which: Which<'_>) -> Result<Result<Notice, Refusal>, StoreError> {
    let found = read(session, " WHERE slug = ? AND kind = ? AND public_id = ?", of(which)).await?;
    let Some(found) = found.into_iter().next() else { return Ok(Err(Refusal::Unknown)) };
    Ok(if is_met(which.if_match, Some(&found.etag())) { Ok(found) } else { Err(Refusal::Stale) })
}

fn of(which: Which<'_>) -> Vec<Value> {
    values![which.slug, which.kind.as_str(), which.id]
}

/// Takes one away with all that was said of it.
pub async fn delete_notice(store: &Store, by: &str, which: Which<'_>) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, "delete what was written", |session| delete_in(session, by, which).await)
}

async fn delete_in(session: &mut Session, by: &str, which: Which<'_>) -> Result<Result<(), Refusal>, StoreError> {
    let act = "delete what was written";
    let (revision, _) = lock(session).await?;
    let gone = match seen(session, which).await? {
        Ok(gone) => gone,
        Err(refusal) => return Ok(Err(refusal)),
    };
    session.execute(act, "DELETE FROM komainu_page_update WHERE notice_id = ?", values![gone.id]).await?;
    session.execute(act, "DELETE FROM komainu_page_notice WHERE id = ?", values![gone.id]).await?;
    // What the page says no longer is told no more.
    session.execute(act, "DELETE FROM komainu_page_news WHERE notice_id = ?", values![&gone.public_id]).await?;
    raise(session, revision + 1).await?;
    trail::note_notice(session, (by, "page.unpost"), &gone, None).await?;
    Ok(Ok(()))
}

/// One of them.
pub async fn notice(store: &Store, which: Which<'_>) -> Result<Option<Notice>, StoreError> {
    let mut lease = store.lease("read what was written").await?;
    let found = read(&mut lease, " WHERE slug = ? AND kind = ? AND public_id = ?", of(which)).await?;
    Ok(found.into_iter().next())
}

/// Those of a page, the latest first.
pub async fn notices(
    store: &Store,
    (slug, kind): (&str, Kind),
    cursor: Option<&str>,
    limit: u32,
) -> Result<super::super::Page<Notice>, StoreError> {
    let before = super::super::key_of_cursor(cursor)?.unwrap_or(i64::MAX);
    let values = values![slug, kind.as_str(), before, limit.saturating_add(1)];
    let mut lease = store.lease("read what was written").await?;
    let found = read(&mut lease, " WHERE slug = ? AND kind = ? AND id < ? ORDER BY id DESC LIMIT ?", values).await?;
    Ok(super::super::Page::cut(found, limit, |notice| notice.id.to_string()))
}

/// Those that meet the condition, with what was said of them.
pub(in crate::store) async fn read(
    session: &mut Session,
    condition: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Notice>, StoreError> {
    let act = "read what was written";
    let sql = format!("SELECT id, {} FROM komainu_page_notice{condition}", COLUMNS.join(", "));
    let rows = session.rows(act, sql, values).await?;
    let mut notices = rows.iter().filter_map(|row| notice_of(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<i64> = notices.iter().map(|notice| notice.id).collect();
    let mut updates: BTreeMap<i64, Vec<Update>> = BTreeMap::new();
    for part in ids.chunks(MANY) {
        let places = vec!["?"; part.len()].join(", ");
        let sql = format!(
            "SELECT id, notice_id, stage, words, at, said_by FROM komainu_page_update WHERE notice_id IN ({places}) ORDER BY id"
        );
        for row in session.rows(act, Sql::Once(sql), part.iter().map(|id| Value::from(*id)).collect()).await? {
            if let Some(update) = update_of(&row)? {
                updates.entry(row.int("notice_id")?).or_default().push(update);
            }
        }
    }
    for notice in &mut notices {
        notice.updates = updates.remove(&notice.id).unwrap_or_default();
    }
    Ok(notices)
}

/// `None`: of a kind or stage that only a newer komainu knows.
fn notice_of(row: &Row) -> Result<Option<Notice>, StoreError> {
    let Some(kind) = Kind::parse(&row.text("kind")?) else { return Ok(None) };
    let Some(stage) = kind.stage(&row.text("stage")?) else { return Ok(None) };
    let components = serde_json::from_str(&row.text("components")?).unwrap_or_default();
    Ok(Some(Notice {
        id: row.int("id")?,
        public_id: row.text("public_id")?,
        slug: row.text("slug")?,
        kind,
        title: row.text("title")?,
        impact: Impact::parse(&row.text("impact")?).unwrap_or(Impact::None),
        stage,
        components,
        window: row.maybe_wall("starts_at")?.zip(row.maybe_wall("ends_at")?),
        turns_at: row.maybe_wall("turns_at")?,
        resolved_at: row.maybe_wall("resolved_at")?,
        incident_id: row.maybe_int("incident_id")?,
        revision: row.count("revision")?,
        created_at: row.wall("created_at")?,
        created_by: row.text("created_by")?,
        changed_at: row.wall("changed_at")?,
        updates: vec![],
    }))
}

fn update_of(row: &Row) -> Result<Option<Update>, StoreError> {
    let text = row.text("stage")?;
    let stage = [Kind::Incident, Kind::Maintenance].into_iter().find_map(|kind| kind.stage(&text));
    let Some(stage) = stage else { return Ok(None) };
    let (id, words, at): (i64, String, Wall) = (row.int("id")?, row.text("words")?, row.wall("at")?);
    Ok(Some(Update { id, stage, words, at, said_by: row.text("said_by")? }))
}
