//! Begins monitors that may have ended a node apart from all others, and says in the database beforehand which; and says there which
//! this node cannot run.
//!
//! Who that is, and whose turn comes when, is [`komainu_watchdogs::beginning`]'s to say; this carries it out. A mark that could not be written begins nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::beginning::{Beginning, Turns};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Mono;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::runner::Command;
use crate::clock;
use crate::store::StoreError;
use crate::store::beginning::Beginnings;

/// How long one statement may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// After one that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// What the loop says of monitors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunNews {
    /// Monitors were started.
    Started,
    /// It is due for the first time, and is not to be run with others.
    Wants(MonitorId, Beginning),
    /// Its first run is over, or will not be.
    Over(MonitorId),
    /// This node cannot look at its target, and a stock Kuma could.
    OnlyKuma(MonitorId),
}

/// Carries it out.
pub struct Beginner {
    /// Where it is said.
    pub marks: Beginnings,
    /// Hears whose turn it is.
    pub runner: mpsc::UnboundedSender<Command>,
    /// Says who waits.
    pub said: mpsc::UnboundedReceiver<RunNews>,
}

/// What is to be written, and what waits.
#[derive(Default)]
struct Pending {
    turns: Turns,
    /// Whose turn it is, until that is written.
    turn: BTreeSet<MonitorId>,
    /// To be put aside.
    aside: BTreeSet<MonitorId>,
    /// Whose marks are to be taken back.
    over: BTreeSet<MonitorId>,
    /// Of which it is to be said that only a stock Kuma can run them.
    only_kuma: BTreeSet<MonitorId>,
    write_not_before: Mono,
}

impl Pending {
    fn take(&mut self, now: Mono, said: RunNews) {
        match said {
            RunNews::Started => self.turns.handle_start(now),
            RunNews::Wants(_, Beginning::AtOnce) => {}
            RunNews::Wants(monitor, Beginning::Apart) => self.turns.wait(monitor, false),
            RunNews::Wants(monitor, Beginning::Alone) => self.turns.wait(monitor, true),
            RunNews::Wants(monitor, Beginning::PutAside) => {
                self.aside.insert(monitor);
            }
            RunNews::Over(monitor) => {
                self.turns.forget(monitor);
                self.turn.remove(&monitor);
                self.aside.remove(&monitor);
                self.over.insert(monitor);
            }
            RunNews::OnlyKuma(monitor) => {
                self.only_kuma.insert(monitor);
            }
        }
    }

    fn wakes_at(&self) -> Option<Mono> {
        let is_told = self.aside.is_empty() && self.over.is_empty() && self.only_kuma.is_empty();
        let has_to_write = !(is_told && self.turn.is_empty());
        let write_at = has_to_write.then_some(self.write_not_before);
        let turn_at = self.turns.next_at().map(|at| at.max(self.write_not_before));
        [write_at, turn_at].into_iter().flatten().min()
    }
}

impl Beginner {
    /// Begins until `ended`.
    pub async fn run(mut self, ended: CancellationToken) {
        ended.run_until_cancelled(self.begin()).await;
    }

    async fn begin(&mut self) {
        let mut pending = Pending::default();
        loop {
            let wakes_at = pending.wakes_at();
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(said) => pending.take(clock::now(), said),
                    None => return,
                },
                () = clock::sleep_until(wakes_at.unwrap_or_default()), if wakes_at.is_some() => {
                    let act = tokio::time::timeout(self.marks.allow(TIMEOUT), self.act(&mut pending));
                    if !matches!(act.await, Ok(Ok(()))) {
                        pending.write_not_before = clock::now() + PAUSE;
                    }
                }
            }
        }
    }

    /// What is to be done now. What was not done stays to be done.
    async fn act(&self, pending: &mut Pending) -> Result<(), StoreError> {
        if !pending.over.is_empty() {
            self.marks.begun_well(&pending.over).await?;
            pending.over.clear();
        }
        if !pending.aside.is_empty() {
            self.marks.put_aside(&pending.aside).await?;
            tracing::warn!(monitors = ?pending.aside, "nodes were lost over these monitors: they are put aside");
            pending.aside.clear();
        }
        if !pending.only_kuma.is_empty() {
            self.marks.only_kuma(&pending.only_kuma).await?;
            tracing::info!(monitors = ?pending.only_kuma, "only an Uptime Kuma node can run these monitors");
            pending.only_kuma.clear();
        }
        if pending.turn.is_empty() {
            pending.turn = pending.turns.next(clock::now());
        }
        // Those that are not this process's any more are about to be stopped.
        if !pending.turn.is_empty() && self.marks.begin_apart(&pending.turn).await? {
            let _ = self.runner.send(Command::Begin(std::mem::take(&mut pending.turn)));
        }
        pending.turn.clear();
        Ok(())
    }
}
