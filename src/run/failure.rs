//! Why a run failed, in words for people, and whether the target or the node itself is to blame.
//!
//! Owns the wording (Kuma's, where Kuma has some) and the line between a target's failure and own trouble.

use std::error::Error;
use std::io;
use std::time::Duration;

use komainu_watchdogs::check::{Failure as Cause, Trouble};
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use super::{names, tls};

/// Why a run failed, in the words of [`komainu_watchdogs::check`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The target is to blame.
    Target(Cause),
    /// This host knows no way to the target: no route, or no name server that answers. A monitor is down then, as in
    /// Kuma; a watchdog's look says nothing of the target.
    Way(Trouble),
    /// The node is to blame, or nobody: says nothing of the target.
    Own(Trouble),
    /// The node, for good: a stock Kuma could look at this target.
    OnlyKumas,
}

/// A run that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What the beat says, in Kuma's words where it has any.
    pub msg: String,
    /// The target answered, though not as it should, after so many milliseconds.
    pub ping_ms: Option<i64>,
    /// What is kept of the answer's body.
    pub response: Option<String>,
    /// Why, and who is to blame.
    pub fault: Fault,
    /// Trying again would show the same: it is down at once.
    pub is_final: bool,
}

impl Failure {
    fn new(fault: Fault, msg: impl Into<String>) -> Self {
        Self { msg: msg.into(), ping_ms: None, response: None, fault, is_final: false }
    }

    /// The target is to blame: what it says cannot be taken for an answer, or cannot be asked for.
    pub fn target(msg: impl Into<String>) -> Self {
        Self::found(Cause::Protocol, msg)
    }

    /// The target is to blame, for this.
    pub fn found(cause: Cause, msg: impl Into<String>) -> Self {
        Self::new(Fault::Target(cause), msg)
    }

    /// The node is to blame.
    pub fn own(msg: impl Into<String>) -> Self {
        Self::lacking(Trouble::Internal, msg)
    }

    /// The node is to blame, for this.
    pub fn lacking(trouble: Trouble, msg: impl Into<String>) -> Self {
        Self::new(Fault::Own(trouble), msg)
    }

    /// Says nothing of the target.
    pub fn is_own_trouble(&self) -> bool {
        match self.fault {
            Fault::Own(_) | Fault::OnlyKumas => true,
            Fault::Target(_) | Fault::Way(_) => false,
        }
    }

    /// This node cannot look at such a target, and a stock Kuma can.
    pub(super) fn only_kumas(why: &str) -> Self {
        Self::new(Fault::OnlyKumas, format!("{why}: {MOVE}"))
    }

    /// The run took too long.
    pub fn timeout(limit: Duration) -> Self {
        Self::found(Cause::AnswerTimeout, format!("timeout of {}ms exceeded", limit.as_millis()))
    }

    /// A name could not be resolved.
    pub fn resolve(host: &str, error: &io::Error) -> Self {
        match own_trouble(error) {
            Some(failure) => failure,
            None => Self::new(unfound_by(error), unfound(host)),
        }
    }

    /// A connection could not be made; `peer` is `host:port`.
    pub fn connect(peer: &str, error: &io::Error) -> Self {
        match own_trouble(error) {
            Some(failure) => failure,
            None => Self::new(fault_of(error), format!("connect {}", describe_io(error, Some(peer)))),
        }
    }

    /// A request to this address, or its answer, failed.
    pub fn request(error: &reqwest::Error, url: &url::Url, limit: Duration) -> Self {
        if error.is_timeout() {
            return Self::timeout(limit);
        }
        let peer = peer_of(url);
        describe_chain(error, url.host_str().unwrap_or("the host"), peer.as_deref())
    }
}

/// `host:port` of a URL.
pub fn peer_of(url: &url::Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn describe_chain(error: &reqwest::Error, host: &str, peer: Option<&str>) -> Failure {
    let mut innermost: &dyn Error = error;
    let mut is_name_lookup = false;
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(current) = cause {
        if let Some(tls) = as_tls_error(current) {
            return tls_failure(tls);
        }
        if let Some(io) = current.downcast_ref::<io::Error>()
            && let Some(failure) = own_trouble(io)
        {
            return failure;
        }
        is_name_lookup |= current.to_string() == "dns error";
        innermost = current;
        cause = current.source();
    }
    let io = innermost.downcast_ref::<io::Error>();
    if is_name_lookup {
        return Failure::new(io.map_or(Fault::Target(Cause::NoName), unfound_by), unfound(host));
    }
    match io {
        Some(io) if error.is_connect() => Failure::connect(peer.unwrap_or(host), io),
        Some(io) => Failure::new(fault_of(io), describe_io(io, None)),
        None => Failure::target(describe_http(&innermost.to_string())),
    }
}

/// In Node's words where people know those.
fn describe_http(error: &str) -> String {
    if error == "connection closed before message completed" { "socket hang up".to_owned() } else { error.to_owned() }
}

/// TLS errors travel inside one `io::Error` or two, whose `source()` skips them.
fn as_tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut error = error;
    while let Some(io) = error.downcast_ref::<io::Error>() {
        error = io.get_ref()?;
    }
    error.downcast_ref()
}

fn tls_failure(error: &rustls::Error) -> Failure {
    let is_unknown = matches!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    if is_unknown && tls::has_no_roots() {
        return Failure::lacking(Trouble::Unsupported, "this node has no CA certificates: install ca-certificates");
    }
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error
        && let Some(beyond) = other.0.downcast_ref::<tls::Beyond>()
    {
        return Failure::only_kumas(&format!("this node cannot judge the certificate ({beyond})"));
    }
    if let rustls::Error::PeerIncompatible(fault) = error
        && is_beyond(fault)
    {
        return Failure::only_kumas(&format!("this node cannot agree with the server on TLS ({error})"));
    }
    let is_certificate = matches!(error, rustls::Error::InvalidCertificate(_));
    Failure::found(if is_certificate { Cause::Certificate } else { Cause::Tls }, describe_tls(error))
}

/// The way out of what only OpenSSL can do.
const MOVE: &str = "move this monitor to an Uptime Kuma node";

/// What OpenSSL speaks and rustls does not.
fn is_beyond(fault: &PeerIncompatible) -> bool {
    matches!(
        fault,
        PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon
    )
}

/// Whether a server refused what this node offered of TLS: it may agree with OpenSSL.
pub fn is_refusal(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(current) = cause {
        if let Some(rustls::Error::AlertReceived(alert)) = as_tls_error(current) {
            return matches!(alert, AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity);
        }
        cause = current.source();
    }
    false
}

#[expect(clippy::wildcard_enum_match_arm, reason = "rustls's enum grows; its own words are good enough for the rest")]
fn describe_tls(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(fault) = error else { return format!("TLS: {error}") };
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not yet valid".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "Hostname/IP does not match certificate's altnames".to_owned()
        }
        // A certificate that may sign others, shown as a server's own: what `openssl req -x509` makes.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "self-signed certificate".to_owned()
        }
        CertificateError::UnhandledCriticalExtension => "unhandled critical extension".to_owned(),
        CertificateError::UnknownIssuer => "self-signed certificate, or one of an unknown issuer".to_owned(),
        other => format!("invalid certificate: {other}"),
    }
}

fn unfound(host: &str) -> String {
    format!("getaddrinfo ENOTFOUND {host}")
}

/// Of a lookup that failed, where this process lacks nothing.
fn unfound_by(error: &io::Error) -> Fault {
    if names::is_unanswered(error) { Fault::Way(Trouble::NameServer) } else { Fault::Target(Cause::NoName) }
}

/// Of a connection that failed, where this process lacks nothing.
fn fault_of(error: &io::Error) -> Fault {
    let causes = [
        (io::ErrorKind::ConnectionRefused, Cause::Refused),
        (io::ErrorKind::ConnectionReset, Cause::Reset),
        (io::ErrorKind::ConnectionAborted, Cause::Reset),
        (io::ErrorKind::BrokenPipe, Cause::Reset),
        (io::ErrorKind::UnexpectedEof, Cause::Reset),
        (io::ErrorKind::HostUnreachable, Cause::Unreachable),
        (io::ErrorKind::TimedOut, Cause::ConnectTimeout),
    ];
    // A host that is off looks unreachable from the same network; a network is out of reach without a route of one's own.
    if error.kind() == io::ErrorKind::NetworkUnreachable {
        return Fault::Way(Trouble::Route);
    }
    let known = causes.iter().find(|(kind, _)| *kind == error.kind());
    Fault::Target(known.map_or(Cause::Protocol, |&(_, cause)| cause))
}

/// What the node ran out of, if it did, or what it must not look at.
fn own_trouble(error: &io::Error) -> Option<Failure> {
    if let Some(refused) = names::refused(error) {
        return Some(Failure::found(Cause::Forbidden, refused.to_string()));
    }
    let trouble = want(error)?;
    Some(Failure::lacking(trouble, format!("this node could not run the monitor: {error}")))
}

/// Whether this process or host lacks something, so that nobody was asked: descriptors, memory, or a local port for an
/// outgoing connection.
pub(crate) fn is_want(error: &io::Error) -> bool {
    want(error).is_some()
}

fn want(error: &io::Error) -> Option<Trouble> {
    use rustix::io::Errno;
    let wants = [
        (Errno::MFILE, Trouble::Descriptors),
        (Errno::NFILE, Trouble::Descriptors),
        (Errno::NOBUFS, Trouble::Memory),
        (Errno::NOMEM, Trouble::Memory),
        (Errno::ADDRNOTAVAIL, Trouble::Address),
    ];
    let errno = Errno::from_io_error(error)?;
    wants.iter().find(|(wanted, _)| *wanted == errno).map(|&(_, trouble)| trouble)
}

/// `ECONNREFUSED 127.0.0.1:1 (Connection refused)`: the name that Kuma shows, and words.
fn describe_io(error: &io::Error, peer: Option<&str>) -> String {
    let peer = peer.map(|peer| format!(" {peer}")).unwrap_or_default();
    match errno_name(error.kind()) {
        Some(name) => format!("{name}{peer}"),
        None => format!("{error}{peer}"),
    }
}

fn errno_name(kind: io::ErrorKind) -> Option<&'static str> {
    let names = [
        (io::ErrorKind::ConnectionRefused, "ECONNREFUSED"),
        (io::ErrorKind::ConnectionReset, "ECONNRESET"),
        (io::ErrorKind::ConnectionAborted, "ECONNABORTED"),
        (io::ErrorKind::HostUnreachable, "EHOSTUNREACH"),
        (io::ErrorKind::NetworkUnreachable, "ENETUNREACH"),
        (io::ErrorKind::TimedOut, "ETIMEDOUT"),
        (io::ErrorKind::BrokenPipe, "EPIPE"),
        (io::ErrorKind::PermissionDenied, "EACCES"),
    ];
    names.iter().find(|(named, _)| *named == kind).map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_file_descriptors_blames_itself() {
        let error = io::Error::from(rustix::io::Errno::MFILE);
        assert!(Failure::connect("example.com:80", &error).is_own_trouble());
    }

    #[test]
    fn a_refused_connection_names_the_peer() {
        let error = io::Error::from(rustix::io::Errno::CONNREFUSED);
        let failure = Failure::connect("127.0.0.1:1", &error);
        assert_eq!(failure, Failure::found(Cause::Refused, "connect ECONNREFUSED 127.0.0.1:1"));
    }

    #[test]
    fn a_timeout_is_told_in_milliseconds() {
        assert_eq!(Failure::timeout(Duration::from_secs(48)).msg, "timeout of 48000ms exceeded");
    }
}
