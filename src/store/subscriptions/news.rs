//! What pages say, entered as they say it.

use komainu_watchdogs::subscription::about;

use crate::pages::News;
use crate::pages::news::{heard, news};
use crate::pages::notice::Notice;
use crate::store::error::StoreError;
use crate::store::pages::{find, lock, notices_that};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::values;

/// Maintenances that go on in one transaction.
const MANY: u32 = 100;

/// Enters what is said, for those who subscribed; whoever calls it holds the lock of the pages.
pub(in crate::store) async fn enter(session: &mut Session, notice: &Notice, news: &News) -> Result<(), StoreError> {
    let act = "enter what subscribers are told";
    let anybody = "SELECT 1 AS one FROM komainu_page_subscriber WHERE slug = ? LIMIT 1";
    if session.row(act, anybody, values![&notice.slug]).await?.is_none() {
        return Ok(());
    }
    let before = "SELECT about FROM komainu_page_news WHERE notice_id = ? ORDER BY id DESC LIMIT 1";
    let before = session.row(act, before, values![&notice.public_id]).await?;
    let before = before.map(|row| row.text("about")).transpose()?;
    let before: Option<Vec<String>> = before.and_then(|text| serde_json::from_str(&text).ok());
    let about = about(before.as_deref(), &notice.components);
    let sql = "INSERT INTO komainu_page_news (slug, notice_id, about, body, entered_at) VALUES (?, ?, ?, ?, ?)";
    let text = |value: serde_json::Result<String>| value.unwrap_or_default();
    let (about, body) = (text(serde_json::to_string(&about)), text(serde_json::to_string(news)));
    session.execute(act, sql, values![&notice.slug, &notice.public_id, about, body, news.at]).await.map(|_| ())
}

/// Enters that maintenances began or ended by the clock; says how many did.
pub async fn turn(store: &Store) -> Result<usize, StoreError> {
    let act = "look for maintenances that go on";
    let sql =
        format!("SELECT 1 AS one FROM komainu_page_notice WHERE turns_at <= {} LIMIT 1", store.dialect().now_ms());
    if store.lease(act).await?.row(act, sql, vec![]).await?.is_none() {
        return Ok(0);
    }
    in_transaction!(store, act, |session| turn_in(session).await)
}

async fn turn_in(session: &mut Session) -> Result<usize, StoreError> {
    let (_, now) = lock(session).await?;
    let due = notices_that(session, " WHERE turns_at <= ? ORDER BY turns_at, id LIMIT ?", values![now, MANY]).await?;
    for notice in &due {
        let is_news = heard(notice, now) != notice.stage_at(now);
        if let Some(page) = find(session, &notice.slug).await?.filter(|_| is_news) {
            enter(session, notice, &news(&page.definition, notice, None, (false, now))).await?;
        }
        let sql = "UPDATE komainu_page_notice SET turns_at = ? WHERE id = ?";
        session.execute("note that a maintenance went on", sql, values![notice.next_change(now), notice.id]).await?;
    }
    Ok(due.len())
}
