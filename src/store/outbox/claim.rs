//! Claiming a message, and the last look before it leaves.
//!
//! A claim is a lease of [`CLAIM_LASTS`] on a message's deliveries, by the database's clock, and fixes what the message
//! tells: its id is stored with each of them. Right before the message leaves, the claim is renewed and `sending_at` set;
//! from then on the message may have arrived, whatever becomes of the sender. What takes longer than a claim lasts keeps it
//! alive meanwhile.

use std::time::Duration;

use komainu_watchdogs::ids::Incarnation;

use super::CLAIM_LASTS;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// A message that one watchdog is at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The message's id.
    pub notice: String,
    /// The channel that carries it.
    pub channel: String,
    /// What it tells.
    pub deliveries: Vec<i64>,
    /// The most attempts at any of it when it was planned: whoever tried it since knows better.
    pub attempts: u32,
    /// It was begun before: the same message again, under the same id.
    pub is_repeated: bool,
    /// It, or something in it, may have arrived already.
    pub is_doubtful: bool,
    /// Who is at it.
    pub by: Incarnation,
}

/// Whether a message may leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// The message may be sent now.
    Go,
    /// The claim ended: somebody else is at it.
    Lost,
    /// The channel takes no message yet; the claim is given back.
    Busy,
}

/// Makes the channel known, so that its slots can be taken.
pub async fn prepare_channel(store: &Store, channel: &str) -> Result<(), StoreError> {
    let act = "enter a channel";
    let tail = store.dialect().or_update("name", &["name"]);
    let sql = format!("INSERT INTO komainu_channel (name) VALUES (?){tail}");
    store.lease(act).await?.execute(act, sql, values![channel]).await.map(|_| ())
}

/// Claims all deliveries of a message or none; `false`: somebody was faster.
pub async fn claim(store: &Store, claim: &Claim) -> Result<bool, StoreError> {
    in_transaction!(store, "claim a message", |session| claim_on(session, claim).await)
}

async fn claim_on(session: &mut Session, claim: &Claim) -> Result<bool, StoreError> {
    let act = "claim a message";
    let now = session.dialect().now_ms();
    // The same message again only as it was, a new one only of what nobody began to send.
    let is_same =
        if claim.is_repeated { "sending_at IS NOT NULL AND notice_id = ?" } else { "sending_at IS NULL AND ? <> ''" };
    let sql = format!(
        "UPDATE komainu_delivery{} SET claimed_by = ?, claimed_until = {now} + {}, notice_id = ? WHERE id IN ({}) \
         AND state = 'waiting' AND (claimed_until IS NULL OR claimed_until <= {now}) \
         AND attempts <= ? AND {is_same}",
        session.dialect().by_primary(),
        CLAIM_LASTS.as_millis(),
        id_list(&claim.deliveries)
    );
    let values = values![claim.by, &claim.notice, claim.attempts, &claim.notice];
    let claimed = session.execute(act, Sql::Once(sql), values).await?;
    if usize::try_from(claimed).is_ok_and(|claimed| claimed == claim.deliveries.len()) {
        return Ok(true);
    }
    give_back(session, claim).await?;
    Ok(false)
}

/// Others may claim it at once.
pub(super) async fn give_back(session: &mut Session, claim: &Claim) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE komainu_delivery{} SET claimed_by = NULL, claimed_until = NULL WHERE id IN ({}) AND claimed_by = ? \
         AND notice_id = ?",
        session.dialect().by_primary(),
        id_list(&claim.deliveries)
    );
    let values = values![claim.by, &claim.notice];
    session.execute("give a message back", Sql::Once(sql), values).await.map(|_| ())
}

/// The last look before the message leaves: takes the channel's slot, renews the claim, and notes that from now on it
/// may have arrived. The channel takes its next message after `interval`.
pub async fn begin_sending(store: &Store, claim: &Claim, interval: Duration) -> Result<Begin, StoreError> {
    in_transaction!(store, "begin to send a message", |session| begin_on(session, claim, interval).await)
}

async fn begin_on(session: &mut Session, claim: &Claim, interval: Duration) -> Result<Begin, StoreError> {
    let act = "begin to send a message";
    let (now, deliveries) = (session.dialect().now_ms(), id_list(&claim.deliveries));
    let sql = format!(
        "SELECT id FROM komainu_delivery WHERE id IN ({deliveries}) AND state = 'waiting' AND claimed_by = ? \
         AND notice_id = ? AND claimed_until > {now} ORDER BY id{}",
        session.dialect().for_update()
    );
    let mine = session.rows(act, Sql::Once(sql), values![claim.by, &claim.notice]).await?;
    if mine.len() != claim.deliveries.len() {
        return Ok(Begin::Lost);
    }
    let slot = format!(
        "UPDATE komainu_channel SET next_at = {now} + ?, paused_at = {now} WHERE name = ? AND next_at <= {now}"
    );
    let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    if session.execute(act, slot, values![interval, &claim.channel]).await? == 0 {
        give_back(session, claim).await?;
        return Ok(Begin::Busy);
    }
    let repeated = if claim.is_doubtful { ", may_be_repeated = 1" } else { "" };
    let sql = format!(
        "UPDATE komainu_delivery{} SET sending_at = {now}, claimed_until = {now} + {}, attempts = attempts + 1, \
         unanswered = unanswered + 1, retry_at = NULL{repeated} \
         WHERE id IN ({deliveries})",
        session.dialect().by_primary(),
        CLAIM_LASTS.as_millis()
    );
    session.execute(act, Sql::Once(sql), vec![]).await?;
    Ok(Begin::Go)
}

/// Keeps the claim of a message alive that takes long; `false`: it ended, and somebody else may be at it.
pub async fn renew(store: &Store, claim: &Claim) -> Result<bool, StoreError> {
    let act = "keep a claim alive";
    let now = store.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_delivery{} SET claimed_until = {now} + {} WHERE id IN ({}) AND state = 'waiting' \
         AND claimed_by = ? AND notice_id = ? AND claimed_until > {now}",
        store.dialect().by_primary(),
        CLAIM_LASTS.as_millis(),
        id_list(&claim.deliveries)
    );
    let values = values![claim.by, &claim.notice];
    let renewed = store.lease(act).await?.execute(act, Sql::Once(sql), values).await?;
    Ok(usize::try_from(renewed).is_ok_and(|renewed| renewed == claim.deliveries.len()))
}
