//! What happened in a run, counted: a simulation in which something never happens proves nothing about it.

macro_rules! counts {
    ($name:ident { $($field:ident: $words:literal,)* }) => {
        /// How often each thing happened.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            $(pub(crate) $field: u64,)*
        }

        impl $name {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }

            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$(($words, self.$field),)*]
            }
        }
    };
}

counts! { Counts {
    steps: "steps",
    runs: "runs started",
    beats: "beats stored",
    refused_beats: "beats refused by the guard",
    thrown_away: "results thrown away before the store",
    self_fences: "self-fences",
    failovers: "failovers",
    failed_over: "monitors failed over",
    releases: "monitors released by living nodes",
    hand_overs: "hand-overs (released, acknowledged, arrived)",
    sent: "monitors sent elsewhere by operators",
    sent_arrived: "monitors that arrived where operators sent them",
    quick_hands: "acts of operators right before a decision",
    moved_while_frozen: "decisions carried out for operators while frozen",
    homecomings: "monitors that went home",
    placements: "new monitors placed",
    revokes: "revokes of ended leases",
    fresh_revokes: "revokes of renewed leases",
    emptied: "nodes emptied for lack of progress",
    leader_changes: "leader changes",
    lockless_claims: "claims without the lock",
    deposed_commits: "refused commits of deposed leaders",
    rows_left_alone: "steps left alone because their monitor had changed",
    lives_refusals: "refused revokes of living nodes",
    guard_refusals: "refused commits for another guard",
    frozen_refusals: "refused commits of a frozen cluster",
    queued_chunks: "transactions of a plan that was cut",
    late_executions: "requests executed after their sender gave up or died",
    tail_losses: "tail losses",
    quarantines: "quarantines after a tail loss",
    outages: "database outages",
    clock_jumps: "clock jumps of the database",
    node_clock_jumps: "clock jumps of nodes",
    drifting_clocks: "processes whose clocks drift",
    drifting_walls: "wall clocks of nodes that drift",
    query_failures: "single queries refused while others worked",
    query_hangs: "single queries never answered while others worked",
    query_latecomers: "single queries done after their sender gave up while others worked",
    slow_queries: "single slow queries",
    aside_troubles: "of these, queries that no lease and no decision rests on",
    far_databases: "times of a far database",
    added_nodes: "nodes added",
    deleted_nodes: "nodes deleted",
    relabels: "nodes whose kinds and labels changed",
    large_worlds: "worlds of 12 nodes and 7 watchdogs",
    killed_at_sight: "nodes declared offline whose process is gone",
    ended_locks: "locks of nodes ended by others",
    closed_ports: "ports of living nodes that refuse",
    id_conflicts: "processes ended by an id conflict",
    pauses: "pauses",
    leader_pauses: "pauses of leaders",
    stalls: "stalled loops",
    crashes: "crashes",
    restarts: "restarts",
    partitions: "partitions",
    drains: "nodes drained to the end",
    unreachable: "nodes declared unreachable",
    offline: "nodes declared offline",
    stalled: "nodes declared stalled",
    timely_failovers: "losses of nodes amid faults, their monitors seen elsewhere in time",
    prompt_mass_failovers: "losses of most nodes, plainly gone, their monitors seen elsewhere without waiting for more",
    told_losses: "losses of nodes amid faults that were told",
    told_clocks: "looks at a wrong clock that was told",
    owned_views: "looks at monitors that are all owned",
    calm_views: "looks at /status while all was owned amid faults",
    kills_in_calm: "nodes killed in calm, their monitors seen elsewhere in time",
} }

counts! { TellingCounts {
    ticks: "quarters of a second",
    important_beats: "changes of state stored",
    target_changes: "targets that failed or recovered",
    node_losses: "nodes lost",
    node_clock_jumps: "clock jumps of nodes",
    clock_jumps: "clock jumps of the database",
    outages: "database outages",
    crashes: "watchdogs killed",
    pauses: "watchdogs paused",
    egress_losses: "egress lost or regained",
    incidents: "incidents opened, or opened again",
    told: "messages that were answered",
    permanent: "messages refused for good",
    retryable: "messages refused for a while",
    unreached: "messages that reached nobody",
    unanswered: "messages without an answer",
    halved: "messages halved",
    untold_views: "looks at a critical that had reached nobody for long",
    speeches: "speeches while the database was away",
    blindings: "times in which the reads of some watchdogs' rounds failed",
    blind_speeches: "speeches that nobody can judge",
    told_in_parts: "messages refused whole while the database was away, and told in parts",
    lasting: "times it was said again that nobody can judge",
    blind_views: "looks at most who could not judge while that was told",
    entered: "things entered that were told meanwhile",
    entered_untold: "outages entered that nobody had been told of",
    pushes: "pushes taken",
    refused_pushes: "pushes refused",
    gaps: "times in which no push could be taken",
    job_turns: "jobs that died or came back",
    late_jobs: "jobs found late",
    drifting_walls: "wall clocks of nodes that drift",
    given_up: "messages given up after three repeats",
    rescues: "deliveries told elsewhere too, being late",
    marked_repeats: "marked repeats that arrived",
    repeats_seen: "things that people were told twice",
    held: "deliveries held",
    released: "deliveries released",
    cancelled: "deliveries cancelled by the plan",
    lost_claims: "claims lost to another watchdog",
    reminders: "reminders",
} }
