//! What public pages cost: a hundred of them with fifty components each, asked for by strangers, with the database and without.
//!
//! `cargo bench --bench pages [-- RATE]`: 500 requests a second unless told otherwise, for ten seconds each time, of the pages, their feeds and
//! Statuspage's summary, from 64 connections. One watchdog on one core, a native node and `MariaDB` as real processes; who asks is in this
//! one, on the other cores. Prints a table to standard output. It judges nothing: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
}

use std::time::Duration;

use komainu::clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::it::cluster::database::Kind;
use self::it::cluster::wait::wait_until;
use self::it::cluster::{Cluster, Shape};

const PAGES: u32 = 100;
const COMPONENTS: u32 = 50;
/// Of them, those of a page that are monitors there are; the others are not there yet.
const MONITORS: i64 = 30;
const CONNECTIONS: u32 = 64;
const SECONDS: u32 = 10;
const FORMS: [&str; 4] = ["", "", "/feed.atom", "/api/v2/summary.json"];

#[tokio::main]
async fn main() {
    let rate = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(500);
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: MONITORS, ..Shape::default() };
    let mut cluster = Cluster::prepare(Kind::MariaDb, shape, "").await;
    cluster.start_by("w1", ["taskset", "--cpu-list", "0"].map(str::to_owned).into());
    cluster.begin(shape).await;
    for number in 0..PAGES {
        let path = format!("/api/v1/pages/p{number}");
        assert_eq!(cluster.call(Method::PUT, &path, &page(number)).await, 201);
    }
    let last = format!("/pages/p{}", PAGES - 1);
    let is_shown = async || cluster.ask_of("w1", &last).await == Some(200);
    wait_until("the last page is shown", Duration::from_secs(30), is_shown).await;
    println!("{PAGES} pages of {COMPONENTS} components, {rate} requests a second for {SECONDS} s, one core");
    rounds(&cluster, "nobody asks", Box::pin(tokio::time::sleep(Duration::from_secs(SECONDS.into())))).await;
    asked(&cluster, rate, "for the first time").await;
    rounds(&cluster, "pages are asked for", Box::pin(asked(&cluster, rate, "again"))).await;
    cluster.server.as_mut().unwrap().kill();
    asked(&cluster, rate, "the database is dead").await;
}

fn page(number: u32) -> Value {
    let component = |at: u32| {
        let name = format!("Component {at}");
        match i64::from(at) + 1 {
            monitor @ ..=MONITORS => json!({"name": name, "monitor": monitor, "graph": at < 4}),
            _ => json!({"name": name, "monitor_ref": format!("later-{at}")}),
        }
    };
    let group = |group: u32| {
        let components: Vec<Value> = (group * 10..group * 10 + 10).map(component).collect();
        json!({"name": format!("Group {group}"), "components": components})
    };
    json!({"title": format!("Page {number}"), "groups": (0..COMPONENTS / 10).map(group).collect::<Vec<_>>()})
}

/// How often the leader renewed meanwhile, which it does in each of its rounds.
async fn rounds(cluster: &Cluster, when: &str, meanwhile: std::pin::Pin<Box<dyn Future<Output = ()> + '_>>) {
    let renewals =
        async || -> u64 { cluster.database.rows("SELECT renewals FROM komainu_leader").await[0][0].parse().unwrap() };
    let before = renewals().await;
    let began_at = clock::now();
    meanwhile.await;
    let took = clock::now().since(began_at).as_secs_f64();
    println!("{when:<24} the leader renewed {} times in {took:.1} s", renewals().await - before);
}

async fn asked(cluster: &Cluster, rate: u32, when: &str) {
    let (base, began_at) = (cluster.url_of("w1", "/pages"), clock::now());
    let mut callers = JoinSet::new();
    for caller in 0..CONNECTIONS {
        let base = base.clone();
        callers.spawn(async move {
            let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
            let mut times = vec![];
            for turn in (caller..rate * SECONDS).step_by(usize::try_from(CONNECTIONS).unwrap()) {
                // Who is late is late for everybody after: the time counts from when it was due.
                let due_at = began_at + Duration::from_secs(1) * turn / rate;
                clock::sleep_until(due_at).await;
                let form = FORMS[usize::try_from(turn / PAGES).unwrap() % FORMS.len()];
                let answer = http.get(format!("{base}/p{}{form}", turn % PAGES)).header("accept-encoding", "gzip");
                let answer = answer.send().await.unwrap();
                assert_eq!(answer.status(), 200);
                drop(answer.bytes().await.unwrap());
                times.push(clock::now().since(due_at));
            }
            times
        });
    }
    let mut times: Vec<Duration> = callers.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let (middle, high, longest, count) = (at(50), at(99), at(100), times.len());
    println!("{when:<24} {count} answers, p50 {middle:.1} ms, p99 {high:.1} ms, longest {longest:.1} ms");
}
