//! Subscribers of a page, told by mail: a server that refuses everybody, is away or stays silent, watchdogs that are killed between a letter and
//! its note, readers whose address is dead, and alerts that want the same server. What becomes of a letter is the core's; the rows are a model of
//! what the database keeps.

use std::time::Duration;

use komainu_watchdogs::subscription::{ALERTS_FIRST, Answer, Leave, MailServer, Next, Outcome, Record, Verdict, next};
use komainu_watchdogs::time::Mono;

use crate::simulation::prng::Prng;

pub(crate) const SEEDS: u64 = 150;
const TICK: Duration = Duration::from_millis(500);
const TROUBLED: Mono = Mono::secs(3 * 3_600);
/// All is well then, and somebody writes each half an hour: long enough for three things that are tried for a day each.
const ENDS: Mono = Mono::secs(5 * 24 * 3_600);
const CLAIM: Duration = Duration::from_secs(30);
const READERS: usize = 14;
const GAP: Duration = Duration::from_millis(500);

/// A rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    RefusalsBelieved,
    NeverBelieved,
    AlertsOvertaken,
    DoubtForgotten,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weather {
    Fine,
    RefusesAll,
    Away,
    /// Takes letters and is not heard any more.
    Silent,
    /// Answers 451 for a while, as those do that greylist.
    Later,
}

#[derive(Clone, Debug, Default)]
struct Row {
    told: usize,
    record: Record,
    retry_at: Mono,
    claim: Option<(u64, Mono)>,
    is_in_doubt: bool,
    is_ended: bool,
}

#[derive(Clone, Debug)]
struct Reader {
    is_dead: bool,
    row: Row,
    /// What came, in order, and whether it said that it may be a repetition.
    inbox: Vec<(usize, bool)>,
}

#[derive(Clone, Copy, Debug)]
struct Dog {
    process: u64,
    server: MailServer,
    /// A letter on its way: whose, what, until when, and the answer.
    way: Option<(usize, usize, Mono, Answer)>,
    dead_until: Mono,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) letters: u64,
    pub(crate) refusals: u64,
    pub(crate) repeated: u64,
    pub(crate) kills: u64,
    pub(crate) rests: u64,
    pub(crate) ended: u64,
}

pub(crate) struct World {
    pub(crate) now: Mono,
    rng: Prng,
    broken: Option<Variant>,
    weather: Weather,
    weather_until: Mono,
    alerts_since: Option<Mono>,
    alerts_until: Mono,
    said: usize,
    next_news: Mono,
    readers: Vec<Reader>,
    dogs: Vec<Dog>,
    processes: u64,
    found: Found,
}

/// One run.
pub(crate) fn run(seed: u64, broken: Option<Variant>) -> Result<Found, String> {
    let mut world = World::new(seed, broken);
    while world.now < ENDS {
        world.step()?;
    }
    world.settled()
}

impl World {
    fn new(seed: u64, broken: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed);
        let readers = (0..READERS).map(|_| Reader { is_dead: rng.per_mille(150), row: Row::default(), inbox: vec![] });
        let readers = readers.collect();
        let dogs = (1..=rng.between(1, 3)).map(Dog::new).collect::<Vec<_>>();
        Self {
            now: Mono::default(),
            broken,
            weather: Weather::Fine,
            weather_until: Mono::secs(60),
            alerts_since: None,
            alerts_until: Mono::default(),
            said: 0,
            next_news: Mono::secs(5),
            readers,
            processes: u64::try_from(dogs.len()).unwrap(),
            dogs,
            rng,
            found: Found::default(),
        }
    }

    fn is_calm(&self) -> bool {
        self.now >= TROUBLED
    }

    fn step(&mut self) -> Result<(), String> {
        // Days in which nothing is on its way pass in longer steps.
        let is_idle = self.is_calm() && self.dogs.iter().all(|dog| dog.way.is_none());
        self.now += if is_idle { TICK * 10 } else { TICK };
        self.change_weather();
        self.change_alerts();
        if self.now >= self.next_news {
            self.said += 1;
            let pause = if self.is_calm() { 1_800 } else { self.rng.between(5, 900) };
            self.next_news = self.now + Duration::from_secs(pause);
        }
        for at in 0..self.dogs.len() {
            self.act(at)?;
        }
        Ok(())
    }

    fn change_weather(&mut self) {
        if self.now < self.weather_until {
            return;
        }
        let all = [Weather::RefusesAll, Weather::Away, Weather::Silent, Weather::Later];
        let bad = self.rng.pick(&all).unwrap();
        let is_fine = self.is_calm() || self.weather != Weather::Fine;
        self.weather = if is_fine { Weather::Fine } else { bad };
        // What refuses everybody for a moment and takes letters in between cannot be told from readers that are gone.
        self.weather_until = self.now + Duration::from_secs(self.rng.between(300, 1_500));
    }

    fn change_alerts(&mut self) {
        if self.alerts_since.is_some() && (self.now >= self.alerts_until || self.is_calm()) {
            self.alerts_since = None;
        } else if self.alerts_since.is_none() && !self.is_calm() && self.rng.per_mille(2) {
            self.alerts_since = Some(self.now);
            self.alerts_until = self.now + Duration::from_secs(self.rng.between(1, 600));
        }
    }

    fn act(&mut self, at: usize) -> Result<(), String> {
        if self.dogs[at].dead_until > self.now {
            return Ok(());
        }
        if !self.is_calm() && self.rng.per_mille(1) {
            self.found.kills += 1;
            self.processes += 1;
            let dead_until = self.now + Duration::from_secs(self.rng.between(1, 60));
            self.dogs[at] = Dog { dead_until, ..Dog::new(self.processes) };
            return Ok(());
        }
        match self.dogs[at].way {
            Some((reader, what, until, answer)) if self.now >= until => self.note(at, (reader, what), answer),
            Some(_) => Ok(()),
            None => self.send(at),
        }
    }

    /// The next letter, as the product claims it and looks a last time.
    fn send(&mut self, at: usize) -> Result<(), String> {
        let process = self.dogs[at].process;
        let Some(reader) = (0..self.readers.len()).find(|reader| self.is_due(*reader)) else { return Ok(()) };
        let alerts_wait = self.alerts_since.is_some();
        match self.may_leave(at, alerts_wait) {
            Leave::Now => {}
            Leave::AlertsFirst => {
                self.found.rests += 1;
                return Ok(());
            }
            Leave::At(_) | Leave::Away(_) => return Ok(()),
        }
        if let Some(waited) =
            self.alerts_since.map(|since| self.now.since(since)).filter(|waited| *waited < ALERTS_FIRST)
        {
            return Err(format!("a letter overtook alerts that waited for {waited:?}"));
        }
        let (is_dead, weather) = (self.readers[reader].is_dead, self.weather);
        let row = &mut self.readers[reader].row;
        row.claim = Some((process, self.now + CLAIM));
        row.record.attempts += 1;
        let may_be_repeated = row.is_in_doubt && self.broken != Some(Variant::DoubtForgotten);
        row.is_in_doubt = true;
        let what = row.told + 1;
        let (answer, arrives) = match weather {
            Weather::Fine if is_dead => (Answer::Refused, false),
            Weather::Fine => (Answer::Taken, true),
            Weather::RefusesAll => (Answer::Refused, false),
            Weather::Away => (Answer::Away, false),
            Weather::Silent => (Answer::Unanswered, !is_dead),
            Weather::Later => (Answer::Later, false),
        };
        if arrives {
            self.arrives(reader, what, may_be_repeated)?;
        }
        self.dogs[at].server.left(self.now, GAP);
        let until = self.now + Duration::from_millis(self.rng.between(0, 3_000));
        self.dogs[at].way = Some((reader, what, until, answer));
        Ok(())
    }

    fn may_leave(&mut self, at: usize, alerts_wait: bool) -> Leave {
        let alerts_wait = alerts_wait && self.broken != Some(Variant::AlertsOvertaken);
        let mut server = self.dogs[at].server;
        let leave = server.may_leave(self.now, alerts_wait);
        self.dogs[at].server = server;
        leave
    }

    fn is_due(&self, reader: usize) -> bool {
        let row = &self.readers[reader].row;
        let is_free = row.claim.is_none_or(|(_, until)| until <= self.now);
        !row.is_ended && row.told < self.said && row.retry_at <= self.now && is_free
    }

    fn arrives(&mut self, reader: usize, what: usize, may_be_repeated: bool) -> Result<(), String> {
        self.found.letters += 1;
        let inbox = &mut self.readers[reader].inbox;
        if inbox.last().is_some_and(|(last, _)| *last > what) {
            return Err(format!("reader {reader} heard of {what} after {inbox:?}"));
        }
        if inbox.iter().any(|(heard, _)| *heard == what) {
            self.found.repeated += 1;
            if !may_be_repeated {
                return Err(format!("reader {reader} heard of {what} twice, and it did not say so"));
            }
        }
        inbox.push((what, may_be_repeated));
        Ok(())
    }

    fn note(&mut self, at: usize, (reader, what): (usize, usize), answer: Answer) -> Result<(), String> {
        let (now, process) = (self.now, self.dogs[at].process);
        self.dogs[at].way = None;
        let record = self.readers[reader].row.record;
        let verdict = self.judged(at, answer, record);
        self.found.refusals += u64::from(answer == Answer::Refused);
        let Reader { row, is_dead, .. } = &mut self.readers[reader];
        if row.claim.is_none_or(|(holder, _)| holder != process) {
            return Ok(());
        }
        row.claim = None;
        let lost = match verdict.next {
            None => {
                row.record.attempts = row.record.attempts.saturating_sub(1);
                false
            }
            Some(Next::Told) => {
                *row = Row { told: what, ..Row::default() };
                false
            }
            Some(Next::Again(pause)) => {
                row.retry_at = now + pause;
                row.record.refusals = verdict.refusals;
                false
            }
            Some(Next::GivenUp) => {
                let failures = row.record.failures + 1;
                *row = Row { told: what, record: Record { failures, ..Record::default() }, ..Row::default() };
                true
            }
            Some(Next::Ended) => {
                row.is_ended = true;
                self.found.ended += 1;
                true
            }
        };
        if lost && !*is_dead {
            return Err(format!("reader {reader} lives and was given up because of {answer:?}"));
        }
        Ok(())
    }

    fn judged(&mut self, at: usize, answer: Answer, record: Record) -> Verdict {
        let verdict = self.dogs[at].server.heard(self.now, answer, record);
        match (self.broken, answer) {
            (Some(Variant::RefusalsBelieved), Answer::Refused) => {
                Verdict { next: Some(next(Outcome::Refused, record)), ..verdict }
            }
            (Some(Variant::NeverBelieved), Answer::Refused) => {
                Verdict { next: Some(Next::Again(Duration::from_secs(30))), ..verdict }
            }
            _ => verdict,
        }
    }

    /// Whoever lives heard everything, and whoever does not is left in peace.
    fn settled(self) -> Result<Found, String> {
        for (at, reader) in self.readers.iter().enumerate() {
            if reader.is_dead && !reader.row.is_ended {
                return Err(format!("reader {at} is dead, and is knocked at for ever"));
            }
            let mut heard: Vec<usize> = reader.inbox.iter().map(|(what, _)| *what).collect();
            heard.dedup();
            // The last one may have been said this very moment.
            if !reader.is_dead && heard.len() + 1 < self.said {
                return Err(format!("reader {at} heard {} of {} things", heard.len(), self.said));
            }
        }
        Ok(self.found)
    }
}

impl Dog {
    fn new(process: u64) -> Self {
        Self { process, server: MailServer::default(), way: None, dead_until: Mono::default() }
    }
}
