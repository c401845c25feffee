//! What has no use any more: wishes that nobody confirmed, those who were ended, news that are too old, and whoever subscribed to a page that is gone.

use std::time::Duration;

use super::asking::{CONFIRMED_WITHIN, millis};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;

/// Operators see so long why somebody was ended.
const ENDED_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Whoever was not told by then is not.
pub const NEWS_FOR: Duration = Duration::from_secs(14 * 86_400);

/// Rows deleted at once.
const BATCH: u32 = 1_000;

/// Takes a batch of each away; says how many. Call it again soon while that is not 0.
pub async fn sweep(store: &Store) -> Result<u64, StoreError> {
    let act = "sweep subscriptions";
    let now = store.dialect().now_ms();
    let before = |span: Duration| format!("{now} - {}", millis(span));
    let (wished, ended, told) = (before(CONFIRMED_WITHIN), before(ENDED_FOR), before(NEWS_FOR));
    let sql = format!(
        "UPDATE komainu_page_subscriber SET wish = NULL, greet_at = NULL WHERE wish IS NOT NULL AND state <> 'asked' AND asked_at < {wished}"
    );
    store.lease(act).await?.execute(act, sql, vec![]).await?;
    let mut swept = 0;
    for (table, condition) in [
        ("komainu_page_subscriber", format!("state = 'asked' AND asked_at < {wished}")),
        ("komainu_page_subscriber", format!("state = 'ended' AND wish IS NULL AND ended_at < {ended}")),
        ("komainu_page_subscriber", "slug NOT IN (SELECT slug FROM komainu_page)".to_owned()),
        ("komainu_page_news", format!("entered_at < {told}")),
    ] {
        let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id LIMIT {BATCH}");
        let old = store.lease(act).await?.rows(act, sql, vec![]).await?;
        let old = old.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
        if old.is_empty() {
            continue;
        }
        // What was confirmed meanwhile stays.
        let sql = format!("DELETE FROM {table} WHERE id IN ({}) AND ({condition})", id_list(&old));
        swept += store.lease(act).await?.execute(act, Sql::Once(sql), vec![]).await?;
    }
    Ok(swept)
}
