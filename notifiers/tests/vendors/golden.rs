//! The payloads, one readable file each below `tests/golden`.

use std::path::Path;

use komainu_notifiers::slack::{self, Access};
use komainu_notifiers::{Secret, mail, pushbullet, webhook};
use serde_json::{Value, json};

use super::notices::{self, NOW_MS};

#[track_caller]
fn assert_golden(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == golden, "{file} is another one now:\n{actual}");
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[test]
fn slack_bots_thread_and_edit() {
    let token = Secret::new("xoxb-1".to_owned());
    let api_url = slack::DEFAULT_API_URL.parse().unwrap();
    let config = slack::Config { access: Access::Bot { token, channel: "#ops".to_owned(), api_url } };
    for (name, notice) in notices::all() {
        assert_golden(&format!("slack/{name}.json"), &pretty(&json!(slack::payload(&config, &notice))));
    }
}

#[test]
fn slack_webhooks_write_a_message_each_time() {
    let url = Secret::new("https://hooks.slack.com/services/T0/B0/x".parse().unwrap());
    let config = slack::Config { access: Access::Webhook { url } };
    for (name, notice) in [("opened", notices::opened()), ("resolved", notices::over())] {
        assert_golden(&format!("slack-webhook/{name}.json"), &pretty(&json!(slack::payload(&config, &notice))));
    }
}

#[test]
fn pushbullet_shows_one_incident_as_a_link_and_several_as_a_note() {
    let config = pushbullet::Config {
        token: Secret::new("o.1".to_owned()),
        target: pushbullet::Target::Device("ujpah72o0sjAoRtnM0jc".to_owned()),
        api_url: pushbullet::DEFAULT_API_URL.parse().unwrap(),
    };
    for (name, notice) in notices::all() {
        assert_golden(&format!("pushbullet/{name}.json"), &pretty(&pushbullet::payload(&config, &notice)));
    }
}

#[test]
fn webhooks_carry_every_item() {
    for (name, notice) in notices::all() {
        let mut payload = webhook::payload(&notice);
        if name == "digest" {
            let items = payload["data"]["items"].as_array_mut().unwrap();
            assert_eq!(items.len(), 382);
            // The file shows how one looks; all of them would fill it.
            items.truncate(2);
        }
        assert_golden(&format!("webhook/{name}.json"), &pretty(&payload));
    }
}

#[test]
fn mails_have_a_text_a_page_and_the_headers_that_make_threads() {
    let config = mail::Config {
        server: mail::Server { host: "mx".to_owned(), port: 465, tls: mail::Tls::Wrapped, ca: None },
        login: None,
        from: "Komainu <komainu@example.com>".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap(), "Büro <office@example.com>".parse().unwrap()],
        confirm_within: mail::CONFIRM_LIMIT,
    };
    for (name, notice) in notices::all() {
        let mail = mail::payload(&config, &notice, NOW_MS).formatted();
        let mail = String::from_utf8(mail).unwrap();
        assert!(mail.is_ascii(), "{mail}");
        assert_golden(&format!("mail/{name}.eml"), &mail.replace("\r\n", "\n"));
    }
}
