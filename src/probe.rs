//! How a watchdog looks: one probe of one target, with its time limit.
//!
//! Each probe returns what it saw ([`ProbeOutcome`]), never a verdict. A node or peer is reached when it gives a
//! well-formed answer, a 503 too; every probe opens a connection of its own, because a connection that was kept open
//! says nothing about whether others can connect.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::facts::{Report, Target};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::io::ProbeOutcome;
use komainu_watchdogs::time::Wall;

use crate::keys::ClusterKey;
use crate::run::failure;
use crate::tls::Credentials;

pub(crate) mod answer;
mod canary;
pub(crate) mod node;
mod peer;

/// Probes targets; cheap to clone.
#[derive(Clone, Debug)]
pub struct Prober {
    /// For nodes and peers, whom the cluster's CA may have certified.
    http: reqwest::Client,
    /// For the outside world.
    outside: reqwest::Client,
    key: ClusterKey,
    timeout: Duration,
}

/// What a probe brought home.
#[derive(Debug)]
pub struct ProbeResult {
    /// Answered or not.
    pub outcome: ProbeOutcome,
    /// What a peer said about itself, verified.
    pub report: Option<Box<Report>>,
}

impl From<Result<(), ProbeError>> for ProbeResult {
    fn from(result: Result<(), ProbeError>) -> Self {
        let outcome = match result {
            Ok(()) => ProbeOutcome::Answered,
            Err(ProbeError::Blind) => ProbeOutcome::Blind,
            Err(ProbeError::OwnTrouble(trouble)) => ProbeOutcome::Unable(trouble),
            Err(ProbeError::Refused(words)) => ProbeOutcome::Refused(words),
            Err(error) => ProbeOutcome::Failed(error.to_string()),
        };
        Self { outcome, report: None }
    }
}

/// Why a probe failed, in words for people.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No address is known.
    #[error("its address is not known")]
    NoAddress,
    /// The address cannot be probed.
    #[error("{0} is no address that can be probed; write tcp://host:port, http://… or https://…")]
    BadAddress(String),
    /// The limit passed.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection failed.
    #[error("{0}")]
    Connect(String),
    /// Its host said that nobody listens there.
    #[error("{0}")]
    Refused(String),
    /// The node is there, and the database does not answer it.
    #[error("the node says that the database does not answer it")]
    Blind,
    /// This host could not even try.
    #[error("{0}")]
    OwnTrouble(String),
    /// Something answered, but not what should live there.
    #[error("the answer is not that of a {expected}: {found}")]
    Malformed {
        /// What should live there.
        expected: &'static str,
        /// What was found, in short.
        found: String,
    },
}

impl Prober {
    /// A prober that gives each probe this long.
    pub fn new(key: ClusterKey, timeout: Duration, credentials: &Arc<Credentials>) -> Result<Self, reqwest::Error> {
        let (http, outside) = (client(timeout, credentials.client())?, client(timeout, tls())?);
        Ok(Self { http, outside, key, timeout })
    }

    /// Probes a target once. `address` is where a node or peer says it is; a canary is its own address.
    pub async fn probe(&self, target: &Target, address: Option<&str>) -> ProbeResult {
        let probe = async {
            match target {
                Target::Node(id) => node::probe(&self.http, id, address).await.into(),
                Target::Watchdog(id) => match peer::fetch_report(&self.http, &self.key, id, address).await {
                    Ok(report) => ProbeResult { outcome: ProbeOutcome::Answered, report: Some(Box::new(report)) },
                    Err(error) => Err(error).into(),
                },
                Target::Canary(url) => canary::probe(&self.outside, url).await.into(),
            }
        };
        match tokio::time::timeout(self.timeout, probe).await {
            Ok(seen) => seen,
            Err(_) => Err(ProbeError::Timeout(self.timeout)).into(),
        }
    }

    /// Asks a peer for its report, whoever it says it is.
    pub async fn ask(&self, address: &str) -> Result<Report, ProbeError> {
        let answer = tokio::time::timeout(self.timeout, peer::fetch_signed(&self.http, &self.key, Some(address))).await;
        answer.unwrap_or(Err(ProbeError::Timeout(self.timeout)))
    }

    /// Tells a node that the assignment changed. Its answer does not matter: state decides, within a second anyway.
    pub async fn hint(&self, node: &NodeId, address: &str) {
        if let Err(error) = node::hint(&self.http, &self.key, node, address).await {
            tracing::debug!(node.id = %node, %error, "hint not delivered");
        }
    }

    /// When this node, asked now, had read a monitor's row, on its own clock; `None`: it cannot be asked, or does not say.
    pub async fn reread(&self, node: &NodeId, address: &str, monitor: MonitorId) -> Option<Wall> {
        let asked = node::reread(&self.http, &self.key, (node, address), monitor).await;
        asked.inspect_err(|error| tracing::debug!(node.id = %node, %error, "the node could not be asked")).ok()?
    }
}

/// A client without redirects and without kept connections.
pub(crate) fn client(timeout: Duration, tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(timeout)
        .connect_timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .no_proxy()
        // A few bytes could stand for gigabytes.
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .user_agent(concat!("komainu/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What the host trusts.
pub(crate) fn tls() -> rustls::ClientConfig {
    Credentials::none().client()
}

/// The innermost reason of a client error, without the URL.
pub(crate) fn reason(error: &reqwest::Error) -> ProbeError {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if let Some(error) = cause.downcast_ref::<std::io::Error>()
            && error.raw_os_error().is_some()
        {
            return unconnected(error);
        }
        let Some(source) = cause.source() else { return ProbeError::Connect(cause.to_string()) };
        cause = source;
    }
}

/// Why there is no connection: the other end, or this host.
fn unconnected(error: &std::io::Error) -> ProbeError {
    // A host that is off looks unreachable from the same network; a network is out of reach without a route of one's own.
    let is_own = failure::is_want(error) || error.kind() == std::io::ErrorKind::NetworkUnreachable;
    if is_own {
        ProbeError::OwnTrouble(error.to_string())
    } else if error.kind() == std::io::ErrorKind::ConnectionRefused {
        ProbeError::Refused(error.to_string())
    } else {
        ProbeError::Connect(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn prober() -> Prober {
        Prober::new(ClusterKey::generate(), Duration::from_secs(3), &Credentials::none()).unwrap()
    }

    async fn answering(status: u16, body: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let status = http::StatusCode::from_u16(status).unwrap();
        let app = axum::Router::new().fallback(move || async move { (status, body) });
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    async fn outcome(target: Target, address: &str) -> ProbeOutcome {
        prober().probe(&target, Some(address)).await.outcome
    }

    #[tokio::test]
    async fn a_node_that_the_database_does_not_answer_is_reached_and_says_so() {
        let address = answering(503, r#"{"node_id": "node1", "status": "down", "database": false}"#).await;
        assert_eq!(outcome(Target::Node("node1".into()), &address).await, ProbeOutcome::Blind);
        let address = answering(503, r#"{"node_id": "node1", "status": "down", "database": true}"#).await;
        assert_eq!(outcome(Target::Node("node1".into()), &address).await, ProbeOutcome::Answered);
    }

    #[tokio::test]
    async fn a_node_that_answers_503_about_itself_is_reached() {
        let address = answering(503, r#"{"node_id": "node1", "status": "down"}"#).await;
        assert_eq!(outcome(Target::Node("node1".into()), &address).await, ProbeOutcome::Answered);
    }

    #[tokio::test]
    async fn a_page_of_something_else_is_not_a_node() {
        let address = answering(200, "<html>migrating</html>").await;
        assert!(matches!(outcome(Target::Node("node1".into()), &address).await, ProbeOutcome::Failed(_)));
    }

    #[tokio::test]
    async fn another_node_at_the_address_is_not_this_node() {
        let address = answering(200, r#"{"node_id": "node2"}"#).await;
        let ProbeOutcome::Failed(detail) = outcome(Target::Node("node1".into()), &address).await else { panic!() };
        assert!(detail.contains("node2"), "{detail}");
    }

    #[test]
    fn what_this_host_lacks_is_no_failure_of_the_target() {
        use rustix::io::Errno;

        let of = |errno: Errno| unconnected(&std::io::Error::from_raw_os_error(errno.raw_os_error()));
        for own in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::ADDRNOTAVAIL, Errno::NETUNREACH] {
            assert!(matches!(of(own), ProbeError::OwnTrouble(_)), "{own}");
        }
        for theirs in [Errno::HOSTUNREACH, Errno::CONNRESET, Errno::TIMEDOUT] {
            assert!(matches!(of(theirs), ProbeError::Connect(_)), "{theirs}");
        }
        assert!(matches!(of(Errno::CONNREFUSED), ProbeError::Refused(_)), "a host that says that nobody listens");
    }

    #[tokio::test]
    async fn what_never_ends_is_not_read_to_its_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sent, chunk) = (Arc::new(AtomicUsize::new(0)), [b' '; 8 * 1024]);
        let counted = Arc::clone(&sent);
        let endless = move || {
            let counted = Arc::clone(&counted);
            let chunks = futures_util::stream::repeat_with(move || {
                counted.fetch_add(chunk.len(), Ordering::Relaxed);
                Ok::<_, Infallible>(chunk.to_vec())
            });
            async move { axum::body::Body::from_stream(chunks) }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(endless)).await });
        for target in [Target::Node("node1".into()), Target::Watchdog("w2".into())] {
            let ProbeOutcome::Failed(detail) = outcome(target, &address).await else { panic!() };
            assert!(detail.contains("longer than 64 KiB"), "{detail}");
        }
        assert_eq!(outcome(Target::Canary(address), "").await, ProbeOutcome::Answered);
        let sent = sent.load(Ordering::Relaxed);
        // What stands in the buffers of the sockets was sent as well.
        assert!(sent < 64 * 1024 * 1024, "{sent} bytes");
    }

    #[tokio::test]
    async fn an_answer_is_not_unpacked() {
        let body = br#"{"node_id": "node1"}"#;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = move |headers: http::HeaderMap| async move {
            assert!(!headers.contains_key("accept-encoding"));
            ([("content-encoding", "gzip")], body.as_slice())
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(asked)).await });
        assert_eq!(outcome(Target::Node("node1".into()), &address).await, ProbeOutcome::Answered);
    }

    #[tokio::test]
    async fn an_unsigned_report_is_not_a_peers() {
        let address = answering(200, "{}").await;
        assert!(matches!(outcome(Target::Watchdog("w2".into()), &address).await, ProbeOutcome::Failed(_)));
    }

    #[tokio::test]
    async fn a_canary_that_accepts_connections_is_reached() {
        let address = answering(404, "").await;
        let tcp = address.replace("http://", "tcp://");
        for canary in [tcp, address] {
            assert_eq!(outcome(Target::Canary(canary), "").await, ProbeOutcome::Answered);
        }
    }
}
