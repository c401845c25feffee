//! The leadership's own connection: the advisory lock, the row that is the truth, and the decisions.
//!
//! Owns: claiming, renewing and giving up as DESIGN §5 says. Any error, timeout or mismatch closes the connection,
//! which gives the lock back; the next attempt makes a new one. When to claim is the core's to decide.

use komainu_notifiers::with_causes;
use komainu_watchdogs::decision::{Commit, Decision, Refusal};
use komainu_watchdogs::facts::{LeaderRow, Shard};
use komainu_watchdogs::ids::{Epoch, Incarnation};
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};
use komainu_watchdogs::time::Mono;
use std::time::Duration;

use super::again::Again;
use super::catalog;
use super::decisions::{self, DecisionOutcome};
use super::dialect::Dialect;
use super::error::StoreError;
use super::leader_lock::LeaderLock;
use super::session::{STATEMENT_TIMEOUT, Session, Statement};
use super::shard;
use super::url::DatabaseUrl;
use super::value::values;
use super::watch::{WatchdogIdentity, leader_row};
use crate::clock;

/// A hundred thousand monitors take a while to arrive (measured: 2 s); the leader's fence of 8 s must not pass meanwhile.
const SHARD_TIMEOUT: Duration = Duration::from_secs(6);
/// How long an answer to what only a leader does is waited for: just less than the leader's fence of 8 s. A Galera cluster
/// that lost a server commits nothing for 5 to 7 s, and a leadership is not lost for it.
const PATIENCE: Duration = Duration::from_millis(7_500);

/// Between two connections while a leadership is to be kept: a proxy takes a moment to find the next server.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The connection, opened at the first attempt.
pub struct Leadership {
    url: DatabaseUrl,
    cluster: String,
    identity: WatchdogIdentity,
    incarnation: Incarnation,
    link: Option<LockSession>,
}

struct LockSession {
    session: Session,
    lock: LeaderLock,
    /// Kuma has notifications here; asked when the connection is made.
    has_notifications: bool,
}

impl Leadership {
    /// Nothing is connected yet.
    pub fn new(url: DatabaseUrl, cluster_name: &str, identity: WatchdogIdentity, incarnation: Incarnation) -> Self {
        Self { url, cluster: cluster_name.to_owned(), identity, incarnation, link: None }
    }

    /// Performs one act; an error or a timeout closes the connection, which gives the lock back.
    pub async fn perform(&mut self, act: LeadershipAct) -> LeadershipAnswer {
        self.wait_for_answers(patience(act));
        let answer = match act {
            LeadershipAct::Attempt => self.attempt().await,
            LeadershipAct::Claim { seen, with_lock } => self.claim(seen, with_lock).await,
            LeadershipAct::Renew { epoch, with_lock } => self.keep_renewing(epoch, with_lock).await,
            LeadershipAct::Release => {
                self.release().await;
                Ok(LeadershipAnswer::Released)
            }
        };
        let answer = answer.unwrap_or_else(|error| LeadershipAnswer::Failed(with_causes(&error)));
        if matches!(answer, LeadershipAnswer::Failed(_) | LeadershipAnswer::Deposed(_)) {
            self.link = None;
        }
        answer
    }

    /// Carries out a decision in one guarded transaction.
    ///
    /// A deadlock (1213) rolled everything back before the commit: the same decision is tried again, and what meets others
    /// each time is refused, for nothing of it is done. A lock wait that timed out (1205) took 3 s of the leadership's 8.
    pub async fn commit(&mut self, decision: &Decision) -> Commit {
        self.wait_for_answers(PATIENCE);
        let mut again = Again::default();
        loop {
            let Some(link) = self.link.as_mut() else { return Commit::Failed("not connected".to_owned()) };
            match decisions::commit(&mut link.session, decision, &self.identity).await {
                Ok(DecisionOutcome::Done { stamp, moved }) => return Commit::Done { stamp, moved },
                Ok(DecisionOutcome::Refused(refusal)) => return Commit::Refused(refusal),
                Err(error @ StoreError::Contention { is_deadlock: true, .. }) if link.session.is_clean() => {
                    if !again.after(&error).await {
                        return Commit::Refused(Refusal::MetOthers);
                    }
                }
                Err(error) => {
                    self.link = None;
                    return Commit::Failed(with_causes(&error));
                }
            }
        }
    }

    /// Reads all monitors with their assignments.
    pub async fn read_shard(&mut self) -> Result<Shard, StoreError> {
        let act = "read the assignments";
        let not_connected = || StoreError::Lost { act, reason: "not connected".to_owned() };
        let read = self.link.as_mut().ok_or_else(not_connected)?.read_shard().await;
        if read.is_err() {
            self.link = None;
        }
        read
    }

    /// Round trips so far, of the present connection.
    pub fn trips(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.session.statements())
    }

    fn wait_for_answers(&mut self, limit: Duration) {
        if let Some(link) = &mut self.link {
            link.session.wait_for_answers(limit);
        }
    }

    async fn attempt(&mut self) -> Result<LeadershipAnswer, StoreError> {
        if self.link.as_ref().is_none_or(|link| !link.session.is_clean()) {
            self.link = None;
            self.link = Some(self.connect().await?);
        }
        let Some(link) = self.link.as_mut() else { return Ok(not_connected()) };
        let sql = "SELECT epoch, holder, watchdog_id, renewals, server FROM komainu_leader WHERE id = 1";
        let asked = vec![link.lock.attempt(), (sql.to_owned(), vec![])];
        let answers = link.session.each("read the leader", asked).await?;
        let [lock, leader] = answers.as_slice() else { return Err(StoreError::SchemaMissing) };
        let leader = leader.rows.first().ok_or(StoreError::SchemaMissing)?;
        let (row, leaders): (LeaderRow, _) = (leader_row(leader)?, leader.maybe_text("server")?);
        // Where there is no lock, a leader that went in order leaves its row to whoever comes first.
        let is_left = link.lock.is_nothing() && row.holder.is_none();
        let locked = link.lock.take(lock.rows.first())? || is_left;
        // A lock holds on one server alone: that it is free here says nothing of who leads on another one.
        let is_elsewhere = leaders.is_some() && leaders != link.session.server_name() && row.holder.is_some();
        if locked && is_elsewhere && !link.lock.is_nothing() {
            tracing::debug!(
                database.server = link.session.server().name,
                leader.server = leaders,
                "the lock of this server says nothing of who leads on another one: going by the leader's row"
            );
        }
        Ok(LeadershipAnswer::Attempted { locked: locked && !is_elsewhere, row })
    }

    async fn connect(&self) -> Result<LockSession, StoreError> {
        let mut session = Session::connect_afar(&self.url).await?;
        if session.dialect() == Dialect::MariaDb {
            // A holder whose host vanished is freed in 10 s, not in hours.
            session.batch("set up the session", "SET SESSION wait_timeout = 10").await?;
        }
        let lock = LeaderLock::of(&session, &self.url, &self.cluster);
        let has_notifications = catalog::has_notifications(&mut session).await?;
        Ok(LockSession { session, lock, has_notifications })
    }

    async fn claim(&mut self, seen: Epoch, with_lock: bool) -> Result<LeadershipAnswer, StoreError> {
        let Some(link) = self.link.as_mut() else { return Ok(not_connected()) };
        let sql = format!(
            "UPDATE komainu_leader SET epoch = epoch + 1, holder = ?, watchdog_id = ?, renewals = renewals + 1, \
             server = ?, claimed_at = {} WHERE id = 1 AND epoch = ?",
            link.session.dialect().now_ms()
        );
        let values = values![self.incarnation, &self.identity.watchdog, link.session.server_name(), seen];
        Ok(match link.write("claim the leadership", with_lock, (sql, values)).await? {
            Written::ReadOnly => LeadershipAnswer::Failed("the database server is read-only".to_owned()),
            Written::Rows(1) => LeadershipAnswer::Claimed(Epoch(seen.0 + 1)),
            Written::Rows(_) | Written::WithoutLock => LeadershipAnswer::ClaimLost,
        })
    }

    async fn renew(&mut self, epoch: Epoch, with_lock: bool) -> Result<LeadershipAnswer, StoreError> {
        let Some(link) = self.link.as_mut() else { return Ok(not_connected()) };
        let sql =
            "UPDATE komainu_leader SET renewals = renewals + 1, server = ? WHERE id = 1 AND epoch = ? AND holder = ?";
        let values = values![link.session.server_name(), epoch, self.incarnation];
        let deposed = |reason: &str| LeadershipAnswer::Deposed(reason.to_owned());
        Ok(match link.write("renew the leadership", with_lock, (sql.to_owned(), values)).await? {
            Written::WithoutLock => deposed("the advisory lock is not held any more"),
            Written::ReadOnly => deposed("the database server became read-only"),
            Written::Rows(1) => LeadershipAnswer::Renewed,
            Written::Rows(_) => deposed("another watchdog leads"),
        })
    }

    /// Where the row alone says who leads (Galera), a connection that ends takes nothing with it: the renewal goes on on
    /// the next one, at whichever server, as long as an answer is waited for.
    async fn keep_renewing(&mut self, epoch: Epoch, with_lock: bool) -> Result<LeadershipAnswer, StoreError> {
        let until = clock::now() + PATIENCE;
        loop {
            let outcome = self.renew(epoch, with_lock).await;
            let Err(error) = outcome else { return outcome };
            let rests_on_row = self.link.as_ref().is_some_and(|link| link.lock.is_nothing());
            if !rests_on_row || !self.connect_again(until).await {
                return Err(error);
            }
        }
    }

    /// Until then; whether there is a connection to a server of such a cluster.
    async fn connect_again(&mut self, until: Mono) -> bool {
        self.link = None;
        while clock::now() < until {
            clock::sleep_until((clock::now() + RECONNECT_PAUSE).min(until)).await;
            let left = until.since(clock::now());
            if let Ok(Ok(mut link)) = tokio::time::timeout(left, self.connect()).await {
                link.session.wait_for_answers(until.since(clock::now()));
                let is_such = link.lock.is_nothing();
                self.link = Some(link);
                return is_such;
            }
        }
        false
    }

    async fn release(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        // Whoever comes next need not wait until the row has stood still for long.
        let sql = "UPDATE komainu_leader SET holder = NULL WHERE id = 1 AND holder = ?";
        let _ = link.session.execute("leave the leadership", sql, values![self.incarnation]).await;
        // Closing gives the lock back too; asked for explicitly it is free before the socket is gone.
        let _ = link.lock.release(&mut link.session).await;
        link.session.close().await;
    }
}

/// How long an answer to this act is waited for.
fn patience(act: LeadershipAct) -> Duration {
    match act {
        // A follower is better off with a new connection.
        LeadershipAct::Attempt => STATEMENT_TIMEOUT,
        LeadershipAct::Claim { .. } | LeadershipAct::Renew { .. } => PATIENCE,
        // A process that stops waits for it.
        LeadershipAct::Release => Duration::from_secs(1),
    }
}

fn not_connected() -> LeadershipAnswer {
    LeadershipAnswer::Failed("not connected".to_owned())
}

/// What became of a write to the leader's row.
enum Written {
    /// The lock that it needs is not held: nothing was written.
    WithoutLock,
    /// A server that became a replica would refuse, or lose, what is written: nothing was.
    ReadOnly,
    /// So many rows fulfilled its conditions.
    Rows(u64),
}

impl LockSession {
    async fn read_shard(&mut self) -> Result<Shard, StoreError> {
        shard::read(&mut self.session, SHARD_TIMEOUT, self.has_notifications).await
    }

    /// Writes only while the lock is held, if it needs to be, and the server takes writes; on MariaDB in one round trip.
    ///
    /// Both are asked into variables of the session: a replica that repeats the statement gets their values with it, where
    /// it would find nobody's lock itself.
    async fn write(
        &mut self,
        act: &'static str,
        with_lock: bool,
        (sql, values): Statement,
    ) -> Result<Written, StoreError> {
        let (mine, asked) = if with_lock { self.lock.is_held() } else { ("1".to_owned(), vec![]) };
        if self.session.dialect() == Dialect::Sqlite {
            let is_mine = mine == "1";
            let written = async || self.session.execute(act, sql, values).await.map(Written::Rows);
            return if is_mine { written().await } else { Ok(Written::WithoutLock) };
        }
        let ask = format!("SET @komainu_mine = {mine}, @komainu_open = CAST(@@read_only AS CHAR) IN ('0', 'OFF')");
        let show = "SELECT CAST(@komainu_mine AS SIGNED) AS mine, CAST(@komainu_open AS SIGNED) AS open";
        let guarded = format!("{sql} AND @komainu_mine = 1 AND @komainu_open = 1");
        let answers = self.session.each(act, vec![(ask, asked), (show.to_owned(), vec![]), (guarded, values)]).await?;
        let [_, shown, written] = answers.as_slice() else { return Err(StoreError::SchemaMissing) };
        let shown = shown.rows.first().ok_or(StoreError::SchemaMissing)?;
        Ok(match (shown.flag("mine")?, shown.flag("open")?) {
            (false, _) => Written::WithoutLock,
            (true, false) => Written::ReadOnly,
            (true, true) => Written::Rows(written.changed),
        })
    }
}
