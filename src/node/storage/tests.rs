//! The storage against a database that refuses, fails, hangs, or forgets to answer.

use komainu_watchdogs::time::Wall;
use tokio::sync::mpsc;

use super::fake::{Failing, Fake};
use super::*;
use crate::store::beats::BeatStatus;

#[tokio::test]
async fn beats_are_stored_in_one_statement_and_in_their_order() {
    let story = Story::begin();
    for id in 1..=10 {
        assert!(story.storage.push(beat(id, 0)));
    }
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), (1..=10).map(|id| (id, 0)).collect::<Vec<_>>());
    assert_eq!(story.database.statements.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn beats_whose_right_is_gone_are_thrown_away_and_reported() {
    let mut story = Story::begin();
    story.forbid(2);
    for id in 1..=3 {
        assert!(story.storage.push(beat(id, 0)));
    }
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 0), (3, 0)]);
    assert_eq!(story.fate().await, Fate::Lost(vec![MonitorId(2)]));
}

#[tokio::test]
async fn what_follows_a_lost_beat_goes_the_same_way_until_one_is_judged_anew() {
    let story = Story::begin();
    story.forbid(1);
    assert!(story.storage.push(beat(1, 0)));
    story.storage.flush(LIMIT).await;
    story.allow(1);
    assert!(story.storage.push(beat(1, 20_000)));
    assert!(story.storage.push(Queued { is_fresh: true, ..beat(1, 40_000) }));
    assert!(story.storage.push(beat(1, 60_000)));
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 40_000), (1, 60_000)]);
}

#[tokio::test]
async fn a_failed_statement_is_repeated_until_it_succeeds() {
    let story = Story::begin();
    story.database.fail_next(2, Failing::Before);
    assert!(story.storage.push(beat(1, 0)));
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 0)]);
}

#[tokio::test]
async fn a_statement_whose_answer_was_lost_is_not_stored_twice() {
    let story = Story::begin();
    story.database.fail_next(1, Failing::After);
    assert!(story.storage.push(beat(1, 5_000)));
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 5_000)]);
}

#[tokio::test]
async fn only_a_lost_answer_puts_beats_in_doubt_and_a_later_refusal_does_not_end_it() {
    let story = Story::begin();
    // The last of the list comes first.
    *story.database.failures.lock().unwrap() = vec![Failing::Before, Failing::Lost, Failing::Before];
    assert!(story.storage.push(beat(1, 5_000)));
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 5_000)]);
    let told = story.database.told.lock().unwrap().clone();
    assert_eq!(told, [Earlier::Answered, Earlier::Answered, Earlier::InDoubt, Earlier::InDoubt]);
}

#[tokio::test]
async fn nobody_waits_for_a_monitor_that_is_being_changed_and_its_beats_follow_in_their_order() {
    let story = Story::begin();
    story.database.locked.lock().unwrap().insert(MonitorId(1));
    for at in [0, 20_000] {
        assert!(story.storage.push(beat(1, at)) && story.storage.push(beat(2, at)));
    }
    story.database.wait_for_statement().await;
    story.database.wait_for_statement().await;
    assert_eq!(story.stored(), [(2, 0), (2, 20_000)]);
    story.database.locked.lock().unwrap().clear();
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(2, 0), (2, 20_000), (1, 0), (1, 20_000)]);
}

#[tokio::test]
async fn a_beat_that_the_database_never_takes_is_thrown_away_alone() {
    let mut story = Story::begin();
    story.database.unfit.lock().unwrap().insert(MonitorId(3));
    for id in 1..=5 {
        assert!(story.storage.push(beat(id, 0)));
    }
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 0), (2, 0), (4, 0), (5, 0)]);
    assert_eq!(story.fate().await, Fate::Lost(vec![MonitorId(3)]));
}

#[tokio::test]
async fn a_right_that_ends_between_two_attempts_ends_the_beat() {
    let mut story = Story::begin();
    story.database.fail_next(1_000, Failing::Before);
    assert!(story.storage.push(beat(1, 0)));
    story.database.wait_for_statement().await;
    story.forbid(1);
    assert_eq!(story.fate().await, Fate::Lost(vec![MonitorId(1)]));
    assert_eq!(story.stored(), []);
}

#[tokio::test]
async fn beats_that_the_database_refuses_are_told_apart_from_those_it_took() {
    let mut story = Story::begin();
    story.database.refused.lock().unwrap().insert(MonitorId(2));
    for id in 1..=3 {
        assert!(story.storage.push(beat(id, 5_000)));
    }
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(1, 5_000), (3, 5_000)]);
    assert_eq!(story.fate().await, Fate::Unsure(vec![MonitorId(2)]));
}

#[tokio::test]
async fn after_forgetting_nothing_of_a_monitor_is_stored_any_more() {
    let story = Story::begin();
    story.database.fail_next(1, Failing::Before);
    assert!(story.storage.push(beat(1, 0)));
    assert!(story.storage.push(beat(2, 0)));
    story.database.wait_for_statement().await;
    story.storage.forget(&BTreeSet::from([MonitorId(1)])).await;
    story.storage.flush(LIMIT).await;
    assert_eq!(story.stored(), [(2, 0)]);
}

#[tokio::test]
async fn forgetting_waits_for_the_statement_under_way() {
    let story = Story::begin();
    let statement = story.database.hold.lock().await;
    assert!(story.storage.push(beat(1, 0)));
    story.database.wait_for_statement().await;
    let storage = story.storage.clone();
    let forgetting = tokio::spawn(async move { storage.forget(&BTreeSet::from([MonitorId(1)])).await });
    tokio::task::yield_now().await;
    assert!(!forgetting.is_finished());
    drop(statement);
    forgetting.await.unwrap();
    assert_eq!(story.stored(), [(1, 0)], "stored before it was forgotten");
}

const LIMIT: Duration = Duration::from_secs(20);

struct Story {
    storage: Storage,
    database: Fake,
    forbidden: Arc<Mutex<BTreeSet<MonitorId>>>,
    fates: mpsc::UnboundedReceiver<Fate>,
    _ended: tokio_util::sync::DropGuard,
}

impl Story {
    fn begin() -> Self {
        let storage = Storage::default();
        let database = Fake::default();
        let forbidden = Arc::<Mutex<BTreeSet<_>>>::default();
        let (report, fates) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let may_store = {
            let forbidden = Arc::clone(&forbidden);
            move |monitor| !forbidden.lock().unwrap().contains(&monitor)
        };
        let writer = Writer {
            storage: storage.clone(),
            database: database.clone(),
            may_store: Box::new(may_store),
            report: Box::new(move |fate| report.send(fate).unwrap_or_default()),
            trace: Arc::new(Trace::open(None, NodeId::from("node1"), Incarnation(1)).unwrap()),
        };
        tokio::spawn(writer.run(ended.clone()));
        Self { storage, database, forbidden, fates, _ended: ended.drop_guard() }
    }

    fn forbid(&self, id: i64) {
        self.forbidden.lock().unwrap().insert(MonitorId(id));
    }

    fn allow(&self, id: i64) {
        self.forbidden.lock().unwrap().remove(&MonitorId(id));
    }

    fn stored(&self) -> Vec<(i64, i64)> {
        self.database.rows.lock().unwrap().iter().map(|beat| (beat.monitor.0, beat.time.0)).collect()
    }

    async fn fate(&mut self) -> Fate {
        tokio::time::timeout(LIMIT, self.fates.recv()).await.unwrap().unwrap()
    }
}

fn beat(id: i64, at_ms: i64) -> Queued {
    let beat = Beat {
        monitor: MonitorId(id),
        status: BeatStatus::Up,
        important: false,
        msg: "200 - OK".to_owned(),
        time: Wall(at_ms),
        ping_ms: Some(1),
        duration_s: 20,
        down_count: 0,
        retries: 0,
        end_time: Wall(at_ms),
        response: None,
        is_own_trouble: false,
    };
    Queued { beat, is_fresh: false }
}
