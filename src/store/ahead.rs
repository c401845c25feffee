//! Stored times that stand further ahead than their own rule allows, after the database's clock was set back.
//!
//! Owns the list of all stored times that hold, silence, claim or forgive something, each with how far ahead of the
//! present moment it may stand and what becomes of one that stands further: [`RULES`]. What only tells when something was,
//! and times that are compared with nothing but each other, are named in the tests with the reason. Who notices that the
//! clock was set is [`crate::steps`]'s business.

use komainu_watchdogs::heartbeat::WINDOW;
use komainu_watchdogs::ladder::LONGEST;
use komainu_watchdogs::subscription::LONGEST_PAUSE;
use komainu_watchdogs::time::Wall;

use super::dialect::Dialect;
use super::error::StoreError;
use super::outbox::CLAIM_LASTS;
use super::pool::{Store, in_transaction};
use super::session::{Session, Sql};
use super::value::{Row, Value, values};

/// The longest pause that a vendor is granted.
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// A heartbeat's sender gets so much more after an outage.
const FORGIVEN_MS: i64 = 60_000;

/// The old secret of a heartbeat holds no longer than this after a rotation: what the API takes at most.
const LONGEST_OVERLAP_MS: i64 = 90 * 86_400_000;

/// Rows put right at once.
const BATCH: usize = 500;

const ACT: &str = "put right what stands ahead";

#[derive(Clone, Copy)]
enum Key {
    Number(&'static str),
    Name(&'static str),
}

impl Key {
    fn column(self) -> &'static str {
        match self {
            Self::Number(column) | Self::Name(column) => column,
        }
    }

    fn of(self, row: &Row) -> Result<Value, StoreError> {
        match self {
            Self::Number(column) => Ok(Value::Int(row.int(column)?)),
            Self::Name(column) => Ok(Value::Text(row.text(column)?)),
        }
    }
}

/// `{now}` is the database's clock.
struct Rule {
    table: &'static str,
    key: Key,
    /// It stands further ahead than any writer of ours puts it by a clock that is right.
    is_ahead: &'static str,
    becomes: &'static str,
}

/// One for each stored time that holds something; DESIGN §6 asks for it.
const RULES: [Rule; 22] = [
    // A pause is as long as its writer said, from when it was said.
    Rule {
        table: "komainu_channel",
        key: Key::Name("name"),
        is_ahead: "next_at > {now} AND (paused_at > {now} OR next_at > {now} + {pause})",
        becomes: "next_at = {now}",
    },
    Rule {
        table: "komainu_channel",
        key: Key::Name("name"),
        is_ahead: "last_sent_at > {now} OR last_error_at > {now}",
        becomes: "last_sent_at = {least}(last_sent_at, {now}), last_error_at = {least}(last_error_at, {now})",
    },
    // What comes next counts from it.
    Rule {
        table: "komainu_channel",
        key: Key::Name("name"),
        is_ahead: "drilled_at > {now} OR weekly_at > {now}",
        becomes: "drilled_at = {least}(drilled_at, {now}), weekly_at = {least}(weekly_at, {now})",
    },
    // A claim lasts so long; a sender that lives renews it.
    Rule {
        table: "komainu_delivery",
        key: Key::Number("id"),
        is_ahead: "state = 'waiting' AND claimed_until > {now} + {claim}",
        becomes: "claimed_until = {now} + {claim}",
    },
    Rule {
        table: "komainu_delivery",
        key: Key::Number("id"),
        is_ahead: "state IN ('waiting', 'held') AND due_at > {now} + group_wait_ms",
        becomes: "due_at = {now} + group_wait_ms",
    },
    // A message that failed rests for an hour at most, from when it failed.
    Rule {
        table: "komainu_delivery",
        key: Key::Number("id"),
        // Who has a part of it did not fail; then nothing but the row's own age tells.
        is_ahead: "state = 'waiting' AND (failed_at > {now} OR retry_at > {now} + {pause} \
                   OR (failed_at IS NULL AND created_at > {now} AND retry_at > {now}))",
        becomes: "retry_at = {now}, failed_at = {least}(failed_at, {now})",
    },
    // Reminders count from it.
    Rule {
        table: "komainu_delivery",
        key: Key::Number("id"),
        is_ahead: "state = 'sent' AND sent_at > {now}",
        becomes: "sent_at = {now}",
    },
    // One that began when it was made lasts as long as was asked for; a later start is a date that a person wrote.
    Rule {
        table: "komainu_silence",
        key: Key::Number("id"),
        is_ahead: "starts_at > {now} AND starts_at <= created_at",
        becomes: "ends_at = {now} + (ends_at - starts_at), starts_at = {now}, created_at = {now}",
    },
    // Somebody who is at a subscriber renews the claim; whoever failed is tried again within hours, and who was asked to confirm may be asked again.
    Rule {
        table: "komainu_page_subscriber",
        key: Key::Number("id"),
        is_ahead: "claimed_until > {now} + {claim} OR retry_at > {now} + {rest}",
        becomes: "claimed_until = {least}(claimed_until, {now} + {claim}), retry_at = {least}(retry_at, {now} + {rest})",
    },
    Rule {
        table: "komainu_page_subscriber",
        key: Key::Number("id"),
        is_ahead: "asked_at > {now} OR greet_at > {now} + {rest}",
        becomes: "asked_at = {least}(asked_at, {now}), greet_at = {least}(greet_at, {now})",
    },
    // What returns within ten minutes is the same incident, and flaps.
    Rule {
        table: "komainu_incident",
        key: Key::Number("id"),
        is_ahead: "resolved_at > {now}",
        becomes: "resolved_at = {now}",
    },
    // A maintenance that began before it opened is told once more afterwards.
    Rule {
        table: "komainu_incident",
        key: Key::Number("id"),
        is_ahead: "resolved_at IS NULL AND (opened_at > {now} OR first_opened_at > {now})",
        becomes: "opened_at = {least}(opened_at, {now}), first_opened_at = {least}(first_opened_at, {now})",
    },
    // The cool-off counts from it.
    Rule { table: "node", key: Key::Name("node_id"), is_ahead: "lost_at_ms > {now}", becomes: "lost_at_ms = {now}" },
    // Progress counts from the latest of these.
    Rule {
        table: "komainu_assignment",
        key: Key::Number("monitor_id"),
        is_ahead: "changed_at > {now} OR started_at_ms > {now}",
        becomes: "changed_at = {least}(changed_at, {now}), started_at_ms = {least}(started_at_ms, {now})",
    },
    Rule {
        table: "komainu_monitor",
        key: Key::Number("monitor_id"),
        is_ahead: "updated_at > {now}",
        becomes: "updated_at = {now}",
    },
    // Who tells it holds it for so long only, unless it was renewed.
    Rule {
        table: "komainu_relay",
        key: Key::Number("monitor_id"),
        is_ahead: "is_done = 0 AND at > {now}",
        becomes: "at = {now}",
    },
    // What waits for the watchdogs waits for so long only, and they look again once a minute at most.
    Rule {
        table: "komainu_opinion",
        key: Key::Number("monitor_id"),
        is_ahead: "asked_at > {now} OR held_at > {now} OR due_at > {now} + 60000 OR clear_at > {now} OR down_since > {now}",
        becomes: "asked_at = {least}(asked_at, {now}), held_at = {least}(held_at, {now}), due_at = {least}(due_at, {now}), \
                  clear_at = {least}(clear_at, {now}), down_since = {least}(down_since, {now})",
    },
    // The next step of a ladder is due within the longest that one may be waited for.
    Rule {
        table: "komainu_climb",
        key: Key::Number("incident_id"),
        is_ahead: "due_at > {now} + {longest_step}",
        becomes: "due_at = {now}",
    },
    // Gaps in which no push could be taken are over by now.
    Rule {
        table: "komainu_outage",
        key: Key::Number("id"),
        is_ahead: "ended_at > {now}",
        becomes: "began_at = {least}(began_at, {now}), ended_at = {now}",
    },
    // What comes next must be later than this, and cannot be later than the window allows.
    Rule {
        table: "komainu_heartbeat",
        key: Key::Name("name"),
        is_ahead: "last_time_us > ({now} + {window}) * 1000",
        becomes: "last_time_us = {now} * 1000, changed_at = {greatest}(changed_at + 1, {now})",
    },
    Rule {
        table: "komainu_heartbeat",
        key: Key::Name("name"),
        is_ahead: "old_nonce_until > {now} + {overlap}",
        becomes: "old_nonce_until = {now} + {overlap}, changed_at = {greatest}(changed_at + 1, {now})",
    },
    // Of a cron expression only the settler knows what is due next.
    Rule {
        table: "komainu_heartbeat",
        key: Key::Name("name"),
        is_ahead: "state = 'up' AND period_s IS NOT NULL AND deadline > {now} + {allowed}",
        becomes: "deadline = {now} + {allowed}, changed_at = {greatest}(changed_at + 1, {now})",
    },
];

/// Puts right every stored time that stands further ahead than its rule allows; says how many rows.
pub async fn put_right(store: &Store) -> Result<u64, StoreError> {
    let mut changed = 0;
    for rule in &RULES {
        let mut after = None;
        loop {
            let step = in_transaction!(store, ACT, |session| step(session, rule, after.as_ref()).await)?;
            changed += step.changed;
            let Some(last) = step.last else { break };
            after = Some(last);
        }
    }
    Ok(changed)
}

struct Stepped {
    changed: u64,
    /// The last key of a full batch: there may be more.
    last: Option<Value>,
}

async fn step(session: &mut Session, rule: &Rule, after: Option<&Value>) -> Result<Stepped, StoreError> {
    let (table, key, dialect) = (rule.table, rule.key.column(), session.dialect());
    let (is_ahead, becomes) = (said(rule.is_ahead, dialect), said(rule.becomes, dialect));
    let (beyond, values) = match after {
        Some(after) => (format!("{key} > ? AND "), vec![after.clone()]),
        None => (String::new(), vec![]),
    };
    let sql = format!("SELECT {key} FROM {table} WHERE {beyond}({is_ahead}) ORDER BY {key} LIMIT {BATCH}");
    let rows = session.rows(ACT, sql, values).await?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Stepped { changed: 0, last: None }) };
    let (first, last) = (rule.key.of(first)?, rule.key.of(last)?);
    let sql = format!(
        "UPDATE {table}{} SET {becomes} WHERE {key} >= ? AND {key} <= ? AND ({is_ahead})",
        dialect.by_primary()
    );
    let changed = session.execute(ACT, Sql::Once(sql), vec![first, last.clone()]).await?;
    Ok(Stepped { changed, last: (rows.len() == BATCH).then_some(last) })
}

/// A text of a rule, in the words of the database.
fn said(text: &str, dialect: Dialect) -> String {
    // As long as its schedule says, with what an outage adds.
    let allowed = format!("(period_s + grace_s + COALESCE(max_runtime_s, 0)) * 1000 + {FORGIVEN_MS}");
    let least = match dialect {
        Dialect::MariaDb => "LEAST",
        Dialect::Sqlite => "MIN",
    };
    text.replace("{allowed}", &allowed)
        .replace("{pause}", &LONGEST_PAUSE_MS.to_string())
        .replace("{rest}", &LONGEST_PAUSE.as_millis().to_string())
        .replace("{claim}", &CLAIM_LASTS.as_millis().to_string())
        .replace("{longest_step}", &LONGEST.as_millis().to_string())
        .replace("{window}", &WINDOW.as_millis().to_string())
        .replace("{overlap}", &LONGEST_OVERLAP_MS.to_string())
        .replace("{least}", least)
        .replace("{greatest}", dialect.greatest())
        .replace("{now}", dialect.now_ms())
}

/// The database's clock.
pub async fn now(store: &Store) -> Result<Wall, StoreError> {
    let act = "read the database's clock";
    let sql = format!("SELECT {} AS now", store.dialect().now_ms());
    let row = store.lease(act).await?.row(act, sql, values![]).await?;
    row.ok_or_else(|| StoreError::unreadable(act, "now", "nothing"))?.wall("now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate::time_columns;

    /// Stored times that hold nothing, each with the reason.
    const HARMLESS: [(&str, &str); 55] = [
        ("node.clock_ms", "what the node's clock shows; renewed every two seconds, with the database's beside it"),
        ("node.last_seen_ms", "see clock_ms"),
        ("komainu_assignment.released_at", "a generation"),
        ("komainu_cluster.changed_at", "shown"),
        ("komainu_leader.claimed_at", "shown; leadership is watched, not timed"),
        ("komainu_generation.changed_at", "shown; stamps are pruned by number"),
        ("komainu_watchdog.last_seen", "rewritten each second; what is ahead is left out where a gap is looked for"),
        ("komainu_watchdog.lost_kept_at", "shown; bounds where what was lost is looked for"),
        ("komainu_lost_tail.found_at", "kept so much longer; what was found together is known by its incident"),
        ("komainu_lost_tail.began_at", "shown"),
        ("komainu_lost_tail.ended_at", "shown"),
        ("komainu_incident.last_bad_at", "compared with itself: resolving watches whether it changes"),
        ("komainu_incident.acknowledged_at", "set or not"),
        ("komainu_incident.reminded_at", "compared with itself"),
        ("komainu_api_key.created_at", "shown"),
        ("komainu_monitor.created_at", "shown"),
        ("komainu_audit.at", "kept so much longer; the list goes by id"),
        ("komainu_heartbeat.first_due", "what an operator wrote, not what a clock said"),
        ("komainu_heartbeat.started_at", "shown, and the start of a run whose deadline is its own column"),
        ("komainu_heartbeat.last_ok_at", "shown"),
        ("komainu_heartbeat.last_at", "shown"),
        ("komainu_heartbeat.created_at", "shown"),
        (
            "komainu_heartbeat.changed_at",
            "only rises: what is ahead is read by every look, and newer is what is higher",
        ),
        ("komainu_push.at", "kept so much longer; the list goes by id"),
        ("komainu_push.time_us", "shown"),
        ("komainu_event.at", "compared with the opening of its incident, by the same clock"),
        ("komainu_delivery.sending_at", "set or not"),
        ("komainu_delivery.created_at", "kept so much longer"),
        ("komainu_delivery.elsewhere_at", "set or not"),
        ("komainu_climb.opened_at", "a part of its key: compared with that of its incident"),
        ("komainu_silence.changed_at", "shown"),
        ("komainu_silence.warned_at", "set or not"),
        ("komainu_deletion.deleted_at", "an order only"),
        ("komainu_down.at", "waited for where it is read, and only if it is near"),
        ("komainu_intake.proved_at", "what is ahead is left out where it is read"),
        ("komainu_check.created_at", "shown, and a part of its tag"),
        ("komainu_check_stat.at", "what is ahead is left out where it is read, and kept so much longer"),
        (
            "komainu_check_counted.at",
            "compared with the minute that comes next, and what is over by then is made anew again later",
        ),
        ("komainu_check.changed_at", "shown; what changed is known by a number"),
        ("komainu_page.created_at", "shown, and a part of its tag"),
        ("komainu_page.changed_at", "shown; what changed is known by a number"),
        ("komainu_page_notice.starts_at", "what an operator wrote, not what a clock said"),
        ("komainu_page_notice.ends_at", "what an operator wrote, not what a clock said"),
        ("komainu_page_notice.turns_at", "one of the two above"),
        ("komainu_page_notice.resolved_at", "set or not, and shown"),
        ("komainu_page_notice.created_at", "shown"),
        ("komainu_page_notice.changed_at", "shown"),
        ("komainu_page_update.at", "shown; the list goes by id"),
        ("komainu_page_subscriber.sending_at", "set or not"),
        ("komainu_page_subscriber.greeting_at", "set or not"),
        ("komainu_page_subscriber.created_at", "shown"),
        ("komainu_page_subscriber.confirmed_at", "shown"),
        ("komainu_page_subscriber.ended_at", "kept so much longer"),
        ("komainu_page_news.entered_at", "kept so much longer; the order is that of the ids"),
        ("komainu_schema.migrated_at", "shown"),
    ];

    /// Columns that a rule is about, with those that say by which clock another was written.
    fn is_ruled(table: &str, column: &str) -> bool {
        let is_word = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == column);
        RULES.iter().any(|rule| rule.table == table && (is_word(rule.is_ahead) || is_word(rule.becomes)))
    }

    #[test]
    fn every_stored_time_has_a_bound_or_holds_nothing() {
        let unnamed: Vec<_> = time_columns()
            .into_iter()
            .filter(|(table, column)| {
                let name = format!("{table}.{column}");
                !is_ruled(table, column) && !HARMLESS.iter().any(|(harmless, _)| *harmless == name)
            })
            .collect();
        assert_eq!(unnamed, [], "say in RULES how far ahead it may stand, or in HARMLESS why that holds nothing");
    }

    #[test]
    fn nothing_is_called_harmless_that_is_not_there_or_has_a_bound() {
        let there = time_columns();
        for (name, _) in HARMLESS {
            let (table, column) = name.split_once('.').unwrap();
            assert!(there.contains(&(table.to_owned(), column.to_owned())), "{name} is no stored time");
            let is_stamp_of_another = ["komainu_heartbeat.changed_at", "komainu_delivery.created_at"].contains(&name);
            assert!(is_stamp_of_another || !is_ruled(table, column), "{name} has a bound");
        }
    }
}
