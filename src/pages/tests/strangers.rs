//! What strangers send to the public paths, the same each time: mutations of good requests, and of nearly good ones.
//!
//! No document names these paths, so no program makes such requests of one: they are made here.

use axum::http::Uri;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// On both ports together; some seconds.
const REQUESTS: usize = 4_000;

/// What parsers of paths, queries, forms and headers stumble over.
const TOKENS: [&str; 24] = [
    "%00",
    "%ff",
    "%2f",
    "%2e%2e",
    "..",
    "//",
    "/",
    "?",
    "&",
    "=",
    "%",
    "+",
    ";",
    "%0d%0a",
    "<script>",
    "%f0%9f%92%a5",
    "%e2%80%ae",
    "-1",
    "9999-99",
    "18446744073709551616",
    "lang=zh-TW",
    "lang=%ff",
    "shop",
    "closed",
];

const METHODS: [&str; 8] = ["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "OPTIONS"];

/// Headers that these paths read, with what may be wrong with them.
const HEADERS: [(&str, &str); 14] = [
    ("accept-encoding", "gzip"),
    ("accept-encoding", "gzip;q=0, *;q=,,;"),
    ("if-none-match", "W/\"\", *, \"x"),
    ("authorization", "Basic eDpjb3JyZWN0IGhvcnNl"),
    ("authorization", "Basic !!!!"),
    ("authorization", "Basic //////8="),
    ("authorization", "Bearer kmn_x"),
    ("cookie", "=; ;;; komainu-page=; a"),
    ("content-type", "application/json"),
    ("content-type", "multipart/form-data"),
    ("content-length", "9999999999"),
    ("range", "bytes=9-1"),
    ("origin", "null"),
    ("x-forwarded-for", "::::, 999.1.1.1"),
];

const FORMS: [&str; 6] = [
    "",
    "way=mail&address=jane%40example.com&c.x=on",
    "way=webhook&address=https%3A%2F%2Fhooks.example%2Fa",
    "password=correct+horse",
    "List-Unsubscribe=One-Click",
    "way=mail&way=webhook&address=%ff%00&address=&&==&c.=",
];

/// Good paths of both pages, of both Kuma's, and those with a ticket.
async fn seeds(surface: &Surface, page: &Value) -> Vec<String> {
    let mut seeds = paths(page);
    let notice = &surface.get("/pages/shop/api/v2/summary.json").await.json()["incidents"][0]["id"];
    seeds.push(format!("/pages/shop/incidents/{}", notice.as_str().unwrap()));
    seeds.extend(["/pages/shop/history", "/pages/shop/password", super::super::assets::style()].map(str::to_owned));
    let closed: Vec<String> = seeds.iter().map(|path| path.replacen("/shop", "/closed", 1)).collect();
    seeds.extend(closed);
    seeds.extend(["/api/status-page/shop", "/api/status-page/heartbeat/closed"].map(str::to_owned));
    let key = ClusterKey::parse(KEY).unwrap();
    let links = Links { key: &key, base: "" };
    for due in claim::claim(&surface.state.store, Way::Webhook, Incarnation(7), 10).await.unwrap() {
        let leaving = payload(&links, &due, Wall(0))["meta"]["unsubscribe"].as_str().unwrap().to_owned();
        seeds.extend([leaving.replacen("/unsubscribe/", "/confirm/", 1), leaving]);
    }
    seeds
}

fn mutated(random: &mut StdRng, seed: &str) -> String {
    let mut text: Vec<char> = seed.chars().collect();
    for _ in 0..random.random_range(0..=3) {
        let at = random.random_range(0..=text.len());
        let until = (at + random.random_range(1..=8)).min(text.len());
        let token = TOKENS[random.random_range(0..TOKENS.len())];
        match random.random_range(0..5) {
            0 => drop(text.drain(at..until)),
            1 => drop(text.splice(at..at, token.chars())),
            2 => drop(text.splice(at..until, token.chars())),
            3 => {
                let part = text[at..until].repeat(random.random_range(1..400));
                text.splice(at..at, part);
            }
            _ => text.truncate(at),
        }
    }
    text.into_iter().collect()
}

/// One that HTTP itself allows.
fn path_of(random: &mut StdRng, seeds: &[String]) -> String {
    loop {
        let seed = random.random_range(0..seeds.len());
        let path = mutated(random, &seeds[seed]);
        if path.starts_with('/') && path.len() < 60_000 && path.parse::<Uri>().is_ok() {
            return path;
        }
    }
}

/// What is nobody's path, or no way to ask for it, is answered by the API, in its own words and as no page.
fn is_of_a_page(answer: &TestAnswer) -> bool {
    answer.header("content-type") != "application/problem+json"
}

#[tokio::test]
async fn whatever_strangers_send_to_public_paths_is_no_error_of_ours_and_is_answered_with_the_headers_that_keep_others_out()
 {
    let (surface, page) = with_secrets().await;
    let key = surface.key("write").await;
    let closed = json!({"title": "Inner", "password": "correct horse", "groups": []}).to_string();
    assert_eq!(surface.send("PUT", "/api/v1/pages/closed", Some(&key), &closed).await.code, 201);
    until(&surface, "/pages/closed", |answer| answer.code == 403).await;
    let seeds = seeds(&surface, &page).await;
    assert!(seeds.iter().any(|path| path.contains("/unsubscribe/")), "links of subscribers are among them");
    let mut random = StdRng::seed_from_u64(15);
    let mut codes = std::collections::BTreeMap::new();
    for number in 0..REQUESTS {
        let path = path_of(&mut random, &seeds);
        let method = METHODS[random.random_range(0..METHODS.len())];
        let form = random.random_range(0..FORMS.len());
        let form = mutated(&mut random, FORMS[form]);
        let headers: Vec<(&str, &str)> =
            (0..random.random_range(0..3)).map(|_| HEADERS[random.random_range(0..HEADERS.len())]).collect();
        let answer = match number % 2 {
            0 => surface.send_with(method, &path, &headers, &form).await,
            _ => surface.send_publicly(method, &path, &headers, &form).await,
        };
        let asked = format!("{method} {path} {headers:?} {form}");
        let all = format!("{:?} {}", answer.headers, text(&answer));
        assert!(answer.code < 500, "{} for {asked}: {all}", answer.code);
        assert!(!is_private(&all.replace(&path, "")), "{asked}: {all}");
        if path.starts_with("/pages/") && is_of_a_page(&answer) && !path.starts_with("/pages/assets/") {
            let of = |name: &str| answer.header(name);
            let policy = of("content-security-policy");
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{asked}: {all}");
            assert_eq!(
                (of("x-content-type-options").as_str(), of("referrer-policy").as_str()),
                ("nosniff", "no-referrer"),
                "{asked}"
            );
            assert!(
                ["public, max-age=10", "private, max-age=10", "no-store"].contains(&of("cache-control").as_str()),
                "{asked}: {all}"
            );
        }
        *codes.entry(answer.code).or_insert(0_usize) += 1;
    }
    for code in [200, 400, 401, 403, 404, 405] {
        assert!(codes.contains_key(&code), "no request was answered {code}: {codes:?}");
    }
}
