//! What a database looks like before a migration, and what must be remembered of it.

use crate::store::catalog::Catalog;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::session::Session;

use super::widening::{self, Narrow};
use super::{KUMA_TABLES, MARIADB, added_column, adds_to_node, split};

/// Where the table `node` came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NodeOrigin {
    /// komainu made it.
    Ours,
    /// It was there: these columns were added.
    Extended { added: Vec<String> },
}

/// What was found.
pub(super) struct Found {
    /// 0: none, or an interrupted migration.
    pub(super) version: u32,
    pub(super) catalog: Catalog,
    /// What an earlier migration wrote down.
    pub(super) recorded: Option<NodeOrigin>,
    /// Kuma's tables that komainu made.
    pub(super) kuma_tables: Vec<String>,
    pub(super) has_monitors: bool,
    /// Growing tables whose ids have 32 bits.
    pub(super) narrow: Vec<Narrow>,
    /// MariaDB: `node.status` as it must be written to hold our words; `None` when it does.
    widened_status: Option<String>,
}

impl Found {
    pub(super) async fn read(session: &mut Session) -> Result<Self, StoreError> {
        let catalog = Catalog::read(session).await?;
        let mut found = Self {
            version: 0,
            recorded: None,
            kuma_tables: vec![],
            has_monitors: has_monitors(session, &catalog).await?,
            widened_status: widened_status(session, &catalog).await?,
            narrow: widening::narrow(session).await?,
            catalog,
        };
        if found.catalog.has_table("komainu_schema") {
            found.read_record(session).await?;
        }
        Ok(found)
    }

    async fn read_record(&mut self, session: &mut Session) -> Result<(), StoreError> {
        let sql = "SELECT version, node_origin, node_columns, kuma_tables FROM komainu_schema WHERE id = 1";
        let Some(row) = session.row("read the schema", sql, vec![]).await? else { return Ok(()) };
        self.version = row.small("version")?;
        let added = list(&row.text("node_columns")?);
        let is_ours = row.text("node_origin")? == "ours";
        self.recorded = Some(if is_ours { NodeOrigin::Ours } else { NodeOrigin::Extended { added } });
        self.kuma_tables = list(&row.text("kuma_tables")?);
        Ok(())
    }

    /// Columns that need not be added. A table that will be made by the file brings the fork's columns with it.
    pub(super) fn node_has(&self, column: &str) -> bool {
        if self.catalog.has_table("node") {
            return self.catalog.has_column("node", column);
        }
        split(MARIADB.node).concat().lines().any(|line| line.split_whitespace().next() == Some(column))
    }

    /// Writes down what there is, before anything is changed; an interrupted migration wrote it already.
    pub(super) fn record(&self, dialect: Dialect, makes_kuma: bool) -> String {
        let is_ours = !self.catalog.has_table("node");
        let (origin, columns) =
            if is_ours { ("ours", String::new()) } else { ("extended", self.missing_node_columns().join(",")) };
        let tables = if makes_kuma { self.missing_kuma_tables().join(",") } else { String::new() };
        format!(
            "INSERT INTO komainu_schema (id, version, node_origin, node_columns, kuma_tables, migrated_at) \
             SELECT 1, 0, '{origin}', '{columns}', '{tables}', {} FROM (SELECT 1) one \
             WHERE NOT EXISTS (SELECT 1 FROM komainu_schema)",
            dialect.now_ms()
        )
    }

    /// The same for what a later migration adds; what an interrupted one wrote stays written.
    pub(super) fn record_more(&self, makes_kuma: bool) -> String {
        let mut columns = match &self.recorded {
            Some(NodeOrigin::Extended { added }) => added.clone(),
            Some(NodeOrigin::Ours) | None => vec![],
        };
        if matches!(self.recorded, Some(NodeOrigin::Extended { .. })) {
            // An interrupted migration wrote them down before it could add them.
            let missing = self.missing_node_columns().into_iter().filter(|column| !columns.contains(column));
            columns.extend(missing.collect::<Vec<_>>());
        }
        let mut tables = self.kuma_tables.clone();
        if makes_kuma {
            tables.extend(self.missing_kuma_tables());
        }
        let (columns, tables) = (columns.join(","), tables.join(","));
        format!("UPDATE komainu_schema SET node_columns = '{columns}', kuma_tables = '{tables}' WHERE id = 1")
    }

    fn missing_node_columns(&self) -> Vec<String> {
        let fourth = MARIADB.fourth.iter().flat_map(|file| split(file)).filter(|statement| adds_to_node(statement));
        let statements = [split(MARIADB.node_columns), split(MARIADB.more_node_columns), fourth.collect()].concat();
        let columns = statements.iter().map(|statement| added_column(statement));
        columns.filter(|column| !self.node_has(column)).map(str::to_owned).collect()
    }

    fn missing_kuma_tables(&self) -> Vec<String> {
        KUMA_TABLES.into_iter().filter(|table| !self.catalog.has_table(table)).map(str::to_owned).collect()
    }

    pub(super) fn widen_status(&self) -> Option<String> {
        self.widened_status.as_ref().map(|column| format!("ALTER TABLE node MODIFY COLUMN status {column}"))
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        if self.has_monitors && self.recorded.is_none() {
            notes.push(
                "this database has monitors: komainu starts in observe mode, `komainu adopt` starts automation"
                    .to_owned(),
            );
        }
        if matches!(self.recorded, Some(NodeOrigin::Extended { .. }))
            || (self.recorded.is_none() && self.catalog.has_table("node"))
        {
            notes.push("the table `node` was there before: it is extended, and survives --remove".to_owned());
        }
        if self.widened_status.is_some() {
            notes.push(
                "`node.status` cannot hold komainu's words: it is widened, and stays so after --remove".to_owned(),
            );
        }
        if !self.kuma_tables.is_empty() {
            notes.push(format!("komainu made {}: --remove drops them with their rows", self.kuma_tables.join(", ")));
        }
        notes
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

async fn has_monitors(session: &mut Session, catalog: &Catalog) -> Result<bool, StoreError> {
    if !catalog.has_table("monitor") {
        return Ok(false);
    }
    Ok(session.row("look for monitors", "SELECT 1 AS one FROM monitor LIMIT 1", vec![]).await?.is_some())
}

/// An ENUM, or a VARCHAR too short for `unreachable`, becomes a VARCHAR(20) with the same default.
async fn widened_status(session: &mut Session, catalog: &Catalog) -> Result<Option<String>, StoreError> {
    if session.dialect() == Dialect::Sqlite || !catalog.has_column("node", "status") {
        return Ok(None);
    }
    let sql = "SELECT data_type AS kind, COALESCE(character_maximum_length, 0) AS length, is_nullable, \
         column_default AS preset FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = 'node' AND column_name = 'status'";
    let Some(row) = session.row("read the schema", sql, vec![]).await? else { return Ok(None) };
    if row.text("kind")? == "varchar" && row.count("length")? >= 20 {
        return Ok(None);
    }
    let null = if row.text("is_nullable")? == "YES" { "NULL" } else { "NOT NULL" };
    let preset = row.maybe_text("preset")?.map(|text| format!(" DEFAULT {text}")).unwrap_or_default();
    Ok(Some(format!("VARCHAR(20) {null}{preset}")))
}
