//! Single queries that go wrong while others work: a lost index, a locked table, a full disk for temporary files.

use komainu_watchdogs::io::Errand;

use super::events::{Event, MS, Order, Request, SEC, Time, Who};
use super::network::{Fate, limit};
use super::prng::Prng;
use super::world::World;

/// What a statement is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Query {
    Round,
    Progress,
    Counts,
    Incidents,
    OwnRow,
    Raise,
    Resolve,
    Leadership,
    Decision,
    Shard,
    Registration,
    Renewal,
    Stamp,
    Assignments,
    Acknowledgement,
    Beat,
}

/// Everything.
pub(crate) const ALL: [Query; 16] = [
    Query::Round,
    Query::Progress,
    Query::Counts,
    Query::Incidents,
    Query::OwnRow,
    Query::Raise,
    Query::Resolve,
    Query::Leadership,
    Query::Decision,
    Query::Shard,
    Query::Registration,
    Query::Renewal,
    Query::Stamp,
    Query::Assignments,
    Query::Acknowledgement,
    Query::Beat,
];

/// What no lease, no leadership and no decision rests on.
pub(crate) const ASIDE: [Query; 4] = [Query::Progress, Query::Incidents, Query::Raise, Query::Resolve];

impl Query {
    fn of(order: &Order) -> Option<Self> {
        Some(match order {
            Order::ReadRound => Self::Round,
            Order::Errand(Errand::Progress, _) => Self::Progress,
            Order::Errand(Errand::Counts, _) => Self::Counts,
            Order::Errand(Errand::Incidents, _) => Self::Incidents,
            Order::Write(_) => Self::OwnRow,
            Order::Raise(_) => Self::Raise,
            Order::Resolve { .. } => Self::Resolve,
            Order::Act(_) => Self::Leadership,
            Order::Commit(_) => Self::Decision,
            Order::ReadShard => Self::Shard,
            Order::Register { .. } => Self::Registration,
            Order::Renew { .. } => Self::Renewal,
            Order::ReadStamp { .. } => Self::Stamp,
            Order::ReadAssignments { .. } => Self::Assignments,
            Order::Acknowledge(_) => Self::Acknowledgement,
            Order::ReadRow | Order::Release => return None,
        })
    }

    fn is_aside(self) -> bool {
        ASIDE.contains(&self)
    }
}

/// How it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// It is refused.
    Fails,
    /// It is never answered, and never done.
    Hangs,
    /// It is done, long after its sender gave up.
    Late,
    /// It takes most of the time that its sender waits.
    Slow,
}

/// One kind of statement goes wrong for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    query: Query,
    manner: Manner,
    /// At this end of the network only; `None`: everybody's.
    end: Option<usize>,
    until: Time,
}

impl Trouble {
    fn draw(rng: &mut Prng, queries: &[Query], ends: usize, now: Time) -> Self {
        Self {
            query: rng.pick(queries).unwrap(),
            manner: rng.pick(&[Manner::Fails, Manner::Fails, Manner::Hangs, Manner::Late, Manner::Slow]).unwrap(),
            end: rng.per_mille(400).then(|| rng.index(ends)),
            until: now + rng.between(2, 60) * SEC,
        }
    }
}

impl World {
    pub(crate) fn begin_trouble(&mut self, queries: &[Query]) {
        let ends = self.database_end();
        let trouble = Trouble::draw(&mut self.rng, queries, ends, self.now);
        self.trace(&trouble);
        self.blows.note_trouble(trouble.query, trouble.until);
        self.server.troubles.retain(|one| one.until > self.now);
        self.server.troubles.push(trouble);
    }

    fn trouble(&self, query: Query, end: usize) -> Option<Manner> {
        let is_meant =
            |one: &&Trouble| one.query == query && self.now < one.until && one.end.is_none_or(|other| other == end);
        self.server.troubles.iter().find(is_meant).map(|one| one.manner)
    }

    /// A request that reached the server is done now, or what else becomes of it.
    pub(crate) fn fate(&mut self, request: &mut Request) -> Fate {
        if request.is_troubled {
            return Fate::Done;
        }
        let end = self.end_of(request.who);
        let manner = Query::of(&request.order).and_then(|query| Some((query, self.trouble(query, end)?)));
        let Some((query, manner)) = manner else { return Fate::Done };
        request.is_troubled = true;
        self.note_trouble(query, manner);
        let left = (request.sent_at + limit(request.line)).saturating_sub(self.now);
        match manner {
            Manner::Fails => Fate::Refused,
            Manner::Hangs => Fate::Lost,
            Manner::Late => Fate::Later(left + self.rng.below(3 * SEC)),
            Manner::Slow => Fate::Later(self.rng.between(200 * MS, left.max(SEC) - 200 * MS)),
        }
    }

    fn note_trouble(&mut self, query: Query, manner: Manner) {
        self.counts.aside_troubles += u64::from(query.is_aside());
        let count = match manner {
            Manner::Fails => &mut self.counts.query_failures,
            Manner::Hangs => &mut self.counts.query_hangs,
            Manner::Late => &mut self.counts.query_latecomers,
            Manner::Slow => &mut self.counts.slow_queries,
        };
        *count += 1;
    }

    /// A node's beat reached the server; `None`: it does nothing with it.
    pub(crate) fn beat_manner(&mut self, node: usize) -> Option<Manner> {
        let manner = self.trouble(Query::Beat, self.end_of(Who::Node(node)));
        if let Some(manner) = manner {
            self.note_trouble(Query::Beat, manner);
        }
        manner
    }

    /// Each trip to the database takes long, for all.
    pub(crate) fn move_database_away(&mut self) {
        self.counts.far_databases += 1;
        self.server.far = (self.rng.between(20 * MS, 500 * MS), self.now + self.rng.between(10, 60) * SEC);
    }

    /// What one way to or from the database takes on top.
    pub(crate) fn distance(&self) -> Time {
        let (distance, until) = self.server.far;
        if self.now < until { distance } else { 0 }
    }

    /// A request that nobody will answer.
    pub(crate) fn lose(&mut self, request: &Request) {
        let ends_at = request.sent_at + limit(request.line);
        if self.now < ends_at {
            self.schedule(ends_at, Event::Tell(request.who, super::network::give_up(request)));
        }
    }
}
