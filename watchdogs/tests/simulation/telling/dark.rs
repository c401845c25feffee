//! Telling while the database is away: the real machine of each watchdog, its spool, and what is entered afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::blackout::{Blackout, DATABASE, Input, Line, Output, Speech, ToldLine};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::attempt::Failure;
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::{Mono, Wall};

use super::judge::{Arrival, Variant};
use super::outbox::{Delivery, Outbox, State, channel_index, channel_name};
use super::world::{Ms, Telling};

/// The database takes no write, or gives no verdict, for so long until it counts as down.
const LIMIT: Duration = Duration::from_secs(15);

/// What waits is read this often.
const REMEMBER: Ms = 2_000;

/// What is due later than this is not urgent.
const SOON: Duration = Duration::from_secs(60);

/// No outage is told, entered and over sooner: an incident that was resolved before is an earlier one's.
const LEAST_OUTAGE: Duration = Duration::from_secs(10);

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
    note: Option<Ms>,
}

#[derive(Clone, Debug)]
struct Spooled {
    said: ToldLine,
    at: Ms,
    began_at: Ms,
    is_sent: bool,
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
        }
    }

    /// The process dies: what is on its disk stays.
    pub(crate) fn reset(&mut self) {
        (self.core, self.speaking) = (None, None);
        self.silent.clear();
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
            inputs.extend([Input::Written(now), Input::Judged(now)]);
        }
        inputs.extend(self.finish_speaking(dog));
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
        self.dogs[dog].dark.remember_at = self.now + REMEMBER;
        self.dogs[dog].dark.silent.clear();
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
            Output::Note(speech) => {
                let began_at = self.now.saturating_sub(millis(speech.failing_for));
                self.dogs[dog].dark.note.get_or_insert(began_at);
            }
            Output::Withdraw => self.dogs[dog].dark.note = None,
            Output::Enter => self.enter_outage(dog),
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
        let (now, began_at) = (self.now, self.now.saturating_sub(millis(speech.failing_for)));
        let (mut sent, mut longest) = (Vec::new(), 0);
        for channel in 0..self.moods.len() {
            let lines: Vec<_> =
                speech.lines.iter().filter(|line| line.channel == channel_name(channel)).cloned().collect();
            if lines.is_empty() {
                continue;
            }
            let (via, failure, takes) = self.send_dark(dog, channel, &lines);
            longest = longest.max(takes);
            for line in &lines {
                let said = ToldLine {
                    line: line.clone(),
                    via: channel_name(via),
                    notice_id: speech.outage.clone(),
                    vendor_ref: None,
                    at: Wall(0),
                    age_ms: 0,
                };
                self.dogs[dog].dark.spool.push(Spooled { said, at: now, began_at, is_sent: false });
            }
            sent.push(SentLines { lines, via, failure });
        }
        self.trace(&(dog, "speaks", &sent));
        self.dogs[dog].dark.speaking = Some((now + longest, sent));
    }

    /// By the channel itself, or by its fallback where it refuses, or has failed for long enough.
    fn send_dark(&mut self, dog: usize, channel: usize, lines: &[Line]) -> (usize, Option<Failure>, Ms) {
        let keys: Vec<_> = lines.iter().map(|line| self.key_of_line(line)).collect();
        let (failure, takes, arrives) = self.send(dog, channel, &keys);
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
            let says_dark = lines.iter().any(|line| line.topic == DATABASE);
            self.arrivals.push(Arrival {
                at: self.now + takes.min(2_000),
                channel: via,
                items,
                is_marked: true,
                is_dark: true,
                says_dark,
                by_fallback,
            });
        }
        (via, failure, takes)
    }

    fn key_of_line(&self, line: &Line) -> String {
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
                Some(Failure::Unanswered) => inputs.push(Input::Unentered),
                Some(Failure::Refused) if self.outbox.fallbacks[letter.via].is_none() => {
                    spool.retain(|one| !is_of(one));
                    given_up.extend(letter.lines);
                }
                Some(Failure::Refused | Failure::Later | Failure::Unreached) => spool.retain(|one| !is_of(one)),
            }
        }
        inputs.push(Input::Spoke { is_reached, given_up });
        inputs
    }

    /// Told here, or elsewhere.
    fn keep(&mut self, dog: usize, said: ToldLine) {
        let (now, spool) = (self.now, &mut self.dogs[dog].dark.spool);
        if !spool.iter().any(|one| one.said.line == said.line && one.is_sent) {
            let at = now.saturating_sub(said.age_ms);
            spool.push(Spooled { began_at: at.saturating_sub(millis(LIMIT)), said, at, is_sent: true });
        }
    }

    fn enter_outage(&mut self, dog: usize) {
        let is_done = self.is_database_up;
        if is_done {
            let (spool, note) = (std::mem::take(&mut self.dogs[dog].dark.spool), self.dogs[dog].dark.note.take());
            if !self.is_broken(Variant::NeverEntered) {
                self.enter_spool(&spool, note);
            }
        }
        self.wake_dark(dog, Input::Entered(is_done));
    }

    fn enter_spool(&mut self, spool: &[Spooled], note: Option<Ms>) {
        let now = self.wall();
        let at = |point: Ms| Wall(now.0 - i64::try_from(self.now - point).unwrap());
        let told: Vec<_> = spool.iter().map(|one| (one.clone(), at(one.began_at))).collect();
        if let Some(began_at) = note.map(at).filter(|_| told.is_empty()) {
            self.counts.entered_untold += u64::from(self.outbox.enter_untold(now, began_at));
        }
        for (one, began_at) in told {
            self.counts.entered += 1;
            if let Some(delivery) = delivery_of(&one.said.line) {
                self.outbox.mark_told(now, delivery, (channel_index(&one.said.via), one.is_sent));
                continue;
            }
            let meant = channel_index(&one.said.line.channel);
            let via = channel_index(&one.said.via);
            let (incident, event) = self.outbox.enter_told(now, (meant, via), began_at, one.is_sent);
            if one.is_sent {
                self.dark_beliefs.remove(&via);
                let known = self.beliefs.entry((via, incident)).or_insert((event, Event::Opened));
                if event > known.0 {
                    *known = (event, Event::Opened);
                }
            }
        }
    }
}

fn delivery_of(line: &Line) -> Option<usize> {
    line.topic.parse().ok()
}

fn millis(span: Duration) -> Ms {
    Ms::try_from(span.as_millis()).unwrap()
}

impl Outbox {
    /// That the database is away, for whoever is told of it, and what waits by now.
    fn wanted(&self, now: Wall) -> BTreeSet<Line> {
        let planned = self.routing.plan(&Subject::of(&alarm()));
        let database = planned.into_iter().map(|one| Line { topic: DATABASE.to_owned(), channel: one.channel });
        let rows = self.deliveries.iter().enumerate();
        let waiting = rows.filter(|(_, row)| row.state == State::Waiting && row.due_at < now + SOON);
        let waiting = waiting.map(|(at, row)| Line { topic: at.to_string(), channel: channel_name(row.channel) });
        database.chain(waiting).collect()
    }

    /// The outage's incident, if there is one already.
    fn same(&self, now: Wall, began_at: Wall) -> Option<usize> {
        let is_same = |incident: &super::outbox::Incident| {
            let is_later = incident.resolved_at > began_at + LEAST_OUTAGE && incident.resolved_at <= now;
            incident.key == DATABASE && (incident.is_open || is_later)
        };
        self.incidents.iter().rposition(is_same)
    }

    /// Opened and over in one: people hear of it once, by its end. Unless somebody else entered it.
    fn enter_untold(&mut self, now: Wall, began_at: Wall) -> bool {
        if self.same(now, began_at).is_some() {
            return false;
        }
        self.open(now, &alarm(), None);
        let incident = self.is_open(DATABASE).unwrap();
        self.resolve(now, incident);
        true
    }

    /// A delivery that waited when the database went away. Who was told by another channel hears the rest from that one.
    /// It may have been held, told or taken back meanwhile: people were told of it all the same.
    fn mark_told(&mut self, now: Wall, delivery: usize, (via, is_sent): (usize, bool)) {
        let row = &self.deliveries[delivery];
        let (event, incident, meant) = (row.event, row.incident, row.channel);
        let is_there = self.deliveries.iter().any(|other| (other.event, other.channel) == (event, via));
        let row = &mut self.deliveries[delivery];
        if !is_sent {
            if matches!(row.state, State::Waiting | State::Held) && !row.is_begun && row.claim.is_none() {
                (row.state, row.is_begun) = (State::Waiting, true);
                row.notice = Some(u64::try_from(delivery).unwrap());
            }
            return;
        }
        let may_be_known = row.is_begun && via != meant;
        if !may_be_known && matches!(row.state, State::Waiting | State::Held | State::Cancelled) {
            (row.state, row.claim, row.sent_at) = (State::Sent, None, now);
            row.channel = if is_there { meant } else { via };
        } else if !is_there {
            self.enter_sent(now, (event, incident), via);
        }
        if via != meant {
            self.refused_in_the_dark.insert((meant, incident));
        }
        if self.events[event] != Event::Resolved {
            self.tell_end(now, (event, incident), via);
        }
    }

    fn enter_sent(&mut self, now: Wall, at: (usize, usize), via: usize) {
        let row = Delivery::fresh(now, at, via, Duration::ZERO);
        self.deliveries.push(Delivery { state: State::Sent, sent_at: now, ..row });
    }

    /// Whoever was told of what is over by now hears of the end.
    fn tell_end(&mut self, now: Wall, (event, incident): (usize, usize), channel: usize) {
        let is_later = |row: &Delivery| row.incident == incident && row.event > event;
        let is_end = |row: &&Delivery| is_later(row) && self.events[row.event] == Event::Resolved;
        let has_end = self.deliveries.iter().filter(is_end).any(|row| row.channel == channel);
        if !self.incidents[incident].is_open && !has_end {
            self.enter(now, incident, Event::Resolved, &BTreeMap::from([(channel_name(channel), Duration::ZERO)]));
        }
    }

    /// One channel was told of the outage; says of which incident, and by which of its events.
    fn enter_told(&mut self, now: Wall, (meant, via): (usize, usize), began_at: Wall, is_sent: bool) -> (usize, usize) {
        let incident = self.same(now, began_at).unwrap_or_else(|| {
            self.open(now, &alarm(), None);
            self.is_open(DATABASE).unwrap()
        });
        let rows = self.deliveries.iter().filter(|row| row.incident == incident);
        let event = rows.map(|row| row.event).filter(|event| self.events[*event] != Event::Resolved).max().unwrap();
        let mut rows = self.deliveries.iter().enumerate();
        let waits = |row: &Delivery| (row.event, row.channel, row.state) == (event, meant, State::Waiting);
        match rows.find(|(_, row)| waits(row)).map(|(at, _)| at) {
            Some(at) => {
                self.mark_told(now, at, (via, is_sent));
            }
            None if is_sent => {
                self.enter_sent(now, (event, incident), via);
                self.tell_end(now, (event, incident), via);
            }
            None => {}
        }
        (incident, event)
    }
}

fn alarm() -> Alarm {
    Alarm { key: DATABASE.to_owned(), severity: Severity::Critical, summary: String::new(), votes: (1, 1) }
}
