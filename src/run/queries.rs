//! Queries that monitors bring, evaluated in processes of their own: what one costs in memory and time ends the query, never the node.
//!
//! A worker is this program once more, started when it is needed, with limits of its own ([`worker`]); it has nothing of the
//! node: no environment, no descriptor, no secret. There are a few at most, and whoever finds all of them busy for too long
//! says nothing of its target. A worker that dies of a query took what no query may take, and its death is the verdict;
//! one that served others before may have died of what those left behind, so the query is asked once more of a fresh one.

mod wire;
mod worker;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::worker::serve;

use super::failure::Failure;
pub use super::json_query::{Compared, Query, evaluate};

/// Queries take a fraction of a millisecond; more processes than this would only compete with the runs.
const WORKERS: usize = 2;

/// How long a run waits for a worker. Two queries that use all their time are over by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Processor time ends a query much earlier ([`worker::PROCESSOR`]): what takes this long waits for a host that is busy.
const LONGEST: Duration = Duration::from_secs(10);

/// Of what a dead worker said.
const LAST_WORDS: u64 = 4 * 1024;

/// What nodes call this program with, to start a worker.
pub const SUBCOMMAND: &str = "evaluate-queries";

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<&'static str>,
}

impl Default for Program {
    fn default() -> Self {
        Self::this(&[SUBCOMMAND])
    }
}

impl Program {
    /// The program that runs already, also where an upgrade has replaced its file; `args` lead to [`serve`].
    pub fn this(args: &[&'static str]) -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), args: args.to_vec() }
    }

    /// A program at this path.
    pub fn at(path: impl Into<PathBuf>, args: &[&'static str]) -> Self {
        Self { path: path.into(), args: args.to_vec() }
    }
}

/// The workers of one node.
pub struct Queries {
    program: Program,
    places: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl Queries {
    /// No process runs yet: the first query starts one.
    pub fn new(program: Program) -> Self {
        Self { program, places: Semaphore::new(WORKERS), idle: Mutex::default() }
    }

    /// Evaluates a query over an answer's body. The outer error is the node's own trouble; the inner one is the query's, in words.
    pub async fn ask(&self, body: &str, query: &Query) -> Result<Result<Compared, String>, Failure> {
        let _place = self.place().await?;
        let used = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(worker) = used
            && let Ok(answer) = self.ask_of(worker, body, query).await
        {
            return Ok(answer);
        }
        let fresh = Worker::start(&self.program).map_err(|error| own(&format!("cannot be started: {error}")))?;
        self.ask_of(fresh, body, query).await.or_else(End::verdict)
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, Failure> {
        match tokio::time::timeout(PATIENCE, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(own(&format!("are all busy for more than {} s", PATIENCE.as_secs()))),
        }
    }

    /// A worker that answered is kept.
    async fn ask_of(&self, mut worker: Worker, body: &str, query: &Query) -> Result<Result<Compared, String>, End> {
        let answer = match tokio::time::timeout(LONGEST, wire::ask(&mut worker.socket, body, query)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(worker.end().await),
            // Dropped, and thereby ended.
            Err(_) => return Err(End::Slow),
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(answer)
    }
}

fn own(what: &str) -> Failure {
    Failure::own(format!("this node's processes for JSON queries {what}"))
}

/// One process; ended when it is dropped.
struct Worker {
    child: Child,
    socket: UnixStream,
}

impl Worker {
    fn start(program: &Program) -> std::io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&program.path)
            .arg0("komainu")
            .args(&program.args)
            .env_clear()
            .current_dir("/")
            .stdin(std::os::fd::OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, socket: UnixStream::from_std(ours)? })
    }

    /// It hung up: why.
    async fn end(mut self) -> End {
        let ended = async {
            let mut said = Vec::new();
            if let Some(stderr) = self.child.stderr.take() {
                let _ = stderr.take(LAST_WORDS).read_to_end(&mut said).await;
            }
            (self.child.wait().await, String::from_utf8_lossy(&said).into_owned())
        };
        match tokio::time::timeout(LONGEST, ended).await {
            Ok((Ok(status), said)) => End::of(status, &said),
            Ok((Err(error), _)) => End::Lost(error.to_string()),
            Err(_) => End::Slow,
        }
    }
}

/// How a worker ended without an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    /// It asked for more memory than it may have.
    Memory,
    /// It used all its processor time.
    Time,
    /// The evaluator broke.
    Broken(String),
    /// It was still at it, and had hardly been given a processor.
    Slow,
    /// Not by the query.
    Lost(String),
}

impl End {
    fn of(status: ExitStatus, said: &str) -> Self {
        let was_refused_memory = said.contains("memory allocation of");
        match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::XCPU) => Self::Time,
            // The kernel takes it first where the node's own limit is reached: see `worker`.
            Some(Signal::KILL) => Self::Memory,
            Some(Signal::ABORT) if was_refused_memory => Self::Memory,
            Some(_) => Self::Broken(status.to_string()),
            None => Self::Lost(format!("{status} {}", said.trim())),
        }
    }

    /// What it says of the monitor.
    fn verdict(self) -> Result<Result<Compared, String>, Failure> {
        let said = match self {
            Self::Memory => format!("it needs more than {} MiB of memory, the limit here", worker::MEMORY_MIB),
            Self::Time => format!("it needs more than {} s of processor time, the limit here", worker::PROCESSOR_S),
            Self::Broken(how) => format!("the evaluator broke ({how})"),
            Self::Slow => return Err(own(&format!("had no answer after {} s", LONGEST.as_secs()))),
            Self::Lost(why) => return Err(own(&format!("do not work: {}", why.trim()))),
        };
        Ok(Err(format!("Error evaluating JSON query: {said}")))
    }
}

#[cfg(test)]
pub(crate) mod tests;
