//! `komainu apikeys`: `create` works on the database, so that the first key can be made.

use clap::ValueEnum;
use reqwest::Method;
use serde_json::{Value, json};

use super::adopt::who;
use super::client::segment;
use super::database::DatabaseArgs;
use super::output::OutputArgs;
use super::print;
use crate::keys::ApiKey;
use crate::store::apikeys::{self, Scope};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a key and print it, this once. Works on the database.
    Create {
        /// What for; unique.
        name: String,
        /// What it allows.
        #[arg(long)]
        scope: ScopeArg,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show all keys, without the keys.
    List(OutputArgs),
    /// Delete a key by name or id.
    Delete {
        /// As the list shows it.
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ScopeArg {
    /// GET.
    Read,
    /// Read, and monitors, heartbeats and acknowledging.
    Write,
    /// Everything.
    Admin,
}

impl From<ScopeArg> for Scope {
    fn from(arg: ScopeArg) -> Self {
        match arg {
            ScopeArg::Read => Self::Read,
            ScopeArg::Write => Self::Write,
            ScopeArg::Admin => Self::Admin,
        }
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { name, scope, database } => create(&name, scope.into(), &database).await,
        Command::List(output) => list(&output).await,
        Command::Delete { name, output } => {
            let path = format!("/api/v1/apikeys/{}", segment(&name));
            output.client()?.call(Method::DELETE, &path, None).await?;
            let gone = json!({"name": name, "deleted": true});
            output.say(&gone, || format!("deleted {name}; other instances may take it for 5 s more"));
            Ok(())
        }
    }
}

async fn create(name: &str, scope: Scope, database: &DatabaseArgs) -> anyhow::Result<()> {
    let store = database.connect().await?;
    store.check_schema().await?;
    let (key, hash) = ApiKey::generate();
    if let Err(error) = apikeys::create(&store, name, scope, &hash, &who()).await {
        if error.is_duplicate() {
            anyhow::bail!("there is a key {name} already; choose another name, or `komainu apikeys delete {name}`");
        }
        return Err(error.into());
    }
    print::line(key);
    Ok(())
}

async fn list(output: &OutputArgs) -> anyhow::Result<()> {
    let items = output.client()?.list("/api/v1/apikeys").await?;
    if output.json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let text = |item: &Value, name: &str| print::cell(item.get(name));
    let rows = items.iter().map(|item| [text(item, "id"), text(item, "name"), text(item, "scope")]);
    print::table(["ID", "NAME", "SCOPE"], rows);
    Ok(())
}
