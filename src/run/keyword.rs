//! Monitors of type `keyword`: an HTTP run whose body must, or must not, contain a text.

use komainu_watchdogs::check::Failure as Cause;

use super::RunResult;
use super::body::{as_kuma_reads, excerpt};
use super::failure::Failure;
use super::http::{Clients, HttpAnswer, Wanted, fetch};
use crate::store::monitors::MonitorSpec;

/// Asks once and looks for the keyword.
pub(super) async fn run(clients: &Clients, monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let keyword = monitor.keyword.as_deref().ok_or_else(|| Failure::target("no keyword is configured"))?;
    let answer = fetch(clients, monitor, Wanted::Text(keyword)).await?;
    judge(&answer, keyword, monitor.invert_keyword)
}

fn judge(answer: &HttpAnswer, keyword: &str, is_inverted: bool) -> Result<RunResult, Failure> {
    let text = as_kuma_reads(&answer.body);
    let is_found = text.contains(keyword) || answer.is_cut && answer.has_text;
    if is_found == is_inverted {
        let place = if is_found { "present" } else { "not" };
        let msg = format!("{}, but keyword is {place} in [{}]", answer.summary, excerpt(&text));
        let response = answer.response.clone();
        return Err(Failure { ping_ms: Some(answer.ping_ms), response, ..Failure::found(Cause::Content, msg) });
    }
    let place = if is_found { "is" } else { "not" };
    let result = RunResult::up(format!("{}, keyword {place} found", answer.summary), answer.ping_ms);
    Ok(RunResult { response: answer.response.clone(), ..result })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::room::HeldRoom;

    #[test]
    fn a_keyword_that_is_there_is_up() {
        let result = judge(&answer("<p>all systems go</p>"), "systems", false).unwrap();
        assert_eq!(result.msg, "200 - OK, keyword is found");
    }

    #[test]
    fn a_keyword_that_is_missing_is_down_with_an_excerpt() {
        let failure = judge(&answer("<p>all systems\ngo</p>"), "gone", false).unwrap_err();
        assert_eq!(failure.msg, "200 - OK, but keyword is not in [all systems go]");
        assert_eq!(failure.ping_ms, Some(12));
    }

    #[test]
    fn an_inverted_keyword_must_be_missing() {
        assert_eq!(judge(&answer("fine"), "error", true).unwrap().msg, "200 - OK, keyword not found");
        let failure = judge(&answer("error 7"), "error", true).unwrap_err();
        assert_eq!(failure.msg, "200 - OK, but keyword is present in [error 7]");
    }

    #[test]
    fn a_keyword_in_json_is_found_without_the_blanks_that_kuma_does_not_see() {
        let answer = answer("{ \"status\": \"ok\" }");
        assert!(judge(&answer, r#""status":"ok""#, false).is_ok());
        assert!(judge(&answer, r#""status": "ok""#, false).is_err());
    }

    #[test]
    fn a_keyword_beyond_what_is_kept_is_found_too() {
        let cut = HttpAnswer { is_cut: true, has_text: true, ..answer("<p>all sys") };
        assert!(judge(&cut, "</html>", false).is_ok());
        assert!(judge(&cut, "</html>", true).is_err());
    }

    fn answer(body: &str) -> HttpAnswer {
        HttpAnswer {
            summary: "200 - OK".to_owned(),
            body: body.to_owned(),
            ping_ms: 12,
            is_cut: false,
            has_text: false,
            response: None,
            room: HeldRoom::none(),
        }
    }
}
