//! Who owns which push monitor.

use komainu::store::MonitorSpec;
use komainu::store::monitors::{self, NewMonitor};
use komainu::store::push_owners::{self, PushOwner};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    pushes_have_the_owner_that_runs_the_monitor_now,
}

async fn push_monitor(fixture: &Fixture, token: &str) {
    let spec = MonitorSpec { kind: "push".to_owned(), push_token: Some(token.to_owned()), ..MonitorSpec::default() };
    let new = NewMonitor { spec, node_id: Some("node1".into()), ..NewMonitor::default() };
    monitors::create_all(&fixture.store, &[new]).await.unwrap();
}

async fn pushes_have_the_owner_that_runs_the_monitor_now(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    fixture.monitors(2, Some("node1")).await;
    for token in ["home", "away", "moving", "paused", "unknown", ""] {
        push_monitor(&fixture, token).await;
    }
    let of = |token: &str| format!("WHERE monitor_id = (SELECT id FROM monitor WHERE push_token = '{token}')");
    let raw = &mut fixture.raw;
    raw.execute(&format!("UPDATE komainu_assignment SET assigned_node = 'node2' {}", of("away"))).await;
    raw.execute(&format!("UPDATE komainu_assignment SET assigned_node = '' {}", of("moving"))).await;
    raw.execute("UPDATE monitor SET active = 0 WHERE push_token = 'paused'").await;
    raw.execute(&format!("DELETE FROM komainu_assignment {}", of("unknown"))).await;
    let mut owners = push_owners::list(&fixture.store).await.unwrap();
    owners.sort_by(|one, other| one.token.cmp(&other.token));
    let owner = |token: &str, owner: Option<&str>| PushOwner { token: token.to_owned(), owner: owner.map(Into::into) };
    assert_eq!(owners, [owner("away", Some("node2")), owner("home", Some("node1")), owner("moving", None)]);
}
