//! Second opinions, as this watchdog is configured: who wants one, and at which monitors no watchdog can look.
//!
//! Reads a monitor's row and judges it; looks at nothing. What is told is [`komainu_watchdogs::opinion`]'s to say.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use komainu_watchdogs::opinion::Choice;

use crate::check::{self, Denial, Guard};
use crate::run::spec;
use crate::store::MonitorSpec;

/// What the configuration says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecondOpinion {
    /// Who wants one.
    pub choice: Choice,
    /// Where no watchdog looks.
    pub guard: Guard,
    /// How often each monitor that its node calls up is looked at.
    pub sample_each: Duration,
}

impl SecondOpinion {
    /// As often as a monitor is looked at that its node calls up, unless the configuration says it more often.
    pub const SAMPLE_EACH: Duration = Duration::from_secs(600);
}

impl Default for SecondOpinion {
    /// Nobody wants one.
    fn default() -> Self {
        Self { choice: Choice::default(), guard: Guard::default(), sample_each: Self::SAMPLE_EACH }
    }
}

/// Why no watchdog can look at a monitor's target. Displayed, it says so to people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeftOut {
    /// Of this type.
    Kind(String),
    /// It asks through a proxy.
    Proxy,
    /// It authenticates in this way.
    Auth(String),
    /// It waits for a TLS alert.
    TlsAlert,
    /// Its address is none at which watchdogs look.
    Guarded(IpAddr, Denial),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "watchdogs cannot look at monitors of type {kind}"),
            Self::Proxy => f.write_str("watchdogs do not ask through a proxy"),
            Self::Auth(method) => write!(f, "watchdogs cannot authenticate by {method}"),
            Self::TlsAlert => f.write_str("watchdogs do not look for TLS alerts"),
            Self::Guarded(address, denial) => write!(f, "watchdogs do not look at {address}: {denial}"),
        }
    }
}

/// Why this monitor is left out; `None`: it is not. Where a name or a redirect leads is found by whoever looks.
pub fn left_out(monitor: &MonitorSpec, guard: &Guard) -> Option<LeftOut> {
    let is_http = matches!(monitor.kind.as_str(), "http" | "keyword" | "json-query");
    if !check::KINDS.contains(&monitor.kind.as_str()) {
        return Some(LeftOut::Kind(monitor.kind.clone()));
    }
    if is_http && monitor.proxy_id.is_some() {
        return Some(LeftOut::Proxy);
    }
    let method = spec::text(monitor.auth_method.as_ref()).filter(|_| is_http);
    if let Some(other) = method.filter(|method| !["basic", "bearer", "mtls", "null"].contains(method)) {
        return Some(LeftOut::Auth(other.to_owned()));
    }
    let alert = spec::text(monitor.expected_tls_alert.as_ref()).filter(|_| monitor.kind == "port");
    if alert.is_some_and(|alert| alert != "none") {
        return Some(LeftOut::TlsAlert);
    }
    check::denied(guard, monitor).map(|(address, denial)| LeftOut::Guarded(address, denial))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> MonitorSpec {
        MonitorSpec { url: Some(url.to_owned()), ..MonitorSpec::default() }
    }

    fn why(monitor: &MonitorSpec) -> Option<String> {
        left_out(monitor, &Guard::default()).map(|left_out| left_out.to_string())
    }

    #[test]
    fn what_a_watchdog_cannot_look_at_is_left_out_and_says_why() {
        let plain = http("https://shop.example/");
        assert_eq!(why(&plain), None);
        for kind in ["push", "group", "docker", "mysql", "manual", "real-browser", "grpc-keyword"] {
            let monitor = MonitorSpec { kind: kind.to_owned(), ..plain.clone() };
            assert_eq!(why(&monitor), Some(format!("watchdogs cannot look at monitors of type {kind}")));
        }
        for (monitor, expected) in [
            (MonitorSpec { proxy_id: Some(1), ..plain.clone() }, "watchdogs do not ask through a proxy"),
            (
                MonitorSpec { auth_method: Some("ntlm".to_owned()), ..plain.clone() },
                "watchdogs cannot authenticate by ntlm",
            ),
            (
                MonitorSpec {
                    kind: "port".to_owned(),
                    expected_tls_alert: Some("certificate_required".to_owned()),
                    ..plain.clone()
                },
                "watchdogs do not look for TLS alerts",
            ),
        ] {
            assert_eq!(why(&monitor).as_deref(), Some(expected));
        }
        for method in ["basic", "bearer", "mtls", "null", ""] {
            let monitor = MonitorSpec { auth_method: Some(method.to_owned()), ..plain.clone() };
            assert_eq!(why(&monitor), None, "{method}");
        }
    }

    #[test]
    fn addresses_at_which_watchdogs_do_not_look_are_left_out() {
        let said = why(&http("http://169.254.169.254/latest")).unwrap();
        assert!(said.starts_with("watchdogs do not look at 169.254.169.254"), "{said}");
        let port = |host: &str| MonitorSpec {
            kind: "port".to_owned(),
            hostname: Some(host.to_owned()),
            port: Some(80),
            ..MonitorSpec::default()
        };
        assert!(why(&port("fe80::1")).is_some());
        assert_eq!(why(&port("shop.example")), None);
        let dns = MonitorSpec {
            kind: "dns".to_owned(),
            dns_resolve_server: Some("1.1.1.1, 169.254.169.253".to_owned()),
            ..port("a")
        };
        assert!(why(&dns).is_some());
    }
}
