//! A world without a database: several real blackout machines that ask each other, each on a clock of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::blackout::{
    Bad, Blackout, Change, Doubt, Input, Line, Open, Output, Picture, Speech, ToldLine, Tries, Trouble,
};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::attempt::Failure;
use komainu_watchdogs::time::{Mono, Wall};

/// One turn of the world.
const STEP: Duration = Duration::from_millis(100);

/// One watchdog's process, and what it can reach.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Dog {
    core: Option<Blackout>,
    /// Its clock shows this when the world begins: no two agree.
    origin: Duration,
    frozen_until: Duration,
    pub(crate) reaches_database: bool,
    /// What a verdict is made of can be had from the database, where it is reached.
    pub(crate) can_judge: bool,
    pub(crate) has_egress: bool,
    pub(crate) reaches_vendor: bool,
    /// Whether the vendor's answers reach it.
    pub(crate) hears_vendor: bool,
    /// It can say how checks are.
    pub(crate) has_eyes: bool,
    /// The channel that carries what is meant for another, as far as it can tell.
    pub(crate) via: Option<&'static str>,
    tries: BTreeMap<Line, Tries>,
    pub(crate) speaks_for: Duration,
    speaking: Option<(Duration, Speech)>,
    /// What survives the process.
    spool: Vec<(ToldLine, Duration)>,
}

/// What a vendor got.
struct Message {
    at: Duration,
    by: String,
    line: Line,
    doubt: Doubt,
    trouble: Trouble,
    outage: String,
    changes: Vec<Change>,
}

/// Seconds since the end of the database, who told it, on which channel, and what of which incident.
pub(crate) type News<'a> = (u64, &'a str, &'a str, Vec<(&'a str, Event)>);

pub(crate) struct Dark {
    now: Duration,
    dogs: BTreeMap<String, Dog>,
    cut: BTreeSet<(String, String)>,
    database_is_up: bool,
    stopped_at: Duration,
    wanted: BTreeSet<Line>,
    picture: Picture,
    messages: Vec<Message>,
    entered: usize,
    withdrawn: usize,
    /// Who said again that it lasts, and when.
    lasting: Vec<(String, Duration)>,
    /// Nobody gets through to it.
    pub(crate) unreached: Option<&'static str>,
    incarnations: u64,
    /// The vendor gets the message, and its sender never hears of it.
    pub(crate) dies_when_told: Option<&'static str>,
}

impl Dark {
    pub(crate) fn watched_by(watchdogs: u32) -> Self {
        let mut dark = Self {
            now: Duration::ZERO,
            dogs: BTreeMap::new(),
            cut: BTreeSet::new(),
            database_is_up: true,
            stopped_at: Duration::ZERO,
            wanted: BTreeSet::from([line("database", "ops")]),
            picture: Picture::default(),
            messages: Vec::new(),
            entered: 0,
            withdrawn: 0,
            lasting: Vec::new(),
            unreached: None,
            incarnations: 0,
            dies_when_told: None,
        };
        for index in 1..=watchdogs {
            let dog = Dog {
                core: None,
                origin: Duration::from_secs(10_000 * u64::from(watchdogs + 1 - index)),
                frozen_until: Duration::ZERO,
                reaches_database: true,
                can_judge: true,
                has_egress: true,
                reaches_vendor: true,
                hears_vendor: true,
                has_eyes: true,
                via: None,
                tries: BTreeMap::new(),
                speaks_for: Duration::from_millis(200),
                speaking: None,
                spool: Vec::new(),
            };
            dark.dogs.insert(format!("w{index}"), dog);
        }
        for index in 1..=watchdogs {
            dark.start(&format!("w{index}"));
        }
        dark.run(30);
        dark
    }

    pub(crate) fn dog(&mut self, name: &str) -> &mut Dog {
        self.dogs.get_mut(name).unwrap()
    }

    pub(crate) fn everybody_wants(&mut self, lines: &[(&str, &str)]) {
        self.wanted = lines.iter().map(|(topic, channel)| line(topic, channel)).collect();
    }

    pub(crate) fn database_stops(&mut self) {
        self.database_is_up = false;
        self.stopped_at = self.now;
    }

    pub(crate) fn database_returns(&mut self) {
        self.database_is_up = true;
    }

    pub(crate) fn cut_between(&mut self, some: &[&str], others: &[&str]) {
        for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))) {
            self.cut.insert((one.to_owned(), other.to_owned()));
            self.cut.insert((other.to_owned(), one.to_owned()));
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn kill(&mut self, name: &str) {
        let dog = self.dog(name);
        dog.core = None;
        dog.speaking = None;
    }

    pub(crate) fn freeze(&mut self, name: &str, secs: u64) {
        self.dog(name).frozen_until = self.now + Duration::from_secs(secs);
        self.run(secs);
    }

    /// With the members that were cached on its disk, and with its spool.
    pub(crate) fn start(&mut self, name: &str) {
        self.incarnations += 1;
        let (incarnation, now) = (Incarnation(self.incarnations), self.now);
        let members: BTreeSet<_> = self.dogs.keys().map(|name| WatchdogId::from(name.as_str())).collect();
        let dog = self.dog(name);
        let age = |at: &Duration| u64::try_from(now.saturating_sub(*at).as_millis()).unwrap();
        let remembered = dog.spool.iter().map(|(said, at)| ToldLine { age_ms: age(at), ..said.clone() }).collect();
        let clock = dog.clock(now);
        let mut core = Blackout::new((name.into(), incarnation), Duration::from_secs(15), clock, remembered);
        core.handle(clock, Input::Members(members));
        dog.core = Some(core);
    }

    /// So many seconds pass.
    pub(crate) fn run(&mut self, secs: u64) {
        let until = self.now + Duration::from_secs(secs);
        while self.now < until {
            self.now += STEP;
            self.step();
        }
    }

    pub(crate) fn run_until_told(&mut self) {
        while self.messages.is_empty() {
            assert!(self.now < Duration::from_secs(600), "nobody told anybody");
            self.now += STEP;
            self.step();
        }
    }

    fn step(&mut self) {
        let names: Vec<_> = self.dogs.keys().cloned().collect();
        for name in names {
            let (now, is_up, wanted) = (self.now, self.database_is_up, self.wanted.clone());
            // As often as the driver looks them up.
            let is_second = now.as_millis() % 1_000 == 0;
            let picture = is_second.then(|| self.picture.clone());
            let dog = self.dog(&name);
            let clock = dog.clock(now);
            let Some(core) = dog.core.as_mut().filter(|_| now >= dog.frozen_until) else { continue };
            core.handle(clock, Input::Wanted(wanted));
            if let Some(picture) = picture {
                core.handle(clock, Input::Checks(dog.has_eyes.then_some(picture)));
            }
            core.handle(clock, Input::Egress(dog.has_egress));
            if is_up && dog.reaches_database {
                core.handle(clock, Input::Written(clock));
                if dog.can_judge {
                    core.handle(clock, Input::Judged(clock));
                }
            }
            assert!(core.poll_timeout() > clock, "it asks to be woken again and again");
            let mut outputs = Vec::new();
            while let Some(output) = core.poll_output() {
                outputs.push(output);
            }
            for output in outputs {
                self.perform(&name, output);
            }
            self.finish_speaking(&name);
        }
    }

    fn perform(&mut self, name: &str, output: Output) {
        let now = self.now;
        match output {
            Output::Ask(peer) => self.ask(name, &peer),
            Output::Speak(speech) => {
                let dog = self.dog(name);
                dog.speaking = Some((now + dog.speaks_for, speech));
            }
            Output::Keep(said) => {
                let at = now.saturating_sub(Duration::from_millis(said.age_ms));
                self.dog(name).spool.push((said, at));
            }
            // Kept in memory alone: nobody is started anew between a note and its entry here.
            Output::Note(_) => {}
            Output::Withdraw => self.withdrawn += 1,
            Output::Lasts(_) => self.lasting.push((name.to_owned(), now)),
            Output::Enter => {
                self.entered += 1;
                let dog = self.dog(name);
                dog.spool.clear();
                let clock = dog.clock(now);
                dog.core.as_mut().unwrap().handle(clock, Input::Entered(true));
            }
        }
    }

    fn ask(&mut self, name: &str, peer: &WatchdogId) {
        if self.cut.contains(&(name.to_owned(), peer.as_str().to_owned())) {
            return;
        }
        let now = self.now;
        let asked = self.dog(peer.as_str());
        let is_awake = now >= asked.frozen_until;
        let clock = asked.clock(now);
        let Some(report) = asked.core.as_ref().filter(|_| is_awake).map(|core| core.report(clock)) else { return };
        let dog = self.dog(name);
        let clock = dog.clock(now);
        dog.core.as_mut().unwrap().handle(clock, Input::Heard(peer.clone(), report));
    }

    fn finish_speaking(&mut self, name: &str) {
        let (now, unreached) = (self.now, self.unreached);
        let dog = self.dog(name);
        let Some((_, mut speech)) = dog.speaking.take_if(|(at, _)| now >= *at) else { return };
        let (clock, is_reached, is_heard) = (dog.clock(now), dog.reaches_vendor, dog.hears_vendor);
        let other = dog.via;
        if self.dies_when_told == Some(name) {
            self.kill(name);
            self.arrive(name, speech);
            return;
        }
        if !is_heard {
            self.speak_unheard(name, speech);
            return;
        }
        let core = self.dogs.get_mut(name).unwrap().core.as_mut().unwrap();
        speech.lines.retain(|line| is_reached && Some(line.channel.as_str()) != unreached);
        for line in &speech.lines {
            let said = ToldLine {
                line: line.clone(),
                via: other.map_or_else(|| line.channel.clone(), str::to_owned),
                notice_id: speech.outage.clone(),
                vendor_ref: None,
                at: Wall(0),
                age_ms: 0,
                changes: speech.changes.get(line).cloned().unwrap_or_default(),
                unnamed: 0,
            };
            core.handle(clock, Input::Told(said));
        }
        core.handle(clock, Input::Spoke { is_reached, given_up: BTreeSet::new() });
        self.arrive(name, speech);
    }

    /// As the driver does: what is spent is not sent, and the rest arrives without an answer.
    fn speak_unheard(&mut self, name: &str, mut speech: Speech) {
        let now = self.now;
        let dog = self.dog(name);
        let (clock, tries) = (dog.clock(now), &mut dog.tries);
        let core = dog.core.as_mut().unwrap();
        let is_spent = |core: &Blackout, tries: &mut BTreeMap<Line, Tries>, line: &Line| {
            let elsewhere = core.unanswered_elsewhere(line, &line.channel);
            tries.entry(line.clone()).or_default().with_elsewhere(elsewhere).is_spent()
        };
        speech.lines.retain(|line| !is_spent(core, tries, line));
        for line in &speech.lines {
            tries.entry(line.clone()).or_default().note(Failure::Unanswered);
            core.handle(clock, Input::Unanswered(line.clone(), line.channel.clone()));
        }
        core.handle(clock, Input::Spoke { is_reached: false, given_up: BTreeSet::new() });
        self.arrive(name, speech);
    }

    fn arrive(&mut self, name: &str, speech: Speech) {
        for line in speech.lines {
            let (by, doubt, outage) = (name.to_owned(), speech.doubt, speech.outage.clone());
            let changes = speech.changes.get(&line).cloned().unwrap_or_default();
            self.messages.push(Message { at: self.now, by, line, doubt, trouble: speech.trouble, outage, changes });
        }
    }

    /// From now on all watchdogs see this incident, of which these are to hear.
    pub(crate) fn falls(&mut self, key: &str, channels: &[&str]) {
        let channels = channels.iter().map(|&channel| channel.to_owned()).collect();
        let began_at = Wall(i64::try_from(self.now.as_millis()).unwrap());
        let severity = Severity::Critical;
        let bad = Bad { began_at, severity, summary: "it fails".to_owned(), votes: (2, 3), channels };
        self.picture.bad.insert(key.to_owned(), bad);
    }

    pub(crate) fn rises(&mut self, key: &str) {
        self.picture.bad.remove(key);
    }

    pub(crate) fn is_unknown(&mut self, key: &str) {
        self.picture.bad.remove(key);
        self.picture.unknown.insert(key.to_owned());
    }

    /// It stood in the tables, and these were told.
    pub(crate) fn stood_open(&mut self, key: &str, channels: &[&str]) {
        let channels = channels.iter().map(|&channel| channel.to_owned()).collect();
        let open = Open { began_at: Wall(1), severity: Severity::Critical, channels };
        self.picture.open.insert(key.to_owned(), open);
    }

    /// What was told of checks, in order: when since the end of the database, by whom, on which channel, and what.
    pub(crate) fn news(&self) -> Vec<News<'_>> {
        let news = self.messages.iter().filter(|message| !message.changes.is_empty());
        news.map(|message| {
            let changes = message.changes.iter().map(|change| (change.key.as_str(), change.event)).collect();
            let after = message.at.saturating_sub(self.stopped_at).as_secs();
            (after, message.by.as_str(), message.line.channel.as_str(), changes)
        })
        .collect()
    }

    /// How many changes of checks any report would name now.
    pub(crate) fn most_named(&self) -> usize {
        let reports = self.dogs.values().filter_map(|dog| Some(dog.core.as_ref()?.report(dog.clock(self.now))));
        let named = reports.map(|report| report.said.iter().map(|said| said.changes.len()).sum());
        named.max().unwrap()
    }

    /// What a watchdog kept that is to be entered: key and event.
    pub(crate) fn kept(&self, name: &str) -> BTreeSet<(&str, Event)> {
        let changes = self.dogs.get(name).unwrap().spool.iter().flat_map(|(said, _)| &said.changes);
        changes.map(|change| (change.key.as_str(), change.event)).collect()
    }

    /// Who told people of the database, in order.
    pub(crate) fn told(&self) -> Vec<(&str, Doubt)> {
        let of_database = self.messages.iter().filter(|message| message.line.topic == "database");
        of_database.map(|message| (message.by.as_str(), message.doubt)).collect()
    }

    /// Between the end of the database and the first message.
    pub(crate) fn told_after(&self) -> Duration {
        self.messages.first().unwrap().at.saturating_sub(self.stopped_at)
    }

    /// How many processes entered something.
    pub(crate) fn entered(&self) -> usize {
        self.entered
    }

    /// Between two of its sayings that it lasts this watchdog never lets more time pass; `None`: it said so once at most.
    pub(crate) fn says_that_it_lasts_each(&self, name: &str) -> Option<Duration> {
        let at: Vec<_> = self.lasting.iter().filter(|(by, _)| by == name).map(|(_, at)| *at).collect();
        at.iter().zip(at.iter().skip(1)).map(|(before, after)| after.saturating_sub(*before)).max()
    }

    /// How many processes took back what they had noted.
    pub(crate) fn withdrawn(&self) -> usize {
        self.withdrawn
    }

    /// What people were told to be wrong, in order.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        self.messages.iter().map(|message| message.trouble).collect()
    }

    pub(crate) fn all_dogs(&mut self, change: impl Fn(&mut Dog)) {
        self.dogs.values_mut().for_each(change);
    }

    /// The names of the outages that were told.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.messages.iter().map(|message| message.outage.as_str()).collect()
    }

    /// Everything that was told.
    pub(crate) fn lines(&self) -> Vec<(&str, &str)> {
        let lines: BTreeSet<_> = self.messages.iter().map(|message| &message.line).collect();
        lines.into_iter().map(|line| (line.topic.as_str(), line.channel.as_str())).collect()
    }

    pub(crate) fn assert_each_line_once(&self) {
        assert_eq!(self.lines().len(), self.messages.len());
    }

    /// Each once, under a name of its own.
    pub(crate) fn assert_two_outages_were_told(&self) {
        assert_eq!(self.told().len(), 2, "{:?}", self.told());
        assert_eq!(self.names().len(), 2);
    }
}

impl Dog {
    fn clock(&self, now: Duration) -> Mono {
        Mono::secs(0) + self.origin + now
    }
}

fn line(topic: &str, channel: &str) -> Line {
    Line { topic: topic.to_owned(), channel: channel.to_owned() }
}
