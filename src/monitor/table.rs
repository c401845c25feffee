//! The table `monitor` of one database, as its server describes it: Kuma's differ from version to version.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

/// What a column holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number between these two.
    Int(i64, i64),
    /// `true` or `false`.
    Flag,
    /// A number.
    Real,
    /// So many characters at most.
    Chars(usize),
    /// So many bytes at most.
    Bytes(usize),
    /// One of these.
    Choice(Vec<String>),
}

/// One column.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// What it holds.
    pub kind: Kind,
    /// It may be NULL.
    pub nullable: bool,
    /// What it holds when nobody says.
    pub preset: Json,
}

/// The columns that can be read and written; dates and binary ones are left out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table(BTreeMap<String, Column>);

/// A TEXT of MariaDB, and what SQLite is held to as well.
const TEXT_BYTES: usize = 65_535;

impl Table {
    /// Takes a column as the server describes it: its declared type, whether it may be NULL, its default as SQL.
    pub fn add(&mut self, name: &str, declared: &str, nullable: bool, preset: Option<&str>) {
        if let Some(kind) = kind_of(declared) {
            let preset = preset.map_or(Json::Null, |preset| preset_of(&kind, preset));
            self.0.insert(name.to_lowercase(), Column { kind, nullable, preset });
        }
    }

    /// One of them.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.0.iter().map(|(name, column)| (name.as_str(), column))
    }
}

fn kind_of(declared: &str) -> Option<Kind> {
    let declared = declared.to_lowercase();
    let name = declared.split(['(', ' ']).next().unwrap_or_default();
    let inner = declared.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inner, _)| inner);
    let is_unsigned = declared.contains("unsigned");
    let whole =
        |most: i64| Kind::Int(if is_unsigned { 0 } else { -most - 1 }, if is_unsigned { most * 2 + 1 } else { most });
    Some(match name {
        "tinyint" if inner == Some("1") => Kind::Flag,
        "bool" | "boolean" => Kind::Flag,
        "tinyint" => whole(i64::from(i8::MAX)),
        "smallint" => whole(i64::from(i16::MAX)),
        "mediumint" => whole((1 << 23) - 1),
        "int" | "integer" => whole(i64::from(i32::MAX)),
        "bigint" => Kind::Int(if is_unsigned { 0 } else { i64::MIN }, i64::MAX),
        "double" | "float" | "real" | "decimal" | "numeric" => Kind::Real,
        "varchar" | "char" | "nvarchar" => Kind::Chars(inner.and_then(|most| most.parse().ok()).unwrap_or(255)),
        "tinytext" => Kind::Bytes(255),
        "text" => Kind::Bytes(TEXT_BYTES),
        // A request's body is smaller.
        "mediumtext" | "longtext" | "json" => Kind::Bytes(16 * 1024 * 1024),
        "enum" => Kind::Choice(choices(inner.unwrap_or_default())),
        _ => return None,
    })
}

fn choices(inner: &str) -> Vec<String> {
    inner.split(',').map(|choice| choice.trim().trim_matches('\'').to_owned()).collect()
}

/// MariaDB and SQLite both give a default as the SQL that made it.
fn preset_of(kind: &Kind, sql: &str) -> Json {
    let text = sql.trim();
    if text.eq_ignore_ascii_case("null") {
        return Json::Null;
    }
    let bare = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(text).replace("''", "'");
    match kind {
        Kind::Flag => json!(matches!(bare.as_str(), "1" | "true" | "TRUE")),
        Kind::Int(..) => bare.parse::<i64>().map_or(Json::Null, |number| json!(number)),
        Kind::Real => bare.parse::<f64>().map_or(Json::Null, |number| json!(number)),
        Kind::Chars(_) | Kind::Bytes(_) | Kind::Choice(_) => json!(bare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_both_servers_describe_them() {
        let table = [
            ("tinyint(1)", "1", Kind::Flag, json!(true)),
            ("boolean", "0", Kind::Flag, json!(false)),
            ("int(10) unsigned", "5", Kind::Int(0, 4_294_967_295), json!(5)),
            ("smallint(6)", "NULL", Kind::Int(-32_768, 32_767), Json::Null),
            ("INTEGER", "20", Kind::Int(-2_147_483_648, 2_147_483_647), json!(20)),
            ("double", "0", Kind::Real, json!(0.0)),
            ("varchar(150)", "'GET'", Kind::Chars(150), json!("GET")),
            ("text", "'[\"200-299\"]'", Kind::Bytes(65_535), json!("[\"200-299\"]")),
            ("enum('1','2c','3')", "'2c'", Kind::Choice(vec!["1".into(), "2c".into(), "3".into()]), json!("2c")),
        ];
        for (declared, preset, kind, value) in table {
            let mut described = Table::default();
            described.add("c", declared, true, Some(preset));
            assert_eq!(described.column("c"), Some(&Column { kind, nullable: true, preset: value }), "{declared}");
        }
    }

    #[test]
    fn dates_and_binary_columns_are_left_alone() {
        let mut table = Table::default();
        table.add("created_date", "datetime", false, Some("current_timestamp()"));
        table.add("blob", "blob", true, None);
        assert_eq!(table.columns().count(), 0);
    }
}
