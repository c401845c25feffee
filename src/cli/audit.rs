//! `komainu audit`.

use reqwest::Method;
use serde_json::Value;

use super::client::with_query;
use super::output::OutputArgs;
use super::print;

/// A line of a table stays readable; `--json` says all.
const CHANGE_CHARS: usize = 100;

/// How many values of a change are shown.
const CHANGE_PARTS: usize = 4;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of this: monitor/7, node/node1, heartbeat/backup, cluster, routing.
    #[arg(long)]
    subject: Option<String>,
    /// Only by these hands: key/ops, cli/ada, or w1/epoch 7 for a leader.
    #[arg(long)]
    who: Option<String>,
    /// Only of this kind: monitor.move, node.drain, decision.
    #[arg(long)]
    what: Option<String>,
    /// Only what was asked for from this address.
    #[arg(long)]
    from: Option<String>,
    /// So many of the latest.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let limit = args.limit.to_string();
    let asked = [
        ("subject", args.subject.as_deref()),
        ("who", args.who.as_deref()),
        ("what", args.what.as_deref()),
        ("address", args.from.as_deref()),
        ("limit", Some(limit.as_str())),
    ];
    let page = args.output.client()?.call(Method::GET, &with_query("/api/v1/audit", &asked), None).await?;
    let deeds = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if args.output.json {
        print::line(Value::from(deeds).to_string());
        return Ok(());
    }
    let rows = deeds.iter().map(|deed| {
        let [who, what, subject] = ["who", "what", "subject"].map(|name| print::cell(deed.get(name)));
        let address = print::cell(deed.get("address"));
        [print::time(deed.get("at")), who, address, what, subject, change(deed.get("before"), deed.get("after"))]
    });
    print::table(["AT", "WHO", "FROM", "WHAT", "SUBJECT", "CHANGE"], rows);
    Ok(())
}

/// What differs, as `name: was -> is`; of what was not there before, what it is.
fn change(before: Option<&Value>, after: Option<&Value>) -> String {
    let fields = |side: Option<&Value>| side.and_then(Value::as_object).cloned();
    let (was, is) = match (fields(before), fields(after)) {
        (None, None) => return print::cell(after),
        (Some(_), None) => return "gone".to_owned(),
        (was, Some(is)) => (was.unwrap_or_default(), is),
    };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    let mut parts = is.iter().filter(|(name, value)| was.get(*name) != Some(*value)).filter_map(|(name, value)| {
        match was.get(name) {
            Some(old) => Some(format!("{name}: {} -> {}", print::cell(Some(old)), print::cell(Some(value)))),
            None if is_empty(value) => None,
            None => Some(format!("{name}: {}", print::cell(Some(value)))),
        }
    });
    let shown: Vec<String> = parts.by_ref().take(CHANGE_PARTS).collect();
    let text = shown.join(", ");
    if text.chars().count() > CHANGE_CHARS || parts.next().is_some() {
        return text.chars().take(CHANGE_CHARS).chain(['…']).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(before: &Value, after: &Value) -> String {
        change(Some(before), Some(after))
    }

    #[test]
    fn only_what_differs_is_shown() {
        let before = json!({"frozen": false, "pinned_node": null});
        assert_eq!(changed(&before, &json!({"frozen": true, "pinned_node": null})), "frozen: false -> true");
        assert_eq!(changed(&before, &json!({"frozen": false, "pinned_node": "node1"})), "pinned_node: - -> node1");
        assert_eq!(changed(&before, &Value::Null), "gone");
    }

    #[test]
    fn of_what_is_new_the_empty_fields_are_left_out() {
        let after = json!({"cron": null, "period_s": 60, "tags": []});
        assert_eq!(changed(&Value::Null, &after), "period_s: 60");
    }

    #[test]
    fn a_long_change_is_cut_and_says_so() {
        let text = changed(&Value::Null, &json!({"name": "ä".repeat(300)}));
        assert!(text.ends_with("ä…") && text.chars().count() == CHANGE_CHARS + 1, "{text}");
        let many = changed(&Value::Null, &json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}));
        assert_eq!(many, "a: 1, b: 2, c: 3, d: 4…");
    }
}
