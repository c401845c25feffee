//! Rows as a clock an hour or a day ahead, or behind, has written them: none holds longer than its own rule allows.

use komainu::store::ahead;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_channels_pause_ends_when_the_clock_that_said_it_is_put_right,
    what_a_channel_last_did_is_not_ahead,
    a_claim_holds_half_a_minute_from_when_the_clock_is_put_right,
    what_waits_is_due_after_its_groups_wait,
    what_rests_is_tried_when_the_clock_that_said_so_is_put_right,
    a_reminder_counts_from_now_at_the_latest,
    what_is_resolved_is_so_by_now,
    what_is_open_opened_by_now,
    a_lost_node_cools_off_from_now_at_the_latest,
    progress_counts_from_now_at_the_latest,
    an_edit_of_a_monitor_lies_not_ahead,
    an_outage_is_over_by_now,
    a_push_is_taken_again_when_the_window_allows_it,
    a_claim_on_a_subscriber_holds_half_a_minute_and_the_next_try_is_within_hours,
    a_subscriber_may_be_asked_again_an_hour_from_now_at_the_latest,
    an_old_secret_holds_no_longer_than_a_rotation_may_ask,
    a_deadline_is_no_further_off_than_its_schedule,
    many_rows_are_put_right_in_parts,
}

const HOUR: i64 = 3_600_000;
const JUMPS: [i64; 2] = [HOUR, 24 * HOUR];

/// What is held back by how much, with a row as a clock so far off has written it.
struct Stored {
    /// Writes the rows; `{t}` is what that clock showed.
    written: &'static str,
    /// The stored time, in milliseconds.
    time: &'static str,
    from: &'static str,
    /// How far ahead of the present it may stand.
    allowed: i64,
}

/// Ahead it is cut to what its rule allows, behind it is left alone: it holds nothing.
async fn holds_no_longer(kind: Kind, stored: Stored) {
    for by in JUMPS {
        let (before, after) = put_right(kind, &stored, by).await;
        assert!(before > by - 60_000, "written {before} ms ahead");
        let allowed = stored.allowed;
        assert!((allowed - 60_000..=allowed).contains(&after), "{} by {by}: {after} of {allowed}", stored.time);
        let (before, after) = put_right(kind, &stored, -by).await;
        assert!((before - 60_000..=before).contains(&after), "{} by -{by}: {before} became {after}", stored.time);
    }
}

/// How far it stood ahead, and stands now.
async fn put_right(kind: Kind, stored: &Stored, by: i64) -> (i64, i64) {
    let mut fixture = Fixture::native(kind).await;
    let now = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
    let now = if fixture.is_sqlite() { "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)" } else { now };
    let shown = fixture.raw.count(now).await + by;
    fixture.raw.execute(&stored.written.replace("{t}", &shown.to_string())).await;
    let ahead = format!("SELECT ({}) - ({}) FROM {}", stored.time, &now[7..], stored.from);
    let before = fixture.raw.count(&ahead).await;
    ahead::put_right(&fixture.store).await.unwrap();
    assert_eq!(ahead::put_right(&fixture.store).await.unwrap(), 0, "once is enough");
    (before, fixture.raw.count(&ahead).await)
}

async fn a_channels_pause_ends_when_the_clock_that_said_it_is_put_right(kind: Kind) {
    let written = "INSERT INTO komainu_channel (name, next_at, paused_at) VALUES ('ops', {t} + 30000, {t})";
    holds_no_longer(kind, Stored { written, time: "next_at", from: "komainu_channel", allowed: 0 }).await;
}

async fn what_a_channel_last_did_is_not_ahead(kind: Kind) {
    let written = "INSERT INTO komainu_channel (name, last_sent_at, last_error_at) VALUES ('ops', {t}, {t})";
    for time in ["last_sent_at", "last_error_at"] {
        holds_no_longer(kind, Stored { written, time, from: "komainu_channel", allowed: 0 }).await;
    }
}

const CLAIMED: &str = "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, \
     claimed_until, created_at) VALUES (1, 1, 'ops', 'waiting', 5000, {t} + 5000, {t} + 30000, {t})";

async fn a_claim_holds_half_a_minute_from_when_the_clock_is_put_right(kind: Kind) {
    let allowed = i64::try_from(komainu::store::outbox::CLAIM_LASTS.as_millis()).unwrap();
    let stored = Stored { written: CLAIMED, time: "claimed_until", from: "komainu_delivery", allowed };
    holds_no_longer(kind, stored).await;
}

async fn what_waits_is_due_after_its_groups_wait(kind: Kind) {
    let stored = Stored { written: CLAIMED, time: "due_at", from: "komainu_delivery", allowed: 5_000 };
    holds_no_longer(kind, stored).await;
}

async fn what_rests_is_tried_when_the_clock_that_said_so_is_put_right(kind: Kind) {
    // Some readers of the second one have it: it did not fail.
    for failed_at in ["{t}", "NULL"] {
        let written: &'static str = match failed_at {
            "NULL" => {
                "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, retry_at, created_at) \
                 VALUES (1, 1, 'ops', 'waiting', {t}, {t} + 30000, {t})"
            }
            _ => {
                "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, retry_at, failed_at, \
                 created_at) VALUES (1, 1, 'ops', 'waiting', {t}, {t} + 30000, {t}, {t} - 7200000)"
            }
        };
        let stored = Stored { written, time: "retry_at", from: "komainu_delivery", allowed: 0 };
        // Less than a message may rest.
        let (before, after) = put_right(kind, &stored, HOUR / 2).await;
        assert!(before > HOUR / 2 && (-60_000..=0).contains(&after), "{failed_at}: {before} became {after}");
        holds_no_longer(kind, stored).await;
    }
}

async fn a_reminder_counts_from_now_at_the_latest(kind: Kind) {
    let written = "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, created_at, sent_at) \
         VALUES (1, 1, 'ops', 'sent', {t}, {t}, {t})";
    holds_no_longer(kind, Stored { written, time: "sent_at", from: "komainu_delivery", allowed: 0 }).await;
}

const SUBSCRIBED: &str = "INSERT INTO komainu_page_subscriber (public_id, slug, kind, address, address_hash, person_hash, state, components, \
     language, nonce, wish, asked_at, greet_at, told, retry_at, claimed_until, created_at) VALUES ('x', 'shop', 'mail', 'a', 'x', 'x', 'asked', '[]', \
     'en', '', '{}', {t}, {t}, 0, {t} + 14400000, {t} + 30000, {t})";

async fn a_claim_on_a_subscriber_holds_half_a_minute_and_the_next_try_is_within_hours(kind: Kind) {
    for (time, allowed) in [("claimed_until", 30_000), ("retry_at", 4 * HOUR)] {
        holds_no_longer(kind, Stored { written: SUBSCRIBED, time, from: "komainu_page_subscriber", allowed }).await;
    }
}

async fn a_subscriber_may_be_asked_again_an_hour_from_now_at_the_latest(kind: Kind) {
    for time in ["asked_at", "greet_at"] {
        holds_no_longer(kind, Stored { written: SUBSCRIBED, time, from: "komainu_page_subscriber", allowed: 0 }).await;
    }
}

async fn what_is_resolved_is_so_by_now(kind: Kind) {
    let written = "INSERT INTO komainu_incident (k, severity, summary, opened_at, last_bad_at, resolved_at) \
         VALUES ('leader', 'critical', '', {t}, {t}, {t})";
    holds_no_longer(kind, Stored { written, time: "resolved_at", from: "komainu_incident", allowed: 0 }).await;
}

async fn what_is_open_opened_by_now(kind: Kind) {
    let written = "INSERT INTO komainu_incident (k, severity, summary, opened_at, last_bad_at) \
         VALUES ('leader', 'critical', '', {t}, {t})";
    holds_no_longer(kind, Stored { written, time: "opened_at", from: "komainu_incident", allowed: 0 }).await;
}

async fn a_lost_node_cools_off_from_now_at_the_latest(kind: Kind) {
    let written = "INSERT INTO node (node_id, losses, lost_at_ms) VALUES ('node1', 2, {t})";
    holds_no_longer(kind, Stored { written, time: "lost_at_ms", from: "node", allowed: 0 }).await;
}

async fn progress_counts_from_now_at_the_latest(kind: Kind) {
    let written = "INSERT INTO komainu_assignment (monitor_id, changed_at, started_at_ms) VALUES (1, {t}, {t})";
    for time in ["changed_at", "started_at_ms"] {
        holds_no_longer(kind, Stored { written, time, from: "komainu_assignment", allowed: 0 }).await;
    }
}

async fn an_edit_of_a_monitor_lies_not_ahead(kind: Kind) {
    let written = "INSERT INTO komainu_monitor (monitor_id, channels, made_by, created_at, updated_at) \
         VALUES (1, '[]', 'api', {t}, {t})";
    holds_no_longer(kind, Stored { written, time: "updated_at", from: "komainu_monitor", allowed: 0 }).await;
}

async fn an_outage_is_over_by_now(kind: Kind) {
    let written = "INSERT INTO komainu_outage (began_at, ended_at, noticed_by) VALUES ({t}, {t} + 10000, 'w1')";
    for time in ["began_at", "ended_at"] {
        holds_no_longer(kind, Stored { written, time, from: "komainu_outage", allowed: 0 }).await;
    }
}

const HEARTBEAT: &str = "INSERT INTO komainu_heartbeat (name, description, period_s, grace_s, channels, tags, nonce, \
     created_at, changed_at, state, deadline, last_time_us, old_nonce_until) \
     VALUES ('backup', '', 600, 60, '[]', '[]', 'n', {t}, {t}, 'up', {t} + 660000, {t} * 1000, {t} + 7776000000)";

async fn a_push_is_taken_again_when_the_window_allows_it(kind: Kind) {
    let time = "CAST(last_time_us / 1000 AS SIGNED)";
    holds_no_longer(kind, Stored { written: HEARTBEAT, time, from: "komainu_heartbeat", allowed: 0 }).await;
}

async fn an_old_secret_holds_no_longer_than_a_rotation_may_ask(kind: Kind) {
    let (time, allowed) = ("old_nonce_until", 90 * 24 * HOUR);
    holds_no_longer(kind, Stored { written: HEARTBEAT, time, from: "komainu_heartbeat", allowed }).await;
}

async fn a_deadline_is_no_further_off_than_its_schedule(kind: Kind) {
    let (time, allowed) = ("deadline", 720_000);
    holds_no_longer(kind, Stored { written: HEARTBEAT, time, from: "komainu_heartbeat", allowed }).await;
}

async fn many_rows_are_put_right_in_parts(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let ahead = komainu::clock::wall().0 + HOUR;
    let rows: Vec<_> = (1..=1_100).map(|id| format!("({id}, {ahead})")).collect();
    let sql = format!("INSERT INTO komainu_assignment (monitor_id, changed_at) VALUES {}", rows.join(", "));
    fixture.raw.execute(&sql).await;
    assert_eq!(ahead::put_right(&fixture.store).await.unwrap(), 1_100);
    let left = format!("SELECT COUNT(*) FROM komainu_assignment WHERE changed_at >= {ahead}");
    assert_eq!(fixture.raw.count(&left).await, 0);
}
