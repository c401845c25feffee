//! The lock that ends with the connection of the process that holds a lease, as watchdogs see it.

use std::time::Duration;

use komainu_watchdogs::facts::LeaseLock;

use super::fixture::{Fixture, Kind, identity};
use super::on_both_databases;
use crate::cluster::wait::wait_until;

on_both_databases! {
    a_lease_is_watched_with_what_the_database_says_of_its_holders_lock,
    a_second_connection_of_the_same_process_says_that_it_has_no_lock,
    a_registration_says_nothing_of_the_lock_of_the_process_before,
    a_row_is_abandoned_once_the_process_that_listened_here_has_lost_its_lock,
}

/// A connection ends at the server in its own time.
const ENDS: Duration = Duration::from_secs(10);

/// Locks are the server's, and tests share it: each has processes of its own.
fn process() -> u64 {
    rand::random()
}

async fn lock(fixture: &Fixture) -> LeaseLock {
    let mut watch = fixture.store.watch(identity("w9")).await.unwrap();
    watch.read_round().await.unwrap().nodes[0].lock
}

async fn wait_for(fixture: &Fixture, expected: LeaseLock) {
    wait_until("the lock is as expected", ENDS, async || lock(fixture).await == expected).await;
}

/// What a database says that knows locks which end with a connection.
fn said(kind: Kind, lock: LeaseLock) -> LeaseLock {
    match kind {
        Kind::MariaDb => lock,
        Kind::Sqlite => LeaseLock::Unknown,
    }
}

async fn a_lease_is_watched_with_what_the_database_says_of_its_holders_lock(kind: Kind) {
    let me = process();
    let fixture = Fixture::native(kind).await;
    let mut node = fixture.start_node("node1", me).await;
    assert_eq!(lock(&fixture).await, LeaseLock::Unknown, "it has not renewed yet");
    assert!(node.renew(None, 0).await.unwrap());
    assert_eq!(lock(&fixture).await, said(kind, LeaseLock::Held));
    drop(node);
    wait_for(&fixture, said(kind, LeaseLock::Free)).await;
}

async fn a_second_connection_of_the_same_process_says_that_it_has_no_lock(kind: Kind) {
    let me = process();
    let fixture = Fixture::native(kind).await;
    let mut node = fixture.start_node("node1", me).await;
    assert!(node.renew(None, 0).await.unwrap());
    let mut second = fixture.tenure("node1", me).await;
    assert!(second.renew(None, 0).await.unwrap());
    assert!(!second.has_lock());
    assert_eq!(lock(&fixture).await, LeaseLock::Unknown, "the first connection may end at any moment");
    drop(node);
    let is_had = async || second.renew(None, 0).await.unwrap() && second.has_lock();
    if kind == Kind::MariaDb {
        wait_until("the second one has the lock", ENDS, is_had).await;
    }
    assert_eq!(lock(&fixture).await, said(kind, LeaseLock::Held));
}

async fn a_registration_says_nothing_of_the_lock_of_the_process_before(kind: Kind) {
    let me = process();
    let fixture = Fixture::native(kind).await;
    let mut node = fixture.start_node("node1", me).await;
    assert!(node.renew(None, 0).await.unwrap());
    let seen = node.read_row().await.unwrap().unwrap();
    let mut next = fixture.tenure("node1", process()).await;
    assert!(next.register(seen.incarnation, seen.lease_seq).await.unwrap());
    assert_eq!(lock(&fixture).await, LeaseLock::Unknown);
    assert!(next.renew(None, 0).await.unwrap());
    assert_eq!(lock(&fixture).await, said(kind, LeaseLock::Held));
}

async fn a_row_is_abandoned_once_the_process_that_listened_here_has_lost_its_lock(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut node = fixture.start_node("node1", process()).await;
    let mut next = fixture.tenure("node1", process()).await;
    let mut is_abandoned = async || next.read_row().await.unwrap().unwrap().is_abandoned;
    assert!(!is_abandoned().await, "it has not said that it has a lock");
    assert!(node.renew(None, 0).await.unwrap());
    assert!(!is_abandoned().await, "it has its lock");
    drop(node);
    if kind == Kind::Sqlite {
        return assert!(!is_abandoned().await, "there are no such locks");
    }
    wait_until("the lock is free", ENDS, &mut is_abandoned).await;
    for elsewhere in [
        "hostname = 'other'",
        "hostname = 'host', address = 'http://other:3001'",
        "address = 'http://host:3001', server = 'db2:3306'",
    ] {
        fixture.raw.execute(&format!("UPDATE node SET {elsewhere}")).await;
        assert!(!is_abandoned().await, "{elsewhere}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_connection_that_somebody_ended_is_free_and_the_next_renewal_has_the_lock_again() {
    let me = process();
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let mut node = fixture.start_node("node1", me).await;
    assert!(node.renew(None, 0).await.unwrap());
    let sql = "SELECT IS_USED_LOCK(CONCAT('komainu:lease:', incarnation)) FROM node";
    let connection = fixture.raw.rows(sql).await[0][0].clone();
    fixture.raw.execute(&format!("KILL {connection}")).await;
    wait_for(&fixture, LeaseLock::Free).await;
    assert!(node.renew(None, 0).await.is_err());
    assert!(node.is_broken());
    assert!(node.renew(None, 0).await.unwrap());
    assert_eq!(lock(&fixture).await, LeaseLock::Held);
}
