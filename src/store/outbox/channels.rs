//! Channels as people look at them: what each was given last and what waits for it.

use std::collections::BTreeMap;

use komainu_watchdogs::time::Wall;

use super::queue::backlog;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::Row;

/// How a channel fares.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChannelState {
    /// Attempts in a row that failed.
    pub failures: u32,
    /// When it took something last; `None`: never.
    pub last_sent_at: Option<Wall>,
    /// Why an attempt failed last.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<Wall>,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that are held.
    pub held: u64,
    /// Deliveries that it refused for good.
    pub failed: u64,
    /// When the first of the waiting ones is or was due.
    pub oldest_due_at: Option<Wall>,
}

/// All channels that were ever given something, by name.
pub async fn channels(store: &Store) -> Result<BTreeMap<String, ChannelState>, StoreError> {
    let act = "read the channels";
    let sql = "SELECT name, failures, last_sent_at, last_error, last_error_at FROM komainu_channel";
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    let state = |row: &Row| {
        let state = ChannelState {
            failures: u32::try_from(row.count("failures")?).unwrap_or(u32::MAX),
            last_sent_at: row.maybe_wall("last_sent_at")?,
            last_error: row.maybe_text("last_error")?,
            last_error_at: row.maybe_wall("last_error_at")?,
            ..ChannelState::default()
        };
        Ok::<_, StoreError>((row.text("name")?, state))
    };
    let mut channels = rows.iter().map(state).collect::<Result<BTreeMap<_, _>, _>>()?;
    for backlog in backlog(store).await? {
        let state = channels.entry(backlog.channel).or_default();
        (state.waiting, state.held, state.failed) = (backlog.waiting, backlog.held, backlog.failed);
        state.oldest_due_at = backlog.oldest_due_at;
    }
    Ok(channels)
}
