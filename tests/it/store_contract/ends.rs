//! Whoever was told of something, or may have been, hears that it is over, once.

use komainu_notifiers::Notice;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{Vendor, deliverer, raise, resolve, routing};

on_both_databases! {
    ends_that_are_told_together_know_their_own_headlines,
    what_opens_together_is_one_message_and_so_is_its_end,
    whoever_heard_that_a_flapping_incident_is_over_hears_that_it_is_back,
    what_may_have_arrived_in_a_message_that_was_divided_is_told_to_be_over,
    what_may_have_arrived_and_was_overtaken_since_is_told_to_be_over,
}

async fn ends_that_are_told_together_know_their_own_headlines(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    for (messages, key) in [(1, "node/node1"), (2, "capacity")] {
        raise(&fixture, key, &routing).await;
        ops.wait_for(messages).await;
    }
    drop(running);
    for key in ["node/node1", "capacity"] {
        resolve(&fixture, key).await;
    }
    let _again = deliverer(&fixture, 2, &routing, &[("ops", &ops)]);
    ops.wait_for(3).await;
    let taken = ops.taken();
    let headline = |notice: &Notice| (notice.items[0].incident_id.clone(), format!("ref-{}", notice.id));
    assert_eq!(taken[2].threads, taken[..2].iter().map(headline).collect());
}

async fn what_opens_together_is_one_message_and_so_is_its_end(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    raise(&fixture, "node/node1", &routing).await;
    raise(&fixture, "capacity", &routing).await;
    ops.wait_for(1).await;
    resolve(&fixture, "capacity").await;
    ops.wait_for(2).await;
    let expected =
        [vec!["opened node/node1".to_owned(), "opened capacity".to_owned()], vec!["resolved capacity".to_owned()]];
    assert_eq!(ops.told(), expected);
    let first = &ops.taken()[0];
    assert_eq!((first.cluster.as_str(), first.doubt, &first.lateness), ("test", None, &None));
    assert_eq!(first.items[0].runbook_url, "http://w1:8900/runbook#node");
    assert_eq!(first.items[0].votes, (2, 3));
}

async fn whoever_heard_that_a_flapping_incident_is_over_hears_that_it_is_back(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&["mail", "ops"], None);
    raise(&fixture, "node/node1", &routing).await;
    fixture.raw.execute("UPDATE komainu_incident SET flaps = 5, resolved_at = opened_at").await;
    let told = "INSERT INTO komainu_event (id, incident_id, kind, severity, summary, at) \
         SELECT 100, id, 'resolved', 'critical', '', 1 FROM komainu_incident";
    fixture.raw.execute(told).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    let told = "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at) \
         SELECT 100, id, 'ops', 'sent', 1, 1, 1 FROM komainu_incident";
    fixture.raw.execute(told).await;
    raise(&fixture, "node/node1", &routing).await;
    let news = "SELECT d.channel, e.kind FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         WHERE d.state = 'waiting'";
    assert_eq!(fixture.raw.rows(news).await, [["ops", "flapping"]]);
}

/// Kind and state of all deliveries, in the order of entering.
async fn deliveries(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT CONCAT(e.kind, ' ', d.state) FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         ORDER BY d.id";
    fixture.raw.rows(sql).await.into_iter().map(|row| row.concat()).collect()
}

async fn what_may_have_arrived_in_a_message_that_was_divided_is_told_to_be_over(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    raise(&fixture, "capacity", &routing(&["ops"], None)).await;
    // Sent once without an answer, and refused whole when it was repeated: nobody is at it.
    fixture.raw.execute("UPDATE komainu_delivery SET unanswered = 1, company = 1").await;
    resolve(&fixture, "capacity").await;
    assert_eq!(deliveries(&mut fixture).await, ["opened waiting", "resolved waiting"]);
}

async fn what_may_have_arrived_and_was_overtaken_since_is_told_to_be_over(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    raise(&fixture, "capacity", &routing(&["ops"], None)).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'cancelled', unanswered = 1").await;
    resolve(&fixture, "capacity").await;
    assert_eq!(deliveries(&mut fixture).await, ["opened cancelled", "resolved waiting"]);
}
