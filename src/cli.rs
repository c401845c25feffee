//! The command line: one file per subcommand.
//!
//! Owns arguments, exit codes (0 done, 1 failed, 2 wrong usage; of `wrap` the command's own) and what people read.
//! `migrate`, `adopt` and `apikeys create` work on the database, so that the first key can be made; `config check` and
//! `notify test` on a configuration; `send` and `wrap` push signed heartbeats; most others speak to the API.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::duration;
use crate::run::queries;

mod adopt;
mod apikeys;
pub(crate) mod apply;
mod audit;
mod checks;
mod client;
mod cluster;
mod completions;
mod config;
mod database;
mod dependencies;
mod down;
mod files;
mod health;
mod heaps;
mod heartbeats;
pub(crate) mod import;
mod incidents;
mod init;
mod keygen;
mod maintenances;
mod migrate;
mod monitors;
mod node;
mod nodes;
mod notify;
mod openapi;
mod output;
mod pages;
mod print;
mod routes;
mod routing;
mod send;
mod silences;
mod status;
mod up;
mod watchdog;
mod watchdogs;
mod wrap;

/// Watchdogs for clusters of Uptime Kuma.
#[derive(Debug, Parser)]
#[command(name = "komainu", version, propagate_version = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start an embedded cluster on this machine: watchdogs and native nodes as processes.
    Up(up::Args),
    /// End the embedded cluster.
    Down(down::Args),
    /// Write a commented komainu.toml and a cluster key.
    Init(init::Args),
    /// Print a new cluster key, or the key that follows from one.
    Keygen(keygen::Args),
    /// Create or update komainu's tables.
    Migrate(migrate::Args),
    /// End observe mode: give monitors their homes and let automation act.
    Adopt(adopt::Args),
    /// Run a watchdog.
    Watchdog(watchdog::Args),
    /// Run a native node.
    Node(node::Args),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Show how the cluster is.
    Status(status::Args),
    /// Ask one process whether it is well.
    Health(health::Args),
    /// Nodes of the cluster.
    #[command(subcommand)]
    Nodes(nodes::Command),
    /// Where people's traffic goes.
    #[command(subcommand)]
    Routing(routing::Command),
    /// Who would be told of something, and why.
    #[command(subcommand)]
    Routes(routes::Command),
    /// Watchdogs of the cluster.
    #[command(subcommand)]
    Watchdogs(watchdogs::Command),
    /// Keys to the HTTP API.
    #[command(subcommand)]
    Apikeys(apikeys::Command),
    /// The cluster as a whole.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Make monitors, heartbeats, checks, public pages and nodes' settings what a file says.
    Apply(apply::Args),
    /// What nodes run.
    #[command(subcommand)]
    Monitors(monitors::Command),
    /// What other services watch, as checks.
    #[command(subcommand)]
    Import(import::Command),
    /// Programs that are expected to report.
    #[command(subcommand)]
    Heartbeats(heartbeats::Command),
    /// What every watchdog looks at itself.
    #[command(subcommand)]
    Checks(checks::Command),
    /// Status pages that everybody may see.
    #[command(subcommand)]
    Pages(pages::Command),
    /// Print the contract of the HTTP API, as `/api/v1/openapi.json` shows it.
    Openapi,
    /// The channels that people are told through.
    #[command(subcommand)]
    Notify(notify::Command),
    /// What is wrong, and who takes care of it.
    #[command(subcommand)]
    Incidents(incidents::Command),
    /// What people want to hear nothing of for a while.
    #[command(subcommand)]
    Silences(silences::Command),
    /// Say when somebody works on something: what has to do with it is not told meanwhile.
    #[command(subcommand)]
    Maintenances(maintenances::Command),
    /// What depends on what, so that trouble of many is told as trouble of the one that causes it.
    #[command(subcommand)]
    Dependencies(dependencies::Command),
    /// Who did what, and what it was before.
    Audit(audit::Args),
    /// Send a signed heartbeat.
    Send(send::Args),
    /// Run a command, and tell by a signed heartbeat how it went.
    Wrap(wrap::Args),
    /// Print what a shell needs to complete arguments: `source <(komainu completions bash)`.
    Completions(completions::Args),
    /// Evaluate the queries of a node's monitors, apart from it: started by nodes themselves.
    #[command(name = queries::SUBCOMMAND, hide = true)]
    EvaluateQueries,
}

impl Command {
    /// Whether it runs until it is told to end.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Watchdog(_) | Self::Node(_) => true,
            Self::Up(_)
            | Self::Down(_)
            | Self::Init(_)
            | Self::Keygen(_)
            | Self::Migrate(_)
            | Self::Adopt(_)
            | Self::Config(_)
            | Self::Status(_)
            | Self::Health(_)
            | Self::Nodes(_)
            | Self::Routes(_)
            | Self::Routing(_)
            | Self::Watchdogs(_)
            | Self::Apikeys(_)
            | Self::Cluster(_)
            | Self::Heartbeats(_)
            | Self::Checks(_)
            | Self::Pages(_)
            | Self::Import(_)
            | Self::Monitors(_)
            | Self::Apply(_)
            | Self::Completions(_)
            | Self::Send(_)
            | Self::Wrap(_)
            | Self::Incidents(_)
            | Self::Silences(_)
            | Self::Maintenances(_)
            | Self::Dependencies(_)
            | Self::Audit(_)
            | Self::Notify(_)
            | Self::EvaluateQueries
            | Self::Openapi => false,
        }
    }

    /// Processes that last tell what they do; the others speak up only when something is wrong.
    fn log_level(&self) -> &'static str {
        if self.is_lasting() { "info" } else { "error" }
    }
}

/// Runs the program: parses the arguments, performs the command, says what failed.
pub fn main() -> ExitCode {
    // Wrong usage ends here, with clap's message and exit code 2.
    let command = Cli::parse().command;
    if command.is_lasting() {
        heaps::keep_few();
    }
    init_log(command.log_level());
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(perform(command)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            print::failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn perform(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        // A wrapped command's exit code is its own.
        Command::Wrap(args) => return Ok(wrap::run(args).await),
        Command::Apply(args) => return Box::pin(apply::run(args)).await,
        Command::Up(args) => Box::pin(up::run(args)).await,
        Command::Down(args) => down::run(args).await,
        Command::Init(args) => init::run(args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Migrate(args) => migrate::run(args).await,
        Command::Adopt(args) => adopt::run(args).await,
        Command::Watchdog(args) => Box::pin(watchdog::run(args)).await,
        Command::Node(args) => Box::pin(node::run(args)).await,
        Command::Config(command) => config::run(command).await,
        Command::Status(args) => status::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Nodes(command) => nodes::run(command).await,
        Command::Routes(command) => routes::run(command).await,
        Command::Routing(command) => routing::run(command).await,
        Command::Watchdogs(command) => watchdogs::run(command).await,
        Command::Incidents(command) => incidents::run(command).await,
        Command::Silences(command) => silences::run(command).await,
        Command::Maintenances(command) => maintenances::run(command).await,
        Command::Dependencies(command) => dependencies::run(command).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Apikeys(command) => apikeys::run(command).await,
        Command::Cluster(command) => cluster::run(command).await,
        Command::Monitors(command) => Box::pin(monitors::run(command)).await,
        Command::Heartbeats(command) => heartbeats::run(command).await,
        Command::Checks(command) => checks::run(command).await,
        Command::Pages(command) => pages::run(command).await,
        Command::Import(command) => Box::pin(import::take_over(command)).await,
        Command::Openapi => openapi::run(),
        Command::EvaluateQueries => queries::serve().map_err(Into::into),
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
        Command::Notify(command) => notify::run(command).await,
        Command::Send(args) => send::run(args).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// `KOMAINU_LOG` says more or less, in tracing's filter syntax.
fn init_log(level: &str) {
    let filter = EnvFilter::try_from_env("KOMAINU_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(std::io::stderr).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    /// Each verb with the words that lead to it.
    fn verbs(words: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
        let below = command.get_subcommands().flat_map(|verb| verbs(&format!("{words} {}", verb.get_name()), verb));
        let own = (!command.has_subcommands()).then(|| (words.to_owned(), command.clone()));
        own.into_iter().chain(below).collect()
    }

    #[test]
    fn every_verb_that_asks_a_watchdog_can_answer_as_json() {
        let has = |verb: &clap::Command, name: &str| verb.get_arguments().any(|argument| argument.get_id() == name);
        let verbs = verbs("komainu", &Cli::command());
        let asking: Vec<_> = verbs.into_iter().filter(|(_, verb)| has(verb, "key_file") && has(verb, "url")).collect();
        assert!(asking.len() > 30, "{}", asking.len());
        let mute: Vec<_> = asking.iter().filter(|(_, verb)| !has(verb, "json")).map(|(words, _)| words).collect();
        assert!(mute.is_empty(), "without --json: {mute:?}");
    }

    #[test]
    fn every_documented_line_of_an_operator_is_understood() {
        for line in [
            "nodes show node1 --json",
            "nodes edit node1 --weight 50 --label eu --label ssd --no-capacity",
            "nodes delete node1 --rehome",
            "nodes drain node1 --wait --timeout 10m --move-pinned",
            "nodes resume node1",
            "cluster rebalance --dry-run --json",
            "watchdogs list",
            "watchdogs remove w3",
            "routing pin node1",
            "routing unpin",
            "routing show --json",
            "nodes list",
            "migrate --wait-for-kuma 10m --node node1=http://10.0.0.5:3001 --node node2=http://10.0.0.6:3001",
            "health",
            "health --node --url http://127.0.0.1:8910",
            "keygen --node node1 --key-file cluster.key",
            "cluster freeze",
            "cluster thaw",
        ] {
            let words = std::iter::once("komainu").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_documented_line_of_checks_is_understood() {
        for line in [
            "checks add shop --type http --target https://shop.example.com/ --interval 20s --tags shop",
            "checks add db --type port --hostname db.example.com --port 5432 --quorum 2 --zones eu,us",
            "checks list --type http --tag shop --managed-by apply/shop --paused=false --json",
            "checks show shop --secrets",
            "checks edit shop --timeout 5s --severity warning --set ignore_tls=true",
            "checks pause shop db",
            "checks resume --tag shop",
            "checks delete shop",
            "import uptimerobot robot.json --dry-run --json",
            "import uptimerobot robot.json --skip-invalid --update --secrets-to secrets",
            "import uptimerobot --uptimerobot-key-file robot.key",
        ] {
            let words = std::iter::once("komainu").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    /// As the documents print them.
    const DOCUMENTED: &[&str] = &[
        "up",
        "up --dir ./komainu-data --watchdogs 3 --nodes 3 --port 8900 --demo 300",
        "up --restart node1",
        "down --dir ./komainu-data",
        "init --database mysql://u:p@h/kuma",
        "init --dir . --tls w1=w1.example.com,10.0.0.1 --tls w2 --renew",
        "keygen",
        "keygen --gateway --key-file cluster.key",
        "migrate --database sqlite:///tmp/x.db --dry-run --without-kuma",
        "migrate --config komainu.toml --remove",
        "watchdog --config komainu.toml",
        "node --config komainu.toml",
        "adopt --home node1",
        "adopt --from-fork",
        "config check --config komainu.toml",
        "status --json",
        "nodes add node1 --address http://10.0.0.5:3001 --weight 50 --capacity 500",
        "apikeys create ci --scope write",
        "apikeys list",
        "apikeys delete 3",
        "heartbeats add backup --period 24h --grace 1h --print curl",
        "heartbeats list --state late --json",
        "heartbeats show backup --pushes 50",
        "heartbeats edit backup --grace 2h",
        "heartbeats rotate backup --overlap 24h --print systemd",
        "heartbeats delete backup",
        "incidents list --all --key node --json",
        "incidents ack 7",
        "incidents resolve 7 --why renamed",
        "audit --subject monitor/7 --who key/ops --what monitor.move --limit 20 --json",
        "monitors list --node node1 --type http --status down --tag shop --text front --managed-by apply/shop --json",
        "monitors show shop-front",
        "monitors add --name Front --type http --target https://shop.example.com/ --ref shop-front --wait --timeout 30s",
        "monitors add --name Export --type push --interval 24h --set maxretries=0",
        "monitors edit shop-front --interval 30s --run-on eu,dmz",
        "monitors pause 12 13",
        "monitors resume --tag shop",
        "monitors delete shop-front",
        "monitors move 12 13 --to node2 --pin --wait",
        "monitors move --from node1 --to node2",
        "monitors pin 12 --to node2",
        "monitors unpin --tag shop",
        "monitors beats 12 --limit 50",
        "monitors uptime 12 --json",
        "monitors import Uptime_Kuma_Backup.json --dry-run --skip-invalid --update",
        "completions zsh",
        "apply -f komainu.yaml --dry-run --exit-code --prune --json",
        "apply --file komainu.yaml --prune --secrets-to secrets",
        "notify test ops",
        "notify test --all --config komainu.toml",
        "notify presets",
        "notify presets ntfy",
        "send backup",
        "send backup --status fail --message oops --duration 1m30s --exit-code 3 --run-id 7",
        "send backup --url http://w1:8900,http://w2:8900 --secret-file s --retry-for 2m",
        "wrap backup -- rsync -a --delete from to",
        "wrap backup --no-output --retry-for 0s -- true",
    ];

    #[test]
    fn every_documented_line_is_understood() {
        for line in DOCUMENTED {
            let words = std::iter::once("komainu").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    /// The guides that lead from one state of a cluster to another.
    const GUIDES: [&str; 4] = [
        include_str!("../docs/compose.md"),
        include_str!("../docs/from-kuma.md"),
        include_str!("../docs/from-uptime-kuma-cluster.md"),
        include_str!("../docs/database.md"),
    ];

    /// What a line of a shell gives to komainu, on this host or in a container.
    fn given(line: &str) -> Option<&str> {
        let line = line.trim().split(" #").next()?.split(" > ").next()?.trim();
        let begins = ["komainu ", "docker compose exec w1 komainu "];
        let in_migrate = ["docker compose run --rm migrate ", "docker compose run --rm -T migrate "];
        begins.iter().chain(&in_migrate).find_map(|begin| line.strip_prefix(begin))
    }

    #[test]
    fn every_command_of_the_guides_is_understood() {
        let shells =
            GUIDES.iter().flat_map(|guide| guide.split("```sh").skip(1)).map(|block| block.split("```").next());
        // A line that goes on in the next one is one command.
        let blocks: Vec<String> = shells.flatten().map(|block| block.replace("\\\n", " ")).collect();
        let lines: Vec<&str> = blocks.iter().flat_map(|block| block.lines()).filter_map(given).collect();
        assert!(lines.len() > 30, "{lines:?}");
        for line in lines {
            let words = std::iter::once("komainu").chain(line.split_whitespace());
            let error = Cli::try_parse_from(words).err();
            assert!(error.is_none(), "{line}: {error:?}");
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "",
            "upp",
            "adopt --home a --from-fork",
            "apikeys create x --scope root",
            "nodes add node1",
            "migrate --node node1",
            "keygen --node node1",
            "keygen --node no/name --key-file cluster.key",
            "migrate --node no/name=http://10.0.0.5:3001",
            "migrate --wait-for-kuma 10m --without-kuma",
            "up --watchdogs 0",
            "notify test",
            "notify test ops --all",
            "monitors pause",
            "monitors move 12 --from node1 --to node2",
            "monitors move --to node2",
            "monitors add --set url",
            "monitors add --timeout 5s",
            "completions cmd",
            "apply",
            "apply -f a.yaml --exit-code",
            "send",
            "send backup --status late",
            "wrap backup",
            "wrap backup --",
            "wrap backup true",
        ] {
            let words = std::iter::once("komainu").chain(line.split_whitespace());
            let error = Cli::try_parse_from(words).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
