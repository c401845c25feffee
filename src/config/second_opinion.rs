//! `[second_opinion]`: on which monitors the watchdogs give one, and how often they look at those that are up.

use std::time::Duration;

use komainu_watchdogs::ids::Zone;
use komainu_watchdogs::opinion::{Choice, Rule, Wish};
use serde::Deserialize;

use super::fault::Faults;
use crate::check::Guard;
use crate::opinion::SecondOpinion;

/// More rules than tags that anybody keeps apart.
const MOST_RULES: usize = 100;

/// More often, and the looks would be more than those of the nodes.
const LEAST_SAMPLE_EACH: Duration = Duration::from_secs(10);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    default: Wish,
    #[serde(deserialize_with = "super::duration::deserialize")]
    sample_each: Option<Duration>,
    rules: Vec<RuleSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    tag: String,
    second_opinion: Wish,
    #[serde(default)]
    zones: Vec<String>,
}

impl Section {
    pub(super) fn resolve(self, guard: Guard, faults: &mut Faults) -> SecondOpinion {
        let sample_each = self.sample_each.unwrap_or(SecondOpinion::SAMPLE_EACH);
        if !(LEAST_SAMPLE_EACH..=SecondOpinion::SAMPLE_EACH).contains(&sample_each) {
            faults.add("second_opinion", "sample_each", "must be from 10s to 10m");
        }
        if self.rules.len() > MOST_RULES {
            faults.add("second_opinion", "rules", format!("must be at most {MOST_RULES}"));
        }
        if self.rules.iter().any(|rule| rule.tag.trim().is_empty()) {
            faults.add("second_opinion", "rules", "a rule names no tag");
        }
        let rule = |rule: RuleSection| Rule {
            tag: rule.tag,
            wish: rule.second_opinion,
            zones: rule.zones.iter().map(|zone| Zone::from(zone.as_str())).collect(),
        };
        let choice = Choice { default: self.default, rules: self.rules.into_iter().map(rule).collect() };
        SecondOpinion { choice, guard, sample_each }
    }
}
