//! What the peers see, for a watchdog that cannot look itself: its own way to the database is gone, and theirs is not.
//!
//! Owns what they said last and until when that counts. It decides nothing about nodes: whoever is blind has no vote, does
//! not lead and keeps quiet ([`crate::blackout`]). It only keeps `/status` from calling down what most others watch.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::{Report, Seen, WatchdogRow};
use crate::ids::WatchdogId;
use crate::time::Mono;
use crate::view::{Health, View};

/// The peers' last words.
#[derive(Debug, Default)]
pub(crate) struct Others {
    said: BTreeMap<WatchdogId, (Mono, Option<Seen>)>,
}

impl Others {
    /// A peer answered.
    pub(crate) fn hear(&mut self, now: Mono, report: &Report) {
        let seen = report.seen.clone().filter(|_| report.database_ok);
        self.said.insert(report.watchdog.clone(), (now, seen));
    }

    /// What this watchdog shows while it is blind: most of all registered watchdogs write, and say how it is. The worst of
    /// what they say, for none of them knows less than this one.
    pub(crate) fn lend(&self, (now, limit): (Mono, Duration), registered: &[WatchdogRow], view: &mut View) {
        let is_registered = |id: &WatchdogId| registered.iter().any(|row| !row.stopped && &row.watchdog == id);
        let heard = self.said.iter().filter(|(id, (at, _))| is_registered(id) && now.since(*at) < limit);
        let seeing: Vec<_> = heard.filter_map(|(id, (_, seen))| Some((id, seen.as_ref()?))).collect();
        let all = registered.iter().filter(|row| !row.stopped).count();
        let Some(worst) = seeing.iter().map(|(_, seen)| seen.status).max().filter(|_| 2 * seeing.len() > all) else {
            return;
        };
        let names: Vec<_> = seeing.iter().map(|(id, _)| id.as_str()).collect();
        let word = match worst {
            Health::Ok => "that all is well",
            Health::Degraded => "that it is degraded",
            Health::Down => "that it is down",
        };
        view.reasons =
            vec![format!("cut off from the database; the others ({}) reach it and say {word}", names.join(", "))];
        for reason in seeing.iter().flat_map(|(_, seen)| &seen.reasons) {
            if !view.reasons.contains(reason) {
                view.reasons.push(reason.clone());
            }
        }
        view.status = worst.max(Health::Degraded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;
    use crate::time::Wall;

    fn report(watchdog: &str, database_ok: bool, status: Health, reasons: &[&str]) -> Report {
        let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        Report {
            watchdog: watchdog.into(),
            incarnation: Incarnation(1),
            seq: 1,
            zone: "a".into(),
            isolated: false,
            database_ok,
            observations: Vec::new(),
            database_report: None,
            seen: Some(Seen { status, reasons }),
        }
    }

    fn row(watchdog: &str) -> WatchdogRow {
        WatchdogRow {
            watchdog: watchdog.into(),
            incarnation: Incarnation(1),
            seq: 1,
            zone: "a".into(),
            advertise: String::new(),
            isolated: false,
            stopped: false,
            last_seen: Wall(0),
        }
    }

    /// What `w1` shows at 10 s, of what it heard at 9 s.
    fn shown(all: &[&str], heard: &[Report]) -> (Health, Vec<String>) {
        let mut others = Others::default();
        for report in heard {
            others.hear(Mono::secs(9), report);
        }
        let mut view = View { status: Health::Down, reasons: vec!["no write".to_owned()], ..View::default() };
        let registered: Vec<_> = all.iter().map(|name| row(name)).collect();
        others.lend((Mono::secs(10), Duration::from_secs(5)), &registered, &mut view);
        (view.status, view.reasons)
    }

    #[test]
    fn whoever_is_blind_shows_what_most_others_see() {
        let all = ["w1", "w2", "w3"];
        let well = [report("w2", true, Health::Ok, &[]), report("w3", true, Health::Ok, &[])];
        let cut_off = "cut off from the database; the others (w2, w3) reach it and say that all is well";
        assert_eq!(shown(&all, &well), (Health::Degraded, vec![cut_off.to_owned()]));
        let ill = [report("w2", true, Health::Ok, &[]), report("w3", true, Health::Down, &["no node is online"])];
        let (status, reasons) = shown(&all, &ill);
        assert_eq!((status, reasons.last().map(String::as_str)), (Health::Down, Some("no node is online")));
    }

    #[test]
    fn too_few_others_or_others_that_are_blind_too_say_nothing() {
        let down = (Health::Down, vec!["no write".to_owned()]);
        assert_eq!(shown(&["w1", "w2", "w3"], &[report("w2", true, Health::Ok, &[])]), down);
        assert_eq!(shown(&["w1", "w2"], &[report("w2", true, Health::Ok, &[])]), down, "one of two is no majority");
        let blind = [report("w2", true, Health::Ok, &[]), report("w3", false, Health::Ok, &[])];
        assert_eq!(shown(&["w1", "w2", "w3"], &blind), down);
        assert_eq!(shown(&[], &blind), down, "it has never seen who is registered");
    }

    #[test]
    fn what_was_heard_long_ago_says_nothing() {
        let mut others = Others::default();
        for name in ["w2", "w3"] {
            others.hear(Mono::secs(4), &report(name, true, Health::Ok, &[]));
        }
        let mut view = View { status: Health::Down, ..View::default() };
        let registered = ["w1", "w2", "w3"].map(row);
        others.lend((Mono::secs(10), Duration::from_secs(5)), &registered, &mut view);
        assert_eq!(view.status, Health::Down);
    }
}
