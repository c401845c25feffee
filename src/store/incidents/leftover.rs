//! Incidents whose cause cannot end by itself any more, because what they are about is gone.
//!
//! Everything else is ended by whoever looks at what it is about: the rounds (nodes, watchdogs), the beats (monitors,
//! also deleted and paused ones), certificates, heartbeats. This is for what nobody looks at any longer.

use std::time::Duration;

use super::opening::resolve_on;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::values;

/// A channel that somebody used or tried in that time, or whose incident somebody saw bad, is in another watchdog's
/// configuration.
const UNUSED: Duration = Duration::from_secs(600);

/// Incidents looked at by one look.
const MOST: u32 = 1_000;

/// Ends those of channels that neither this configuration nor any other has, and of heartbeats and watchdogs that are gone;
/// says how many.
pub async fn end(store: &Store, channels: &[String]) -> Result<u32, StoreError> {
    let mut leftover = vec![];
    {
        let mut lease = store.lease("look for leftover incidents").await?;
        for (id, name) in unused_channels(&mut lease).await? {
            if !channels.contains(&name) {
                leftover.push((id, format!("no configuration has the channel {name} any more")));
            }
        }
        leftover.extend(gone_heartbeats(&mut lease).await?);
        leftover.extend(gone_watchdogs(&mut lease).await?);
    }
    let mut ended = 0;
    for (id, why) in leftover {
        let is_ended =
            in_transaction!(store, "end a leftover incident", |session| { resolve_on(session, id, &why).await })?;
        ended += u32::from(is_ended);
    }
    Ok(ended)
}

async fn unused_channels(session: &mut Session) -> Result<Vec<(i64, String)>, StoreError> {
    let (now, unused) = (session.dialect().now_ms(), UNUSED.as_millis());
    let sql = format!(
        "SELECT i.id, i.k FROM komainu_incident i LEFT JOIN komainu_channel c ON c.name = SUBSTR(i.k, 9) \
         WHERE i.resolved_at IS NULL AND i.k LIKE 'channel/%' AND i.last_bad_at < {now} - {unused} \
         AND COALESCE(c.last_sent_at, 0) < {now} - {unused} AND COALESCE(c.last_error_at, 0) < {now} - {unused} \
         ORDER BY i.id LIMIT ?"
    );
    let rows = session.rows("look for leftover incidents", sql, values![MOST]).await?;
    let named = rows.iter().map(|row| {
        let key = row.text("k")?;
        Ok((row.int("id")?, key.strip_prefix("channel/").unwrap_or(&key).to_owned()))
    });
    named.collect()
}

async fn gone_heartbeats(session: &mut Session) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = "SELECT i.id FROM komainu_incident i LEFT JOIN komainu_heartbeat h ON h.name = SUBSTR(i.k, 11) \
         WHERE i.resolved_at IS NULL AND i.k LIKE 'heartbeat/%' AND h.name IS NULL ORDER BY i.id LIMIT ?";
    let rows = session.rows("look for leftover incidents", sql, values![MOST]).await?;
    rows.iter().map(|row| Ok((row.int("id")?, "the heartbeat was deleted".to_owned()))).collect()
}

/// Whose own certificates ended or were about to.
async fn gone_watchdogs(session: &mut Session) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = "SELECT i.id FROM komainu_incident i LEFT JOIN komainu_watchdog w ON w.watchdog_id = SUBSTR(i.k, 22) \
         WHERE i.resolved_at IS NULL AND i.k LIKE 'certificate/watchdog-%' AND w.watchdog_id IS NULL \
         ORDER BY i.id LIMIT ?";
    let rows = session.rows("look for leftover incidents", sql, values![MOST]).await?;
    rows.iter().map(|row| Ok((row.int("id")?, "the watchdog was removed".to_owned()))).collect()
}
