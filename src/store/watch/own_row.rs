//! The own row of a watchdog: only its own process, or the successor of a dead one, writes it.

use std::time::Duration;

use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::Write;
use komainu_watchdogs::tail::{Claim, Counter, Mark};
use komainu_watchdogs::time::Mono;

use super::{WatchdogIdentity, observations};
use crate::clock;
use crate::store::error::StoreError;
use crate::store::session::Session;
use crate::store::value::{Row, Value, values};

/// A living watchdog writes each second. Shorter than it takes to call it no voter, so that one that was killed and
/// started again is hardly missed.
const DEAD_AFTER: Duration = Duration::from_secs(3);

/// Writes the row, as last seen now, with the words of this process in place of an earlier one's.
pub(super) async fn write(
    session: &mut Session,
    identity: &WatchdogIdentity,
    write: &Write,
    other: &mut Option<(Incarnation, u64, Mono)>,
) -> Result<(), StoreError> {
    let mine = write.report.incarnation;
    if update(session, identity, write, values![mine]).await? {
        *other = None;
        return Ok(());
    }
    let sql = "SELECT incarnation, seq, stopped, hostname FROM komainu_watchdog WHERE watchdog_id = ?";
    let row = session.row("read the watchdog's row", sql, values![&identity.watchdog]).await?;
    let Some(row) = row else {
        return insert(session, identity, write).await;
    };
    let (holder, seq) = (row.hex::<Incarnation>("incarnation")?, row.count("seq")?);
    let is_free = row.flag("stopped")? || is_dead(other, holder, seq, clock::now());
    if is_free && update(session, identity, write, values![holder, seq]).await? {
        *other = None;
        return Ok(());
    }
    Err(StoreError::IdInUse { id: identity.watchdog.to_string(), hostname: row.text("hostname")? })
}

/// Watches the counter of another process on this process's own clock.
fn is_dead(other: &mut Option<(Incarnation, u64, Mono)>, holder: Incarnation, seq: u64, now: Mono) -> bool {
    match other {
        Some((watched, counter, since)) if (*watched, *counter) == (holder, seq) => now.since(*since) >= DEAD_AFTER,
        _ => {
            *other = Some((holder, seq, now));
            false
        }
    }
}

/// `guard`: the incarnation the row must bear, and the counter if it is another's.
async fn update(
    session: &mut Session,
    identity: &WatchdogIdentity,
    write: &Write,
    guard: Vec<Value>,
) -> Result<bool, StoreError> {
    let seq_too = if guard.len() > 1 { " AND seq = ?" } else { "" };
    let sql = format!(
        "UPDATE komainu_watchdog SET incarnation = ?, seq = ?, zone = ?, advertise = ?, hostname = ?, version = ?, \
         isolated = ?, stopped = ?, words = ?, server = ?, {COUNTED}, last_seen = {} \
         WHERE watchdog_id = ? AND incarnation = ?{seq_too}",
        session.dialect().now_ms()
    );
    let server = values![session.server_name()];
    let values = [columns(identity, write), server, counted(write), values![&identity.watchdog], guard].concat();
    Ok(session.execute("write the watchdog's row", sql, values).await? == 1)
}

async fn insert(session: &mut Session, identity: &WatchdogIdentity, write: &Write) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO komainu_watchdog (incarnation, seq, zone, advertise, hostname, version, isolated, stopped, words, \
         server, watchdog_id, born, writes, last_seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {})",
        session.dialect().now_ms()
    );
    let counter = Counter::after(None, &write.claim, write.report.incarnation);
    let born = values![session.server_name(), &identity.watchdog, write.report.incarnation, counter.writes];
    let values = [columns(identity, write), born].concat();
    session.execute("write the watchdog's row", sql, values).await.map(|_| ())
}

/// What a write makes of the count, as [`Counter::after`] says. MariaDB goes from left to right and then sees what it has
/// written: what is compared comes before what changes it.
const COUNTED: &str = "lost_kept = CASE WHEN born = ? AND writes < ? THEN writes ELSE lost_kept END, \
     lost_kept_at = CASE WHEN born = ? AND writes < ? THEN last_seen ELSE lost_kept_at END, \
     lost_answered = CASE WHEN born = ? AND writes < ? THEN ? WHEN lost_answered = ? THEN NULL ELSE lost_answered END, \
     writes = CASE WHEN born = ? AND writes + 1 < ? THEN ? ELSE writes + 1 END, born = COALESCE(born, ?)";

fn counted(write: &Write) -> Vec<Value> {
    let Claim { born, answered, next, entered } = write.claim;
    let lost = || values![born, answered];
    let count = values![answered, entered, born, next, next, write.report.incarnation];
    [lost(), lost(), lost(), count].concat()
}

/// The count of a row.
pub(super) fn counter(row: &Row) -> Result<Counter, StoreError> {
    let loss = match row.maybe_int("lost_answered")? {
        None => None,
        Some(_) => Some(Mark {
            answered: row.count("lost_answered")?,
            kept: row.count("lost_kept")?,
            kept_at: row.wall("lost_kept_at")?,
        }),
    };
    Ok(Counter { born: row.maybe_hex("born")?, writes: row.count("writes")?, loss })
}

fn columns(identity: &WatchdogIdentity, write: &Write) -> Vec<Value> {
    let report = &write.report;
    values![
        report.incarnation,
        report.seq,
        &identity.zone,
        &identity.advertise,
        &identity.hostname,
        &identity.version,
        report.isolated,
        write.stopped,
        observations::of_report(report),
    ]
}
