//! Incidents that are back soon after they were resolved: the same ones, open again, however many at once.

use std::collections::BTreeMap;

use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::outbox::{self, Event};
use komainu_watchdogs::routing::{Planned, Routing, Subject};

use super::opening::{Latest, as_json, details};
use crate::store::error::StoreError;
use crate::store::moment;
use crate::store::outbox::entry::{self, Happening};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// Opens these again, each once, and tells whoever is to hear of it. The caller has locked their rows.
pub(super) async fn reopen_many(
    session: &mut Session,
    returns: &[(&Alarm, &Subject, &Latest)],
    routing: &Routing,
) -> Result<(), StoreError> {
    if returns.is_empty() {
        return Ok(());
    }
    write(session, returns).await?;
    let ids: Vec<i64> = returns.iter().map(|(.., latest)| latest.id).collect();
    let mut entered = entry::of_incidents(session, &ids).await?;
    let at = moment::present(session, routing).await?;
    let (mut cancel, mut happenings) = (vec![], vec![]);
    for (alarm, subject, latest) in returns {
        let change = outbox::reopening(&entered.remove(&latest.id).unwrap_or_default());
        cancel.extend(change.cancel);
        let told = outbox::opening(latest.flaps + 1);
        // Whoever heard that it is over hears of the return, however often it came back.
        let is_news = |channel: &str| told == Some(Event::Flapping) || !change.believers.contains(channel);
        let planned = routing.plan(subject, at).into_iter().filter(|planned| is_news(&planned.channel));
        let waits: BTreeMap<_, _> = planned.map(|Planned { channel, group_wait, .. }| (channel, group_wait)).collect();
        if told.is_some() || !waits.is_empty() {
            happenings.push((Happening::of(latest.id, told.unwrap_or(Event::Flapping), alarm), waits));
        }
    }
    entry::cancel(session, &cancel).await?;
    entry::enter_many(session, &happenings).await
}

/// It counts from now, and keeps when it opened first: what was in between stands in its events. Whoever took care of it
/// thought that it was over.
async fn write(session: &mut Session, returns: &[(&Alarm, &Subject, &Latest)]) -> Result<(), StoreError> {
    let dialect = session.dialect();
    let now = dialect.now_ms();
    // The rows are there: each finds its own by its key, and nothing is inserted.
    let row = format!("(?, ?, ?, ?, ?, ?, ?, {now}, {now})");
    let sql = format!(
        "INSERT INTO komainu_incident \
         (severity, summary, votes_bad, votes_of, id, k, subject_json, opened_at, last_bad_at) VALUES {rows}{update}, \
         first_opened_at = COALESCE(first_opened_at, komainu_incident.opened_at), opened_at = {now}, \
         resolved_at = NULL, flaps = flaps + 1, last_bad_at = {greatest}(last_bad_at + 1, {now}), \
         acknowledged_at = NULL, acknowledged_by = NULL",
        rows = vec![row; returns.len()].join(", "),
        update = dialect.or_update("id", &["severity", "summary", "votes_bad", "votes_of", "subject_json"]),
        greatest = dialect.greatest()
    );
    let values = returns.iter().flat_map(|(alarm, subject, latest)| {
        [details(alarm), values![latest.id, &alarm.key, as_json(subject)]].concat()
    });
    let sql = if returns.len() == 1 { Sql::Fixed(sql) } else { Sql::Once(sql) };
    session.execute("open incidents again", sql, values.collect()).await.map(|_| ())
}
