//! Programs that push heartbeats: each tries until it is taken, some die; and the watchdogs that notice.

use std::time::Duration;

use komainu_watchdogs::heartbeat::limits::Gap;
use komainu_watchdogs::heartbeat::{self, Need, OUTAGE_AFTER, Push, PushStatus, Record, State, Terms};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::time::Wall;

use super::judge::Variant;
use super::world::{Ms, Telling};
use crate::simulation::prng::Prng;

/// Whoever was refused tries again after so long.
const TRY_AGAIN: Ms = 1_000;

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) period: Ms,
    pub(crate) grace: Ms,
    pub(crate) is_dead: bool,
    push_at: Ms,
    record: Record,
    /// When its last push arrived, by the database's clock; gaps before it are nobody's business.
    arrived_at: Wall,
    /// The last gap that its limits know of.
    counted: i64,
    /// The judge's: for how long it has been silent while pushes were taken and people could be told.
    pub(crate) silent_for: Ms,
}

/// What the database knows of the intake of pushes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intake {
    last_proof: Option<Wall>,
    gaps: Vec<Gap>,
}

pub(crate) fn job_key(job: usize) -> String {
    format!("heartbeat/j{job}")
}

impl Job {
    pub(crate) fn draw(rng: &mut Prng) -> Self {
        Self {
            period: rng.between(20, 90) * 1_000,
            grace: rng.between(10, 30) * 1_000,
            is_dead: false,
            push_at: rng.below(60_000),
            record: Record::default(),
            arrived_at: Wall(0),
            counted: 0,
            silent_for: 0,
        }
    }

    /// Whoever was never seen is not missed.
    pub(crate) fn was_seen(&self) -> bool {
        self.record.state != State::New
    }

    fn terms(&self, at: Wall) -> Terms {
        let next_due = Some(at + Duration::from_millis(self.period));
        Terms { next_due, grace: Duration::from_millis(self.grace), max_runtime: None }
    }
}

impl Telling {
    /// A watchdog that can write proves each second that it could store a push.
    pub(crate) fn prove_intake(&mut self) {
        let now = self.wall();
        let before = self.intake.last_proof.replace(now);
        let Some(began_at) = before.filter(|before| now.since(*before) > OUTAGE_AFTER) else { return };
        let id = i64::try_from(self.intake.gaps.len()).unwrap() + 1;
        self.counts.gaps += 1;
        self.intake.gaps.push(Gap { id, began_at, ended_at: now });
    }

    /// A job that lives pushes when it is due, and again until some watchdog takes it.
    pub(crate) fn run_job(&mut self, job: usize) {
        let row = &self.jobs[job];
        if row.is_dead || self.now < row.push_at {
            return;
        }
        let takes = self.is_database_up && self.dogs.iter().any(|dog| dog.is_running(self.now));
        if !takes {
            self.counts.refused_pushes += 1;
            self.jobs[job].push_at = self.now + TRY_AGAIN;
            return;
        }
        // What was proved before the push is counted by it.
        self.prove_intake();
        let at = self.wall();
        let counted = i64::try_from(self.intake.gaps.len()).unwrap();
        let row = &mut self.jobs[job];
        // The host's clock agrees with the world's, whatever the database's does.
        let time_us = (1_800_000_000_000 + i64::try_from(self.now).unwrap()) * 1_000;
        let push = Push { time_us, status: PushStatus::Ok, run_id: None };
        if let Ok(next) = row.record.after(&push, at, row.terms(at)) {
            (row.record, row.arrived_at, row.counted, row.silent_for) = (next, at, counted, 0);
        }
        row.push_at = self.now + row.period;
        self.counts.pushes += 1;
    }

    /// What a watchdog does about one heartbeat each second.
    pub(crate) fn look_at_job(&mut self, job: usize) {
        self.count_gaps(job);
        let (now, key) = (self.wall(), job_key(job));
        let open = self.outbox.is_open(&key);
        let is_outage = heartbeat::outage_since(self.intake.last_proof, now, OUTAGE_AFTER).is_some();
        let need = self.jobs[job].record.need(now, open.is_some(), is_outage);
        match need {
            Some(Need::Recount) => {
                let record = &mut self.jobs[job].record;
                record.limits = record.limits.pulled_in(now);
            }
            Some(Need::MarkLate) => {
                self.jobs[job].record.state = State::Late;
                self.counts.late_jobs += 1;
                let found = self.invariant_no_living_job_is_late(job);
                self.judge(found);
                self.raise_job(&key);
            }
            Some(Need::OpenIncident) => self.raise_job(&key),
            Some(Need::ResolveIncident) => {
                if let Some(incident) = open {
                    self.outbox.resolve(now, incident);
                }
            }
            None => {}
        }
    }

    fn count_gaps(&mut self, job: usize) {
        if self.is_broken(Variant::GapsForgotten) {
            return;
        }
        let row = &mut self.jobs[job];
        let from = usize::try_from(row.counted).unwrap();
        row.record.limits = row.record.limits.after_gaps(&self.intake.gaps[from..], row.arrived_at);
        row.counted = i64::try_from(self.intake.gaps.len()).unwrap();
    }

    fn raise_job(&mut self, key: &str) {
        let now = self.wall();
        let alarm = Alarm { key: key.to_owned(), severity: Severity::Critical, summary: String::new(), votes: (1, 1) };
        self.counts.incidents += u64::from(self.outbox.open(now, &alarm, None));
    }

    /// A clock that was set back leaves nothing ahead; one that was set is no silence.
    pub(crate) fn put_intake_right(&mut self, now: Wall) {
        self.intake.last_proof = self.intake.last_proof.map(|at| at.min(now));
        for gap in &mut self.intake.gaps {
            (gap.began_at, gap.ended_at) = (gap.began_at.min(now), gap.ended_at.min(now));
        }
        for job in &mut self.jobs {
            job.arrived_at = job.arrived_at.min(now);
        }
    }
}
