//! Who runs what, counted, at the cost of what changed.
//!
//! Remembers the counts of ranges of monitors, each of about a thousand, and counts a range again when an assignment in
//! it bears a later generation than was seen, when it is the last one (there new monitors appear: a leader counts it each
//! time, others when the newest monitor is another), and in turn: Kuma's table has no mark of a change, and edits in its
//! UI show when their range's turn comes. All ranges have had theirs after twenty rounds of a leader ([`LEADERS_TURN`]); other
//! watchdogs count one each [`FOLLOWERS_PAUSE`] rounds; of up to [`FEW`] ranges each round counts all. A leader counts all that
//! changed at once; the others, who only show it, [`AT_ONCE`] ranges a round, first those in which monitors were nobody's: a
//! failover of tens of thousands is no time to have seven watchdogs count everything. A database that lost its tail is
//! counted from the start.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::facts::ShardGroup;
use komainu_watchdogs::ids::{MonitorId, Stamp, WatchdogId};

use super::{AFFINITY_WITHIN, TAG, group};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::only_kuma;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, values};
use crate::store::watch::stamp;

const ACT: &str = "count the assignments";

/// Monitors of one range, when it is made.
const RANGE: i64 = 1_000;
/// Rounds in which a leader counts all ranges again.
const LEADERS_TURN: usize = 20;
/// Rounds of a follower for each range.
const FOLLOWERS_PAUSE: usize = 3;
/// So many ranges are all counted in each round.
const FEW: usize = 2;
/// More changes than these are counted by counting everything.
const CHANGES: usize = 2_000;
/// Ranges of one statement: each row is compared with their bounds one after another.
const AT_ONCE: usize = 20;

/// What one watchdog counted so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    stamp: Option<Stamp>,
    /// The highest key of a monitor.
    newest: i64,
    /// By rising key; the first begins at 0, the last has no end. Never empty after a read.
    ranges: Vec<Range>,
    next: usize,
    rounds: usize,
    /// Monitors that only a stock Kuma can run; mostly there are none.
    only_kuma: BTreeSet<i64>,
    /// Ranges that are to be counted still.
    stale: BTreeSet<usize>,
}

/// A range of monitors, by their keys.
#[derive(Clone, Debug, Default)]
struct Range {
    from: i64,
    groups: Vec<ShardGroup>,
    monitors: u32,
    /// Of them, those that have an assignment.
    placed: u32,
    assignments: u32,
}

impl Counts {
    /// All monitors, counted by likeness, and how many assignments are left over from monitors that are gone. `me`: a
    /// leader looks for edits more often. The caller is within a snapshot.
    pub(crate) async fn read(
        &mut self,
        session: &mut Session,
        me: &WatchdogId,
    ) -> Result<(Vec<ShardGroup>, u32), StoreError> {
        let head = Head::read(session, self.stamp).await?;
        let is_anew = !head.goes_on || self.stamp.is_none();
        if is_anew {
            self.ranges = cut(session, 0).await?;
        }
        let due = self.due(session, &head, me).await?;
        self.stale.extend(due);
        let changed = self.note_only_kuma(session, &head).await?;
        self.stale.extend(changed);
        let at_once = if is_anew || head.is_led_by(me) { usize::MAX } else { AT_ONCE };
        let due = self.first_stale(at_once);
        self.count(session, &due).await?;
        self.stale.retain(|at| !due.contains(at));
        self.stamp = Some(head.stamp);
        self.newest = head.newest;
        self.grow(session).await?;
        Ok((self.groups(), self.ranges.iter().map(Range::leftover).sum()))
    }

    async fn due(
        &mut self,
        session: &mut Session,
        head: &Head,
        me: &WatchdogId,
    ) -> Result<BTreeSet<usize>, StoreError> {
        let all = || (0..self.ranges.len()).collect();
        let Some(seen) = self.stamp.filter(|_| head.goes_on) else { return Ok(all()) };
        let leads = head.is_led_by(me);
        let mut due = BTreeSet::new();
        // Of two monitors that were made at once the lower key may show after the higher.
        if leads || self.newest != head.newest {
            due.insert(self.ranges.len().saturating_sub(1));
        }
        if seen != head.stamp {
            let changed = changed_since(session, seen).await?;
            if changed.len() > CHANGES {
                return Ok(all());
            }
            due.extend(changed.into_iter().map(|id| self.range_of(id)));
        }
        self.rounds = self.rounds.wrapping_add(1);
        let (len, begins) = (self.ranges.len(), self.next);
        let now = if len <= FEW {
            len
        } else if leads {
            len.div_ceil(LEADERS_TURN)
        } else {
            usize::from(self.rounds.is_multiple_of(FOLLOWERS_PAUSE))
        };
        due.extend((0..now).map(|step| (begins + step) % len.max(1)));
        self.next = (begins + now) % len.max(1);
        Ok(due)
    }

    /// Ranges that hold a monitor of which it is so now and was not, or was and is not any more.
    async fn note_only_kuma(&mut self, session: &mut Session, head: &Head) -> Result<Vec<usize>, StoreError> {
        let now = if head.has_only_kuma { only_kuma::read(session).await? } else { BTreeSet::new() };
        let changed = self.only_kuma.symmetric_difference(&now).map(|id| self.range_of(*id)).collect();
        self.only_kuma = now;
        Ok(changed)
    }

    /// So many of the ranges that are to be counted: what nobody ran when it was counted last comes first.
    fn first_stale(&self, how_many: usize) -> BTreeSet<usize> {
        let has_nobodys = |at: &usize| self.ranges.get(*at).is_some_and(Range::has_nobodys);
        let (first, rest): (Vec<usize>, Vec<usize>) = self.stale.iter().partition(|at| has_nobodys(at));
        first.into_iter().chain(rest).take(how_many).collect()
    }

    fn range_of(&self, id: i64) -> usize {
        self.ranges.partition_point(|range| range.from <= id).saturating_sub(1)
    }

    async fn count(&mut self, session: &mut Session, due: &BTreeSet<usize>) -> Result<(), StoreError> {
        let due: Vec<usize> = due.iter().copied().collect();
        for part in due.chunks(AT_ONCE) {
            let within: Vec<Within> = part.iter().filter_map(|at| self.within(*at)).collect();
            let mut counted: BTreeMap<usize, Range> =
                within.iter().map(|one| (one.at, Range { from: one.from, ..Range::default() })).collect();
            for row in read_counts(session, &within, &self.only_kuma).await? {
                let Some(range) = usize::try_from(row.count("part")?).ok().and_then(|at| counted.get_mut(&at)) else {
                    continue;
                };
                let monitors = row.small("monitors")?;
                if row.maybe_text("type")?.is_some() {
                    range.monitors += monitors;
                    range.placed += row.small("placed")?;
                    range.groups.push(group(&row)?);
                } else {
                    range.assignments += monitors;
                }
            }
            if counted.values().any(Range::has_nobodys) {
                note_nobodys(session, &within, &mut counted).await?;
            }
            for (at, range) in counted {
                if let Some(stands) = self.ranges.get_mut(at) {
                    *stands = range;
                }
            }
        }
        Ok(())
    }

    fn within(&self, at: usize) -> Option<Within> {
        let until = self.ranges.get(at + 1).map(|range| range.from);
        self.ranges.get(at).map(|range| Within { at, from: range.from, until })
    }

    /// New monitors make the last range long: it is cut anew.
    async fn grow(&mut self, session: &mut Session) -> Result<(), StoreError> {
        let is_long = |range: &&Range| i64::from(range.monitors) > 2 * RANGE;
        let Some(from) = self.ranges.last().filter(is_long).map(|range| range.from) else { return Ok(()) };
        self.ranges.pop();
        let begins = self.ranges.len();
        self.ranges.extend(cut(session, from).await?);
        self.count(session, &(begins..self.ranges.len()).collect()).await
    }

    fn groups(&self) -> Vec<ShardGroup> {
        let mut alike: BTreeMap<_, ShardGroup> = BTreeMap::new();
        for group in self.ranges.iter().flat_map(|range| &range.groups) {
            let place = (&group.home, &group.effective, &group.source, group.pinned, group.asked, group.only_kuma);
            alike
                .entry((place, &group.kind, &group.run_on))
                .and_modify(|all| {
                    all.active += group.active;
                    all.monitors += group.monitors;
                    all.first = all.first.into_iter().chain(group.first).min();
                    all.nobodys.extend(&group.nobodys);
                })
                .or_insert_with(|| group.clone());
        }
        alike.into_values().collect()
    }
}

impl Range {
    /// Assignments of monitors that are gone.
    fn leftover(&self) -> u32 {
        self.assignments.saturating_sub(self.placed)
    }

    fn has_nobodys(&self) -> bool {
        self.groups.iter().any(ShardGroup::is_nobodys)
    }
}

/// What the cluster says of itself.
struct Head {
    stamp: Stamp,
    leader: Option<WatchdogId>,
    newest: i64,
    /// What was counted before belongs to this database's past.
    goes_on: bool,
    /// A native node found that of some monitor.
    has_only_kuma: bool,
}

impl Head {
    fn is_led_by(&self, me: &WatchdogId) -> bool {
        self.leader.as_ref() == Some(me)
    }

    async fn read(session: &mut Session, seen: Option<Stamp>) -> Result<Self, StoreError> {
        let sql = "SELECT c.generation, c.nonce, l.watchdog_id, (SELECT COUNT(*) FROM komainu_generation g \
             WHERE g.generation = ? AND g.nonce = ?) AS known, (SELECT MAX(id) FROM monitor) AS newest, \
             EXISTS (SELECT 1 FROM komainu_only_kuma) AS has_only_kuma \
             FROM komainu_cluster c JOIN komainu_leader l ON l.id = c.id WHERE c.id = 1";
        let asked = seen.unwrap_or_default();
        let row = session.row(ACT, sql, values![asked.generation, asked.nonce]).await?;
        let row = row.ok_or(StoreError::SchemaMissing)?;
        let stamp = stamp(&row)?;
        let is_past = seen.is_some_and(|seen| seen.generation <= stamp.generation);
        let leader = row.maybe_text("watchdog_id")?.map(WatchdogId::from);
        let newest = row.maybe_int("newest")?.unwrap_or(0);
        let goes_on = is_past && (seen == Some(stamp) || row.flag("known")?);
        Ok(Self { stamp, leader, newest, goes_on, has_only_kuma: row.flag("has_only_kuma")? })
    }
}

/// Monitors whose assignment was written after this; one more than are worth looking at one by one.
async fn changed_since(session: &mut Session, seen: Stamp) -> Result<Vec<i64>, StoreError> {
    let sql = format!("SELECT monitor_id FROM komainu_assignment WHERE generation > ? LIMIT {}", CHANGES + 1);
    let rows = session.rows(ACT, sql, values![seen.generation]).await?;
    rows.iter().map(|row| row.int("monitor_id")).collect()
}

/// Ranges of [`RANGE`] monitors each, from this key on.
async fn cut(session: &mut Session, from: i64) -> Result<Vec<Range>, StoreError> {
    let sql = format!(
        "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS place FROM monitor WHERE id >= ?) x \
         WHERE place % {RANGE} = 0 ORDER BY id"
    );
    let rows = session.rows(ACT, sql, values![from]).await?;
    let bounds = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    let begins = std::iter::once(from).chain(bounds.into_iter().map(|last| last + 1));
    Ok(begins.map(|from| Range { from, ..Range::default() }).collect())
}

/// One range of a statement.
struct Within {
    at: usize,
    from: i64,
    until: Option<i64>,
}

/// The condition that a key lies in one of them, and the expression that says in which.
fn conditions(within: &[Within], id: &str) -> (String, String) {
    let one = |range: &Within| match range.until {
        Some(until) => format!("({id} >= {} AND {id} < {until})", range.from),
        None => format!("{id} >= {}", range.from),
    };
    let inside = within.iter().map(one).collect::<Vec<_>>().join(" OR ");
    let which = |range: &Within| match range.until {
        Some(until) => format!("WHEN {id} < {until} THEN {}", range.at),
        None => format!("WHEN 1 = 1 THEN {}", range.at),
    };
    let part = within.iter().map(which).collect::<Vec<_>>().join(" ");
    (format!("({inside})"), format!("CASE {part} END"))
}

/// Counts of these ranges; rows without a type count their assignments.
async fn read_counts(
    session: &mut Session,
    within: &[Within],
    only_kuma: &BTreeSet<i64>,
) -> Result<Vec<Row>, StoreError> {
    let (inside, part) = conditions(within, "m.id");
    let (all_inside, all_part) = conditions(within, "a.monitor_id");
    let has_affinity = has_affinity(session, within).await?;
    let affinity = if has_affinity {
        AFFINITY_WITHIN.replace("{inside}", &conditions(within, "p.monitor_id").0)
    } else {
        String::new()
    };
    // Texts cannot be grouped in memory: nearly half of what a count costs where nothing asks for labels.
    let (labels, by_labels) = if has_affinity {
        ("k.run_on, t.tagged", ", k.run_on, t.tagged")
    } else {
        ("NULL AS run_on, NULL AS tagged", "")
    };
    let ids: Vec<i64> = only_kuma.iter().copied().collect();
    // A bare number in GROUP BY is a column's place.
    let is_one = format!("m.id IN ({})", id_list(&ids));
    let (only_kuma, by_only_kuma) =
        if ids.is_empty() { ("0", String::new()) } else { (is_one.as_str(), format!(", {is_one}")) };
    let sql = format!(
        "SELECT {part} AS part, {only_kuma} AS only_kuma, a.node_id, a.effective_node, a.source_node, \
         a.source_incarnation, a.released_at, \
         COALESCE(a.pinned, 0) AS pinned, COALESCE(a.asked, 0) AS asked, m.type, {labels}, \
         COUNT(CASE WHEN m.active = 1 THEN 1 END) AS active, COUNT(*) AS monitors, COUNT(a.monitor_id) AS placed, \
         MIN(CASE WHEN m.active = 1 THEN m.id END) AS first \
         FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id {affinity} WHERE {inside} \
         GROUP BY {part}, a.node_id, a.effective_node, a.source_node, a.source_incarnation, a.released_at, a.pinned, \
         a.asked, m.type{by_labels}{by_only_kuma} \
         UNION ALL SELECT {all_part}, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, 0, COUNT(*), 0, NULL \
         FROM komainu_assignment a WHERE {all_inside} GROUP BY {all_part}"
    );
    let values = if has_affinity { values![TAG] } else { vec![] };
    session.rows(ACT, Sql::Once(sql), values).await
}

/// Whether any monitor in these ranges asks for labels of its node.
async fn has_affinity(session: &mut Session, within: &[Within]) -> Result<bool, StoreError> {
    let (said, tagged) = (conditions(within, "monitor_id").0, conditions(within, "p.monitor_id").0);
    let sql = format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM komainu_monitor WHERE run_on IS NOT NULL AND {said}) \
         OR EXISTS (SELECT 1 FROM tag g JOIN monitor_tag p ON p.tag_id = g.id WHERE g.name = ? AND {tagged}) \
         THEN 1 ELSE 0 END AS has_affinity"
    );
    let row = session.row(ACT, Sql::Once(sql), values![TAG]).await?;
    row.map_or(Ok(false), |row| row.flag("has_affinity"))
}

/// Active monitors that nobody runs, by name: how long one is without an owner is a question about that one.
async fn note_nobodys(
    session: &mut Session,
    within: &[Within],
    counted: &mut BTreeMap<usize, Range>,
) -> Result<(), StoreError> {
    let (inside, part) = conditions(within, "m.id");
    let sql = format!(
        "SELECT {part} AS part, m.id FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id \
         WHERE {inside} AND m.active = 1 AND COALESCE(a.effective_node, '') = '' ORDER BY m.id"
    );
    for row in session.rows(ACT, Sql::Once(sql), vec![]).await? {
        let range = usize::try_from(row.count("part")?).ok().and_then(|at| counted.get_mut(&at));
        // Which of the groups does not matter: they are told together.
        if let Some(group) = range.and_then(|range| range.groups.iter_mut().find(|group| group.is_nobodys())) {
            group.nobodys.push(MonitorId(row.int("id")?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate::{self, MigrateOptions};
    use crate::store::session::Purpose;
    use crate::store::{DatabaseUrl, Store};

    async fn on(counts: &mut Counts, store: &Store, me: &str) -> u32 {
        let mut lease = store.lease("test").await.unwrap();
        lease.begin("test", Purpose::Snapshot).await.unwrap();
        let read = counts.read(&mut lease, &me.into()).await;
        let (groups, _) = lease.end("test", read).await.unwrap();
        let moved = groups.iter().filter(|group| group.effective.as_ref().is_some_and(|node| node.as_str() == "node2"));
        moved.map(|group| group.monitors).sum()
    }

    #[tokio::test]
    async fn after_a_large_failover_the_leader_counts_everything_and_the_others_part_by_part() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("komainu.db"))).await.unwrap();
        migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
        let fill = "WITH RECURSIVE s (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM s WHERE id < 25000) \
             INSERT INTO monitor (id, name, active, type) SELECT id, 'm' || id, 1, 'http' FROM s; \
             INSERT INTO komainu_assignment (monitor_id, node_id) SELECT id, 'node1' FROM monitor; \
             UPDATE komainu_leader SET watchdog_id = 'w1'; \
             INSERT INTO komainu_generation (generation, nonce, epoch, changed_at, reason) \
             SELECT generation, nonce, 1, 0, 'test' FROM komainu_cluster WHERE generation NOT IN \
             (SELECT generation FROM komainu_generation)";
        let mut lease = store.lease("test").await.unwrap();
        lease.batch("test", fill).await.unwrap();
        let (mut leader, mut other) = (Counts::default(), Counts::default());
        assert_eq!((on(&mut leader, &store, "w1").await, on(&mut other, &store, "w2").await), (0, 0));
        let failover = "UPDATE komainu_cluster SET generation = generation + 1; \
             UPDATE komainu_assignment SET assigned_node = 'node2', \
             generation = (SELECT generation FROM komainu_cluster)";
        lease.batch("test", failover).await.unwrap();
        assert_eq!(on(&mut leader, &store, "w1").await, 25_000);
        assert_eq!(on(&mut other, &store, "w2").await, 20_000);
        assert_eq!(on(&mut other, &store, "w2").await, 25_000);
    }
}
