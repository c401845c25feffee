//! How many watchdogs must see a check fail, as clients and rows say it: a word, or a number.

use komainu_watchdogs::check::Quorum;
use serde_json::{Value as Json, json};

use super::MOST_VOTES;

/// `majority`, `all`, `any`, or so many.
pub fn parse_quorum(text: &str) -> Result<Quorum, String> {
    let number = || text.parse().ok().filter(|number| (1..=MOST_VOTES).contains(number)).map(Quorum::AtLeast);
    match text {
        "majority" => Ok(Quorum::Majority),
        "all" => Ok(Quorum::All),
        "any" => Ok(Quorum::Any),
        _ => number().ok_or_else(|| format!("must be majority, all, any or a number from 1 to {MOST_VOTES}")),
    }
}

/// The reverse of [`parse_quorum`].
pub fn quorum_text(quorum: Quorum) -> String {
    match quorum {
        Quorum::Majority => "majority".to_owned(),
        Quorum::All => "all".to_owned(),
        Quorum::Any => "any".to_owned(),
        Quorum::AtLeast(number) => number.to_string(),
    }
}

/// As the API shows it.
pub fn quorum_json(quorum: Quorum) -> Json {
    match quorum {
        Quorum::AtLeast(number) => json!(number),
        Quorum::Majority | Quorum::All | Quorum::Any => json!(quorum_text(quorum)),
    }
}
