//! What this process shows of itself, and whom it trusts: certificates in files, read again when they change.
//!
//! The files are looked at every two seconds, by what stands in them: their times and names say too little where a
//! certificate is a link that is switched over. What is good is in force from the next connection on; connections that there
//! are stay. What is broken changes nothing: the certificates before it stay in force, which is said once in the log and, as
//! long as it lasts, in `/status`. Whoever replaces a certificate and its key one after the other is broken in between, so a
//! fault counts only when a second look finds it too.
//!
//! [`material`] reads, [`trust`] is the side of whoever calls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use komainu_watchdogs::time::{Mono, Wall};
use rustls::ServerConfig;
use url::Url;

use self::material::{Material, Texts};
use crate::clock;

mod material;
mod trust;

pub use self::material::TlsError;
pub(crate) use self::trust::misgiving;
pub use self::trust::trusting;

/// Between two lines in the log that say that the own certificate ends.
const TELL_AGAIN: Duration = Duration::from_secs(24 * 3_600);

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// Before a certificate's end it is told, so that there is time to have another one made.
pub const TOLD_BEFORE_END: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Where the certificates are: `[tls]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFiles {
    /// The own certificate and its key: with them the process speaks TLS.
    pub own: Option<OwnFiles>,
    /// Whom it trusts when it calls peers and nodes, beside whom the host trusts.
    pub ca: Option<PathBuf>,
    /// Who signs the certificates that peers must show.
    pub client_ca: Option<PathBuf>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnFiles {
    /// The chain, the own certificate first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Whether the process speaks TLS with those who connect.
    pub fn serves(&self) -> bool {
        self.own.is_some()
    }

    /// Reads everything once; what is wrong names the setting.
    pub fn check(&self, names: &[&Url], now: Wall) -> Result<Vec<String>, TlsError> {
        let material = Texts::read(self).and_then(|texts| Material::of(&texts))?;
        let mut remarks: Vec<String> = material.ends_soon(now).into_iter().collect();
        remarks.extend(names.iter().filter_map(|url| material.misfit(url)));
        Ok(remarks)
    }
}

/// The certificates in force.
#[derive(Debug)]
pub struct Credentials {
    files: TlsFiles,
    current: RwLock<Arc<Material>>,
    seen: Mutex<ReadFiles>,
}

/// What the last looks found.
#[derive(Debug, Default)]
struct ReadFiles {
    /// What is in force.
    texts: Texts,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Fault {
    problem: String,
    /// Seen twice, so it is none of a moment.
    is_told: bool,
}

/// For one connection of those who come.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) config: Arc<ServerConfig>,
    /// Peers must show a certificate.
    pub(crate) asks_peers: bool,
}

impl Credentials {
    /// Reads the files; here a fault is one, because there is nothing before it.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let texts = Texts::read(&files)?;
        let current = RwLock::new(Arc::new(Material::of(&texts)?));
        Ok(Arc::new(Self { files, current, seen: Mutex::new(ReadFiles { texts, fault: None }) }))
    }

    /// Of a process that speaks plain HTTP and trusts whom the host trusts.
    pub fn none() -> Arc<Self> {
        let current = RwLock::new(Arc::default());
        Arc::new(Self { files: TlsFiles::default(), current, seen: Mutex::default() })
    }

    /// Looks at the files from time to time, until it is dropped.
    pub async fn watch(self: Arc<Self>) {
        if self.files == TlsFiles::default() {
            return std::future::pending().await;
        }
        let mut told_at: Option<Mono> = None;
        loop {
            let ends_soon = self.ends_soon(clock::wall());
            if let Some(trouble) = ends_soon.filter(|_| told_at.is_none_or(|at| clock::now().since(at) >= TELL_AGAIN)) {
                told_at = Some(clock::now());
                tracing::warn!(trouble, "a new certificate is needed");
            }
            tokio::time::sleep(LOOK).await;
            let credentials = Arc::clone(&self);
            // A disk that hangs holds up nothing but this.
            if let Err(error) = tokio::task::spawn_blocking(move || credentials.look()).await {
                tracing::error!(%error, "the look at the certificates ended in a panic");
            }
        }
    }

    /// Takes what changed, if it is good.
    pub(crate) fn look(&self) {
        let read = Texts::read(&self.files);
        let mut seen = self.seen();
        if read.as_ref().is_ok_and(|texts| *texts == seen.texts) {
            seen.fault = None;
            return;
        }
        match read.and_then(|texts| Ok((Material::of(&texts)?, texts))) {
            Ok((material, texts)) => {
                *seen = ReadFiles { texts, fault: None };
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
                tracing::info!("the certificates changed: the new ones are in force");
            }
            Err(error) => seen.note(error.to_string()),
        }
    }

    /// For the next connection; `None`: it is plain.
    pub(crate) fn serving(&self) -> Option<Serving> {
        self.current().serving.clone()
    }

    /// What people should do something about, in one sentence each.
    pub fn troubles(&self, now: Wall) -> Vec<String> {
        let fault = self
            .seen()
            .fault
            .as_ref()
            .filter(|fault| fault.is_told)
            .map(|fault| format!("tls: {}; what was read before it stays in force", fault.problem));
        fault.into_iter().chain(self.ends_soon(now).map(|trouble| format!("tls: {trouble}"))).collect()
    }

    /// That the own certificate ends within two weeks, or has ended.
    pub fn ends_soon(&self, now: Wall) -> Option<String> {
        self.current().ends_soon(now)
    }

    /// When the own certificate ends.
    pub fn ends_at(&self) -> Option<Wall> {
        self.current().ends_at()
    }

    fn current(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn seen(&self) -> MutexGuard<'_, ReadFiles> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadFiles {
    fn note(&mut self, problem: String) {
        let was = self.fault.take().filter(|fault| fault.problem == problem);
        if let Some(Fault { is_told: false, .. }) = was {
            tracing::warn!(problem, "[tls] cannot take what its files hold now: what was read before stays in force");
        }
        self.fault = Some(Fault { problem, is_told: was.is_some() });
    }
}

#[cfg(test)]
pub(crate) mod tests;
