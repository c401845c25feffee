//! Watchdogs that give second opinions on monitors, over a model of their table: processes that die, stand still, are cut off from the world
//! or from each other, a database that is away, a clock that jumps, targets that fail for all, for some and for the node alone, and a node that lies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::check::trial::supposed;
use komainu_watchdogs::check::{Answer, Definition, Failure, Members, Outcome, Policy, Quorum, Trouble};
use komainu_watchdogs::ids::{WatchdogId, Zone};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::opinion::{
    Case, Crowd, Opinion, Record, Remark, Said, Seen, Step, Teller, Telling, Wish, again, at_once, before_telling,
    dispute, is_claimed, looks_on, passes_on, patience,
};
use komainu_watchdogs::time::Wall;

use super::judge::Judge;
use crate::simulation::prng::Prng;

pub(crate) const TICK: i64 = 500;
pub(crate) const INTERVAL: Duration = Duration::from_secs(20);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How often each monitor that is up is looked at.
pub(crate) const SAMPLE_EACH: i64 = 30_000;
const MONITORS: usize = 4;
const AT_ONCE: usize = 3;

/// A rule that is broken, on this side of the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    WaitsForEver,
    OldAnswersCount,
    TieCounts,
    NeverLooksAgain,
    ClaimsStand,
    /// Who hears nobody says that nothing can be said.
    SilenceIsSaid,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Dog {
    /// Dead or frozen until then.
    pub(crate) away_until: i64,
    pub(crate) is_isolated: bool,
    /// It reaches the database and the world, and hears no other watchdog.
    pub(crate) is_deaf: bool,
    heard_nobody: bool,
    /// What it asks: monitor, change, when the answer is there.
    asking: Vec<(usize, i64, i64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) record: Record,
    holder: Option<usize>,
    held_at: Option<Wall>,
    due_at: Option<Wall>,
    /// Who heard too few, and left it to others.
    passed: BTreeSet<usize>,
    /// What was so when the last answer was made: a strict majority of those who could look saw it fail.
    pub(crate) was_failing: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) wish: Wish,
    pub(crate) teller: Teller,
    /// Which watchdogs do not reach it.
    pub(crate) fails_for: Vec<bool>,
    pub(crate) says_down: bool,
    pub(crate) change: i64,
    pub(crate) row: Option<Row>,
    /// The change that was told as critical, while that is open.
    pub(crate) page: Option<i64>,
    pub(crate) dispute: bool,
    sampled_at: i64,
}

pub(crate) struct World {
    pub(crate) now: i64,
    clock_off: i64,
    pub(crate) is_database_up: bool,
    pub(crate) dogs: Vec<Dog>,
    pub(crate) monitors: Vec<Monitor>,
    pub(crate) judge: Judge,
    rng: Prng,
    broken: Option<Variant>,
}

impl World {
    pub(crate) fn new(seed: u64, broken: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed);
        let dogs = usize::try_from(rng.between(1, 5)).unwrap();
        let monitor = |at: usize| Monitor {
            wish: [Wish::Require, Wish::Note, Wish::Require, Wish::Off][at % 4],
            teller: if at == 2 && seed.is_multiple_of(3) { Teller::Kuma } else { Teller::Komainu },
            fails_for: vec![false; dogs],
            says_down: false,
            change: 1,
            row: None,
            page: None,
            dispute: false,
            sampled_at: 0,
        };
        Self {
            now: 0,
            clock_off: 0,
            is_database_up: true,
            dogs: vec![Dog::default(); dogs],
            monitors: (0..MONITORS).map(monitor).collect(),
            judge: Judge::new(MONITORS),
            rng,
            broken,
        }
    }

    /// Runs for so long; the first invariant that does not hold.
    pub(crate) fn run(&mut self, seconds: i64) -> Result<(), String> {
        while self.now < seconds * 1_000 {
            self.weather();
            for dog in 0..self.dogs.len() {
                if self.is_database_up && self.is_running(dog) {
                    self.turn(dog)?;
                }
            }
            self.judge_now()?;
            self.now += TICK;
        }
        Ok(())
    }

    pub(crate) fn wall(&self) -> Wall {
        Wall(10_000_000 + self.now + self.clock_off)
    }

    pub(crate) fn is_running(&self, dog: usize) -> bool {
        self.now >= self.dogs[dog].away_until
    }

    fn is_broken(&self, variant: Variant) -> bool {
        self.broken == Some(variant)
    }

    fn weather(&mut self) {
        let (now, count) = (self.now, self.dogs.len());
        for dog in 0..count {
            if self.rng.per_mille(2) {
                let is_frozen = self.rng.per_mille(500);
                self.dogs[dog].away_until = now + i64::try_from(self.rng.between(2_000, 40_000)).unwrap();
                if !is_frozen {
                    self.dogs[dog].asking.clear();
                }
                self.judge.note_fault();
            }
            if self.rng.per_mille(1) {
                self.dogs[dog].is_isolated = !self.dogs[dog].is_isolated;
                self.judge.note_change();
            }
            if self.rng.per_mille(if self.dogs[dog].is_deaf { 5 } else { 2 }) {
                self.dogs[dog].is_deaf = !self.dogs[dog].is_deaf;
                self.judge.note_fault();
            }
        }
        if self.rng.per_mille(if self.is_database_up { 1 } else { 50 }) {
            self.is_database_up = !self.is_database_up;
        }
        if self.rng.per_mille(1) {
            self.clock_off += i64::try_from(self.rng.between(0, 120_000)).unwrap() - 60_000;
            self.put_right();
            self.judge.note_jump();
        }
        for at in 0..MONITORS {
            if self.rng.per_mille(4) {
                self.change_target(at);
            }
        }
    }

    /// As a watchdog does that sees the clock step: what stands ahead is due now. Since when a question waits stays as it is, so that its bound is
    /// seen to hold by itself.
    fn put_right(&mut self) {
        let now = self.wall();
        for row in self.monitors.iter_mut().filter_map(|monitor| monitor.row.as_mut()) {
            row.due_at = row.due_at.map(|due_at| due_at.min(now));
        }
    }

    fn change_target(&mut self, at: usize) {
        let count = self.dogs.len();
        let kind = self.rng.below(6);
        let some: Vec<bool> = (0..count).map(|_| self.rng.per_mille(500)).collect();
        let monitor = &mut self.monitors[at];
        let (fails_for, says_down) = match kind {
            0 => (vec![true; count], true),
            1 => (vec![false; count], true),
            2 => (vec![true; count], false),
            3 => (some, true),
            _ => (vec![false; count], false),
        };
        if says_down && !monitor.says_down {
            monitor.change += 1;
        }
        (monitor.fails_for, monitor.says_down) = (fails_for, says_down);
        self.judge.note_target(at, self.now);
    }

    /// What one watchdog does in half a second.
    fn turn(&mut self, dog: usize) -> Result<(), String> {
        for at in 0..MONITORS {
            self.settle(at)?;
        }
        self.keep_claims(dog);
        self.take_answers(dog)?;
        if !self.dogs[dog].is_isolated {
            self.claim(dog);
            self.sample(dog);
        }
        Ok(())
    }

    fn case<'a>(&self, monitor: &Monitor, record: Option<&'a Record>) -> Case<'a> {
        Case {
            now: self.wall(),
            wish: monitor.wish,
            said: if monitor.says_down { Said::Down(monitor.change) } else { Said::Up },
            teller: if monitor.page.is_some() { Teller::Told } else { monitor.teller },
            interval: INTERVAL,
            record,
            is_open: monitor.dispute,
        }
    }

    fn settle(&mut self, at: usize) -> Result<(), String> {
        self.tell(at)?;
        let monitor = self.monitors[at].clone();
        let record = monitor.row.as_ref().map(|row| &row.record);
        let step = dispute(&self.case(&monitor, record));
        match step {
            Step::Ask(change) => self.ask(at, change),
            Step::Open(_) => {
                self.monitors[at].dispute = true;
                self.judge.disputes += 1;
            }
            Step::End(_) => self.monitors[at].dispute = false,
            Step::Leave | Step::Forget => {}
        }
        if step.forgets() {
            self.monitors[at].row = None;
        }
        Ok(())
    }

    fn tell(&mut self, at: usize) -> Result<(), String> {
        let monitor = self.monitors[at].clone();
        if !monitor.says_down {
            self.monitors[at].page = None;
            return Ok(());
        }
        if monitor.page.is_some() || monitor.teller == Teller::Kuma {
            return Ok(());
        }
        let mut record = monitor.row.as_ref().map(|row| row.record.clone());
        if let Some(record) = record.as_mut().filter(|_| self.is_broken(Variant::OldAnswersCount)) {
            record.change = monitor.change;
        }
        let telling = before_telling(
            self.wall(),
            monitor.wish,
            (monitor.change, record.as_ref()),
            (patience(TIMEOUT), Crowd::Unknown),
        );
        match telling {
            Telling::Ask => self.ask(at, monitor.change),
            Telling::Tell(Remark::Late) if self.is_broken(Variant::WaitsForEver) => {}
            Telling::Wait | Telling::Withhold => {}
            Telling::Tell(remark) => {
                self.judge.invariant_no_page_without_a_majority(&monitor, remark)?;
                self.judge.invariant_nobody_alone_undoes_a_second_opinion(&monitor, remark)?;
                self.monitors[at].page = Some(monitor.change);
            }
        }
        Ok(())
    }

    fn ask(&mut self, at: usize, change: i64) {
        let now = self.wall();
        let record = Record::asked(change, now);
        let passed = BTreeSet::new();
        let row = Row { record, holder: None, held_at: None, due_at: Some(now), passed, was_failing: false };
        self.monitors[at].row = Some(row);
    }

    fn keep_claims(&mut self, dog: usize) {
        let now = self.wall();
        for (at, change, _) in self.dogs[dog].asking.clone() {
            let row = self.monitors[at].row.as_mut();
            if let Some(row) = row.filter(|row| row.holder == Some(dog) && row.record.change == change) {
                row.held_at = Some(now);
            }
        }
    }

    fn claim(&mut self, dog: usize) {
        let now = self.wall();
        let stands = self.is_broken(Variant::ClaimsStand);
        for at in 0..MONITORS {
            let asking = self.dogs[dog].asking.len();
            if at_once(!self.dogs[dog].heard_nobody, AT_ONCE.saturating_sub(asking), asking) == 0 {
                return;
            }
            let takes = i64::try_from(self.rng.between(200, 6_000)).unwrap();
            let Some(row) = self.monitors[at].row.as_mut() else { continue };
            let is_claimed = is_claimed(now, row.held_at) && (row.holder.is_some() || row.passed.contains(&dog));
            let is_held = if stands { row.holder.is_some() } else { is_claimed };
            if is_held || row.due_at.is_none_or(|due_at| due_at > now) {
                continue;
            }
            (row.holder, row.held_at) = (Some(dog), Some(now));
            let change = row.record.change;
            self.dogs[dog].asking.push((at, change, self.now + takes));
        }
    }

    fn take_answers(&mut self, dog: usize) -> Result<(), String> {
        let now = self.now;
        let (ended, running) = self.dogs[dog].asking.clone().into_iter().partition(|(_, _, ends_at)| *ends_at <= now);
        self.dogs[dog].asking = running;
        let ended: Vec<(usize, i64, i64)> = ended;
        for (at, change, _) in ended {
            let (opinion, was_failing) = self.look(at, dog);
            let monitor = self.monitors[at].clone();
            let Some(mut row) = monitor.row.filter(|row| row.holder == Some(dog) && row.record.change == change) else {
                continue;
            };
            let silence = (opinion.unheard, row.passed.len());
            let is_passed = passes_on(self.wall(), &row.record, patience(TIMEOUT), silence);
            self.dogs[dog].heard_nobody = is_passed;
            if is_passed && !self.is_broken(Variant::SilenceIsSaid) {
                (row.holder, row.held_at) = (None, Some(self.wall()));
                row.passed.insert(dog);
                self.monitors[at].row = Some(row);
                self.judge.passed += 1;
                continue;
            }
            let record = row.record.after(self.wall(), opinion);
            let goes_on = looks_on(&self.case(&self.monitors[at], Some(&record)));
            let goes_on = goes_on && !self.is_broken(Variant::NeverLooksAgain);
            let due_at = goes_on.then(|| self.wall() + again(INTERVAL));
            let passed = BTreeSet::new();
            self.monitors[at].row = Some(Row { record, holder: None, held_at: None, due_at, passed, was_failing });
            self.judge.answers += 1;
            self.settle(at)?;
        }
        Ok(())
    }

    fn look(&mut self, at: usize, asker: usize) -> (Opinion, bool) {
        let (mut members, mut seen) = (vec![], BTreeMap::new());
        let (mut failing, mut able) = (0, 0);
        for dog in 0..self.dogs.len() {
            let name = WatchdogId::from(format!("w{dog}").as_str());
            // One that stopped a moment ago is still taken for living.
            let (is_running, is_isolated) = (self.is_running(dog), self.dogs[dog].is_isolated);
            members.push((name.clone(), Zone::from("a"), !is_isolated));
            let is_heard = dog == asker || !(self.dogs[dog].is_deaf || self.dogs[asker].is_deaf);
            if !is_running || !is_heard {
                continue;
            }
            let outcome = match (is_isolated, self.monitors[at].fails_for[dog]) {
                (true, _) => Outcome::Unable(Trouble::CutOff),
                (false, true) => Outcome::Failed(Failure::Refused),
                (false, false) => Outcome::Up,
            };
            failing += usize::from(outcome == Outcome::Failed(Failure::Refused));
            seen.insert(name, (outcome, Answer::default()));
        }
        able += members.iter().filter(|(_, _, may_vote)| *may_vote).count();
        let members = Members { is_isolated: false, registered: members.len(), living: members };
        let verdict = supposed(&definition(), &members, &seen, &Policy::default()).verdict;
        let opinion = Opinion::of(&verdict, &WatchdogId::from(format!("w{asker}").as_str()));
        let is_tie = self.is_broken(Variant::TieCounts) && opinion.seen == Seen::Split;
        let opinion = if is_tie { Opinion { seen: Seen::Down, ..opinion } } else { opinion };
        (opinion, 2 * failing > able)
    }

    fn sample(&mut self, dog: usize) {
        let now = self.now;
        for at in 0..MONITORS {
            let monitor = &mut self.monitors[at];
            let is_due = monitor.row.is_none() && !monitor.says_down && now - monitor.sampled_at >= SAMPLE_EACH;
            if monitor.wish == Wish::Off || !is_due {
                continue;
            }
            monitor.sampled_at = now;
            if monitor.fails_for[dog] {
                self.ask(at, 0);
            }
        }
    }
}

fn definition() -> Definition {
    Definition {
        name: "opinion".into(),
        version: 0,
        interval: INTERVAL,
        timeout: TIMEOUT,
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
        upside_down: false,
    }
}
