//! The boundary to the channels.

use std::future::Future;

use komainu_notifiers::{DeliveryError, Notice, Receipt};

/// Who carries messages.
pub trait Voice: Send + Sync + 'static {
    /// Sends a notice through the channel of this name, within its own time limit.
    fn send(&self, channel: &str, notice: &Notice) -> impl Future<Output = Result<Receipt, DeliveryError>> + Send;

    /// The channel that takes over for this one.
    fn fallback(&self, channel: &str) -> Option<String>;
}
