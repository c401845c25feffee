//! The database is down: who tells people, when, and what has been told already.
//!
//! Life: while the own database takes writes and gives verdicts, nothing happens here. Once it has failed at either for
//! [`FAILING_AFTER`] the known members are asked each [`ASK_AGAIN`], directly. When a strict majority of them (those that do not answer count
//! as known) has been failing for the limit, that is the *verdict*; the lowest id among those that fail and reach the
//! world speaks at once, the next [`NEXT_SPEAKER`] later if it has not heard that it was told, and so on. Where all that
//! answer agree and half of the members or more are silent, or nobody else answers at all, there is no majority: then the
//! same happens after [`ALONE`] more, marked as unconfirmed. A minority among members that have the database says nothing.
//! Whatever was told is *entered* as soon as the database takes writes; after [`SETTLED`] of being well it is over. Where
//! it takes writes all the time, and only verdicts are missing, the tables tell the rest from then on, and a majority says
//! there again and again that it *lasts*. That
//! there is a verdict is *noted*, so that an outage of which nobody could be told is entered too, when it is over: unless a
//! peer, asked then, had the database meanwhile and this one was only cut off.
//!
//! No two clocks are compared: messages carry spans, each measured on its speaker's own clock. Which channels there are and
//! what is said is not decided here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::{Incarnation, WatchdogId};
use crate::time::Mono;

mod checks;
mod entering;
mod messages;
mod tries;
mod turn;

pub use self::checks::{Bad, Open, Picture, news_number};
pub use self::messages::{
    Change, DATABASE, DatabaseReport, Doubt, Input, Line, OutageName, Output, Speech, ToldLine, Trouble, Unanswered,
};
pub use self::tries::{Tries, parts};

/// A last write older than this is more than one slow round: peers are asked from now on.
pub const FAILING_AFTER: Duration = Duration::from_secs(3);

/// While the last write is no older than this, the database may still be taking writes: one that is a second away takes one
/// in three or four seconds.
const WRITES_FOR: Duration = Duration::from_secs(6);

/// Between two questions to the same peer.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A report older than this is no answer any more: longer than a probe may take, and some questions.
pub const HEARD_FOR: Duration = Duration::from_secs(5);

/// How long a speaker may take until the next one does it.
pub const NEXT_SPEAKER: Duration = Duration::from_secs(30);

/// How long those without a majority wait: whoever is only cut off is back by then, or its peers have been heard of.
pub const ALONE: Duration = Duration::from_secs(60);

/// Between two attempts of the same speaker.
pub const TRY_AGAIN: Duration = Duration::from_secs(10);

/// A database that takes writes for this long is back; shorter than [`crate::incident::CALM`], so that an incident that
/// was called over is told again when it comes again.
pub const SETTLED: Duration = Duration::from_secs(5);

/// This machine was not asked anything for so long: the process did not run, and knows nothing about that time.
const PAUSED: Duration = Duration::from_secs(3);

/// By how much two processes may differ when they say how long ago the same moment was.
const SLACK: Duration = Duration::from_secs(5);

/// What one process knows of the outage, and decides by.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub struct Blackout {
    me: WatchdogId,
    incarnation: Incarnation,
    limit: Duration,
    members: BTreeSet<WatchdogId>,
    heard: BTreeMap<WatchdogId, Heard>,
    wanted: BTreeSet<Line>,
    told: BTreeMap<Line, RememberedLine>,
    checks: checks::Checks,
    /// How often this watchdog sent a line through a channel and got no answer, in the outage at hand.
    unanswered: BTreeMap<(Line, String), u32>,
    /// What a peer was telling when it was last heard, and since when.
    saying: BTreeMap<(WatchdogId, Line), Mono>,
    has_egress: bool,
    outage: Option<OutageName>,
    outages: u32,
    after_event: Option<i64>,
    verdict: Option<(Mono, Verdict)>,
    /// Who should speak before this one, and since when it is that one's turn.
    turn: Option<(WatchdogId, Mono)>,
    speaking: BTreeSet<Line>,
    try_at: Mono,
    /// The last attempt reached no vendor at all.
    is_cut_off: bool,
    written_at: Option<Mono>,
    judged_at: Option<Mono>,
    was_blind: bool,
    /// Since when this process has been running without a pause.
    running_since: Mono,
    handled_at: Mono,
    ask_at: Mono,
    entering: bool,
    enter_at: Mono,
    /// People were told something that stands in no table yet.
    is_unentered: bool,
    /// Something of the outage at hand stands in the tables.
    is_in_tables: bool,
    lasts_at: Mono,
    /// Others can judge, and are the majority, since then.
    others_since: Option<Mono>,
    /// An outage was left to those who can judge then, and was over for them.
    left_at: Option<Mono>,
    note: Note,
    back_since: Option<Mono>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Heard {
    at: Mono,
    report: DatabaseReport,
}

#[derive(Debug)]
struct RememberedLine {
    said: ToldLine,
    /// On this process's clock; `None`: by a process before this one, `said.age_ms` before this one started.
    at: Option<Mono>,
}

/// What the members' reports amount to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    Unconfirmed,
    Majority,
}

/// Whether it is noted on disk that the outage at hand had a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Note {
    None,
    Pending(Verdict),
    /// It stands in the tables, or has no place there.
    Done,
}

impl Blackout {
    /// A process that has just started. `limit`: how long the database takes no write until it counts as down.
    /// `remembered`: what an earlier process of this watchdog told and nobody has entered yet, with its age.
    pub fn new(
        (me, incarnation): (WatchdogId, Incarnation),
        limit: Duration,
        now: Mono,
        remembered: Vec<ToldLine>,
    ) -> Self {
        let mut fresh = Self {
            me,
            incarnation,
            limit,
            members: BTreeSet::new(),
            heard: BTreeMap::new(),
            wanted: BTreeSet::new(),
            is_unentered: !remembered.is_empty(),
            told: remembered.into_iter().map(|said| (said.line.clone(), RememberedLine { said, at: None })).collect(),
            checks: checks::Checks::default(),
            unanswered: BTreeMap::new(),
            saying: BTreeMap::new(),
            has_egress: true,
            outage: None,
            outages: 0,
            after_event: None,
            verdict: None,
            turn: None,
            speaking: BTreeSet::new(),
            try_at: now,
            is_cut_off: false,
            written_at: None,
            judged_at: None,
            was_blind: false,
            running_since: now,
            handled_at: now,
            ask_at: now,
            entering: false,
            enter_at: now,
            is_in_tables: false,
            lasts_at: now,
            others_since: None,
            left_at: None,
            note: Note::None,
            back_since: None,
            outputs: VecDeque::new(),
        };
        fresh.follow_what_was_told(now);
        fresh
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Mono, input: Input) {
        if now.since(self.handled_at) > PAUSED {
            self.running_since = now;
            self.verdict = None;
        }
        self.handled_at = now;
        match input {
            Input::Members(members) => self.members = members,
            Input::Written(at) => self.written_at = self.written_at.max(Some(at)),
            Input::Judged(at) => self.judged_at = self.judged_at.max(Some(at)),
            Input::Heard(peer, report) => self.handle_report(now, peer, report),
            Input::Events(latest) => self.after_event = Some(latest),
            Input::Wanted(lines) => self.wanted = lines,
            Input::Checks(picture) => self.checks.see(now, picture),
            Input::Egress(has_egress) => self.has_egress = has_egress,
            Input::Told(said) => self.note_told(now, said),
            Input::Unanswered(line, via) => {
                self.note_unsure(&line, &via);
                let times = self.unanswered.entry((line, via)).or_default();
                *times = times.saturating_add(1);
            }
            Input::Spoke { is_reached, given_up } => {
                self.speaking.clear();
                self.end_telling(&given_up);
                self.is_cut_off = !is_reached;
                self.try_at = now + TRY_AGAIN;
                self.wanted.retain(|line| !given_up.contains(line));
            }
            Input::Entered(is_done) => {
                self.entering = false;
                self.is_unentered &= !is_done;
                self.is_in_tables |= is_done;
                if is_done && self.note != Note::None {
                    self.note = Note::Done;
                }
                self.enter_at = now + ASK_AGAIN;
            }
            Input::Unentered => self.is_unentered = true,
            Input::Tick => {}
        }
        self.tick(now);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest. Often enough to notice a pause of this process.
    pub fn poll_timeout(&self) -> Mono {
        (self.handled_at + ASK_AGAIN).min(self.ask_at.max(self.handled_at + Duration::from_millis(100)))
    }

    /// What this watchdog says to its peers.
    pub fn report(&self, now: Mono) -> DatabaseReport {
        let unanswered = |((line, via), times): (&(Line, String), &u32)| Unanswered {
            line: line.clone(),
            via: via.clone(),
            times: *times,
        };
        DatabaseReport {
            failing_ms: self.failing_for(now).map_or(0, millis),
            has_written: self.is_exact(),
            last_well_ms: self.known_well_at().map(|at| millis(now.since(at))),
            is_blind: self.is_blind(now),
            well_ms: self.back_since.map_or(0, |since| millis(now.since(since))),
            egress: self.reaches_world(now),
            outage: self.outage.clone(),
            after_event: self.after_event,
            saying: self.speaking.iter().filter(|line| !self.told.contains_key(line)).cloned().collect(),
            said: self.said(now),
            unanswered: self.unanswered.iter().map(unanswered).collect(),
        }
    }

    /// How often others sent this through that channel in the outage at hand, and heard no answer.
    pub fn unanswered_elsewhere(&self, line: &Line, via: &str) -> u32 {
        let sent = self.heard.values().flat_map(|heard| &heard.report.unanswered);
        sent.filter(|one| one.line == *line && one.via == via).fold(0, |sum: u32, one| sum.saturating_add(one.times))
    }

    /// Something was told that stands in no table yet: whoever reads the tables would tell it again.
    pub fn is_unentered(&self) -> bool {
        self.is_unentered
    }

    /// The outage at hand began after this event, as far as this watchdog or a peer that fails too has read.
    pub fn after_event(&self) -> Option<i64> {
        self.after_event
    }

    /// Whether the own database has been failing, in either way, for the limit.
    pub fn is_down(&self, now: Mono) -> bool {
        self.failing_for(now).is_some_and(|span| span >= self.limit)
    }

    /// Whether the own database takes writes and gives verdicts.
    pub fn is_well(&self, now: Mono) -> bool {
        self.failing_for(now).is_none()
    }

    /// Whether what people are told from now on belongs to an outage that comes: all is well, or the tables can be read, and
    /// nobody was told, or ought to have been, of anything that is not over. An end that is read by now is not its end.
    pub fn is_between_outages(&self, now: Mono) -> bool {
        let is_untold =
            self.told.is_empty() && self.speaking.is_empty() && !self.is_unentered && self.note == Note::None;
        self.is_well(now) || (self.takes_writes(now) && is_untold)
    }

    /// How long the own database has taken no write, or given no verdict; `None` while it does both.
    fn failing_for(&self, now: Mono) -> Option<Duration> {
        let span = now.since(self.well_at().unwrap_or_default().max(self.running_since));
        (span > FAILING_AFTER).then_some(span)
    }

    /// When it last did both.
    fn well_at(&self) -> Option<Mono> {
        self.written_at.zip(self.judged_at).map(|(written_at, judged_at)| written_at.min(judged_at))
    }

    /// When it was known for the last time to do both: by this process itself, or by those who can judge.
    fn known_well_at(&self) -> Option<Mono> {
        self.well_at().max(self.left_at)
    }

    fn takes_writes(&self, now: Mono) -> bool {
        self.written_at.is_some_and(|at| at >= self.running_since && now.since(at) <= WRITES_FOR)
    }

    fn is_blind(&self, now: Mono) -> bool {
        self.takes_writes(now) && self.failing_for(now).is_some()
    }

    /// This process was well before, and has been running since.
    fn is_exact(&self) -> bool {
        self.well_at().is_some_and(|at| at >= self.running_since)
    }

    fn reaches_world(&self, now: Mono) -> bool {
        self.has_egress && (!self.is_cut_off || now >= self.try_at)
    }

    fn age(&self, now: Mono, told: &RememberedLine) -> Duration {
        match told.at {
            Some(at) => now.since(at),
            None => Duration::from_millis(told.said.age_ms) + now.since(self.running_since),
        }
    }

    fn handle_report(&mut self, now: Mono, peer: WatchdogId, report: DatabaseReport) {
        if peer == self.me {
            return;
        }
        let mine = self.failing_for(now);
        if mine.is_some() && report.failing_ms > 0 {
            let theirs = report.outage.clone();
            self.outage = match (self.outage.take(), theirs) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            // Whoever slept through an earlier outage, and its end, would take this one for that.
            self.after_event = self.after_event.max(report.after_event);
            let known: Vec<_> = report.said.iter().filter(|said| self.is_of_this_outage(now, &report, said)).collect();
            for said in known {
                self.note_told(now, said.clone());
            }
            self.forget_what_is_older(now, &report);
        }
        self.saying.retain(|(by, line), _| *by != peer || report.saying.contains(line));
        for line in &report.saying {
            self.saying.entry((peer.clone(), line.clone())).or_insert(now);
        }
        self.heard.insert(peer, Heard { at: now, report });
    }

    /// What a peer says was told is part of the outage at hand when that peer could not write since. One that was
    /// started anew, or did not run for a while, only remembers: then whoever was well since knows better, this one or that.
    fn is_of_this_outage(&self, now: Mono, report: &DatabaseReport, said: &ToldLine) -> bool {
        let age = Duration::from_millis(said.age_ms);
        let is_within = |span: Duration| age <= span + SLACK;
        let mine = self.known_well_at().map(|at| now.since(at));
        let theirs = report.last_well_ms.map(Duration::from_millis);
        is_within(Duration::from_millis(report.failing_ms))
            || (!report.has_written && mine.into_iter().chain(theirs).all(is_within))
    }

    /// What an earlier process of this watchdog told belongs to another outage if a peer has been well since. It stays to
    /// be entered: the disk keeps it.
    fn forget_what_is_older(&mut self, now: Mono, report: &DatabaseReport) {
        let Some(last_well_ms) = report.last_well_ms else { return };
        let spared = Duration::from_millis(last_well_ms) + SLACK;
        let (running_since, count) = (self.running_since, self.told.len());
        self.told.retain(|_, told| {
            told.at.is_some() || Duration::from_millis(told.said.age_ms) + now.since(running_since) <= spared
        });
        if self.told.len() < count {
            self.follow_what_was_told(now);
        }
    }

    fn note_told(&mut self, now: Mono, said: ToldLine) {
        if self.told.contains_key(&said.line) || self.is_forgotten(&said.line) {
            return;
        }
        let at = now - Duration::from_millis(said.age_ms);
        let said = self.in_full(said, at);
        self.is_unentered = true;
        self.outputs.push_back(Output::Keep(said.clone()));
        self.told.insert(said.line.clone(), RememberedLine { said: said.clone(), at: Some(at) });
        if news_number(&said.line).is_some() {
            self.note_news(now, &said);
        }
    }

    fn tick(&mut self, now: Mono) {
        if self.failing_for(now).is_none() {
            self.tick_back(now);
            return;
        }
        self.back_since = None;
        self.ask(now);
        let is_blind = self.is_blind(now);
        if std::mem::replace(&mut self.was_blind, is_blind) && !is_blind {
            // What waits was the outbox's until now: whose turn it is counts anew.
            (self.verdict, self.turn) = (None, None);
        }
        self.judge(now);
        self.take_note(now);
        self.speak(now);
        if self.is_unentered && self.takes_writes(now) {
            self.enter(now);
        } else {
            self.say_that_it_lasts(now);
            self.leave_it_to_others(now);
        }
    }

    fn ask(&mut self, now: Mono) {
        if now >= self.ask_at {
            self.ask_at = now + ASK_AGAIN;
            let peers = self.members.iter().filter(|peer| **peer != self.me).cloned();
            self.outputs.extend(peers.map(Output::Ask));
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
