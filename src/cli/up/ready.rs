//! From "started" to "it works": waits for a leader, all nodes and all monitors, and says what to do next.

use std::time::Duration;

use anyhow::bail;

use super::Args;
use super::folder::{Folder, Kind, Member};
use super::keeper::Keeper;
use super::observer::{ClusterObserver, Status};
use super::prepare::Prepared;
use super::process;
use crate::cli::print;
use crate::clock;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Nodes register within seconds and 1,000 monitors are placed in one; what takes longer than this is said, not waited
/// for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the start.
pub(super) enum Start {
    /// It works, or is on its way for so long that its state is shown as it is.
    Ready(Box<Status>),
    /// Ctrl-C.
    Interrupted,
}

pub(super) async fn wait(keeper: &mut Keeper, members: &[Member], prepared: &Prepared) -> anyhow::Result<Start> {
    let observer = ClusterObserver::new(members, prepared)?;
    let deadline = clock::now() + PATIENCE;
    loop {
        if let Some(death) = keeper.reap()?.first() {
            let log = keeper.folder().log(&death.name);
            bail!(
                "{} did not start ({}). The end of {}:{}",
                death.name,
                death.how,
                log.display(),
                process::last_lines(&log)
            );
        }
        let status = observer.status().await;
        let is_late = clock::now() >= deadline;
        match status {
            Some(status) if is_late || is_ready(&status, members, prepared.monitors) => {
                return Ok(Start::Ready(Box::new(status)));
            }
            None if is_late => bail!("no watchdog answers; see {}", keeper.folder().log("w1").display()),
            Some(_) | None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

fn is_ready(status: &Status, members: &[Member], monitors: u32) -> bool {
    let mut nodes = members.iter().filter(|member| member.kind == Kind::Node);
    let is_online =
        |member: &Member| status.nodes.iter().any(|node| node.node_id == member.name && node.status == "online");
    let all_watched = status.monitors.watched == status.monitors.active && status.monitors.watched >= monitors;
    // Without nodes nothing can be watched.
    let has_nodes = members.iter().any(|member| member.kind == Kind::Node);
    status.leader.is_some() && nodes.all(is_online) && (all_watched || !has_nodes)
}

/// The addresses, who leads, what runs where, and what to try.
pub(super) fn tell(folder: &Folder, args: &Args, keeper: &Keeper, (status, link): (&Status, &str)) {
    let dir = folder.path().display();
    let url = format!("http://127.0.0.1:{}", args.port);
    let counts = [
        counted(args.watchdogs.into(), "watchdog"),
        counted(args.nodes.into(), "node"),
        counted(status.monitors.active, "monitor"),
    ];
    print::line(format!("komainu is up: {}; data in {dir}", counts.join(", ")));
    print::line(format!("  watch   {url}{link}"));
    print::line(format!("          signs in once, within five minutes; later {url}/watch with the key below"));
    print::line(format!("  status  {url}/status"));
    print::line(format!("  API     {url}/api/v1, key in {}", folder.admin_key().display()));
    print::line(format!("          export KOMAINU_URL={url} KOMAINU_KEY_FILE={}", folder.admin_key().display()));
    match &status.leader {
        Some(leader) => print::line(format!("  leader  {}, epoch {}", leader.watchdog_id, leader.epoch)),
        None => print::line("  leader  none yet"),
    }
    let nodes: Vec<String> =
        status.nodes.iter().map(|node| format!("{} {}", node.node_id, describe(node.monitors, &node.status))).collect();
    print::line(format!("  nodes   {}", if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") }));
    if status.monitors.watched < status.monitors.active {
        print::line(format!(
            "          {} monitors are not watched yet",
            status.monitors.active - status.monitors.watched
        ));
    }
    if let Some(line) = kill_line(keeper, status) {
        print::line(format!("  try     {line}"));
    }
    print::line(format!("  end     Ctrl-C, or komainu down --dir {dir}"));
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn describe(monitors: u32, status: &str) -> String {
    if status == "online" { monitors.to_string() } else { format!("{monitors} ({status})") }
}

/// Works when pasted, also with the comment.
fn kill_line(keeper: &Keeper, status: &Status) -> Option<String> {
    let node = status.nodes.iter().find(|node| keeper.pid(&node.node_id).is_some())?;
    let pid = keeper.pid(&node.node_id)?;
    Some(format!("kill -9 {pid}   # {}: watch its {} monitors move", node.node_id, node.monitors))
}
