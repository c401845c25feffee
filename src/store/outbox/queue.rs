//! What waits in the outbox, and moving it between waiting, held and cancelled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::queue::{Holder, LARGEST_MESSAGE, LONGEST_REST, Parent, Plan, Queued, Slot};
use komainu_watchdogs::time::Wall;

use super::explaining;
use crate::store::decisions::id_list;
use crate::store::downtimes::monitor_of;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Purpose, Session, Sql};
use crate::store::silences;
use crate::store::value::{Row, values};

/// As much of what may be sent as is looked at together: what is due first, twice as much as one message may hold.
const MOST_READY: usize = 2 * LARGEST_MESSAGE;

/// Deliveries held, released or cancelled in one transaction: a busy database does it within a statement's limit.
const TOGETHER: usize = 500;

/// As much of what is held.
const MOST_HELD: usize = 5_000;

/// How much waits for one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backlog {
    /// The channel's name.
    pub channel: String,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that are held.
    pub held: u64,
    /// Deliveries that this channel refused for good.
    pub failed: u64,
    /// When the first of the waiting ones is or was due.
    pub oldest_due_at: Option<Wall>,
    /// By the database's clock.
    pub now: Wall,
}

/// Channels of which something is to be sent, or to be looked at again; `with_held`: what is held, too.
///
/// Asked each second by every watchdog, so it counts nothing: on `MariaDB` one jump through the index for each channel,
/// however much waits.
pub async fn pressing(store: &Store, with_held: bool) -> Result<BTreeSet<String>, StoreError> {
    let act = "look which channels have something to send";
    let sql = format!(
        "SELECT channel, state, MIN(due_at) AS oldest, {} AS now FROM komainu_delivery \
         WHERE state IN ('waiting', 'held') GROUP BY state, channel",
        store.dialect().now_ms()
    );
    let mut channels = BTreeSet::new();
    for row in store.lease(act).await?.rows(act, sql, vec![]).await? {
        let is_held = row.text("state")? == "held";
        let is_pressing = if is_held { with_held } else { row.wall("oldest")? <= row.wall("now")? };
        if is_pressing {
            channels.insert(row.text("channel")?);
        }
    }
    Ok(channels)
}

/// What waits, channel by channel; read from an index alone.
pub async fn backlog(store: &Store) -> Result<Vec<Backlog>, StoreError> {
    let act = "read the outbox";
    let sql = format!(
        "SELECT channel, state, COUNT(*) AS how_many, MIN(due_at) AS oldest, {} AS now FROM komainu_delivery \
         WHERE state IN ('waiting', 'held', 'failed') GROUP BY channel, state",
        store.dialect().now_ms()
    );
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    let mut backlogs: BTreeMap<String, Backlog> = BTreeMap::new();
    for row in rows {
        let channel = row.text("channel")?;
        let fresh = Backlog {
            channel: channel.clone(),
            waiting: 0,
            held: 0,
            failed: 0,
            oldest_due_at: None,
            now: row.wall("now")?,
        };
        let backlog = backlogs.entry(channel).or_insert(fresh);
        match row.text("state")?.as_str() {
            "waiting" => {
                backlog.waiting = row.count("how_many")?;
                backlog.oldest_due_at = row.maybe_wall("oldest")?;
            }
            "held" => backlog.held = row.count("how_many")?,
            _ => backlog.failed = row.count("how_many")?,
        }
    }
    Ok(backlogs.into_values().collect())
}

/// One channel's slot; one row, whatever waits. Of a channel that nobody has entered: free.
pub async fn slot(store: &Store, channel: &str) -> Result<Slot, StoreError> {
    let act = "read a channel's slot";
    let sql =
        format!("SELECT next_at, paused_at, {} AS now FROM komainu_channel WHERE name = ?", store.dialect().now_ms());
    let row = store.lease(act).await?.row(act, sql, values![channel]).await?;
    let Some(row) = row else {
        return Ok(Slot { now: Wall::default(), next_at: Wall::default(), begun_at: Wall(i64::MAX) });
    };
    Ok(Slot { now: row.wall("now")?, next_at: row.wall("next_at")?, begun_at: row.wall("paused_at")? })
}

/// Takes the turn at a channel that takes messages, unless another courier took it since this was read: those of all
/// watchdogs are woken at once, and would wait for each other's locks on what they claim.
pub async fn take_turn(store: &Store, channel: &str, seen: Slot) -> Result<bool, StoreError> {
    let act = "take the turn at a channel";
    let now = store.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_channel SET paused_at = {now} WHERE name = ? AND paused_at = ? AND next_at = ? AND next_at <= {now}"
    );
    let taken = store.lease(act).await?.execute(act, sql, values![channel, seen.begun_at, seen.next_at]).await?;
    Ok(taken > 0)
}

/// One channel's queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// By the database's clock.
    pub now: Wall,
    /// In the order of entering.
    pub queue: Vec<Queued>,
    /// Incidents that explain others, and that this channel knows of.
    pub parents: Vec<Parent>,
    /// Nobody may send before that.
    pub next_at: Wall,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Messages of one incident that the channel refused in a row, taking nothing between them.
    pub refused_alone: u32,
}

/// Reads one channel's queue, all of it at the same instant.
pub async fn snapshot(store: &Store, channel: &str) -> Result<Snapshot, StoreError> {
    let act = "read a channel's queue";
    let mut lease = store.lease(act).await?;
    lease.begin(act, Purpose::Snapshot).await?;
    let read = read(&mut lease, channel).await;
    lease.end(act, read).await
}

async fn read(session: &mut Session, channel: &str) -> Result<Snapshot, StoreError> {
    let act = "read a channel's queue";
    let sql = format!(
        "SELECT {} AS now, EXISTS (SELECT 1 FROM komainu_dependency) AS has_dependencies",
        session.dialect().now_ms()
    );
    let first = session.row(act, sql, vec![]).await?;
    let now = first.as_ref().map_or(Ok(Wall::default()), |row| row.wall("now"))?;
    let has_dependencies = first.as_ref().map_or(Ok(false), |row| row.flag("has_dependencies"))?;
    let silences = silences::in_force(session, now).await?;
    let in_force: Vec<i64> = silences.iter().map(|silence| silence.id).collect();
    let mut queue = queue(session, channel, (now, &in_force)).await?;
    let parents = explaining::parents(session, channel, (now, &mut queue), has_dependencies).await?;
    if !silences.is_empty() || parents.iter().any(|parent| parent.key.starts_with("node/")) {
        fill_in_nodes(session, &mut queue).await?;
    }
    if !silences.is_empty() && !queue.is_empty() {
        let subjects = silences::subjects(session, &queue).await?;
        silences::mark(&mut queue, channel, (&silences, &subjects));
    }
    let sql = "SELECT next_at, failures, refused_alone, last_sent_at FROM komainu_channel WHERE name = ?";
    let row = session.row(act, sql, values![channel]).await?;
    let fresh = Snapshot { now, queue, parents, next_at: Wall::default(), failures: 0, refused_alone: 0 };
    let Some(row) = row else { return Ok(fresh) };
    let (next_at, failures, refused_alone) =
        (row.wall("next_at")?, row.small("failures")?, row.small("refused_alone")?);
    let (last_sent_at, mut queue) = (row.maybe_wall("last_sent_at")?, fresh.queue);
    for row in &mut queue {
        row.is_suspect = row.failed_at.is_some_and(|failed_at| Some(failed_at) < last_sent_at);
    }
    Ok(Snapshot { queue, next_at, failures, refused_alone, ..fresh })
}

/// What is due first of what may be sent now, with what belongs to it, and of what is held by anything but these silences, which are in
/// force; in the order of entering.
async fn queue(
    session: &mut Session,
    channel: &str,
    (now, in_force): (Wall, &[i64]),
) -> Result<Vec<Queued>, StoreError> {
    let mut queue = BTreeMap::new();
    // By its due time, each state by itself: thousands that are held, claimed, at rest or not due yet hide nothing.
    let rest = i64::try_from(LONGEST_REST.as_millis()).unwrap_or(i64::MAX);
    let is_ready = format!(
        "d.state = 'waiting' AND (d.claimed_until IS NULL OR d.claimed_until <= {now}) \
         AND (d.retry_at IS NULL OR d.retry_at <= {now} OR d.retry_at > {})",
        now.0.saturating_add(rest),
        now = now.0
    );
    let first = |most: usize| format!("ORDER BY d.due_at, d.id LIMIT {most}");
    rows(session, channel, (&is_ready, DUE, &first(MOST_READY)), &mut queue).await?;
    if !queue.is_empty() {
        // Whatever else of these incidents waits: one after the other, and only the last is still true.
        let incidents: Vec<i64> = queue.values().map(|row| row.incident).collect();
        let known: Vec<i64> = queue.keys().copied().collect();
        let is_kin = format!(
            "d.state = 'waiting' AND d.incident_id IN ({}) AND d.id NOT IN ({})",
            id_list(&incidents),
            id_list(&known)
        );
        rows(session, channel, (&is_kin, "komainu_delivery_incident", ""), &mut queue).await?;
    }
    let begun: BTreeSet<_> = queue.values().filter_map(|row| row.begun.clone()).collect();
    if !begun.is_empty() {
        // A message that may have arrived is repeated as it was.
        let notices = begun.iter().map(|notice| format!("'{}'", notice.replace('\'', "''"))).collect::<Vec<_>>();
        let is_of_it = format!("d.state = 'waiting' AND d.notice_id IN ({})", notices.join(", "));
        rows(session, channel, (&is_of_it, "komainu_delivery_notice", ""), &mut queue).await?;
    }
    for by_whom in ["d.silenced_by IS NULL".to_owned(), is_left_by_silences(in_force)] {
        let is_held = format!("d.state = 'held' AND {by_whom}");
        rows(session, channel, (&is_held, "komainu_delivery_silenced", &first(MOST_HELD)), &mut queue).await?;
    }
    Ok(queue.into_values().collect())
}

/// Held by a silence, and by none of these.
fn is_left_by_silences(in_force: &[i64]) -> String {
    let others =
        if in_force.is_empty() { "1 = 1".to_owned() } else { format!("d.silenced_by NOT IN ({})", id_list(in_force)) };
    format!("d.silenced_by IS NOT NULL AND {others}")
}

/// By channel and state, what is due first.
const DUE: &str = "komainu_delivery_due";

/// Adds the deliveries of a channel to which this applies, found by this index: tens of thousands may wait.
async fn rows(
    session: &mut Session,
    channel: &str,
    (which, index, order): (&str, &str, &str),
    queue: &mut BTreeMap<i64, Queued>,
) -> Result<(), StoreError> {
    // Deliveries first: by their index, all of a channel would be read again for each incident.
    let (index, straight) = (session.dialect().by_index(index), session.dialect().straight());
    let sql = format!(
        "SELECT d.id, d.incident_id, d.state, d.due_at, d.group_wait_ms, d.claimed_until, d.sending_at, \
         d.notice_id, d.attempts, d.last_error, d.created_at, d.retry_at, d.failed_at, d.unanswered, d.company, \
         d.told_to IS NOT NULL AS has_readers, d.held_by, d.silenced_by, e.kind, i.k, i.resolved_at FROM komainu_delivery d{index} \
         {straight} komainu_event e ON e.id = d.event_id {straight} komainu_incident i \
         ON i.id = d.incident_id WHERE d.channel = ? AND {which} {order}"
    );
    for row in session.rows("read a channel's queue", Sql::Once(sql), values![channel]).await? {
        let row = queued(&row)?;
        queue.insert(row.delivery, row);
    }
    Ok(())
}

fn queued(row: &Row) -> Result<Queued, StoreError> {
    let is_begun = row.maybe_wall("sending_at")?.is_some();
    Ok(Queued {
        delivery: row.int("id")?,
        incident: row.int("incident_id")?,
        key: row.text("k")?,
        node: None,
        causes: vec![],
        entered_at: row.wall("created_at")?,
        is_open: row.maybe_wall("resolved_at")?.is_none(),
        event: Event::parse(&row.text("kind")?).unwrap_or(Event::Opened),
        is_held: row.text("state")? == "held",
        held_by: holder(row)?,
        silenced_by: None,
        due_at: row.wall("due_at")?,
        group_wait: Duration::from_millis(row.count("group_wait_ms")?),
        claimed_until: row.maybe_wall("claimed_until")?,
        begun: row.maybe_text("notice_id")?.filter(|_| is_begun),
        attempts: row.small("attempts")?,
        last_error: row.maybe_text("last_error")?,
        retry_at: row.maybe_wall("retry_at")?,
        failed_at: row.maybe_wall("failed_at")?,
        is_suspect: false,
        unanswered: row.small("unanswered")?,
        company: row.maybe_int("company")?.and_then(|company| usize::try_from(company).ok()),
        has_readers: row.flag("has_readers")?,
    })
}

fn holder(row: &Row) -> Result<Option<Holder>, StoreError> {
    let silence = row.maybe_int("silenced_by")?.map(Holder::Silence);
    Ok(silence.or(row.maybe_int("held_by")?.map(Holder::Incident)))
}

/// Who runs the monitors now: whoever did when the incident opened explains nothing any more. Asked only where a node is
/// in trouble.
async fn fill_in_nodes(session: &mut Session, queue: &mut [Queued]) -> Result<(), StoreError> {
    let monitors: Vec<i64> = queue.iter().filter_map(|row| monitor_of(&row.key)).map(|monitor| monitor.0).collect();
    if monitors.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT monitor_id, effective_node FROM komainu_assignment WHERE monitor_id IN ({})",
        id_list(&monitors)
    );
    let mut nodes: BTreeMap<i64, Option<NodeId>> = BTreeMap::new();
    for row in session.rows("read who runs monitors", Sql::Once(sql), vec![]).await? {
        nodes.insert(row.int("monitor_id")?, row.maybe_node("effective_node")?);
    }
    for row in queue {
        row.node = monitor_of(&row.key).and_then(|monitor| nodes.get(&monitor.0).cloned()).flatten();
    }
    Ok(())
}

/// Holds, releases and cancels; whatever somebody claimed meanwhile is left as it is, and so is what another courier is
/// changing at this moment: all of them read the same queue, and come to the same conclusions.
pub async fn change(store: &Store, plan: &Plan) -> Result<(), StoreError> {
    let act = "hold and release deliveries";
    let none = Plan::default;
    let held = plan.hold.chunks(TOGETHER).map(|part| Plan { hold: part.to_vec(), ..none() });
    let released = plan.release.chunks(TOGETHER).map(|part| Plan { release: part.to_vec(), ..none() });
    let cancelled = plan.cancel.chunks(TOGETHER).map(|part| Plan { cancel: part.to_vec(), ..none() });
    for part in held.chain(released).chain(cancelled) {
        in_transaction!(store, act, |session| change_on(session, &part).await)?;
    }
    Ok(())
}

/// That of a plan which nobody else is at.
async fn lock(session: &mut Session, plan: &Plan) -> Result<Plan, StoreError> {
    let held = plan.hold.iter().map(|(delivery, _)| delivery);
    let all: Vec<i64> = held.chain(&plan.release).chain(&plan.cancel).copied().collect();
    let sql = format!(
        "SELECT id FROM komainu_delivery{} WHERE id IN ({}) AND state IN ('waiting', 'held') ORDER BY id{}",
        session.dialect().by_primary(),
        id_list(&all),
        session.dialect().for_update_skipping()
    );
    let rows = session.rows("lock deliveries", Sql::Once(sql), vec![]).await?;
    let mine = rows.iter().map(|row| row.int("id")).collect::<Result<BTreeSet<_>, _>>()?;
    let is_mine = |delivery: &&i64| mine.contains(delivery);
    Ok(Plan {
        hold: plan.hold.iter().filter(|(delivery, _)| mine.contains(delivery)).copied().collect(),
        release: plan.release.iter().filter(is_mine).copied().collect(),
        cancel: plan.cancel.iter().filter(is_mine).copied().collect(),
        message: None,
    })
}

async fn change_on(session: &mut Session, plan: &Plan) -> Result<(), StoreError> {
    let act = "hold and release deliveries";
    let plan = lock(session, plan).await?;
    let (primary, now) = (session.dialect().by_primary(), session.dialect().now_ms());
    let is_free = format!("sending_at IS NULL AND (claimed_until IS NULL OR claimed_until <= {now})");
    let mut children: BTreeMap<Holder, Vec<i64>> = BTreeMap::new();
    for (delivery, holder) in plan.hold {
        children.entry(holder).or_default().push(delivery);
    }
    for (holder, deliveries) in children {
        let by = match holder {
            Holder::Incident(parent) => format!("held_by = {parent}, silenced_by = NULL"),
            Holder::Silence(silence) => format!("held_by = NULL, silenced_by = {silence}"),
        };
        let sql = format!(
            "UPDATE komainu_delivery{primary} SET state = 'held', {by} WHERE id IN ({}) \
             AND state IN ('waiting', 'held') AND {is_free}",
            id_list(&deliveries)
        );
        session.execute(act, Sql::Once(sql), vec![]).await?;
    }
    if !plan.release.is_empty() {
        // What was held is not late: it is collected anew.
        let sql = format!(
            "UPDATE komainu_delivery{primary} SET state = 'waiting', held_by = NULL, silenced_by = NULL, due_at = {now} + group_wait_ms \
             WHERE id IN ({}) AND state = 'held'",
            id_list(&plan.release)
        );
        session.execute(act, Sql::Once(sql), vec![]).await?;
    }
    if !plan.cancel.is_empty() {
        let sql = format!(
            "UPDATE komainu_delivery{primary} SET state = 'cancelled' WHERE id IN ({}) \
             AND state IN ('waiting', 'held') AND {is_free}",
            id_list(&plan.cancel)
        );
        session.execute(act, Sql::Once(sql), vec![]).await?;
    }
    Ok(())
}
