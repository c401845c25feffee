//! Answers that the database could not take: that somebody takes care of an incident.
//!
//! Each is on disk before whoever gave it reads that it counts. It is told at once through the channel where it was given, whose readers know
//! of the incident for certain, and entered when the database is back, as of when it was given; then the others hear of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_notifiers::{DeliveryError, Doubt, EventKind, Item, Notice, Receipt, Severity};
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::view::View;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::person;
use crate::channels::Channels;
use crate::clock;
use crate::driver::Contact;
use crate::state_dir::StateDir;
use crate::store::Store;
use crate::store::incidents::{self, Acknowledged, Late, Taking, Told};

/// As many wait. Whoever answers more is told that nothing was done.
const MOST: usize = 200;

/// Between two attempts to enter what waits.
const ENTER_AGAIN: Duration = Duration::from_secs(1);

/// How often a channel is tried; from then on the others tell it when the database is back.
const MOST_TRIES: u32 = 3;

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LateAnswer {
    pub(crate) incident: i64,
    /// Kind and subject, for people.
    pub(crate) key: String,
    /// As the audit trail calls them.
    pub(crate) who: String,
    /// Also where somebody else takes care of it.
    pub(crate) takes_over: bool,
    /// Where it was given.
    pub(crate) channel: String,
    /// When, by this host's clock.
    pub(crate) at: Wall,
    /// That channel's readers have it.
    #[serde(default)]
    pub(crate) told: Option<Told>,
}

impl LateAnswer {
    fn is_like(&self, other: &Self) -> bool {
        (self.incident, &self.who, self.takes_over) == (other.incident, &other.who, other.takes_over)
    }

    fn taking(&self) -> Taking {
        if self.takes_over { Taking::Over } else { Taking::IfFree }
    }
}

/// It could not be kept, so nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unkept;

struct Given {
    answer: LateAnswer,
    kept: oneshot::Sender<Result<(), Unkept>>,
}

/// Takes them.
#[derive(Clone, Debug)]
pub struct LateAnswers(mpsc::Sender<Given>);

impl LateAnswers {
    /// Takes none.
    #[must_use]
    pub fn none() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// On disk when this returns.
    pub(crate) async fn keep(&self, answer: LateAnswer) -> Result<(), Unkept> {
        let (kept, is_kept) = oneshot::channel();
        self.0.send(Given { answer, kept }).await.map_err(|_| Unkept)?;
        is_kept.await.map_err(|_| Unkept)?
    }
}

/// What the task needs.
pub struct Settings {
    /// Where they are entered.
    pub store: Store,
    /// Where they wait.
    pub state: StateDir,
    /// The ways to people.
    pub channels: Channels,
    /// The cluster's name.
    pub cluster: String,
    /// Where `/runbook` is.
    pub runbook: String,
    /// What the watchdog knows of incidents.
    pub view: watch::Receiver<Arc<View>>,
    /// How far the database's clock is ahead.
    pub contact: watch::Receiver<Arc<Contact>>,
}

/// The task's state.
struct Keeper {
    settings: Settings,
    waiting: Vec<Waiting>,
    telling: JoinSet<(LateAnswer, Option<Told>)>,
    entering: JoinSet<Vec<LateAnswer>>,
    enter_at: Mono,
}

#[derive(Debug)]
struct Waiting {
    answer: LateAnswer,
    tries: u32,
    is_being_told: bool,
}

impl Waiting {
    fn new(answer: LateAnswer) -> Self {
        Self { answer, tries: 0, is_being_told: false }
    }
}

/// What takes answers, and the task that tells and enters them, until whoever takes them is gone. `settings.state` holds those of the
/// process before.
pub async fn start(settings: Settings) -> (LateAnswers, impl Future<Output = ()> + Send) {
    let waiting = settings.state.late_answers().await.into_iter().map(Waiting::new).collect();
    let (sender, given) = mpsc::channel(MOST);
    let (telling, entering, enter_at) = (JoinSet::new(), JoinSet::new(), clock::now());
    let keeper = Keeper { settings, waiting, telling, entering, enter_at };
    (LateAnswers(sender), keeper.run(given))
}

impl Keeper {
    async fn run(mut self, mut given: mpsc::Receiver<Given>) {
        loop {
            tokio::select! {
                one = given.recv() => match one {
                    Some(Given { answer, kept }) => drop(kept.send(self.keep(answer).await)),
                    None => return,
                },
                Some(told) = self.telling.join_next() => if let Ok((answer, told)) = told {
                    self.note_told(&answer, told).await;
                },
                Some(entered) = self.entering.join_next() => if let Ok(entered) = entered {
                    self.forget(&entered).await;
                },
                () = clock::sleep_until(self.enter_at), if self.may_enter() => self.enter(),
            }
        }
    }

    async fn keep(&mut self, answer: LateAnswer) -> Result<(), Unkept> {
        if self.waiting.iter().any(|waiting| waiting.answer.is_like(&answer)) {
            return Ok(());
        }
        if self.waiting.len() >= MOST {
            return Err(Unkept);
        }
        self.waiting.push(Waiting::new(answer));
        if !self.write().await {
            self.waiting.pop();
            return Err(Unkept);
        }
        self.tell();
        self.enter_at = clock::now() + ENTER_AGAIN;
        Ok(())
    }

    async fn write(&self) -> bool {
        let answers: Vec<&LateAnswer> = self.waiting.iter().map(|waiting| &waiting.answer).collect();
        self.settings.state.keep_late_answers(&answers).await
    }

    /// Whatever nobody has told, or is telling.
    fn tell(&mut self) {
        let is_untold = |one: &&mut Waiting| one.answer.told.is_none() && !one.is_being_told && one.tries < MOST_TRIES;
        let mut begun = vec![];
        for waiting in self.waiting.iter_mut().filter(is_untold) {
            waiting.is_being_told = true;
            waiting.tries += 1;
            begun.push(waiting.answer.clone());
        }
        for answer in begun {
            let (ready, notice) = (self.settings.channels.named(&answer.channel).cloned(), self.notice(&answer));
            self.telling.spawn(async move {
                let told = match ready {
                    Some(ready) => ready.channel.send(&notice).await,
                    None => Err(DeliveryError::Permanent { reason: "it is not configured here".to_owned() }),
                };
                let told = match told {
                    Ok(Receipt { vendor_ref, .. }) => Some(Told { notice_id: notice.id, vendor_ref }),
                    Err(error) => {
                        tracing::warn!(channel = answer.channel, key = answer.key, %error, "could not tell who takes care of it");
                        None
                    }
                };
                (answer, told)
            });
        }
    }

    async fn note_told(&mut self, answer: &LateAnswer, told: Option<Told>) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.answer.is_like(answer)) {
            (waiting.answer.told, waiting.is_being_told) = (told, false);
            self.write().await;
        }
    }

    /// What is being told is entered afterwards, with what came of it.
    fn may_enter(&self) -> bool {
        self.entering.is_empty() && self.waiting.iter().any(|waiting| !waiting.is_being_told)
    }

    fn enter(&mut self) {
        self.enter_at = clock::now() + ENTER_AGAIN;
        self.tell();
        let ready: Vec<LateAnswer> =
            self.waiting.iter().filter(|one| !one.is_being_told).map(|one| one.answer.clone()).collect();
        let (store, ahead_ms) = (self.settings.store.clone(), self.settings.contact.borrow().clock_ahead_ms);
        self.entering.spawn(async move {
            let mut entered = vec![];
            for answer in ready {
                let at = Wall(answer.at.0.saturating_add(ahead_ms));
                let late = Late { at, told: answer.told.as_ref().map(|told| (answer.channel.as_str(), told)) };
                match incidents::take_late(&store, answer.incident, (&answer.who, answer.taking()), &late).await {
                    Ok(came) => {
                        say(&answer, &came);
                        entered.push(answer);
                    }
                    Err(error) => {
                        tracing::debug!(%error, key = answer.key, "an answer waits for the database");
                        break;
                    }
                }
            }
            entered
        });
    }

    async fn forget(&mut self, entered: &[LateAnswer]) {
        let count = self.waiting.len();
        self.waiting.retain(|waiting| !entered.iter().any(|one| one.is_like(&waiting.answer)));
        if self.waiting.len() < count {
            self.write().await;
        }
    }

    fn notice(&self, answer: &LateAnswer) -> Notice {
        let view = self.settings.view.borrow();
        let known = view.incidents.iter().find(|incident| incident.key == answer.key);
        let severity = known.map_or(Severity::Critical, |incident| match incident.severity {
            komainu_watchdogs::io::Severity::Warning => Severity::Warning,
            komainu_watchdogs::io::Severity::Critical => Severity::Critical,
        });
        let item = Item {
            incident_id: answer.incident.to_string(),
            event: EventKind::Acknowledged,
            key: answer.key.clone(),
            name: None,
            severity,
            summary: "said while the database was away: it is entered when that is back".to_owned(),
            opened_at_ms: known.map_or(answer.at.0, |incident| incident.since.0),
            first_opened_at_ms: None,
            at_ms: answer.at.0,
            votes: (0, 0),
            done: vec![],
            runbook_url: format!("{}#{}", self.settings.runbook, answer.key.split('/').next().unwrap_or_default()),
            instead_of: None,
            acknowledged_by: Some(person(&answer.who)),
            answers: vec![],
        };
        Notice {
            id: self.notice_id(answer),
            cluster: self.settings.cluster.clone(),
            items: vec![item],
            is_digest: false,
            doubt: Some(Doubt::DatabaseUnreachable),
            lateness: None,
            threads: BTreeMap::new(),
            told_to: vec![],
            time_zone: None,
        }
    }

    /// The same at each attempt.
    fn notice_id(&self, answer: &LateAnswer) -> String {
        let LateAnswer { incident, who, at, .. } = answer;
        let mut id = hex::encode(Sha256::digest(format!("{}\n{incident}\n{who}\n{}", self.settings.cluster, at.0)));
        id.truncate(32);
        id
    }
}

fn say(answer: &LateAnswer, came: &Acknowledged) {
    let LateAnswer { key, who, .. } = answer;
    match came {
        Acknowledged::Now => tracing::info!(key, who, "entered who takes care of it"),
        Acknowledged::By(other) => tracing::info!(key, who, other, "another one takes care of it already"),
        Acknowledged::Over => tracing::info!(key, who, "it was over before it was entered who takes care of it"),
    }
}
