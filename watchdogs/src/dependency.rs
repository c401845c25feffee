//! What depends on what, as people declare it: which declarations are refused.
//!
//! Pure. A declaration says that trouble of one thing is explained by trouble of another, which is looked at alone
//! ([`crate::outbox`]). Things that explain each other in a circle would explain nothing, so a circle is refused, by the path that
//! closes it.

use std::collections::{BTreeMap, BTreeSet};

/// Causes of one thing.
pub const MOST_CAUSES: usize = 10;

/// What may depend, and be depended on, by the first part of its key.
pub const KINDS: [&str; 4] = ["monitor", "check", "heartbeat", "node"];

/// What each depends on.
pub type Causes = BTreeMap<String, BTreeSet<String>>;

/// The way from something back to itself, beginning and ending with it; `None`: there is none.
pub fn circle(causes: &Causes, from: &str) -> Option<Vec<String>> {
    // How each was reached first. By the shortest way, so that the path reads easily.
    let mut reached_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = vec![from];
    while !next.is_empty() {
        let mut after = vec![];
        for here in next {
            for cause in causes.get(here).into_iter().flatten() {
                if cause == from {
                    return Some(way_back(&reached_from, here, from));
                }
                if !reached_from.contains_key(cause.as_str()) {
                    reached_from.insert(cause, here);
                    after.push(cause.as_str());
                }
            }
        }
        next = after;
    }
    None
}

fn way_back(reached_from: &BTreeMap<&str, &str>, last: &str, from: &str) -> Vec<String> {
    let mut way = vec![from.to_owned()];
    let mut at = last;
    while at != from {
        way.push(at.to_owned());
        let Some(before) = reached_from.get(at) else { break };
        at = before;
    }
    way.push(from.to_owned());
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(pairs: &[(&str, &str)]) -> Causes {
        let mut causes = Causes::new();
        for (child, cause) in pairs {
            causes.entry((*child).to_owned()).or_default().insert((*cause).to_owned());
        }
        causes
    }

    #[test]
    fn a_circle_is_named_by_its_path() {
        let all = causes(&[("a", "b"), ("b", "c"), ("b", "d"), ("d", "a"), ("c", "e")]);
        assert_eq!(circle(&all, "a").unwrap(), ["a", "b", "d", "a"]);
        assert_eq!(circle(&all, "b").unwrap(), ["b", "d", "a", "b"]);
        assert_eq!(circle(&causes(&[("a", "a")]), "a").unwrap(), ["a", "a"]);
    }

    #[test]
    fn several_ways_to_the_same_cause_are_no_circle() {
        let all = causes(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]);
        for from in ["a", "b", "c", "d"] {
            assert_eq!(circle(&all, from), None);
        }
    }

    #[test]
    fn a_circle_elsewhere_is_walked_once() {
        assert_eq!(circle(&causes(&[("a", "b"), ("b", "c"), ("c", "b")]), "a"), None);
    }
}
