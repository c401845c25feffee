//! Telling while the database is away: the real machine of each watchdog, its spool, and what is entered afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::blackout::{
    self, Blackout, Change, DATABASE, Input, Line, Open, Output, Speech, ToldLine, Trouble, news_number,
};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::attempt::Failure;
use komainu_watchdogs::time::{Mono, Wall};

use super::eyes;
use super::judge::{Arrival, Variant};
use super::outbox::{channel_index, channel_name};
use super::world::{Ms, Telling};

/// The database takes no write, or gives no verdict, for so long until it counts as down.
const LIMIT: Duration = Duration::from_secs(15);

/// What waits is read this often.
const REMEMBER: Ms = 2_000;

/// Attempts that failed on a channel before its fallback is asked.
const PATIENCE: u32 = 2;

/// One watchdog's part in it.
#[derive(Debug)]
pub(crate) struct Dark {
    core: Option<Blackout>,
    wanted: BTreeSet<Line>,
    remember_at: Ms,
    speaking: Option<(Ms, Vec<SentLines>)>,
    /// How often each line failed.
    silent: BTreeMap<Line, u32>,
    /// What survives the process.
    spool: Vec<Spooled>,
    /// When an outage began that perhaps nobody was told of.
    /// After so many events.
    note: Option<usize>,
    /// How many events there were before the outage at hand, or the next one, as this one read.
    events: Option<i64>,
    /// What people believed of checks, as this one read it last.
    pub(super) open: BTreeMap<String, Open>,
    look_up_at: Ms,
}

#[derive(Clone, Debug)]
struct Spooled {
    said: ToldLine,
    at: Ms,
    /// Events before it.
    events: usize,
    is_sent: bool,
    /// An attempt had no answer: what becomes of later ones takes nothing back.
    may_have_arrived: bool,
}

/// What one channel is told at once, and what becomes of it.
#[derive(Clone, Debug)]
struct SentLines {
    lines: Vec<Line>,
    via: usize,
    failure: Option<Failure>,
}

impl Dark {
    pub(crate) fn new() -> Self {
        Self {
            core: None,
            wanted: BTreeSet::new(),
            remember_at: 0,
            speaking: None,
            silent: BTreeMap::new(),
            spool: Vec::new(),
            note: None,
            events: None,
            open: BTreeMap::new(),
            look_up_at: 0,
        }
    }

    /// The process dies: what is on its disk stays.
    pub(crate) fn reset(&mut self) {
        (self.core, self.speaking) = (None, None);
        self.silent.clear();
    }

    /// So many events came before the outage at hand.
    fn begun_after(&self) -> usize {
        let known = self.core.as_ref().and_then(Blackout::after_event);
        known.map_or(0, |events| usize::try_from(events).unwrap())
    }

    /// Whoever reads the tables now would tell again what was told meanwhile.
    pub(crate) fn is_unentered(&self) -> bool {
        self.core.as_ref().is_some_and(Blackout::is_unentered)
    }
}

fn name(dog: usize) -> WatchdogId {
    WatchdogId::from(format!("w{dog}"))
}

/// No two of their clocks agree.
pub(super) fn clock(dog: usize, now: Ms) -> Mono {
    Mono::millis(10_000_000 * (u64::try_from(dog).unwrap() + 1) + now)
}

impl Telling {
    /// What one watchdog that runs does about the database, a few times a second.
    pub(crate) fn step_dark(&mut self, dog: usize) {
        if self.is_broken(Variant::NoBlackout) {
            return;
        }
        if self.dogs[dog].dark.core.is_none() {
            self.start_dark(dog);
        }
        self.remember(dog);
        let mut inputs = vec![Input::Egress(self.dogs[dog].has_egress)];
        let now = clock(dog, self.now);
        if self.is_database_up {
            inputs.push(Input::Written(now));
            inputs.extend(self.has_judged(dog).then_some(Input::Judged(now)));
        }
        inputs.extend(self.finish_speaking(dog));
        if self.now >= self.dogs[dog].dark.look_up_at {
            self.dogs[dog].dark.look_up_at = self.now + 1_000;
            inputs.push(Input::Checks(if self.is_database_up { None } else { self.picture(dog) }));
        }
        inputs.push(Input::Tick);
        for input in inputs {
            self.wake_dark(dog, input);
        }
    }

    fn start_dark(&mut self, dog: usize) {
        let now = self.now;
        let members = (0..self.dogs.len()).map(name).collect();
        let dark = &mut self.dogs[dog].dark;
        let remembered = dark.spool.iter().filter(|one| one.is_sent);
        let remembered = remembered.map(|one| ToldLine { age_ms: now - one.at, ..one.said.clone() }).collect();
        let identity = (name(dog), Incarnation(self.dogs[dog].process));
        let dark = &mut self.dogs[dog].dark;
        dark.core = Some(Blackout::new(identity, LIMIT, clock(dog, now), remembered));
        let is_unentered = !dark.spool.is_empty() || dark.note.is_some();
        self.wake_dark(dog, Input::Members(members));
        let wanted = self.dogs[dog].dark.wanted.clone();
        self.wake_dark(dog, Input::Wanted(wanted));
        if let Some(events) = self.dogs[dog].dark.events {
            self.wake_dark(dog, Input::Events(events));
        }
        if is_unentered {
            self.wake_dark(dog, Input::Unentered);
        }
    }

    /// While the database is there: what is to be told when it is not.
    fn remember(&mut self, dog: usize) {
        let dark = &self.dogs[dog].dark;
        if !self.is_database_up || self.now < dark.remember_at || dark.is_unentered() {
            return;
        }
        let wanted = self.outbox.wanted(self.wall());
        self.dogs[dog].dark.open = self.outbox.believed();
        self.dogs[dog].dark.remember_at = self.now + REMEMBER;
        let now = clock(dog, self.now);
        if self.dogs[dog].dark.core.as_ref().is_some_and(|core| core.is_between_outages(now)) {
            self.dogs[dog].dark.silent.clear();
            // The end of one that is open is not that of the next.
            let is_open = self.outbox.is_open(DATABASE).is_some();
            let events = if is_open { i64::MAX } else { i64::try_from(self.outbox.events.len()).unwrap() };
            self.dogs[dog].dark.events = Some(events);
            self.wake_dark(dog, Input::Events(events));
        }
        self.dogs[dog].dark.wanted.clone_from(&wanted);
        self.wake_dark(dog, Input::Wanted(wanted));
    }

    fn wake_dark(&mut self, dog: usize, input: Input) {
        let now = clock(dog, self.now);
        let Some(core) = &mut self.dogs[dog].dark.core else { return };
        core.handle(now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| core.poll_output()).collect();
        for output in outputs {
            self.perform_dark(dog, output);
        }
    }

    fn perform_dark(&mut self, dog: usize, output: Output) {
        match output {
            Output::Ask(peer) => self.ask(dog, &peer),
            Output::Speak(speech) => self.speak(dog, &speech),
            Output::Keep(said) => self.keep(dog, said),
            Output::Note(_) => {
                let dark = &mut self.dogs[dog].dark;
                let events = dark.begun_after();
                dark.note.get_or_insert(events);
            }
            Output::Withdraw => self.dogs[dog].dark.note = None,
            Output::Enter => self.enter_outage(dog),
            Output::Lasts(_) => self.say_that_it_lasts(),
        }
    }

    fn ask(&mut self, dog: usize, peer: &WatchdogId) {
        let asked = peer.as_str()[1..].parse::<usize>().unwrap();
        let is_there = self.dogs[asked].is_running(self.now);
        let core = self.dogs[asked].dark.core.as_ref().filter(|_| is_there);
        let Some(report) = core.map(|core| core.report(clock(asked, self.now))) else { return };
        self.wake_dark(dog, Input::Heard(peer.clone(), report));
    }

    /// Each message is on disk before it leaves.
    fn speak(&mut self, dog: usize, speech: &Speech) {
        self.counts.speeches += 1;
        self.counts.blind_speeches += u64::from(speech.trouble == Trouble::NoVerdict);
        let (now, events) = (self.now, self.dogs[dog].dark.begun_after());
        let (mut sent, mut longest) = (Vec::new(), 0);
        for channel in 0..self.moods.len() {
            let lines: Vec<_> =
                speech.lines.iter().filter(|line| line.channel == channel_name(channel)).cloned().collect();
            if lines.is_empty() {
                continue;
            }
            for (letter, takes) in self.send_dark(dog, channel, (lines, speech)) {
                longest = longest.max(takes);
                for line in &letter.lines {
                    let said = ToldLine {
                        line: line.clone(),
                        via: channel_name(letter.via),
                        notice_id: speech.outage.clone(),
                        vendor_ref: None,
                        at: Wall(0),
                        age_ms: 0,
                        changes: speech.changes.get(line).cloned().unwrap_or_default(),
                        unnamed: 0,
                    };
                    self.dogs[dog].dark.spool.push(Spooled {
                        said,
                        at: now,
                        events,
                        is_sent: false,
                        may_have_arrived: false,
                    });
                }
                sent.push(letter);
            }
        }
        self.trace(&(dog, "speaks", &sent));
        self.dogs[dog].dark.speaking = Some((now + longest, sent));
    }

    /// By the channel itself, or by its fallback where it refuses, or has failed for long enough.
    /// What is refused whole is told in parts.
    fn send_dark(&mut self, dog: usize, channel: usize, (lines, speech): (Vec<Line>, &Speech)) -> Vec<(SentLines, Ms)> {
        let keys: Vec<_> = lines.iter().map(|line| self.key_of_line(line)).collect();
        let (failure, takes, arrives) = self.send(dog, channel, &keys);
        let parts = blackout::parts(&lines).filter(|_| failure == Some(Failure::Refused));
        if let Some(parts) = parts {
            self.counts.told_in_parts += 1;
            return parts.into_iter().flat_map(|part| self.send_dark(dog, channel, (part, speech))).collect();
        }
        let mut failures = 0;
        for line in lines.iter().filter(|_| failure.is_some()) {
            let count = self.dogs[dog].dark.silent.entry(line.clone()).or_default();
            *count += 1;
            failures = failures.max(*count);
        }
        let is_done_with = failure == Some(Failure::Refused) || failures >= PATIENCE;
        let fallback = self.outbox.fallbacks[channel].filter(|_| is_done_with);
        let (via, failure, takes, arrives) = match fallback {
            Some(fallback) => {
                let (failure, more, arrives) = self.send(dog, fallback, &keys);
                (fallback, failure, takes + more, arrives)
            }
            None => (channel, failure, takes, arrives),
        };
        if arrives {
            let items = lines.iter().filter_map(|line| Some(self.item(delivery_of(line)?))).collect();
            let by_fallback = via != channel;
            let says_dark = lines.iter().any(|line| line.topic == DATABASE).then(|| speech.outage.clone());
            self.arrivals.push(Arrival {
                at: self.now + takes.min(2_000),
                channel: via,
                items,
                is_marked: true,
                is_dark: true,
                says_dark,
                by_fallback,
                news: changes_of(&lines, speech),
            });
        }
        vec![(SentLines { lines, via, failure }, takes)]
    }

    fn key_of_line(&self, line: &Line) -> String {
        if news_number(line).is_some() {
            return line.topic.clone();
        }
        let of = |delivery: usize| self.outbox.incidents[self.outbox.deliveries[delivery].incident].key.clone();
        delivery_of(line).map_or_else(|| DATABASE.to_owned(), of)
    }

    fn finish_speaking(&mut self, dog: usize) -> Vec<Input> {
        let now = self.now;
        let Some((_, sent)) = self.dogs[dog].dark.speaking.take_if(|(at, _)| now >= *at) else { return Vec::new() };
        let mut inputs = Vec::new();
        let (mut is_reached, mut given_up) = (false, BTreeSet::new());
        for letter in sent {
            let spool = &mut self.dogs[dog].dark.spool;
            let via = channel_name(letter.via);
            let is_of = |one: &Spooled| letter.lines.contains(&one.said.line) && one.said.via == via && !one.is_sent;
            is_reached |= matches!(letter.failure, None | Some(Failure::Refused | Failure::Later));
            match letter.failure {
                None => {
                    for one in spool.iter_mut().filter(|one| is_of(one)) {
                        one.is_sent = true;
                        inputs.push(Input::Told(one.said.clone()));
                    }
                }
                // It may have arrived: it is to be entered so.
                Some(Failure::Unanswered) => {
                    spool.iter_mut().filter(|one| is_of(one)).for_each(|one| one.may_have_arrived = true);
                    inputs.push(Input::Unentered);
                }
                Some(failure) => {
                    spool.retain(|one| one.may_have_arrived || !is_of(one));
                    let is_last = self.outbox.fallbacks[letter.via].is_none();
                    given_up.extend(letter.lines.into_iter().filter(|_| is_last && failure == Failure::Refused));
                }
            }
        }
        inputs.push(Input::Spoke { is_reached, given_up });
        inputs
    }

    /// Told here, or elsewhere.
    fn keep(&mut self, dog: usize, said: ToldLine) {
        let (now, dark) = (self.now, &mut self.dogs[dog].dark);
        if !dark.spool.iter().any(|one| one.said.line == said.line && one.is_sent) {
            let at = now.saturating_sub(said.age_ms);
            let events = dark.begun_after();
            dark.spool.push(Spooled { events, said, at, is_sent: true, may_have_arrived: true });
        }
    }

    fn enter_outage(&mut self, dog: usize) {
        let is_done = self.is_database_up;
        if is_done {
            let (spool, note) = (std::mem::take(&mut self.dogs[dog].dark.spool), self.dogs[dog].dark.note.take());
            if !self.is_broken(Variant::NeverEntered) {
                let was_open = self.outbox.is_open(DATABASE).is_some();
                self.enter_spool(&spool, note);
                self.outage_said_at = if was_open { self.outage_said_at } else { self.now };
            }
        }
        self.wake_dark(dog, Input::Entered(is_done));
    }

    /// Of each check, in the order of telling.
    fn enter_news(&mut self, spool: &[Spooled]) {
        if self.is_broken(Variant::NewsNeverEntered) {
            return;
        }
        let now = self.wall();
        let behind = |at: Ms| Wall(now.0 - i64::try_from(self.now - at).unwrap());
        let mut told: BTreeMap<String, (Vec<eyes::News>, usize)> = BTreeMap::new();
        let mut spool: Vec<_> = spool.iter().collect();
        spool.sort_by_key(|one| one.at);
        for one in spool {
            let how = (behind(one.at), one.is_sent, one.said.notice_id.as_str());
            for (key, news) in eyes::news(&one.said.line, &one.said.via, how, &one.said.changes) {
                self.counts.news_entered += 1;
                let known = told.entry(key).or_insert((Vec::new(), one.events));
                known.0.push(news);
            }
        }
        for (key, news) in told {
            self.outbox.enter_news(now, &key, news);
        }
    }

    fn enter_spool(&mut self, spool: &[Spooled], note: Option<usize>) {
        let now = self.wall();
        if let Some(events) = note.filter(|_| spool.is_empty()) {
            self.counts.entered_untold += u64::from(self.outbox.enter_untold(now, events));
        }
        self.enter_news(spool);
        for one in spool.iter().filter(|one| news_number(&one.said.line).is_none()) {
            self.counts.entered += 1;
            if let Some(delivery) = delivery_of(&one.said.line) {
                self.outbox.mark_told(now, delivery, (channel_index(&one.said.via), one.is_sent));
                continue;
            }
            let meant = channel_index(&one.said.line.channel);
            let via = channel_index(&one.said.via);
            let message = (one.said.notice_id.clone(), meant, via);
            if one.is_sent && !self.outbox.entered_in_the_dark.insert(message) {
                continue;
            }
            let (incident, event) = self.outbox.enter_told(now, (meant, via), one.events, one.is_sent);
            // Unless its end was read since.
            if one.is_sent && self.dark_beliefs.remove(&(via, one.said.notice_id.clone())) {
                let known = self.beliefs.entry((via, incident)).or_insert((event, Event::Opened));
                *known = (event.max(known.0), Event::Opened);
            }
        }
    }
}

fn changes_of(lines: &[Line], speech: &Speech) -> Vec<Change> {
    lines.iter().filter_map(|line| speech.changes.get(line)).flatten().cloned().collect()
}

fn delivery_of(line: &Line) -> Option<usize> {
    line.topic.parse().ok()
}

pub(super) fn alarm() -> Alarm {
    Alarm { key: DATABASE.to_owned(), severity: Severity::Critical, summary: String::new(), votes: (1, 1) }
}
