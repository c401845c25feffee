//! `komainu nodes`.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::client::ClientArgs;
use super::print;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Enter a node and print its key.
    Add {
        /// Its name: letters, digits, dots, dashes, underscores.
        id: String,
        /// Where its HTTP surface answers: `http://10.0.0.5:3001`.
        #[arg(long)]
        address: Url,
        /// Its share of the load, relative to the others.
        #[arg(long, default_value_t = 100)]
        weight: u32,
        /// Monitors it takes at most. Default: the policy's limit.
        #[arg(long)]
        capacity: Option<u32>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Bring a node's monitors home now, and let it have monitors again that it was emptied of.
    Recover {
        /// Its name.
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show all nodes.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { id, address, weight, capacity, client } => {
            let body = json!({"node_id": id, "address": address, "weight": weight, "capacity": capacity});
            let added = client.client()?.call(Method::POST, "/api/v1/nodes", Some(body)).await?;
            print::line(snippet(&id, &address, added.get("key").and_then(Value::as_str).unwrap_or_default()));
            Ok(())
        }
        Command::Recover { id, client } => {
            client.client()?.call(Method::POST, &format!("/api/v1/nodes/{id}/recover"), None).await?;
            print::line(format!("asked: the monitors of {id} come home as soon as it is online"));
            Ok(())
        }
        Command::List { json, client } => list(&client, json).await,
    }
}

/// A configuration of that node which works when pasted; the database is the one thing the API does not give away.
fn snippet(id: &str, address: &Url, key: &str) -> String {
    let port = address.port_or_known_default().unwrap_or(8910);
    let address = address.as_str().trim_end_matches('/');
    format!(
        "# node {id} is entered. Save this on its host as komainu.toml, give the database's URL to `komainu node`:\n\
         #   KOMAINU__DATABASE__URL='mysql://user:password@host/database' komainu node --config komainu.toml\n\
         [node]\nid = \"{id}\"\nlisten = \"0.0.0.0:{port}\"\nadvertise = \"{address}\"\nkey = \"{key}\""
    )
}

async fn list(client: &ClientArgs, as_json: bool) -> anyhow::Result<()> {
    let items = client.client()?.list("/api/v1/nodes").await?;
    if as_json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let names = ["node_id", "status", "overlay", "monitors", "home_monitors", "weight", "capacity", "address"];
    let rows = items.iter().map(|item| names.map(|name| print::cell(item.get(name))));
    print::table(["NODE", "STATUS", "OVERLAY", "MONITORS", "HOME", "WEIGHT", "CAPACITY", "ADDRESS"], rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::keys::ClusterKey;

    #[test]
    fn the_snippet_is_a_configuration_that_works_when_pasted() {
        let key = ClusterKey::generate().node_key(&"node7".into());
        let address = Url::parse("http://10.0.0.7:3001").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("komainu.toml");
        let database = "\n[database]\nurl = \"sqlite:///tmp/x.db\"\n";
        std::fs::write(&file, snippet("node7", &address, key.reveal()) + database).unwrap();
        let node = Config::load(&file).unwrap().node.unwrap();
        assert_eq!((node.id.as_str(), node.key, node.listen.port()), ("node7", key, 3001));
    }
}
