//! Which of Kuma's columns a check has, by its type: those that a look reads, and no others.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::monitor::{Form, Table, field_of, form};

/// What every type has.
const ALL: &[&str] = &["description", "upside_down"];

const WEB: &[&str] = &[
    "accepted_statuscodes_json",
    "auth_method",
    "basic_auth_pass",
    "basic_auth_user",
    "bearer_token",
    "body",
    "cache_bust",
    "headers",
    "http_body_encoding",
    "ignore_tls",
    "ip_family",
    "maxredirects",
    "method",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "url",
];

/// Each type with what it has beyond [`ALL`].
const TYPES: [(&str, &[&[&str]]); 6] = [
    ("http", &[WEB]),
    ("keyword", &[WEB, &["invert_keyword", "keyword"]]),
    ("json-query", &[WEB, &["expected_value", "json_path", "json_path_operator"]]),
    ("port", &[&["hostname", "ip_family", "port"]]),
    ("ping", &[&["hostname", "ip_family", "packet_size", "ping_count", "ping_per_request_timeout"]]),
    ("dns", &[&["conditions", "dns_resolve_server", "dns_resolve_type", "hostname", "port"]]),
];

/// The types, as Kuma names them.
pub const KINDS: [&str; 6] = ["http", "keyword", "json-query", "port", "ping", "dns"];

/// The columns of one type, as a table of them would describe them.
pub fn columns_of(kind: &str) -> Option<&'static Table> {
    tables().get(kind)
}

/// The columns of any type.
pub(crate) fn all_columns() -> &'static Table {
    static WHOLE: OnceLock<Table> = OnceLock::new();
    WHOLE.get_or_init(|| table(TYPES.iter().flat_map(|(_, own)| *own)))
}

/// What is shown of a check of this type.
pub fn shown_table(kind: &str) -> &'static Table {
    // A type that only a newer komainu knows: whatever is stored is shown.
    columns_of(kind).unwrap_or_else(|| all_columns())
}

/// Whether a check of this type has this field, as clients name it.
pub fn uses(kind: &str, field: &str) -> bool {
    let Some(table) = columns_of(kind) else { return false };
    table.columns().any(|(column, _)| field_of(column) == field)
}

fn tables() -> &'static BTreeMap<&'static str, Table> {
    static TABLES: OnceLock<BTreeMap<&'static str, Table>> = OnceLock::new();
    TABLES.get_or_init(|| TYPES.iter().map(|(kind, own)| (*kind, table(own.iter()))).collect())
}

fn table<'a>(own: impl Iterator<Item = &'a &'static [&'static str]>) -> Table {
    let mut table = Table::default();
    for column in own.copied().chain([ALL]).flatten() {
        table.add(column, declared(column), true, None);
    }
    table
}

/// As Kuma's own table declares such a column.
fn declared(column: &str) -> &'static str {
    match form(column) {
        Some(Form::Flag) => "boolean",
        Some(Form::Int(..) | Form::Row(_)) => "bigint",
        Some(Form::Real(..)) => "double",
        Some(
            Form::Text(_)
            | Form::Choice(_)
            | Form::Url
            | Form::Host
            | Form::Headers
            | Form::Codes
            | Form::Conditions
            | Form::Texts
            | Form::Object,
        )
        | None => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_those_that_have_columns() {
        assert_eq!(TYPES.map(|(kind, _)| kind), KINDS);
    }

    #[test]
    fn every_column_is_one_of_kumas() {
        assert!(all_columns().columns().all(|(column, _)| form(column).is_some()));
    }

    #[test]
    fn a_type_has_what_its_look_reads_and_nothing_of_others() {
        assert!(uses("http", "accepted_statuscodes") && uses("dns", "port") && uses("ping", "description"));
        assert!(!uses("http", "keyword") && !uses("ping", "port") && !uses("push", "url"));
        assert!(!uses("http", "parent") && !uses("http", "maxretries") && !uses("http", "proxy_id"));
    }
}
