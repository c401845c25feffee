//! `komainu checks`: what every watchdog looks at itself.
//!
//! A check is named by its name, which it keeps.

mod edited;
mod shown;
mod votes;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use self::edited::Edits;
use super::client::{Client, Request, segment, with_query};
use super::output::OutputArgs;
use super::print;

/// A try takes as long as the slowest look: two minutes, and some for those who do not answer.
const TRY_TIMEOUT: Duration = Duration::from_secs(150);

/// The API's path.
pub(super) const PATH: &str = "/api/v1/checks";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a check. Every watchdog looks from then on.
    Add {
        /// 1 to 100 of A-Z a-z 0-9 . _ -, the first a letter or a digit.
        name: String,
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Look once, now, from every watchdog, and say who sees what. Nothing is stored.
    Try {
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show checks: what each is, since when, and why.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show all of one check, what each watchdog sees of it now, and how much of the time it was reached.
    Show {
        /// Its name.
        name: String,
        /// With headers, bodies and passwords: for keys of scope admin, and it stands in the audit trail.
        #[arg(long)]
        secrets: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change what is named, and nothing else.
    Edit {
        /// Its name.
        name: String,
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Look no more until they are resumed.
    Pause {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Look again.
    Resume {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete them with all that was known of them.
    Delete {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(super) struct Many {
    /// Their names.
    #[arg(required_unless_present = "tag", value_name = "NAME")]
    names: Vec<String>,
    /// All that bear this tag.
    #[arg(long, conflicts_with = "names")]
    tag: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Of this type: `http`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// With this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Of this set: `apply/shop`.
    #[arg(long, value_name = "SET")]
    managed_by: Option<String>,
    /// Paused or not: `--paused=true`.
    #[arg(long, value_name = "BOOL")]
    paused: Option<bool>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { name, edits, output } => {
            let mut body = edits.body()?;
            body.insert("name".to_owned(), name.into());
            let added = output.client()?.call(Method::POST, PATH, Some(body.into())).await?;
            output.say(&added, || shown::one(&added));
            Ok(())
        }
        Command::Try { edits, output } => try_once(&edits, &output).await,
        Command::List { filter, output } => list(&filter, &output).await,
        Command::Show { name, secrets, output } => show(&name, secrets, &output).await,
        Command::Edit { name, edits, output } => {
            let body = edits.body()?;
            anyhow::ensure!(!body.is_empty(), "nothing to change was named; see `komainu checks edit --help`");
            let edited = output.client()?.call(Method::PATCH, &of(&name), Some(body.into())).await?;
            output.say(&edited, || shown::one(&edited));
            Ok(())
        }
        Command::Pause { many, output } => switch(&many, &output, true).await,
        Command::Resume { many, output } => switch(&many, &output, false).await,
        Command::Delete { many, output } => delete(&many, &output).await,
    }
}

async fn try_once(edits: &Edits, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let (path, body) = (format!("{PATH}/try"), Some(edits.body()?.into()));
    let request = Request { method: Method::POST, path: &path, body, timeout: Some(TRY_TIMEOUT), ..Request::default() };
    let answer = client.send(request).await?;
    if !answer.status.is_success() {
        return Err(client.explain(answer.status, &answer.body));
    }
    output.say(&answer.body, || votes::trial(&answer.body));
    Ok(())
}

async fn show(name: &str, secrets: bool, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let path = if secrets { format!("{}?secrets=true", of(name)) } else { of(name) };
    let check = client.call(Method::GET, &path, None).await?;
    let uptime = client.call(Method::GET, &format!("{}/uptime", of(name)), None).await?;
    // Its status says what the check is, and its body the same in words.
    let (_, now) = client.ask(Method::GET, &format!("/checks/{}", segment(name)), None).await?;
    let whole = shown::whole(&check, &now, uptime);
    output.say(&whole, || shown::one(&whole));
    Ok(())
}

async fn list(filter: &Filter, output: &OutputArgs) -> anyhow::Result<()> {
    let items = output.client()?.list(&filter.path()).await?;
    if output.json {
        print::line(Value::from(items).to_string());
    } else {
        print::table(shown::HEADINGS, items.iter().map(shown::row));
    }
    Ok(())
}

/// One by one: what was done before something failed stays done, and was said.
async fn switch(many: &Many, output: &OutputArgs, paused: bool) -> anyhow::Result<()> {
    let client = output.client()?;
    for name in many.find(&client).await? {
        let edited = client.call(Method::PATCH, &of(&name), Some(json!({"paused": paused}))).await?;
        let done = if paused { "paused" } else { "resumed" };
        output.say(&edited, || format!("{done} {name}"));
    }
    Ok(())
}

async fn delete(many: &Many, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    for name in many.find(&client).await? {
        client.call(Method::DELETE, &of(&name), None).await?;
        output.say(&json!({"name": name, "deleted": true}), || format!("deleted {name}"));
    }
    Ok(())
}

/// The path of one. A name with other characters than the API takes is asked for as it is, and refused there.
fn of(name: &str) -> String {
    format!("{PATH}/{}", segment(name))
}

impl Filter {
    fn path(&self) -> String {
        let paused = self.paused.map(|paused| paused.to_string());
        let pairs = [
            ("type", self.kind.as_deref()),
            ("tag", self.tag.as_deref()),
            ("managed_by", self.managed_by.as_deref()),
            ("paused", paused.as_deref()),
            // Fewer round trips: a list is read to its end.
            ("limit", Some("1000")),
        ];
        with_query(PATH, &pairs)
    }
}

impl Many {
    /// Each of them, before anything is done to one.
    async fn find(&self, client: &Client) -> anyhow::Result<Vec<String>> {
        let Some(tag) = &self.tag else { return Ok(self.names.clone()) };
        let found = client.list(&with_query(PATH, &[("tag", Some(tag)), ("limit", Some("1000"))])).await?;
        anyhow::ensure!(!found.is_empty(), "no check bears the tag {tag}");
        Ok(found.iter().filter_map(|check| Some(check.get("name")?.as_str()?.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn body(words: &[&str]) -> anyhow::Result<Value> {
        let line = Line::try_parse_from(std::iter::once(&"checks").chain(words))?;
        match line.command {
            Command::Add { edits, .. } | Command::Edit { edits, .. } | Command::Try { edits, .. } => {
                Ok(edits.body()?.into())
            }
            Command::List { .. }
            | Command::Show { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Delete { .. } => panic!("{words:?}"),
        }
    }

    #[test]
    fn what_is_said_is_what_is_asked_for() {
        let line = "add shop --type keyword --target https://shop.example/ --keyword ok --interval 20s --timeout 5s \
                    --quorum 2 --zones a,b --severity warning --channels ops,phone --tags web --set ignore_tls=true";
        let line: Vec<&str> = line.split_whitespace().collect();
        let expected = json!({"type": "keyword", "url": "https://shop.example/", "keyword": "ok", "interval": 20,
            "timeout": 5, "quorum": 2, "zones": ["a", "b"], "severity": "warning", "channels": ["ops", "phone"],
            "tags": ["web"], "ignore_tls": true});
        assert_eq!(body(&line).unwrap(), expected);
    }

    #[test]
    fn a_try_takes_what_a_check_takes_and_no_name() {
        let line = "try --type http --target https://shop.example/ --timeout 5s";
        let line: Vec<&str> = line.split_whitespace().collect();
        let expected = json!({"type": "http", "url": "https://shop.example/", "timeout": 5});
        assert_eq!(body(&line).unwrap(), expected);
        assert!(body(&["try", "shop", "--type", "http"]).is_err());
    }

    #[test]
    fn an_edit_names_only_what_changes_and_nothing_twice() {
        assert_eq!(body(&["edit", "x", "--quorum", "all"]).unwrap(), json!({"quorum": "all"}));
        assert_eq!(
            body(&["edit", "x", "--set", "timeout=null", "--tags", ""]).unwrap(),
            json!({"timeout": null, "tags": []})
        );
        let twice = body(&["edit", "x", "--interval", "20s", "--set", "interval=30"]).unwrap_err();
        assert_eq!(twice.to_string(), "interval is named twice");
    }
}
