//! What is said of a target: a status and a message.

use std::fmt;

use serde::Deserialize;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Up,
    Down,
    Pending,
}

/// `says`: the message, or as much of it as the table gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Verdict {
    pub(crate) status: Option<Status>,
    pub(crate) says: Option<String>,
}

impl Verdict {
    /// Whether this is what was expected; a message is only looked for where one is expected.
    pub(crate) fn holds(&self, found: &Self) -> bool {
        let says = found.says.as_deref().unwrap_or_default();
        self.status == found.status && self.says.as_deref().is_none_or(|expected| says.contains(expected))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = self.says.as_deref().unwrap_or_default();
        match self.status {
            Some(status) => write!(f, "{status:?} {says:?}"),
            None => write!(f, "nothing: {says}"),
        }
    }
}
