//! A command's output on its way through: passed on byte by byte as it comes, its tail kept.
//!
//! A stream that is a terminal is left alone, so that interactive programs stay so; of it no tail is known. Where
//! standard output and standard error are the same file, the command gets one pipe for both, so that their order stays.
//! Each pipe has a thread that reads and writes blocking: a slow reader behind slows the command, as it did before.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::Notify;

use super::LEFT_BEHIND;
use super::signals::Signals;
use super::tail::Tail;
use crate::clock;

/// As much as a pipe of Linux holds.
const CHUNK: usize = 64 * 1024;

/// Between looks at pipes that something holds open. Most commands close theirs with their end, which is noticed at once.
const LOOK: Duration = Duration::from_millis(20);

/// Where the command writes to, and what is known of it.
pub(super) struct Output {
    pipes: Vec<Arc<Pipe>>,
    ends: [Option<PipeWriter>; 2],
    tail: Arc<Mutex<Tail>>,
    closed: Arc<Notify>,
    unwritten: Unwritten,
}

/// The first error of passing on what the command wrote.
type Unwritten = Arc<OnceLock<io::Error>>;

/// How much of the output was passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drained {
    /// All of it.
    Whole,
    /// What came until nothing did; somebody could still write.
    HeldOpen,
    /// What came until this program was told to end.
    CutBy(Signal),
}

/// One pipe's way through. `turns` counts up twice for each chunk: odd while it waits for the command, even while it
/// passes on what it got.
#[derive(Default)]
struct Pipe {
    turns: AtomicU64,
}

/// What [`Pipe::turns`] says when the command, and all it left behind, closed their ends.
const CLOSED: u64 = u64::MAX;

impl Output {
    /// Pipes for the streams that are no terminals. Where there are no pipes to be had, the command writes as before.
    pub(super) fn prepare(is_wanted: bool) -> Self {
        let (pipes, ends, unwritten) = (Vec::new(), [None, None], Unwritten::default());
        let mut output = Self { pipes, ends, tail: Arc::default(), closed: Arc::default(), unwritten };
        if !is_wanted {
            return output;
        }
        let own = [own(&io::stdout()), own(&io::stderr())];
        if let [Some(out), Some(err)] = &own
            && is_same(out, err)
        {
            if let Some(end) = output.pipe(out) {
                output.ends = [end.try_clone().ok(), Some(end)];
            }
            return output;
        }
        let [out, err] = own.map(|file| file.and_then(|file| output.pipe(&file)));
        output.ends = [out, err];
        output
    }

    /// The command's standard output and standard error.
    pub(super) fn streams(&self) -> [Stdio; 2] {
        let stream = |end: &Option<PipeWriter>| match end.as_ref().and_then(|end| end.try_clone().ok()) {
            Some(end) => Stdio::from(end),
            None => Stdio::inherit(),
        };
        let [out, err] = &self.ends;
        [stream(out), stream(err)]
    }

    /// Waits until all that the command wrote is passed on. A process that it left behind and that keeps its output open is
    /// not waited for.
    pub(super) async fn drain(&mut self, signals: &mut Signals) -> Drained {
        self.ends = [None, None];
        let turns =
            |pipes: &[Arc<Pipe>]| pipes.iter().map(|pipe| pipe.turns.load(Ordering::Acquire)).collect::<Vec<_>>();
        let (mut seen, mut since) = (turns(&self.pipes), clock::now());
        loop {
            if seen.iter().all(|turns| *turns == CLOSED) {
                return Drained::Whole;
            }
            let is_waiting = seen.iter().all(|turns| turns % 2 == 1);
            if is_waiting && clock::now().since(since) >= LEFT_BEHIND {
                return Drained::HeldOpen;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.closed.notified() => {}
                signal = signals.next() => return Drained::CutBy(signal),
            }
            let now = turns(&self.pipes);
            if now != seen {
                (seen, since) = (now, clock::now());
            }
        }
    }

    /// What is known of the output's end.
    pub(super) fn tail(&self) -> String {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// Why something that the command wrote did not arrive where it belongs, if so.
    pub(super) fn unwritten(&self) -> Option<&io::Error> {
        self.unwritten.get()
    }

    fn pipe(&mut self, to: &File) -> Option<PipeWriter> {
        let (from, end) = io::pipe().ok()?;
        let (pipe, tail, to) = (Arc::new(Pipe::default()), Arc::clone(&self.tail), to.try_clone().ok()?);
        let thread = std::thread::Builder::new().name("output".to_owned());
        let (passing, closed) = (Arc::clone(&pipe), Arc::clone(&self.closed));
        let unwritten = Arc::clone(&self.unwritten);
        let pass = move || {
            if let Err(error) = passing.pass(from, to, &tail) {
                // Only the first counts: what follows is its consequence.
                let _ = unwritten.set(error);
            }
            passing.turns.store(CLOSED, Ordering::Release);
            closed.notify_one();
        };
        thread.spawn(pass).ok()?;
        self.pipes.push(pipe);
        Some(end)
    }
}

impl Pipe {
    /// The reader behind has gone, or the disk is full: returning closes this end, and tells the command so at its next
    /// writing, as it would have been told without this program in between.
    fn pass(&self, mut from: PipeReader, mut to: File, tail: &Mutex<Tail>) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            self.turns.fetch_add(1, Ordering::Release);
            let read = from.read(&mut chunk);
            self.turns.fetch_add(1, Ordering::Release);
            let bytes = match read {
                Ok(count) => chunk.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Ok(()),
            };
            if bytes.is_empty() {
                return Ok(());
            }
            tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            write_all(&mut to, bytes)?;
        }
    }
}

/// Also to a file that somebody else made non-blocking.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// This program's own stream as a file without a buffer; not a terminal's, and not a closed one's.
fn own(stream: &(impl AsFd + IsTerminal)) -> Option<File> {
    if stream.is_terminal() {
        return None;
    }
    let own: OwnedFd = stream.as_fd().try_clone_to_owned().ok()?;
    Some(File::from(own))
}

fn is_same(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().ok().map(|data| (data.dev(), data.ino()));
    identity(one).is_some_and(|one| Some(one) == identity(other))
}
