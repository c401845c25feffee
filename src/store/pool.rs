//! Connections for everything that has none of its own: a few for each use, opened when needed.
//!
//! Owns lending and taking back. Each [`Share`] has a bound of its own and lends only what is its own, so whoever asks
//! for more than there is waits for, and is refused by, nobody but themselves. A connection comes back only when nothing
//! is open or half done on it; whatever was cancelled in the middle closes its connection, and the server rolls back.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use komainu_watchdogs::ids::WatchdogId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::catalog::Catalog;
use super::dialect::Dialect;
use super::error::StoreError;
use super::server::Server;
use super::session::Session;
use super::tenure::{NodeProcess, TenureConnection};
use super::url::DatabaseUrl;
use super::watch::{Errands, Watch, WatchdogIdentity};

/// A caller who waits longer than this has its own trouble, not the database's.
const PATIENCE: Duration = Duration::from_secs(3);
/// Reads of the API give way first: their clients can ask another watchdog.
const PATIENCE_OF_READS: Duration = Duration::from_secs(1);
/// How often what belongs to a round is tried when it met another transaction (1205, 1213).
pub(crate) const ATTEMPTS: u32 = 3;

/// What connections are for. Their numbers together, over all watchdogs and nodes, stay below MariaDB's default of 151;
/// `docs/database.md` adds them up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// One program with one business: a node, a command, a migration. A watchdog only looks at the schema with it.
    Whole,
    /// What people are told: incidents of monitors and certificates, the outbox, what a blackout left.
    Alerts,
    /// Reads of the API.
    Reads,
    /// What the API writes, and whose key a request bears.
    Wishes,
    /// Deleting what is too old.
    Upkeep,
    /// Telling those who subscribed to public pages: alerts have their own.
    Subscribers,
    /// Strangers who subscribe: what operators wish has its own.
    Strangers,
}

impl Share {
    fn most_connections(self) -> usize {
        match self {
            Self::Whole => 8,
            // Scout, two watchers, what is found of checks, silences, ladders, and couriers, of which few are at the database at the same
            // moment; where a trip takes a second four were too few.
            Self::Alerts => 6,
            Self::Reads => 3,
            Self::Upkeep | Self::Strangers => 1,
            // Of subscribers: mails, and webhooks.
            Self::Wishes | Self::Subscribers => 2,
        }
    }

    fn patience(self) -> Duration {
        match self {
            Self::Reads => PATIENCE_OF_READS,
            Self::Whole | Self::Alerts | Self::Wishes | Self::Upkeep | Self::Subscribers | Self::Strangers => PATIENCE,
        }
    }
}

/// The way to the database; cheap to clone. Clones lend from the same share.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

/// What all shares of one way have in common.
struct Shared {
    url: DatabaseUrl,
    dialect: Dialect,
    catalog: Mutex<Option<Arc<Catalog>>>,
    /// The schema was found to fit.
    is_checked: AtomicBool,
}

/// The connections of one share.
struct Pool {
    share: Share,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    fn of(share: Share) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(share.most_connections()));
        Arc::new(Self { share, idle: Mutex::new(Vec::new()), permits })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.shared.url).finish()
    }
}

impl Store {
    /// Connects once, so that a wrong URL is found at the start.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let store = Self::unconnected(url);
        store.lease("connect").await?;
        Ok(store)
    }

    /// Connects when it is first needed: a watchdog starts while the database is away, too.
    pub fn unconnected(url: &DatabaseUrl) -> Self {
        let shared = Shared {
            url: url.clone(),
            dialect: url.dialect(),
            catalog: Mutex::new(None),
            is_checked: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), pool: Pool::of(Share::Whole) }
    }

    /// The same way with connections of its own for this use: they are lent to its clones, and to nobody else.
    #[must_use]
    pub fn share(&self, share: Share) -> Self {
        Self { shared: Arc::clone(&self.shared), pool: Pool::of(share) }
    }

    /// Where it is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.shared.url
    }

    /// The server that all connections of this process use, as it said last; none before the first one, and for a file.
    pub fn server(&self) -> Option<Server> {
        self.shared.url.servers().used()
    }

    /// Several servers are written to: it is looked where this process's connections lead.
    pub fn doubt_server(&self) {
        super::servers::doubt(self.url());
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    /// Refuses a database whose tables are older or newer than this komainu can work with.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let mut lease = self.lease("check the schema").await?;
        super::migrate::check(&mut lease).await?;
        self.shared.is_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the database answers, on a connection of the pool.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.lease("ping the database").await?.batch("ping the database", "SELECT 1").await
    }

    /// A watchdog's own connection for its rounds.
    pub async fn watch(&self, identity: WatchdogIdentity) -> Result<Watch, StoreError> {
        let mut watch = Watch::connect(self, identity).await?;
        // A process that started while the database was away, or too far for the pool, has not seen it yet.
        if !self.shared.is_checked.load(Ordering::Relaxed) {
            watch.check_schema().await?;
            self.shared.is_checked.store(true, Ordering::Relaxed);
        }
        Ok(watch)
    }

    /// A connection for what a watchdog does beside its rounds.
    pub async fn errands(&self, watchdog: &WatchdogId) -> Result<Errands, StoreError> {
        Errands::connect(self, watchdog).await
    }

    /// A node process's own connection for its lease and its assignments.
    pub async fn tenure(&self, process: NodeProcess) -> Result<TenureConnection, StoreError> {
        TenureConnection::connect(self, process).await
    }

    /// What tables and columns there are; read once.
    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, StoreError> {
        match self.known_catalog() {
            Some(catalog) => Ok(catalog),
            None => Ok(self.keep_catalog(Catalog::read(&mut *self.lease("read the catalog").await?).await?)),
        }
    }

    pub(crate) fn known_catalog(&self) -> Option<Arc<Catalog>> {
        self.shared.catalog.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_catalog(&self, catalog: Catalog) -> Arc<Catalog> {
        let catalog = Arc::new(catalog);
        *self.shared.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&catalog));
        catalog
    }

    /// Tables, columns or indexes were changed: the next statement is made of what there is then.
    pub(crate) fn forget_catalog(&self) {
        *self.shared.catalog.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Borrows a connection.
    pub(crate) async fn lease(&self, act: &'static str) -> Result<Lease, StoreError> {
        let (permits, patience) = (Arc::clone(&self.pool.permits), self.allow(self.pool.share.patience()));
        let Ok(Ok(permit)) = tokio::time::timeout(patience, permits.acquire_owned()).await else {
            return Err(StoreError::PoolTimeout { act, millis: patience.as_millis() });
        };
        let session = match self.take_idle().await {
            Some(session) => session,
            None => Session::connect(&self.shared.url).await?,
        };
        Ok(Lease { session: Some(session), store: self.clone(), _permit: permit })
    }

    /// A limit that was chosen for a near database, with room for the trips to this one.
    pub fn allow(&self, near: Duration) -> Duration {
        self.shared.url.distance().allow(near)
    }

    /// An idle connection that still answers: the server may have been restarted since it was used.
    async fn take_idle(&self) -> Option<Session> {
        loop {
            let mut session = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if session.dialect() == Dialect::Sqlite || session.batch("ping the database", "SELECT 1").await.is_ok() {
                return Some(session);
            }
        }
    }
}

/// A borrowed connection.
pub(crate) struct Lease {
    session: Option<Session>,
    store: Store,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("a lease holds its session until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("a lease holds its session until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if session.take_misfit() {
            self.store.forget_catalog();
        }
        if session.is_clean() {
            self.store.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

/// Runs an expression within one write transaction of the pool, again when it met another transaction: nothing of it
/// was kept then. The expression must have no effect outside the database.
macro_rules! in_transaction {
    ($store:expr, $act:expr, |$session:ident| $body:expr) => {{
        let mut again = $crate::store::Again::default();
        loop {
            let mut lease = $store.lease($act).await?;
            let outcome = match lease.begin($act, $crate::store::session::Purpose::Write).await {
                Ok(()) => {
                    let $session = &mut *lease;
                    let outcome = $body;
                    lease.end($act, outcome).await
                }
                Err(error) => Err(error),
            };
            // Others may have its connection meanwhile.
            drop(lease);
            match outcome {
                Err(error) => {
                    if !again.after(&error).await {
                        break Err(error);
                    }
                }
                done => break done,
            }
        }
    }};
}
pub(crate) use in_transaction;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_share_that_is_used_up_refuses_its_own_and_nobody_else() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("komainu.db"))).await.unwrap();
        let (reads, alerts) = (store.share(Share::Reads), store.share(Share::Alerts));
        let mut lent = vec![];
        for _ in 0..Share::Reads.most_connections() {
            lent.push(reads.lease("list").await.unwrap());
        }
        assert!(reads.clone().lease("list").await.is_err_and(|error| error.is_own_crowd()));
        alerts.lease("read the outbox").await.unwrap();
        lent.pop();
        reads.lease("list").await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_meets_others_again_and_again_is_carried_out_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("komainu.db"))).await.unwrap();
        let mut tries = 0;
        let act = "count";
        let meet = |tries: &mut i64| {
            *tries += 1;
            let reason = "Deadlock found".to_owned();
            if *tries < 9 { Err(StoreError::Contention { act, is_deadlock: true, reason }) } else { Ok(*tries) }
        };
        let carried_out: Result<i64, StoreError> = async {
            in_transaction!(store, act, |session| match session.row(act, "SELECT 1 AS one", vec![]).await {
                Ok(_) => meet(&mut tries),
                Err(error) => Err(error),
            })
        }
        .await;
        assert_eq!(carried_out.unwrap(), 9);
    }

    #[tokio::test]
    async fn a_new_database_file_is_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("komainu.db");
        let store = Store::connect(&DatabaseUrl::sqlite(&path)).await.unwrap();
        store.lease("write").await.unwrap().execute("write", "CREATE TABLE t (a INT)", vec![]).await.unwrap();
        for file in ["komainu.db", "komainu.db-wal", "komainu.db-shm"] {
            let mode = folder.path().join(file).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o007, 0, "{file}: {mode:o}");
        }
    }
}
