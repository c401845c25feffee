//! One run, as a task of its own: asked for once more, carried out, and judged for trouble of the node's own.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::time::{Mono, Wall};

use crate::clock;
use crate::clock::database::DatabaseClock;
use crate::node::beat::Times;
use crate::node::canary::Canaries;
use crate::node::link::SharedTenure;
use crate::node::pulse::Pulse;
use crate::node::push::{self, PushLook};
use crate::node::shard::{Launch, RunDone, RunOutcome};
use crate::node::trace::{Event, Trace};
use crate::node::windows::{self, Windows};
use crate::run::spec;
use crate::run::{RunResult, RunStatus, Runs, group};
use crate::store::MonitorSpec;
use crate::store::families::Families;

/// A run that takes longer has canaries probed beside it: soon enough that a round falls between its first try and its second
/// where it has to wait for its turn, and so rarely that most monitors never need one.
const DOUBTED_AFTER: Duration = Duration::from_millis(500);

/// What one run takes along.
pub(super) struct Task<F> {
    pub(super) clock: DatabaseClock,
    pub(super) tenure: SharedTenure,
    pub(super) runs: Arc<Runs>,
    pub(super) families: F,
    pub(super) canaries: Canaries,
    pub(super) pulse: Arc<Pulse>,
    pub(super) windows: Windows,
    pub(super) trace: Arc<Trace>,
}

impl<F: Families> Task<F> {
    pub(super) async fn run(self, launch: Launch) -> RunDone {
        let monitor = launch.monitor.id;
        let began_at = clock::now();
        let began_wall = self.clock.stamp();
        // Asked once more: a process that stood still may get here long after the loop asked.
        let (outcome, ended_at) = if self.tenure.lock().may_run(clock::now(), monitor).is_err() {
            (RunOutcome::NotAllowed, began_wall)
        } else {
            self.trace.monitor(Event::Run, monitor);
            self.ask(&launch, began_at).await
        };
        RunDone { monitor, run: launch.run, began_at, times: Times { began_at: began_wall, ended_at }, outcome }
    }

    /// What came of it, and when.
    async fn ask(&self, launch: &Launch, began_at: Mono) -> (RunOutcome, Wall) {
        let is_maintained = |at| self.windows.cover(launch.monitor.id, at);
        let began_wall = self.clock.stamp();
        if is_maintained(began_wall) {
            return (RunOutcome::Result(windows::left_alone()), began_wall);
        }
        let kind = launch.monitor.kind.as_str();
        let result = match kind {
            "group" => group::run(&self.families, &launch.monitor).await,
            "push" => match push::look(launch.previous.as_ref(), &launch.monitor, self.unheard(launch, began_at)) {
                PushLook::InTime(again) => return (RunOutcome::LookAgain(again), self.clock.stamp()),
                PushLook::Late(result) => result,
            },
            _ => self.run_watched(&launch.monitor).await,
        };
        let ended_at = self.clock.stamp();
        // What is known without asking the network is not the network's fault.
        let result = match kind {
            "group" | "manual" => result,
            _ => self.clear_of_own_trouble(result, began_at, launch.is_failure_news).await,
        };
        // What was asked before a window and failed within it is the work that the window is for.
        let was_in_vain = result.status == RunStatus::Down && is_maintained(ended_at);
        let result = if was_in_vain { windows::left_alone() } else { result };
        (RunOutcome::Result(result), ended_at)
    }

    /// Runs it, and has the canaries probed while that takes long: an outage of the node's own may be over when it fails.
    async fn run_watched(&self, monitor: &MonitorSpec) -> RunResult {
        let mut run = Box::pin(self.runs.run(monitor));
        if let Ok(result) = tokio::time::timeout(DOUBTED_AFTER, &mut run).await {
            return result;
        }
        self.canaries.want();
        run.await
    }

    /// For how long a push could have been taken and none was.
    fn unheard(&self, launch: &Launch, began_at: Mono) -> Duration {
        let stalls = self.pulse.stalls_since(launch.heard_at);
        began_at.since(push::waits_since(launch.heard_at, spec::interval(&launch.monitor), &stalls))
    }

    /// A failure that is the node's own is not told of the target: no canary answers, or the process stood still.
    async fn clear_of_own_trouble(&self, result: RunResult, began_at: Mono, is_failure_news: bool) -> RunResult {
        if result.status != RunStatus::Down {
            return result;
        }
        let are_canaries_lost = if is_failure_news {
            self.canaries.are_all_lost_since(began_at).await
        } else {
            self.canaries.were_all_lost_since(began_at)
        };
        let why = if are_canaries_lost {
            "this node reaches none of its canaries"
        } else if self.pulse.stalled_since(began_at) {
            "this node stood still meanwhile"
        } else {
            return result;
        };
        RunResult { status: RunStatus::Unable, msg: format!("{} ({why})", result.msg), ..result }
    }
}
