//! What the simulation found, each told as one small story.

use komainu_watchdogs::io::{Input, Output};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::DatabaseView;
use komainu_watchdogs::watchdog::{Identity, Watchdog};

fn watchdog() -> Watchdog {
    let identity = Identity {
        watchdog: "w1".into(),
        incarnation: komainu_watchdogs::ids::Incarnation(7),
        zone: "z1".into(),
        canaries: Vec::new(),
    };
    Watchdog::new(identity, Policy::default(), Mono::secs(0), 1)
}

fn drain(watchdog: &mut Watchdog) -> Vec<Output> {
    std::iter::from_fn(|| watchdog.poll_output()).collect()
}

#[test]
fn an_answer_that_waited_while_the_process_was_stopped_says_no_calm() {
    let mut watchdog = watchdog();
    drain(&mut watchdog);
    watchdog.handle(Mono::secs(25), Input::Written(Ok(())));
    assert_eq!(watchdog.view(Mono::secs(25)).database, DatabaseView::Down);
}
