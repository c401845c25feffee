//! The fields of a check, as arguments.

use serde_json::{Map, Value};

use crate::cli::duration;
use crate::cli::heartbeats::SeverityArg;
use crate::cli::monitors::edited::{merged, parse_setting, words};

/// The most usual fields by name, every other one by `--set`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Edits {
    /// What is looked at: `http`, `keyword`, `json-query`, `port`, `ping`, `dns`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// The address of http, keyword, json-query. (`--url` is the watchdog's.)
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Of port, ping, dns.
    #[arg(long)]
    hostname: Option<String>,
    /// Of port, dns.
    #[arg(long)]
    port: Option<u16>,
    /// What an answer must contain.
    #[arg(long)]
    keyword: Option<String>,
    /// From one look of a watchdog to its next: `60s`.
    #[arg(long, value_parser = duration::parse_seconds)]
    interval: Option<u64>,
    /// How long one look may take: `10s`.
    #[arg(long, value_parser = duration::parse_seconds)]
    timeout: Option<u64>,
    /// How many watchdogs must agree: majority, all, any, or a number.
    #[arg(long, value_name = "majority|all|any|NUMBER")]
    quorum: Option<String>,
    /// Only watchdogs of these zones look, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "ZONE,…")]
    zones: Option<Vec<String>>,
    /// How much it matters.
    #[arg(long)]
    severity: Option<SeverityArg>,
    /// Tags, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "TAG,…")]
    tags: Option<Vec<String>>,
    /// Channels to tell instead of those of the routes, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "CHANNEL,…")]
    channels: Option<Vec<String>>,
    /// Any field by its name: `--set ignore_tls=true --set 'headers={"Accept": "text/html"}'`.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_setting)]
    set: Vec<(String, Value)>,
}

impl Edits {
    /// What was named. A field that is named twice is no wish.
    pub(super) fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let list = |value: &Option<Vec<String>>| value.as_deref().map(words);
        let number_or_word =
            |text: &String| text.parse::<u32>().map_or_else(|_| Value::from(text.clone()), Value::from);
        let fields = [
            ("type", text(&self.kind)),
            ("url", text(&self.target)),
            ("hostname", text(&self.hostname)),
            ("port", self.port.map(Value::from)),
            ("keyword", text(&self.keyword)),
            ("interval", self.interval.map(Value::from)),
            ("timeout", self.timeout.map(Value::from)),
            ("quorum", self.quorum.as_ref().map(number_or_word)),
            ("zones", list(&self.zones)),
            ("severity", self.severity.map(|severity| severity.word().into())),
            ("tags", list(&self.tags)),
            ("channels", list(&self.channels)),
        ];
        merged(fields, &self.set)
    }
}
