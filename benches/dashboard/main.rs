//! What the dashboard costs at 10,000 monitors: the first byte and the size of a page, how soon it can be used in a real browser, and what
//! 1,000 people who watch live take.
//!
//! `cargo bench --bench dashboard [-- MONITORS]`. One watchdog and `MariaDB` as real processes; nodes are played: they hold their leases and
//! answer. Prints a table to standard output, each line with the bar it is held against. It judges nothing: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]

mod desk;

#[path = "../failover/simulated.rs"]
#[expect(dead_code, reason = "no node is lost here")]
mod simulated;
#[path = "../usage.rs"]
#[expect(dead_code, reason = "only memory is looked at")]
mod usage;

/// The clusters of real processes and the browser that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
    pub(crate) mod dashboard {
        #[expect(dead_code, reason = "nobody is asked what the page says")]
        mod browser;
        #[path = "../../../benches/dashboard/looking.rs"]
        pub(crate) mod looking;
    }
}
use it::cluster;

use std::time::Duration;

use komainu::clock;

use self::desk::Desk;
use self::it::dashboard::looking;

/// The overview, the list as it opens, and the list searched and sorted.
const PAGES: [&str; 3] = ["/watch", "/watch/monitors", "/watch/monitors?q=monitor+7&sort=name"];
const LOOKS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);
const WATCHERS: u32 = 1_000;
const SPAN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    let monitors = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let desk = Desk::open(monitors).await;
    println!("{:<66} {:>24}  bar", format!("{monitors} monitors, one watchdog"), "figure");
    for page in PAGES {
        looked_at(&desk, page).await;
    }
    looking::until_usable(&desk).await;
    watched(&desk).await;
}

fn say(what: &str, figure: &str, bar: &str) {
    println!("{what:<66} {figure:>24}  {bar}");
}

async fn looked_at(desk: &Desk, page: &str) {
    let (mut times, mut largest) = (vec![], 0);
    for _ in 0..LOOKS {
        let began_at = clock::now();
        let answer = desk.get(page).await;
        times.push(clock::now().since(began_at));
        largest = largest.max(answer.bytes().await.unwrap().len());
        tokio::time::sleep(PAUSE).await;
    }
    let figure = format!("p50 {:.1}, p99 {:.1} ms", millis(&mut times, 50), millis(&mut times, 99));
    say(&format!("first byte of {page}"), &figure, "p99 <= 50 ms");
    say(
        &format!("size of {page}, packed"),
        &format!("{:.1} KiB", f64::from(u32::try_from(largest).unwrap()) / 1_024.0),
        "<= 60 KiB",
    );
}

/// Of several times, in milliseconds.
fn millis(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

async fn watched(desk: &Desk) {
    rounds(desk, "nobody watches").await;
    let before = desk.memory_kib();
    let mut streams = vec![];
    for _ in 0..WATCHERS {
        // A key may ask 200 times a second.
        tokio::time::sleep(Duration::from_millis(8)).await;
        streams.push(desk.get("/watch/events").await);
    }
    rounds(desk, "they watch").await;
    let more = f64::from(u32::try_from(desk.memory_kib().saturating_sub(before)).unwrap()) / 1_024.0;
    say(&format!("{WATCHERS} people watching live, more memory"), &format!("{more:.1} MiB"), "<= 30 MiB");
    let live = streams.len();
    say("of whom so many have a stream", &live.to_string(), "all");
}

/// How often the leader renewed meanwhile, which it does in each of its rounds.
async fn rounds(desk: &Desk, when: &str) {
    let (before, began_at) = (desk.renewals().await, clock::now());
    tokio::time::sleep(SPAN).await;
    let figure = format!("{} in {:.1} s", desk.renewals().await - before, clock::now().since(began_at).as_secs_f64());
    say(&format!("rounds of the leader while {when}"), &figure, "one a second");
}
