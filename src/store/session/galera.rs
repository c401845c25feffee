//! What is different where the server is one of a Galera cluster.
//!
//! A write of another server ends a transaction here that holds its rows (1213), at any moment until the answer to COMMIT.
//! Of several statements in one packet the server then carries out the rest, outside of the transaction that is gone, and
//! answers OK: so whatever takes a lock or writes travels alone, and its answer is looked at before the next one leaves.

use super::Statement;

/// Statements that may share a packet: those that neither write nor lock, as long as they follow each other. All others
/// are alone.
pub(super) fn packets(statements: Vec<Statement>) -> Vec<Vec<Statement>> {
    let mut packets: Vec<Vec<Statement>> = Vec::new();
    for statement in statements {
        match packets.last_mut() {
            Some(last) if is_mere_read(&statement) && last.iter().all(is_mere_read) => last.push(statement),
            _ => packets.push(vec![statement]),
        }
    }
    packets
}

fn is_mere_read((sql, _): &Statement) -> bool {
    let locks = sql.contains(" FOR UPDATE") || sql.contains(" IN SHARE MODE");
    (sql.starts_with("SELECT") && !locks) || sql.starts_with("SET @")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets_of(statements: &[&str]) -> Vec<usize> {
        let statements = statements.iter().map(|sql| ((*sql).to_owned(), Vec::new())).collect();
        packets(statements).iter().map(Vec::len).collect()
    }

    #[test]
    fn what_locks_or_writes_travels_alone_and_mere_reads_together() {
        assert_eq!(packets_of(&["SELECT 1", "SET @a = 1", "SELECT @a", "UPDATE t SET a = @a"]), [3, 1]);
        assert_eq!(packets_of(&["SELECT a FROM t FOR UPDATE", "SELECT 1"]), [1, 1]);
        assert_eq!(packets_of(&["SELECT 1", "SELECT a FROM t LOCK IN SHARE MODE SKIP LOCKED", "SELECT 2"]), [1, 1, 1]);
        assert_eq!(packets_of(&["DELETE FROM t", "INSERT INTO t VALUES (1)", "SELECT GET_LOCK('a', 0)"]), [1, 1, 1]);
    }
}
