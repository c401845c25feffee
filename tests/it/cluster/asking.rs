//! What a story asks a cluster, by its API and past it, and what it waits for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::wait::wait_until;
use super::{Cluster, judge};

impl Cluster {
    /// A POST with the admin key, to the first watchdog that answers.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = Value::Null;
        wait_until(&format!("POST {path} is answered"), Duration::from_secs(30), async || {
            for name in &self.watchdogs {
                let request = self.http.post(self.url_of(name, path)).bearer_auth(&self.api_key);
                let request = request.header("content-type", "application/json").body(body.to_string());
                let Ok(response) = request.send().await else { continue };
                let status = response.status();
                let text = response.text().await.unwrap();
                assert!(!status.is_client_error(), "POST {path}: {status} {text}");
                if status.is_success() {
                    answer = serde_json::from_str(&text).unwrap_or(Value::Null);
                    return true;
                }
            }
            false
        })
        .await;
        answer
    }

    /// A PATCH with the admin key, to the first watchdog.
    pub(crate) async fn patch(&self, path: &str, body: &Value) {
        let request = self.http.patch(self.url_of("w1", path)).bearer_auth(&self.api_key);
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "PATCH {path}: {}", answer.text().await.unwrap());
    }

    /// The code of what the first watchdog answers to this, with the admin key.
    pub(crate) async fn call(&self, method: reqwest::Method, path: &str, body: &Value) -> u16 {
        let request = self.http.request(method, self.url_of("w1", path)).bearer_auth(&self.api_key);
        let has_body = !body.is_null();
        let request =
            if has_body { request.header("content-type", "application/json").body(body.to_string()) } else { request };
        request.send().await.unwrap().status().as_u16()
    }

    /// The code of what a GET of this path brings, without a key.
    pub(crate) async fn ask_of(&self, process: &str, path: &str) -> Option<u16> {
        Some(self.http.get(self.url_of(process, path)).send().await.ok()?.status().as_u16())
    }

    /// With scope admin.
    pub(crate) fn api_key(&self) -> &str {
        &self.api_key
    }

    /// A path of this watchdog.
    pub(crate) fn url_of(&self, watchdog: &str, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.ports[watchdog])
    }

    /// Where its watchdogs listen.
    pub(crate) fn watchdog_ports(&self) -> impl Iterator<Item = u16> {
        self.watchdogs.iter().map(|name| self.ports[name])
    }

    /// `/status` of this watchdog, with its HTTP code.
    pub(crate) async fn status_of(&self, watchdog: &str) -> Option<(u16, Value)> {
        let response = self.http.get(self.url_of(watchdog, "/status")).send().await.ok()?;
        let code = response.status().as_u16();
        Some((code, serde_json::from_str(&response.text().await.ok()?).ok()?))
    }

    /// `/status` of the first watchdog that answers.
    pub(crate) async fn status(&self) -> Option<Value> {
        for name in &self.watchdogs {
            if let Some((_, status)) = self.status_of(name).await {
                return Some(status);
            }
        }
        None
    }

    /// Who leads, as the database says.
    pub(crate) async fn leader(&self) -> (String, i64) {
        let rows = self.database.rows("SELECT watchdog_id, epoch FROM komainu_leader").await;
        (rows[0][0].clone(), rows[0][1].parse().unwrap())
    }

    /// Monitors whose effective node this is.
    pub(crate) async fn owned_by(&self, node: &str) -> Vec<i64> {
        let effective = "COALESCE(assigned_node, node_id, '')";
        let sql = format!("SELECT monitor_id FROM komainu_assignment WHERE {effective} = '{node}' ORDER BY monitor_id");
        self.database.rows(&sql).await.iter().map(|row| row[0].parse().unwrap()).collect()
    }

    /// Microseconds UTC.
    pub(crate) fn now_us() -> i64 {
        komainu::clock::wall_micros()
    }

    /// Waits until each of these monitors has a beat stored after `since_us`; returns how long after it the last came.
    pub(crate) async fn wait_for_beats(&self, monitors: &[i64], since_us: i64, limit: Duration) -> Duration {
        let mut last_us = since_us;
        wait_until(&format!("{} monitors beat", monitors.len()), limit, async || {
            let mut first: BTreeMap<i64, i64> = BTreeMap::new();
            for beat in self.database.beats().await.into_iter().filter(|beat| beat.at_us > since_us) {
                first.entry(beat.monitor).or_insert(beat.at_us);
            }
            last_us = monitors.iter().filter_map(|monitor| first.get(monitor)).copied().max().unwrap_or(since_us);
            monitors.iter().all(|monitor| first.contains_key(monitor))
        })
        .await;
        Duration::from_micros(u64::try_from(last_us - since_us).unwrap_or(0))
    }

    /// Waits until each of these monitors has another owner than `node`, and has beaten there.
    pub(crate) async fn wait_for_beats_elsewhere(&self, monitors: &[i64], node: &str, since_us: i64) -> Duration {
        let has_left = async || self.owned_by(node).await.is_empty();
        wait_until(&format!("{node} owns nothing"), Duration::from_secs(60), has_left).await;
        let history = self.database.history().await;
        let left_us = history.iter().rev().find(|change| monitors.contains(&change.monitor)).unwrap().at_us;
        self.wait_for_beats(monitors, left_us, Duration::from_secs(60)).await;
        Duration::from_micros(u64::try_from(Self::now_us() - since_us).unwrap_or(0))
    }

    /// `node.status`.
    pub(crate) async fn node_status(&self, node: &str) -> String {
        self.database.rows(&format!("SELECT status FROM node WHERE node_id = '{node}'")).await[0][0].clone()
    }

    /// Judges "one owner" over everything that happened so far.
    pub(crate) async fn assert_one_owner(&self) {
        let history = self.database.history().await;
        let traces = judge::read_traces(self.folder.path());
        assert!(traces.iter().any(|line| line.event == "run"), "the traces show no run at all");
        let violations = judge::violations(&history, (&traces, &self.database.beats().await), &self.target.log());
        assert!(violations.is_empty(), "{} violations of one owner:\n{}", violations.len(), violations.join("\n"));
    }

    /// No beat said *down*: the target was up all the time.
    pub(crate) async fn assert_no_false_down(&self) {
        let downs: Vec<_> = self.database.beats().await.into_iter().filter(|beat| beat.status == 0).collect();
        assert!(downs.is_empty(), "{} beats say down although the target was up: {downs:?}", downs.len());
    }
}
