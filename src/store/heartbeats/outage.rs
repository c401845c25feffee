//! Times in which no watchdog could take a push, because none could write.
//!
//! Every watchdog writes its own row each second. Whoever writes first after a gap in all their writings accounts for it,
//! in the same transaction: the gap is recorded, and silence is forgiven for a while. Whoever wants to mark a heartbeat
//! late looks for a gap first, too.

use std::time::Duration;

use komainu_watchdogs::heartbeat::{forgiven_until, outage_since};
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::time::Wall;

use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::session::Session;
use crate::store::value::values;

const ACT: &str = "account for an outage";

/// When any watchdog last wrote its row, as an expression. A row from the future is that of a watchdog that ended before
/// the database's clock was set back.
pub(super) fn last_write(dialect: Dialect) -> String {
    format!("(SELECT MAX(last_seen) FROM komainu_watchdog WHERE last_seen <= {})", dialect.now_ms())
}

/// A look at whether anybody had written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    /// By the database's clock. What the transaction writes or judges by later counts as of then: a host that is suspended
    /// in between must neither hide the gap that this makes nor judge by a time in which nobody could push.
    pub(crate) at: Wall,
    /// There was an outage, and it is accounted for.
    pub(crate) ended_outage: bool,
}

/// Accounts for an outage that ends with this transaction, if there was one.
pub(crate) async fn notice_on(session: &mut Session, watchdog: &WatchdogId) -> Result<Look, StoreError> {
    let (at, began_at) = gap(session).await?;
    if began_at.is_none() {
        return Ok(Look { at, ended_outage: false });
    }
    // Two who come back at once: the second waits here, and then sees what the first wrote.
    let lock = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row(ACT, lock, vec![]).await?;
    let (now, began_at) = gap(session).await?;
    let Some(began_at) = began_at else { return Ok(Look { at: now, ended_outage: false }) };
    let sql = "INSERT INTO komainu_outage (began_at, ended_at, noticed_by) VALUES (?, ?, ?)";
    session.execute(ACT, sql, values![began_at, now, watchdog]).await?;
    forgive(session, began_at, now).await?;
    // The gap is over, also for those who look before this watchdog writes its row the next time.
    let sql = "UPDATE komainu_watchdog SET last_seen = ? WHERE watchdog_id = ?";
    if session.execute(ACT, sql, values![now, watchdog]).await? == 0 {
        tracing::debug!("an outage is accounted for by a watchdog that has no row yet");
    }
    let lasted = now.since(began_at);
    tracing::warn!(outage.lasted_ms = %lasted.as_millis(), "no watchdog could take pushes: silence is forgiven for a while");
    Ok(Look { at: now, ended_outage: true })
}

/// Now, and since when nobody has written, if that is too long ago.
async fn gap(session: &mut Session) -> Result<(Wall, Option<Wall>), StoreError> {
    let dialect = session.dialect();
    let sql = format!("SELECT {} AS now_ms, {} AS last_write", dialect.now_ms(), last_write(dialect));
    let row = session.row(ACT, sql, vec![]).await?;
    let row = row.ok_or_else(|| StoreError::unreadable(ACT, "now_ms", "nothing"))?;
    let now = row.wall("now_ms")?;
    Ok((now, outage_since(row.maybe_wall("last_write")?, now)))
}

/// Whatever was due since the gap began, or is due before its sender had time to come back, gets that time.
async fn forgive(session: &mut Session, began_at: Wall, now: Wall) -> Result<(), StoreError> {
    let dialect = session.dialect();
    let least = forgiven_until(now, Duration::ZERO);
    // `forgiven_until`, with the row's own grace.
    let until = format!("{}(?, ? + grace_s * 1000)", dialect.greatest());
    // In the order in which everybody locks them.
    let sql = format!(
        "UPDATE komainu_heartbeat{} SET deadline = {until}, changed_at = {}(changed_at + 1, ?) \
         WHERE state IN ('new', 'up') AND deadline > ? AND deadline < {until}",
        dialect.by_primary(),
        dialect.greatest()
    );
    session.execute(ACT, sql, values![least, now, now, began_at, least, now]).await.map(|_| ())
}
