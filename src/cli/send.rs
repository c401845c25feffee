//! `komainu send`: one signed heartbeat. Also where `wrap` reads to whom it sends, and with which secret.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use url::Url;

use super::{duration, print};
use crate::clock;
use crate::heartbeat::is_name;
use crate::sender::Sender;
use crate::sender::push::{Push, Status};
use crate::sender::secret::Secret;
use crate::tls;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The heartbeat's name.
    name: String,
    /// How it went. Default: ok, or fail where --exit-code is not 0.
    #[arg(long)]
    status: Option<StatusArg>,
    /// A word for people.
    #[arg(long)]
    message: Option<String>,
    /// How long the run took: `90s`, `1h30m`, `250ms`.
    #[arg(long, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// How the run ended.
    #[arg(long, allow_negative_numbers = true)]
    exit_code: Option<i32>,
    /// The same for the start of a run and its end.
    #[arg(long)]
    run_id: Option<String>,
    /// Say nothing when it went well.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    sender: SenderArgs,
}

/// To whom, and signed with what.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SenderArgs {
    /// Watchdogs, tried in turn: addresses with commas between them.
    #[arg(
        long,
        env = "KOMAINU_URL",
        default_value = "http://127.0.0.1:8900",
        value_name = "URL,…",
        value_delimiter = ','
    )]
    url: Vec<String>,
    /// A file with the CA that certified the watchdogs, where the host does not trust it: the cluster's `ca.crt`.
    #[arg(long, env = "KOMAINU_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file that holds the heartbeat's secret. Default: what `KOMAINU_HEARTBEAT_SECRET` holds, or the file that
    /// `KOMAINU_HEARTBEAT_SECRET_FILE` names.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How long to try while no watchdog takes it.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    retry_for: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StatusArg {
    /// Alive, or done.
    Ok,
    /// A run begins.
    Start,
    /// A run failed.
    Fail,
}

impl From<StatusArg> for Status {
    fn from(arg: StatusArg) -> Self {
        match arg {
            StatusArg::Ok => Self::Ok,
            StatusArg::Start => Self::Start,
            StatusArg::Fail => Self::Fail,
        }
    }
}

impl SenderArgs {
    /// A sender for this heartbeat. Addresses are looked at here rather than with the arguments, so that a wrong
    /// variable does not keep a wrapped command from running.
    pub(super) fn sender(&self, name: &str) -> anyhow::Result<Sender> {
        ensure!(
            is_name(name),
            "a heartbeat's name has 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit"
        );
        let address = |text: &String| {
            let text = text.trim();
            let url: Url = text.parse().with_context(|| format!("\"{text}\" is no address of a watchdog"))?;
            ensure!(matches!(url.scheme(), "http" | "https"), "\"{text}\" is neither http nor https");
            Ok(url)
        };
        let given = self.url.iter().filter(|text| !text.trim().is_empty());
        let watchdogs = given.map(address).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(!watchdogs.is_empty(), "no watchdog to send to: set KOMAINU_URL");
        let secret = Secret::find(self.secret_file.as_deref(), |name| std::env::var(name).ok())?;
        let tls = tls::trusting(self.ca.as_deref()).context("cannot trust --ca")?;
        Ok(Sender::new(watchdogs, secret, self.retry_for, tls)?)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let sender = args.sender.sender(&args.name)?;
    let push = args.push();
    let sent = sender.send(&args.name, &push).await?;
    if !args.quiet {
        let before = if sent.was_counted_before { ", at an earlier try whose answer got lost" } else { "" };
        print::line(format!("{}: {} taken by {}{before}", args.name, push.status.as_str(), sent.by));
    }
    Ok(())
}

impl Args {
    fn push(&self) -> Push {
        let by_code = if self.exit_code.is_none_or(|code| code == 0) { Status::Ok } else { Status::Fail };
        Push {
            time_us: clock::wall_micros(),
            status: self.status.map_or(by_code, Status::from),
            message: self.message.clone(),
            duration_ms: self.duration.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            exit_code: self.exit_code,
            run_id: self.run_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Line::try_parse_from(std::iter::once("send").chain(line.split(' '))).unwrap().args
    }

    #[test]
    fn the_exit_code_says_how_it_went_unless_the_status_does() {
        assert_eq!(args("backup").push().status, Status::Ok);
        assert_eq!(args("backup --exit-code 0").push().status, Status::Ok);
        assert_eq!(args("backup --exit-code -1").push().status, Status::Fail);
        assert_eq!(args("backup --exit-code 3 --status ok").push().status, Status::Ok);
    }

    #[test]
    fn a_duration_is_sent_in_milliseconds() {
        assert_eq!(args("backup --duration 1m30s").push().duration_ms, Some(90_000));
    }

    #[test]
    fn what_cannot_be_sent_is_said_at_once() {
        let error = |line: &str| {
            let args = args(line);
            format!("{:#}", args.sender.sender(&args.name).map(|_| ()).unwrap_err())
        };
        assert!(error("-x/../y".trim_start_matches('-')).contains("name"));
        assert!(error("backup --url w1:8900").contains("neither http nor https"));
        assert!(error("backup --url http://w1:8900,:").contains("\":\" is no address"));
        assert!(error("backup --secret-file /not/there").contains("/not/there"));
    }
}
