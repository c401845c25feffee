//! One look at one check's target: a run of the shared module, told in the words of [`komainu_watchdogs::check`].

use komainu_watchdogs::check::answer::DETAIL_MOST;
use komainu_watchdogs::check::{Answer, Failure, Outcome, Phases, Trouble};
use komainu_watchdogs::time::Wall;

use crate::run::failure::Fault;
use crate::run::phases::{Phase, Phases as Noted};
use crate::run::{RunResult, RunStatus, Runs};
use crate::store::MonitorSpec;

/// Looks once. Ends within the check's timeout.
pub(super) async fn look(runs: &Runs, spec: &MonitorSpec) -> (Outcome, Answer) {
    let (result, noted) = Box::pin(runs.look(spec)).await;
    let outcome = outcome(&result, &noted);
    let answer = Answer {
        ms: small(noted.total_ms),
        phases: Phases {
            name_ms: noted.name_ms.map(small),
            connect_ms: noted.connect_ms.map(small),
            tls_ms: noted.tls_ms.map(small),
            first_byte_ms: noted.first_byte_ms.map(small),
        },
        address: noted.address.map(|address| address.to_string()),
        status: noted.status,
        detail: detail(outcome, &result.msg),
        certificate_ends_at: ends_at(&result),
    };
    (outcome, answer)
}

fn outcome(result: &RunResult, noted: &Noted) -> Outcome {
    let seen = match (result.status, result.fault) {
        (RunStatus::Up, _) => Outcome::Up,
        (_, Some(Fault::Target(cause))) => Outcome::Failed(in_phase(cause, noted)),
        (_, Some(Fault::Way(trouble) | Fault::Own(trouble))) => Outcome::Unable(trouble),
        (_, Some(Fault::OnlyKumas)) => Outcome::Unable(Trouble::Unsupported),
        (RunStatus::Down | RunStatus::Pending | RunStatus::Maintenance | RunStatus::Unable, None) => {
            Outcome::Unable(Trouble::Internal)
        }
    };
    // Where a timeout of the name service is hidden in that of the whole, nobody was asked.
    if seen == Outcome::Failed(Failure::AnswerTimeout) && noted.ended_in == Some(Phase::Name) {
        return Outcome::Unable(Trouble::NameServer);
    }
    seen
}

/// Of own trouble the run speaks as a node would, which this is not. An answer has words too: it may be what is wrong.
fn detail(outcome: Outcome, msg: &str) -> String {
    match outcome {
        Outcome::Unable(trouble) if trouble != Trouble::Internal => trouble.to_string(),
        Outcome::Up | Outcome::Failed(_) | Outcome::Unable(_) => shortened(msg),
    }
}

/// A timeout says what it waited for.
fn in_phase(cause: Failure, noted: &Noted) -> Failure {
    let is_connecting = noted.ended_in == Some(Phase::Connect);
    if cause == Failure::AnswerTimeout && is_connecting { Failure::ConnectTimeout } else { cause }
}

/// The first that ends of the chain that was shown.
fn ends_at(result: &RunResult) -> Option<Wall> {
    result.certificate.as_ref()?.links().iter().map(|link| link.expires_at).min()
}

fn small(millis: i64) -> u32 {
    u32::try_from(millis.max(0)).unwrap_or(u32::MAX)
}

fn shortened(text: &str) -> String {
    let mut end = DETAIL_MOST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(fault: Fault) -> RunResult {
        RunResult { fault: Some(fault), ..RunResult::new(RunStatus::Down, "it failed") }
    }

    fn at(phase: Phase) -> Noted {
        Noted { ended_in: Some(phase), ..Noted::default() }
    }

    #[test]
    fn a_timeout_says_what_was_waited_for() {
        let timeout = failed(Fault::Target(Failure::AnswerTimeout));
        let outcomes = [Phase::Name, Phase::Connect, Phase::Tls, Phase::FirstByte, Phase::Body]
            .map(|phase| outcome(&timeout, &at(phase)));
        let late = Outcome::Failed(Failure::AnswerTimeout);
        let expected =
            [Outcome::Unable(Trouble::NameServer), Outcome::Failed(Failure::ConnectTimeout), late, late, late];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn what_a_look_met_is_said_as_it_was() {
        let refused = failed(Fault::Target(Failure::Refused));
        assert_eq!(outcome(&refused, &at(Phase::Connect)), Outcome::Failed(Failure::Refused));
        let up = RunResult::new(RunStatus::Up, "200 - OK");
        assert_eq!(outcome(&up, &at(Phase::Body)), Outcome::Up);
        let lacking = failed(Fault::Way(Trouble::Route));
        assert_eq!(outcome(&lacking, &at(Phase::Connect)), Outcome::Unable(Trouble::Route));
    }

    #[test]
    fn words_are_cut_between_characters() {
        let text = "\u{e4}".repeat(150);
        assert_eq!(shortened(&text).len(), DETAIL_MOST);
        assert_eq!(shortened("a\nb"), "a b");
    }
}
