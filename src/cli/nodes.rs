//! `komainu nodes`.

use anyhow::bail;
use reqwest::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::client::{Client, segment};
use super::output::OutputArgs;
use super::print;

mod drain;

const PATH: &str = "/api/v1/nodes";

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
        /// What monitors may ask of their node by `run_on`; may be repeated.
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change what is named; the rest stays.
    Edit(Edit),
    /// Delete a node that nothing depends on.
    Delete {
        /// Its name.
        id: String,
        /// Monitors that were at home on it are at home where they run.
        #[arg(long)]
        rehome: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Move a node's monitors away, and keep it empty until `resume`.
    Drain(drain::Args),
    /// Let a drained node have monitors again; those at home on it return.
    Resume {
        /// Its name.
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Bring a node's monitors home now, and let it have monitors again that it was emptied of.
    Recover {
        /// Its name.
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one node.
    Show {
        /// Its name.
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show all nodes.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What is to change.
#[derive(Debug, clap::Args)]
pub(super) struct Edit {
    /// Its name.
    id: String,
    /// Its name for people.
    #[arg(long)]
    name: Option<String>,
    /// Where its HTTP surface answers.
    #[arg(long)]
    address: Option<Url>,
    /// Its share of the load, relative to the others.
    #[arg(long)]
    weight: Option<u32>,
    /// Monitors it takes at most.
    #[arg(long)]
    capacity: Option<u32>,
    /// As many monitors as the policy says.
    #[arg(long, conflicts_with = "capacity")]
    no_capacity: bool,
    /// What monitors may ask of their node by `run_on`; replaces all labels; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// It bears no label any more.
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { id, address, weight, capacity, labels, output } => {
            let body = json!({
                "node_id": id, "address": address, "weight": weight, "capacity": capacity, "labels": labels,
            });
            let added = output.client()?.call(Method::POST, PATH, Some(body)).await?;
            let key = added.get("key").and_then(Value::as_str).unwrap_or_default();
            output.say(&added, || snippet(&id, &address, key));
            Ok(())
        }
        Command::Edit(edit) => change(edit).await,
        Command::Delete { id, rehome, output } => {
            let path = format!("{}?rehome={rehome}", of(&id));
            output.client()?.call(Method::DELETE, &path, None).await?;
            output.say(&json!({"node_id": id, "deleted": true}), || format!("deleted {id}"));
            Ok(())
        }
        Command::Drain(args) => drain::run(args).await,
        Command::Resume { id, output } => {
            let node = output.client()?.call(Method::POST, &format!("{}/resume", of(&id)), None).await?;
            output.say(&node, || format!("asked: {id} has monitors again, those at home on it return"));
            Ok(())
        }
        Command::Recover { id, output } => {
            let node = output.client()?.call(Method::POST, &format!("{}/recover", of(&id)), None).await?;
            output.say(&node, || format!("asked: the monitors of {id} come home as soon as it is online"));
            Ok(())
        }
        Command::Show { id, output } => {
            show(&find(&output.client()?, &id).await?, &output);
            Ok(())
        }
        Command::List { output } => list(&output).await,
    }
}

async fn find(client: &Client, id: &str) -> anyhow::Result<Value> {
    client.call(Method::GET, &of(id), None).await
}

fn of(id: &str) -> String {
    format!("{PATH}/{}", segment(id))
}

async fn change(edit: Edit) -> anyhow::Result<()> {
    let mut body = Map::new();
    let named = [
        ("name", edit.name.map(Value::from)),
        ("address", edit.address.map(|address| json!(address))),
        ("weight", edit.weight.map(Value::from)),
        ("capacity", if edit.no_capacity { Some(Value::Null) } else { edit.capacity.map(Value::from) }),
        ("labels", (edit.no_labels || !edit.labels.is_empty()).then(|| json!(edit.labels))),
    ];
    body.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    if body.is_empty() {
        bail!("name what is to change: `komainu nodes edit --help` shows what can be");
    }
    let node = edit.output.client()?.call(Method::PATCH, &of(&edit.id), Some(body.into())).await?;
    show(&node, &edit.output);
    Ok(())
}

fn show(node: &Value, output: &OutputArgs) {
    if output.json {
        print::line(node.to_string());
        return;
    }
    let fields = node.as_object().into_iter().flatten();
    print::table(["FIELD", "VALUE"], fields.map(|(name, value)| [name.clone(), print::cell(Some(value))]));
}

/// A configuration of that node which works when pasted; the database is the one thing the API does not give away.
fn snippet(id: &str, address: &Url, key: &str) -> String {
    let port = address.port_or_known_default().unwrap_or(8910);
    let tls = if address.scheme() == "https" {
        format!("\n[tls]\ncert = \"{id}.crt\"\nkey = \"{id}.key\"")
    } else {
        String::new()
    };
    let address = address.as_str().trim_end_matches('/');
    format!(
        "# node {id} is entered. Save this on its host as komainu.toml, give the database's URL to `komainu node`:\n\
         #   KOMAINU__DATABASE__URL='mysql://user:password@host/database' komainu node --config komainu.toml\n\
         [node]\nid = \"{id}\"\nlisten = \"0.0.0.0:{port}\"\nadvertise = \"{address}\"\nkey = \"{key}\"{tls}"
    )
}

async fn list(output: &OutputArgs) -> anyhow::Result<()> {
    let items = output.client()?.list(PATH).await?;
    if output.json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let names = ["node_id", "status", "overlay", "monitors", "home_monitors", "weight", "capacity", "address"];
    let rows = items.iter().map(|item| {
        let [node, status, overlay, monitors, home, weight, capacity, address] =
            names.map(|name| print::cell(item.get(name)));
        let labels = item.get("labels").and_then(Value::as_array).into_iter().flatten();
        let labels: Vec<&str> = labels.filter_map(Value::as_str).collect();
        let is_asked = item.get("recover_asked").and_then(Value::as_bool).unwrap_or(false);
        let asked = if is_asked { "recover" } else { "" }.to_owned();
        [node, status, overlay, asked, monitors, home, weight, capacity, labels.join(","), address]
    });
    let headings =
        ["NODE", "STATUS", "OVERLAY", "ASKED", "MONITORS", "HOME", "WEIGHT", "CAPACITY", "LABELS", "ADDRESS"];
    print::table(headings, rows);
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
