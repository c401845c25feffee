//! `komainu routes`: who would be told of something, when and why, and what holds it now.

use anyhow::Context;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::client::with_query;
use super::output::OutputArgs;
use super::print;

/// The API's path.
const PATH: &str = "/api/v1/routes/explain";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say who would be told of something, through which route and ladder, and what holds it now.
    Explain {
        /// check/shop, monitor/7, heartbeat/backup, node/node1, database; it need not be there.
        key: String,
        /// If it were so bad: critical or warning. Otherwise as it is, or critical.
        #[arg(long)]
        severity: Option<String>,
        /// If it bore this tag; several are given one by one. Otherwise its own.
        #[arg(long = "tag")]
        tags: Vec<String>,
        /// If this node ran it; otherwise the one that does.
        #[arg(long)]
        node: Option<String>,
        /// If it opened then: 2026-03-01T23:00:00+01:00. Otherwise when it opened, or now.
        #[arg(long)]
        at: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Explain { key, severity, tags, node, at, output } = command;
    let at = at.map(|at| {
        at.parse::<Timestamp>()
            .with_context(|| format!("--at: \"{at}\" is no time; write it as 2026-03-01T23:00:00+01:00"))
    });
    let at = at.transpose()?.map(|at| at.as_millisecond().to_string());
    let tags = (!tags.is_empty()).then(|| tags.join(","));
    let pairs = [
        ("key", Some(key.as_str())),
        ("severity", severity.as_deref()),
        ("tags", tags.as_deref()),
        ("node", node.as_deref()),
        ("at", at.as_deref()),
    ];
    let answer = output.client()?.call(Method::GET, &with_query(PATH, &pairs), None).await?;
    output.say(&answer, || words(&answer));
    Ok(())
}

/// One part below the other, those that say something.
fn words(answer: &Value) -> String {
    let incident = match answer.get("incident").and_then(Value::as_i64) {
        Some(id) => format!("incident {id}, open"),
        None => "not open".to_owned(),
    };
    let (key, severity) = (print::cell(answer.get("key")), print::cell(answer.get("severity")));
    let head = format!("{key}: {severity}, {incident}; as of {}", print::time(answer.get("at")));
    let parts = [Some(head), Some(told(answer)), steps(answer), routes(answer), held(answer)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn items<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn told(answer: &Value) -> String {
    let told = items(answer, "told");
    if told.is_empty() {
        return "Nobody is told.".to_owned();
    }
    let span = |item: &Value, name: &str| item.get(name).and_then(Value::as_u64).map(|seconds| format!("{seconds} s"));
    let rows = told.iter().map(|item| {
        let held = item.get("held_by").and_then(Value::as_str);
        [
            print::cell(item.get("channel")),
            span(item, "group_wait_s").unwrap_or_default(),
            span(item, "repeat_s").unwrap_or_else(|| "never".to_owned()),
            print::cell(item.get("why")),
            held.map_or_else(|| "-".to_owned(), str::to_owned),
        ]
    });
    print::tabled(["TOLD", "WITHIN", "AGAIN AFTER", "BECAUSE OF", "HELD BY"], rows)
}

fn steps(answer: &Value) -> Option<String> {
    let steps = items(answer, "steps");
    let rows = steps.iter().map(|item| {
        let after = item.get("after_s").and_then(Value::as_u64).unwrap_or_default();
        [
            format!("{}, step {}", print::cell(item.get("ladder")), print::cell(item.get("step"))),
            format!("{after} s"),
            names(item, "people"),
            names(item, "channels"),
        ]
    });
    (!steps.is_empty()).then(|| print::tabled(["WHILE NOBODY ACKNOWLEDGES", "AFTER", "PEOPLE", "CHANNELS"], rows))
}

fn routes(answer: &Value) -> Option<String> {
    let routes = items(answer, "routes");
    let rows = routes.iter().map(|item| {
        let is_told = item.get("is_told").and_then(Value::as_bool) == Some(true);
        let tells = if is_told { "yes" } else { "no" };
        [print::cell(item.get("route")), names(item, "channels"), tells.to_owned(), print::cell(item.get("why"))]
    });
    (!routes.is_empty()).then(|| print::tabled(["ROUTE", "CHANNELS", "TAKES IT", "WHY"], rows))
}

fn held(answer: &Value) -> Option<String> {
    let held: Vec<String> =
        items(answer, "held").iter().filter_map(Value::as_str).map(|held| format!("  {held}")).collect();
    (!held.is_empty()).then(|| format!("Now:\n{}", held.join("\n")))
}

fn names(item: &Value, field: &str) -> String {
    let names: Vec<&str> = items(item, field).iter().filter_map(Value::as_str).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tired_stranger_reads_who_is_told_who_is_called_and_what_holds_it() {
        let answer = json!({
            "key": "check/shop", "severity": "critical", "at": 0, "incident": 7,
            "told": [{"channel": "ops", "group_wait_s": 5, "repeat_s": null, "why": "route 1", "held_by": null}],
            "steps": [{"ladder": "night", "step": 1, "after_s": 600, "people": ["ada"], "channels": ["phone"]}],
            "routes": [{"route": 1, "channels": ["ops"], "is_told": true, "why": "takes it"}],
            "held": ["ada acknowledged it at 03:00: no reminders, and ladders stand still"],
        });
        let words = words(&answer);
        for part in [
            "check/shop: critical, incident 7, open; as of 1970-01-01 00:00:00Z",
            "night, step 1",
            "600 s",
            "takes it",
            "Now:\n  ada acknowledged it",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        let nobody = super::words(&json!({"key": "partial/shop", "severity": "warning", "at": 0, "incident": null}));
        assert_eq!(nobody, "partial/shop: warning, not open; as of 1970-01-01 00:00:00Z\n\nNobody is told.");
    }
}
