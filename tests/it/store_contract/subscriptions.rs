//! Subscribers of pages: asked once, told each thing once and in its order, whoever tells them and whoever dies meanwhile, and gone when they want it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use komainu::clock;
use komainu::pages::notice::{Draft, Kind as What, Stage};
use komainu::pages::{Language, Way};
use komainu::store::Share;
use komainu::store::pages::{self, Target, Which, Wish as PageWish};
use komainu::store::subscriptions::asking::{self, Asked, Asking, Confirmed};
use komainu::store::subscriptions::claim::{self, Due, End, Message};
use komainu::store::subscriptions::operators::{self, Adding};
use komainu::store::subscriptions::{Wish, sweeping, turn};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Wall;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, deliverer, raise, routing};
use crate::cluster::wait::wait_until;

on_both_databases! {
    an_address_is_asked_once_in_an_hour_and_what_it_chose_before_holds_until_it_confirms_something_else,
    one_mailbox_is_not_asked_by_way_of_many_pages,
    a_page_asks_no_more_than_so_many_in_an_hour,
    three_watchdogs_tell_each_subscriber_each_thing_once_and_in_its_order,
    who_dies_after_a_message_left_is_followed_by_one_who_says_that_it_may_be_repeated,
    what_may_have_arrived_stays_so_until_somebody_knows,
    a_maintenance_that_goes_on_by_the_clock_is_told_once_whoever_sees_it_first,
    a_maintenance_that_is_moved_or_begun_early_is_told_as_it_is,
    what_a_page_says_no_longer_is_told_no_more,
    whoever_was_told_of_a_beginning_is_told_of_the_end_whatever_it_is_about_by_then,
    whoever_cannot_be_told_is_ended_and_the_others_are_not,
    what_has_no_use_any_more_is_swept,
    whoever_waits_because_nobody_can_write_to_them_shows,
    what_may_have_arrived_stays_so_whatever_is_asked_for_meanwhile,
    whoever_something_concerns_is_found_among_thousands_whom_it_does_not,
    ten_thousand_cost_a_writer_one_row_and_whom_it_concerns_is_found_at_the_first_look,
    an_alert_is_told_in_time_while_ten_thousand_letters_leave,
    who_asks_from_everywhere_at_once_has_one_mailbox_written_to_three_times_all_the_same,
    whoever_is_to_confirm_something_keeps_nobody_waiting_who_did,
    another_wish_while_a_greeting_is_on_its_way_is_asked_for_too,
    refusals_are_kept_with_the_thing_that_was_refused,
}

const ME: Incarnation = Incarnation(1);

async fn with_pages(kind: Kind, slugs: &[&str]) -> Fixture {
    let fixture = Fixture::native(kind).await;
    for slug in slugs {
        let fields = json!({"title": "Shop", "groups": [{"name": "", "components": [
            {"name": "Front", "check": "front"}, {"name": "Mail", "check": "mail"}]}]});
        let fields = fields.as_object().unwrap().clone();
        let wish = PageWish { target: Target::New, slug: (*slug).to_owned(), fields, if_match: vec![] };
        pages::write(&fixture.store, "key/test", &wish).await.unwrap().unwrap();
    }
    fixture
}

/// Asks for one address, whose person is what stands before its `#`.
async fn ask(fixture: &Fixture, slug: &str, address: &str, wish: &Wish) -> Asked {
    let person = address.split('#').next().unwrap();
    let hash = |text: &str| {
        format!("{:064x}", text.bytes().fold(7_u128, |sum, byte| sum.wrapping_mul(131) + u128::from(byte)))
    };
    let (address_hash, person_hash) = (hash(&format!("{slug} {address}")), hash(person));
    let asking = Asking { slug, way: Way::Mail, address, address_hash: &address_hash, person_hash: &person_hash, wish };
    asking::ask(&fixture.store, asking).await.unwrap()
}

fn all() -> Wish {
    Wish::new(vec![], Language::English)
}

/// Adds one who is told from now on.
async fn add(fixture: &Fixture, address: &str, components: Vec<String>) -> String {
    let wish = Wish::new(components, Language::English);
    let hash = format!("{address:0>64}");
    let asking = Asking { slug: "shop", way: Way::Mail, address, address_hash: &hash, person_hash: &hash, wish: &wish };
    let adding = Adding { asking, is_confirmed: true, is_meant: true };
    operators::add(&fixture.store, "key/test", adding).await.unwrap().unwrap()
}

async fn claimed(fixture: &Fixture, me: Incarnation) -> Vec<Due> {
    claim::claim(&fixture.store, Way::Mail, me, 10).await.unwrap()
}

async fn end(fixture: &Fixture, due: &Due, me: Incarnation, how: &End) {
    assert!(claim::begin(&fixture.store, due, me).await.unwrap(), "{due:?}");
    claim::end(&fixture.store, due, me, how).await.unwrap();
}

/// Tells everything that waits; what was told, by address and what was said.
async fn told(fixture: &Fixture) -> Vec<(String, String)> {
    let mut told = vec![];
    loop {
        let due = claimed(fixture, ME).await;
        if due.is_empty() {
            return told;
        }
        for one in due {
            told.push((one.address.clone(), what(&one)));
            end(fixture, &one, ME, &End::Told).await;
        }
    }
}

fn what(due: &Due) -> String {
    match &due.message {
        Message::Greeting { .. } => "greeting".to_owned(),
        Message::News { news, .. } => format!("{} {}", news.notice.stage.as_str(), news.notice.title),
    }
}

async fn post(fixture: &Fixture, title: &str, components: Vec<String>) -> String {
    let draft = Draft { title: Some(title.to_owned()), components: Some(components), ..Draft::default() };
    pages::post(&fixture.store, "key/test", ("shop", What::Incident), &draft).await.unwrap().unwrap()
}

async fn update(fixture: &Fixture, (kind, id): (What, &str), draft: &Draft) {
    let which = Which { slug: "shop", kind, id, if_match: &[] };
    pages::update(&fixture.store, "key/test", which, draft).await.unwrap().unwrap();
}

fn words(text: &str) -> Draft {
    Draft { words: Some(text.to_owned()), ..Draft::default() }
}

async fn components(fixture: &Fixture) -> Vec<String> {
    let page = pages::get(&fixture.store, "shop").await.unwrap().unwrap();
    page.definition.components().map(|component| component.id.clone()).collect()
}

fn named(address: &str, said: &str) -> (String, String) {
    (address.to_owned(), said.to_owned())
}

async fn an_address_is_asked_once_in_an_hour_and_what_it_chose_before_holds_until_it_confirms_something_else(
    kind: Kind,
) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    let first = all();
    assert_eq!(ask(&fixture, "shop", "jane", &first).await, Asked::Noted);
    assert_eq!(ask(&fixture, "shop", "jane", &all()).await, Asked::Quiet);
    assert_eq!(ask(&fixture, "nowhere", "jane", &all()).await, Asked::NoPage);
    let due = claimed(&fixture, ME).await;
    let id = due[0].public_id.clone();
    let Message::Greeting { wish, .. } = &due[0].message else { panic!("{due:?}") };
    assert_eq!(wish, &first, "the wish that was noted, not the later one");
    end(&fixture, &due[0], ME, &End::Told).await;
    assert_eq!(told(&fixture).await, []);
    let confirm = async |nonce: &str| asking::confirm(&fixture.store, "shop", (&id, nonce)).await.unwrap();
    assert_eq!(confirm("0").await, Confirmed::Over);
    assert_eq!(confirm(&first.nonce).await, Confirmed::Now(Way::Mail));
    assert_eq!(confirm(&first.nonce).await, Confirmed::Already);
    fixture.raw.execute("UPDATE komainu_page_subscriber SET asked_at = asked_at - 3600001").await;
    let fewer = Wish::new(vec!["x".to_owned()], Language::TraditionalChinese);
    assert_eq!(ask(&fixture, "shop", "jane", &fewer).await, Asked::Noted);
    assert_eq!(told(&fixture).await, [named("jane", "greeting")]);
    let now = operators::get(&fixture.store, "shop", &id).await.unwrap().unwrap();
    assert_eq!((now.state.as_str(), now.components.len(), now.language), ("confirmed", 0, Language::English));
    let confirmed = asking::confirm(&fixture.store, "shop", (&id, &fewer.nonce)).await.unwrap();
    assert_eq!(confirmed, Confirmed::Now(Way::Mail));
    let now = operators::get(&fixture.store, "shop", &id).await.unwrap().unwrap();
    assert_eq!((now.components.len(), now.language), (1, Language::TraditionalChinese));
    assert!(asking::leave(&fixture.store, "shop", &id).await.unwrap());
    assert!(!asking::leave(&fixture.store, "shop", &id).await.unwrap());
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_page_subscriber").await, 0, "the address is gone");
    let over = asking::confirm(&fixture.store, "shop", (&id, &fewer.nonce)).await.unwrap();
    assert_eq!(over, Confirmed::Over, "an old link brings nobody back");
}

async fn one_mailbox_is_not_asked_by_way_of_many_pages(kind: Kind) {
    let fixture = with_pages(kind, &["shop", "a", "b", "c"]).await;
    let mut answers = vec![];
    for slug in ["shop", "a", "b", "c"] {
        answers.push(ask(&fixture, slug, "jane", &all()).await);
    }
    for tag in 1..=3 {
        answers.push(ask(&fixture, "shop", &format!("jane#{tag}"), &all()).await);
    }
    let noted = answers.iter().filter(|answer| **answer == Asked::Noted).count();
    assert_eq!((noted, answers.len()), (3, 7), "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer, Asked::Noted | Asked::Quiet)));
}

async fn a_page_asks_no_more_than_so_many_in_an_hour(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    assert_eq!(ask(&fixture, "shop", "first", &all()).await, Asked::Noted);
    let columns = "slug, kind, address, state, components, language, nonce, wish, asked_at, told, created_at";
    for at in 0..499 {
        let sql = format!(
            "INSERT INTO komainu_page_subscriber (public_id, address_hash, person_hash, {columns}) \
             SELECT 'id{at}', 'hash{at}', 'person{at}', {columns} FROM komainu_page_subscriber WHERE address = 'first' AND public_id NOT LIKE 'id%'"
        );
        fixture.raw.execute(&sql).await;
    }
    assert_eq!(ask(&fixture, "shop", "last", &all()).await, Asked::Full);
    fixture.raw.execute("UPDATE komainu_page_subscriber SET asked_at = asked_at - 3600001").await;
    assert_eq!(ask(&fixture, "shop", "last", &all()).await, Asked::Noted);
}

async fn three_watchdogs_tell_each_subscriber_each_thing_once_and_in_its_order(kind: Kind) {
    const PEOPLE: usize = 40;
    let fixture = with_pages(kind, &["shop"]).await;
    for at in 0..PEOPLE {
        add(&fixture, &format!("p{at}"), vec![]).await;
    }
    let id = post(&fixture, "Slow", vec![]).await;
    update(&fixture, (What::Incident, &id), &words("We look.")).await;
    update(&fixture, (What::Incident, &id), &Draft { stage: Some(Stage::Resolved), ..Draft::default() }).await;
    // Of all three: others may be at what is left.
    let in_all = AtomicUsize::new(0);
    let work = async |me: u64| {
        let mut told = vec![];
        loop {
            let due = claimed(&fixture, Incarnation(me)).await;
            if due.is_empty() && in_all.load(Ordering::Relaxed) >= 3 * PEOPLE {
                return told;
            }
            for one in due {
                if claim::begin(&fixture.store, &one, Incarnation(me)).await.unwrap() {
                    told.push((one.address.clone(), news_id(&one)));
                    in_all.fetch_add(1, Ordering::Relaxed);
                    claim::end(&fixture.store, &one, Incarnation(me), &End::Told).await.unwrap();
                }
            }
        }
    };
    let (one, two, three) = tokio::join!(work(1), work(2), work(3));
    let mut of_each: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (address, news) in [one, two, three, told_ids(&fixture).await].concat() {
        of_each.entry(address).or_default().push(news);
    }
    assert_eq!(of_each.len(), PEOPLE);
    for (address, mut heard) in of_each {
        heard.sort_unstable();
        assert_eq!(heard.len(), 3, "{address}: {heard:?}");
        heard.dedup();
        assert_eq!(heard.len(), 3, "{address}");
    }
    assert_eq!(told(&fixture).await, []);
}

fn news_id(due: &Due) -> i64 {
    let Message::News { id, .. } = &due.message else { panic!("{due:?}") };
    *id
}

/// What the three left.
async fn told_ids(fixture: &Fixture) -> Vec<(String, i64)> {
    let mut ids = vec![];
    loop {
        let due = claimed(fixture, ME).await;
        if due.is_empty() {
            return ids;
        }
        for one in due {
            ids.push((one.address.clone(), news_id(&one)));
            end(fixture, &one, ME, &End::Told).await;
        }
    }
}

async fn who_dies_after_a_message_left_is_followed_by_one_who_says_that_it_may_be_repeated(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    post(&fixture, "Slow", vec![]).await;
    let due = claimed(&fixture, Incarnation(1)).await;
    assert!(!due[0].may_be_repeated && claim::begin(&fixture.store, &due[0], Incarnation(1)).await.unwrap());
    assert_eq!(claimed(&fixture, Incarnation(2)).await, [], "it is another's");
    let gone = "UPDATE komainu_page_subscriber SET claimed_until = claimed_until - 30001";
    fixture.raw.execute(gone).await;
    let again = claimed(&fixture, Incarnation(2)).await;
    assert!(again[0].may_be_repeated && again[0].message == due[0].message);
    assert!(
        !claim::begin(&fixture.store, &due[0], Incarnation(1)).await.unwrap(),
        "who stood still sends nothing more"
    );
    assert!(claim::begin(&fixture.store, &again[0], Incarnation(2)).await.unwrap());
    // Who stood still says after all that it arrived: it is not repeated to anybody once more.
    claim::end(&fixture.store, &due[0], Incarnation(1), &End::Told).await.unwrap();
    claim::end(&fixture.store, &again[0], Incarnation(2), &End::Told).await.unwrap();
    assert_eq!(told(&fixture).await, []);
    post(&fixture, "Slower", vec![]).await;
    let next = claimed(&fixture, Incarnation(2)).await;
    assert!(!next[0].may_be_repeated, "{next:?}");
}

async fn what_may_have_arrived_stays_so_until_somebody_knows(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    post(&fixture, "Slow", vec![]).await;
    let due = claimed(&fixture, ME).await;
    assert!(claim::begin(&fixture.store, &due[0], ME).await.unwrap());
    fixture.raw.execute("UPDATE komainu_page_subscriber SET claimed_until = claimed_until - 30001").await;
    let not_now = |may_have_arrived| End::Again {
        pause: Duration::ZERO,
        trouble: "full".to_owned(),
        may_have_arrived,
        refusals: 0,
    };
    for (process, end) in [(2, End::Untried), (3, not_now(false)), (4, not_now(true)), (5, End::Untried)] {
        let me = Incarnation(process);
        let again = claimed(&fixture, me).await;
        assert!(again[0].may_be_repeated, "before {end:?} of {process}");
        assert!(claim::begin(&fixture.store, &again[0], me).await.unwrap());
        claim::end(&fixture.store, &again[0], me, &end).await.unwrap();
    }
    assert!(claimed(&fixture, ME).await[0].may_be_repeated);
}

async fn plan(fixture: &Fixture, (from, until): (i64, i64)) -> String {
    let draft = Draft {
        title: Some("Disks".to_owned()),
        starts_at: Some(Wall(from)),
        ends_at: Some(Wall(until)),
        ..Draft::default()
    };
    pages::post(&fixture.store, "key/test", ("shop", What::Maintenance), &draft).await.unwrap().unwrap()
}

/// So long passes for everything that is planned.
async fn pass(fixture: &mut Fixture, millis: i64) {
    let sql = format!(
        "UPDATE komainu_page_notice SET starts_at = starts_at - {millis}, ends_at = ends_at - {millis}, turns_at = turns_at - {millis}"
    );
    fixture.raw.execute(&sql).await;
}

async fn now(fixture: &Fixture) -> i64 {
    komainu::store::ahead::now(&fixture.store).await.unwrap().0
}

const HOUR: i64 = 3_600_000;

async fn a_maintenance_that_goes_on_by_the_clock_is_told_once_whoever_sees_it_first(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    let at = now(&fixture).await;
    plan(&fixture, (at + HOUR, at + 3 * HOUR)).await;
    assert_eq!(told(&fixture).await, [named("jane", "scheduled Disks")]);
    assert_eq!(turn(&fixture.store).await.unwrap(), 0);
    pass(&mut fixture, 2 * HOUR).await;
    let (one, two, three) = tokio::join!(turn(&fixture.store), turn(&fixture.store), turn(&fixture.store));
    assert_eq!(one.unwrap() + two.unwrap() + three.unwrap(), 1);
    assert_eq!(told(&fixture).await, [named("jane", "in_progress Disks")]);
    pass(&mut fixture, 2 * HOUR).await;
    turn(&fixture.store).await.unwrap();
    assert_eq!(told(&fixture).await, [named("jane", "completed Disks")]);
    assert_eq!(turn(&fixture.store).await.unwrap(), 0);
    let at = now(&fixture).await;
    plan(&fixture, (at + HOUR, at + 2 * HOUR)).await;
    pass(&mut fixture, 3 * HOUR).await;
    turn(&fixture.store).await.unwrap();
    let over = [named("jane", "scheduled Disks"), named("jane", "completed Disks")];
    assert_eq!(told(&fixture).await, over, "nobody could tell while it went on");
}

async fn a_maintenance_that_is_moved_or_begun_early_is_told_as_it_is(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    let at = now(&fixture).await;
    let id = plan(&fixture, (at + HOUR, at + 3 * HOUR)).await;
    let moved = Draft { starts_at: Some(Wall(at + 2 * HOUR)), ..Draft::default() };
    update(&fixture, (What::Maintenance, &id), &moved).await;
    update(&fixture, (What::Maintenance, &id), &Draft { title: Some("Disks".to_owned()), ..Draft::default() }).await;
    assert_eq!(told(&fixture).await, [named("jane", "scheduled Disks"), named("jane", "scheduled Disks")]);
    let early = Draft { stage: Some(Stage::InProgress), ..Draft::default() };
    update(&fixture, (What::Maintenance, &id), &early).await;
    assert_eq!(told(&fixture).await, [named("jane", "in_progress Disks")]);
    pass(&mut fixture, 2 * HOUR + 1).await;
    turn(&fixture.store).await.unwrap();
    assert_eq!(told(&fixture).await, [], "they know that it began");
    pass(&mut fixture, 2 * HOUR).await;
    let over = Draft { words: Some("Done.".to_owned()), ..Draft::default() };
    update(&fixture, (What::Maintenance, &id), &over).await;
    turn(&fixture.store).await.unwrap();
    assert_eq!(
        told(&fixture).await,
        [named("jane", "completed Disks")],
        "whoever wrote was there before the clock was looked at"
    );
}

async fn what_a_page_says_no_longer_is_told_no_more(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    let id = post(&fixture, "Mistake", vec![]).await;
    let due = claimed(&fixture, ME).await;
    let which = Which { slug: "shop", kind: What::Incident, id: &id, if_match: &[] };
    pages::delete_notice(&fixture.store, "key/test", which).await.unwrap().unwrap();
    assert!(!claim::begin(&fixture.store, &due[0], ME).await.unwrap(), "not even what was claimed");
    claim::end(&fixture.store, &due[0], ME, &End::Untried).await.unwrap();
    assert_eq!(told(&fixture).await, []);
    pages::delete(&fixture.store, "key/test", "shop", &[]).await.unwrap().unwrap();
    for table in ["komainu_page_subscriber", "komainu_page_news"] {
        assert_eq!(fixture.raw.count(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
}

async fn whoever_was_told_of_a_beginning_is_told_of_the_end_whatever_it_is_about_by_then(kind: Kind) {
    let fixture = with_pages(kind, &["shop"]).await;
    let [front, mail] = components(&fixture).await.try_into().unwrap();
    add(&fixture, "of front", vec![front.clone()]).await;
    add(&fixture, "of mail", vec![mail.clone()]).await;
    let id = post(&fixture, "Slow", vec![front]).await;
    let now_mail = Draft { components: Some(vec![mail]), ..words("It is the mail.") };
    update(&fixture, (What::Incident, &id), &now_mail).await;
    let mut heard = told(&fixture).await;
    heard.sort();
    let slow = "investigating Slow";
    assert_eq!(heard, [named("of front", slow), named("of front", slow), named("of mail", slow)]);
    update(&fixture, (What::Incident, &id), &Draft { stage: Some(Stage::Resolved), ..Draft::default() }).await;
    assert_eq!(told(&fixture).await.len(), 2);
}

async fn whoever_cannot_be_told_is_ended_and_the_others_are_not(kind: Kind) {
    let fixture = with_pages(kind, &["shop"]).await;
    let (bad, good) = (add(&fixture, "bad", vec![]).await, add(&fixture, "good", vec![]).await);
    post(&fixture, "Slow", vec![]).await;
    let trouble = || "answered 550".to_owned();
    for due in claimed(&fixture, ME).await {
        let how = if due.address == "bad" { End::GivenUp { trouble: trouble() } } else { End::Told };
        end(&fixture, &due, ME, &how).await;
    }
    post(&fixture, "Slower", vec![]).await;
    for due in claimed(&fixture, ME).await {
        let is_bad = due.address == "bad";
        assert_eq!(due.failures, u32::from(is_bad));
        end(&fixture, &due, ME, &if is_bad { End::Ended { trouble: trouble() } } else { End::Told }).await;
    }
    post(&fixture, "Slowest", vec![]).await;
    assert_eq!(told(&fixture).await, [named("good", "investigating Slowest")]);
    let seen = async |id: &str| operators::get(&fixture.store, "shop", id).await.unwrap().unwrap();
    let (bad, good) = (seen(&bad).await, seen(&good).await);
    assert_eq!(
        (bad.state.as_str(), bad.trouble.as_deref(), bad.ended_at.is_some()),
        ("ended", Some("answered 550"), true)
    );
    assert_eq!((good.state.as_str(), good.trouble), ("confirmed", None));
}

async fn whoever_waits_because_nobody_can_write_to_them_shows(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    post(&fixture, "Slow", vec![]).await;
    assert!(!claim::is_unserved(&fixture.store, Way::Mail).await.unwrap(), "it was said just now");
    fixture.raw.execute("UPDATE komainu_page_news SET entered_at = entered_at - 1800001").await;
    assert!(claim::is_unserved(&fixture.store, Way::Mail).await.unwrap());
    assert!(!claim::is_unserved(&fixture.store, Way::Webhook).await.unwrap());
    told(&fixture).await;
    assert!(!claim::is_unserved(&fixture.store, Way::Mail).await.unwrap());
}

async fn what_has_no_use_any_more_is_swept(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    ask(&fixture, "shop", "never confirmed", &all()).await;
    ask(&fixture, "shop", "still in time", &all()).await;
    add(&fixture, "told", vec![]).await;
    post(&fixture, "Slow", vec![]).await;
    let count = "SELECT COUNT(*) FROM komainu_page_subscriber";
    assert_eq!(sweeping::sweep(&fixture.store).await.unwrap(), 0);
    let late = "UPDATE komainu_page_subscriber SET asked_at = asked_at - 86400001 WHERE address <> 'still in time'";
    fixture.raw.execute(late).await;
    assert_eq!(sweeping::sweep(&fixture.store).await.unwrap(), 1);
    assert_eq!(fixture.raw.count(count).await, 2);
    fixture.raw.execute("UPDATE komainu_page_news SET entered_at = entered_at - 14 * 86400000 - 1").await;
    assert_eq!(sweeping::sweep(&fixture.store).await.unwrap(), 1);
    fixture.raw.execute("DELETE FROM komainu_page").await;
    assert_eq!(sweeping::sweep(&fixture.store).await.unwrap(), 2);
    assert_eq!(fixture.raw.count(count).await, 0);
}

async fn what_may_have_arrived_stays_so_whatever_is_asked_for_meanwhile(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    let first = all();
    ask(&fixture, "shop", "jane", &first).await;
    let greeting = claimed(&fixture, ME).await;
    end(&fixture, &greeting[0], ME, &End::Told).await;
    asking::confirm(&fixture.store, "shop", (&greeting[0].public_id, &first.nonce)).await.unwrap();
    post(&fixture, "Slow", vec![]).await;
    let due = claimed(&fixture, ME).await;
    assert!(claim::begin(&fixture.store, &due[0], ME).await.unwrap(), "it left, and nobody hears what came of it");
    fixture.raw.execute("UPDATE komainu_page_subscriber SET claimed_until = claimed_until - 30001, asked_at = 0").await;
    let fewer = Wish::new(vec![], Language::TraditionalChinese);
    assert_eq!(ask(&fixture, "shop", "jane", &fewer).await, Asked::Noted);
    let other = Incarnation(2);
    let greeting = claimed(&fixture, other).await;
    assert!(matches!(greeting[0].message, Message::Greeting { .. }), "{greeting:?}");
    assert!(!greeting[0].may_be_repeated, "this one never left");
    assert_eq!(greeting[0].language, Language::TraditionalChinese, "as they asked for it");
    end(&fixture, &greeting[0], other, &End::Told).await;
    let again = claimed(&fixture, other).await;
    assert!(again[0].may_be_repeated && again[0].attempts == 1, "{again:?}");
}

async fn whoever_something_concerns_is_found_among_thousands_whom_it_does_not(kind: Kind) {
    let fixture = with_pages(kind, &["shop"]).await;
    let [front, mail] = components(&fixture).await.try_into().unwrap();
    for at in 0..300 {
        add(&fixture, &format!("p{at}"), vec![mail.clone()]).await;
    }
    add(&fixture, "jane", vec![front.clone()]).await;
    post(&fixture, "Slow", vec![front]).await;
    let due = claimed(&fixture, ME).await;
    assert_eq!(due.iter().map(|due| due.address.as_str()).collect::<Vec<_>>(), ["jane"], "at the first look");
}

/// Who chose these components; the first of them is called `one`.
async fn bring_ten_thousand(fixture: &mut Fixture, chosen: Vec<String>) {
    const MANY: usize = 9_999;
    add(fixture, "one", chosen).await;
    let columns = "slug, kind, address, state, components, language, nonce, asked_at, told, created_at, created_by";
    let numbers = (1..MANY).map(|at| at.to_string()).collect::<Vec<_>>();
    for part in numbers.chunks(400) {
        let rows = part.iter().map(|at| format!("SELECT '{at}' AS n")).collect::<Vec<_>>().join(" UNION ALL ");
        let sql = format!(
            "INSERT INTO komainu_page_subscriber (public_id, address_hash, person_hash, {columns}) \
             SELECT n.n, n.n, n.n, {columns} FROM (SELECT * FROM komainu_page_subscriber WHERE address = 'one' ORDER BY id LIMIT 1) s \
             JOIN ({rows}) n ON 1 = 1"
        );
        fixture.raw.execute(&sql).await;
    }
}

#[expect(clippy::print_stdout, reason = "figures are for people to read")]
async fn ten_thousand_cost_a_writer_one_row_and_whom_it_concerns_is_found_at_the_first_look(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    let [front, mail] = components(&fixture).await.try_into().unwrap();
    bring_ten_thousand(&mut fixture, vec![mail]).await;
    add(&fixture, "jane", vec![front.clone()]).await;
    let begun = clock::now();
    post(&fixture, "Slow", vec![front]).await;
    let posted = clock::now().since(begun);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_page_news").await, 1);
    let due = claimed(&fixture, ME).await;
    println!("{kind:?}: written in {posted:?}, found among ten thousand after {:?}", clock::now().since(begun));
    assert_eq!(due.iter().map(|due| due.address.as_str()).collect::<Vec<_>>(), ["jane"]);
    let behind = "SELECT COUNT(*) FROM komainu_page_subscriber WHERE told = 0";
    assert_eq!(fixture.raw.count(behind).await, 1, "all others were passed over at once");
}

/// Letters leave as fast as the database takes what becomes of them: nothing waits for a mail server, and no pace is kept.
fn writes_letters(fixture: &Fixture, me: Incarnation) -> AbortOnDropHandle<()> {
    let store = fixture.store.share(Share::Subscribers);
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            for due in claim::claim(&store, Way::Mail, me, 20).await.unwrap_or_default() {
                if claim::begin(&store, &due, me).await.unwrap_or(false) {
                    let _noted = claim::end(&store, &due, me, &End::Told).await;
                }
            }
        }
    }))
}

#[expect(clippy::print_stdout, reason = "figures are for people to read")]
async fn an_alert_is_told_in_time_while_ten_thousand_letters_leave(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    bring_ten_thousand(&mut fixture, vec![]).await;
    let (vendor, routing) = (Vendor::default(), routing(&["ops"], None));
    let _alerts = deliverer(&fixture, 1, &routing, &[("ops", &vendor)]);
    let mut took = vec![];
    let mut letters = None;
    for (at, key) in ["node/quiet", "node/busy"].into_iter().enumerate() {
        let begun = clock::now();
        raise(&fixture, key, &routing).await;
        vendor.wait_for(at + 1).await;
        took.push(clock::now().since(begun));
        if letters.is_none() {
            post(&fixture, "Slow", vec![]).await;
            letters = Some([11, 12, 13].map(|me| writes_letters(&fixture, Incarnation(me))));
            let some_left = "SELECT COUNT(*) FROM komainu_page_subscriber WHERE told > 0";
            wait_until("letters leave", PATIENCE, async || fixture.raw.count(some_left).await > 0).await;
        }
    }
    let waiting = fixture.raw.count("SELECT COUNT(*) FROM komainu_page_subscriber WHERE told = 0").await;
    println!("{kind:?}: told after {:?}; after {:?} beside letters, of which {waiting} still wait", took[0], took[1]);
    assert!(waiting > 0, "letters waited all the while");
    // Half a second until it is grouped, and two more; a busy machine takes longer for both.
    assert!(took[1] < Duration::from_secs(10), "{took:?}");
}

async fn who_asks_from_everywhere_at_once_has_one_mailbox_written_to_three_times_all_the_same(kind: Kind) {
    let fixture = with_pages(kind, &["shop", "a", "b", "c"]).await;
    let wish = all();
    let all = (0..24).map(|at| {
        let (fixture, wish, slug) = (&fixture, &wish, ["shop", "a", "b", "c"][at % 4]);
        async move { ask(fixture, slug, &format!("jane#{at}"), wish).await }
    });
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Asked::Noted).count(), 3, "{answers:?}");
}

async fn whoever_is_to_confirm_something_keeps_nobody_waiting_who_did(kind: Kind) {
    let fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    post(&fixture, "Slow", vec![]).await;
    for at in 0..30 {
        assert_eq!(ask(&fixture, "shop", &format!("p{at}"), &all()).await, Asked::Noted);
    }
    let due = claimed(&fixture, ME).await;
    assert!(due.iter().any(|due| due.address == "jane"), "{due:?}");
}

async fn another_wish_while_a_greeting_is_on_its_way_is_asked_for_too(kind: Kind) {
    let mut fixture = with_pages(kind, &["shop"]).await;
    ask(&fixture, "shop", "jane", &all()).await;
    let first = claimed(&fixture, ME).await;
    fixture.raw.execute("UPDATE komainu_page_subscriber SET asked_at = asked_at - 3600001").await;
    let Message::Greeting { wish, .. } = &first[0].message else { panic!("{first:?}") };
    // It was read a moment after the hour.
    let asked_at = Wall(fixture.raw.count("SELECT asked_at FROM komainu_page_subscriber").await);
    let first = Due { message: Message::Greeting { wish: wish.clone(), asked_at }, ..first[0].clone() };
    assert!(claim::begin(&fixture.store, &first, ME).await.unwrap());
    let second = all();
    assert_eq!(ask(&fixture, "shop", "jane", &second).await, Asked::Noted);
    claim::end(&fixture.store, &first, ME, &End::Told).await.unwrap();
    let due = claimed(&fixture, ME).await;
    let Message::Greeting { wish, .. } = &due[0].message else { panic!("{due:?}") };
    assert_eq!(wish, &second);
}

async fn refusals_are_kept_with_the_thing_that_was_refused(kind: Kind) {
    let fixture = with_pages(kind, &["shop"]).await;
    add(&fixture, "jane", vec![]).await;
    post(&fixture, "Slow", vec![]).await;
    let trouble = || "the mail server answered 550".to_owned();
    let again = End::Again { pause: Duration::ZERO, trouble: trouble(), may_have_arrived: false, refusals: 2 };
    let due = claimed(&fixture, ME).await;
    end(&fixture, &due[0], ME, &again).await;
    let due = claimed(&fixture, ME).await;
    assert_eq!((due[0].refusals, due[0].record().attempts), (2, 2));
    end(&fixture, &due[0], ME, &End::GivenUp { trouble: trouble() }).await;
    post(&fixture, "Slower", vec![]).await;
    let due = claimed(&fixture, ME).await;
    assert_eq!((due[0].refusals, due[0].failures), (0, 1));
}
