//! The folder of an embedded cluster: what lies where, and who takes part.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// One process of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Watchdog,
    Node,
}

impl Kind {
    /// The subcommand that runs it.
    pub(crate) fn subcommand(self) -> &'static str {
        match self {
            Self::Watchdog => "watchdog",
            Self::Node => "node",
        }
    }
}

impl Member {
    pub(super) fn watchdog(number: u16, port: u16) -> Self {
        Self { name: format!("w{number}"), kind: Kind::Watchdog, port: port + number - 1 }
    }

    pub(super) fn node(number: u16, port: u16) -> Self {
        Self { name: format!("node{number}"), kind: Kind::Node, port: port + 9 + number }
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen())
    }
}

/// An absolute path: children and `/proc` must agree on it.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder if needed.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot create {}", dir.display());
        // Keys, passwords and what every monitor holds lie here. A folder that was there keeps the mode that somebody gave it.
        DirBuilder::new().recursive(true).mode(0o700).create(dir.join("logs")).with_context(cannot)?;
        let folder = Self::existing(dir)?;
        let database = folder.database();
        if database.exists() {
            let private = Permissions::from_mode(0o600);
            std::fs::set_permissions(&database, private)
                .with_context(|| format!("cannot guard {}", database.display()))?;
        }
        Ok(folder)
    }

    pub(crate) fn existing(dir: &Path) -> anyhow::Result<Self> {
        let absolute =
            dir.canonicalize().with_context(|| format!("there is no folder {}; say --dir", dir.display()))?;
        Ok(Self(absolute))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration of one process; without a name, of the cluster.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.toml"))
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.0.join("logs").join(format!("{name}.log"))
    }

    pub(crate) fn cluster_config(&self) -> PathBuf {
        self.config("komainu")
    }

    pub(crate) fn cluster_key(&self) -> PathBuf {
        self.0.join("cluster.key")
    }

    pub(crate) fn admin_key(&self) -> PathBuf {
        self.0.join("admin.key")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("komainu.db")
    }

    pub(crate) fn pids(&self) -> PathBuf {
        self.0.join("pids.json")
    }

    fn supervisor(&self) -> PathBuf {
        self.0.join("up.pid")
    }

    /// Becomes the one supervisor of this folder, and writes its pid down.
    pub(super) fn lock_supervisor(&self) -> anyhow::Result<File> {
        let path = self.supervisor();
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{} is up already (pid {}); `komainu down --dir {0}` ends it, `komainu up --dir {0} --restart NAME` starts one process anew",
                self.0.display(),
                read_pid(&mut file).unwrap_or_default()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()))?;
        Ok(file)
    }

    /// The pid of the supervisor, if one lives: only then the lock is taken.
    pub(crate) fn living_supervisor(&self) -> anyhow::Result<Option<i32>> {
        if !self.supervisor().exists() {
            return Ok(None);
        }
        let mut file = open(&self.supervisor())?;
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(_) => Ok(read_pid(&mut file)),
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_contract() {
        assert_eq!(Member::watchdog(1, 8900).port, 8900);
        assert_eq!(Member::watchdog(3, 8900).port, 8902);
        assert_eq!(Member::node(1, 8900).port, 8910);
        assert_eq!(Member::node(3, 8900).port, 8912);
    }

    #[test]
    fn nobody_else_reads_what_lies_in_the_folder() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(&above.path().join("cluster")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        std::fs::write(folder.database(), "of an earlier version").unwrap();
        Folder::open(folder.path()).unwrap();
        assert_eq!(mode(&folder.database()), 0o600);
    }

    #[test]
    fn one_supervisor_per_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.living_supervisor().unwrap(), None);
        let held = folder.lock_supervisor().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(folder.living_supervisor().unwrap(), Some(pid));
        let refused = folder.lock_supervisor().unwrap_err().to_string();
        assert!(refused.contains(&format!("is up already (pid {pid})")), "{refused}");
        drop(held);
        assert_eq!(folder.living_supervisor().unwrap(), None);
    }
}
