//! Pages and what was written on them, for people.

use serde_json::Value;

use crate::cli::print::{self, cell};

pub(super) const HEADINGS: [&str; 5] = ["SLUG", "TITLE", "COMPONENTS", "PASSWORD", "CHANGED"];

pub(super) const TOLD: [&str; 6] = ["ID", "WHAT", "STATUS", "IMPACT", "SINCE", "TITLE"];

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A row of the list.
pub(super) fn row(page: &Value) -> [String; 5] {
    let of = |name: &str| cell(page.get(name));
    let components: usize = list(page, "groups").iter().map(|group| list(group, "components").len()).sum();
    let is_closed = page.get("has_password").and_then(Value::as_bool).unwrap_or_default();
    let password = if is_closed { "yes" } else { "-" };
    [of("slug"), of("title"), components.to_string(), password.to_owned(), print::time(page.get("changed_at"))]
}

/// All of one.
pub(super) fn one(page: &Value) -> String {
    let fields = [
        "slug",
        "title",
        "description",
        "language",
        "footer",
        "accent",
        "has_password",
        "noindex",
        "subscribe",
        "managed_by",
    ];
    let is_said = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let said = fields.into_iter().filter_map(|field| Some((field, page.get(field).filter(is_said)?)));
    let mut lines: Vec<String> = said.map(|(field, value)| format!("{field}: {}", cell(Some(value)))).collect();
    lines.push(format!("address: /pages/{}", cell(page.get("slug"))));
    for group in list(page, "groups") {
        lines.push(format!("\n{}", cell(group.get("name"))));
        let rows = list(group, "components").iter().map(|component| {
            let about = ["monitor", "monitor_ref", "check", "heartbeat"]
                .into_iter()
                .find_map(|field| Some(format!("{field} {}", cell(Some(component.get(field)?)))));
            [cell(component.get("name")), about.unwrap_or_default(), cell(component.get("id"))]
        });
        lines.push(print::tabled(["NAME", "ABOUT", "PUBLIC ID"], rows));
    }
    lines.join("\n")
}

/// A row of what was written.
pub(super) fn told((what, notice): &(&'static str, Value)) -> [String; 6] {
    let of = |name: &str| cell(notice.get(name));
    let since = notice.get("starts_at").filter(|at| !at.is_null()).or_else(|| notice.get("created_at"));
    [of("id"), (*what).to_owned(), of("status"), of("impact"), print::time(since), of("title")]
}

/// One of them, with all that was said of it.
pub(super) fn notice(notice: &Value) -> String {
    let of = |name: &str| cell(notice.get(name));
    let mut lines = vec![format!("{} {} ({}): {}", of("id"), of("status"), of("impact"), of("title"))];
    for update in list(notice, "updates") {
        let (at, status, text) = (print::time(update.get("at")), cell(update.get("status")), cell(update.get("text")));
        lines.push(format!("{at} {status}: {text}"));
    }
    lines.join("\n")
}
