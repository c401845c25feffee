//! Monitors of type `port`: up when a TCP connection is made.
//!
//! Kuma waits 5 s whatever the monitor's timeout says; a shorter timeout is honoured here.

use std::time::Duration;

use tokio::net::TcpStream;

use super::failure::Failure;
use super::names::Names;
use super::phases::{self, Phase};
use super::{RunResult, millis_since, resolve};
use crate::clock;
use crate::run::spec;
use crate::store::monitors::MonitorSpec;

/// As long as Kuma waits: time for two retransmitted SYNs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One run of a monitor of type `port`.
pub(super) async fn run(names: &Names, monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let host = spec::text(monitor.hostname.as_ref()).ok_or_else(|| Failure::target("no hostname is configured"))?;
    let port = monitor.port.filter(|&port| port > 0);
    let port = port.ok_or_else(|| Failure::target("no port between 1 and 65535 is configured"))?;
    if spec::text(monitor.expected_tls_alert.as_ref()).is_some_and(|alert| alert != "none") {
        return Err(Failure::own(
            "a native node does not look for TLS alerts: move this monitor to an Uptime Kuma node",
        ));
    }
    let limit = CONNECT_TIMEOUT.min(spec::timeout(monitor));
    tokio::time::timeout(limit, connect(names, monitor, host, port))
        .await
        .unwrap_or_else(|_| Err(Failure::timeout(limit)))
        .map_err(|failure| Failure { msg: format!("Connection failed: {}", failure.msg), ..failure })
}

async fn connect(names: &Names, monitor: &MonitorSpec, host: &str, port: u16) -> Result<RunResult, Failure> {
    let addresses = resolve(names, monitor, host, port).await?;
    let mut last = Failure::target(format!("{host} has no address"));
    for address in addresses {
        // Kuma's time is that of the connection alone, without the name's resolution.
        let began_at = clock::now();
        phases::enter(Phase::Connect);
        phases::ask(address.ip());
        match TcpStream::connect(address).await {
            Ok(_) => {
                let ping_ms = millis_since(began_at);
                return Ok(RunResult::up(format!("{ping_ms} ms"), ping_ms));
            }
            Err(error) => last = Failure::connect(&address.to_string(), &error),
        }
    }
    Err(last)
}
