//! `komainu up`: an embedded cluster on one machine, of real processes.
//!
//! This process is the supervisor: it prepares a folder, starts watchdogs and nodes as children, reaps them, and tells
//! what it sees at `/status` and in the database. It decides nothing about the cluster, and a child that is killed
//! stays dead until `komainu up --restart NAME`.

use std::path::PathBuf;

use anyhow::Context;

use self::folder::{Folder, Member};
use self::keeper::Keeper;
use self::ready::Start;
use super::print;
use crate::lifecycle;

mod demo;
pub(super) mod folder;
mod keeper;
mod narrator;
mod observer;
pub(super) mod pids;
mod prepare;
pub(super) mod process;
mod ready;
mod restart;
mod teller;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Where everything is kept. May exist and hold other files.
    #[arg(long, default_value = "./komainu-data")]
    dir: PathBuf,
    /// How many watchdogs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    watchdogs: u16,
    /// How many native nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=50))]
    nodes: u16,
    /// Of w1; w2 has the next one, node1 the one 10 higher.
    #[arg(long, default_value_t = 8900, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    port: u16,
    /// Add so many monitors against a target of this process' own.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    demo: u32,
    /// Another database than the SQLite file in the folder.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Start one process of a cluster that is up anew: w1, node1, …
    #[arg(long, value_name = "NAME", conflicts_with_all = ["watchdogs", "nodes", "port", "demo", "database"])]
    restart: Option<String>,
}

impl Args {
    /// Everybody who takes part, watchdogs first.
    fn members(&self) -> Vec<Member> {
        let watchdogs = (1..=self.watchdogs).map(|number| Member::watchdog(number, self.port));
        watchdogs.chain((1..=self.nodes).map(|number| Member::node(number, self.port))).collect()
    }

    /// Where the demo's target listens.
    fn demo_port(&self) -> u16 {
        self.port + 9
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let folder = Folder::open(&args.dir)?;
    if let Some(name) = &args.restart {
        return restart::run(&folder, name).await;
    }
    let shutdown = lifecycle::shutdown_on_signals().context("cannot listen for signals")?;
    // Held until this process ends: who can take it knows that no supervisor lives.
    let _supervising = folder.lock_supervisor()?;
    pids::ensure_none_alive(&folder)?;
    let members = args.members();
    prepare::ensure_ports_are_free(&members)?;
    let prepared = prepare::run(&folder, &args).await?;
    let mut keeper = Keeper::start(&folder, &members)?;
    let started = tokio::select! {
        started = ready::wait(&mut keeper, &members, &prepared) => started,
        () = shutdown.cancelled() => Ok(Start::Interrupted),
    };
    let outcome = match started {
        Ok(Start::Ready(status)) => {
            let link = prepare::sign_in_link(&folder, &prepared).await?;
            ready::tell(&folder, &args, &keeper, (&status, &link));
            let told = teller::start(&members, &prepared, *status);
            keeper.keep(told, shutdown).await
        }
        Ok(Start::Interrupted) => Ok(()),
        Err(error) => Err(error),
    };
    print::line("ending all processes …");
    keeper.end_all().await?;
    outcome
}
