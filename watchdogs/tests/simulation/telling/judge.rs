//! What people were told, held against what was so.

use komainu_watchdogs::blackout::Change;
use komainu_watchdogs::outbox::Event;

use super::outbox::{State, channel_name};
use super::world::{Ms, Telling};

/// A rule of telling that can be broken, to show that the judge notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// Nobody claims a message before it is sent.
    NoClaims,
    /// A repeated message does not say so.
    Unmarked,
    /// What may have arrived is sent again without end.
    EndlessRepeats,
    /// What is late on its channel is told nowhere else.
    NoRescue,
    /// The latest beat is the one whose node's clock was the farthest ahead.
    ByWallClock,
    /// What a clock that was set back has left ahead is believed.
    ClocksBelieved,
    /// What nobody explains any more stays held.
    NeverReleased,
    /// Once somebody takes care of it nobody is told any more that it is so.
    AcknowledgedCancels,
    /// Nobody reads what was silenced.
    SilencesIgnored,
    /// Nobody reads what depends on what.
    DependenciesIgnored,
    /// What is over goes on explaining what depends on it.
    CausesNeverEnd,
    /// Nobody is told of what is critical outside of all routes' hours.
    HoursFinal,
    /// A node explains what it ran when that went down, wherever it runs now.
    NodeOfOpening,
    /// An older event that is told instead takes back what came later.
    OvertakenCopied,
    /// Nobody tells that the database is away.
    NoBlackout,
    /// What was told while the database was away is entered nowhere.
    NeverEntered,
    /// Whoever can write believes that it can judge.
    BlindnessUnseen,
    /// Nobody says again that most cannot judge.
    LastsUnsaid,
    /// Nobody looks whether people can be told.
    TellingUnseen,
    /// Nobody tells of checks while the database is away.
    ChecksUnseen,
    /// What was told of checks meanwhile is entered nowhere.
    NewsNeverEntered,
    /// Nobody counts the times in which no push could be taken.
    GapsForgotten,
}

/// One thing that a message tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) event: usize,
    pub(crate) incident: usize,
    pub(crate) what: Event,
    /// Nobody else could be told.
    pub(crate) is_alone: bool,
}

/// A message that reached people.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Ms,
    pub(crate) channel: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) is_marked: bool,
    /// It was sent while the database was away.
    pub(crate) is_dark: bool,
    /// It says so, of this outage.
    pub(crate) says_dark: Option<String>,
    /// By a channel that it was not meant for.
    pub(crate) by_fallback: bool,
    /// What it tells of checks, while no table could take it.
    pub(crate) news: Vec<Change>,
}

/// From the fault to the message: two beats, the look at them, the group's wait, and the way to the vendor.
const TOLD_WITHIN: Ms = 45_000;

/// What its own channels do not tell is told by their fallbacks, two minutes later.
const RESCUED_WITHIN: Ms = TOLD_WITHIN + 150_000;

/// The first message and three repeats.
const MOST_COPIES: usize = 4;

impl Telling {
    pub(crate) fn invariant_told_once_or_marked(&mut self, arrival: &Arrival) -> Result<(), String> {
        for item in &arrival.items {
            let copies = self.inbox.entry((arrival.channel, item.event)).or_default();
            copies.push((arrival.is_marked, arrival.is_dark));
            self.counts.repeats_seen += u64::from(copies.len() > 1);
            if copies.len() > 1 && !copies.iter().any(|(is_marked, _)| *is_marked) {
                return Err(format!("told_once_or_marked: {item:?} came twice to {}", channel_name(arrival.channel)));
            }
            // In the dark nobody knows for sure what others have said.
            let by_outbox = copies.iter().filter(|(_, is_dark)| !is_dark).count();
            if by_outbox > MOST_COPIES && !item.is_alone {
                return Err(format!("told_once_or_marked: {item:?} came {by_outbox} times"));
            }
        }
        Ok(())
    }

    pub(crate) fn hear(&mut self, arrival: &Arrival) {
        self.hear_of_checks(arrival);
        if arrival.by_fallback {
            self.unsure.extend(arrival.items.iter().map(|item| (arrival.channel, item.incident)));
            self.unsure_dark.extend(arrival.says_dark.iter().map(|outage| (arrival.channel, outage.clone())));
        }
        let is_of_it = |item: &Item| self.outbox.incidents[item.incident].key == "database";
        if let Some(outage) = &arrival.says_dark {
            self.dark_beliefs.insert((arrival.channel, outage.clone()));
        } else if arrival.items.iter().any(is_of_it) {
            // From now on the tables say how that ends.
            self.dark_beliefs.retain(|(channel, _)| *channel != arrival.channel);
        }
        for item in &arrival.items {
            // It says nothing of what its reader does not know.
            if item.what == Event::Acknowledged {
                self.counts.acknowledgements_told += 1;
                continue;
            }
            // A copy of something that was overtaken changes nobody's mind.
            let known = self.beliefs.entry((arrival.channel, item.incident)).or_insert((item.event, item.what));
            if item.event >= known.0 {
                *known = (item.event, item.what);
            }
        }
    }

    pub(super) fn believes_open(&self, channel: usize, key: &str) -> bool {
        self.beliefs.iter().any(|((told, incident), (_, what))| {
            *told == channel && *what != Event::Resolved && self.outbox.incidents[*incident].key == key
        })
    }

    pub(super) fn anybody_believes(&self, key: &str) -> bool {
        (0..self.moods.len()).any(|channel| self.believes_open(channel, key))
    }

    /// What is learnt through the database is not expected of somebody who was told that it is away.
    pub(super) fn is_explained(&self) -> bool {
        !self.dark_beliefs.is_empty() || self.anybody_believes("database")
    }

    /// A target that is down for longer than the bound, seen by a living owner, while a watchdog with egress, the database
    /// and a channel work, is told; or something worse that explains it is.
    pub(crate) fn invariant_no_silence(&mut self) -> Result<(), String> {
        for monitor in 0..self.monitors.len() {
            let row = &self.monitors[monitor];
            let is_seen = row.down_since.is_some() && self.nodes[row.node].is_running();
            let key = super::world::monitor_key(monitor);
            let fair = self.fair(&key);
            let is_told = self.is_silenced(&key)
                || self.has_cause(&key)
                || self.anybody_believes(&key)
                || self.is_explained()
                || self.anybody_believes(&format!("node/{}", super::world::node_name(row.node)));
            for (at, is_fair, bound) in [(0, fair.0, TOLD_WITHIN), (1, fair.1, RESCUED_WITHIN)] {
                let clock = &mut self.monitors[monitor].untold_since[at];
                *clock = (is_seen && is_fair && !is_told).then(|| clock.unwrap_or(self.now));
                if clock.is_some_and(|since| self.now - since > bound) {
                    return Err(format!("no_silence: monitor {monitor} is down and nobody was told for {bound} ms"));
                }
            }
        }
        Ok(())
    }

    /// A job that is dead is told of in time, while its pushes would have been taken and somebody could tell: not later
    /// than its deadline, and a minute where a gap touched it.
    pub(crate) fn invariant_no_silence_of_jobs(&mut self) -> Result<(), String> {
        for job in 0..self.jobs.len() {
            let key = super::jobs::job_key(job);
            let (first, other) = self.fair(&key);
            let is_told = self.anybody_believes(&key) || self.is_explained();
            let row = &mut self.jobs[job];
            if !row.is_dead || !row.was_seen() || is_told {
                row.silent_for = 0;
            } else if first || other {
                row.silent_for += super::world::TICK;
            }
            if row.silent_for > row.period + row.grace + 60_000 + RESCUED_WITHIN {
                return Err(format!("no_silence: job {job} is dead and nobody was told for {} ms", row.silent_for));
            }
        }
        Ok(())
    }

    /// A job that lives, and tries until it is taken, is never late.
    pub(crate) fn invariant_no_living_job_is_late(&self, job: usize) -> Result<(), String> {
        if self.jobs[job].is_dead {
            return Ok(());
        }
        Err(format!("no_false_alarm: job {job} is told late, and lives"))
    }

    /// Whether a channel of the first choice could tell, and whether any could that is told instead.
    fn fair(&self, key: &str) -> (bool, bool) {
        let has_egress = self.dogs.iter().any(|dog| dog.is_running(self.now) && dog.has_egress);
        let works = |channel: usize| {
            let is_free = self.moods[channel].works() && self.now >= self.paused_until[channel];
            is_free && !self.outbox.has_given_up(channel, key) && !self.outbox.rests(self.wall(), channel, key)
        };
        let is_up = self.is_database_up && has_egress;
        let mut first = (0..self.moods.len()).filter(|channel| self.is_first_choice(*channel));
        let fallback = self.moods.len() - 1;
        (is_up && first.any(works), is_up && !self.is_first_choice(fallback) && works(fallback))
    }

    /// Nothing is told down that its owner saw up.
    pub(crate) fn invariant_no_false_alarm(&self, monitor: usize) -> Result<(), String> {
        if self.monitors[monitor].was_up_for_owner {
            return Err(format!("no_false_alarm: monitor {monitor} is told down, its owner saw it up"));
        }
        Ok(())
    }

    /// After everything has been well for long enough, nothing is open, and nobody believes that something is.
    pub(crate) fn invariant_every_incident_ends(&self) -> Result<(), String> {
        // A channel that nobody needs any more is not known to work again until it is used.
        let is_told = |key: &str| !key.starts_with("channel/");
        let mut open = self.outbox.incidents.iter().filter(|incident| incident.is_open);
        if let Some(open) = open.find(|incident| is_told(&incident.key)) {
            return Err(format!("every_incident_ends: {} is still open", open.key));
        }
        for ((channel, incident), (event, what)) in &self.beliefs {
            let rows = self.outbox.deliveries.iter().filter(|row| (row.channel, row.incident) == (*channel, *incident));
            // Whoever sent it by a fallback may have died over it: then nobody knows that it came.
            let is_known = rows.clone().any(|row| row.state == State::Sent && row.event >= *event);
            let is_unsure = self.unsure.contains(&(*channel, *incident)) && !is_known;
            let was_refused = is_unsure
                || rows.clone().any(|row| row.state == State::Failed)
                || self.outbox.refused_in_the_dark.contains(&(*channel, *incident));
            let key = &self.outbox.incidents[*incident].key;
            // What people believe of checks they may have been told without any table.
            let is_ours = is_told(key) && !key.starts_with("check/");
            if *what != Event::Resolved && !was_refused && is_ours {
                return Err(format!("every_incident_ends: {} believes that {key} is {what:?}", channel_name(*channel)));
            }
        }
        let was_refused = |belief: &(usize, String)| {
            let mut rows = self.outbox.deliveries.iter().filter(|row| row.channel == belief.0);
            let is_of_it = |row: &super::outbox::Delivery| self.outbox.incidents[row.incident].key == "database";
            self.unsure_dark.contains(belief) || rows.any(|row| is_of_it(row) && row.state == State::Failed)
        };
        let mut away = self.dark_beliefs.iter().filter(|belief| !was_refused(belief));
        if let Some((channel, _)) = away.next() {
            return Err(format!("every_incident_ends: {} believes that the database is away", channel_name(*channel)));
        }
        let now = self.wall();
        let waits = |row: &super::outbox::Delivery| {
            // What may have arrived and rests goes before all else of its incident.
            let mut rows = self.outbox.deliveries.iter().filter(|other| other.incident == row.incident);
            let is_behind = rows.any(|other| other.channel == row.channel && other.rests(now));
            let is_there = matches!(row.state, State::Waiting | State::Held) && !is_behind;
            is_there && is_told(&self.outbox.incidents[row.incident].key)
        };
        match self.outbox.deliveries.iter().find(|row| waits(row)) {
            Some(row) => Err(format!("every_incident_ends: a delivery is still there: {row:?}")),
            None => Ok(()),
        }
    }
}
