//! The only file that prints. Answers go to standard output, complaints to standard error.

use std::io::{self, Write};
use std::process;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// A reader that has gone (`komainu status | head -1`) has seen enough: that ends the program, and is no failure.
pub(super) fn line(text: impl AsRef<str>) {
    let written = writeln!(io::stdout().lock(), "{}", text.as_ref());
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        process::exit(0);
    }
}

/// Nobody may be listening any more; that changes no exit code.
pub(super) fn complaint(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// What failed, with its causes, on one line where they fit.
pub(super) fn failure(error: &anyhow::Error) {
    complaint(format!("komainu: {error:#}"));
}

/// A plain table: headings and rows, no frames, so that it can be cut by awk.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    line(tabled(headings, rows));
}

/// The same, not printed yet.
pub(super) fn tabled<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A JSON value as a cell of a table.
pub(super) fn cell(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// Milliseconds UTC as people read them.
pub(super) fn time(value: Option<&serde_json::Value>) -> String {
    let stamp = value.and_then(serde_json::Value::as_i64).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "-".to_owned(), |stamp| stamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// When something opened; where it opened again, both times.
pub(super) fn opened(last: Option<&serde_json::Value>, first: Option<&serde_json::Value>) -> String {
    match first.filter(|first| !first.is_null() && Some(*first) != last) {
        Some(first) => format!("{} (first {})", time(last), time(Some(first))),
        None => time(last),
    }
}
