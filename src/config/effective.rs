//! The settings in force, as TOML with the secrets left out: what `komainu config check` shows.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::SpanPrinter;
use komainu_notifiers::pushbullet::Target;
use komainu_notifiers::{Settings, mail, pushbullet, slack};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::opinion::{Choice, Rule};
use komainu_watchdogs::policy::{Policy, Recovery};
use komainu_watchdogs::routing::{Matcher, Route};
use toml::{Table, Value};

use crate::node::StartSpread;
use crate::oncall::{NamedLadder, Override, Rotation, Targets};
use crate::opinion::SecondOpinion;
use crate::surface::{ClientHeader, Proxies};
use crate::tls::TlsFiles;

use super::{
    ChannelConfig, ChecksConfig, ClusterConfig, Config, Details, NodeConfig, PagesConfig, WatchdogConfig, shape,
};

/// Stands for a secret.
const SET: &str = "(set)";

pub(super) fn print(config: &Config) -> String {
    let details = match config.status.details {
        Details::Public => "public",
        Details::Key => "key",
    };
    let database = [("url", Some(config.database.url.to_string().into()))];
    let mut all = Table::new();
    all.insert("cluster".to_owned(), cluster(&config.cluster));
    if let Some(settings) = &config.watchdog {
        all.insert("watchdog".to_owned(), watchdog(settings));
    }
    if let Some(settings) = &config.node {
        all.insert("node".to_owned(), node(settings));
    }
    all.insert("database".to_owned(), section(database));
    all.insert("policy".to_owned(), policy(&config.policy));
    all.insert("checks".to_owned(), checks(&config.checks));
    let SecondOpinion { choice, sample_each, .. } = &*config.second_opinion;
    if *choice != Choice::default() || *sample_each != SecondOpinion::SAMPLE_EACH {
        all.insert("second_opinion".to_owned(), second_opinion(&config.second_opinion));
    }
    all.insert("status".to_owned(), section([("details", Some(details.into()))]));
    if let Some(settings) = pages(&config.pages) {
        all.insert("pages".to_owned(), settings);
    }
    if config.proxies != Proxies::default() {
        all.insert("server".to_owned(), server(&config.proxies));
    }
    if config.tls != TlsFiles::default() {
        all.insert("tls".to_owned(), tls(&config.tls));
    }
    if config.drops_unmatched {
        all.insert("routing".to_owned(), section([("unmatched", Some("drop".into()))]));
    }
    if let Some(settings) = &config.deadman {
        let keys = [("url", Some(SET.into())), ("interval", Some(duration(settings.interval)))];
        all.insert("deadman".to_owned(), section(keys));
    }
    let channels: Vec<Value> = config.channels.iter().map(channel).collect();
    let routes: Vec<Value> = config.routing.routes.iter().zip(&config.on_call.of_routes).map(route).collect();
    let heartbeats = config.heartbeat_secrets.keys();
    let heartbeats: Vec<Value> =
        heartbeats.map(|name| section([("name", Some(name.as_str().into())), ("secret", Some(SET.into()))])).collect();
    let on_call = &config.on_call;
    let entries = [
        ("channel", channels),
        ("route", routes),
        ("heartbeat", heartbeats),
        ("person", on_call.people.iter().map(person).collect()),
        ("rotation", on_call.rotations.iter().map(rotation).collect()),
        ("ladder", on_call.ladders.iter().map(ladder).collect()),
    ];
    for (name, entries) in entries {
        if !entries.is_empty() {
            all.insert(name.to_owned(), entries.into());
        }
    }
    all.to_string()
}

fn cluster(config: &ClusterConfig) -> Value {
    section([
        ("name", Some(config.name.as_str().into())),
        ("key", config.key.as_ref().map(|_| SET.into())),
        ("canaries", Some(config.canaries.clone().into())),
    ])
}

fn watchdog(config: &WatchdogConfig) -> Value {
    let peers: Vec<String> = config.peers.iter().map(shape::without_slash).collect();
    section([
        ("id", Some(config.id.as_str().into())),
        ("zone", Some(config.zone.as_str().into())),
        ("listen", Some(config.listen.to_string().into())),
        ("advertise", Some(shape::without_slash(&config.advertise).into())),
        ("peers", Some(peers.into())),
        ("public_listen", config.public_listen.map(|address| address.to_string().into())),
        ("public_url", config.public_url.as_ref().map(|url| shape::without_slash(url).into())),
        ("state_dir", config.state_dir.as_ref().map(|dir| dir.display().to_string().into())),
    ])
}

fn node(config: &NodeConfig) -> Value {
    let spread = match config.start_spread {
        StartSpread::Soon => "soon",
        StartSpread::OverInterval => "interval",
    };
    section([
        ("id", Some(config.id.as_str().into())),
        ("listen", Some(config.listen.to_string().into())),
        ("advertise", config.advertise.as_ref().map(|url| shape::without_slash(url).into())),
        ("key", Some(SET.into())),
        ("start_spread", Some(spread.into())),
        ("user_agent", config.user_agent.as_ref().map(|text| String::from_utf8_lossy(text.as_bytes()).as_ref().into())),
        ("trace_file", config.trace_file.as_ref().map(|file| file.display().to_string().into())),
    ])
}

fn server(proxies: &Proxies) -> Value {
    let trusted: Vec<String> = proxies.trusted.iter().map(ToString::to_string).collect();
    let header = match proxies.header {
        ClientHeader::XForwardedFor => "X-Forwarded-For",
        ClientHeader::Forwarded => "Forwarded",
    };
    section([
        ("trusted_proxies", Some(trusted.into())),
        ("proxy_protocol", Some(proxies.announce.into())),
        ("client_header", Some(header.into())),
    ])
}

fn tls(files: &TlsFiles) -> Value {
    let name = |file: &PathBuf| Value::from(file.display().to_string());
    section([
        ("cert", files.own.as_ref().map(|own| name(&own.cert))),
        ("key", files.own.as_ref().map(|own| name(&own.key))),
        ("ca", files.ca.as_ref().map(name)),
        ("client_ca", files.client_ca.as_ref().map(name)),
    ])
}

fn checks(config: &ChecksConfig) -> Value {
    let deny: Vec<String> = config.guard.deny.iter().map(ToString::to_string).collect();
    section([
        ("allow_link_local", Some(config.guard.allow_link_local.into())),
        ("deny", Some(deny.into())),
        ("looks_at_once", Some(i64::from(config.looks_at_once).into())),
    ])
}

/// Where it says anything.
fn pages(config: &PagesConfig) -> Option<Value> {
    let PagesConfig { mail, mails_per_second, private_webhooks } = config;
    let is_said = mail.is_some() || *private_webhooks;
    is_said.then(|| {
        section([
            ("mail", mail.as_ref().map(|(name, _)| name.as_str().into())),
            ("mails_per_second", Some(i64::from(*mails_per_second).into())),
            ("private_webhooks", Some((*private_webhooks).into())),
        ])
    })
}

fn second_opinion(config: &SecondOpinion) -> Value {
    let rule = |rule: &Rule| {
        let zones: Vec<String> = rule.zones.iter().map(ToString::to_string).collect();
        let zones = (!zones.is_empty()).then(|| zones.into());
        section([
            ("tag", Some(rule.tag.as_str().into())),
            ("second_opinion", Some(rule.wish.as_str().into())),
            ("zones", zones),
        ])
    };
    let rules: Vec<Value> = config.choice.rules.iter().map(rule).collect();
    section([
        ("default", Some(config.choice.default.as_str().into())),
        ("sample_each", Some(duration(config.sample_each))),
        ("rules", (!rules.is_empty()).then(|| rules.into())),
    ])
}

fn policy(policy: &Policy) -> Value {
    let recovery = match policy.recovery {
        Recovery::Auto => "auto",
        Recovery::Manual => "manual",
    };
    section([
        ("probe_interval", Some(duration(policy.probe_interval))),
        ("probe_timeout", Some(duration(policy.probe_timeout))),
        ("failure_threshold", Some(i64::from(policy.failure_threshold).into())),
        ("recovery_threshold", Some(i64::from(policy.recovery_threshold).into())),
        ("stall_grace", Some(duration(policy.stall_grace))),
        ("recovery", Some(recovery.into())),
        ("monitor_limit_per_node", Some(i64::from(policy.monitor_limit_per_node).into())),
        ("mute_limit", Some(duration(policy.mute_limit))),
    ])
}

fn channel(config: &ChannelConfig) -> Value {
    let (kind, own) = match &config.settings {
        Settings::Slack(settings) => ("slack", slack(settings)),
        Settings::Mail(settings) => ("mail", mail(settings)),
        Settings::Pushbullet(settings) => ("pushbullet", pushbullet(settings)),
        Settings::Webhook(settings) => {
            let secret = settings.key.as_ref().map(|_| SET.into());
            ("webhook", section([("url", Some(SET.into())), ("secret", secret)]))
        }
        Settings::Template(settings) => ("template", section([("preset", settings.preset().map(Value::from))])),
    };
    let shared = section([
        ("name", Some(config.name.as_str().into())),
        ("type", Some(kind.into())),
        ("fallback", config.fallback.as_deref().map(Value::from)),
        ("answers", (!config.answers).then(|| false.into())),
        ("time_zone", config.time_zone.as_ref().and_then(|zone| zone.iana_name()).map(Value::from)),
    ]);
    let tables = [shared, own].into_iter().filter_map(|value| value.as_table().cloned());
    tables.flatten().collect::<Table>().into()
}

fn slack(settings: &slack::Config) -> Value {
    match &settings.access {
        slack::Access::Webhook { .. } => section([("webhook_url", Some(SET.into()))]),
        slack::Access::Bot { channel, api_url, .. } => section([
            ("bot_token", Some(SET.into())),
            ("channel", Some(channel.as_str().into())),
            ("api_url", Some(shape::without_slash(api_url).into())),
        ]),
    }
}

fn mail(settings: &mail::Config) -> Value {
    let server = &settings.server;
    let (scheme, tls) = match server.tls {
        mail::Tls::Wrapped => ("smtps", "required"),
        mail::Tls::StartTls => ("smtp", "required"),
        mail::Tls::None => ("smtp", "none"),
    };
    let user = settings.login.as_ref().map_or_else(String::new, |login| format!("{}@", login.user));
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    let to: Vec<String> = settings.to.iter().map(ToString::to_string).collect();
    section([
        ("smtp", Some(format!("{scheme}://{user}{host}:{}", server.port).into())),
        ("tls", Some(tls.into())),
        ("password", settings.login.as_ref().map(|_| SET.into())),
        ("ca", server.ca.as_ref().map(|_| SET.into())),
        ("from", Some(settings.from.to_string().into())),
        ("to", Some(to.into())),
    ])
}

fn pushbullet(settings: &pushbullet::Config) -> Value {
    let target = match &settings.target {
        Target::AllDevices => ("device", None),
        Target::Device(iden) => ("device", Some(iden)),
        Target::Email(email) => ("email", Some(email)),
        Target::ChannelTag(tag) => ("channel_tag", Some(tag)),
    };
    section([
        ("token", Some(SET.into())),
        (target.0, target.1.map(|value| value.as_str().into())),
        ("api_url", Some(shape::without_slash(&settings.api_url).into())),
    ])
}

fn route((route, ladder): (&Route, &Option<String>)) -> Value {
    let Matcher { kind, severity, tag, key, node } = &route.matcher;
    let severity = severity.map(|severity| match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
    });
    let matcher = section([
        ("kind", kind.as_deref().map(Value::from)),
        ("severity", severity.map(Value::from)),
        ("tag", tag.as_deref().map(Value::from)),
        ("key", key.as_deref().map(Value::from)),
        ("node", node.as_deref().map(Value::from)),
    ]);
    let hours: Vec<String> = route.hours.iter().map(ToString::to_string).collect();
    section([
        ("match", Some(matcher)),
        ("channels", Some(route.channels.clone().into())),
        ("group_wait", Some(duration(route.group_wait))),
        ("repeat", route.repeat.map(duration)),
        ("ladder", ladder.as_deref().map(Value::from)),
        ("active", (!hours.is_empty()).then(|| hours.into())),
        ("continue", route.is_last.then(|| false.into())),
    ])
}

fn person((name, channels): (&String, &Vec<String>)) -> Value {
    section([("name", Some(name.as_str().into())), ("channels", Some(channels.clone().into()))])
}

fn rotation((name, one): (&String, &Rotation)) -> Value {
    let stands_in = |one: &Override| {
        section([
            ("from", Some(one.from.to_string().into())),
            ("until", Some(one.until.to_string().into())),
            ("person", Some(one.person.as_str().into())),
        ])
    };
    let overrides: Vec<Value> = one.overrides.iter().map(stands_in).collect();
    section([
        ("name", Some(name.as_str().into())),
        ("people", Some(one.people.clone().into())),
        ("begins_on", Some(one.begins_on.to_string().into())),
        ("handover", Some(one.handover.strftime("%H:%M").to_string().into())),
        ("every_days", Some(one.every_days.into())),
        ("time_zone", one.time_zone.iana_name().map(Value::from)),
        ("overrides", Some(overrides.into()).filter(|_| !one.overrides.is_empty())),
    ])
}

fn ladder((name, one): (&String, &NamedLadder)) -> Value {
    let step = |(after, targets): (&Duration, &Targets)| {
        let names = |names: &Vec<String>| Some(Value::from(names.clone())).filter(|_| !names.is_empty());
        section([
            ("after", Some(duration(*after))),
            ("channels", names(&targets.channels)),
            ("people", names(&targets.people)),
            ("rotation", targets.rotation.as_deref().map(Value::from)),
        ])
    };
    let steps: Vec<Value> = one.times.afters.iter().zip(&one.steps).map(step).collect();
    section([
        ("name", Some(name.as_str().into())),
        ("steps", Some(steps.into())),
        ("repeat", one.times.repeat.map(duration)),
        ("ack_timeout", one.times.ack_timeout.map(duration)),
    ])
}

/// The keys that are set.
fn section<const N: usize>(keys: [(&str, Option<Value>); N]) -> Value {
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Table>().into()
}

fn duration(span: Duration) -> Value {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    SpanPrinter::new().duration_to_string(&span).into()
}
