//! Letters to subscribers and the mail server that alerts use too: alerts go first, and what it refuses is not at once the readers' doing.

use std::time::Duration;

use komainu_watchdogs::subscription::{Answer, Leave, MailServer, Next, Record, pause};
use komainu_watchdogs::time::Mono;

fn try_of(attempts: u32) -> Record {
    Record { attempts, ..Record::default() }
}

#[test]
fn alerts_to_the_team_leave_before_letters_to_subscribers() {
    let mut server = MailServer::default();
    assert_eq!(server.may_leave(Mono::secs(100), true), Leave::AlertsFirst);
    assert_eq!(server.may_leave(Mono::secs(101), false), Leave::Now, "as soon as the alerts are told");
    assert_eq!(server.may_leave(Mono::secs(159), true), Leave::AlertsFirst);
    assert_eq!(server.may_leave(Mono::secs(162), true), Leave::AlertsFirst, "these alerts wait since 159");
    assert_eq!(
        server.may_leave(Mono::secs(225), true),
        Leave::AlertsFirst,
        "nobody looked meanwhile: these may be others"
    );
}

#[test]
fn a_night_full_of_alerts_delays_subscribers_and_does_not_silence_them() {
    let mut server = MailServer::default();
    let all = (0..3_000).filter(|at| server.may_leave(Mono::secs(*at), true) == Leave::Now).collect::<Vec<_>>();
    assert_eq!(all.first(), Some(&60), "they waited for a minute");
    assert_eq!(all.get(..16), Some(&[60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 135][..]));
}

#[test]
fn letters_leave_at_the_pace_that_all_watchdogs_share() {
    let mut server = MailServer::default();
    server.left(Mono::secs(10), Duration::from_millis(300));
    assert_eq!(server.may_leave(Mono::secs(10), false), Leave::At(Mono::millis(10_300)));
    assert_eq!(server.may_leave(Mono::millis(10_300), false), Leave::Now);
}

#[test]
fn ten_refusals_in_a_row_are_the_servers_doing_and_count_for_none_of_the_ten() {
    let mut server = MailServer::default();
    server.heard(Mono::secs(9), Answer::Taken, try_of(1));
    for at in 0..9 {
        let verdict = server.heard(Mono::secs(10 + at), Answer::Refused, try_of(1));
        assert_eq!((verdict.next, verdict.is_away), (Some(Next::Again(pause(1))), false));
    }
    let verdict = server.heard(Mono::secs(19), Answer::Refused, try_of(1));
    assert_eq!((verdict.next, verdict.is_away), (Some(Next::Again(pause(1))), true));
    assert_eq!(server.may_leave(Mono::secs(48), false), Leave::Away(Mono::secs(49)));
    assert_eq!(server.may_leave(Mono::secs(49), false), Leave::Now);
    // It still refuses everybody: the second refusal of each counts no more than the first.
    for at in 0..9 {
        let verdict = server.heard(Mono::secs(50 + at), Answer::Refused, try_of(2));
        assert_eq!((verdict.next, verdict.is_away), (Some(Next::Again(pause(2))), false));
    }
}

#[test]
fn a_dead_address_is_believed_at_its_third_refusal_beside_letters_that_are_taken() {
    let mut server = MailServer::default();
    let mut record = Record::default();
    for (at, refusals) in [(11, 1), (41, 2)] {
        server.heard(Mono::secs(at - 1), Answer::Taken, try_of(1));
        record.attempts += 1;
        let verdict = server.heard(Mono::secs(at), Answer::Refused, record);
        assert_eq!((verdict.next, verdict.refusals), (Some(Next::Again(pause(record.attempts))), refusals));
        record.refusals = verdict.refusals;
    }
    let third = Record { attempts: 3, ..record };
    let mut quiet = server;
    let verdict = quiet.heard(Mono::secs(101), Answer::Refused, third);
    assert_eq!(
        verdict.next,
        Some(Next::Again(pause(3))),
        "nobody else was written to lately: nothing is known of the server"
    );
    server.heard(Mono::secs(100), Answer::Taken, try_of(1));
    assert_eq!(server.heard(Mono::secs(101), Answer::Refused, third).next, Some(Next::GivenUp));
    let last = Record { failures: 2, ..third };
    assert_eq!(server.heard(Mono::secs(102), Answer::Refused, last).next, Some(Next::Ended));
}

#[test]
fn a_server_that_is_away_is_no_attempt_at_anybody() {
    let mut server = MailServer::default();
    let verdict = server.heard(Mono::secs(10), Answer::Away, try_of(15));
    assert_eq!((verdict.next, verdict.is_away), (None, true));
    server.did_not_open(Mono::secs(40));
    assert_eq!(server.may_leave(Mono::secs(69), false), Leave::Away(Mono::secs(70)));
}
