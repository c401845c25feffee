//! Monitors of type `dns`: asks the monitor's own servers for records of one type, and holds them against its conditions.
//!
//! Messages are those of Uptime Kuma 2.5.3, `server/monitor-types/dns.js`, and of Node's resolver. Nothing is cached: what
//! a server says now is the point. Kuma's `dns_last_result` is not written; the beat says the same.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use komainu_watchdogs::check::Failure as Cause;

use super::conditions::Conditions;
use super::failure::{Failure, Fault};
use super::names::{self, Names};
use super::phases::{self, Phase};
use super::{RunResult, millis_since};
use crate::clock;
use crate::run::spec;
use crate::store::monitors::MonitorSpec;

/// How long one server may take to answer once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The second of two attempts that are a second apart still has the time for an answer.
const MORE_THAN_A_MOMENT: Duration = Duration::from_millis(1_500);

/// One run of a monitor of type `dns`.
pub(super) async fn run(names: &Names, monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let limit = spec::timeout(monitor);
    tokio::time::timeout(limit, ask(names, monitor, limit)).await.unwrap_or_else(|_| Err(Failure::timeout(limit)))
}

async fn ask(names: &Names, monitor: &MonitorSpec, limit: Duration) -> Result<RunResult, Failure> {
    let host = spec::text(monitor.hostname.as_ref()).ok_or_else(|| Failure::target("no hostname is configured"))?;
    let conditions = Conditions::read(&monitor.conditions).map_err(Failure::target)?;
    let question = Question::new(spec::text(monitor.dns_resolve_type.as_ref()).unwrap_or("A"), host)?;
    let began_at = clock::now();
    let servers = servers(names, monitor.dns_resolve_server.as_deref().unwrap_or_default()).await?;
    let resolver = resolver(&servers, monitor.port.unwrap_or(53), limit)?;
    phases::enter(Phase::FirstByte);
    if let Some(server) = servers.first() {
        phases::ask(*server);
    }
    let found = resolver.lookup(question.name.clone(), question.kind).await;
    let records: Vec<RData> = match found {
        Ok(found) => {
            let wanted = found.answers().iter().filter(|record| record.record_type() == question.kind);
            wanted.map(|record| record.data.clone()).collect()
        }
        Err(error) => return Err(question.failure(&error)),
    };
    let ping_ms = millis_since(began_at);
    let failure = |msg| Failure { ping_ms: Some(ping_ms), ..Failure::found(Cause::Content, msg) };
    if records.is_empty() {
        return Err(question.told("ENODATA"));
    }
    let (msg, is_taken) = judge(question.kind, &records, &conditions).map_err(failure)?;
    if is_taken { Ok(RunResult::up(msg, ping_ms)) } else { Err(failure(msg)) }
}

/// What is asked.
struct Question {
    kind: RecordType,
    name: Name,
    /// As the monitor says it.
    host: String,
}

impl Question {
    fn new(kind: &str, host: &str) -> Result<Self, Failure> {
        let kind = match kind {
            "A" => RecordType::A,
            "AAAA" => RecordType::AAAA,
            "CAA" => RecordType::CAA,
            "CNAME" => RecordType::CNAME,
            "MX" => RecordType::MX,
            "NS" => RecordType::NS,
            "PTR" => RecordType::PTR,
            "SOA" => RecordType::SOA,
            "SRV" => RecordType::SRV,
            "TXT" => RecordType::TXT,
            other => return Err(Failure::target(format!("the record type {other} is unknown"))),
        };
        let question = Self { kind, name: Name::root(), host: host.to_owned() };
        let mut name = if kind == RecordType::PTR {
            Name::from(host.parse::<IpAddr>().map_err(|_| question.told("EINVAL"))?)
        } else {
            name_of(host).ok_or_else(|| question.told("EBADNAME"))?
        };
        // No search list: what the monitor says is the whole name.
        name.set_fqdn(true);
        Ok(Self { name, ..question })
    }

    /// In Node's words: `queryMx ENOTFOUND example.com`.
    fn told(&self, why: &str) -> Failure {
        let call = match self.kind.to_string().as_str() {
            "PTR" => "getHostByAddr".to_owned(),
            kind => {
                let (first, rest) = kind.split_at(1);
                format!("query{first}{}", rest.to_ascii_lowercase())
            }
        };
        Failure::found(cause_of(why), format!("{call} {why} {}", self.host))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enums that grow; their own words are good enough")]
    fn failure(&self, error: &NetError) -> Failure {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(nothing)) => self.told(code_name(nothing.response_code)),
            NetError::Dns(DnsError::ResponseCode(code)) => self.told(code_name(*code)),
            NetError::Timeout => self.told("ETIMEOUT"),
            NetError::NoConnections => self.told("ECONNREFUSED"),
            NetError::Io(io) => {
                let failure = Failure::connect(&self.host, io);
                if matches!(failure.fault, Fault::Target(_)) { self.told("ECONNREFUSED") } else { failure }
            }
            other => Failure::target(format!("{}: {other}", self.told("EBADRESP").msg)),
        }
    }
}

/// What Node's word means.
fn cause_of(why: &str) -> Cause {
    match why {
        "ENOTFOUND" => Cause::NoName,
        "ENODATA" => Cause::Content,
        "ETIMEOUT" => Cause::AnswerTimeout,
        "ECONNREFUSED" => Cause::Refused,
        _ => Cause::Protocol,
    }
}

/// The name that Node asks for. Zones hold names that no host has: `_dmarc`, `a_b`, `0/25` (RFC 2317), `*`.
fn name_of(host: &str) -> Option<Name> {
    let host = if host.is_ascii() { Cow::Borrowed(host) } else { Cow::Owned(idna::domain_to_ascii(host).ok()?) };
    let host = host.strip_suffix('.').unwrap_or(&host);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/*".contains(&byte);
    let labels: Vec<&[u8]> = host.split('.').map(str::as_bytes).collect();
    let are_names = labels.iter().all(|label| !label.is_empty() && label.iter().copied().all(is_plain));
    Name::from_labels(labels).ok().filter(|_| are_names)
}

/// The name that Node.js has for a failure.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; Node has one word for the rest")]
fn code_name(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "ENODATA",
        ResponseCode::NXDomain => "ENOTFOUND",
        ResponseCode::FormErr => "EFORMERR",
        ResponseCode::ServFail => "ESERVFAIL",
        ResponseCode::NotImp => "ENOTIMP",
        ResponseCode::Refused => "EREFUSED",
        _ => "EBADRESP",
    }
}

/// The addresses of the servers in `list`: addresses and names, separated by commas. A name that is unknown counts for
/// nothing as long as another is known.
async fn servers(names: &Names, list: &str) -> Result<Vec<IpAddr>, Failure> {
    let list: String = list.chars().filter(|character| !character.is_whitespace()).collect();
    let wanted: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).collect();
    if wanted.is_empty() {
        return Err(Failure::target(
            "No Resolver Servers specified. Please specify at least one resolver server like 1.1.1.1 or a hostname",
        ));
    }
    let mut servers = Vec::new();
    for server in wanted {
        match names.lookup(server).await {
            Ok(addresses) => servers.extend(addresses),
            Err(error) if names::refused(&error).is_some() => return Err(Failure::resolve(server, &error)),
            Err(_) => {}
        }
    }
    if servers.is_empty() {
        return Err(Failure::target(
            "None of the configured resolver servers could be resolved to an IP address. Please provide a \
             comma-separated list of valid resolver hostnames or IP addresses.",
        ));
    }
    Ok(servers)
}

fn resolver(servers: &[IpAddr], port: u16, limit: Duration) -> Result<TokioResolver, Failure> {
    let server = |&ip: &IpAddr| {
        let mut server = NameServerConfig::udp_and_tcp(ip);
        server.connections.iter_mut().for_each(|connection| connection.port = port);
        server
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.attempts = 2;
    options.timeout = second_try_after(limit);
    builder.build().map_err(|error| Failure::own(format!("this node could not ask: {error}")))
}

/// Both attempts fit into the time that the monitor has; where it has more than a moment they are a second apart, as those of TCP.
fn second_try_after(limit: Duration) -> Duration {
    let half = ANSWER_TIMEOUT.min(limit.mul_f64(0.45));
    if limit >= MORE_THAN_A_MOMENT { half.max(Duration::from_secs(1)) } else { half }
}

/// What is told of the records, and whether one of them fulfils the conditions: the first one where Kuma looks at that
/// alone.
fn judge(kind: RecordType, records: &[RData], conditions: &Conditions) -> Result<(String, bool), String> {
    let told: Vec<DnsRecord> = records.iter().filter_map(dns_record).collect();
    let shown = |separator: &str| {
        let shown = told.iter().map(|told| told.shown.as_str()).filter(|shown| !shown.is_empty());
        shown.collect::<Vec<_>>().join(separator)
    };
    let is_single = matches!(kind, RecordType::CNAME | RecordType::SOA);
    let msg = if is_single {
        told.first().map(|told| told.shown.clone()).unwrap_or_default()
    } else if matches!(kind, RecordType::MX | RecordType::SRV) {
        shown(" | ")
    } else if kind == RecordType::NS {
        format!("Servers: {}", shown(" | "))
    } else {
        format!("Records: {}", shown(" | "))
    };
    let looked_at = if is_single { told.get(..1).unwrap_or_default() } else { &told };
    for record in looked_at.iter().flat_map(|told| &told.compared) {
        if conditions.take(record)? {
            return Ok((msg, true));
        }
    }
    Ok((msg, false))
}

/// A record of an answer.
struct DnsRecord {
    shown: String,
    /// What conditions look at.
    compared: Vec<String>,
}

impl DnsRecord {
    fn new(shown: String, compared: String) -> Self {
        Self { shown, compared: vec![compared] }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other types are asked for")]
fn dns_record(record: &RData) -> Option<DnsRecord> {
    let same = |text: String| DnsRecord::new(text.clone(), text);
    Some(match record {
        RData::A(a) => same(a.0.to_string()),
        RData::AAAA(aaaa) => same(aaaa.0.to_string()),
        RData::PTR(ptr) => same(bare(&ptr.0)),
        RData::CNAME(cname) => same(bare(&cname.0)),
        RData::NS(ns) => same(bare(&ns.0)),
        RData::TXT(txt) => {
            let parts = txt.txt_data.iter().map(|part| String::from_utf8_lossy(part).into_owned());
            let parts: Vec<_> = parts.collect();
            DnsRecord { shown: parts.join(","), compared: parts }
        }
        RData::CAA(caa) => {
            let is_issue = caa.tag.eq_ignore_ascii_case("issue");
            let value = if is_issue { String::from_utf8_lossy(&caa.value).into_owned() } else { String::new() };
            same(value)
        }
        RData::MX(mx) => {
            let exchange = bare(&mx.exchange);
            DnsRecord::new(format!("Hostname: {exchange} - Priority: {}", mx.preference), exchange)
        }
        RData::SOA(soa) => {
            let server = bare(&soa.mname);
            let shown = format!(
                "NS-Name: {server} | Hostmaster: {} | Serial: {} | Refresh: {} | Retry: {} | Expire: {} | MinTTL: {}",
                bare(&soa.rname),
                soa.serial,
                soa.refresh,
                soa.retry,
                soa.expire,
                soa.minimum
            );
            DnsRecord::new(shown, server)
        }
        RData::SRV(srv) => {
            let target = bare(&srv.target);
            let shown =
                format!("Name: {target} | Port: {} | Priority: {} | Weight: {}", srv.port, srv.priority, srv.weight);
            DnsRecord::new(shown, target)
        }
        _ => return None,
    })
}

/// Without the dot of the root.
fn bare(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
