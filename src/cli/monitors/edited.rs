//! The fields of a monitor, as arguments.

use anyhow::bail;
use serde_json::{Map, Value};

use crate::cli::duration;
pub(in crate::cli) use crate::monitor::parse_setting;

/// The most usual fields by name, every other one by `--set`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Edits {
    /// For people.
    #[arg(long)]
    name: Option<String>,
    /// What is looked at: `http`, `keyword`, `port`, `ping`, `dns`, `push`, …
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// A name of your own, by which it is found again.
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
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
    /// From one run to the next: `60s`.
    #[arg(long, value_parser = duration::parse_seconds)]
    interval: Option<u64>,
    /// How often it is tried again before it counts as down.
    #[arg(long, value_name = "COUNT")]
    maxretries: Option<u32>,
    /// Its home; without it the leader chooses.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Labels that its node must bear, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "LABEL,…")]
    run_on: Option<Vec<String>>,
    /// Whether the watchdogs are asked before people are told that it is down: `off`, `note`, `require`; empty: its tags or the configuration say.
    #[arg(long, value_name = "OFF|NOTE|REQUIRE")]
    second_opinion: Option<String>,
    /// Tags, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "TAG,…")]
    tags: Option<Vec<String>>,
    /// Channels to tell instead of those of the routes, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "CHANNEL,…")]
    channels: Option<Vec<String>>,
    /// Any field by Kuma's name of the column: `--set ignore_tls=true --set 'headers={"Accept": "text/html"}'`.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_setting)]
    set: Vec<(String, Value)>,
}

impl Edits {
    /// What was named. A field that is named twice is no wish.
    pub(super) fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let list = |value: &Option<Vec<String>>| value.as_deref().map(words);
        let fields = [
            ("name", text(&self.name)),
            ("type", text(&self.kind)),
            ("ref", text(&self.reference)),
            ("url", text(&self.target)),
            ("hostname", text(&self.hostname)),
            ("port", self.port.map(Value::from)),
            ("keyword", text(&self.keyword)),
            ("interval", self.interval.map(Value::from)),
            ("maxretries", self.maxretries.map(Value::from)),
            ("node_id", text(&self.node)),
            ("run_on", list(&self.run_on)),
            ("second_opinion", text(&self.second_opinion)),
            ("tags", list(&self.tags)),
            ("channels", list(&self.channels)),
        ];
        merged(fields, &self.set)
    }
}

/// What was named by an option of its own, and by `--set`.
pub(in crate::cli) fn merged<const N: usize>(
    fields: [(&str, Option<Value>); N],
    set: &[(String, Value)],
) -> anyhow::Result<Map<String, Value>> {
    let named = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut body = Map::new();
    for (name, value) in named.chain(set.iter().cloned()) {
        if body.insert(name.clone(), value).is_some() {
            bail!("{name} is named twice");
        }
    }
    Ok(body)
}

/// `--tags ""` says that there are none.
pub(in crate::cli) fn words(list: &[String]) -> Value {
    list.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect::<Vec<_>>().into()
}
