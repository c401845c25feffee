//! What a task that tries the same thing again and again says of its failures: the first in a row is a warning, for somebody
//! should look; those that follow say nothing new.

use std::fmt::Display;

/// Whether the last attempt failed.
#[derive(Default)]
pub(crate) struct Failing(bool);

impl Failing {
    /// Notes how an attempt ended, and logs its failure; `what` says what could not be done. `None`: it failed.
    pub(crate) fn note<T>(&mut self, attempt: Result<T, impl Display>, what: &str) -> Option<T> {
        let was_failing = std::mem::replace(&mut self.0, attempt.is_err());
        match attempt {
            Ok(done) => Some(done),
            Err(error) if was_failing => {
                tracing::debug!(%error, "{what}");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "{what}");
                None
            }
        }
    }
}
