//! Times in which no watchdog could take a push, whatever the cause.
//!
//! Each watchdog proves each second that it could: on the connection of its intake, with packets as large as pushes make
//! them, under the locks that a push needs. The proof is a row of `komainu_intake`. Whoever proves it first after a gap in all
//! their proofs enters the gap in `komainu_outage`, in the same transaction: once, because the proofs are locked meanwhile.
//! What gaps make of a deadline is `komainu_watchdogs::heartbeat::limits`' business, and judged wherever a row is read.

use std::time::Duration;

use komainu_watchdogs::heartbeat::limits::{Gap, MOST_GAPS};
use komainu_watchdogs::heartbeat::{OUTAGE_AFTER, outage_since};
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::time::Wall;

use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::session::{Session, Statement};
use crate::store::value::{Row, values};

const ACT: &str = "prove that pushes can be taken";

/// Larger than what any network passes on in one piece: a path that swallows full packets swallows pushes.
const LARGE: usize = 12 * 1024;

/// From one look of a watchdog to the next that others see: its own end, a batch of pushes in between, and the next one whole;
/// less one, which is over by then.
const PROOF_TRIPS: u32 = 4;

/// A name that no heartbeat can have.
const NOBODY: &str = "";

/// When any watchdog last proved that it could take pushes, as an expression. A row from the future is that of a watchdog
/// that ended before the database's clock was set back.
pub(super) fn last_proof(dialect: Dialect) -> String {
    format!("(SELECT MAX(proved_at) FROM komainu_intake WHERE proved_at <= {})", dialect.now_ms())
}

/// Of the last gap, as an expression.
pub(super) const NEWEST_GAP: &str = "(SELECT COALESCE(MAX(id), 0) FROM komainu_outage)";

/// A look at whether pushes can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OutageLook {
    /// By the database's clock. What the transaction judges by later counts as of then: a host that is suspended in between
    /// must not judge by a time in which nobody could push.
    pub(super) at: Wall,
    /// Since when none can be taken, if so.
    pub(super) since: Option<Wall>,
}

/// Reads when the watchdogs last proved that they can store pushes.
pub(super) async fn look(session: &mut Session) -> Result<OutageLook, StoreError> {
    let sql = looking(session.dialect());
    let row = session.row(ACT, sql, vec![]).await?;
    look_of(patience(session), row)
}

/// From a proof on, no gap is seen for so long: where the database is far away, proofs are seldom.
pub(super) fn patience(session: &Session) -> Duration {
    session.allow_trips(OUTAGE_AFTER, PROOF_TRIPS)
}

fn looking(dialect: Dialect) -> String {
    format!("SELECT {} AS now_ms, {} AS last_proof", dialect.now_ms(), last_proof(dialect))
}

fn look_of(patience: Duration, row: Option<Row>) -> Result<OutageLook, StoreError> {
    let row = row.ok_or_else(|| StoreError::unreadable(ACT, "now_ms", "nothing"))?;
    let at = row.wall("now_ms")?;
    Ok(OutageLook { at, since: outage_since(row.maybe_wall("last_proof")?, at, patience) })
}

/// Proves it for this watchdog, and ends the gap that this ends.
///
/// `rehearse`: with a row that goes in and out of the history, after a push could not be stored: changing nothing succeeds
/// also where there is no room left.
pub(super) async fn prove(session: &mut Session, watchdog: &WatchdogId, rehearse: bool) -> Result<(), StoreError> {
    match prove_in(session, watchdog, rehearse).await {
        Ok((look, gap)) => {
            // As of the look: if this host stood still since, the gap that it made is still to be seen.
            let sql = format!(
                "INSERT INTO komainu_intake (watchdog_id, proved_at) VALUES (?, ?){}",
                session.dialect().or_update("watchdog_id", &["proved_at"])
            );
            let proof = (sql, values![watchdog, look.at]);
            session.commit_with(ACT, gap.into_iter().chain([proof]).collect()).await?;
            if let Some(began_at) = look.since {
                let lasted = look.at.since(began_at);
                tracing::warn!(outage.lasted_ms = %lasted.as_millis(), "no watchdog could take pushes: deadlines stood still");
            }
            Ok(())
        }
        Err(error) => {
            session.roll_back().await;
            Err(error)
        }
    }
}

/// Until nothing is left but to write it down: one round trip on MariaDB, so that none is waited for under locks.
async fn prove_in(
    session: &mut Session,
    watchdog: &WatchdogId,
    rehearse: bool,
) -> Result<(OutageLook, Option<Statement>), StoreError> {
    let filler = "-".repeat(LARGE);
    // A read: what is in the text of a writing statement is written to the server's log, second by second.
    let dialect = session.dialect();
    let locking = format!("SELECT /* {filler} */ name FROM komainu_heartbeat WHERE name = ?{}", dialect.for_update());
    let mut statements = vec![
        (looking(dialect), vec![]),
        (locking, values![NOBODY]),
        ("UPDATE komainu_heartbeat SET changed_at = 0 WHERE name = ?".to_owned(), values![NOBODY]),
    ];
    if rehearse {
        let sql = format!(
            "INSERT INTO komainu_push (name, push_id, at, time_us, status, message, watchdog_id) \
             VALUES (?, '', {}, 0, 'ok', ?, ?)",
            dialect.now_ms()
        );
        statements.push((sql, values![NOBODY, filler, watchdog]));
    }
    statements.push(("DELETE FROM komainu_push WHERE name = ?".to_owned(), values![NOBODY]));
    let mut answers = session.begin_each(ACT, statements).await?.into_iter();
    let look = look_of(patience(session), answers.next().and_then(|look| look.rows.into_iter().next()))?;
    if look.since.is_some() { end_gap(session, watchdog).await } else { Ok((look, None)) }
}

async fn end_gap(session: &mut Session, watchdog: &WatchdogId) -> Result<(OutageLook, Option<Statement>), StoreError> {
    // Two who come back at once: the second waits here, and then sees what the first wrote.
    let dialect = session.dialect();
    let locking = format!("SELECT watchdog_id FROM komainu_intake ORDER BY watchdog_id{}", dialect.for_update());
    let mut answers = session.each(ACT, vec![(locking, vec![]), (looking(dialect), vec![])]).await?;
    let look = look_of(patience(session), answers.pop().and_then(|look| look.rows.into_iter().next()))?;
    let sql = "INSERT INTO komainu_outage (began_at, ended_at, noticed_by) VALUES (?, ?, ?)".to_owned();
    Ok((look, look.since.map(|began_at| (sql, values![began_at, look.at, watchdog]))))
}

/// The last gaps that one connection knows of.
#[derive(Clone, Default, Debug)]
pub(super) struct Gaps {
    known: Vec<Gap>,
}

impl Gaps {
    /// Those that are known, in their order.
    pub(super) fn known(&self) -> &[Gap] {
        &self.known
    }

    fn newest(&self) -> i64 {
        self.known.last().map_or(0, |gap| gap.id)
    }

    /// Reads what is new, if there is: `newest` is that of the database now.
    pub(super) async fn refresh(&mut self, session: &mut Session, newest: i64) -> Result<(), StoreError> {
        if newest == self.newest() {
            return Ok(());
        }
        if newest < self.newest() {
            // A database that lost its tail.
            self.known.clear();
        }
        let new = after(session, self.newest()).await?;
        self.known.extend(new);
        let many = self.known.len().saturating_sub(MOST_GAPS);
        self.known.drain(..many);
        Ok(())
    }
}

/// The gaps after this one, in their order; of very many the last.
pub(super) async fn after(session: &mut Session, id: i64) -> Result<Vec<Gap>, StoreError> {
    let sql =
        format!("SELECT id, began_at, ended_at FROM komainu_outage WHERE id > ? ORDER BY id DESC LIMIT {MOST_GAPS}");
    let rows = session.rows("read the gaps", sql, values![id]).await?;
    let gap =
        |row: &Row| Ok(Gap { id: row.int("id")?, began_at: row.wall("began_at")?, ended_at: row.wall("ended_at")? });
    rows.iter().rev().map(gap).collect()
}
