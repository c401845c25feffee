//! A target looked at once, now, by every watchdog, before there is a check.
//!
//! The watchdog that is asked looks itself and asks its living peers (`POST /peer/v1/try`); each of them keeps to its own guard.
//! Nothing is stored, and neither the machine of checks nor what is counted of them hears of it. What a majority would say is
//! decided by [`komainu_watchdogs::check::trial`]. Second opinions on monitors ([`super::opinion`]) are looked at and gathered in the
//! same way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::trial::{Supposed, supposed};
use komainu_watchdogs::check::{Answer, Definition as Judged, Members, Outcome, Policy, Trouble, Unanswered};
use komainu_watchdogs::ids::{WatchdogId, Zone};
use komainu_watchdogs::opinion::{LINGER, counted};
use komainu_watchdogs::watchdog::Identity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::canaries::Canaries;
use super::peers::{PeerError, Peers, ensure_is};
use super::{Looks, Settings, looker};
use crate::check::Definition;
use crate::clock;
use crate::driver::Contact;
use crate::run::{Runs, spec};
use crate::store::MonitorSpec;

/// Where watchdogs answer each other.
pub const PATH: &str = "/peer/v1/try";

/// Tries of clients and of peers together: they come on top of what a watchdog looks at anyway.
pub const MOST_AT_ONCE: usize = 8;

/// A peer has the timeout of a look and this: for its canaries, and for the way there and back.
const SLACK: Duration = Duration::from_secs(5);

/// A look that outlasts its timeout by more was timed by a process that stood still.
const UNTIMED: Duration = Duration::from_secs(1);

/// What one watchdog asks another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// Who asks.
    pub watchdog: WatchdogId,
    /// The fields of a check, as its client sent them.
    pub check: Map<String, Value>,
}

/// What one watchdog saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrialAnswer {
    /// Who.
    pub watchdog: WatchdogId,
    /// Where it stands.
    pub zone: Zone,
    /// It is cut off from the world: what it saw is no vote.
    pub is_isolated: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// In detail.
    pub answer: Answer,
}

/// What all of them saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial {
    /// What a majority would say of it.
    pub supposed: Supposed,
    /// Who was asked and did not answer.
    pub unanswered: Vec<(WatchdogId, Zone, Silence)>,
}

/// Why a peer said nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// Not within the timeout and a few seconds.
    Late,
    /// There was no connection, or it broke off.
    Unreached,
    /// It tries as many as it may already.
    Crowded,
    /// It does not know the question, or this check.
    OtherVersion,
    /// It did not take this watchdog for one of its cluster, or cannot prove that it is one itself.
    Untrusted,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "no answer in time",
            Self::Unreached => "it could not be reached",
            Self::Crowded => "it is busy with other tries",
            Self::OtherVersion => "it does not understand this try; is it of another version?",
            Self::Untrusted => "it is not of this cluster, or its clock differs",
        })
    }
}

impl From<PeerError> for Silence {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Http(error) if error.is_timeout() => Self::Late,
            PeerError::Http(_) => Self::Unreached,
            PeerError::Unsigned(503) => Self::Crowded,
            PeerError::Unsigned(403) | PeerError::Signature(_) | PeerError::Another(_) => Self::Untrusted,
            PeerError::Unsigned(_) | PeerError::Malformed(_) | PeerError::TooLong | PeerError::Zone => {
                Self::OtherVersion
            }
        }
    }
}

/// Room for one try, until it is dropped.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

/// What tries need.
pub(super) struct Trials {
    identity: Identity,
    peers: Peers,
    runs: Arc<Runs>,
    canaries: Arc<Canaries>,
    contact: watch::Receiver<Arc<Contact>>,
    room: Arc<Semaphore>,
}

impl Trials {
    pub(super) fn new(settings: &Settings, peers: Peers, runs: Arc<Runs>) -> Self {
        Self {
            identity: settings.identity.clone(),
            peers,
            runs,
            canaries: Canaries::new(settings.prober.clone(), settings.identity.canaries.clone()),
            contact: settings.contact.clone(),
            room: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        }
    }

    /// Looks once, and believes a failure that may be its own network's only beside canaries that answer. `longest`: of a second
    /// opinion, so long at most.
    pub(super) async fn look(&self, target: &MonitorSpec, longest: Option<Duration>) -> TrialAnswer {
        let began_at = clock::now();
        let asking = self.canaries.ask_on();
        let asked = spec::timeout(target);
        let timeout = longest.map_or(asked, |longest| longest.min(asked));
        let timed = MonitorSpec { timeout: timeout.as_secs_f64(), ..target.clone() };
        let (outcome, mut answer) = looker::look(&self.runs, &timed).await;
        drop(asking);
        let ended_at = clock::now();
        let is_untimed = ended_at.since(began_at) > timeout + UNTIMED;
        let is_isolated = self.contact.borrow().voters.is_isolated;
        let outcome = match outcome {
            Outcome::Failed(_) if is_isolated => Outcome::Unable(Trouble::CutOff),
            Outcome::Failed(_) if is_untimed => Outcome::Unable(Trouble::Stalled),
            Outcome::Failed(failure) if failure.is_doubtful() => {
                let look = Unanswered { began_at, ended_at, usually: Duration::ZERO };
                if self.canaries.is_targets(look).await { outcome } else { Outcome::Unable(Trouble::CutOff) }
            }
            Outcome::Failed(_) | Outcome::Up | Outcome::Unable(_) => outcome,
        };
        let outcome = if longest.is_some() { counted(outcome, timeout < asked) } else { outcome };
        // Turned only now: what is one's own trouble stays that.
        let outcome = if target.upside_down { outcome.turned() } else { outcome };
        match outcome {
            Outcome::Up => answer.detail.clear(),
            Outcome::Unable(trouble @ (Trouble::CutOff | Trouble::Stalled)) => answer.detail = trouble.to_string(),
            Outcome::Failed(_) | Outcome::Unable(_) => {}
        }
        let Identity { watchdog, zone, .. } = self.identity.clone();
        TrialAnswer { watchdog, zone, is_isolated, outcome, answer }
    }

    /// Asks these peers, all at once.
    fn ask(&self, peers: Vec<WatchdogId>, question: &Question, limit: Duration) -> JoinSet<(WatchdogId, Said)> {
        let contact = Arc::clone(&self.contact.borrow());
        let mut asked = JoinSet::new();
        for peer in peers {
            let (client, question) = (self.peers.clone(), question.clone());
            let address = contact.members.get(&peer).cloned().unwrap_or_default();
            asked.spawn(async move {
                let said = ask(&client, (&peer, &address), question, limit).await;
                (peer, said.map_err(Silence::from))
            });
        }
        asked
    }
}

type Said = Result<TrialAnswer, Silence>;

/// What those said who may look.
pub(super) type Heard<'a> = (&'a Members, &'a BTreeMap<WatchdogId, (Outcome, Answer)>);

/// Whether those who were asked and have not answered may as well be left alone.
pub(super) type Enough<'a> = &'a (dyn Fn(Heard<'_>, &BTreeSet<WatchdogId>) -> bool + Sync);

/// What peers are asked, and where.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) path: &'static str,
    pub(super) body: Vec<u8>,
}

async fn ask(
    client: &Peers,
    (peer, address): (&WatchdogId, &str),
    Question { path, body }: Question,
    limit: Duration,
) -> Result<TrialAnswer, PeerError> {
    let body = client.call_anew((address, path), body, limit).await?;
    let mut tried: TrialAnswer = serde_json::from_slice(&body)?;
    tried.answer.shorten();
    ensure_is(peer, (&tried.watchdog, &tried.zone))?;
    Ok(tried)
}

impl Looks {
    /// Room for one more try; `None`: as many as may be are under way.
    pub fn room_for_trial(&self) -> Option<Room> {
        let permit = Arc::clone(&self.trials.room).try_acquire_owned().ok()?;
        Some(Room { _permit: permit })
    }

    /// What this watchdog sees of it.
    pub async fn look_once(&self, _: &Room, definition: &Definition) -> TrialAnswer {
        self.trials.look(&definition.spec(), None).await
    }

    /// What every watchdog sees of it that may look. `fields`: the same as its client sent it, for the others.
    pub async fn trial(&self, room: &Room, definition: &Definition, fields: Map<String, Value>) -> Trial {
        let judged = Judged { paused: false, ..definition.judged() };
        let question = TrialRequest { watchdog: self.shared.identity.watchdog.clone(), check: fields };
        // A request that was read as JSON is JSON.
        let body = serde_json::to_vec(&question).unwrap_or_default();
        self.gather(&judged, &Question { path: PATH, body }, (self.look_once(room, definition), None)).await
    }

    /// What all of them see who may look: this watchdog by `own`, the others by what they answer. `is_enough`: a little after that is so nobody
    /// is waited for; without it everybody is.
    pub(super) async fn gather(
        &self,
        judged: &Judged,
        question: &Question,
        (own, is_enough): (impl Future<Output = TrialAnswer>, Option<Enough<'_>>),
    ) -> Trial {
        let members = self.members_of_trial();
        let me = &self.shared.identity;
        let near = members.living.iter().filter(|(id, zone, _)| judged.is_for(zone) && *id != me.watchdog);
        let mut awaited: BTreeSet<WatchdogId> = near.map(|(watchdog, _, _)| watchdog.clone()).collect();
        let mut asked = self.trials.ask(awaited.iter().cloned().collect(), question, judged.timeout + SLACK);
        if judged.is_for(&me.zone) {
            awaited.insert(me.watchdog.clone());
        }
        let mut said = BTreeMap::new();
        let mut own = Box::pin(async { (me.watchdog.clone(), Ok(own.await)) });
        let mut enough_at = None;
        while !awaited.is_empty() {
            let until = enough_at.map_or(Duration::ZERO, |at| LINGER.saturating_sub(clock::now().since(at)));
            let (watchdog, answer) = tokio::select! {
                answer = &mut own, if awaited.contains(&me.watchdog) => answer,
                Some(answered) = asked.join_next() => match answered {
                    Ok(answer) => answer,
                    // A task that panicked said nothing; its peer is shown as silent.
                    Err(_) => continue,
                },
                () = tokio::time::sleep(until), if enough_at.is_some() => break,
                else => break,
            };
            awaited.remove(&watchdog);
            said.insert(watchdog, answer);
            let (voters, seen) = (voting(&members, &said), seen(&said));
            if enough_at.is_none() && is_enough.is_some_and(|is_enough| is_enough((&voters, &seen), &awaited)) {
                enough_at = Some(clock::now());
            }
        }
        let voters = voting(&members, &said);
        let supposed = supposed(judged, &voters, &seen(&said), &Policy::default());
        Trial { supposed, unanswered: unanswered(&members, &said) }
    }

    /// Who lives, this watchdog among them.
    pub(super) fn members_of_trial(&self) -> Members {
        let mut members = self.shared.machine().members().clone();
        let me = &self.shared.identity;
        members.living.retain(|(watchdog, _, _)| *watchdog != me.watchdog);
        members.living.push((me.watchdog.clone(), me.zone.clone(), !members.is_isolated));
        members.living.sort();
        members
    }
}

fn seen(said: &BTreeMap<WatchdogId, Said>) -> BTreeMap<WatchdogId, (Outcome, Answer)> {
    let answered = said.iter().filter_map(|(id, said)| Some((id, said.as_ref().ok()?)));
    answered.map(|(id, tried)| (id.clone(), (tried.outcome, tried.answer.clone()))).collect()
}

/// Whoever says that it is cut off has no vote.
fn voting(members: &Members, said: &BTreeMap<WatchdogId, Said>) -> Members {
    let mut members = members.clone();
    for (watchdog, _, may_vote) in &mut members.living {
        let is_isolated = said.get(watchdog).is_some_and(|said| said.as_ref().is_ok_and(|tried| tried.is_isolated));
        *may_vote = *may_vote && !is_isolated;
    }
    members
}

fn unanswered(members: &Members, said: &BTreeMap<WatchdogId, Said>) -> Vec<(WatchdogId, Zone, Silence)> {
    let silent = members.living.iter().filter_map(|(watchdog, zone, _)| {
        let silence = said.get(watchdog)?.as_ref().err()?;
        Some((watchdog.clone(), zone.clone(), *silence))
    });
    silent.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_peer_said_nothing_is_told_in_a_few_words() {
        let of = |code| Silence::from(PeerError::Unsigned(code));
        assert_eq!(
            [503, 403, 404, 400].map(of),
            [Silence::Crowded, Silence::Untrusted, Silence::OtherVersion, Silence::OtherVersion]
        );
        assert_eq!(Silence::from(PeerError::Another("w9".into())), Silence::Untrusted);
    }
}
