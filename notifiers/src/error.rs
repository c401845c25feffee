//! Why a message was not delivered, in the four ways that call for different acts.

use std::time::Duration;

use thiserror::Error;

/// An error with all its causes, in one line: for a log, and for answers that are texts.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A message that did not arrive. Never holds a secret or a full webhook URL.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DeliveryError {
    /// Trying again will not help: refused credentials, unknown address, malformed request. Somebody has to act.
    #[error("{reason}")]
    Permanent {
        /// In the vendor's own words where it gave any.
        reason: String,
    },
    /// The vendor was reached and may take it later: 429, 5xx, a greylisting mail server.
    #[error("{reason}")]
    Retryable {
        /// In the vendor's own words where it gave any.
        reason: String,
        /// As the vendor asked (`Retry-After`).
        after: Option<Duration>,
    },
    /// The message left and no answer came back: it may have arrived. Another watchdog may try at once, and has to say that
    /// it may be a repetition.
    #[error("{reason}")]
    Unanswered {
        /// What happened instead of an answer.
        reason: String,
    },
    /// The vendor was not reached from this host, and nothing was told: another watchdog may try at once.
    #[error("{reason}")]
    Unreached {
        /// What failed: name resolution, connection, TLS, time.
        reason: String,
    },
}
