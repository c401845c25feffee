//! A simulated node process: the real tenure, with runs that take time and beats that are stored over the network.

use std::collections::BTreeSet;
use std::rc::Rc;

use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::tenure::{ExitReason, Fence, Input, Output, Tenure};

use super::clocks::Clock;
use super::events::{Answer, Event, LineKind, MS, Message, Order, Request, SEC, Time, Who};
use super::invariants;
use super::leases::Statement;
use super::ledger::Ledger;
use super::model_store::{monitor_id, monitor_index};
use super::network::{Line, What};
use super::variants::Variant;
use super::world::{Life, World};

/// A node process.
#[derive(Debug)]
pub(crate) struct Node {
    /// Which configured node.
    pub(crate) id: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) tenure: Tenure,
    pub(crate) clock: Clock,
    pub(crate) life: Life,
    pub(crate) inbox: Vec<Message>,
    pub(crate) timer_at: Time,
    pub(crate) line: Line,
    pub(crate) rows: Line,
    pub(crate) jobs: Vec<Job>,
    pub(crate) runs_at: Time,
    pub(crate) run_number: u32,
    /// Beats whose statement is under way.
    pub(crate) stores: Vec<(u32, usize)>,
    /// Stops that wait for such statements.
    pub(crate) stops: Vec<Vec<u32>>,
    /// The run loop hangs until then.
    pub(crate) stalled_until: Time,
    /// The stop of a monitor hangs with it.
    pub(crate) is_deaf: bool,
    /// Runs take very long until then.
    pub(crate) slow_until: Time,
    /// The log as it stood before the database lost its tail, while this process cannot know of the loss.
    pub(crate) before_loss: Option<BeforeLoss>,
    /// It saw that what it had applied was lost.
    pub(crate) knows_of_loss: bool,
    /// The life of the server in which it took its lock last.
    pub(crate) lock_life: u32,
    pub(crate) spins: u32,
}

/// What a process may still go by after the database lost its tail.
#[derive(Clone, Debug)]
pub(crate) struct BeforeLoss {
    pub(crate) ledger: Rc<Ledger>,
    /// It looked at its row, and at the generation, since.
    has_seen_row: bool,
    has_seen_stamp: bool,
}

impl BeforeLoss {
    pub(crate) fn new(ledger: Rc<Ledger>) -> Self {
        Self { ledger, has_seen_row: false, has_seen_stamp: false }
    }
}

/// A monitor that a node process was told to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) monitor: usize,
    due_at: Time,
    running: Option<u32>,
}

impl Node {
    pub(crate) fn new(id: usize, incarnation: Incarnation, tenure: Tenure, clock: Clock) -> Self {
        Self {
            id,
            incarnation,
            tenure,
            clock,
            life: Life::Running,
            inbox: Vec::new(),
            timer_at: Time::MAX,
            line: Line::default(),
            rows: Line::default(),
            jobs: Vec::new(),
            runs_at: Time::MAX,
            run_number: 0,
            stores: Vec::new(),
            stops: Vec::new(),
            stalled_until: 0,
            is_deaf: false,
            slow_until: 0,
            before_loss: None,
            knows_of_loss: false,
            lock_life: 0,
            spins: 0,
        }
    }
}

impl World {
    pub(crate) fn tell_node(&mut self, node: usize, message: Message) {
        match message {
            Message::Answer { line, number, answer } => self.take_node_answer(node, line, number, answer),
            Message::GiveUp { line, number } => self.take_node_answer(node, line, number, Answer::Failed),
            Message::Hint => self.wake_node(node, Input::Hint),
            Message::Stopped => self.take_stopped(node),
            Message::RunEnds { monitor, run } => self.end_run(node, monitor, run),
            Message::Stored { number, is_answered } => self.take_stored(node, number, is_answered),
            Message::LockLost => self.take_lost_lock(node),
            Message::Probed { .. } | Message::Reported(_) => {}
        }
    }

    /// A node whose loop hangs may not even come to stop a monitor.
    pub(crate) fn take_stopped(&mut self, node: usize) {
        let process = &self.nodes[node];
        if process.is_deaf && self.now < process.stalled_until {
            self.schedule(self.now + 500 * MS, Event::Tell(Who::Node(node), Message::Stopped));
        } else {
            self.wake_node(node, Input::Stopped);
        }
    }

    fn take_node_answer(&mut self, node: usize, line: LineKind, number: u32, answer: Answer) {
        let who = Who::Node(node);
        let is_failed = matches!(answer, Answer::Failed);
        let Some(busy) = self.end(who, line, number, is_failed) else { return };
        let What::Node(kind) = busy.what else { return };
        let began_at = busy.began_at;
        if is_failed {
            // Who has applied nothing cannot see a loss, but that something failed.
            let process = &mut self.nodes[node];
            process.knows_of_loss |= process.before_loss.is_some() && process.tenure.applied().is_none();
            self.trace(&("node", node, "failed", kind));
        }
        let is_after = self.line(who, line).server_life == self.server.life;
        if is_after {
            self.note_sight(node, &answer);
        }
        let input = match answer {
            Answer::Row(row) => Input::Row(row),
            Answer::Registered(won) => Input::Registered { began_at, won },
            Answer::Renewed(ours) => Input::Renewed { began_at, ours },
            Answer::Stamp(stamp, applied_is_known) => {
                let applied = self.nodes[node].tenure.applied();
                let is_back = applied.is_some_and(|applied| stamp.generation < applied.generation);
                self.nodes[node].knows_of_loss |= is_back || !applied_is_known;
                self.counts.quarantines += u64::from(!applied_is_known);
                Input::StampRead { began_at, stamp, applied_is_known }
            }
            Answer::Assigned(stamp, monitors) => Input::Assigned { stamp, monitors },
            Answer::Acknowledged(ours) => Input::Acknowledged { began_at, ours },
            Answer::Released => Input::Released,
            Answer::Failed
            | Answer::InUse
            | Answer::Round(_)
            | Answer::Written(_)
            | Answer::Found(_)
            | Answer::Told
            | Answer::Leadership(_)
            | Answer::Shard(_)
            | Answer::Committed(_) => Input::Failed(kind),
        };
        self.begin_next(who, line);
        self.wake_node(node, input);
    }

    /// After a loss of the tail a process is judged by what it could know.
    fn note_sight(&mut self, node: usize, answer: &Answer) {
        let Some(before) = self.nodes[node].before_loss.as_mut() else { return };
        let is_lost = matches!(answer, Answer::Renewed(false) | Answer::Acknowledged(false) | Answer::Row(_));
        let shows_row = matches!(answer, Answer::Renewed(true) | Answer::Acknowledged(true));
        before.has_seen_row |= is_lost || shows_row;
        before.has_seen_stamp |= is_lost || matches!(answer, Answer::Stamp(..) | Answer::Assigned(..));
        if before.has_seen_row && before.has_seen_stamp {
            self.nodes[node].before_loss = None;
        }
    }

    pub(crate) fn wake_node(&mut self, node: usize, input: Input) {
        let now = self.local(Who::Node(node));
        self.nodes[node].tenure.handle(now, input);
        self.perform_node(node);
    }

    pub(crate) fn perform_node(&mut self, node: usize) {
        let who = Who::Node(node);
        while let Some(output) = self.nodes[node].tenure.poll_output() {
            let order = match output {
                Output::ReadRow => Order::ReadRow,
                Output::Register { seen, lease_seq } => Order::Register { seen, lease_seq },
                Output::Renew { applied } => Order::Renew { applied },
                Output::ReadStamp { applied } => Order::ReadStamp { applied },
                Output::ReadAssignments => Order::ReadAssignments { stamp: None },
                Output::Acknowledge(stamp) => Order::Acknowledge(stamp),
                Output::Release => Order::Release,
                Output::Stop(monitors) => {
                    self.stop_jobs(node, &monitors.into_iter().map(monitor_index).collect::<Vec<_>>());
                    continue;
                }
                Output::Start(monitors) => {
                    for monitor in monitors {
                        self.start_job(node, monitor);
                    }
                    continue;
                }
                Output::Exit(reason) => {
                    self.counts.id_conflicts += u64::from(matches!(reason, ExitReason::IdInUse { .. }));
                    self.end_process(who, true);
                    return;
                }
            };
            let is_long = matches!(order, Order::ReadAssignments { .. });
            self.order(who, if is_long { LineKind::Rows } else { LineKind::Tenure }, order);
        }
        let wakes_at = self.nodes[node].tenure.poll_timeout();
        self.set_timer(who, wakes_at);
    }

    /// What runs is thrown away; what is on its way to the database must be answered first.
    fn stop_jobs(&mut self, node: usize, monitors: &[usize]) {
        let process = &mut self.nodes[node];
        process.jobs.retain(|job| !monitors.contains(&job.monitor));
        let on_the_way: Vec<_> = process
            .stores
            .iter()
            .filter(|(_, monitor)| monitors.contains(monitor))
            .map(|&(number, _)| number)
            .collect();
        if on_the_way.is_empty() {
            let pause = self.rng.below(3 * MS);
            self.schedule(self.now + pause, Event::Tell(Who::Node(node), Message::Stopped));
        } else {
            process.stops.push(on_the_way);
        }
    }

    fn start_job(&mut self, node: usize, monitor: MonitorId) {
        let monitor = monitor_index(monitor);
        let spread = self.database.monitors[monitor].interval.min(5 * SEC);
        let due_at = self.now + self.rng.below(spread);
        self.nodes[node].jobs.push(Job { monitor, due_at, running: None });
        self.set_runs_timer(node);
    }

    fn set_runs_timer(&mut self, node: usize) {
        let process = &self.nodes[node];
        let idle = process.jobs.iter().filter(|job| job.running.is_none());
        let Some(at) = idle.map(|job| job.due_at).min() else { return };
        if at != process.runs_at {
            self.nodes[node].runs_at = at;
            self.schedule(at.max(self.now), Event::Runs(node));
        }
    }

    /// What was paused, deleted or made active without a new generation shows in the rows.
    pub(crate) fn compare_rows(&mut self, node: usize) {
        let process = &self.nodes[node];
        if process.life == Life::Dead {
            return;
        }
        self.schedule(self.now + 5 * SEC, Event::Slice(node));
        let process = &self.nodes[node];
        let (me, database) = (self.setup.dogs + process.id, self.database_end());
        let is_read = process.life == Life::Running
            && !self.server.is_down
            && !process.tenure.lease_left(self.local(Who::Node(node))).is_zero()
            && self.network.route(me, database, self.now, &mut self.rng).is_some();
        if !is_read {
            return;
        }
        let own = self.statement(node).read_assignments();
        let jobs: BTreeSet<_> = self.nodes[node].jobs.iter().map(|job| monitor_id(job.monitor)).collect();
        if own != jobs {
            self.wake_node(node, Input::Edited);
        }
    }

    /// The run loop has something due.
    pub(crate) fn run_due(&mut self, node: usize) {
        let process = &mut self.nodes[node];
        process.runs_at = Time::MAX;
        if self.now < process.stalled_until {
            process.runs_at = process.stalled_until;
            let at = process.runs_at;
            self.schedule(at, Event::Runs(node));
            return;
        }
        for index in 0..self.nodes[node].jobs.len() {
            let job = &self.nodes[node].jobs[index];
            if job.running.is_none() && job.due_at <= self.now {
                self.try_run(node, index);
            }
        }
        self.set_runs_timer(node);
    }

    fn try_run(&mut self, node: usize, index: usize) {
        let local = self.local(Who::Node(node));
        let process = &mut self.nodes[node];
        let monitor = process.jobs[index].monitor;
        if let Err(fence) = process.tenure.may_run(local, monitor_id(monitor)) {
            self.counts.self_fences += u64::from(matches!(fence, Fence::LeaseTooOld | Fence::NotReconciled));
            process.jobs[index].due_at = self.now + 500 * MS;
            return;
        }
        process.run_number += 1;
        let run = process.run_number;
        process.jobs[index].running = Some(run);
        let is_slow = self.now < process.slow_until;
        let takes = if is_slow { self.rng.between(3 * SEC, 25 * SEC) } else { self.rng.between(5 * MS, 200 * MS) };
        self.counts.runs += 1;
        self.schedule(self.now + takes, Event::Tell(Who::Node(node), Message::RunEnds { monitor, run }));
        let found = invariants::invariant_one_owner_runs(self, node, monitor);
        self.judge(found);
    }

    fn end_run(&mut self, node: usize, monitor: usize, run: u32) {
        let local = self.local(Who::Node(node));
        let interval = self.database.monitors[monitor].interval;
        let process = &mut self.nodes[node];
        let job = process.jobs.iter_mut().find(|job| job.monitor == monitor && job.running == Some(run));
        let is_current = job.is_some();
        if let Some(job) = job {
            job.running = None;
            job.due_at = (job.due_at + interval).max(self.now);
        }
        let may_store = is_current && process.tenure.may_store(local, monitor_id(monitor)).is_ok();
        if may_store || self.variant == Some(Variant::NoCheckBeforeStore) {
            self.send_beat(node, monitor);
        } else {
            self.counts.thrown_away += 1;
        }
        self.set_runs_timer(node);
    }

    pub(crate) fn statement(&mut self, node: usize) -> Statement<'_> {
        let process = &self.nodes[node];
        let clock_off_ms = self.clock_off(process.id);
        let has_lock = self.server.lease_locks.contains(&process.incarnation);
        let is_abandoned = self.is_abandoned(node);
        Statement {
            database: &mut self.database,
            ledger: &mut self.ledger,
            now: self.now,
            variant: self.variant,
            node: process.id,
            incarnation: process.incarnation,
            clock_off_ms,
            has_lock,
            is_abandoned,
        }
    }

    /// A node's request is executed by the database.
    pub(crate) fn execute_for_node(&mut self, node: usize, request: &Request) -> Answer {
        if !matches!(request.order, Order::Renew { .. } | Order::ReadStamp { .. } | Order::ReadRow) {
            self.trace(&("node", node, &request.order));
        }
        let mut statement = self.statement(node);
        match request.order {
            Order::ReadRow => Answer::Row(statement.read_row()),
            Order::Register { seen, lease_seq } => Answer::Registered(statement.register(seen, lease_seq)),
            Order::Renew { applied } => Answer::Renewed(statement.renew(applied)),
            Order::ReadStamp { applied } => {
                let (stamp, is_known) = statement.read_stamp(applied);
                Answer::Stamp(stamp, is_known)
            }
            Order::ReadAssignments { stamp } => {
                Answer::Assigned(stamp.unwrap_or_default(), statement.read_assignments())
            }
            Order::Acknowledge(stamp) => Answer::Acknowledged(statement.renew(Some(stamp))),
            Order::Release => {
                statement.release();
                Answer::Released
            }
            Order::ReadRound
            | Order::Errand(..)
            | Order::Write(_)
            | Order::Raise(_)
            | Order::Resolve { .. }
            | Order::Act(_)
            | Order::Commit(_)
            | Order::ReadShard => Answer::Failed,
        }
    }
}
