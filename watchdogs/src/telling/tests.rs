use super::*;
use crate::routing::{GROUP_WAIT, Matcher, Route};

const LIMIT: Duration = Duration::from_secs(900);

fn telling(channels: &[&str], fallbacks: &[(&str, &str)]) -> Telling {
    let names = |name: &&str| (*name).to_owned();
    let routing = Routing { channels: channels.iter().map(names).collect(), ..Routing::default() };
    Telling::new(Mono::secs(0), &routing, &instead(fallbacks), LIMIT)
}

fn instead(fallbacks: &[(&str, &str)]) -> BTreeMap<String, String> {
    fallbacks.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

fn facts(failing: &[&str], untold: &[i64]) -> Facts {
    Facts { failing: failing.iter().map(|&name| name.to_owned()).collect(), untold: untold.iter().copied().collect() }
}

/// As it is then, with all parts that are heard always at work.
fn seen(telling: &mut Telling, second: u64) -> (Health, bool) {
    for part in [Part::Outbox, Part::Beats] {
        telling.note(Mono::secs(second), part, true);
    }
    shown(telling, second)
}

fn shown(telling: &Telling, second: u64) -> (Health, bool) {
    let ability = telling.ability(Mono::secs(second));
    assert_eq!(ability.reasons.is_empty(), ability.health == Health::Ok);
    assert!(ability.reasons.iter().all(|reason| reason.starts_with("telling: ")));
    (ability.health, ability.is_mute)
}

const OK: (Health, bool) = (Health::Ok, false);
const DEGRADED: (Health, bool) = (Health::Degraded, false);
const DOWN: (Health, bool) = (Health::Down, true);

#[test]
fn a_cluster_whose_only_channel_refuses_is_degraded_and_after_a_quarter_of_an_hour_down() {
    let mut telling = telling(&["ops"], &[]);
    for (second, expected) in [(10, OK), (24, OK), (25, DEGRADED), (909, DEGRADED), (910, DOWN)] {
        telling.see(Mono::secs(second), facts(&["ops"], &[]));
        assert_eq!(seen(&mut telling, second), expected, "{second}");
    }
    telling.see(Mono::secs(911), facts(&[], &[]));
    assert_eq!(seen(&mut telling, 911), OK);
}

#[test]
fn a_moments_refusal_is_no_lost_channel() {
    let mut telling = telling(&["ops"], &[]);
    for round in 0..100 {
        telling.see(Mono::secs(20 * round), facts(&["ops"], &[]));
        assert_eq!(seen(&mut telling, 20 * round + 14), OK);
        telling.see(Mono::secs(20 * round + 15), facts(&[], &[]));
    }
}

#[test]
fn one_channel_that_works_is_enough_and_nobody_misses_what_was_never_configured() {
    let mut two = telling(&["mail", "ops"], &[]);
    two.see(Mono::secs(10), facts(&["ops", "gone"], &[]));
    assert_eq!(seen(&mut two, 2_000), OK);
    let mut nobody = telling(&[], &[]);
    nobody.see(Mono::secs(10), facts(&["gone"], &[7]));
    assert_eq!(seen(&mut nobody, 2_000), OK);
}

#[test]
fn a_critical_that_nobody_is_told_is_degraded_after_five_minutes_and_down_after_fifteen() {
    let mut telling = telling(&["ops"], &[]);
    for second in [0, 100, 200] {
        telling.see(Mono::secs(second), facts(&[], &[7]));
    }
    assert_eq!(seen(&mut telling, 299), OK);
    assert_eq!(seen(&mut telling, 300), DEGRADED);
    assert_eq!(seen(&mut telling, 900), DOWN);
    // Others that come and go are not one that stays.
    telling.see(Mono::secs(901), facts(&[], &[8]));
    assert_eq!(seen(&mut telling, 902), OK);
}

#[test]
fn a_critical_that_is_away_for_a_moment_has_waited_all_the_same() {
    let mut telling = telling(&["ops"], &[]);
    for second in 0..300 {
        // The clock of the database is put back again and again: for twenty seconds nothing seems to be due.
        let untold: &[i64] = if second % 60 < 20 { &[] } else { &[7] };
        telling.see(Mono::secs(second), facts(&[], untold));
        assert_eq!(seen(&mut telling, second), OK, "{second}");
    }
    telling.see(Mono::secs(319), facts(&[], &[]));
    assert_eq!(seen(&mut telling, 319), OK, "nothing waits now");
    telling.see(Mono::secs(320), facts(&[], &[7]));
    assert_eq!(seen(&mut telling, 320), DEGRADED, "since the twentieth second");
    telling.see(Mono::secs(330), facts(&[], &[]));
    telling.see(Mono::secs(400), facts(&[], &[7]));
    assert_eq!(seen(&mut telling, 400), OK, "told, and bad once more");
}

#[test]
fn a_part_that_fails_for_long_is_named_and_the_dead_man_hears_nothing() {
    for part in Part::ALL {
        let mut telling = telling(&[], &[]);
        for (second, expected) in [(10, OK), (24, OK), (25, (Health::Degraded, true)), (909, (Health::Degraded, true))]
        {
            seen(&mut telling, second);
            for at in (10..=second).skip_while(|at| second - at > 50) {
                telling.note(Mono::secs(at), part, false);
            }
            assert_eq!(shown(&telling, second), expected, "{part:?} {second}");
        }
    }
}

#[test]
fn a_part_that_fails_is_down_after_the_limit_and_well_at_its_first_success() {
    let mut telling = telling(&[], &[]);
    for second in 10..=910 {
        telling.note(Mono::secs(second), Part::Beats, true);
        telling.note(Mono::secs(second), Part::Outbox, false);
    }
    assert_eq!(shown(&telling, 909), (Health::Degraded, true));
    assert_eq!(shown(&telling, 910), DOWN);
    telling.note(Mono::secs(911), Part::Outbox, true);
    assert_eq!(shown(&telling, 911), OK);
}

#[test]
fn a_part_that_stands_still_is_noticed_and_one_that_has_nothing_to_do_is_not_missed() {
    let mut telling = telling(&["ops"], &[]);
    telling.note(Mono::secs(1), Part::Couriers, false);
    for second in 1..300 {
        telling.note(Mono::secs(second), Part::Outbox, true);
    }
    assert_eq!(shown(&telling, 119), OK);
    assert_eq!(shown(&telling, 299), (Health::Degraded, true));
    let failing: Vec<_> = telling.failing_parts(Mono::secs(299)).map(|(part, _)| part).collect();
    assert_eq!(failing, [Part::Beats]);
}

#[test]
fn only_who_hears_of_criticals_counts_and_where_others_get_them_it_is_never_down() {
    let route = |severity, channel: &str| Route {
        matcher: Matcher { severity: Some(severity), ..Matcher::default() },
        channels: vec![channel.to_owned()],
        group_wait: GROUP_WAIT,
        repeat: None,
        ..Route::default()
    };
    let routing = Routing {
        channels: ["chat", "mail", "phone"].map(str::to_owned).to_vec(),
        routes: vec![route(Severity::Warning, "chat"), route(Severity::Critical, "phone")],
    };
    let with = |fallbacks: &[(&str, &str)], failing: &[&str]| {
        let mut telling = Telling::new(Mono::secs(0), &routing, &instead(fallbacks), LIMIT);
        telling.see(Mono::secs(1), facts(failing, &[]));
        seen(&mut telling, 2_000)
    };
    assert_eq!(with(&[], &["chat", "mail"]), OK);
    assert_eq!(with(&[], &["phone"]), DEGRADED, "mail and chat get them");
    assert_eq!(with(&[], &["chat", "mail", "phone"]), DOWN);
    assert_eq!(with(&[("phone", "mail")], &["phone"]), OK);
    assert_eq!(with(&[("phone", "mail")], &["mail", "phone"]), DEGRADED, "what mail refuses goes to chat");
    assert_eq!(with(&[("phone", "mail"), ("mail", "phone")], &["mail", "phone"]), DOWN, "nobody else is asked");
}
