//! Begins monitors that may have ended a node apart from all others, and says in the database beforehand which.
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
pub enum Said {
    /// Monitors were started.
    Started,
    /// It is due for the first time, and is not to be run with others.
    Wants(MonitorId, Beginning),
    /// Its first run is over, or will not be.
    Over(MonitorId),
}

/// Carries it out.
pub struct Beginner {
    /// Where it is said.
    pub marks: Beginnings,
    /// Hears whose turn it is.
    pub runner: mpsc::UnboundedSender<Command>,
    /// Says who waits.
    pub said: mpsc::UnboundedReceiver<Said>,
}

/// What is to be written, and what waits.
#[derive(Default)]
struct Desk {
    turns: Turns,
    /// Whose turn it is, until that is written.
    turn: BTreeSet<MonitorId>,
    /// To be put aside.
    aside: BTreeSet<MonitorId>,
    /// Whose marks are to be taken back.
    over: BTreeSet<MonitorId>,
    write_not_before: Mono,
}

impl Desk {
    fn take(&mut self, now: Mono, said: Said) {
        match said {
            Said::Started => self.turns.handle_start(now),
            Said::Wants(_, Beginning::AtOnce) => {}
            Said::Wants(monitor, Beginning::Apart) => self.turns.wait(monitor, false),
            Said::Wants(monitor, Beginning::Alone) => self.turns.wait(monitor, true),
            Said::Wants(monitor, Beginning::PutAside) => {
                self.aside.insert(monitor);
            }
            Said::Over(monitor) => {
                self.turns.forget(monitor);
                self.turn.remove(&monitor);
                self.aside.remove(&monitor);
                self.over.insert(monitor);
            }
        }
    }

    fn wakes_at(&self) -> Option<Mono> {
        let has_to_write = !(self.aside.is_empty() && self.over.is_empty() && self.turn.is_empty());
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
        let mut desk = Desk::default();
        loop {
            let wakes_at = desk.wakes_at();
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(said) => desk.take(clock::now(), said),
                    None => return,
                },
                () = clock::sleep_until(wakes_at.unwrap_or_default()), if wakes_at.is_some() => {
                    let act = tokio::time::timeout(self.marks.allow(TIMEOUT), self.act(&mut desk));
                    if !matches!(act.await, Ok(Ok(()))) {
                        desk.write_not_before = clock::now() + PAUSE;
                    }
                }
            }
        }
    }

    /// What is to be done now. What was not done stays to be done.
    async fn act(&self, desk: &mut Desk) -> Result<(), StoreError> {
        if !desk.over.is_empty() {
            self.marks.begun_well(&desk.over).await?;
            desk.over.clear();
        }
        if !desk.aside.is_empty() {
            self.marks.put_aside(&desk.aside).await?;
            tracing::warn!(monitors = ?desk.aside, "nodes were lost over these monitors: they are put aside");
            desk.aside.clear();
        }
        if desk.turn.is_empty() {
            desk.turn = desk.turns.next(clock::now());
        }
        // Those that are not this process's any more are about to be stopped.
        if !desk.turn.is_empty() && self.marks.begin_apart(&desk.turn).await? {
            let _ = self.runner.send(Command::Begin(std::mem::take(&mut desk.turn)));
        }
        desk.turn.clear();
        Ok(())
    }
}
