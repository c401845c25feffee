//! Which of several servers of one database all connections of this process go to, and by that all processes of a cluster.
//!
//! Owns the choice. A server is used as long as it answers and takes writes; an earlier one that is back draws nobody. Where
//! there is none yet, or it is gone, all are asked at once: of those that take writes it is the one that the leader's row
//! names, else the first in the order of the URL, which is the same for everybody. The leader writes where it is with each
//! renewal, and everybody reads that with what they read each second anyway and looks around if it is elsewhere: so they
//! come together again, however the choice of one of them came about. Servers that are no replicas of each other's (an old
//! primary that takes writes again) are told apart by how far the leader's row has come: the live one is ahead.
//!
//! Behind one address somebody else chooses, a proxy: there it is followed ([`way`]).
//!
//! It moves nothing: a connection to another server than the one that is used says that it is lost, once nothing is open on
//! it ([`super::session`]), and its owner makes a new one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use komainu_watchdogs::time::Mono;

use super::error::StoreError;
use super::server::Server;
use super::session::Session;
use super::url::{Addresses, DatabasePlace, DatabaseUrl, host_of};
use crate::clock;

mod way;

use way::Way;

/// So long each server has to let somebody in, unless none of them does sooner.
const SOON: Duration = Duration::from_millis(900);
/// Between two looks around, while the leader is on a server that cannot be reached from here.
const PAUSE: Duration = Duration::from_secs(5);
/// And while the server that is used refuses what it is asked.
const PAUSE_IN_TROUBLE: Duration = Duration::from_secs(1);
/// What all connections of a process know of the servers.
#[derive(Default)]
pub(crate) struct Servers {
    known: Mutex<Known>,
    /// Counts how often another server was chosen.
    era: AtomicU64,
    /// One look at a time: whoever waits for it takes what came of it.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    used: Option<Used>,
    /// When the last look in vain began, and what it found.
    vain: Option<(Mono, String)>,
    looked_at: Option<Mono>,
    /// Behind one address.
    way: Way,
}

#[derive(Clone)]
struct Used {
    /// Its place in the URL.
    at: usize,
    server: Server,
}

/// A server that takes writes.
struct Found {
    at: usize,
    session: Session,
    view: View,
}

/// How far the leader's row has come there, and which server it names. One that cannot be read is behind any other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct View {
    epoch: u64,
    renewals: u64,
    leaders: Option<String>,
}

impl Servers {
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }

    /// No other server was chosen since.
    pub(super) fn is_still(&self, era: u64) -> bool {
        self.era() == era
    }

    /// The one that is used, if it is another one.
    pub(super) fn other_than(&self, name: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.used.as_ref().map(|used| used.server.name.clone()).filter(|used| used != name)
    }

    /// The one that is used, as it said last.
    pub(crate) fn used(&self) -> Option<Server> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).used.as_ref().map(|used| used.server.clone())
    }

    /// What the server said that the only address led to.
    pub(super) fn note(&self, server: &Server) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = known.used.as_ref().is_some_and(|used| used.server.name != server.name);
        if is_other && !known.way.leads_to(&server.name, clock::now()) {
            return;
        }
        known.way.arrive();
        drop(known);
        self.choose(0, server, is_other);
    }

    /// The leader uses this server; whether that is another one than here, as far as is known, or others are used here too.
    fn note_leaders(&self, leaders: Option<&str>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.way.leaders_use(leaders);
        let used = known.used.as_ref().map(|used| used.server.name.as_str());
        known.way.is_elsewhere() || used.zip(leaders).is_some_and(|(used, leaders)| used != leaders)
    }

    /// The one that is used said how it is now.
    pub(super) fn refresh(&self, server: &Server) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = known.used.as_mut().filter(|used| used.server.name == server.name) {
            used.server = server.clone();
        }
    }

    fn place(&self) -> Option<usize> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).used.as_ref().map(|used| used.at)
    }

    fn choose(&self, at: usize, server: &Server, moves: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.used.replace(Used { at, server: server.clone() });
        known.vain = None;
        if before.as_ref().is_none_or(|before| before.server.name != server.name) {
            self.era.fetch_add(u64::from(moves), Ordering::Relaxed);
            let before = before.map(|before| before.server.name).unwrap_or_default();
            tracing::info!(database.server = %server, database.server_before = before, "database server");
        }
    }

    fn fail(&self, began_at: Mono, reason: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).vain = Some((began_at, reason.to_owned()));
    }

    /// What a look in vain found that began after this moment.
    fn vain_since(&self, asked_at: Mono) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.vain.as_ref().filter(|(began_at, _)| *began_at >= asked_at).map(|(_, reason)| reason.clone())
    }

    /// Whether it is time for another look around; then it is noted.
    fn may_look(&self, pause: Duration) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let may = known.looked_at.is_none_or(|at| now.since(at) >= pause);
        if may {
            known.looked_at = Some(now);
        }
        may
    }
}

/// A connection to the server that is used, or to the one that is to be used from here on.
pub(super) async fn connect(
    limit: Duration,
    (url, addresses): (&DatabaseUrl, &Addresses),
) -> Result<Session, StoreError> {
    let (servers, asked_at) = (url.servers(), clock::now());
    if let Some(session) = at_used((url, addresses)).await {
        return Ok(session);
    }
    let asked_in = servers.era();
    let _turn = servers.turn.lock().await;
    if !servers.is_still(asked_in)
        && let Some(session) = at_used((url, addresses)).await
    {
        return Ok(session);
    }
    if let Some(reason) = servers.vain_since(asked_at) {
        return Err(StoreError::Unreachable { url: url.to_string(), reason });
    }
    let began_at = clock::now();
    look(limit, (url, addresses)).await.inspect_err(|error| {
        if let StoreError::Unreachable { reason, .. } = error {
            servers.fail(began_at, reason);
        }
    })
}

/// The leader uses the server of this name: if it is another one than the one that is used here, it is looked for.
pub(super) fn follow(url: &DatabaseUrl, leaders: Option<&str>) {
    if url.servers().note_leaders(leaders) {
        look_around(url, PAUSE);
    }
}

/// Several servers are written to: where does the address lead?
pub(super) fn doubt(url: &DatabaseUrl) {
    look_around(url, PAUSE);
}

/// The server that is used refused what it was asked: it may have become a replica, or lost the others.
pub(super) fn suspect(url: &DatabaseUrl) {
    look_around(url, PAUSE_IN_TROUBLE);
}

/// Beside everything else.
fn look_around(url: &DatabaseUrl, pause: Duration) {
    let DatabasePlace::MariaDb(addresses) = url.place() else { return };
    if !url.servers().may_look(pause) {
        return;
    }
    let (url, addresses) = (url.clone(), addresses.clone());
    tokio::spawn(async move {
        let Ok(_turn) = url.servers().turn.try_lock() else { return };
        let limit = url.distance().patience();
        let looked = if addresses.are_several() {
            look(limit, (&url, &addresses)).await
        } else {
            look_behind(limit, (&url, &addresses)).await
        };
        match looked {
            Ok(session) => session.close().await,
            Err(error) => tracing::debug!(%error, "no database server takes writes"),
        }
    });
}

/// Behind the only address: one connection shows where it leads.
async fn look_behind(limit: Duration, (url, addresses): (&DatabaseUrl, &Addresses)) -> Result<Session, StoreError> {
    let session = Session::connect_to(limit, (url, addresses.first())).await?;
    // A replica, or a server that lost the others, is nobody's to go to.
    if session.server().is_open() {
        url.servers().note(session.server());
    }
    Ok(session)
}

/// As long as it lets somebody in soon and takes writes.
async fn at_used((url, addresses): (&DatabaseUrl, &Addresses)) -> Option<Session> {
    let at = url.servers().place()?;
    let soon = url.distance().allow_trips(SOON, TRIPS);
    let mut session = Session::connect_to(soon, (url, addresses.all().nth(at)?)).await.ok()?;
    if !session.server().is_open() {
        return None;
    }
    url.servers().choose(at, session.server(), true);
    session.settle();
    Some(session)
}

/// A connection with its settings.
const TRIPS: u32 = 6;

/// Asks all of them at once, and chooses.
async fn look(limit: Duration, (url, addresses): (&DatabaseUrl, &Addresses)) -> Result<Session, StoreError> {
    let each = addresses.all().enumerate().map(|(at, address)| async move {
        let found = tokio::time::timeout(limit, ask(limit, (url, address))).await;
        let found = found.unwrap_or_else(|_| Err(Refused::saying("no answer in time")));
        found.map(|(session, view)| Found { at, session, view }).map_err(|refused| refused.of(address))
    });
    let (mut found, refused) = gather(each.collect(), url.distance().allow_trips(SOON, TRIPS)).await;
    found.sort_by_key(|found| found.at);
    let candidates: Vec<_> = found.iter().map(|found| (found.session.server(), &found.view)).collect();
    let Some(chosen) = chosen(&candidates) else { return Err(none_of(url, refused)) };
    let Found { at, mut session, .. } = found.swap_remove(chosen);
    url.servers().choose(at, session.server(), true);
    session.settle();
    Ok(session)
}

/// Those that answered soon; if none did, whoever is the first. And why the others were none.
async fn gather(
    mut each: FuturesUnordered<impl Future<Output = Result<Found, Refused>>>,
    soon: Duration,
) -> (Vec<Found>, Vec<Refused>) {
    let (mut found, mut refused, mut is_late) = (Vec::new(), Vec::new(), false);
    let soon = tokio::time::sleep(soon);
    tokio::pin!(soon);
    while !is_late || found.is_empty() {
        tokio::select! {
            answer = each.next() => match answer {
                Some(Ok(one)) => found.push(one),
                Some(Err(one)) => refused.push(one),
                None => break,
            },
            () = &mut soon, if !is_late => is_late = true,
        }
    }
    (found, refused)
}

/// Why a server is not to be used.
struct Refused {
    reason: String,
    /// It does not know this user.
    denied: Option<StoreError>,
}

impl Refused {
    fn saying(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), denied: None }
    }

    fn of(self, address: &url::Url) -> Self {
        Self { reason: format!("{}: {}", host_of(address), self.reason), ..self }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        if let StoreError::AccessDenied { reason, .. } = &error {
            return Self { reason: reason.clone(), denied: Some(error) };
        }
        let StoreError::Unreachable { reason, .. } = error else { return Self::saying(error.to_string()) };
        Self::saying(reason)
    }
}

fn none_of(url: &DatabaseUrl, refused: Vec<Refused>) -> StoreError {
    let reasons: Vec<_> = refused.iter().map(|refused| refused.reason.clone()).collect();
    // A wrong password is wrong at all of them, and no waiting mends it.
    let are_all_denied = refused.iter().all(|refused| refused.denied.is_some());
    match refused.into_iter().find_map(|refused| refused.denied).filter(|_| are_all_denied) {
        Some(denied) => denied,
        None => StoreError::Unreachable { url: url.to_string(), reason: reasons.join("; ") },
    }
}

async fn ask(limit: Duration, at: (&DatabaseUrl, &url::Url)) -> Result<(Session, View), Refused> {
    let mut session = Session::connect_to(limit, at).await?;
    if let Some(shut) = session.server().shut() {
        return Err(Refused::saying(shut));
    }
    let act = "see who leads";
    let sql = "SELECT epoch, renewals, server FROM komainu_leader WHERE id = 1";
    match session.row(act, sql, vec![]).await {
        Ok(Some(row)) => {
            let view = (|| {
                let (epoch, renewals) = (row.count("epoch")?, row.count("renewals")?);
                Ok::<_, StoreError>(View { epoch, renewals, leaders: row.maybe_text("server")? })
            })();
            Ok((session, view?))
        }
        Err(error) if error.is_lost_connection() => Err(error.into()),
        // There are no tables yet, or not for this user.
        Ok(None) | Err(_) => Ok((session, View::default())),
    }
}

/// Which of those that take writes is to be used; they stand in the order of the URL.
fn chosen(candidates: &[(&Server, &View)]) -> Option<usize> {
    // The first of those that are as far, so that everybody finds the same.
    let (best, view) = candidates.iter().rev().max_by_key(|(_, view)| (view.epoch, view.renewals))?;
    // What one of a Galera cluster has committed they all have.
    let is_same = |server: &Server| match (&server.galera, &best.galera) {
        (Some(one), Some(other)) => one.cluster == other.cluster,
        _ => server.name == best.name,
    };
    let is_as_far = |other: &View| (other.epoch, other.renewals) == (view.epoch, view.renewals);
    let is_leaders = |server: &Server, its: &View| {
        view.leaders.as_ref() == Some(&server.name) && (is_same(server) || is_as_far(its))
    };
    let leaders = candidates.iter().position(|(server, its)| is_leaders(server, its));
    leaders.or_else(|| candidates.iter().position(|(server, _)| is_same(server)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::server::Galera;

    fn galera(name: &str) -> Server {
        let galera = Galera { is_ready: true, cluster: "c".to_owned(), ..Galera::default() };
        Server { name: name.to_owned(), galera: Some(galera), ..Server::default() }
    }

    fn single(name: &str) -> Server {
        Server { name: name.to_owned(), ..Server::default() }
    }

    fn view(epoch: u64, renewals: u64, leaders: &str) -> View {
        View { epoch, renewals, leaders: Some(leaders.to_owned()).filter(|leaders| !leaders.is_empty()) }
    }

    fn choose(found: &[(Server, View)]) -> Option<&str> {
        let candidates: Vec<_> = found.iter().map(|(server, view)| (server, view)).collect();
        chosen(&candidates).map(|at| found[at].0.name.as_str())
    }

    #[test]
    fn behind_one_address_two_connections_in_a_row_show_where_it_leads() {
        let servers = Servers::default();
        let used = || servers.used().unwrap().name;
        servers.note(&galera("g1"));
        for (name, expected, era) in [("g2", "g1", 0), ("g1", "g1", 0), ("g2", "g1", 0), ("g2", "g2", 1)] {
            servers.note(&galera(name));
            assert_eq!((used().as_str(), servers.era()), (expected, era), "{name}");
        }
        for _ in 0..5 {
            servers.note(&galera("g3"));
        }
        assert_eq!((used().as_str(), servers.era()), ("g2", 1), "one move has just been");
    }

    #[test]
    fn one_connection_to_the_leaders_server_is_enough_and_who_is_there_looks_no_more() {
        let servers = Servers::default();
        servers.note(&galera("g1"));
        assert!(!servers.note_leaders(Some("g1")) && !servers.note_leaders(None));
        assert!(servers.note_leaders(Some("g2")), "it is elsewhere");
        servers.note(&galera("g2"));
        assert_eq!((servers.used().unwrap().name.as_str(), servers.era()), ("g2", 1));
        assert!(!servers.note_leaders(Some("g2")));
        servers.note(&galera("g1"));
        assert!(servers.note_leaders(Some("g2")), "some connection is");
    }

    #[test]
    fn it_is_where_the_leader_is_and_without_it_the_first() {
        let all = |leaders: &str| {
            // One is a renewal behind: it was asked a moment earlier.
            [("g1", 6), ("g2", 7), ("g3", 7)].map(|(name, renewals)| (galera(name), view(1, renewals, leaders)))
        };
        assert_eq!(choose(&all("")), Some("g1"));
        assert_eq!(choose(&all("g3")), Some("g3"));
        assert_eq!(choose(&all("gone")), Some("g1"));
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn an_old_primary_that_takes_writes_again_draws_nobody() {
        let old = (single("db1"), view(4, 900, "db1"));
        assert_eq!(choose(&[old.clone(), (single("db2"), view(5, 700, "db2"))]), Some("db2"));
        // Nor while nobody leads on the new one yet.
        let promoted = (single("db2"), view(4, 901, "db1"));
        assert_eq!(choose(&[old, promoted]), Some("db2"));
    }

    #[test]
    fn where_another_one_is_as_far_and_the_leader_is_there_it_is_that_one() {
        let all = |renewals| {
            [("db1", 50), ("db2", renewals)].map(|(name, renewals)| (single(name), view(2, renewals, "db2")))
        };
        assert_eq!(choose(&all(50)), Some("db2"));
        assert_eq!(choose(&all(40)), Some("db1"), "it does not have what was written since");
    }

    #[test]
    fn servers_without_tables_are_taken_in_their_order_and_never_before_one_that_has_them() {
        let empty = |name: &str| (single(name), View::default());
        assert_eq!(choose(&[empty("db1"), empty("db2")]), Some("db1"));
        assert_eq!(choose(&[empty("db1"), (single("db2"), view(1, 1, ""))]), Some("db2"));
    }
}
