//! `komainu wrap`: runs a command and tells by signed heartbeats that it began and how it ended.
//!
//! The command comes first. It starts without waiting for anybody, gets the signals meant for it, and its exit code is
//! returned whatever becomes of the pushes: 128 + n where signal n killed it, 127 where it was not found, 126 where it
//! could not be run. Output that cannot be written where it belongs is a failure, as it is without this program. What is
//! wrong with the pushes is one line on standard error, at the end.
//!
//! [`job`] is the command, [`output`] its output on the way through, [`signals`] what is passed on to it.

mod job;
mod output;
mod signals;
mod tail;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;

use self::job::Job;
use self::output::{Drained, Output};
use self::signals::Signals;
use super::print;
use super::send::SenderArgs;
use crate::clock;
use crate::sender::Sender;
use crate::sender::push::{Push, Status, new_run_id};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The heartbeat's name.
    name: String,
    /// Leave the command's output alone: nothing of it is sent, and the command writes straight to where it went before.
    #[arg(long)]
    no_output: bool,
    #[command(flatten)]
    sender: SenderArgs,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Pushes of one run, sent by a sender that is made while the command runs already: reading the host's certificates
/// takes tens of milliseconds.
struct Run {
    name: String,
    run_id: String,
    args: SenderArgs,
    sender: OnceLock<anyhow::Result<Sender>>,
}

pub(super) async fn run(args: Args) -> ExitCode {
    let run = Run { name: args.name, run_id: new_run_id(), args: args.sender, sender: OnceLock::new() };
    let run = Arc::new(run);
    let (begun_at, begin) = (clock::wall_micros(), clock::now());
    let mut signals = Signals::listen();
    let mut output = Output::prepare(!args.no_output);
    let job = Job::start(&args.command, &output);
    let start = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.tell(Push::new(begun_at, Status::Start)).await }
    });
    let ended = match job {
        Ok(job) => job.wait(&mut signals).await,
        Err(ended) => {
            print::complaint(format!("komainu: {}", ended.remark.as_deref().unwrap_or_default()));
            ended
        }
    };
    let took = clock::now().since(begin);
    let drained = output.drain(&mut signals).await;
    if drained == Drained::HeldOpen {
        print::complaint(
            "komainu: the command left a process behind that holds its output open, which ends here; \
             --no-output keeps it",
        );
    }
    let ended = match output.unwritten() {
        Some(error) => {
            let ended = ended.with_unwritten(error);
            print::complaint(format!("komainu: {}", ended.remark.as_deref().unwrap_or_default()));
            ended
        }
        None => ended,
    };
    let push = Push {
        // The clock may have been set back meanwhile; a push that is not later than the start would be a replay.
        time_us: clock::wall_micros().max(begun_at + 1),
        status: if ended.code == 0 { Status::Ok } else { Status::Fail },
        message: ended.message(&output.tail()),
        duration_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        exit_code: Some(i32::from(ended.code)),
        run_id: None,
    };
    // A signal that comes after the command's end is meant for this program.
    let told_to_end = match drained {
        Drained::CutBy(signal) => Some(signal),
        Drained::Whole | Drained::HeldOpen => None,
    };
    tell_the_end(&run, push, start, last_words(&mut signals, told_to_end)).await;
    ExitCode::from(ended.code)
}

/// Tries until `cut` returns the signal that ends it.
async fn tell_the_end(run: &Run, push: Push, start: JoinHandle<anyhow::Result<()>>, cut: impl Future<Output = Signal>) {
    // A start that is still on its way has been overtaken by the end.
    let start = if start.is_finished() {
        start.await.unwrap_or(Ok(()))
    } else {
        start.abort();
        Ok(())
    };
    let told = tokio::select! {
        told = run.tell(push) => told,
        signal = cut => Err(anyhow::anyhow!("ended by signal {}", signal.as_raw())),
    };
    match (told, start) {
        (Err(error), _) => print::complaint(format!("komainu: could not tell how {} ended: {error:#}", run.name)),
        (Ok(()), Err(error)) => print::complaint(format!("komainu: could not tell that {} began: {error:#}", run.name)),
        (Ok(()), Ok(())) => {}
    }
}

/// Waits for a signal that tells this program to end, if none has come yet, then for the time that is left to it. Another
/// signal ends it at once.
async fn last_words(signals: &mut Signals, told_to_end: Option<Signal>) -> Signal {
    let first = match told_to_end {
        Some(signal) => signal,
        None => signals.next().await,
    };
    tokio::select! {
        () = tokio::time::sleep(LAST_WORDS) => first,
        again = signals.next() => again,
    }
}

impl Run {
    async fn tell(&self, push: Push) -> anyhow::Result<()> {
        let sender = self.sender.get_or_init(|| self.args.sender(&self.name));
        match sender {
            Ok(sender) => {
                let push = Push { run_id: Some(self.run_id.clone()), ..push };
                sender.send(&self.name, &push).await?;
                Ok(())
            }
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        }
    }
}

/// A program that was told to end may still say how its command ended: enough for a watchdog that answers, and far less
/// than supervisors give (systemd 90 s, containers 10 s).
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long output of a process that the command left behind is waited for.
const LEFT_BEHIND: Duration = Duration::from_secs(2);
