//! Monitors: rows of Kuma's `monitor` table, with what komainu knows of them.
//!
//! Owns reading, making and deleting them. Columns that this Kuma does not have read as empty.

mod beats;
mod census;
pub(super) mod columns;
mod creation;
mod deletion;
mod kin;
mod lately;
mod listing;
pub(in crate::store) mod places;
mod planning;
mod rows;
mod tags;
mod trail;
mod world;
mod writing;

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::opinion::{self, Record};
use komainu_watchdogs::time::Wall;

use super::beats::BeatStatus;
use super::error::StoreError;
use super::pool::Store;

use crate::monitor::{Columns, Ours, Table};

pub use beats::{ShownBeat, beats};
pub use census::{MonitorBrief, briefs};
pub use creation::create_all;
pub use deletion::{delete, sweep};
pub use lately::{Arrival, arrivals};
pub use listing::{find_by_ref, get, list};
pub use places::{Place, places};
pub(super) use trail::shown;
pub use writing::{Change, Refusal, Target, Wish, Written, rehearse, write};

/// A row of `monitor`, as a node needs it to run it. Field names are Kuma's; `kind` is its `type`.
#[expect(clippy::struct_excessive_bools, reason = "a row has the columns it has")]
#[derive(Clone, PartialEq, Debug)]
pub struct MonitorSpec {
    /// The key; 0 for a monitor that is yet to be made.
    pub id: MonitorId,
    /// Its name, for people.
    pub name: String,
    /// `http`, `keyword`, `port`, `ping`, `push`, …
    pub kind: String,
    /// It runs at all.
    pub active: bool,
    /// Seconds between runs.
    pub interval: u32,
    /// Seconds between runs while it retries; 0: as `interval`.
    pub retry_interval: u32,
    /// Failures until it is down.
    pub maxretries: u32,
    /// Seconds a run may take; 0: 0.8 x interval.
    pub timeout: f64,
    /// Notifications are repeated after so many down beats; 0: never.
    pub resend_interval: u32,
    /// Up means down.
    pub upside_down: bool,
    /// Of an HTTP monitor.
    pub url: Option<String>,
    /// HTTP method.
    pub method: String,
    /// HTTP body.
    pub body: Option<String>,
    /// HTTP headers, a JSON object.
    pub headers: Option<String>,
    /// `json`, `xml`, `form`.
    pub http_body_encoding: Option<String>,
    /// `basic`, `bearer`, `oauth2-cc`, `ntlm`, `mtls`.
    pub auth_method: Option<String>,
    /// Basic authentication.
    pub basic_auth_user: Option<String>,
    /// Basic authentication.
    pub basic_auth_pass: Option<String>,
    /// Bearer authentication.
    pub bearer_token: Option<String>,
    /// Client TLS: authority.
    pub tls_ca: Option<String>,
    /// Client TLS: certificate.
    pub tls_cert: Option<String>,
    /// Client TLS: key.
    pub tls_key: Option<String>,
    /// Certificates are not checked.
    pub ignore_tls: bool,
    /// HTTP redirects followed.
    pub maxredirects: u32,
    /// A JSON array of `"200-299"`.
    pub accepted_statuscodes_json: String,
    /// A query parameter keeps caches out.
    pub cache_bust: bool,
    /// What the body must hold.
    pub keyword: Option<String>,
    /// What the body must not hold.
    pub invert_keyword: bool,
    /// Of a port, ping or dns monitor.
    pub hostname: Option<String>,
    /// Of a port or dns monitor.
    pub port: Option<u16>,
    /// Bytes of a ping.
    pub packet_size: u32,
    /// Pings per run.
    pub ping_count: u32,
    /// Seconds for each ping.
    pub ping_per_request_timeout: u32,
    /// `ipv4`, `ipv6` or none.
    pub ip_family: Option<String>,
    /// The answer's body is kept with each beat, if `save_error_response` says so too.
    pub save_response: bool,
    /// The answer's body is kept where its status code is not accepted.
    pub save_error_response: bool,
    /// Characters of a body that are kept.
    pub response_max_length: u32,
    /// The active proxy it asks through; never written.
    pub proxy_id: Option<i64>,
    /// A port monitor expects this TLS alert instead of a connection; never written.
    pub expected_tls_alert: Option<String>,
    /// The secret part of a push monitor's address.
    pub push_token: Option<String>,
    /// What it is good for, in words for people.
    pub description: Option<String>,
    /// The group it belongs to.
    pub parent: Option<MonitorId>,
    /// A certificate that expires soon is told of.
    pub expiry_notification: bool,
    /// Of a json-query: a `JSONata` expression.
    pub json_path: Option<String>,
    /// Of a json-query: how the outcome is compared.
    pub json_path_operator: Option<String>,
    /// Of a json-query: with what it is compared.
    pub expected_value: Option<String>,
    /// A json-query that found the wrong value is down at once.
    pub retry_only_on_status_code_failure: bool,
    /// Of a dns monitor: `A`, `MX`, …
    pub dns_resolve_type: Option<String>,
    /// Of a dns monitor: addresses of servers, separated by commas.
    pub dns_resolve_server: Option<String>,
    /// What a dns answer must fulfil: a JSON array, as Kuma's UI makes it.
    pub conditions: String,
    /// Of a manual monitor: the status that somebody set.
    pub manual_status: Option<i64>,
}

impl Default for MonitorSpec {
    /// Kuma's own defaults.
    fn default() -> Self {
        Self {
            id: MonitorId(0),
            name: String::new(),
            kind: "http".to_owned(),
            active: true,
            interval: 60,
            retry_interval: 60,
            maxretries: 0,
            timeout: 48.0,
            resend_interval: 0,
            upside_down: false,
            url: None,
            method: "GET".to_owned(),
            body: None,
            headers: None,
            http_body_encoding: None,
            auth_method: None,
            basic_auth_user: None,
            basic_auth_pass: None,
            bearer_token: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            ignore_tls: false,
            maxredirects: 10,
            accepted_statuscodes_json: "[\"200-299\"]".to_owned(),
            cache_bust: false,
            keyword: None,
            invert_keyword: false,
            hostname: None,
            port: None,
            packet_size: 56,
            ping_count: 1,
            ping_per_request_timeout: 2,
            ip_family: None,
            save_response: false,
            save_error_response: true,
            response_max_length: 1_024,
            proxy_id: None,
            expected_tls_alert: None,
            push_token: None,
            description: None,
            parent: None,
            expiry_notification: true,
            json_path: None,
            json_path_operator: None,
            expected_value: None,
            retry_only_on_status_code_failure: false,
            dns_resolve_type: None,
            dns_resolve_server: None,
            conditions: "[]".to_owned(),
            manual_status: None,
        }
    }
}

/// A monitor to be made.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NewMonitor {
    /// Its row; the id is given by the database.
    pub spec: MonitorSpec,
    /// The name the client chose for it.
    pub reference: Option<String>,
    /// Channels that hear of it.
    pub channels: Vec<String>,
    /// Names of tags; made where they do not exist.
    pub tags: Vec<String>,
    /// Its home; `None`: the leader finds one.
    pub node_id: Option<NodeId>,
    /// Bound to that node.
    pub pinned: bool,
}

/// A monitor as people and the API see it.
#[derive(Clone, PartialEq, Debug)]
pub struct MonitorView {
    /// Its row, as nodes read it.
    pub spec: MonitorSpec,
    /// All columns of its row that clients may see or set.
    pub columns: Columns,
    /// Home node.
    pub node_id: Option<NodeId>,
    /// Who runs it while it is away from home; `Some("")`: nobody, it is being moved.
    pub assigned_node: Option<NodeId>,
    /// Who runs it.
    pub effective_node: Option<NodeId>,
    /// Bound to its effective node.
    pub pinned: bool,
    /// Why it is where it is.
    pub reason: Option<String>,
    /// The name the client chose for it.
    pub reference: Option<String>,
    /// Names of its tags.
    pub tags: Vec<String>,
    /// Channels that hear of it.
    pub channels: Vec<String>,
    /// Labels that its node must bear.
    pub run_on: Vec<String>,
    /// Whether the watchdogs are asked before people are told that it is down; `None`: its tags or the configuration say.
    pub second_opinion: Option<opinion::Wish>,
    /// Its tags once more, each also as `name:value` where Kuma's has a value.
    pub tag_values: Vec<String>,
    /// What the watchdogs see of its target, while that matters.
    pub opinion: Option<Record>,
    /// The set (`komainu apply`) that it belongs to.
    pub managed_by: Option<String>,
    /// `api`: it was made through komainu's API; otherwise in Kuma.
    pub made_by: Option<String>,
    /// When it was made through the API.
    pub created_at: Option<Wall>,
    /// When it was last changed through the API.
    pub updated_at: Option<Wall>,
}

impl MonitorView {
    /// It was made through the API, not in Kuma.
    pub fn is_api_made(&self) -> bool {
        self.made_by.as_deref() == Some("api")
    }

    /// What a client compares before it edits, with its quotes.
    pub fn etag(&self) -> String {
        let ours = Ours {
            reference: self.reference.as_deref(),
            channels: &self.channels,
            tags: &self.tags,
            run_on: &self.run_on,
            second_opinion: self.second_opinion,
            managed_by: self.managed_by.as_deref(),
            pinned_to: self.node_id.as_ref().filter(|_| self.pinned),
        };
        crate::monitor::etag(&self.columns, ours)
    }
}

/// The columns of this database's `monitor`.
pub async fn table(store: &Store) -> Result<Table, StoreError> {
    Ok(store.catalog().await?.monitor().clone())
}

/// Which monitors a list shows; all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MonitorFilter {
    /// Run by this node.
    pub effective_node: Option<NodeId>,
    /// At home on this node.
    pub home: Option<NodeId>,
    /// Active, or not.
    pub active: Option<bool>,
    /// Of this type.
    pub kind: Option<String>,
    /// Bearing this tag.
    pub tag: Option<String>,
    /// Whose name, address or host name holds this text.
    pub search: Option<String>,
    /// To which a client gave this name.
    pub reference: Option<String>,
    /// Of this set.
    pub managed_by: Option<String>,
    /// In this state.
    pub state: Option<MonitorState>,
}

/// What people want to know of a monitor first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MonitorState {
    /// It is not to run.
    Paused,
    /// It runs, and has no beat yet.
    Unknown,
    /// As its last beat says.
    Beat(BeatStatus),
}

/// Makes one monitor. [`StoreError::is_duplicate`] when its `reference` is taken.
pub async fn create(store: &Store, new: &NewMonitor) -> Result<MonitorId, StoreError> {
    let made = create_all(store, std::slice::from_ref(new)).await?;
    made.first().copied().ok_or_else(|| StoreError::Invalid("no monitor was made".to_owned()))
}
