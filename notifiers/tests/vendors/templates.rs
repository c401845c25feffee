//! Templates of one's own: what is wrong with them is said when they are read, and what is sent is what they say.

use komainu_notifiers::template::{Config, Draft};
use komainu_notifiers::{DeliveryError, Settings};

use super::notices;
use super::server::{Says, Vendor, channel};

fn draft(text: &str) -> Draft {
    toml::from_str(text).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    let made = draft(text).completed().and_then(|draft| Config::of(&draft));
    made.map(|_| ()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn what_cannot_work_is_said_with_its_key_before_anybody_needs_it() {
    const URL: &str = "url = \"https://example.com/\"\n";
    for (text, said) in [
        ("", "url: is missing: where the request goes, or preset, for vendors that many have"),
        ("preset = \"pigeon\"", "preset: there is none called \"pigeon\""),
        ("preset = \"ntfy\"", "values.topic: is missing: the topic"),
        (URL, "json: is missing: what is sent, as json, text or form"),
        (
            "url = \"https://example.com/\"\ntext = \"a\"\njson = \"1\"",
            "json: json, text and form are forms of the body; keep one",
        ),
        (
            "url = \"https://example.com/\"\ntext = \"{{ headlin }}\"",
            "text: nothing is called \"headlin\"; there are id, cluster, headline",
        ),
        ("url = \"https://example.com/\"\ntext = \"{{ body }}\"", "text: nothing is called \"body\""),
        ("url = \"https://example.com/\"\ntext = \"{{ debug() }}\"", "text: nothing is called \"debug\""),
        ("url = \"https://example.com/\"\ntext = \"{{ headline\"", "text: line 1: syntax error"),
        ("url = \"https://example.com/\"\ntext = \"{{ secrets.token }}\"", "text: line 1: undefined value"),
        // Several at once have no single item.
        ("url = \"https://example.com/\"\ntext = \"{{ item.key }}\"", "text: line 1: undefined value"),
        ("url = \"https://example.com/\"\njson = '{\"text\": \"{{ headline }}\"}'", "json: becomes no JSON"),
        ("url = \"example.com\"\ntext = \"a\"", "url: relative URL without a base"),
        ("url = \"ftp://example.com/\"\ntext = \"a\"", "url: must begin with https:// or http://"),
        (
            "url = \"https://example.com/\"\ntext = \"a\"\nmethod = \"GET\"",
            "method: \"GET\" is none of POST, PUT, PATCH",
        ),
        ("url = \"https://example.com/\"\ntext = \"a\"\nmin_interval = \"soon\"", "min_interval: \"soon\""),
        ("url = \"https://example.com/\"\ntext = \"a\"\nmin_interval = \"1h\"", "min_interval: must be at most 60s"),
        (
            "url = \"https://example.com/\"\ntext = \"a\"\nsuccess = \"stat == 200\"",
            "success: nothing is called \"stat\"; there are status, answer, headers",
        ),
        ("url = \"https://example.com/\"\ntext = \"a\"\nretry = \"status ==\"", "retry: line 1: syntax error"),
        (
            "url = \"https://example.com/\"\ntext = \"a\"\nheaders = { \"a b\" = \"c\" }",
            "headers.a b: is no name of a header",
        ),
        (
            "url = \"https://example.com/\"\ntext = \"{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}\"",
            "text: line 1: engine ran out of fuel",
        ),
    ] {
        let found = faults(text);
        assert!(found.iter().any(|fault| fault.starts_with(said)), "{text}\n{found:?}");
    }
}

#[test]
fn what_is_said_of_a_fault_shows_no_secret() {
    let text = "url = \"https://example.com/\"\ntext = \"{{ secrets.token | int }}{{ headline | time }}\"\nsecrets = { token = \"hunter2\" }";
    let found = faults(text);
    assert!(!found.is_empty() && !found.iter().any(|fault| fault.contains("hunter2")), "{found:?}");
    let config = draft("url = \"https://example.com/\"\ntext = \"{{ headline }}\"\nsecrets = { token = \"hunter2\" }");
    assert!(!format!("{:?}", Config::of(&config).unwrap()).contains("hunter2"));
}

#[tokio::test]
async fn a_vendor_of_ones_own_gets_what_the_templates_say_signed() {
    let vendor = Vendor::saying([Says::Text(200, "{\"code\": 0}")]).await;
    let text = format!(
        r#"
        url = "{}/notify?to={{{{ values.to | urlencode }}}}"
        method = "PUT"
        form = {{ title = "{{{{ headline }}}}", when = "{{{{ item.opened_at_ms | time('Asia/Taipei') if item else now }}}}" }}
        headers = {{ X-Signature = "sha256={{{{ body | hmac_sha256(secrets.key) }}}}", X-Empty = "{{{{ '' }}}}", X-Lines = "{{{{ lines | join('\n') }}}}" }}
        values = {{ to = "a&b" }}
        secrets = {{ key = "It's a Secret to Everybody" }}
        success = "answer.code == 0"
        "#,
        vendor.url.as_str().trim_end_matches('/')
    );
    let channel = channel(Settings::Template(Config::of(&draft(&text)).unwrap()));
    channel.send(&notices::opened()).await.unwrap();
    let [asked] = vendor.asked().try_into().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PUT", "/notify?to=a%26b"));
    assert_eq!(asked.body, "title=critical%3A+node%2Fnode1+%28prod%29&when=2025-11-22+16%3A26%3A29+CST");
    assert!(!asked.headers.contains_key("x-empty"));
    let lines = String::from_utf8(asked.headers["x-lines"].as_bytes().to_vec()).unwrap();
    assert!(lines.contains("cannot reach it since") && lines.contains('·'), "{lines}");
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    // As `printf %s BODY | openssl dgst -sha256 -hmac KEY` says.
    let signature = asked.headers["x-signature"].to_str().unwrap();
    assert_eq!(signature, SIGNATURE);
}

const SIGNATURE: &str = "sha256=c60a378f44642e09d93c22f7080f49900291bb55bc587916c4fc71d5717c8fb8";

#[tokio::test]
async fn a_rule_of_ones_own_says_what_is_tried_again_and_what_is_refused() {
    let answered = async |says: Says| {
        let vendor = Vendor::saying([says]).await;
        let url = vendor.url.as_str();
        let text = format!(
            "url = \"{url}\"\ntext = \"a\"\nsuccess = \"answer.errcode == 0\"\nretry = \"answer.errcode in [45009, -1]\"\nretry_after = \"answer.wait\""
        );
        channel(Settings::Template(Config::of(&draft(&text)).unwrap())).send(&notices::opened()).await
    };
    assert!(answered(Says::Text(200, "{\"errcode\": 0}")).await.is_ok());
    let later = answered(Says::Text(200, "{\"errcode\": -1, \"wait\": 999999}")).await;
    let Err(DeliveryError::Retryable { after, .. }) = later else { panic!("{later:?}") };
    assert_eq!(after.unwrap().as_secs(), 3_600, "a broken answer must not silence a channel for days");
    let refused = answered(Says::Text(200, "{\"errcode\": 93000, \"errmsg\": \"invalid webhook url\"}")).await;
    let Err(DeliveryError::Permanent { reason }) = refused else { panic!("{refused:?}") };
    assert!(
        reason.contains("invalid webhook url, which is no success") || reason.contains("which is no success"),
        "{reason}"
    );
    // Its own rule, not the usual one.
    assert!(matches!(answered(Says::Text(503, "{}")).await, Err(DeliveryError::Permanent { .. })));
    assert!(matches!(answered(Says::Nothing).await, Err(DeliveryError::Unanswered { .. })));
}
