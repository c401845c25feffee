//! Holds the children: reaps the dead, adopts those that `up --restart` started, ends all at the end.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::folder::{Folder, Member};
use super::teller::Event;
use super::{pids, process};
use crate::clock;

/// How soon a death is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A living process of the cluster.
enum LivingProcess {
    /// Started by this supervisor, which must reap it.
    Child(Box<Child>, i32),
    /// Started by `up --restart` in another terminal.
    Adopted(i32),
}

impl LivingProcess {
    fn pid(&self) -> i32 {
        match self {
            Self::Child(_, pid) | Self::Adopted(pid) => *pid,
        }
    }
}

/// All that this supervisor holds.
pub(super) struct Keeper {
    folder: Folder,
    members: Vec<Member>,
    held: BTreeMap<String, LivingProcess>,
}

/// One that ended.
pub(super) struct Death {
    pub(super) name: String,
    pub(super) how: String,
}

impl Keeper {
    pub(super) fn start(folder: &Folder, members: &[Member]) -> anyhow::Result<Self> {
        let mut keeper = Self { folder: folder.clone(), members: members.to_vec(), held: BTreeMap::new() };
        for member in members {
            let child = process::spawn(folder, &member.name, member.kind)?;
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("a child without a pid")?;
            keeper.held.insert(member.name.clone(), LivingProcess::Child(Box::new(child), pid));
        }
        keeper.write_pids()?;
        Ok(keeper)
    }

    pub(super) fn pid(&self, name: &str) -> Option<i32> {
        self.held.get(name).map(LivingProcess::pid)
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Until told to end.
    pub(super) async fn keep(
        &mut self,
        told: mpsc::UnboundedSender<Event>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = looks.tick() => {}
            }
            for death in self.reap()? {
                // The teller lives as long as this process; without it nobody reads.
                let _ = told.send(Event::Died { name: death.name, how: death.how, at: clock::wall() });
            }
            for name in self.adopt()? {
                let _ = told.send(Event::Started { name });
            }
        }
    }

    /// Those that ended since the last look. They leave `pids.json`.
    pub(super) fn reap(&mut self) -> anyhow::Result<Vec<Death>> {
        let mut deaths = Vec::new();
        for (name, held) in &mut self.held {
            let how = match held {
                LivingProcess::Child(child, _) => child.try_wait()?.map(describe),
                LivingProcess::Adopted(pid) => {
                    (!process::is_member(*pid, &self.folder.config(name))).then(|| "gone".to_owned())
                }
            };
            deaths.extend(how.map(|how| Death { name: name.clone(), how }));
        }
        for death in &deaths {
            let pid = self.held.remove(&death.name).map(|held| held.pid());
            pids::update(&self.folder, |pids| {
                // Unless somebody started it anew in between.
                if pids.get(&death.name).copied() == pid {
                    pids.remove(&death.name);
                }
            })?;
        }
        Ok(deaths)
    }

    /// Those that somebody else started.
    fn adopt(&mut self) -> anyhow::Result<Vec<String>> {
        let mut adopted = Vec::new();
        for (name, pid) in pids::read(&self.folder)? {
            let is_known = self.members.iter().any(|member| member.name == name);
            if is_known && !self.held.contains_key(&name) && process::is_member(pid, &self.folder.config(&name)) {
                self.held.insert(name.clone(), LivingProcess::Adopted(pid));
                adopted.push(name);
            }
        }
        Ok(adopted)
    }

    fn write_pids(&self) -> anyhow::Result<()> {
        let now = self.held.iter().map(|(name, held)| (name.clone(), held.pid())).collect();
        pids::update(&self.folder, |pids| *pids = now)
    }

    /// Asks all to end, and insists after a while.
    pub(super) async fn end_all(&mut self) -> anyhow::Result<()> {
        process::end_members(&self.folder).await?;
        for held in self.held.values_mut() {
            if let LivingProcess::Child(child, _) = held {
                child.wait().await?;
            }
        }
        self.held.clear();
        Ok(())
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "killed (signal 9)".to_owned(),
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(0)) => "stopped".to_owned(),
        (None, code) => format!("exit code {}, see its log", code.unwrap_or(-1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_says_how() {
        assert_eq!(describe(ExitStatus::from_raw(9)), "killed (signal 9)");
        assert_eq!(describe(ExitStatus::from_raw(15)), "ended by signal 15");
        assert_eq!(describe(ExitStatus::from_raw(0)), "stopped");
        assert_eq!(describe(ExitStatus::from_raw(256)), "exit code 1, see its log");
    }
}
