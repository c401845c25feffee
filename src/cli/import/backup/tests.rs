use serde_json::json;

use super::*;

const RECENT: &str = include_str!("../../../../tests/it/fixtures/kuma/backup-1.23.16.json");
const OLD: &str = include_str!("../../../../tests/it/fixtures/kuma/backup-1.6.3.json");

fn one(backup: &Backup, id: u32) -> Value {
    let reference = format!("{REF}{id}");
    let found = backup.monitors.iter().find(|one| one.reference == reference);
    Value::from(found.unwrap().fields.clone())
}

fn assert_has(monitor: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&monitor[field], value, "{field} of {monitor}");
    }
}

#[test]
fn each_type_keeps_what_it_needs() {
    let backup = read(RECENT).unwrap();
    for (id, expected) in [
        (
            1,
            json!({"type": "http", "url": "https://shop.example.com/", "maxretries": 2, "timeout": 48, "interval": 60}),
        ),
        (
            2,
            json!({"type": "keyword", "keyword": "Pay now", "method": "POST", "headers": "{\"Accept\": \"text/html\"}",
                   "basic_auth_user": "probe", "basic_auth_pass": "pa\"ss", "auth_method": "basic",
                   "accepted_statuscodes": ["200-299", "302"]}),
        ),
        (3, json!({"type": "port", "hostname": "db.example.com", "port": 3306, "retry_interval": 20})),
        (6, json!({"type": "dns", "dns_resolve_type": "MX", "dns_resolve_server": "9.9.9.9", "port": 53})),
        (7, json!({"type": "push", "push_token": "eY7fKq1Zx0", "interval": 86_400})),
        (
            8,
            json!({"json_path": "items[0].count", "expected_value": "0", "json_path_operator": "==", "upside_down": true}),
        ),
        (12, json!({"mqtt_topic": "alive", "mqtt_success_message": "yes", "mqtt_password": "hidden"})),
        (13, json!({"type": "postgres", "database_query": "SELECT 1"})),
        (14, json!({"grpc_enable_tls": true, "grpc_service_name": "Health", "grpc_url": "grpc.example.com:443"})),
        (15, json!({"kafka_producer_brokers": ["kafka1:9092"], "kafka_producer_topic": "probe"})),
    ] {
        assert_has(&one(&backup, id), &expected);
    }
}

#[test]
fn what_kuma_computes_and_what_says_nothing_is_not_sent() {
    let backup = read(RECENT).unwrap();
    let gateway = one(&backup, 5);
    for field in [
        "path_name",
        "children_i_ds",
        "screenshot",
        "dns_last_result",
        "notification_i_d_list",
        "keyword",
        "url",
        "kafka_producer_ssl",
        "oauth_auth_method",
        "dns_resolve_type",
    ] {
        assert_eq!(gateway.get(field), None, "{field}");
    }
    // 0: nobody chose a timeout.
    assert_eq!((gateway.get("timeout"), &gateway["packet_size"]), (None, &json!(64)));
}

#[test]
fn every_field_that_is_sent_is_a_column_of_kuma() {
    let schema = include_str!("../../../../tests/it/fixtures/kuma/schema-2.5.3.tsv");
    let columns: Vec<_> =
        schema.lines().filter_map(|line| line.strip_prefix("monitor\t")?.split('\t').next()).collect();
    let ours = ["ref", "tags", "run_on", "accepted_statuscodes"];
    for monitor in read(RECENT).unwrap().monitors.iter().chain(&read(OLD).unwrap().monitors) {
        for field in monitor.fields.keys() {
            assert!(ours.contains(&field.as_str()) || columns.contains(&field.as_str()), "{field}");
        }
    }
}

#[test]
fn groups_and_tags_come_along() {
    let backup = read(RECENT).unwrap();
    let parents: Vec<_> = backup.monitors.iter().filter_map(|one| one.parent.as_deref()).collect();
    assert_eq!(parents, [&format!("{REF}4"); 3]);
    // The tag that says where a monitor may run becomes what it means.
    assert_has(&one(&backup, 1), &json!({"tags": ["shop", "team"], "run_on": ["eu"]}));
    assert_has(&one(&backup, 9), &json!({"active": false}));
    assert_eq!(backup.left_behind.len(), 2, "{:?}", backup.left_behind);
}

#[test]
fn what_names_rows_of_other_tables_is_refused_by_name() {
    let backup = read(RECENT).unwrap();
    let names: Vec<_> = backup.refused.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, backup.monitors.len()), (vec!["Registry", "Behind the proxy"], 13));
    assert!(backup.refused[0].1.contains("a Docker host") && backup.refused[1].1.contains("a proxy"));
}

#[test]
fn backups_of_old_versions_are_read_too() {
    let backup = read(OLD).unwrap();
    assert_has(&one(&backup, 1), &json!({"active": true, "interval": 60}));
    let port = one(&backup, 2);
    assert_has(&port, &json!({"active": false, "port": 22, "interval": 60, "maxretries": 1}));
    assert_eq!(port.get("retry_interval"), None);
    let names: Vec<_> = backup.refused.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Twice", "entry 4 of monitorList", "No id"]);
}

#[test]
fn a_list_as_the_ui_keeps_it_is_a_backup_and_other_json_is_none() {
    let by_id =
        json!({"version": "1.21.0", "monitorList": {"7": {"id": 7, "name": "a", "type": "ping", "hostname": "h"}}});
    assert_eq!(read(&by_id.to_string()).unwrap().monitors.len(), 1);
    for wrong in ["", "[]", "{\"monitorList\": 5}", "{\"monitors\": []}"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_backup() {
    let backup = read("\u{feff}{\"version\": \"1.23.16\", \"monitorList\": []}").unwrap();
    assert_eq!(backup.version, "1.23.16");
}

#[test]
fn a_group_that_is_missing_is_no_parent() {
    let backup = json!({"monitorList": [{"id": 1, "name": "a", "type": "ping", "hostname": "h", "parent": 9}]});
    let backup = read(&backup.to_string()).unwrap();
    assert_eq!((backup.monitors[0].parent.as_ref(), backup.left_behind.len()), (None, 1));
}
