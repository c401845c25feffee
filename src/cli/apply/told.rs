//! What is done, or would be, for people and as JSON.

use serde_json::{Value, json};

use super::Step;
use super::diff::Change;
use super::plan::Act;
use crate::cli::print::{self, cell};

pub(super) fn say(steps: &[Step], as_json: bool, is_dry: bool) {
    if as_json {
        print::line(json(steps, is_dry).to_string());
        return;
    }
    for step in steps {
        print::line(words(step));
    }
    print::line(summary(steps, is_dry));
}

fn words(step: &Step) -> String {
    let (sign, what) = match step.act {
        Act::Create => ("+", format!("{} {}", step.kind.word(), step.name)),
        Act::Change => ("~", format!("{} {}", step.kind.word(), step.name)),
        Act::Compare => {
            ("?", format!("{} {}: the watchdog compares {}", step.kind.word(), step.name, step.secrets.join(", ")))
        }
        Act::Delete { .. } => ("-", format!("{} {}", step.kind.word(), step.name)),
    };
    let mut lines = vec![format!("{sign} {what}")];
    lines.extend(step.changes.iter().map(|change| line(change, &step.act)));
    if step.act != Act::Compare {
        lines.extend(step.secrets.iter().map(|field| format!("    {field}: (secret)")));
    }
    lines.join("\n")
}

fn line(change: &Change, act: &Act) -> String {
    let (before, after) = (cell(Some(&change.before)), cell(Some(&change.after)));
    match act {
        Act::Create => format!("    {}: {after}", change.field),
        Act::Change | Act::Compare | Act::Delete { .. } => format!("    {}: {before} -> {after}", change.field),
    }
}

fn summary(steps: &[Step], is_dry: bool) -> String {
    let count = |is: fn(&Act) -> bool| steps.iter().filter(|step| is(&step.act)).count();
    let parts = [
        (count(|act| *act == Act::Create), "created"),
        (count(|act| *act == Act::Change), "changed"),
        (count(|act| matches!(act, Act::Delete { .. })), "deleted"),
    ];
    let would = if is_dry { "would be " } else { "" };
    let said: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {would}{word}")).collect();
    if said.is_empty() { "nothing to do".to_owned() } else { said.join(", ") }
}

fn json(steps: &[Step], is_dry: bool) -> Value {
    let changes = |step: &Step| -> Value {
        let field = |change: &Change| (change.field.clone(), json!({"before": change.before, "after": change.after}));
        Value::Object(step.changes.iter().map(field).collect())
    };
    let act = |act: &Act| match act {
        Act::Create => "create",
        Act::Change => "change",
        Act::Compare => "compare",
        Act::Delete { .. } => "delete",
    };
    let steps: Vec<_> = steps
        .iter()
        .map(|step| {
            json!({
                "kind": step.kind.word(), "name": step.name, "act": act(&step.act), "fields": changes(step),
                "secrets": step.secrets,
            })
        })
        .collect();
    json!({"dry_run": is_dry, "steps": steps})
}
