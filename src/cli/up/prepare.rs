//! What must be there before the first process starts: keys, configurations, tables, nodes, the admin's key, the demo.

use std::net::TcpListener;

use anyhow::{Context, bail};
use komainu_watchdogs::ids::NodeId;

use super::folder::{Folder, Kind, Member};
use super::{Args, demo};
use crate::cli::adopt::who;
use crate::cli::files;
use crate::clock;
use crate::config::Config;
use crate::dashboard::sign_in_link as sign_in_link_of;
use crate::keys::{ApiKey, ClusterKey, hash_api_key};
use crate::store::apikeys::{self, Scope};
use crate::store::migrate::{self, MigrateOptions};
use crate::store::nodes::{self, NewNode, NodeChange};
use crate::store::{DatabaseUrl, Store};

/// The first words of a komainu.toml that `up` may use.
const MARK: &str = "# Written by `komainu up`";

/// The admin key's name in the list of keys.
const ADMIN: &str = "up-admin";

/// Who makes it, for the audit trail.
const BY: &str = "cli/up";

/// What the supervisor goes on with.
pub(super) struct Prepared {
    pub(super) store: Store,
    /// The key that lies in the folder.
    pub(super) admin_key: String,
    /// Monitors of the demo.
    pub(super) monitors: u32,
}

/// The path of a link that signs in to the dashboard of the first watchdog with the folder's key, once.
pub(super) async fn sign_in_link(folder: &Folder, prepared: &Prepared) -> anyhow::Result<String> {
    let key = apikeys::find_by_hash(&prepared.store, &hash_api_key(&prepared.admin_key)).await?;
    let key = key.context("the folder's key is not known any more")?;
    Ok(sign_in_link_of(&cluster_key(folder)?, "w1", &key, clock::wall()))
}

/// A port that somebody else has would make one process die later, with its reason in a log.
pub(super) fn ensure_ports_are_free(members: &[Member]) -> anyhow::Result<()> {
    for member in members {
        ensure_free(member.port, &member.name)?;
    }
    Ok(())
}

pub(super) fn ensure_free(port: u16, what: &str) -> anyhow::Result<()> {
    let bound = TcpListener::bind(("127.0.0.1", port));
    bound
        .map(drop)
        .with_context(|| format!("port {port} ({what}) is not free; end what uses it or choose another --port"))
}

pub(super) async fn run(folder: &Folder, args: &Args) -> anyhow::Result<Prepared> {
    let key = cluster_key(folder)?;
    write_cluster_config(folder, args)?;
    let members = args.members();
    for member in &members {
        write_config(folder, member, &members, &key)?;
    }
    let config = Config::load(&folder.cluster_config())?;
    let store = Store::connect(&config.database.url).await?;
    migrate::apply(&store, MigrateOptions { without_kuma: true }).await?;
    for member in members.iter().filter(|member| member.kind == Kind::Node) {
        enter_node(&store, member).await?;
    }
    let admin_key = write_admin_key(folder, &store).await?;
    let monitors = demo::run(&store, args).await?;
    Ok(Prepared { store, admin_key, monitors })
}

fn cluster_key(folder: &Folder) -> anyhow::Result<ClusterKey> {
    let path = folder.cluster_key();
    if !path.exists() {
        files::write_secret(&path, ClusterKey::generate().reveal())?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ClusterKey::parse(&text).with_context(|| path.display().to_string())
}

/// An existing one of ours is kept, so that settings which somebody added to it stay.
fn write_cluster_config(folder: &Folder, args: &Args) -> anyhow::Result<()> {
    let path = folder.cluster_config();
    let existing = std::fs::read_to_string(&path).ok();
    match (&existing, &args.database) {
        (Some(text), _) if !text.starts_with(MARK) => {
            bail!("{} was not written by `komainu up`; choose another --dir", path.display())
        }
        (Some(_), None) => return Ok(()),
        (Some(_) | None, _) => {}
    }
    let url = match &args.database {
        Some(url) => {
            DatabaseUrl::parse(url)?;
            url.clone()
        }
        None => format!("sqlite://{}", folder.database().display()),
    };
    let text = format!(
        "{MARK}, which puts it at the beginning of each process' own file; [policy], [status], [deadman],\n\
         # [[channel]] and [[route]] (one of them without match) may be added.\n\
         [cluster]\nname = \"komainu\"\nkey_file = \"cluster.key\"\n\n[database]\nurl = {}\n",
        toml::Value::from(url)
    );
    // The URL may hold a password.
    files::replace(&path, &text, 0o600)
}

fn write_config(folder: &Folder, member: &Member, members: &[Member], key: &ClusterKey) -> anyhow::Result<()> {
    let path = folder.cluster_config();
    let common = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (id, listen) = (&member.name, member.listen());
    let own = match member.kind {
        Kind::Watchdog => {
            let is_peer = |other: &&Member| other.kind == Kind::Watchdog && other.name != *id;
            let peers: Vec<String> = members.iter().filter(is_peer).map(Member::url).collect();
            format!("[watchdog]\nid = \"{id}\"\nlisten = \"{listen}\"\npeers = {peers:?}\n")
        }
        Kind::Node => {
            let key = key.node_key(&NodeId::from(id.as_str()));
            format!("[node]\nid = \"{id}\"\nlisten = \"{listen}\"\nkey = \"{}\"\n", key.reveal())
        }
    };
    files::replace(&folder.config(id), &format!("{common}\n{own}"), 0o600)
}

async fn enter_node(store: &Store, member: &Member) -> anyhow::Result<()> {
    let node_id = NodeId::from(member.name.as_str());
    let new = NewNode {
        node_id: node_id.clone(),
        name: member.name.clone(),
        address: member.url(),
        kinds: crate::node::KINDS.iter().map(|kind| (*kind).to_owned()).collect(),
        ..NewNode::default()
    };
    if !nodes::add(store, &new, &who()).await? {
        // Another --port than last time.
        let change = NodeChange { address: Some(member.url()), ..NodeChange::default() };
        nodes::edit(store, &node_id, &change, &who()).await?;
    }
    Ok(())
}

/// The key that is in the folder goes on; one that the database does not know is replaced.
async fn write_admin_key(folder: &Folder, store: &Store) -> anyhow::Result<String> {
    let path = folder.admin_key();
    if let Ok(text) = std::fs::read_to_string(&path)
        && apikeys::find_by_hash(store, &hash_api_key(text.trim())).await?.is_some()
    {
        return Ok(text.trim().to_owned());
    }
    apikeys::delete(store, ADMIN, BY).await?;
    let (key, hash) = ApiKey::generate();
    apikeys::create(store, ADMIN, Scope::Admin, &hash, BY).await?;
    files::replace(&path, &format!("{key}\n"), 0o600)?;
    Ok(key)
}
