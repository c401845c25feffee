//! The loop with real targets, a tenure driven by hand, and a database in memory.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use komainu_watchdogs::ids::{Generation, Incarnation, NodeId, Nonce, Stamp};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::tenure::{Input, Output, OwnRow, Tenure};
use komainu_watchdogs::time::Wall;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use super::*;
use crate::clock::database::DatabaseClock;
use crate::node::push::Report;
use crate::node::storage::Writer;
use crate::node::storage::fake::Fake;
use crate::node::windows::calendar::Span;
use crate::node::windows::{self, Covered, Teller};
use crate::run::http::Caller;
use crate::run::queries::Program;
use crate::store::StoreError;
use crate::store::beats::{Beat, BeatStatus};
use crate::store::families::Child;
use crate::store::monitors::MonitorSpec;

#[tokio::test]
async fn a_monitor_that_is_started_is_run_and_its_beat_stored() {
    let node = Node::start(&[]).await;
    node.hold(&[http(1, node.target)]);
    let beat = node.beat_of(1, |_| true).await;
    assert_eq!((beat.status, beat.msg.as_str(), beat.important), (BeatStatus::Up, "200 - OK", true));
}

#[tokio::test]
async fn beats_follow_each_other_at_the_interval() {
    let node = Node::start(&[]).await;
    node.hold(&[http(1, node.target)]);
    let first = node.beat_of(1, |_| true).await;
    let second = node.beat_of(1, |beat| beat.time > first.time).await;
    assert!(!second.important);
    assert!(second.time.since(first.time) >= Duration::from_millis(990));
}

#[tokio::test]
async fn nothing_starts_without_a_lease_and_all_goes_on_once_it_is_back() {
    let node = Node::start(&[]).await;
    let slow = MonitorSpec { interval: 3_600, ..http(1, node.target) };
    node.hold(&[slow]);
    let first = node.beat_of(1, |_| true).await;
    node.until(|line| line.contains("\"fenced\"")).await;
    let runs_then = node.runs();
    node.renew();
    node.beat_of(1, |beat| beat.time > first.time).await;
    assert!(node.runs() > runs_then);
    node.until_run_after_fence().await;
}

#[tokio::test]
async fn a_failure_is_pending_while_no_canary_answers() {
    let closed = closed();
    let node = Node::start(&[format!("tcp://{closed}")]).await;
    node.hold(&[http(1, closed)]);
    let beat = node.beat_of(1, |_| true).await;
    assert_eq!(beat.status, BeatStatus::Pending);
    assert!(beat.msg.ends_with("(this node reaches none of its canaries)"), "{}", beat.msg);
}

#[tokio::test]
async fn a_failure_is_down_while_a_canary_answers() {
    let node = Node::start(&[format!("tcp://{}", serve().await)]).await;
    node.hold(&[http(1, closed())]);
    assert_eq!(node.beat_of(1, |_| true).await.status, BeatStatus::Down);
}

#[tokio::test]
async fn a_network_that_was_gone_while_a_target_was_asked_and_is_back_when_that_fails_is_the_nodes_own_trouble() {
    let (target, silent) = bound().await;
    let (canary, canaries) = bound().await;
    let node = Node::start(&[format!("http://{canary}/")]).await;
    answer(&canaries).await;
    node.hold(&[MonitorSpec { timeout: 2.5, ..http(1, target) }]);
    let (mut asked, _) = silent.accept().await.unwrap();
    let given_up = async { while asked.read(&mut [0; 1_024]).await.is_ok_and(|read| read > 0) {} };
    let gone = async {
        loop {
            drop(canaries.accept().await.unwrap());
        }
    };
    let told = async {
        tokio::select! {
            () = given_up => {}
            () = gone => {}
        }
        tokio::join!(node.beat_of(1, |_| true), answer(&canaries)).0
    };
    let beat = tokio::select! {
        beat = told => beat,
        () = node.keep_renewing() => unreachable!("it goes on"),
    };
    assert_eq!(beat.status, BeatStatus::Pending, "{}", beat.msg);
}

#[tokio::test]
async fn a_group_is_as_its_child_was_at_last() {
    let node = Node::start(&[]).await;
    let group = MonitorSpec { kind: "group".to_owned(), retry_interval: 1, ..http(1, node.target) };
    node.hold(&[group, http(2, closed())]);
    let beat = node.beat_of(1, |beat| beat.status == BeatStatus::Down).await;
    assert_eq!(beat.msg, "Child monitors down: child");
}

#[tokio::test]
async fn a_stop_is_answered_and_nothing_runs_after_it() {
    let node = Node::start(&[]).await;
    node.hold(&[http(1, node.target)]);
    node.beat_of(1, |_| true).await;
    let (stopped, is_stopped) = oneshot::channel();
    node.commands.send(Command::Stop(BTreeSet::from([MonitorId(1)]), stopped)).unwrap();
    is_stopped.await.unwrap();
    assert_eq!(node.gauges.held.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_halted_node_starts_no_run() {
    let node = Node::start(&[]).await;
    let (halted, is_halted) = oneshot::channel();
    node.commands.send(Command::Halt(halted)).unwrap();
    is_halted.await.unwrap();
    node.hold(&[http(1, node.target)]);
    let (compared, comparing) = oneshot::channel();
    node.commands.send(Command::Compare { slice: (0, 5), rows: vec![], compared }).unwrap();
    comparing.await.unwrap();
    assert_eq!(node.runs(), 0);
}

#[tokio::test]
async fn a_monitor_in_maintenance_is_left_alone_and_asked_again_when_the_window_ends() {
    let node = Node::start(&[]).await;
    node.windows.tell(Covered::new([(MonitorId(1), Span::ALWAYS)]));
    node.hold(&[http(1, closed()), http(2, node.target)]);
    let first = node.beat_of(1, |_| true).await;
    assert_eq!((first.status, first.msg.as_str()), (BeatStatus::Maintenance, "Monitor under maintenance"));
    assert_eq!(node.beat_of(2, |_| true).await.status, BeatStatus::Up, "it covers nobody else");
    node.renew();
    let second = node.beat_of(1, |beat| beat.time > first.time).await;
    assert_eq!((second.status, second.important), (BeatStatus::Maintenance, false));
    node.renew();
    node.windows.tell(Covered::default());
    let after = node.beat_of(1, |beat| beat.status != BeatStatus::Maintenance).await;
    assert_eq!((after.status, after.important), (BeatStatus::Down, true));
}

#[tokio::test]
async fn what_is_down_when_its_window_begins_was_not_asked_in_vain() {
    let node = Node::start(&[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let begins_at = Wall(clock::wall().0 + 300);
    let span = Span { from: begins_at, ..Span::ALWAYS };
    node.windows.tell(Covered::new([(MonitorId(1), span)]));
    node.hold(&[MonitorSpec { timeout: 0.8, ..http(1, silent.local_addr().unwrap()) }]);
    let beat = node.beat_of(1, |_| true).await;
    assert_eq!(beat.status, BeatStatus::Maintenance);
}

#[tokio::test]
async fn a_push_within_a_window_is_maintenance() {
    let node = Node::start(&[]).await;
    node.windows.tell(Covered::new([(MonitorId(1), Span::ALWAYS)]));
    let pushed = MonitorSpec { kind: "push".to_owned(), push_token: Some("t".to_owned()), ..http(1, node.target) };
    node.hold(&[MonitorSpec { interval: 3_600, ..pushed }]);
    let report = Report { is_up: false, msg: "work".to_owned(), ping_ms: None };
    let (answer, _answered) = oneshot::channel();
    node.commands.send(Command::Push(PushCall { token: "t".to_owned(), report, answer })).unwrap();
    assert_eq!(node.beat_of(1, |beat| beat.msg == "work").await.status, BeatStatus::Maintenance);
}

#[tokio::test]
async fn nothing_runs_before_the_windows_are_known() {
    let node = Node::start_without_windows(&[]).await;
    node.hold(&[http(1, node.target)]);
    node.until(|line| line.contains("\"start\"")).await;
    let (compared, comparing) = oneshot::channel();
    node.commands.send(Command::Compare { slice: (0, 5), rows: vec![], compared }).unwrap();
    comparing.await.unwrap();
    assert_eq!(node.runs(), 0);
    node.windows.tell(Covered::default());
    assert_eq!(node.beat_of(1, |_| true).await.status, BeatStatus::Up);
}

const LIMIT: Duration = Duration::from_secs(20);

/// A short lease, so that a test sees it end.
const FENCE: Duration = Duration::from_millis(1_500);

struct Node {
    target: SocketAddr,
    tenure: SharedTenure,
    commands: mpsc::UnboundedSender<Command>,
    database: Fake,
    windows: Teller,
    gauges: Arc<Gauges>,
    trace: tempfile::NamedTempFile,
    held: std::sync::Mutex<BTreeSet<MonitorId>>,
    _ended: DropGuard,
}

impl Node {
    async fn start(canaries: &[String]) -> Self {
        let node = Self::start_without_windows(canaries).await;
        node.windows.tell(Covered::default());
        node
    }

    /// Nobody looked for maintenance windows yet.
    async fn start_without_windows(canaries: &[String]) -> Self {
        let policy = Policy { lease_fence: FENCE, lease_renewal: Duration::from_millis(300), ..Policy::default() };
        let tenure = SharedTenure::new(Tenure::new(policy, Incarnation(1), clock::now()));
        let (commands, coming) = mpsc::unbounded_channel();
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = NodeId::from("node1");
        let trace = Arc::new(Trace::open(Some(file.path()), name.clone(), Incarnation(1)).unwrap());
        let ended = CancellationToken::new();
        let database = Fake::default();
        let (teller, windows) = windows::channel();
        let parts = Parts {
            clock: DatabaseClock::default(),
            tenure: tenure.clone(),
            runs: Arc::new(Runs::new(Caller::new(&name, None), Program::default())),
            canaries: Canaries::new(canaries).unwrap(),
            pulse: Arc::new(Pulse::new(clock::now())),
            storage: Storage::default(),
            certificates: crate::node::certificates::channel().0,
            beginner: mpsc::unbounded_channel().0,
            families: OnlyChild(database.clone()),
            windows,
            database,
            trace: Arc::clone(&trace),
            gauges: Arc::default(),
            start_spread: StartSpread::Soon,
            runs_most: 100,
        };
        tokio::spawn(parts.canaries.clone().probe(Arc::clone(parts.runs.http()), ended.clone()));
        tokio::spawn(writer(&parts, commands.clone()).run(ended.clone()));
        let (database, gauges) = (parts.database.clone(), Arc::clone(&parts.gauges));
        tokio::spawn(Runner::new(parts, coming).run(ended.clone()));
        Self {
            target: serve().await,
            tenure,
            commands,
            database,
            windows: teller,
            gauges,
            trace: file,
            held: std::sync::Mutex::default(),
            _ended: ended.drop_guard(),
        }
    }

    /// Gives the node these monitors.
    fn hold(&self, specs: &[MonitorSpec]) {
        *self.held.lock().unwrap() = specs.iter().map(|spec| spec.id).collect();
        self.answer();
        self.commands.send(Command::Start(specs.to_vec())).unwrap();
    }

    /// The database is back: the lease is renewed, and the assignments read anew.
    fn renew(&self) {
        self.tenure.lock().handle(clock::now(), Input::Tick);
        self.answer();
    }

    /// The lease of a node whose runs take long.
    async fn keep_renewing(&self) {
        loop {
            self.renew();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Answers all that the tenure asks, as a database that grants what is held.
    fn answer(&self) {
        let stamp = Stamp { generation: Generation(1), nonce: Nonce(1) };
        let mut tenure = self.tenure.lock();
        while let Some(output) = tenure.poll_output() {
            let began_at = clock::now();
            let input = match output {
                Output::ReadRow => Input::Row(Some(OwnRow {
                    incarnation: None,
                    is_released: true,
                    is_abandoned: false,
                    lease_seq: 0,
                    hostname: String::new(),
                })),
                Output::Register { .. } => Input::Registered { began_at, won: true },
                Output::Renew { .. } => Input::Renewed { began_at, ours: true },
                Output::ReadStamp { .. } => Input::StampRead { began_at, stamp, applied_is_known: true },
                Output::ReadAssignments => Input::Assigned { stamp, monitors: self.held.lock().unwrap().clone() },
                Output::Acknowledge(_) => Input::Acknowledged { began_at, ours: true },
                Output::Stop(_) => Input::Stopped,
                Output::Release => Input::Released,
                Output::Start(_) | Output::Exit(_) => continue,
            };
            tenure.handle(clock::now(), input);
        }
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.trace.path()).unwrap().lines().map(str::to_owned).collect()
    }

    fn runs(&self) -> usize {
        self.lines().iter().filter(|line| line.contains("\"run\"")).count()
    }

    /// Waits for a stored beat.
    async fn beat_of(&self, id: i64, is_wanted: impl Fn(&Beat) -> bool) -> Beat {
        let is_it = |beat: &&Beat| beat.monitor == MonitorId(id) && is_wanted(beat);
        watch(|| self.database.rows.lock().unwrap().iter().find(is_it).cloned()).await
    }

    async fn until(&self, is_there: impl Fn(&str) -> bool) {
        watch(|| self.lines().iter().any(|line| is_there(line)).then_some(())).await;
    }

    /// Judges the trace: no run between a fence and the next renewal, here a run after it.
    async fn until_run_after_fence(&self) {
        watch(|| {
            let lines = self.lines();
            let fenced = lines.iter().position(|line| line.contains("\"fenced\""))?;
            lines.iter().skip(fenced).any(|line| line.contains("\"run\"")).then_some(())
        })
        .await;
    }
}

fn writer(parts: &Parts<Fake, OnlyChild>, commands: mpsc::UnboundedSender<Command>) -> Writer<Fake> {
    let tenure = parts.tenure.clone();
    Writer {
        storage: parts.storage.clone(),
        database: parts.database.clone(),
        may_store: Box::new(move |monitor| tenure.lock().may_store(clock::now(), monitor).is_ok()),
        report: Box::new(move |fate| commands.send(Command::Fate(fate)).unwrap_or_default()),
        trace: Arc::clone(&parts.trace),
    }
}

/// A family of one: each group has the monitor after it.
#[derive(Clone)]
struct OnlyChild(Fake);

impl Families for OnlyChild {
    async fn children(&self, group: MonitorId) -> Result<Vec<Child>, StoreError> {
        let id = MonitorId(group.0 + 1);
        let last = self.0.last_beats(&[id]).await?.first().map(|beat| beat.status);
        Ok(vec![Child { id, name: "child".to_owned(), is_active: true, last }])
    }
}

/// Looks every few milliseconds, up to the limit.
async fn watch<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.expect("it is seen in time")
}

fn http(id: i64, target: SocketAddr) -> MonitorSpec {
    MonitorSpec {
        id: MonitorId(id),
        interval: 1,
        timeout: 5.0,
        url: Some(format!("http://{target}/")),
        ..MonitorSpec::default()
    }
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/", get(|| async { "fine" }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn bound() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

/// Answers one request.
async fn answer(listener: &TcpListener) {
    let (mut asked, _) = listener.accept().await.unwrap();
    assert!(asked.read(&mut [0; 1_024]).await.unwrap() > 0);
    asked.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
}

fn closed() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], crate::ports::free_port()))
}
