//! The lossy, asymmetric network, and the connections over it.
//!
//! Each direction between any two of watchdogs, nodes and the database can be cut by itself; what is sent can be lost
//! (its sender notices by its time limit) or late. A request that arrives is executed, whether or not anybody waits for
//! its answer any more.

use std::collections::VecDeque;

use komainu_watchdogs::io::Errand;
use komainu_watchdogs::time::Mono;

use super::events::{Event, LineKind, MS, Message, Order, Request, SEC, Time, Who};
use super::prng::Prng;
use super::world::World;

/// How delays and losses are distributed in one run.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// `cut_until[from][to]`.
    cut_until: Vec<Vec<Time>>,
    /// Watchdogs that do not reach the outside world.
    pub(crate) worldless_until: Vec<Time>,
    loss: u64,
    lateness: u64,
    /// How many of a thousand transactions of leaders wait for locks.
    contention: u64,
}

impl Network {
    pub(crate) fn new(ends: usize, dogs: usize, rng: &mut Prng) -> Self {
        Self {
            cut_until: vec![vec![0; ends]; ends],
            worldless_until: vec![0; dogs],
            loss: rng.pick(&[0, 0, 2, 10, 30]).unwrap(),
            lateness: rng.pick(&[0, 2, 10, 40]).unwrap(),
            contention: rng.pick(&[0, 0, 100, 400]).unwrap(),
        }
    }

    /// How long a packet takes; `None`: it never arrives.
    pub(crate) fn route(&self, from: usize, to: usize, now: Time, rng: &mut Prng) -> Option<Time> {
        if now < self.cut_until[from][to] || rng.per_mille(self.loss) {
            return None;
        }
        Some(if rng.per_mille(self.lateness) { rng.between(50 * MS, 9 * SEC) } else { rng.between(MS / 2, 8 * MS) })
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, until: Time) {
        let entry = &mut self.cut_until[from][to];
        *entry = until.max(*entry);
    }

    pub(crate) fn heal(&mut self) {
        self.cut_until.iter_mut().flatten().for_each(|until| *until = 0);
        self.worldless_until.fill(0);
    }

    pub(crate) fn calm(&mut self) {
        self.heal();
        (self.loss, self.lateness, self.contention) = (0, 0, 0);
    }

    /// How long a leader's transaction waits until it is committed.
    fn wait(&self, order: &Order, rng: &mut Prng) -> Time {
        let waits = matches!(order, Order::Commit(_)) && rng.per_mille(self.contention);
        if waits { rng.between(100 * MS, 2_900 * MS) } else { 0 }
    }
}

/// A connection that does one thing after the other.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// One higher with each connect.
    pub(crate) connection: u32,
    is_connected: bool,
    pub(crate) server_life: u32,
    /// The server closed this connection because it was idle for too long.
    pub(crate) is_closed_by_server: bool,
    number: u32,
    pub(crate) busy: Option<Busy>,
    pub(crate) queue: VecDeque<Order>,
}

#[derive(Clone, Debug)]
pub(crate) struct Busy {
    number: u32,
    pub(crate) began_at: Mono,
    /// The sender's own copy of what it asked, as far as it needs it for the answer.
    pub(crate) what: What,
}

impl Line {
    /// Connects if need be, and is busy from now on.
    fn begin(&mut self, began_at: Mono, order: &Order, server_life: u32) -> u32 {
        self.number += 1;
        self.busy = Some(Busy { number: self.number, began_at, what: What::of(order) });
        if !self.is_connected {
            self.is_connected = true;
            self.is_closed_by_server = false;
            self.connection += 1;
            self.server_life = server_life;
        }
        self.number
    }
}

/// What becomes of a request that reached the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It is done now.
    Done,
    /// It fails.
    Refused,
    /// It is neither done nor answered.
    Lost,
    /// It is done after so long.
    Later(Time),
}

/// What a busy connection is busy with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    ReadRound,
    Errand(Errand),
    Write,
    Incident(String),
    Act,
    Commit,
    ReadShard,
    Node(komainu_watchdogs::tenure::Request),
}

impl What {
    fn of(order: &Order) -> Self {
        use komainu_watchdogs::tenure::Request as Kind;
        match order {
            Order::ReadRound => Self::ReadRound,
            Order::Errand(errand, _) => Self::Errand(*errand),
            Order::Write(_) => Self::Write,
            Order::Raise(alarm) => Self::Incident(alarm.key.clone()),
            Order::Resolve { key, .. } => Self::Incident(key.clone()),
            Order::Act(_) => Self::Act,
            Order::Commit(_) => Self::Commit,
            Order::ReadShard => Self::ReadShard,
            Order::ReadRow => Self::Node(Kind::ReadRow),
            Order::Register { .. } => Self::Node(Kind::Register),
            Order::Renew { .. } => Self::Node(Kind::Renew),
            Order::ReadStamp { .. } => Self::Node(Kind::ReadStamp),
            Order::ReadAssignments { .. } => Self::Node(Kind::ReadAssignments),
            Order::Acknowledge(_) => Self::Node(Kind::Acknowledge),
            Order::Release => Self::Node(Kind::Release),
        }
    }
}

/// How long a sender waits for an answer.
pub(crate) fn limit(line: LineKind) -> Time {
    match line {
        LineKind::Rounds | LineKind::Side => 4 * SEC,
        LineKind::LeaderLock | LineKind::Tenure => 3 * SEC,
        LineKind::Rows => 20 * SEC,
    }
}

impl World {
    /// Where a process stands in the network.
    pub(crate) fn end_of(&self, who: Who) -> usize {
        match who {
            Who::Dog(dog) => self.dogs[dog].id,
            Who::Node(node) => self.setup.dogs + self.nodes[node].id,
        }
    }

    pub(crate) fn database_end(&self) -> usize {
        self.setup.dogs + self.setup.nodes
    }

    pub(crate) fn line(&mut self, who: Who, line: LineKind) -> &mut Line {
        match (who, line) {
            (Who::Dog(dog), LineKind::LeaderLock) => &mut self.dogs[dog].leader_lock,
            (Who::Dog(dog), LineKind::Side) => &mut self.dogs[dog].side,
            (Who::Dog(dog), LineKind::Rounds | LineKind::Tenure | LineKind::Rows) => &mut self.dogs[dog].rounds,
            (Who::Node(node), LineKind::Rows) => &mut self.nodes[node].rows,
            (Who::Node(node), LineKind::Rounds | LineKind::Side | LineKind::LeaderLock | LineKind::Tenure) => {
                &mut self.nodes[node].line
            }
        }
    }

    /// Queues an order on a connection and begins it if the connection is free.
    pub(crate) fn order(&mut self, who: Who, line: LineKind, order: Order) {
        self.line(who, line).queue.push_back(order);
        self.begin_next(who, line);
    }

    pub(crate) fn begin_next(&mut self, who: Who, kind: LineKind) {
        let began_at = self.local(who);
        let (life, now) = (self.server.life, self.now);
        let connection = self.line(who, kind);
        if connection.busy.is_some() {
            return;
        }
        let Some(order) = connection.queue.pop_front() else { return };
        let number = connection.begin(began_at, &order, life);
        let request = Request {
            who,
            line: kind,
            number,
            sent_at: now,
            server_life: connection.server_life,
            connection: connection.connection,
            is_delayed: false,
            is_troubled: false,
            order,
        };
        let (from, to) = (self.end_of(who), self.database_end());
        let wait = self.network.wait(&request.order, &mut self.rng);
        let takes = self.network.route(from, to, now, &mut self.rng).map(|takes| takes + wait + self.distance());
        let limit = limit(kind);
        if takes.is_none_or(|takes| takes >= limit) {
            self.schedule(now + limit, Event::Tell(who, Message::GiveUp { line: kind, number }));
        }
        if let Some(takes) = takes {
            self.schedule(now + takes, Event::Arrive(Box::new(request)));
        }
    }

    /// A request reached the database server.
    pub(crate) fn arrive(&mut self, mut request: Request) {
        if self.now < self.server.slow_until && !request.is_delayed {
            request.is_delayed = true;
            let wait = self.rng.between(10 * MS, self.server.slow_until - self.now + SEC);
            self.give_up_later(&request, wait);
            self.schedule(self.now + wait, Event::Arrive(Box::new(request)));
            return;
        }
        let is_dead = request.server_life != self.server.life || {
            let line = self.line(request.who, request.line);
            line.connection == request.connection && line.is_closed_by_server
        };
        if self.server.is_down || is_dead {
            self.answer(&request, super::events::Answer::Failed);
            return;
        }
        match self.fate(&mut request) {
            Fate::Done => {}
            Fate::Refused => return self.answer(&request, super::events::Answer::Failed),
            Fate::Lost => return self.lose(&request),
            Fate::Later(wait) => {
                self.give_up_later(&request, wait);
                return self.schedule(self.now + wait, Event::Arrive(Box::new(request)));
            }
        }
        let has_given_up = self.now > request.sent_at + limit(request.line) || !self.is_alive(request.who);
        self.counts.late_executions += u64::from(has_given_up);
        if let Order::ReadAssignments { stamp: None } = request.order {
            request.order = Order::ReadAssignments { stamp: Some(self.database.cluster.stamp) };
            let pause = if self.rng.per_mille(50) { self.rng.below(SEC) } else { self.rng.below(5 * MS) };
            self.give_up_later(&request, pause);
            self.schedule(self.now + pause, Event::Arrive(Box::new(request)));
            return;
        }
        let answer = self.execute(&request);
        self.answer(&request, answer);
    }

    /// The request will be answered later than its sender waits.
    fn give_up_later(&mut self, request: &Request, wait: Time) {
        let ends_at = request.sent_at + limit(request.line);
        if self.now < ends_at && self.now + wait >= ends_at {
            self.schedule(ends_at, Event::Tell(request.who, give_up(request)));
        }
    }

    fn answer(&mut self, request: &Request, answer: super::events::Answer) {
        let ends_at = request.sent_at + limit(request.line);
        if self.now >= ends_at {
            return;
        }
        let (from, to) = (self.database_end(), self.end_of(request.who));
        let takes = self.network.route(from, to, self.now, &mut self.rng);
        match takes.map(|takes| self.now + takes + self.distance()).filter(|at| *at < ends_at) {
            Some(at) => {
                let message = Message::Answer { line: request.line, number: request.number, answer };
                self.schedule(at, Event::Tell(request.who, message));
            }
            None => self.schedule(ends_at, Event::Tell(request.who, give_up(request))),
        }
    }

    /// The connection is answered: what it was busy with, if this answer is the one it waits for.
    pub(crate) fn end(&mut self, who: Who, kind: LineKind, number: u32, is_failed: bool) -> Option<Busy> {
        let line = self.line(who, kind);
        let busy = line.busy.take_if(|busy| busy.number == number)?;
        if is_failed {
            self.disconnect(who, kind);
        }
        Some(busy)
    }

    /// The process closes its connection. The server may notice at once, or when it has been idle for long.
    pub(crate) fn disconnect(&mut self, who: Who, kind: LineKind) {
        let line = self.line(who, kind);
        line.is_connected = false;
        let connection = line.connection;
        if let (Who::Dog(dog), LineKind::LeaderLock) = (who, kind) {
            let wait = if self.rng.per_mille(600) { self.rng.below(20 * MS) } else { self.rng.below(10 * SEC) };
            if self.server.lock == Some((dog, connection)) {
                self.schedule(self.now + wait, Event::FreeLock { dog, connection });
            }
        }
    }
}

pub(crate) fn give_up(request: &Request) -> Message {
    Message::GiveUp { line: request.line, number: request.number }
}
