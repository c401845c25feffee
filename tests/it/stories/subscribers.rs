//! Visitors of a page subscribe, are told what is said on it, once, by whichever watchdog lives, and leave.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use komainu_notifiers::webhook::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::database::Kind;
use crate::cluster::mailbox::{Mailbox, link};
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

const LIMIT: Duration = Duration::from_secs(90);

/// A program of a subscriber's.
#[derive(Clone, Default)]
struct Hook {
    is_down: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[derive(Clone)]
struct Call {
    headers: HeaderMap,
    body: String,
}

impl Call {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Hook {
    /// Listens until the test ends; where.
    async fn start() -> (Self, String) {
        let hook = Self::default();
        let app = Router::new().fallback(take).with_state(hook.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook-s3cr3t", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (hook, url)
    }

    async fn wait_for(&self, count: usize) -> Vec<Call> {
        let came = || self.calls.lock().unwrap().clone();
        wait_until(&format!("{count} calls came"), LIMIT, async || came().len() >= count).await;
        came()
    }
}

async fn take(State(hook): State<Hook>, headers: HeaderMap, body: String) -> StatusCode {
    hook.calls.lock().unwrap().push(Call { headers, body });
    if hook.is_down.load(Ordering::Relaxed) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

async fn press(url: &str, body: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(url).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Mails of one reader.
fn of<'a>(mails: &'a [Value], reader: &str) -> Vec<&'a Value> {
    mails.iter().filter(|mail| mail["to"] == reader).collect()
}

const JANE: &str = "jane@example.com";

/// Waits until one reader has so many mails.
async fn wait_for(mailbox: &Mailbox, count: usize) -> Vec<Value> {
    let mut mails = vec![];
    wait_until(&format!("{count} mails of hers came"), LIMIT, async || {
        mails = of(&mailbox.mails().await, JANE).into_iter().cloned().collect();
        mails.len() >= count
    })
    .await;
    mails
}

async fn start(mailbox: &Mailbox) -> Cluster {
    let shape = Shape { watchdogs: 2, nodes: 0, monitors: 0, ..Shape::default() };
    let cluster = Cluster::start_with(Kind::MariaDb, shape, &mailbox.sections()).await;
    let page = json!({"title": "Shop", "subscribe": ["mail", "webhook"], "groups": [
        {"name": "Web", "components": [{"name": "Front", "check": "front"}]}]});
    assert_eq!(cluster.call(Method::PUT, "/api/v1/pages/shop", &page).await, 201);
    for name in ["w1", "w2"] {
        wait_until("the page is there", LIMIT, async || cluster.ask_of(name, "/pages/shop").await == Some(200)).await;
    }
    cluster
}

/// Who sends at this moment.
async fn sending(cluster: &Cluster) -> String {
    let sql = "SELECT w.watchdog_id FROM komainu_page_subscriber s JOIN komainu_watchdog w ON w.incarnation = s.claimed_by \
               WHERE s.sending_at IS NOT NULL AND s.kind = 'mail'";
    let mut sender = String::new();
    wait_until("somebody sends", LIMIT, async || {
        let rows = cluster.database.rows(sql).await;
        rows.first().is_some_and(|row| {
            sender.clone_from(&row[0]);
            true
        })
    })
    .await;
    sender
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB and aiosmtpd"]
async fn visitors_are_told_once_what_a_page_says_and_leave_with_one_click_whoever_is_killed_meanwhile() {
    let mailbox = Mailbox::start().await;
    let (hook, hook_url) = Hook::start().await;
    let mut cluster = start(&mailbox).await;
    let secret = subscribe(&cluster, &mailbox, (&hook, &hook_url)).await;
    let incident = json!({"title": "Orders are slow", "impact": "minor", "text": "We look into it."});
    let id = cluster.post("/api/v1/pages/shop/incidents", &incident).await["id"].as_str().unwrap().to_owned();
    let updates = format!("/api/v1/pages/shop/incidents/{id}/updates");
    let first = wait_for(&mailbox, 2).await.pop().unwrap();
    is_well_formed(&first, &id);
    let call = hook.wait_for(2).await.pop().unwrap();
    is_signed(&call, &secret);
    assert_eq!(call.json()["incident"]["incident_updates"][0]["body"], "We look into it.");
    fails_and_is_called_again(&cluster, &updates, (&hook, &secret)).await;
    wait_for(&mailbox, 3).await;
    let repeated = is_killed_while_it_sends(&mut cluster, &mailbox, &updates).await;
    assert_eq!(repeated["headers"]["references"], first["headers"]["references"]);
    assert_eq!(repeated["headers"]["subject"], first["headers"]["subject"]);
    leaves_with_one_click(&cluster, (&mailbox, &repeated), &updates, &hook).await;
    let logs = cluster.logs();
    assert!(!logs.contains("jane") && !logs.contains("s3cr3t"), "an address stands in a log: {logs}");
    let trail = "SELECT COUNT(*) FROM komainu_audit WHERE CONCAT(who, what, subject, COALESCE(before_json, ''), COALESCE(after_json, '')) LIKE '%jane%'";
    assert_eq!(cluster.database.rows(trail).await, [["0"]]);
}

/// By mail and by webhook; the secret of the latter.
async fn subscribe(cluster: &Cluster, mailbox: &Mailbox, (hook, hook_url): (&Hook, &str)) -> String {
    let form = cluster.url_of("w1", "/pages/shop/subscribe");
    for (way, address) in [("mail", JANE), ("webhook", hook_url)] {
        let (code, html) = press(&form, &format!("way={way}&address={}", encoded(address))).await;
        assert_eq!(code, 200, "{html}");
    }
    let asked = wait_for(mailbox, 1).await.pop().unwrap();
    assert_eq!(
        (&asked["defects"], &asked["headers"]["subject"]),
        (&json!([]), &json!("[Shop] Confirm the subscription"))
    );
    assert!(!asked["names"].as_array().unwrap().contains(&json!("list-unsubscribe")), "{asked}");
    let place = link(&asked, "/confirm/");
    assert_eq!(reqwest::get(&place).await.unwrap().status(), 200);
    let states = "SELECT state FROM komainu_page_subscriber WHERE kind = 'mail'";
    assert_eq!(cluster.database.rows(states).await, [["asked"]], "a scanner that opens the link confirms nothing");
    assert_eq!(press(&place, "").await.0, 200);
    assert_eq!(cluster.database.rows(states).await, [["confirmed"]]);
    let call = hook.wait_for(1).await.pop().unwrap();
    let (code, html) = press(call.json()["confirm"].as_str().unwrap(), "").await;
    let secret = html.split(['<', '>']).find(|word| word.starts_with("whsec_"));
    assert_eq!((code, secret.is_some()), (200, true), "{html}");
    let secret = secret.unwrap().replace("&#43;", "+").replace("&#47;", "/").replace("&#61;", "=");
    is_signed(&call, &secret);
    secret
}

/// As mail programs want it.
fn is_well_formed(mail: &Value, id: &str) {
    let headers = &mail["headers"];
    assert_eq!((&mail["defects"], &headers["subject"]), (&json!([]), &json!("[Shop] Orders are slow")));
    assert_eq!((&headers["from"], &headers["to"]), (&json!("Shop <status@example.com>"), &json!(JANE)));
    assert_eq!(headers["list-unsubscribe-post"], "List-Unsubscribe=One-Click");
    assert_eq!(headers["references"], format!("<notice-{id}.shop.komainu@example.com>"));
    let leave = headers["list-unsubscribe"].as_str().unwrap();
    assert!(leave.starts_with("<http://127.0.0.1:") && leave.contains("/pages/shop/unsubscribe/"), "{leave}");
    for body in ["text", "html"] {
        let body = mail[body].as_str().unwrap();
        assert!(body.contains("We look into it.") && body.contains("/unsubscribe/"), "{body}");
        assert!(!body.contains("before."), "{body}");
    }
}

/// As Standard Webhooks says.
fn is_signed(call: &Call, secret: &str) {
    let timestamp: i64 = call.header("webhook-timestamp").parse().unwrap();
    assert!((komainu::clock::wall().0 / 1_000 - timestamp).abs() < 300, "{timestamp}");
    let signature = SigningKey::parse(secret).unwrap().sign(call.header("webhook-id"), timestamp, &call.body);
    assert_eq!(call.header("webhook-signature"), signature);
}

async fn fails_and_is_called_again(cluster: &Cluster, updates: &str, (hook, secret): (&Hook, &str)) {
    hook.is_down.store(true, Ordering::Relaxed);
    cluster.post(updates, &json!({"text": "A bad index.", "status": "identified"})).await;
    let failed = hook.wait_for(3).await.pop().unwrap();
    let waits = "SELECT COUNT(*) FROM komainu_page_subscriber WHERE retry_at IS NOT NULL AND trouble = 'answered 503'";
    wait_until("it is to be tried again", LIMIT, async || cluster.database.rows(waits).await == [["1"]]).await;
    hook.is_down.store(false, Ordering::Relaxed);
    cluster.database.execute("UPDATE komainu_page_subscriber SET retry_at = retry_at - 30000").await;
    let again = hook.wait_for(4).await.pop().unwrap();
    assert_eq!(again.header("webhook-id"), failed.header("webhook-id"));
    let said = |call: &Call| call.json()["incident"]["incident_updates"].clone();
    assert_eq!(said(&again), said(&failed));
    is_signed(&again, secret);
}

/// It had handed the mail over and did not hear what became of it.
async fn is_killed_while_it_sends(cluster: &mut Cluster, mailbox: &Mailbox, updates: &str) -> Value {
    mailbox.hold();
    cluster.post(updates, &json!({"text": "It is being rebuilt."})).await;
    let sender = sending(cluster).await;
    cluster.process(&sender).kill();
    mailbox.release();
    let mails = wait_for(mailbox, 5).await;
    assert_eq!(mails.len(), 5, "once from whoever was killed, once from the other");
    let [.., killed, repeated] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(killed["headers"]["message-id"], repeated["headers"]["message-id"]);
    let text = |mail: &Value| mail["text"].as_str().unwrap().to_owned();
    assert!(text(killed).contains("It is being rebuilt.") && !text(killed).contains("may have reached you before"));
    assert!(text(repeated).contains("may have reached you before"), "{}", text(repeated));
    repeated.clone()
}

async fn leaves_with_one_click(cluster: &Cluster, (mailbox, mail): (&Mailbox, &Value), updates: &str, hook: &Hook) {
    let place = mail["headers"]["list-unsubscribe"].as_str().unwrap().trim_matches(['<', '>']).to_owned();
    assert_eq!(reqwest::get(&place).await.unwrap().status(), 200);
    let left = "SELECT COUNT(*) FROM komainu_page_subscriber WHERE kind = 'mail'";
    assert_eq!(cluster.database.rows(left).await, [["1"]], "a scanner that opens the link ends nothing");
    assert_eq!(press(&place, "List-Unsubscribe=One-Click").await.0, 200);
    assert_eq!(cluster.database.rows(left).await, [["0"]], "the address is gone");
    let before = hook.calls.lock().unwrap().len();
    cluster.post(updates, &json!({"text": "Over.", "status": "resolved"})).await;
    let end = hook.wait_for(before + 1).await.pop().unwrap();
    assert_eq!(end.json()["type"], "incident.resolved");
    assert_eq!(of(&mailbox.mails().await, JANE).len(), 5, "she hears nothing more");
}
