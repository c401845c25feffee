//! What the supervisor looks at: `/status` of the watchdogs, and owners and beats in the database.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::folder::{Kind, Member};
use super::prepare::Prepared;
use crate::cli::client;
use crate::store::monitors::{self, MonitorFilter};
use crate::store::{Store, StoreError};

/// On the loopback a living watchdog answers in milliseconds; a frozen one never.
const TIMEOUT: Duration = Duration::from_millis(800);

const PAGE: u32 = 1_000;

/// What the supervisor reads of `/status`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Status {
    pub(super) leader: Option<Leader>,
    #[serde(default)]
    pub(super) generation: u64,
    #[serde(default)]
    pub(super) watchdogs: Vec<WatchdogStatus>,
    #[serde(default)]
    pub(super) nodes: Vec<NodeStatus>,
    #[serde(default)]
    pub(super) monitors: Monitors,
    pub(super) checked_at: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Leader {
    pub(super) watchdog_id: String,
    pub(super) epoch: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WatchdogStatus {
    pub(super) watchdog_id: String,
    pub(super) status: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeStatus {
    pub(super) node_id: String,
    pub(super) status: String,
    pub(super) monitors: u32,
    pub(super) home_monitors: u32,
    pub(super) reach: String,
    pub(super) votes_down: (u32, u32),
    pub(super) lease: String,
    pub(super) last_seen_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Monitors {
    pub(super) active: u32,
    pub(super) watched: u32,
}

/// Who runs which active monitor.
pub(super) type Owners = BTreeMap<MonitorId, Option<NodeId>>;

/// Looks, and understands nothing.
pub(super) struct ClusterObserver {
    http: reqwest::Client,
    urls: Vec<String>,
    /// Where `[status] details = "key"`, strangers see too little to tell anything.
    key: String,
    store: Store,
}

impl ClusterObserver {
    pub(super) fn new(members: &[Member], prepared: &Prepared) -> anyhow::Result<Self> {
        let watchdogs = members.iter().filter(|member| member.kind == Kind::Watchdog);
        let urls = watchdogs.map(|member| format!("{}/status", member.url())).collect();
        Ok(Self {
            http: client::http(TIMEOUT, None)?,
            urls,
            key: prepared.admin_key.clone(),
            store: prepared.store.clone(),
        })
    }

    /// The latest knowledge among the watchdogs that answer.
    pub(super) async fn status(&self) -> Option<Status> {
        let answers = join_all(self.urls.iter().map(|url| self.ask(url))).await;
        let epoch = |status: &Status| status.leader.as_ref().map_or(0, |leader| leader.epoch);
        answers.into_iter().flatten().max_by_key(|status| (epoch(status), status.checked_at))
    }

    async fn ask(&self, url: &str) -> Option<Status> {
        let answer = self.http.get(url).bearer_auth(&self.key).send().await.ok()?;
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    pub(super) async fn owners(&self) -> Result<Owners, StoreError> {
        let filter = MonitorFilter { active: Some(true), ..MonitorFilter::default() };
        let mut owners = Owners::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = monitors::list(&self.store, &filter, cursor.as_deref(), PAGE).await?;
            owners.extend(page.items.into_iter().map(|view| (view.spec.id, view.effective_node)));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(owners);
            }
        }
    }

    /// When each of these last beat.
    pub(super) async fn last_beats(&self, monitors: &[MonitorId]) -> Result<BTreeMap<MonitorId, Wall>, StoreError> {
        let beats = self.store.last_beats(monitors).await?;
        Ok(beats.into_iter().map(|beat| (beat.monitor, beat.time)).collect())
    }
}
