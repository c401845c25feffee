//! A simulated watchdog process: the real core, driven as its driver drives it.

use std::collections::BTreeMap;

use komainu_watchdogs::decision::Commit;
use komainu_watchdogs::facts::{Round, Shard, Target};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{Errand, Found, Input, LeadershipAnswer, Output, ProbeOutcome};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::watchdog::Watchdog;

use super::clocks::Clock;
use super::events::{Answer, Event, LineKind, MS, Message, Order, Request, SEC, Time, Who};
use super::model_store::{dog_index, node_index};
use super::network::{Line, What};
use super::tails::OwnTail;
use super::variants::Variant;
use super::world::{Life, World};

/// A watchdog process.
#[derive(Debug)]
pub(crate) struct Dog {
    /// Which configured watchdog.
    pub(crate) id: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) core: Watchdog,
    pub(crate) clock: Clock,
    pub(crate) life: Life,
    pub(crate) inbox: Vec<Message>,
    pub(crate) timer_at: Time,
    pub(crate) rounds: Line,
    pub(crate) side: Line,
    pub(crate) leader_lock: Line,
    pub(crate) is_stopping: bool,
    pub(crate) born_at: Time,
    pub(crate) in_use_since: Option<Time>,
    /// The judge's own count of its probes of each node.
    pub(crate) tallies: Vec<OwnTally>,
    pub(crate) failed_at: Time,
    /// The last write of its row that was committed, and since when there has been no long gap between them.
    pub(crate) written_at: Time,
    pub(crate) steady_since: Time,
    pub(crate) spins: u32,
    /// It read a round since its last transaction: otherwise the next one is the rest of a plan.
    pub(crate) has_read: bool,
    /// When it last got a round, and when it last got the counts.
    pub(crate) read_at: Time,
    pub(crate) counted_at: Time,
    /// Since when there has been no long gap between them.
    pub(crate) reads_since: Time,
    pub(crate) counts_since: Time,
    /// When the counts that it got last were asked for, by its own clock.
    pub(crate) counts_asked_at: Mono,
    /// When its last decision was answered, by its own clock.
    pub(crate) decided_at: Mono,
    /// When it last read the rows of all monitors.
    pub(crate) shard_read_at: Time,
    /// Since when each monitor has been nobody's, and when it first got rows that show it: it cannot know sooner.
    pub(crate) noticed: Vec<Option<(Time, Time)>>,
    /// What it was answered of its row, and which losses it has to tell of.
    pub(crate) tail: OwnTail,
}

/// Failures and answers in a row, counted by the judge.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnTally {
    failures: u32,
    answers: u32,
    is_down: bool,
    pub(crate) down_at: Option<Time>,
}

impl OwnTally {
    fn note(&mut self, is_up: bool, now: Time) {
        if is_up {
            (self.failures, self.answers) = (0, self.answers + 1);
            self.is_down &= self.answers < 3;
        } else {
            (self.failures, self.answers) = (self.failures + 1, 0);
            self.is_down |= self.failures >= 3;
        }
        self.touch(now);
    }

    pub(crate) fn touch(&mut self, now: Time) {
        if self.is_down {
            self.down_at = Some(now);
        }
    }
}

impl World {
    pub(crate) fn tell_dog(&mut self, dog: usize, message: Message) {
        let input = match message {
            Message::Answer { line, number, answer } => self.take_answer(dog, line, number, answer),
            Message::GiveUp { line, number } => self.take_answer(dog, line, number, Answer::Failed),
            Message::Probed { target, is_up, is_refused } => {
                if let Target::Node(node) = &target {
                    self.dogs[dog].tallies[node_index(node)].note(is_up, self.now);
                }
                let outcome = match is_up {
                    true => ProbeOutcome::Answered,
                    false if is_refused => ProbeOutcome::Refused(String::new()),
                    false => ProbeOutcome::Failed(String::new()),
                };
                Some(Input::Probed(target, outcome))
            }
            Message::Reported(report) => Some(Input::Reported(report)),
            Message::Hint | Message::RunEnds { .. } | Message::Stopped | Message::LockLost | Message::Stored { .. } => {
                None
            }
        };
        if let Some(input) = input {
            self.wake_dog(dog, input);
        }
    }

    fn take_answer(&mut self, dog: usize, line: LineKind, number: u32, answer: Answer) -> Option<Input> {
        let who = Who::Dog(dog);
        let is_failed = matches!(
            answer,
            Answer::Failed | Answer::Leadership(LeadershipAnswer::Failed(_) | LeadershipAnswer::Released)
        );
        let busy = self.end(who, line, number, is_failed)?;
        let now = self.local(who);
        let began_at = busy.began_at;
        if matches!(answer, Answer::Failed | Answer::InUse) {
            self.dogs[dog].failed_at = self.now;
        }
        let input = match (answer, busy.what) {
            (Answer::Failed, What::ReadRound) => Some(Input::RoundFailed(String::new())),
            (Answer::Failed, What::Write) if self.variant == Some(Variant::UnansweredClaimed) => {
                Some(Input::Written(Ok(())))
            }
            (Answer::Failed, What::Write) => Some(Input::Written(Err(String::new()))),
            (Answer::Failed, What::Incident(key)) => Some(Input::Told(key, Err(String::new()))),
            (Answer::Failed, What::Errand(errand)) => Some(Input::Errand(errand, Err(String::new()))),
            (Answer::Failed, What::Act) => {
                Some(Input::Leadership { began_at, answer: LeadershipAnswer::Failed(String::new()) })
            }
            (Answer::Failed, What::Commit) => {
                Some(Input::Committed { began_at, commit: Commit::Failed(String::new()) })
            }
            (Answer::Failed, What::ReadShard) => Some(Input::Shard(Err(String::new()))),
            (Answer::InUse, _) => self.notice_in_use(dog),
            (Answer::Written(number), _) => {
                self.note_answered(dog, number);
                self.dogs[dog].in_use_since = None;
                Some(Input::Written(Ok(())))
            }
            (Answer::Round(round), _) => Some(Input::Round(self.take_round(dog, round, began_at))),
            (Answer::Found(found), What::Errand(errand)) => {
                Some(Input::Errand(errand, Ok(self.take_found(dog, found, began_at))))
            }
            (Answer::Told, What::Incident(key)) => Some(Input::Told(key, Ok(()))),
            (Answer::Leadership(answer), _) => {
                if matches!(answer, LeadershipAnswer::Claimed(_)) {
                    self.dogs[dog].decided_at = now;
                }
                Some(Input::Leadership { began_at, answer })
            }
            (Answer::Shard(shard), _) => Some(Input::Shard(Ok(shard))),
            (Answer::Committed(commit), _) => {
                self.dogs[dog].decided_at = now;
                Some(Input::Committed { began_at, commit })
            }
            _ => None,
        };
        self.begin_next(who, line);
        if self.dogs[dog].life == Life::Running { input } else { None }
    }

    /// When something that a watchdog reads was asked for.
    fn read_from(&self, dog: usize, began_at: Mono) -> Mono {
        let is_believed = self.variant == Some(Variant::StaleRounds) && began_at < self.dogs[dog].decided_at;
        if is_believed { self.local(Who::Dog(dog)) } else { began_at }
    }

    fn read_shard(&mut self, dog: usize) -> Shard {
        self.dogs[dog].shard_read_at = self.now;
        let mut shard = self.database.shard(self.variant == Some(Variant::PinHidden));
        Variant::disguise(self.variant, &mut shard);
        shard
    }

    /// A round that was asked for at this point came: with counts that are as new it shows who has been nobody's since.
    fn notice_unowned(&mut self, dog: usize, asked_at: Mono) {
        let process = &mut self.dogs[dog];
        let shown_until = asked_at.min(process.counts_asked_at);
        process.noticed.resize(self.unowned_since.len(), None);
        for (noticed, since) in process.noticed.iter_mut().zip(&self.unowned_since) {
            let shown = since.filter(|since| process.clock.at(*since) <= shown_until);
            *noticed = shown.map(|since| noticed.filter(|one| one.0 == since).unwrap_or((since, self.now)));
        }
    }

    fn take_round(&mut self, dog: usize, mut round: Box<Round>, began_at: Mono) -> Box<Round> {
        let now = self.local(Who::Dog(dog));
        self.dogs[dog].has_read = true;
        if self.now - self.dogs[dog].read_at > 4 * SEC {
            self.dogs[dog].reads_since = self.now;
        }
        self.dogs[dog].read_at = self.now;
        self.notice_unowned(dog, began_at);
        (round.began_at, round.ended_at) = (self.read_from(dog, began_at), now);
        if self.variant.is_some() {
            let report = self.dogs[dog].core.report();
            Variant::distort(self.variant, &mut round, &report.watchdog, report.seq);
        }
        round
    }

    fn take_found(&mut self, dog: usize, mut found: Found, began_at: Mono) -> Found {
        if let Found::Counts(counts) = &mut found {
            if self.now - self.dogs[dog].counted_at > 9 * SEC {
                self.dogs[dog].counts_since = self.now;
            }
            (self.dogs[dog].counted_at, self.dogs[dog].counts_asked_at) = (self.now, began_at);
            counts.began_at = self.read_from(dog, began_at);
            Variant::hide(self.variant, counts);
        }
        found
    }

    /// The row of this id is written by another process: a driver that sees this for 20 s ends.
    fn notice_in_use(&mut self, dog: usize) -> Option<Input> {
        let since = *self.dogs[dog].in_use_since.get_or_insert(self.now);
        if self.now - since >= 20 * SEC {
            self.counts.id_conflicts += 1;
            self.end_process(Who::Dog(dog), true);
            return None;
        }
        Some(Input::Written(Err(String::new())))
    }

    pub(crate) fn wake_dog(&mut self, dog: usize, input: Input) {
        if self.dogs[dog].is_stopping {
            return;
        }
        let now = self.local(Who::Dog(dog));
        self.dogs[dog].core.handle(now, input);
        self.perform_all(dog);
    }

    pub(crate) fn perform_all(&mut self, dog: usize) {
        while let Some(output) = self.dogs[dog].core.poll_output() {
            self.perform(dog, output);
        }
        let wakes_at = self.dogs[dog].core.poll_timeout();
        self.set_timer(Who::Dog(dog), wakes_at);
    }

    fn perform(&mut self, dog: usize, output: Output) {
        let who = Who::Dog(dog);
        match output {
            Output::ReadRound => self.order(who, LineKind::Rounds, Order::ReadRound),
            Output::Errand(errand) => self.order(who, LineKind::Side, Order::Errand(errand, BTreeMap::new())),
            Output::ReadProgress(looks) => {
                let spans = looks.into_iter().filter_map(|(node, look)| Some((node, look.within?))).collect();
                self.order(who, LineKind::Side, Order::Errand(Errand::Progress, spans));
            }
            Output::Write(write) => self.order(who, LineKind::Rounds, Order::Write(write)),
            Output::Raise(alarm) => self.order(who, LineKind::Side, Order::Raise(Box::new(alarm))),
            Output::Resolve { key, last_bad_at } => {
                self.order(who, LineKind::Side, Order::Resolve { key, last_bad_at });
            }
            Output::Leadership(act) => self.order(who, LineKind::LeaderLock, Order::Act(act)),
            Output::Commit(decision) => {
                let had_read = std::mem::replace(&mut self.dogs[dog].has_read, false);
                self.counts.queued_chunks += u64::from(!had_read && !decision.moves.is_empty());
                self.order(who, LineKind::LeaderLock, Order::Commit(decision));
            }
            Output::ReadShard => self.order(who, LineKind::LeaderLock, Order::ReadShard),
            Output::Probe(target) => self.probe(dog, target),
            Output::Hint(nodes) => {
                for node in nodes {
                    self.hint(dog, node_index(&node));
                }
            }
            Output::LostTail(loss) => self.take_lost_tail(dog, &loss),
            Output::Announce(news) => self.trace(&(dog, news)),
        }
    }

    fn hint(&mut self, dog: usize, node: usize) {
        let (from, to) = (self.dogs[dog].id, self.setup.dogs + node);
        for process in 0..self.nodes.len() {
            if self.nodes[process].id == node
                && let Some(takes) = self.network.route(from, to, self.now, &mut self.rng)
            {
                self.schedule(self.now + takes, Event::Tell(Who::Node(process), Message::Hint));
            }
        }
    }

    /// What a probe will see is decided when it is sent, and told when it has seen it.
    fn probe(&mut self, dog: usize, target: Target) {
        let me = self.dogs[dog].id;
        let (to, answering) = match &target {
            Target::Node(node) => {
                let node = node_index(node);
                (
                    self.setup.dogs + node,
                    self.living(|world, who| matches!(who, Who::Node(process) if world.nodes[process].id == node)),
                )
            }
            Target::Watchdog(peer) => {
                let peer = dog_index(peer);
                (peer, self.living(|world, who| matches!(who, Who::Dog(process) if world.dogs[process].id == peer)))
            }
            Target::Canary(_) => {
                let is_up = self.now >= self.network.worldless_until[me];
                let takes = if is_up { 20 * MS } else { 3 * SEC };
                self.schedule(
                    self.now + takes,
                    Event::Tell(Who::Dog(dog), Message::Probed { target, is_up, is_refused: false }),
                );
                return;
            }
        };
        let there = self.network.route(me, to, self.now, &mut self.rng);
        let back = self.network.route(to, me, self.now, &mut self.rng);
        let takes = there.zip(back).map(|(there, back)| there + back);
        let is_closed = matches!(&target, Target::Node(node) if self.is_port_closed(node_index(node)));
        let (takes, is_up, is_refused) = match (takes, answering) {
            (Some(takes), _) if is_closed => (takes, false, takes < 3 * SEC),
            (Some(takes), Some(who)) if self.is_running(who) => (takes, takes < 3 * SEC, false),
            // Nobody listens: refused at once.
            (Some(takes), None) => (takes, false, takes < 3 * SEC),
            _ => (3 * SEC, false, false),
        };
        let is_refused = is_refused || !is_up && self.variant == Some(Variant::SilenceIsRefusal);
        let at = self.now + takes.min(3 * SEC);
        if let (true, Some(Who::Dog(peer)), Target::Watchdog(_)) = (is_up, answering, &target)
            && self.variant != Some(Variant::NoMajority)
        {
            let report = Box::new(self.dogs[peer].core.report());
            self.schedule(at, Event::Tell(Who::Dog(dog), Message::Reported(report)));
        }
        self.schedule(at, Event::Tell(Who::Dog(dog), Message::Probed { target, is_up, is_refused }));
    }

    /// A watchdog's request is executed by the database.
    pub(crate) fn execute_for_dog(&mut self, dog: usize, request: &Request) -> Answer {
        match &request.order {
            Order::ReadRound => {
                let reader = self.dogs[dog].name();
                Answer::Round(Box::new(self.database.round(&reader, self.now, &self.server)))
            }
            Order::Errand(errand, spans) => Answer::Found(self.database.find(*errand, spans, (self.now, &self.server))),
            Order::Write(write) => {
                if !self.database.write(write, self.now, &self.server) {
                    return Answer::InUse;
                }
                let process = &mut self.dogs[dog];
                if self.now - process.written_at > 2 * SEC + 500 * MS {
                    process.steady_since = self.now;
                }
                process.written_at = self.now;
                Answer::Written(self.note_row_written(dog, write))
            }
            Order::Raise(alarm) => {
                self.trace(&(dog, "raise", &alarm.key, &alarm.summary));
                self.database.raise(alarm, self.server.wall(self.now));
                Answer::Told
            }
            Order::Resolve { key, last_bad_at } => {
                self.trace(&(dog, "resolve", key));
                self.database.resolve(key, *last_bad_at);
                Answer::Told
            }
            Order::Act(act) => Answer::Leadership(self.lead(dog, request.connection, *act)),
            Order::Commit(decision) => {
                self.meddle(decision);
                Answer::Committed(self.commit(decision))
            }
            Order::ReadShard => Answer::Shard(Box::new(self.read_shard(dog))),
            Order::ReadRow
            | Order::Register { .. }
            | Order::Renew { .. }
            | Order::ReadStamp { .. }
            | Order::ReadAssignments { .. }
            | Order::Acknowledge(_)
            | Order::Release => Answer::Failed,
        }
    }
}
