//! The schema of stock Uptime Kuma 2.5.3, and what the fork adds to it.
//!
//! Built from the recorded columns and indexes; Kuma's foreign keys are left out.

use std::collections::BTreeMap;

const COLUMNS: &str = include_str!("../fixtures/kuma/schema-2.5.3.tsv");
const INDEXES: &str = include_str!("../fixtures/kuma/indexes-2.5.3.tsv");

/// The statements that make stock Kuma's tables.
pub(crate) fn stock(is_sqlite: bool) -> String {
    let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in COLUMNS.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        tables.entry(cells[0]).or_default().push(column(&cells, is_sqlite));
    }
    let mut sql: Vec<String> = vec![];
    for (table, columns) in &tables {
        sql.push(format!("CREATE TABLE `{table}` ({});", columns.join(", ")));
    }
    for line in INDEXES.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let (table, name, columns) = (cells[0], cells[1], cells[3].replace(',', "`, `"));
        let unique = if cells[2] == "1" { "UNIQUE " } else { "" };
        if name != "PRIMARY" {
            let name = if is_sqlite { format!("{table}_{name}") } else { name.to_owned() };
            sql.push(format!("CREATE {unique}INDEX `{name}` ON `{table}` (`{columns}`);"));
        }
    }
    sql.join("\n")
}

fn column(cells: &[&str], is_sqlite: bool) -> String {
    let (name, kind, nullable, preset) = (cells[1], cells[3], cells[4], cells[5]);
    let is_key = cells.get(6) == Some(&"PRI");
    let counts = cells.get(7) == Some(&"auto_increment");
    if is_sqlite && is_key && counts {
        return format!("`{name}` INTEGER PRIMARY KEY AUTOINCREMENT");
    }
    let kind = match kind {
        enumeration if is_sqlite && enumeration.starts_with("enum") => "text",
        number if is_sqlite && number.contains("unsigned") => "integer",
        kind => kind,
    };
    let preset = match preset {
        "NULL" | "" => String::new(),
        "current_timestamp()" => " DEFAULT CURRENT_TIMESTAMP".to_owned(),
        preset => format!(" DEFAULT {preset}"),
    };
    let null = if nullable == "YES" { " NULL" } else { " NOT NULL" };
    let key = match (is_key, counts) {
        (true, true) => " AUTO_INCREMENT PRIMARY KEY",
        (true, false) => " PRIMARY KEY",
        (false, _) => "",
    };
    format!("`{name}` {kind}{null}{preset}{key}")
}

/// What uptime-kuma-cluster adds: its table of nodes, and two columns of `monitor`.
pub(crate) fn fork(is_sqlite: bool) -> String {
    let status = if is_sqlite { "VARCHAR(20)" } else { "ENUM('online','offline','recovering')" };
    format!(
        "CREATE TABLE node (node_id VARCHAR(50) NOT NULL PRIMARY KEY, node_name VARCHAR(255), \
         location VARCHAR(255), host VARCHAR(255), hostname VARCHAR(255), status {status} NOT NULL DEFAULT 'online', \
         active BOOLEAN DEFAULT 1, is_primary BOOLEAN DEFAULT 0, created_date DATETIME, modified_date DATETIME, \
         last_seen DATETIME);\n\
         ALTER TABLE monitor ADD COLUMN node_id VARCHAR(50) NULL;\n\
         ALTER TABLE monitor ADD COLUMN assigned_node VARCHAR(50) NULL;\n\
         INSERT INTO node (node_id, node_name, status) VALUES ('node1', 'One', 'online'), ('node2', 'Two', 'offline');\n"
    )
}
