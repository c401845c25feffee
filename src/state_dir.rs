//! `[watchdog] state_dir`: what a watchdog must know of its cluster while the database cannot be asked.
//!
//! Files that are replaced as a whole, readable by their owner alone: *known.json* (members with their addresses, what was waiting to
//! be told; a copy that may be old or missing), *spool.json* (what was told while the database was down and is not entered yet; on
//! disk before anything is sent), *checks.json* and *verdicts.json* (what is looked at, and how it was), *answered.json* (how many
//! writes of this watchdog the database had answered), *acknowledged.json* (who said meanwhile that they take care of something). A file that is missing or cannot be read is said once and costs what it held, never the
//! start. Without a folder the same is kept in memory only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use komainu_watchdogs::blackout::{Doubt, ToldLine};
use komainu_watchdogs::check::Known;
use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::tail::Remembrance;
use komainu_watchdogs::time::Wall;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::answers::LateAnswer;
use crate::silence::NewSilence;
use crate::store::checks::Check;
use crate::store::dependencies::Remembered;
use crate::store::spool::Undelivered;

const KNOWN: &str = "known.json";
const SPOOL: &str = "spool.json";
const ANSWERED: &str = "answered.json";
const ACKNOWLEDGED: &str = "acknowledged.json";
const CHECKS: &str = "checks.json";
const VERDICTS: &str = "verdicts.json";

/// Of what is kept of checks. Another version is not read: what is in it comes with the first reading of the tables.
const CHECKS_VERSION: u32 = 1;

/// A file that is larger was not written here: ten thousand checks with long settings are not half of it.
const LARGEST: u64 = 256 << 20;

/// The cluster as it was last read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastKnownCluster {
    /// When, by this host's clock.
    pub at: Wall,
    /// By how much the database's clock was ahead of this host's.
    pub clock_ahead_ms: i64,
    /// Watchdogs and where they answer.
    pub members: BTreeMap<WatchdogId, String>,
    /// Incidents that were open.
    pub incidents: Vec<String>,
    /// Messages that were waiting.
    pub undelivered: Vec<Undelivered>,
    /// Silences that were not over.
    pub silences: Vec<NewSilence>,
    /// What checks depended on.
    pub dependencies: Remembered,
    /// How far the incidents' events had come before the outage at hand, or the next one.
    pub latest_event: Option<i64>,
}

impl LastKnownCluster {
    /// The same, but for when it was read.
    pub fn is_like(&self, other: &Self) -> bool {
        let known = |one: &Self| Self { at: Wall::default(), clock_ahead_ms: 0, ..one.clone() };
        known(self) == known(other)
    }
}

/// One thing that a channel was told, or was about to be told, while the database was down; or that it was down at all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spooled {
    /// What, where, when; `None`: nobody may have been told yet.
    #[serde(default)]
    pub said: Option<ToldLine>,
    /// The channel took it. Otherwise whoever sent it died over it, or got no answer: it may have arrived.
    pub is_sent: bool,
    /// The outage's name.
    pub outage: String,
    /// When it began, by the database's clock as it was last known.
    pub began_at: Wall,
    /// The latest event that was read before.
    #[serde(default)]
    pub after_event: Option<i64>,
    /// What people were told about the database.
    pub summary: String,
    /// Watchdogs that agreed, of how many that were known.
    pub votes: (u32, u32),
    /// How it was marked.
    pub doubt: Doubt,
}

/// What was looked at.
#[derive(Debug, Default, Serialize, Deserialize)]
struct KeptChecks {
    version: u32,
    checks: Vec<Arc<Check>>,
}

/// How it was: the verdicts that stood, and incidents that were open.
#[derive(Debug, Default, Serialize, Deserialize)]
struct KeptVerdicts {
    version: u32,
    verdicts: Vec<Known>,
    open: Vec<IncidentRow>,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct StateDir {
    folder: Option<PathBuf>,
}

impl StateDir {
    /// Makes the folder if it is not there.
    pub fn open(folder: Option<PathBuf>) -> Self {
        if let Some(path) = &folder
            && let Err(error) = std::fs::create_dir_all(path)
        {
            tracing::error!(folder = %path.display(), %error, "[watchdog] state_dir cannot be made: nothing is kept");
        }
        Self { folder }
    }

    /// What was known when it was last written.
    pub async fn known(&self) -> LastKnownCluster {
        self.read(KNOWN).await
    }

    /// Replaces it.
    pub async fn keep_known(&self, known: &LastKnownCluster) {
        let _ = self.write(KNOWN, known).await;
    }

    /// What is not entered yet.
    pub async fn spool(&self) -> Vec<Spooled> {
        self.read(SPOOL).await
    }

    /// Replaces it; on disk when this returns.
    pub async fn keep_spool(&self, spool: &[Spooled]) {
        let _ = self.write(SPOOL, spool).await;
    }

    /// What the process before had been answered.
    pub async fn answered(&self) -> Remembrance {
        self.read(ANSWERED).await
    }

    /// Replaces it.
    pub async fn keep_answered(&self, answered: &Remembrance) {
        let _ = self.write(ANSWERED, answered).await;
    }

    /// Who said that they take care of something, and is not entered yet.
    pub(crate) async fn late_answers(&self) -> Vec<LateAnswer> {
        self.read(ACKNOWLEDGED).await
    }

    /// Replaces it; says whether it is on disk.
    pub(crate) async fn keep_late_answers(&self, answers: &[&LateAnswer]) -> bool {
        self.folder.is_some() && self.write(ACKNOWLEDGED, answers).await
    }

    /// What was looked at.
    pub async fn checks(&self) -> Vec<Arc<Check>> {
        let kept: KeptChecks = self.read(CHECKS).await;
        if kept.version == CHECKS_VERSION { kept.checks } else { Vec::new() }
    }

    /// Replaces it.
    pub async fn keep_checks(&self, checks: &[Arc<Check>]) {
        let _ = self.write(CHECKS, &KeptChecks { version: CHECKS_VERSION, checks: checks.to_vec() }).await;
    }

    /// The verdicts that stood, and incidents of checks that were open.
    pub async fn verdicts(&self) -> (Vec<Known>, Vec<IncidentRow>) {
        let kept: KeptVerdicts = self.read(VERDICTS).await;
        if kept.version == CHECKS_VERSION { (kept.verdicts, kept.open) } else { Default::default() }
    }

    /// Replaces them.
    pub async fn keep_verdicts(&self, verdicts: &[Known], open: &[IncidentRow]) {
        let kept = KeptVerdicts { version: CHECKS_VERSION, verdicts: verdicts.to_vec(), open: open.to_vec() };
        let _ = self.write(VERDICTS, &kept).await;
    }

    async fn read<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        let Some(path) = self.folder.as_ref().map(|folder| folder.join(name)) else { return T::default() };
        let text = match read_bounded(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return T::default(),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot read what was kept: going on without it");
                return T::default();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "what was kept is damaged: going on without it");
            T::default()
        })
    }

    /// Says whether it is kept as well as it can be: on disk, where there is a folder.
    async fn write<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> bool {
        let Some(folder) = &self.folder else { return true };
        let text = serde_json::to_vec(value).expect("plain rows become JSON");
        let kept = replace(folder, name, &text).await;
        if let Err(error) = &kept {
            tracing::error!(folder = %folder.display(), file = name, %error, "cannot keep what must survive this process");
        }
        kept.is_ok()
    }
}

async fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if tokio::fs::metadata(path).await?.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than anything that is kept there"));
    }
    tokio::fs::read(path).await
}

/// A reader sees the old text or the new one, never half of one, whenever the power fails.
async fn replace(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let fresh = folder.join(format!("{name}.new"));
    // What an earlier process left half written may be readable by others.
    match tokio::fs::remove_file(&fresh).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).await?;
    file.write_all(text).await?;
    file.sync_all().await?;
    tokio::fs::rename(&fresh, folder.join(name)).await?;
    tokio::fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> LastKnownCluster {
        let members = BTreeMap::from([("w2".into(), "http://w2:8900".to_owned())]);
        LastKnownCluster {
            at: Wall(7),
            members,
            incidents: vec!["node/node1".to_owned()],
            ..LastKnownCluster::default()
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_there_for_the_next_process() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("deeper");
        StateDir::open(Some(path.clone())).keep_known(&known()).await;
        assert_eq!(StateDir::open(Some(path)).known().await, known());
    }

    #[tokio::test]
    async fn a_damaged_file_costs_what_it_held_and_nothing_else() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = StateDir::open(Some(folder.path().to_owned()));
        state.keep_known(&known()).await;
        let file = folder.path().join(KNOWN);
        let half = std::fs::read(&file).unwrap().split_off(20);
        std::fs::write(&file, half).unwrap();
        assert_eq!(state.known().await, LastKnownCluster::default());
        assert_eq!(state.spool().await, Vec::new());
        state.keep_known(&known()).await;
        assert_eq!(state.known().await, known());
    }

    #[tokio::test]
    async fn a_file_of_another_version_is_read_as_far_as_it_goes() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join(KNOWN), r#"{"at": 7, "members": {"w2": "http://w2"}, "moon": "full"}"#)
            .unwrap();
        let known = StateDir::open(Some(folder.path().to_owned())).known().await;
        assert_eq!((known.at, known.members.len()), (Wall(7), 1));
    }

    #[tokio::test]
    async fn what_is_kept_of_checks_is_read_by_its_owner_and_by_its_version_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = StateDir::open(Some(folder.path().to_owned()));
        let known = Known { check: "shop".into(), state: komainu_watchdogs::check::State::Down, since: Wall(7) };
        let (opened_at, last_bad_at) = (Wall(8), Wall(9));
        let (key, severity) = ("check/shop".to_owned(), "critical".to_owned());
        let open = IncidentRow { key, severity, opened_at, first_opened_at: None, last_bad_at };
        std::fs::write(folder.path().join("verdicts.json.new"), "half of").unwrap();
        state.keep_verdicts(std::slice::from_ref(&known), std::slice::from_ref(&open)).await;
        assert_eq!(state.verdicts().await, (vec![known], vec![open]));
        let file = folder.path().join(VERDICTS);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let later = std::fs::read_to_string(&file).unwrap().replace("\"version\":1", "\"version\":2");
        std::fs::write(&file, later).unwrap();
        assert_eq!(state.verdicts().await, (vec![], vec![]));
    }

    #[tokio::test]
    async fn without_a_folder_nothing_is_kept_and_nothing_fails() {
        let state = StateDir::open(None);
        state.keep_known(&known()).await;
        assert_eq!(state.known().await, LastKnownCluster::default());
    }
}
