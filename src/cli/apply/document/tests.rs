use serde_json::json;

use super::*;

const SHOP: &str = r"
set: shop
defaults:
  monitors: {interval: 60, channels: [ops]}
monitors:
  shop-group:
    name: Shop
    type: group
  shop-front:
    name: Shop front
    type: http
    url: https://shop.example.com/
    interval: 30
    headers: {Accept: text/html}
    parent: shop-group
heartbeats:
  backup: {period: 24h, grace: 1h 30m, max_runtime: null, first_due: 2026-03-01T03:00:00+01:00}
nodes:
  node1: {weight: 50, labels: [eu]}
";

fn faults(text: &str) -> Vec<(usize, String, String)> {
    read(text).unwrap_err().into_iter().map(|fault| (fault.line, fault.field, fault.message)).collect()
}

#[test]
fn a_file_says_what_is_wanted() {
    let document = read(SHOP).unwrap();
    assert_eq!(document.manager().as_deref(), Some("apply/shop"));
    let monitors = document.monitors.unwrap();
    assert_eq!((monitors[1].name.as_str(), monitors[1].line, monitors[1].line_of("url")), ("shop-front", 9, 12));
    let front = json!({
        "name": "Shop front", "type": "http", "url": "https://shop.example.com/", "interval": 30, "channels": ["ops"],
        "headers": {"Accept": "text/html"}, "parent": "shop-group",
    });
    assert_eq!(Value::from(monitors[1].fields.clone()), front);
    let backup =
        json!({"period_s": 86_400, "grace_s": 5_400, "max_runtime_s": null, "first_due": 1_772_330_400_000_i64});
    assert_eq!(Value::from(document.heartbeats.unwrap()[0].fields.clone()), backup);
    assert_eq!(document.nodes.unwrap()[0].fields["weight"], 50);
}

#[test]
fn unknown_keys_are_refused_with_their_lines() {
    let text = "monitrs: {}\nmonitors:\n  a:\n    name: A\n    ulr: x\n    accepted_statuscodes_json: '[]'\n\
                heartbeats:\n  b: {perid: 24h}\nnodes:\n  n: {address: x}\ndefaults: {nodes: {}}\n";
    let found: Vec<_> = faults(text).into_iter().map(|(line, field, _)| (line, field)).collect();
    let expected = [
        (11, "defaults.nodes"),
        (1, "monitrs"),
        (5, "monitors.a.ulr"),
        (6, "monitors.a.accepted_statuscodes_json"),
        (8, "heartbeats.b.perid"),
        (10, "nodes.n.address"),
    ];
    assert_eq!(found, expected.map(|(line, field)| (line, field.to_owned())));
}

#[test]
fn what_is_no_document_is_refused_with_its_line() {
    for (text, line, words) in [
        ("", 1, "empty"),
        ("a: [\n", 2, "no YAML"),
        ("- a\n", 1, "keys with values"),
        ("set: a\nset: b\n", 2, "the key set stands a second time"),
        ("set: a\n---\nset: b\n", 3, "second document"),
        ("set: a b\n", 1, "A-Z"),
        ("set: a\nmonitors:\n", 2, "write {} for none"),
        ("monitors:\n  a: 5\n", 2, "keys with values"),
        ("heartbeats:\n  a: {grace: 90}\n", 2, "with its unit"),
        ("heartbeats:\n  a:\n    period: 1h\n    period_s: 60\n", 4, "said twice"),
        ("heartbeats:\n  a: {first_due: soon}\n", 2, "2026-03-01"),
    ] {
        let found = faults(text);
        assert!(found[0].0 == line && found[0].2.contains(words), "{text}: {found:?}");
    }
}

#[test]
fn a_section_that_is_not_there_says_nothing_and_an_empty_one_that_there_are_none() {
    let document = read("set: a\nmonitors: {}\n").unwrap();
    assert_eq!((document.monitors, document.heartbeats), (Some(vec![]), None));
}

#[test]
fn anchors_are_resolved_and_texts_stay_texts() {
    let text = "monitors:\n  a: {name: A, tags: &tags [x, 'y'], keyword: yes}\n  b: {name: B, tags: *tags, expected_value: '5'}\n";
    let monitors = read(text).unwrap().monitors.unwrap();
    assert_eq!((&monitors[1].fields["tags"], &monitors[0].fields["keyword"]), (&json!(["x", "y"]), &json!("yes")));
    assert_eq!(monitors[1].fields["expected_value"], "5");
}

#[test]
fn a_name_is_what_is_written() {
    let text = "monitors:\n  007: {name: A}\n  0x10: {name: B}\n  0o17: {name: C}\n  12: {name: D}\n  +5: {name: E}\n  \
                True: {name: F}\nheartbeats: {1_0: {period: 1h}, 08: {period: 1h}}\n";
    let document = read(text).unwrap();
    let names: Vec<_> = document.monitors.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["007", "0x10", "0o17", "12", "+5", "True"]);
    let names: Vec<_> = document.heartbeats.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["1_0", "08"]);
}

#[test]
fn a_name_in_digits_that_stands_beside_others_on_its_line_is_what_is_written() {
    let text = "monitors: {\"\u{e4}\": {name: A}, 007: {name: B, parent: \"\u{e4}\"}, 0x10: {name: C}}\n";
    let names: Vec<_> = read(text).unwrap().monitors.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["\u{e4}", "007", "0x10"]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let document = read("\u{feff}set: shop\nmonitors: {007: {name: A}}\n").unwrap();
    assert_eq!(document.manager().as_deref(), Some("apply/shop"));
    assert_eq!(document.monitors.unwrap()[0].name, "007");
}

#[test]
fn a_check_has_its_own_fields_and_of_the_defaults_what_its_type_has() {
    let text = "defaults:\n  checks: {interval: 20s, quorum: '2', accepted_statuscodes: ['200']}\nchecks:\n\
                \x20 web: {type: http, url: https://a.example/, interval: 1m}\n  gate: {type: ping, hostname: a.example}\n";
    let checks = read(text).unwrap().checks.unwrap();
    let web = json!({"type": "http", "url": "https://a.example/", "interval": 60, "quorum": 2, "accepted_statuscodes": ["200"]});
    assert_eq!(Value::from(checks[0].fields.clone()), web);
    let gate = json!({"type": "ping", "hostname": "a.example", "interval": 20, "quorum": 2});
    assert_eq!(Value::from(checks[1].fields.clone()), gate);
    let wrong = "checks:\n  a:\n    maxretries: 1\n    interval: soon\n    quorum: most\n    managed_by: x\n";
    let found: Vec<_> = faults(wrong).into_iter().map(|(line, field, _)| (line, field)).collect();
    let expected =
        [(3, "checks.a.maxretries"), (4, "checks.a.interval"), (5, "checks.a.quorum"), (6, "checks.a.managed_by")];
    assert_eq!(found, expected.map(|(line, field)| (line, field.to_owned())));
}
