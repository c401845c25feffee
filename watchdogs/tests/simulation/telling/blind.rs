//! Nobody can judge: the reads of rounds fail while own rows can still be written. One watchdog alone says nothing of it;
//! most of them tell it like a dead database, and while it lasts nobody else calls it over.

use super::dark::alarm;
use super::judge::Variant;
use super::looks::CALM;
use super::world::{Ms, TICK, Telling};

/// The limit, the wait of who has no majority, each watchdog's turn, and some attempts on channels that fail meanwhile.
const TOLD_IN_THE_DARK: Ms = 15_000 + 60_000 + 3 * 30_000 + 60_000;

/// The limit, and as long as a message and its entry take.
const KNOWN_WITHIN: Ms = 15_000 + 30_000;

/// What people ought to be told of by the blackout machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outage {
    /// The database takes no writes.
    Writes,
    /// It does, and most cannot judge.
    Verdict,
}

/// The judge's: what lasts, and for how long it has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lasting {
    kind: Option<Outage>,
    /// While somebody could have told.
    untold_for: Ms,
    /// While most of those that run cannot judge.
    blind_for: Ms,
}

impl Telling {
    /// The reads of rounds fail for one watchdog, for most, or for all.
    pub(super) fn blind_some(&mut self) {
        self.counts.blindings += 1;
        let all = self.dogs.len();
        let most = if self.rng.per_mille(500) { 400_000 } else { 40_000 };
        let until = self.now + self.rng.between(1_000, most);
        let hit = self.rng.pick(&[1, all / 2 + 1, all]).unwrap();
        let first = self.rng.index(all);
        for at in 0..hit {
            self.dogs[(first + at) % all].blind_until = until;
        }
    }

    /// Its rounds fail, if the database is there at all.
    pub(super) fn is_blind(&self, dog: usize) -> bool {
        self.now < self.dogs[dog].blind_until
    }

    /// Whether somebody who runs can judge: then nodes are watched, and their monitors moved.
    pub(super) fn anybody_judges(&self) -> bool {
        let mut dogs = 0..self.dogs.len();
        self.is_database_up && dogs.any(|dog| self.dogs[dog].is_running(self.now) && !self.is_blind(dog))
    }

    /// Whoever reads the outage open, and is well, calls it over; unless somebody said again that it lasts.
    pub(super) fn resolve_outage(&mut self, dog: usize) {
        let row = &self.dogs[dog];
        let since = self.database_up_since.max(row.blind_until).max(row.back_at).max(self.outage_said_at);
        if self.now < since + CALM || row.dark.is_unentered() {
            return;
        }
        if let Some(incident) = self.outbox.is_open("database") {
            let blind: Vec<_> = (0..self.dogs.len()).map(|at| (self.is_blind(at), self.dogs[at].back_at)).collect();
            self.trace(&(dog, "calls the outage over", blind, self.outage_said_at));
            let found = self.invariant_no_false_calm_of_the_blind();
            self.judge(found);
            let now = self.wall();
            self.outbox.resolve(now, incident);
        }
    }

    /// In the tables, where those read it who can judge.
    pub(super) fn say_that_it_lasts(&mut self) {
        if self.is_database_up && !self.is_broken(Variant::LastsUnsaid) {
            self.counts.lasting += 1;
            self.outage_said_at = self.now;
            let now = self.wall();
            self.outbox.open(now, &alarm(), None);
        }
    }

    /// A majority, or all that run.
    fn are_most_blind(&self) -> bool {
        let running: Vec<_> = (0..self.dogs.len()).filter(|dog| self.dogs[*dog].is_running(self.now)).collect();
        let blind = running.iter().filter(|dog| self.is_blind(**dog)).count();
        self.is_database_up && blind > 0 && (blind == running.len() || 2 * blind > self.dogs.len())
    }

    /// What most could not judge for longer than it takes to tell and enter is not called over while it lasts.
    fn invariant_no_false_calm_of_the_blind(&self) -> Result<(), String> {
        if self.lasting.blind_for <= KNOWN_WITHIN {
            return Ok(());
        }
        Err(format!("no_false_calm: called over while most could not judge for {} ms", self.lasting.blind_for))
    }

    /// That the database is away, or that most cannot judge, is told while a watchdog that runs, and sees it, reaches a
    /// channel that works.
    pub(super) fn invariant_no_silence_in_the_dark(&mut self) -> Result<(), String> {
        let kind = match (self.is_database_up, self.are_most_blind()) {
            (false, _) => Some(Outage::Writes),
            (true, true) => Some(Outage::Verdict),
            (true, false) => None,
        };
        let could_tell = (0..self.moods.len()).any(|channel| self.moods[channel].works());
        let mut dogs = 0..self.dogs.len();
        let sees = |dog: usize| kind == Some(Outage::Writes) || self.is_blind(dog);
        let has_teller = dogs.any(|dog| self.dogs[dog].is_running(self.now) && self.dogs[dog].has_egress && sees(dog));
        let is_told = self.is_explained();
        let is_same = self.lasting.kind == kind && kind.is_some();
        if !is_same {
            self.lasting = Lasting { kind, ..Lasting::default() };
        }
        let lasting = &mut self.lasting;
        lasting.blind_for = if kind == Some(Outage::Verdict) { lasting.blind_for + TICK } else { 0 };
        let is_silent = is_same && !is_told && could_tell && has_teller;
        lasting.untold_for = if is_silent { lasting.untold_for + TICK } else { 0 };
        self.counts.blind_views += u64::from(kind == Some(Outage::Verdict) && is_told);
        if lasting.untold_for > TOLD_IN_THE_DARK {
            let what = if self.is_database_up { "nobody can judge" } else { "the database is away" };
            return Err(format!("no_silence: {what} and nobody was told for {} ms", lasting.untold_for));
        }
        Ok(())
    }

    /// What the machine hears of verdicts.
    pub(super) fn has_judged(&self, dog: usize) -> bool {
        !self.is_blind(dog) || self.is_broken(Variant::BlindnessUnseen)
    }
}
