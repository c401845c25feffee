//! `pids.json`: which process is which, for scripts and for other terminals.
//!
//! `{"w1": 123, "node1": 456}`, these names only. Changed under a lock and replaced in one step, since the supervisor and
//! `up --restart` both write it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;

use anyhow::{Context, bail};

use super::folder::Folder;
use super::process;
use crate::cli::files;

pub(crate) type Pids = BTreeMap<String, i32>;

/// What the file says; a missing one says nothing.
pub(crate) fn read(folder: &Folder) -> anyhow::Result<Pids> {
    let path = folder.pids();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("{} is not what `komainu up` wrote", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Pids::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Changes the file.
pub(crate) fn update(folder: &Folder, change: impl FnOnce(&mut Pids)) -> anyhow::Result<()> {
    // The lock is on a file of its own: the other one is replaced each time.
    let path = folder.path().join("pids.lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    let mut pids = read(folder)?;
    change(&mut pids);
    let text = serde_json::to_string(&pids).context("cannot write pids as JSON")?;
    files::replace(&folder.pids(), &format!("{text}\n"), 0o644)
}

/// Those that live and are what the file says.
pub(crate) fn alive(folder: &Folder) -> anyhow::Result<Pids> {
    let mut pids = read(folder)?;
    pids.retain(|name, pid| process::is_member(*pid, &folder.config(name)));
    Ok(pids)
}

/// A supervisor that was killed leaves its children behind; a second set beside them would fight for their ports.
pub(super) fn ensure_none_alive(folder: &Folder) -> anyhow::Result<()> {
    let alive = alive(folder)?;
    if !alive.is_empty() {
        let names: Vec<String> = alive.iter().map(|(name, pid)| format!("{name} ({pid})")).collect();
        bail!(
            "processes of an earlier run still live: {}; `komainu down --dir {}` ends them",
            names.join(", "),
            folder.path().display()
        );
    }
    update(folder, Pids::clear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_names_and_pids_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::existing(dir.path()).unwrap();
        update(&folder, |pids| {
            pids.insert("w1".to_owned(), 123);
            pids.insert("node1".to_owned(), 456);
        })
        .unwrap();
        assert_eq!(std::fs::read_to_string(folder.pids()).unwrap(), "{\"node1\":456,\"w1\":123}\n");
    }

    #[test]
    fn a_pid_that_now_belongs_to_another_program_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::existing(dir.path()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        update(&folder, |pids| {
            pids.insert("w1".to_owned(), own);
        })
        .unwrap();
        assert_eq!(alive(&folder).unwrap(), Pids::new());
        ensure_none_alive(&folder).unwrap();
    }
}
