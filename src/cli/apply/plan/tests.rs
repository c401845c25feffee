use serde_json::json;

use super::super::document;
use super::*;

fn there() -> There {
    There {
        monitors: vec![
            json!({"id": 1, "ref": "front", "name": "Front", "type": "http", "interval": 60, "managed_by": "apply/shop"}),
            json!({"id": 2, "ref": "old", "name": "Old", "managed_by": "apply/shop"}),
            json!({"id": 3, "ref": "others", "name": "Others", "managed_by": "apply/other"}),
            json!({"id": 4, "ref": null, "name": "Made by hand", "managed_by": null}),
            json!({"id": 5, "ref": "group", "name": "Group", "type": "group", "managed_by": null}),
        ],
        heartbeats: vec![json!({"name": "backup", "period_s": 3_600, "managed_by": null})],
        checks: vec![
            json!({"name": "gate", "type": "ping", "interval": 60, "zones": ["b", "a"], "quorum": 2, "managed_by": "apply/shop"}),
            json!({"name": "gone", "type": "ping", "managed_by": "apply/shop"}),
            json!({"name": "others", "type": "ping", "managed_by": "apply/other"}),
        ],
        pages: vec![
            json!({"slug": "shop", "title": "Shop", "noindex": false, "managed_by": "apply/shop", "groups": document::bare_groups(json!([
                {"name": "Web", "components": [{"id": "a1", "name": "Front", "description": "", "graph": false, "check": "gate"}]}]))}),
            json!({"slug": "gone", "title": "Gone", "managed_by": "apply/shop", "groups": []}),
        ],
        dependencies: vec![json!({"subject": "monitor/1", "depends_on": ["check/gate", "node/node1"], "missing": []})],
        maintenances: vec![
            json!({"name": "disks", "title": "New disks", "subjects": ["check/gate", "monitor/1"], "cron": "0 2 * * 0", "lasts_s": 7_200,
                "time_zone": "UTC", "managed_by": "apply/shop"}),
            json!({"name": "old", "title": "Old", "subjects": ["tag/x"], "managed_by": "apply/shop"}),
        ],
        nodes: vec![json!({"node_id": "node1", "weight": 100, "labels": ["eu"]})],
    }
}

fn steps(text: &str, prune: bool) -> Vec<(Kind, String, Act, Vec<String>)> {
    let steps = plan(&document::read(text).unwrap(), &there(), prune).unwrap();
    let fields = |step: &Step| {
        let mut fields: Vec<_> = step.changes.iter().map(|change| change.field.clone()).collect();
        fields.sort();
        fields
    };
    steps.iter().map(|step| (step.kind, step.name.clone(), step.act.clone(), fields(step))).collect()
}

#[test]
fn what_is_as_it_should_be_is_no_step() {
    let text = "set: shop\nmonitors:\n  front: {name: Front, type: http, interval: 60}\nnodes:\n  node1: {weight: 100, labels: [eu]}\n";
    assert_eq!(steps(text, false), []);
}

#[test]
fn what_differs_is_a_step_with_its_fields() {
    let text = "set: shop\nmonitors:\n  new: {name: New, type: push}\n  front: {name: Front, interval: 30, basic_auth_pass: x}\n\
                heartbeats:\n  backup: {period: 1h}\nnodes:\n  node1: {weight: 50}\n";
    let name = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        steps(text, false),
        [
            (Kind::Node, "node1".to_owned(), Act::Change, name(&["weight"])),
            (Kind::Monitor, "new".to_owned(), Act::Create, name(&["managed_by", "name", "type"])),
            (Kind::Monitor, "front".to_owned(), Act::Change, name(&["interval"])),
            // A heartbeat that nobody manages becomes the set's.
            (Kind::Heartbeat, "backup".to_owned(), Act::Change, name(&["managed_by"])),
        ]
    );
}

#[test]
fn passwords_alone_are_for_the_watchdog_to_compare() {
    let text = "set: shop\nmonitors:\n  front: {name: Front, basic_auth_pass: x}\n";
    assert_eq!(steps(text, false), [(Kind::Monitor, "front".to_owned(), Act::Compare, vec![])]);
}

#[test]
fn pruning_takes_only_what_the_set_made_and_only_in_sections_that_are_there() {
    let text = "set: shop\nmonitors:\n  front: {name: Front}\n";
    let pruned = [(Kind::Monitor, "old".to_owned(), Act::Delete { id: Some(2) }, vec![])];
    assert_eq!((steps(text, true).as_slice(), steps(text, false).as_slice()), (pruned.as_slice(), [].as_slice()));
    assert_eq!(steps("set: shop\nnodes: {}\n", true), []);
    let all = steps("set: shop\nmonitors: {}\n", true);
    assert_eq!(all.iter().map(|(_, name, ..)| name.as_str()).collect::<Vec<_>>(), ["front", "old"]);
}

#[test]
fn what_another_set_manages_and_what_is_not_there_is_refused_with_its_line() {
    let text = "set: shop\nmonitors:\n  others: {name: X}\n  front: {parent: nowhere}\nnodes:\n  node9: {weight: 1}\n";
    let faults = plan(&document::read(text).unwrap(), &there(), false).unwrap_err();
    let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.field.as_str())).collect();
    assert_eq!(found, [(6, "nodes.node9"), (4, "monitors.front.parent"), (3, "monitors.others")]);
}

#[test]
fn a_parent_is_a_group_by_its_ref_there_or_in_the_file() {
    let text = "monitors:\n  a: {name: A, parent: group}\n  b: {name: B, parent: made}\n  made: {name: M, type: group}\n  front: {parent: made}\n";
    let steps = plan(&document::read(text).unwrap(), &there(), false).unwrap();
    assert_eq!((&steps[0].fields["parent"], steps[0].fields.get("parent_ref")), (&json!(5), None));
    for (step, act) in [(&steps[1], Act::Create), (&steps[3], Act::Change)] {
        assert_eq!((&step.fields["parent_ref"], step.fields.get("parent"), &step.act), (&json!("made"), None, &act));
    }
}

#[test]
fn checks_are_compared_made_and_pruned_by_name() {
    let same = "set: shop\nchecks:\n  gate: {type: ping, interval: 60s, zones: [a, b], quorum: '2'}\n";
    assert_eq!(steps(same, false), []);
    let text =
        "set: shop\nchecks:\n  gate: {interval: 20}\n  new: {type: http, url: https://a.example/, bearer_token: x}\n";
    let name = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        steps(text, true),
        [
            (Kind::Check, "gate".to_owned(), Act::Change, name(&["interval"])),
            (Kind::Check, "new".to_owned(), Act::Create, name(&["managed_by", "type", "url"])),
            (Kind::Check, "gone".to_owned(), Act::Delete { id: None }, vec![]),
        ]
    );
    let sent = plan(&document::read(text).unwrap(), &there(), false).unwrap();
    assert!(sent.iter().all(|step| step.fields["name"] == step.name.as_str()));
    let faults =
        plan(&document::read("set: shop\nchecks:\n  others: {interval: 30}\n").unwrap(), &there(), false).unwrap_err();
    assert_eq!((faults[0].line, faults[0].field.as_str()), (3, "checks.others"));
}

#[test]
fn pages_are_compared_without_what_the_watchdog_adds_made_and_pruned_by_their_places() {
    let same = "set: shop\npages:\n  shop:\n    title: Shop\n    noindex: false\n    groups: [{name: Web, components: [{name: Front, check: gate}]}]\n";
    assert_eq!(steps(same, false), []);
    let text = "set: shop\npages:\n  shop:\n    groups: [{name: Web, components: [{name: Door, check: gate}]}]\n  new: {title: New}\n";
    let name = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        steps(text, true),
        [
            (Kind::Page, "shop".to_owned(), Act::Change, name(&["groups"])),
            (Kind::Page, "new".to_owned(), Act::Create, name(&["managed_by", "title"])),
            (Kind::Page, "gone".to_owned(), Act::Delete { id: None }, vec![]),
        ]
    );
    let sent = plan(&document::read(text).unwrap(), &there(), false).unwrap();
    assert_eq!((sent[0].fields.get("slug"), &sent[1].fields["slug"]), (None, &json!("new")));
    let secret = "set: shop\npages:\n  shop: {password: correct horse}\n";
    assert_eq!(
        steps(secret, false),
        [(Kind::Page, "shop".to_owned(), Act::Compare, vec![])],
        "only the watchdog knows"
    );
    let faults = document::read("pages:\n  shop: {titel: x}\n").unwrap_err();
    assert!(faults[0].to_string().contains("known are title, description"), "{}", faults[0]);
}

#[test]
fn what_depends_on_something_is_compared_by_ids_and_written_by_refs() {
    let same =
        "dependencies:\n  monitor/front: {depends_on: [node/node1, check/gate]}\n  check/gate: {depends_on: []}\n";
    assert_eq!(steps(same, false), []);
    let text = "dependencies:\n  monitor/front: {depends_on: []}\n  check/gate: {depends_on: [monitor/front]}\n";
    let found = plan(&document::read(text).unwrap(), &there(), false).unwrap();
    let seen: Vec<_> =
        found.iter().map(|step| (step.name.as_str(), &step.act, step.fields["depends_on"].clone())).collect();
    assert_eq!(
        seen,
        [("monitor/front", &Act::Change, json!([])), ("check/gate", &Act::Create, json!(["monitor/front"]))]
    );
    assert_eq!(found[1].changes[0].after, json!(["monitor/1"]));
}

#[test]
fn a_maintenance_is_compared_by_the_ids_of_its_monitors_and_by_what_times_mean() {
    let text = "set: shop\nmaintenances:\n  disks: {title: New disks, subjects: [monitor/front, check/gate], cron: 0 2 * * 0, lasts: 2h}\n";
    assert_eq!(steps(text, false), []);
    let gone = (Kind::Maintenance, "old".to_owned(), Act::Delete { id: None }, vec![]);
    assert_eq!(steps(text, true), [gone]);
    let text = "set: shop\nmaintenances:\n  disks: {lasts: 3h}\n  new: {title: x, subjects: [tag/y], ends_at: \"2027-03-01T05:00:00+01:00\"}\n";
    let name = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        steps(text, false),
        [
            (Kind::Maintenance, "disks".to_owned(), Act::Change, name(&["lasts_s"])),
            (Kind::Maintenance, "new".to_owned(), Act::Create, name(&["ends_at", "managed_by", "subjects", "title"])),
        ]
    );
    assert!(document::read("maintenances:\n  a: {duration_s: 60}\n").is_err(), "that is no state");
}
