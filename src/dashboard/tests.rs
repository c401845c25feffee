//! The dashboard as a browser meets it, without one.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::facts::{Mode, Vote};
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{View, WatchdogView, WouldMove};
use serde_json::json;

use crate::api::support::{Surface, TestAnswer, view};
use crate::clock;
use crate::config::Details;

const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

/// Somebody at a browser.
struct Browser {
    surface: Surface,
    cookie: String,
}

impl Browser {
    async fn stranger() -> Self {
        Self { surface: Surface::plain().await.lasting(), cookie: String::new() }
    }

    /// Signed in with a new key of that scope, which is named after it.
    async fn signed_in(scope: &str) -> Self {
        let mut browser = Self::stranger().await;
        let key = browser.surface.key(scope).await;
        let answer = browser.post("/watch/sign-in", &format!("key={key}&next=/watch/nodes")).await;
        assert_eq!((answer.code, answer.header("location").as_str()), (303, "/watch/nodes"));
        browser.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        browser
    }

    async fn get(&self, path: &str) -> TestAnswer {
        self.surface.send_with("GET", path, &[("cookie", &self.cookie)], "").await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.code, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    }

    /// The page as soon as it says that: what was read within the last second is believed.
    async fn page_saying(&self, path: &str, words: &str) -> String {
        let gives_up_at = clock::now() + Duration::from_secs(10);
        loop {
            let page = self.page(path).await;
            if page.contains(words) {
                return page;
            }
            assert!(clock::now() < gives_up_at, "{words} is missing in {page}");
            // Pages are counted.
            clock::sleep_until(clock::now() + Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, form: &str) -> TestAnswer {
        self.surface.send_with("POST", path, &[("cookie", &self.cookie), SAME], form).await
    }
}

fn text(answer: TestAnswer) -> String {
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn a_stranger_sees_nothing_and_is_led_to_the_page_where_one_signs_in() {
    let stranger = Browser::stranger().await;
    for path in ["/watch", "/watch/nodes", "/watch/hands?deed=cluster.freeze"] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.code, 303, "{path}");
        assert!(answer.header("location").starts_with("/watch/sign-in?next=%2Fwatch"), "{path}");
        assert!(!text(answer).contains("node1"), "{path}");
    }
    assert_eq!(stranger.get("/watch/events").await.code, 401);
    assert_eq!(stranger.get("/").await.header("location"), "/watch");
    let part = [("x-komainu-part", "all")];
    assert_eq!(stranger.surface.send_with("GET", "/watch", &part, "").await.code, 401);
}

#[tokio::test]
async fn a_link_on_another_site_leads_on_to_whoever_has_signed_in() {
    let stranger = Browser::stranger().await;
    let answer = stranger.surface.send_with("GET", "/watch", &[("sec-fetch-site", "cross-site")], "").await;
    assert_eq!(answer.code, 200);
    assert!(text(answer).contains("http-equiv=\"refresh\" content=\"0\""));
}

#[tokio::test]
async fn a_key_opens_the_pages_and_an_unknown_one_is_refused_with_words() {
    let browser = Browser::signed_in("read").await;
    let page = browser.page("/watch").await;
    for shown in ["node1", "node/node2", "w1, epoch 7", "read (read)"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    let refused = browser.post("/watch/sign-in", "key=kmn_guess").await;
    assert_eq!((refused.code, refused.header("set-cookie").as_str()), (403, ""));
    assert!(text(refused).contains("This cluster knows no such key."));
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_its_own() {
    let browser = Browser::signed_in("read").await;
    for path in ["/watch", "/watch/sign-in", "/watch/nodes", "/watch/assets/none", "/"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        let page = text(answer);
        for forbidden in ["style=", "onclick", "<script>", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{path}: {forbidden}");
        }
    }
    let page = browser.page("/watch").await;
    let style = page.split('"').find(|part| part.starts_with("/watch/assets/watch.")).unwrap();
    assert_eq!(browser.get(style).await.header("cache-control"), "public, max-age=31536000, immutable");
}

#[tokio::test]
async fn another_site_changes_nothing_with_the_cookie_of_whoever_signed_in() {
    let browser = Browser::signed_in("admin").await;
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "http://evil.example")]
    {
        let headers = [("cookie", browser.cookie.as_str()), ("host", "w1:8900"), (name, value)];
        let answer = browser.surface.send_with("POST", "/watch/hands", &headers, "deed=cluster.freeze").await;
        assert_eq!(answer.code, 403, "{name}: {value}");
    }
    let admin = browser.surface.key("write").await;
    let trail = browser.surface.send("GET", "/api/v1/audit?what=cluster.freeze", Some(&admin), "").await;
    assert_eq!(trail.code, 403, "a key that may write does not read the trail");
    assert!(!browser.surface.state.view.borrow().frozen);
}

#[tokio::test]
async fn a_hand_asks_once_names_what_becomes_of_it_and_stands_in_the_trail_under_the_persons_key() {
    let browser = Browser::signed_in("admin").await;
    browser.surface.add_node("node1").await;
    let page = browser.page("/watch/hands?deed=node.drain&node=node1&back=/watch/nodes").await;
    assert!(page.contains("Drain node1?") && page.contains("move to other nodes"), "{page}");
    let done = browser.post("/watch/hands", "deed=node.drain&node=node1&back=/watch/nodes").await;
    assert_eq!(done.code, 303);
    let place = done.header("location");
    assert!(place.starts_with("/watch/nodes?said="), "{place}");
    assert!(browser.page(&place).await.contains("node1 gives its monitors away now."));
    let other = browser.surface.key("admin").await;
    let trail = browser.surface.send("GET", "/api/v1/audit?what=node.drain", Some(&other), "").await.json();
    let (who, address) = (&trail["items"][0]["who"], &trail["items"][0]["address"]);
    assert_eq!((who, address), (&json!("key/admin (page)"), &json!("192.0.2.7")));
}

#[tokio::test]
async fn a_hand_that_the_key_does_not_allow_is_refused_with_words() {
    let browser = Browser::signed_in("write").await;
    browser.surface.add_node("node1").await;
    assert!(!browser.page("/watch/nodes").await.contains("deed=node.drain"));
    let words = "scope write; this needs admin";
    assert!(browser.page("/watch/hands?deed=node.drain&node=node1").await.contains(words));
    let refused = browser.post("/watch/hands", "deed=node.drain&node=node1").await;
    assert_eq!(refused.code, 403);
    assert!(text(refused).contains("this key has scope write, this needs admin"));
    assert_eq!(browser.post("/watch/hands", "deed=node.drain").await.code, 400);
}

#[tokio::test]
async fn an_incident_is_acknowledged_from_the_first_page() {
    let browser = Browser::signed_in("write").await;
    let id = browser.surface.raise("node/node2").await;
    browser.page_saying("/watch", &format!("deed=incident.ack&amp;incident={id}")).await;
    let done = browser.post("/watch/hands", &format!("deed=incident.ack&incident={id}")).await;
    assert_eq!(done.code, 303);
    assert!(browser.page("/watch").await.contains("acknowledged by key/write (page)"));
}

#[tokio::test]
async fn a_session_ends_with_its_key_and_with_signing_out() {
    let browser = Browser::signed_in("read").await;
    assert_eq!(browser.get("/watch").await.code, 200);
    // Made anew under the same name: the one that was signed in with is gone.
    let admin = browser.surface.key("admin").await;
    let gone = browser.surface.send("DELETE", "/api/v1/apikeys/read", Some(&admin), "").await;
    assert_eq!(gone.code, 204);
    browser.surface.key("read").await;
    let answer = browser.get("/watch").await;
    assert_eq!(answer.code, 303);
    assert!(answer.header("set-cookie").starts_with("komainu_session=; Path=/watch; Max-Age=0"));
    let other = Browser::signed_in("read").await;
    let out = other.post("/watch/sign-out", "").await;
    assert!(out.code == 303 && out.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn names_that_are_markup_are_text_on_every_page() {
    let mut shown = view();
    let nasty = "<script>alert(1)</script>\"'&\u{202e}".to_owned() + &"x".repeat(10_000);
    shown.nodes[0].node_id = nasty.as_str().into();
    shown.reasons = vec![nasty.clone()];
    shown.incidents[0].key.clone_from(&nasty);
    let surface = Surface::showing(shown).await.with_details(Details::Key).lasting();
    let key = surface.key("admin").await;
    let signed_in = surface.send_with("POST", "/watch/sign-in", &[SAME], &format!("key={key}")).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("node", &nasty).finish();
    let question = format!("/watch/hands?deed=node.drain&{query}");
    for path in ["/watch", "/watch/nodes", &question] {
        let answer = surface.send_with("GET", path, &[("cookie", &cookie)], "").await;
        let page = text(answer);
        assert!(page.contains("&#60;script&#62;") && !page.contains("<script>alert"), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_any_more_is_shown_as_it_was_and_whoever_signed_in_stays() {
    let browser = Browser::signed_in("write").await;
    browser.surface.raise("node/node2").await;
    browser.page_saying("/watch", "Acknowledge").await;
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    for table in ["komainu_incident", "komainu_api_key"] {
        lease.execute("test", format!("ALTER TABLE {table} RENAME TO {table}_gone"), vec![]).await.unwrap();
    }
    drop(lease);
    // What was read within the last second is believed anyway.
    clock::sleep_until(clock::now() + Duration::from_millis(1_100)).await;
    let page = browser.page("/watch").await;
    assert!(page.contains("Acknowledge") && page.contains("node1"), "{page}");
    let refused = browser.post("/watch/hands", "deed=incident.ack&incident=1").await;
    assert_eq!(refused.code, 503);
}

#[tokio::test]
async fn the_story_of_an_incident_says_what_was_told_and_where() {
    let browser = Browser::signed_in("read").await;
    let id = browser.surface.raise("node/node1").await;
    let list = browser.page("/watch/incidents?show=open&key=node").await;
    assert!(list.contains(&format!("href=\"/watch/incidents/{id}\"")), "{list}");
    assert!(!browser.page("/watch/incidents?show=over").await.contains("node/node1"));
    let story = browser.page(&format!("/watch/incidents/{id}")).await;
    for shown in ["node/node1", "bad", "3 of 3 watchdogs", "<strong>opened</strong>", "ops:", "waiting"] {
        assert!(story.contains(shown), "{shown} is missing in {story}");
    }
    assert!(!story.contains("Acknowledge"), "a key that only reads has no hands");
    let missing = browser.get("/watch/incidents/999").await;
    assert!(missing.code == 404 && text(missing).contains("incident 999"));
}

#[tokio::test]
async fn a_monitor_is_found_and_shown_with_where_it_runs_and_why() {
    let browser = Browser::signed_in("write").await;
    let key = browser.surface.key("admin").await;
    let body = json!({"name": "shop & sons", "type": "http", "url": "https://ada:secret@shop.example/"}).to_string();
    let made = browser.surface.send("POST", "/api/v1/monitors", Some(&key), &body).await.json();
    let id = &made["id"];
    let list = browser.page_saying("/watch/monitors?q=sons", "shop &#38; sons").await;
    assert!(list.contains(&format!("href=\"/watch/monitors/{id}\"")) && list.contains("1 monitor."), "{list}");
    let shown = browser.page(&format!("/watch/monitors/{id}")).await;
    for words in ["shop &#38; sons", "It has no beat yet.", "Nobody runs it yet.", "Nothing was counted in this time."]
    {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    assert!(!list.contains("secret") && !shown.contains("secret"), "a password is nobody's to see");
    let paused = browser
        .post("/watch/hands", &format!("deed=monitor.pause&monitor={id}&name=other&back=/watch/monitors/{id}"))
        .await;
    assert_eq!(paused.code, 303);
    let shown = browser.page(&paused.header("location")).await;
    let said = format!("shop &#38; sons (#{id}) is paused.");
    assert!(shown.contains(&said) && shown.contains("deed=monitor.resume"), "a link may not name it: {shown}");
    assert_eq!(browser.get("/watch/monitors/4711").await.code, 404);
}

#[tokio::test]
async fn checks_heartbeats_and_the_trail_are_shown_to_whom_the_key_allows() {
    let browser = Browser::signed_in("admin").await;
    let key = browser.surface.key("write").await;
    let check =
        json!({"name": "front-door", "type": "http", "url": "https://shop.example/", "interval": 20}).to_string();
    assert_eq!(browser.surface.send("POST", "/api/v1/checks", Some(&key), &check).await.code, 201);
    let job = json!({"name": "backup", "period_s": 3_600, "grace_s": 600, "description": "each <night>"}).to_string();
    assert_eq!(browser.surface.send("POST", "/api/v1/heartbeats", Some(&key), &job).await.code, 201);
    let list = browser.page_saying("/watch/checks", "href=\"/watch/checks/front-door\"").await;
    assert!(list.contains("https://shop.example/"), "{list}");
    let shown = browser.page("/watch/checks/front-door").await;
    for words in ["every 20 s", "critical when it is down", "Of which, ms", "How the verdict changed"] {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    let paused = browser.post("/watch/hands", "deed=check.pause&check=front-door&back=/watch/checks/front-door").await;
    assert!(browser.page(&paused.header("location")).await.contains("deed=check.resume"));
    let list = browser.page("/watch/heartbeats?state=new").await;
    assert!(list.contains("href=\"/watch/heartbeats/backup\"") && list.contains("each &#60;night&#62;"), "{list}");
    assert!(!browser.page("/watch/heartbeats?state=late").await.contains("backup"));
    let shown = browser.page("/watch/heartbeats/backup").await;
    assert!(shown.contains("every 1 h, grace 10 min") && shown.contains("There was none yet."), "{shown}");
    let trail = browser.page("/watch/audit?what=check.edit").await;
    assert!(trail.contains("key/admin (page)") && trail.contains("front-door"), "{trail}");
    let reader = Browser::signed_in("read").await;
    let refused = reader.get("/watch/audit").await;
    assert!(refused.code == 403 && text(refused).contains("this key has scope read, this needs admin"));
}

#[tokio::test]
async fn whoever_comes_by_a_link_keeps_the_session_that_the_browser_kept_back() {
    let browser = Browser::signed_in("read").await;
    // The gateway's own cookie comes along, the session's does not.
    let headers = [("sec-fetch-site", "cross-site"), ("cookie", "KUMA_FIXED_NODE=node1")];
    let answer = browser.surface.send_with("GET", "/watch/incidents/7", &headers, "").await;
    assert_eq!((answer.code, answer.header("set-cookie").as_str()), (200, ""));
    assert!(text(answer).contains("http-equiv=\"refresh\""));
    let bare = browser.surface.send_with("GET", "/watch", &[("cookie", "KUMA_FIXED_NODE=node1")], "").await;
    assert_eq!((bare.code, bare.header("set-cookie").as_str()), (303, ""), "nothing of ours is taken away");
}

#[tokio::test]
async fn where_a_browser_says_its_origin_only_the_pages_make_it_say_so() {
    let browser = Browser::signed_in("read").await;
    assert_eq!(browser.get("/watch/sign-in").await.header("referrer-policy"), "same-origin");
    let headers = [("origin", "http://w1:8900"), ("host", "w1:8900")];
    let answer = browser.surface.send_with("POST", "/watch/sign-in", &headers, "key=kmn_guess").await;
    assert!(text(answer).contains("This cluster knows no such key."));
}

#[tokio::test]
async fn what_was_done_is_said_to_whoever_did_it() {
    let browser = Browser::signed_in("admin").await;
    browser.surface.add_node("node1").await;
    let place = browser.post("/watch/hands", "deed=node.drain&node=node1").await.header("location");
    assert!(browser.page(&place).await.contains("node1 gives its monitors away now."));
    let key = browser.surface.key("read").await;
    let signed_in = browser.surface.send_with("POST", "/watch/sign-in", &[SAME], &format!("key={key}")).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let other = browser.surface.send_with("GET", &place, &[("cookie", &cookie)], "").await;
    assert!(!text(other).contains("gives its monitors away"));
}

/// Somebody who reads a cluster that is like this.
async fn reading(shown: View) -> Browser {
    let mut browser = Browser { surface: Surface::showing(shown).await.lasting(), cookie: String::new() };
    let key = browser.surface.key("read").await;
    let answer = browser.post("/watch/sign-in", &format!("key={key}")).await;
    browser.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    browser
}

#[tokio::test]
async fn the_first_page_shows_who_sees_whom() {
    let row = |id: &str, status, sees: &[(&str, Vote)]| WatchdogView {
        watchdog_id: id.into(),
        status,
        last_seen_ms: Wall(1),
        sees: sees.iter().map(|(peer, vote)| ((*peer).into(), *vote)).collect(),
        advertise: String::new(),
    };
    let watchdogs = vec![
        row("w1", "up", &[("w2", Vote::Up), ("w3", Vote::Down)]),
        row("w2", "up", &[("w1", Vote::Up)]),
        row("w3", "down", &[]),
    ];
    let page = reading(View { watchdogs, ..view() }).await.page("/watch").await;
    let cells: Vec<&str> = page.split("data-is=\"Sees ").skip(1).collect();
    let expected = [
        ("w1", "itself"),
        ("w2", "reached"),
        ("w3", "not reached"),
        ("w1", "reached"),
        ("w2", "itself"),
        ("w3", "not known yet"),
        ("w1", "says nothing"),
        ("w2", "says nothing"),
        ("w3", "itself"),
    ];
    assert_eq!(cells.len(), expected.len(), "{page}");
    for (cell, (peer, words)) in cells.iter().zip(expected) {
        assert!(cell.starts_with(peer) && cell.contains(&format!(">{words}</span>")), "{peer} {words}: {cell}");
    }
}

#[tokio::test]
async fn an_incident_that_is_not_among_the_newest_is_found_from_the_first_page() {
    let page = Browser::signed_in("read").await.page("/watch").await;
    assert!(page.contains("href=\"/watch/incidents?show=open&amp;key=node/node2\""), "{page}");
}

#[tokio::test]
async fn channels_say_what_they_took_and_what_waits() {
    let browser = Browser::signed_in("read").await;
    browser.surface.raise("node/node2").await;
    let page = browser.page_saying("/watch/channels", "<td data-is=\"Waits\">1</td>").await;
    for words in ["ops", "mail", "Took something", "not used yet"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    let sql = "INSERT INTO komainu_channel (name, failures, last_sent_at, last_error, last_error_at) VALUES \
               ('ops', 3, 1763800000000, '<b>429</b>', 1763800000000), ('gone', 0, 1763800000000, NULL, NULL)";
    lease.execute("test", sql, vec![]).await.unwrap();
    drop(lease);
    let page = browser.page_saying("/watch/channels", "3 in a row").await;
    for words in ["failing", "&#60;b&#62;429&#60;/b&#62;", "gone", "not configured here"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
}

#[tokio::test]
async fn what_would_move_and_what_moved_is_shown_with_why() {
    let would_move = vec![WouldMove { from: Some("node2".into()), monitors: 12, reason: MoveReason::NodeOffline }];
    let browser = reading(View { mode: Mode::Observe, would_move, ..view() }).await;
    let page = browser.page("/watch/moves").await;
    for words in ["Would be moved", "12 monitors", "node2", "its node was offline", "Nothing has moved yet."] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    let sql = "INSERT INTO komainu_assignment (monitor_id, node_id, assigned_node, reason, generation, changed_at) VALUES \
               (1, 'node1', NULL, 'drain', 41, 1763800000000), (2, 'node1', NULL, 'drain', 41, 1763800000000), \
               (3, 'node2', 'node3', 'node_offline', 42, 1763800000000), (4, 'node2', '', 'node_offline', 42, 1763800000000)";
    lease.execute("test", sql, vec![]).await.unwrap();
    drop(lease);
    let page = browser.page_saying("/watch/moves", "href=\"/watch/monitors?node=node3\"").await;
    assert!(page.contains("2 monitors") && page.contains("its node was drained"), "{page}");
    let key = browser.surface.key("write").await;
    let answered = browser.surface.send("GET", "/api/v1/moves?limit=1", Some(&key), "").await.json();
    let expected = json!({"generation": 42, "node_id": "node3", "monitors": 1, "reason": "node_offline",
        "at": 1_763_800_000_000_i64});
    assert_eq!(answered["items"], json!([expected]), "what is on its way is nowhere yet");
}

#[tokio::test]
async fn a_page_is_a_request_of_its_key() {
    let browser = Browser::signed_in("read").await;
    for _ in 0..1_500 {
        let answer = browser.get("/watch/nodes").await;
        if answer.code == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            assert!(text(answer).contains("Too many pages were asked for with your key."));
            return;
        }
    }
    panic!("nobody counts pages");
}

/// Of two watchdogs, of which the other is at `w2:8900`.
fn two() -> View {
    let row = |id: &str| WatchdogView {
        watchdog_id: id.into(),
        status: "up",
        last_seen_ms: Wall(1),
        sees: BTreeMap::new(),
        advertise: format!("http://{id}:8900"),
    };
    View { watchdogs: vec![row("w1"), row("w2")], ..view() }
}

async fn signed_in_to(surface: &Surface, scope: &str) -> String {
    let key = surface.key(scope).await;
    let answer = surface.send_with("POST", "/watch/sign-in", &[SAME], &format!("key={key}")).await;
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_wall_may_ask_the_other_watchdogs_whether_they_are_there_and_nobody_else() {
    let surface = Surface::showing(two()).await.lasting();
    let cookie = signed_in_to(&surface, "read").await;
    let wall = async |host: &str| {
        let headers = [("cookie", cookie.as_str()), ("host", host)];
        surface.send_with("GET", "/watch/wall", &headers, "").await
    };
    let here = wall("w1:8900").await;
    let policy = here.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.ends_with("; connect-src 'self' http://w2:8900"),
        "{policy}"
    );
    assert_eq!(here.header("x-frame-options"), "DENY");
    assert!(text(here).contains("http://w2:8900"));
    let behind_a_proxy = wall("kuma.example").await;
    assert!(behind_a_proxy.header("content-security-policy").ends_with("; connect-src 'self'"));
    assert!(!text(behind_a_proxy).contains("w2:8900"));
}

#[tokio::test]
async fn a_wall_goes_on_at_another_watchdog_once_and_to_read_only() {
    let here = Surface::showing(two()).await.lasting();
    let cookie = signed_in_to(&here, "admin").await;
    let ask = async |site: &str, watchdog: &str| {
        let headers = [("cookie", cookie.as_str()), ("host", "w1:8900"), ("sec-fetch-site", site)];
        here.send_with("POST", "/watch/wall/tickets", &headers, &format!("watchdog={watchdog}")).await
    };
    assert_eq!((ask("cross-site", "w2").await.code, ask("same-origin", "w9").await.code), (403, 404));
    let mut there = Surface::plain().await;
    there.state.watchdog = "w2".into();
    let there = there.lasting();
    // The same row as over there.
    there.key("admin").await;
    let ticket = text(ask("same-origin", "w2").await);
    let form = format!("ticket={ticket}&next=/watch/wall");
    assert_eq!(here.send_with("POST", "/watch/sign-in", &[SAME], &form).await.code, 403, "it is for w2");
    let by_link = there.send_with("GET", &format!("/watch/sign-in?ticket={ticket}"), &[], "").await;
    assert_eq!(by_link.code, 403, "no link");
    let cross = there.send_with("POST", "/watch/sign-in", &[("sec-fetch-site", "cross-site")], &form).await;
    assert_eq!(cross.code, 403);
    let gone_on = there.send_with("POST", "/watch/sign-in", &[SAME], &form).await;
    assert_eq!((gone_on.code, gone_on.header("location").as_str()), (303, "/watch/wall"));
    let cookie = gone_on.header("set-cookie").split(';').next().unwrap().to_owned();
    let question = there.send_with("GET", "/watch/hands?deed=cluster.freeze", &[("cookie", &cookie)], "").await;
    assert!(text(question).contains("has scope read; this needs admin"));
    let frozen = there.send_with("POST", "/watch/hands", &[("cookie", &cookie), SAME], "deed=cluster.freeze").await;
    assert_eq!(frozen.code, 403);
    assert_eq!(there.send_with("POST", "/watch/sign-in", &[SAME], &form).await.code, 403, "a second time");
}
