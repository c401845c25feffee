//! A program that pushes heartbeats.

use std::time::Duration;

use komainu::heartbeat::secret::{HEADER, sign};
use serde_json::json;

use super::Cluster;

/// A heartbeat and its secret.
#[derive(Clone)]
pub(crate) struct Bot {
    pub(crate) name: String,
    secret: String,
    http: reqwest::Client,
}

impl Bot {
    /// Makes the heartbeat, with a second of grace.
    pub(crate) async fn make(cluster: &Cluster, name: &str, period_s: u32) -> Self {
        let body = json!({"name": name, "period_s": period_s, "grace_s": 1});
        let made = cluster.post("/api/v1/heartbeats", &body).await;
        Self {
            name: name.to_owned(),
            secret: made["secret"].as_str().unwrap().to_owned(),
            http: super::client(Duration::from_secs(10)).build().unwrap(),
        }
    }

    /// Every push goes by a connection of its own from here on.
    pub(crate) fn without_keeping(self) -> Self {
        let http = super::client(Duration::from_secs(10)).pool_max_idle_per_host(0).build().unwrap();
        Self { http, ..self }
    }

    /// The code of what a GET of this address brings.
    pub(crate) async fn ask(&self, url: &str) -> Option<u16> {
        Some(self.http.get(url).send().await.ok()?.status().as_u16())
    }

    fn path(&self) -> String {
        format!("/heartbeats/{}", self.name)
    }

    /// Sends a push that bears this time; the HTTP code, `None`: there was no answer.
    pub(crate) async fn push(&self, base: &str, time_us: i64) -> Option<u16> {
        let body = format!("{{\"time\": {}.{:06}}}", time_us / 1_000_000, time_us % 1_000_000);
        let request = self.http.post(format!("{base}{}", self.path()));
        let request = request.header(HEADER, sign(&self.secret, body.as_bytes()));
        Some(request.body(body).send().await.ok()?.status().as_u16())
    }

    /// What GET says at this watchdog.
    pub(crate) async fn seen_at(&self, base: &str) -> Option<u16> {
        self.ask(&format!("{base}{}", self.path())).await
    }
}
