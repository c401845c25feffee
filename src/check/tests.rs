use serde_json::json;

use super::*;
use crate::monitor::FieldFault;

fn draft(fields: &Json) -> Draft {
    let (draft, faults) = Draft::read_what_can_be(fields.as_object().unwrap());
    assert_eq!(faults, [], "{fields}");
    draft
}

/// With everything that is said of it; `fields`: beside a name.
fn made(fields: &Json) -> Result<Definition, Vec<FieldFault>> {
    let mut fields = fields.as_object().unwrap().clone();
    fields.entry("name").or_insert(json!("shop"));
    let (draft, faults) = Draft::read_what_can_be(&fields);
    if faults.is_empty() { created(&draft, &Guard::default()) } else { Err(faults) }
}

fn web() -> Definition {
    made(&json!({"type": "http", "url": "https://shop.example/"})).unwrap()
}

/// What is wrong with it, as a client reads it.
fn told(fields: &Json) -> Vec<(String, String)> {
    made(fields).map(|made| format!("{made:?}")).unwrap_err().into_iter().map(|f| (f.field, f.message)).collect()
}

#[test]
fn what_nobody_says_of_a_check_is_as_its_document_promises() {
    let made = web();
    assert_eq!((made.interval_s, made.timeout_s()), (60, 10.0));
    assert_eq!((made.quorum, made.severity, made.is_paused), (Quorum::Majority, Severity::Critical, false));
    assert!(made.zones.is_empty() && made.channels.is_empty() && made.tags.is_empty());
    assert_eq!(made.settings["accepted_statuscodes_json"], json!("[\"200-299\"]"));
    assert_eq!((&made.settings["method"], &made.settings["maxredirects"]), (&json!("GET"), &json!(10)));
    let columns: Vec<&str> = made.settings.keys().map(String::as_str).collect();
    assert_eq!(columns, ["accepted_statuscodes_json", "maxredirects", "method", "upside_down", "url"]);
}

#[test]
fn each_type_needs_what_it_looks_at() {
    for (fields, field) in [
        (json!({"type": "http"}), "url"),
        (json!({"type": "keyword", "url": "https://a.example/"}), "keyword"),
        (json!({"type": "json-query", "url": "https://a.example/"}), "expected_value"),
        (json!({"type": "port", "hostname": "a.example"}), "port"),
        (json!({"type": "ping"}), "hostname"),
        (json!({"type": "dns"}), "hostname"),
    ] {
        let kind = fields["type"].as_str().unwrap();
        assert_eq!(told(&fields), [(field.to_owned(), format!("is missing: type {kind} needs it"))]);
    }
    assert_eq!(told(&json!({})), [("type".to_owned(), "is missing".to_owned())]);
}

#[test]
fn each_refusal_names_its_field() {
    let beside = |field: &str, value: Json| {
        let mut fields = json!({"type": "http", "url": "https://a.example/"});
        fields[field] = value;
        fields
    };
    let names = |count: usize| json!((0..count).map(|at| at.to_string()).collect::<Vec<_>>());
    for (field, value, message) in [
        (
            "name",
            json!("a b"),
            "must be 1 to 100 letters, digits, dots, dashes and underscores, and begin with a letter or digit",
        ),
        ("name", json!(7), "must be text, not a number"),
        ("name", json!("try"), "try is a word of the API's paths; take another one"),
        ("name", json!("bulk"), "bulk is a word of the API's paths; take another one"),
        ("type", json!("push"), "must be one of http, keyword, json-query, port, ping, dns"),
        ("interval", json!(4), "must be a whole number from 5 to 86400"),
        ("interval", json!(86_401), "must be a whole number from 5 to 86400"),
        ("timeout", json!(0), "must be a number from 0.1 to 120"),
        ("timeout", json!(60), "must be below the interval (60 s), and is 60 s: looks must not overlap"),
        ("quorum", json!("most"), "must be majority, all, any or a number from 1 to 99"),
        ("quorum", json!(0), "must be majority, all, any or a number from 1 to 99"),
        ("quorum", json!(1.5), "must be majority, all, any or a number from 1 to 99"),
        ("zones", json!("rack-a"), "must be a list of texts"),
        ("zones", names(101), "must have at most 100 entries"),
        ("tags", json!([""]), "must be a list of texts, none of them empty"),
        ("severity", json!("bad"), "must be critical or warning"),
        ("paused", json!("no"), "must be true or false"),
        ("state", json!("up"), "is shown, not set"),
        ("reason", json!("so"), "is shown, not set"),
        ("hostname", json!("a.example"), "a check of type http has no such field"),
        ("url", json!("ftp://a.example/"), "must begin with http:// or https://, not ftp:"),
        ("method", json!("FETCH"), "must be one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        (
            "body",
            json!("{"),
            "is no JSON (EOF while parsing an object at line 1 column 1); set http_body_encoding to xml or form for another kind",
        ),
        ("auth_method", json!("ntlm"), "must be one of basic, bearer, mtls: watchdogs cannot sign in by ntlm"),
        (
            "url",
            json!("https://not-shown@a.example/"),
            "stands for an address whose user and password were not shown; send the whole or leave it out",
        ),
    ] {
        assert_eq!(told(&beside(field, value)), [(field.to_owned(), message.to_owned())]);
    }
}

#[test]
fn what_a_monitor_has_and_a_check_has_not_is_unknown() {
    for field in
        ["parent", "proxy_id", "push_token", "maxretries", "retry_interval", "resend_interval", "ref", "pinned"]
    {
        let found = told(&json!({"type": "ping", "hostname": "a.example", field: 1}));
        assert_eq!(found.len(), 1, "{field}");
        assert_eq!(found[0].0, field);
        assert!(found[0].1.starts_with("unknown field; known are "), "{found:?}");
    }
}

#[test]
fn where_clouds_tell_secrets_no_check_is_made() {
    let denied = |address: &str| format!("{address} is not looked at: {}", Denial::LinkLocal);
    for (fields, field, address) in [
        (json!({"type": "http", "url": "http://169.254.169.254/latest"}), "url", "169.254.169.254"),
        (json!({"type": "http", "url": "http://0xa9fea9fe/"}), "url", "169.254.169.254"),
        (json!({"type": "http", "url": "http://[fe80::1]/"}), "url", "fe80::1"),
        (
            json!({"type": "keyword", "url": "http://[::ffff:169.254.1.1]/", "keyword": "x"}),
            "url",
            "::ffff:169.254.1.1",
        ),
        (json!({"type": "port", "hostname": "169.254.0.9", "port": 80}), "hostname", "169.254.0.9"),
        (json!({"type": "ping", "hostname": "2851995905"}), "hostname", "169.254.1.1"),
        (
            json!({"type": "dns", "hostname": "a.example", "dns_resolve_server": "1.1.1.1, 169.254.169.253"}),
            "dns_resolve_server",
            "169.254.169.253",
        ),
    ] {
        assert_eq!(told(&fields), [(field.to_owned(), denied(address))]);
    }
    let aws = told(&json!({"type": "http", "url": "http://[fd00:ec2::254]/"}));
    assert_eq!(aws, [("url".to_owned(), format!("fd00:ec2::254 is not looked at: {}", Denial::Metadata))]);
    let open = Guard { allow_link_local: true, deny: vec![] };
    let fields = json!({"name": "imds", "type": "http", "url": "http://169.254.169.254/"});
    assert!(created(&draft(&fields), &open).is_ok());
}

#[test]
fn a_check_can_be_paused_whatever_is_denied_by_now() {
    let guard = Guard { allow_link_local: false, deny: vec!["10.0.0.0/8".parse().unwrap()] };
    let before = made(&json!({"type": "port", "hostname": "10.0.0.5", "port": 22})).unwrap();
    let paused = edited(&draft(&json!({"paused": true})), &before, &guard).unwrap();
    assert_eq!(paused, Definition { is_paused: true, ..before.clone() });
    let moved = edited(&draft(&json!({"port": 23})), &before, &guard).unwrap_err();
    assert_eq!((moved.len(), moved[0].field.as_str()), (1, "hostname"));
}

#[test]
fn an_edit_changes_what_it_names_and_null_takes_back() {
    let guard = Guard::default();
    let before = made(&json!({"type": "http", "url": "https://a.example/", "interval": 20, "timeout": 3,
        "headers": {"X-Key": "s3"}, "quorum": 2, "zones": ["b", "a"], "managed_by": "apply/shop"}))
    .unwrap();
    assert_eq!(before.zones, ["a", "b"]);
    let after =
        edited(&draft(&json!({"interval": null, "timeout": null, "headers": null, "tags": ["x"]})), &before, &guard);
    let after = after.unwrap();
    assert_eq!((after.interval_s, after.timeout_s(), after.quorum), (60, 10.0, Quorum::AtLeast(2)));
    assert!(!after.settings.contains_key("headers") && after.tags == ["x"]);
    assert_eq!(after.managed_by.as_deref(), Some("apply/shop"));
    assert_eq!(edited(&draft(&json!({"interval": 20})), &before, &guard).unwrap(), before);
}

#[test]
fn a_change_of_type_takes_along_what_both_have() {
    let fields = json!({"type": "port", "hostname": "b.example", "port": 443});
    let after = edited(&draft(&fields), &web(), &Guard::default()).unwrap();
    assert_eq!(after.settings.keys().map(String::as_str).collect::<Vec<_>>(), ["hostname", "port", "upside_down"]);
    let after = edited(&draft(&json!({"type": "keyword", "keyword": "ok"})), &web(), &Guard::default()).unwrap();
    assert_eq!(after.settings["url"], web().settings["url"]);
}

#[test]
fn what_replaces_a_check_says_all_of_it() {
    let before = Definition { is_paused: true, tags: vec!["x".to_owned()], ..web() };
    let fields = json!({"type": "ping", "hostname": "a.example"});
    let after = replaced(&draft(&fields), &before, &Guard::default()).unwrap();
    assert_eq!((after.is_paused, after.tags.len(), after.name.as_str()), (false, 0, "shop"));
    assert!(replaced(&draft(&json!({"paused": true})), &before, &Guard::default()).is_err());
}

#[test]
fn a_look_that_nobody_limits_ends_before_the_next_begins() {
    let timeout = |fields: &Json| made(fields).unwrap().timeout_s().to_string();
    let ping = |interval: u32| json!({"type": "ping", "hostname": "a.example", "interval": interval});
    assert_eq!([5, 10, 60, 86_400].map(|interval| timeout(&ping(interval))), ["4", "8", "10", "10"]);
    let mut patient = ping(60);
    patient["ping_per_request_timeout"] = json!(30);
    assert_eq!(timeout(&patient), "30");
    patient["interval"] = json!(20);
    assert_eq!(told(&patient)[0].0, "timeout");
}

#[test]
fn a_look_is_told_all_that_the_check_says() {
    let made = made(&json!({"type": "keyword", "url": "https://a.example/", "keyword": "ok", "invert_keyword": true,
        "basic_auth_user": "joe", "basic_auth_pass": "s3", "accepted_statuscodes": ["200"], "interval": 20,
        "ip_family": "ipv6", "ignore_tls": true, "upside_down": true, "method": "POST", "body": "{}"}))
    .unwrap();
    let spec = made.spec();
    assert_eq!((spec.kind.as_str(), spec.interval, spec.timeout), ("keyword", 20, 10.0));
    assert_eq!((spec.keyword.as_deref(), spec.invert_keyword), (Some("ok"), true));
    assert_eq!((spec.auth_method.as_deref(), spec.basic_auth_pass.as_deref()), (Some("basic"), Some("s3")));
    assert_eq!((spec.accepted_statuscodes_json.as_str(), spec.method.as_str()), ("[\"200\"]", "POST"));
    assert!(spec.ignore_tls && spec.upside_down && spec.ip_family.as_deref() == Some("ipv6"));
    assert!(spec.body.as_deref() == Some("{}") && !spec.cache_bust);
}

#[test]
fn what_is_asked_of_a_quorum_is_read_as_it_is_shown() {
    for quorum in [Quorum::Majority, Quorum::All, Quorum::Any, Quorum::AtLeast(3)] {
        assert_eq!(parse_quorum(&quorum_text(quorum)), Ok(quorum));
        let fields = json!({"type": "ping", "hostname": "a.example", "quorum": quorum_json(quorum)});
        assert_eq!(made(&fields).unwrap().quorum, quorum);
    }
}
