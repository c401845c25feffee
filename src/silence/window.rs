//! Maintenance windows: silences by what is worked on, under a name, and with words for the public where people wish it.
//!
//! A window takes what any of its subjects has to do with, where a silence takes what all of its matchers take. How it holds, and what is
//! told when it ends, is the same.

use std::collections::BTreeSet;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use super::Labels;

/// Windows that are not over, at one time.
pub const MOST_WINDOWS: u32 = 200;

/// Subjects of one window.
pub const MOST_SUBJECTS: usize = 500;

/// The end of one that comes again until somebody ends it: the last second of 2099. It holds nothing but within its times.
pub const NEVER: Wall = Wall(4_102_444_799_999);

/// What a window can be for, as the first part of a subject.
pub const KINDS: [&str; 5] = ["monitor", "check", "heartbeat", "node", "tag"];

/// What makes a silence a maintenance window.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Each has its own.
    pub name: String,
    /// `monitor/7`, `check/shop`, `heartbeat/backup`, `node/node1`, `tag/shop`.
    pub subjects: BTreeSet<String>,
    /// What public pages say of it; `None`: nothing.
    pub public: Option<PublicWords>,
    /// The set of a file that it belongs to.
    pub managed_by: Option<String>,
}

/// What the public reads of a window. The window's own title, its name and its subjects stay private.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicWords {
    /// In one line.
    pub title: String,
    /// Empty: nothing more.
    pub text: String,
}

impl Window {
    /// Whether one of its subjects has to do with what bears these labels. A node's window takes what is wrong with the node, and with the
    /// monitors that it runs now: those that another one took over are told of.
    pub fn takes(&self, labels: &Labels<'_>) -> bool {
        let is_subject = |kind: &str, name: &str| self.subjects.contains(&format!("{kind}/{name}"));
        let about = labels.key.split_once('/').map_or("", |(_, about)| about);
        let is_itself = match labels.kind() {
            "monitor" | "check" | "heartbeat" => self.subjects.contains(labels.key),
            "partial" => is_subject("check", about),
            "disagreement" if about.starts_with("monitor/") => self.subjects.contains(about),
            "node" | "progress" | "clock" | "disagreement" => is_subject("node", about),
            _ => false,
        };
        is_itself
            || labels.node.is_some_and(|node| is_subject("node", node))
            || labels.tags.iter().any(|tag| is_subject("tag", tag))
    }
}

/// Why this is no subject.
pub fn fault_of_subject(subject: &str) -> Option<String> {
    let is_known = |(kind, name): (&str, &str)| KINDS.contains(&kind) && !name.is_empty();
    let is_one = subject.split_once('/').is_some_and(is_known) && subject.len() <= 300;
    let words = || format!("\"{subject}\" must be monitor/ID, check/NAME, heartbeat/NAME, node/ID or tag/TAG");
    (!is_one).then(words)
}
