//! Ladders that open incidents climb: where each stands, and entering the steps that are due.
//!
//! When a step falls due is [`komainu_watchdogs::ladder`]'s to say, whom it reaches [`crate::oncall`]'s. A climb is known by its incident,
//! the opening that it began with and its ladder; whoever enters a step locks the incident, and then finds the climb as it was read, or leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::ladder::{Climb, Ending, Facts, Need};
use komainu_watchdogs::outbox::{self, Entered, Event, Standing};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::entry::{self, Happening};
use super::reminders::subjects;
use crate::oncall::OnCall;
use crate::silence::{Silence, holder};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::silences;
use crate::store::value::{Row, values};

const ACT: &str = "climb ladders";

/// Climbs looked at, or begun, together: some ten milliseconds of locks.
const TOGETHER: usize = 250;

/// Looks in a row; what is left then is due by half a second more.
const MOST_LOOKS: usize = 40;

/// What was not looked at for so long was not told because nobody ran.
const LATE: Duration = Duration::from_secs(30);

/// A climb: of this incident, since this opening, on this ladder.
type Name = (i64, Wall, String);

/// An incident that climbs nothing yet.
struct Fresh {
    incident: i64,
    /// What cannot be read climbs nothing.
    subject: Option<Subject>,
    opened_at: Wall,
    now: Wall,
}

/// Begins the climbs that are to be, and enters the steps that are due; says how many.
pub async fn climb(store: &Store, routing: &Routing, on_call: &OnCall) -> Result<usize, StoreError> {
    for _ in 0..MOST_LOOKS {
        // Whoever opens thousands at once waits for none of them.
        if begin(store, routing, on_call).await? < TOGETHER {
            break;
        }
    }
    let mut steps = 0;
    for _ in 0..MOST_LOOKS {
        let due = due(store).await?;
        if due.is_empty() {
            break;
        }
        let is_all = due.len() < TOGETHER;
        let (entered, left) = in_transaction!(store, ACT, |session| climb_on(session, &due, on_call).await)?;
        steps += entered;
        if is_all && left == 0 {
            break;
        }
    }
    Ok(steps)
}

/// What opened, or opened again, or is critical by now, and climbs nothing yet; says how many were looked at.
async fn begin(store: &Store, routing: &Routing, on_call: &OnCall) -> Result<usize, StoreError> {
    let dialect = store.dialect();
    let sql = format!(
        "SELECT i.id, i.subject_json, i.opened_at, {} AS now FROM komainu_incident i{} WHERE i.resolved_at IS NULL AND i.severity = ? \
         AND NOT EXISTS (SELECT 1 FROM komainu_climb c WHERE c.incident_id = i.id AND c.opened_at = i.opened_at) \
         ORDER BY i.id LIMIT {TOGETHER}",
        dialect.now_ms(),
        dialect.by_index("komainu_incident_resolved")
    );
    let rows = store.lease(ACT).await?.rows(ACT, sql, values![Severity::Critical.as_str()]).await?;
    let mut fresh = rows.iter().map(fresh).collect::<Result<Vec<_>, _>>()?;
    if fresh.is_empty() {
        return Ok(0);
    }
    subjects::renew(store, fresh.iter_mut().filter_map(|fresh| fresh.subject.as_mut()).collect()).await?;
    let (mut values, mut count) = (vec![], 0);
    for Fresh { incident, subject, opened_at, now } in &fresh {
        // From when it opened; but what nobody looked at for long gives people their time.
        let from = if *opened_at > *now || now.since(*opened_at) > LATE { *now } else { *opened_at };
        let climbed = |subject| on_call.climbed_by(routing, subject, from);
        let ladders = subject.as_ref().map(climbed).unwrap_or_default();
        let climbs = ladders.into_iter().filter_map(|name| Some((name, on_call.ladders.get(name)?.times.begin(from)?)));
        let mut rows: Vec<_> = climbs.map(|(name, climb)| (name, Some(climb.due_at))).collect();
        // One that climbs nothing is not looked at again.
        if rows.is_empty() {
            rows.push(("", None));
        }
        for (name, due_at) in rows {
            values.extend(values![*incident, *opened_at, name, due_at]);
            count += 1;
        }
    }
    // Whoever was faster wrote the same, and may have climbed since.
    let sql = format!(
        "{} INTO komainu_climb (incident_id, opened_at, ladder, round, step, due_at) VALUES {}",
        dialect.insert_ignore(),
        vec!["(?, ?, ?, 0, 0, ?)"; count].join(", ")
    );
    store.lease(ACT).await?.execute(ACT, Sql::Once(sql), values).await?;
    Ok(fresh.len())
}

fn fresh(row: &Row) -> Result<Fresh, StoreError> {
    let subject = row.maybe_text("subject_json")?.and_then(|text| serde_json::from_str::<Subject>(&text).ok());
    Ok(Fresh {
        incident: row.int("id")?,
        subject: subject.map(|subject| Subject { severity: Severity::Critical, ..subject }),
        opened_at: row.wall("opened_at")?,
        now: row.wall("now")?,
    })
}

const COLUMNS: &str = "incident_id, opened_at, ladder, round, step, due_at";

async fn due(store: &Store) -> Result<BTreeMap<Name, Climb>, StoreError> {
    let now = store.dialect().now_ms();
    let sql = format!("SELECT {COLUMNS} FROM komainu_climb WHERE due_at <= {now} ORDER BY due_at LIMIT {TOGETHER}");
    store.lease(ACT).await?.rows(ACT, sql, vec![]).await?.iter().map(climb_of).collect()
}

fn climb_of(row: &Row) -> Result<(Name, Climb), StoreError> {
    let climb = Climb { round: row.small("round")?, step: row.small("step")?, due_at: row.wall("due_at")? };
    Ok(((row.int("incident_id")?, row.wall("opened_at")?, row.text("ladder")?), climb))
}

/// An incident, locked.
struct Incident {
    is_open: bool,
    opened_at: Wall,
    acknowledged_at: Option<Wall>,
    subject: Subject,
    happening: Happening,
}

/// Says how many steps were entered, and how many climbs are left for the next look: one incident climbs one ladder at a time.
async fn climb_on(
    session: &mut Session,
    seen: &BTreeMap<Name, Climb>,
    on_call: &OnCall,
) -> Result<(usize, usize), StoreError> {
    let ids: BTreeSet<i64> = seen.keys().map(|(incident, ..)| *incident).collect();
    let ids = Vec::from_iter(ids);
    let incidents = locked(session, &ids).await?;
    let sql = format!("SELECT {COLUMNS} FROM komainu_climb WHERE incident_id IN ({})", id_list(&ids));
    let rows = session.rows(ACT, Sql::Once(sql), vec![]).await?;
    let stands = rows.iter().map(climb_of).collect::<Result<BTreeMap<_, _>, _>>()?;
    let now = silences::now_on(session).await?;
    let in_force = silences::in_force(session, now).await?;
    let entered = entry::of_incidents(session, &ids).await?;
    let mut work = Work::default();
    for (name, climb) in seen.iter().filter(|(name, climb)| stands.get(*name) == Some(climb)) {
        let entered = entered.get(&name.0).map(Vec::as_slice).unwrap_or_default();
        let found = incidents.get(&name.0).filter(|incident| incident.opened_at == name.1);
        work.judge((name, *climb), found, (entered, &in_force), (on_call, now));
    }
    let steps = work.told.len();
    work.write(session).await?;
    Ok((steps, work.left))
}

async fn locked(session: &mut Session, ids: &[i64]) -> Result<BTreeMap<i64, Incident>, StoreError> {
    let sql = format!(
        "SELECT id, k, severity, summary, votes_bad, votes_of, opened_at, resolved_at, acknowledged_at, subject_json \
         FROM komainu_incident{} WHERE id IN ({}) ORDER BY id{}",
        session.dialect().by_primary(),
        id_list(ids),
        session.dialect().for_update()
    );
    let rows = session.rows(ACT, Sql::Once(sql), vec![]).await?;
    let read = |row: &Row| {
        let id = row.int("id")?;
        let incident = Incident {
            is_open: row.maybe_wall("resolved_at")?.is_none(),
            opened_at: row.wall("opened_at")?,
            acknowledged_at: row.maybe_wall("acknowledged_at")?,
            subject: silences::subject_of(row)?,
            happening: Happening {
                incident_id: id,
                event: Event::Opened,
                severity: row.text("severity")?,
                summary: row.text("summary")?,
                votes: (row.small("votes_bad")?, row.small("votes_of")?),
            },
        };
        Ok((id, incident))
    };
    rows.iter().map(read).collect()
}

type Told = (Happening, BTreeMap<String, Duration>);

/// What a look came to.
#[derive(Default)]
struct Work {
    /// Where each climb stands from now on; `None`: it stands still for good.
    next: Vec<(Name, Climb, bool)>,
    /// They go.
    over: Vec<Name>,
    /// Of incidents that are told to somebody now, once.
    told: BTreeMap<i64, Vec<Told>>,
    left: usize,
}

impl Work {
    fn judge(
        &mut self,
        (name, climb): (&Name, Climb),
        incident: Option<&Incident>,
        (entered, in_force): (&[Entered], &[Silence]),
        (on_call, now): (&OnCall, Wall),
    ) {
        // It is over, or opened again since; or nobody configures the ladder any more.
        let (Some(incident), Some(ladder)) = (incident, on_call.ladders.get(&name.2)) else {
            self.over.push(name.clone());
            return;
        };
        let reached = on_call.reached(&name.2, climb.step, now);
        let labels = |channel| silences::labels(&incident.subject, None, channel);
        let loud: BTreeSet<String> =
            reached.iter().filter(|channel| holder(in_force, &labels(channel)).is_none()).cloned().collect();
        let facts = Facts {
            is_open: incident.is_open,
            severity: incident.subject.severity,
            acknowledged_at: incident.acknowledged_at,
            is_held: is_held(entered) || (loud.is_empty() && !reached.is_empty()),
        };
        match ladder.times.need(climb, facts, now) {
            Need::Tell { .. } if self.told.contains_key(&name.0) => self.left += 1,
            Need::Tell { step, next } => {
                self.told.insert(name.0, told(incident, (entered, loud), (&name.2, climb.round, step)));
                self.next.push((name.clone(), next.unwrap_or(climb), next.is_some()));
            }
            Need::Wait(until, _) => self.next.push((name.clone(), Climb { due_at: until, ..climb }, true)),
            Need::End(Ending::Resolved | Ending::NotUrgent) => self.over.push(name.clone()),
            Need::End(Ending::Acknowledged | Ending::NoSuchStep) => self.next.push((name.clone(), climb, false)),
        }
    }

    async fn write(&self, session: &mut Session) -> Result<(), StoreError> {
        if !self.next.is_empty() {
            let sql = format!(
                "INSERT INTO komainu_climb ({COLUMNS}) VALUES {}{}",
                vec!["(?, ?, ?, ?, ?, ?)"; self.next.len()].join(", "),
                session.dialect().or_update("incident_id, opened_at, ladder", &["round", "step", "due_at"])
            );
            let values = self.next.iter().flat_map(|((incident, opened_at, ladder), climb, goes_on)| {
                values![*incident, *opened_at, ladder, climb.round, climb.step, goes_on.then_some(climb.due_at)]
            });
            session.execute(ACT, Sql::Once(sql), values.collect()).await?;
        }
        for (incident, opened_at, ladder) in &self.over {
            let sql = "DELETE FROM komainu_climb WHERE incident_id = ? AND opened_at = ? AND ladder = ?";
            session.execute(ACT, sql, values![*incident, *opened_at, ladder]).await?;
        }
        // One event of an incident at a time.
        for place in 0..2 {
            let part: Vec<Told> = self.told.values().filter_map(|told| told.get(place)).cloned().collect();
            entry::enter_many(session, &part).await?;
        }
        Ok(())
    }
}

/// Nobody was told of it: something explains it, or somebody silenced it.
fn is_held(entered: &[Entered]) -> bool {
    let is_held = |row: &&Entered| row.standing == Standing::Held;
    let mut heard = entered.iter().filter(|row| row.event != Event::Resolved);
    let is_told =
        heard.any(|row| matches!(row.standing, Standing::Untold | Standing::Begun | Standing::Told | Standing::Unsure));
    entered.iter().any(|row| is_held(&row)) && !is_told
}

/// What the step tells: that it is open, to those who have not heard so, and that it is open still. Whoever is about to be told anyway
/// is told once.
fn told(
    incident: &Incident,
    (entered, reached): (&[Entered], BTreeSet<String>),
    (ladder, round, step): (&str, u32, u32),
) -> Vec<Told> {
    let knowing = outbox::worsening(entered).believers;
    let waits = |channel: &String| {
        // That somebody took care of it is no step.
        let is_step =
            |row: &&Entered| row.channel == *channel && !matches!(row.event, Event::Acknowledged | Event::Resolved);
        entered.iter().filter(is_step).any(|row| row.standing == Standing::Untold)
    };
    let reached = reached.into_iter().filter(|channel| !waits(channel));
    let (again, new): (BTreeSet<String>, BTreeSet<String>) = reached.partition(|channel| knowing.contains(channel));
    let times = if round == 0 { String::new() } else { format!(", time {}", round.saturating_add(1)) };
    let words = format!(
        "{} (nobody has acknowledged it: {ladder}, step {}{times})",
        incident.happening.summary,
        step.saturating_add(1)
    );
    let of = |event: Event, channels: BTreeSet<String>| {
        let waits: BTreeMap<_, _> = channels.into_iter().map(|channel| (channel, Duration::ZERO)).collect();
        let happening = Happening { event, summary: words.clone(), ..incident.happening.clone() };
        (!waits.is_empty()).then_some((happening, waits))
    };
    [of(Event::Opened, new), of(Event::Reminder, again)].into_iter().flatten().collect()
}
