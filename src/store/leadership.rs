//! The leadership's own connection: the advisory lock, the row that is the truth, and the decisions.
//!
//! Owns: claiming, renewing and giving up as DESIGN §5 says. Any error, timeout or mismatch closes the connection,
//! which gives the lock back; the next attempt makes a new one. When to claim is the core's to decide.

use komainu_watchdogs::decision::{Commit, Decision};
use komainu_watchdogs::facts::{LeaderRow, Shard};
use komainu_watchdogs::ids::{Epoch, Incarnation};
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};
use std::time::Duration;

use super::decisions::{self, Outcome};
use super::dialect::Dialect;
use super::error::StoreError;
use super::leader_lock::LeaderLock;
use super::session::{Purpose, STATEMENT_TIMEOUT, Session};
use super::shard;
use super::url::DatabaseUrl;
use super::value::values;
use super::watch::{WatchdogIdentity, leader_row};

/// A hundred thousand monitors take a while to arrive (measured: 2 s); the leader's fence of 8 s must not pass meanwhile.
const SHARD_TIMEOUT: Duration = Duration::from_secs(6);
/// A deadlock (1213) rolled everything back before the commit: the same decision may be tried again. A lock wait that
/// timed out (1205) is not: it took 3 s of the leadership's 8.
const ATTEMPTS: u32 = 3;

/// The connection, opened at the first attempt.
pub struct Leadership {
    url: DatabaseUrl,
    cluster: String,
    identity: WatchdogIdentity,
    incarnation: Incarnation,
    link: Option<Link>,
}

struct Link {
    session: Session,
    lock: LeaderLock,
}

impl Leadership {
    /// Nothing is connected yet.
    pub fn new(url: DatabaseUrl, cluster_name: &str, identity: WatchdogIdentity, incarnation: Incarnation) -> Self {
        Self { url, cluster: cluster_name.to_owned(), identity, incarnation, link: None }
    }

    /// Performs one act; an error or a timeout closes the connection, which gives the lock back.
    pub async fn perform(&mut self, act: LeadershipAct) -> LeadershipAnswer {
        let answer = match act {
            LeadershipAct::Attempt => self.attempt().await,
            LeadershipAct::Claim { seen, with_lock } => self.claim(seen, with_lock).await,
            LeadershipAct::Renew { epoch, with_lock } => self.renew(epoch, with_lock).await,
            LeadershipAct::Release => {
                self.release().await;
                Ok(LeadershipAnswer::Released)
            }
        };
        let answer = answer.unwrap_or_else(|error| LeadershipAnswer::Failed(chain(&error)));
        if matches!(answer, LeadershipAnswer::Failed(_) | LeadershipAnswer::Deposed(_)) {
            self.link = None;
        }
        answer
    }

    /// Carries out a decision in one guarded transaction.
    pub async fn commit(&mut self, decision: &Decision) -> Commit {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Some(link) = self.link.as_mut() else { return Commit::Failed("not connected".to_owned()) };
            match decisions::commit(&mut link.session, decision, &self.identity).await {
                Ok(Outcome::Done { stamp, moved }) => return Commit::Done { stamp, moved },
                Ok(Outcome::Refused(refusal)) => return Commit::Refused(refusal),
                Err(StoreError::Contention { is_deadlock: true, .. })
                    if attempt < ATTEMPTS && link.session.is_clean() => {}
                Err(error) => {
                    self.link = None;
                    return Commit::Failed(chain(&error));
                }
            }
        }
    }

    /// Reads all monitors with their assignments.
    pub async fn read_shard(&mut self) -> Result<Shard, StoreError> {
        let act = "read the assignments";
        let not_connected = || StoreError::Lost { act, reason: "not connected".to_owned() };
        let session = &mut self.link.as_mut().ok_or_else(not_connected)?.session;
        session.limit_statements_to(SHARD_TIMEOUT).await?;
        let read = match session.begin(act, Purpose::Snapshot).await {
            Ok(()) => {
                let read = shard::read(session).await;
                session.end(act, read).await
            }
            Err(error) => Err(error),
        };
        let is_limited = session.limit_statements_to(STATEMENT_TIMEOUT).await.is_ok();
        if read.is_err() || !is_limited {
            self.link = None;
        }
        read
    }

    /// Statements sent on the present connection.
    pub fn statements(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.session.statements())
    }

    async fn attempt(&mut self) -> Result<LeadershipAnswer, StoreError> {
        if self.link.as_ref().is_none_or(|link| !link.session.is_clean()) {
            self.link = None;
            self.link = Some(self.connect().await?);
        }
        let Some(link) = self.link.as_mut() else { return Ok(not_connected()) };
        let locked = link.lock.attempt(&mut link.session).await?;
        let sql = "SELECT epoch, holder, watchdog_id, renewals FROM komainu_leader WHERE id = 1";
        let row = link.session.row("read the leader", sql, vec![]).await?;
        let row: LeaderRow = leader_row(&row.ok_or(StoreError::SchemaMissing)?)?;
        Ok(LeadershipAnswer::Attempted { locked, row })
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let mut session = Session::connect_afar(&self.url).await?;
        if session.dialect() == Dialect::MariaDb {
            // A holder whose host vanished is freed in 10 s, not in hours.
            session.batch("set up the session", "SET SESSION wait_timeout = 10").await?;
        }
        let lock = LeaderLock::of(&mut session, &self.url, &self.cluster).await?;
        Ok(Link { session, lock })
    }

    async fn claim(&mut self, seen: Epoch, with_lock: bool) -> Result<LeadershipAnswer, StoreError> {
        let Some(link) = self.link.as_mut() else { return Ok(not_connected()) };
        if with_lock && !link.lock.is_held(&mut link.session).await? {
            return Ok(LeadershipAnswer::ClaimLost);
        }
        if is_read_only(&mut link.session).await? {
            return Ok(LeadershipAnswer::Failed("the database server is read-only".to_owned()));
        }
        let sql = format!(
            "UPDATE komainu_leader SET epoch = epoch + 1, holder = ?, watchdog_id = ?, renewals = renewals + 1, \
             claimed_at = {} WHERE id = 1 AND epoch = ?",
            link.session.dialect().now_ms()
        );
        let values = values![self.incarnation, &self.identity.watchdog, seen];
        let claimed = link.session.execute("claim the leadership", sql, values).await? == 1;
        Ok(if claimed { LeadershipAnswer::Claimed(Epoch(seen.0 + 1)) } else { LeadershipAnswer::ClaimLost })
    }

    async fn renew(&mut self, epoch: Epoch, with_lock: bool) -> Result<LeadershipAnswer, StoreError> {
        let Some(link) = self.link.as_mut() else { return Ok(not_connected()) };
        if with_lock && !link.lock.is_held(&mut link.session).await? {
            return Ok(LeadershipAnswer::Deposed("the advisory lock is not held any more".to_owned()));
        }
        if is_read_only(&mut link.session).await? {
            return Ok(LeadershipAnswer::Deposed("the database server became read-only".to_owned()));
        }
        let sql = "UPDATE komainu_leader SET renewals = renewals + 1 WHERE id = 1 AND epoch = ? AND holder = ?";
        let values = values![epoch, self.incarnation];
        let renewed = link.session.execute("renew the leadership", sql, values).await? == 1;
        let deposed = || LeadershipAnswer::Deposed("another watchdog leads".to_owned());
        Ok(if renewed { LeadershipAnswer::Renewed } else { deposed() })
    }

    async fn release(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        // Closing gives the lock back too; asked for explicitly it is free before the socket is gone.
        let _ = link.lock.release(&mut link.session).await;
        link.session.close().await;
    }
}

fn not_connected() -> LeadershipAnswer {
    LeadershipAnswer::Failed("not connected".to_owned())
}

/// A server that became a replica would refuse, or lose, what is written.
async fn is_read_only(session: &mut Session) -> Result<bool, StoreError> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(false);
    }
    let sql = "SELECT CAST(@@read_only AS CHAR) AS state";
    let state = session.row("ask whether the server takes writes", sql, vec![]).await?;
    let state = state.map_or(Ok(String::new()), |row| row.text("state"))?;
    Ok(!matches!(state.as_str(), "0" | "OFF"))
}

/// The error with its sources, for an answer that is a text.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
