//! The boundary to the channels.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use komainu_notifiers::{Channel, DeliveryError, Notice, Receipt};

use crate::config::ChannelConfig;
use crate::{clock, probe};

/// A channel's own limit for one message is shorter.
const HTTP_TIMEOUT: Duration = Duration::from_secs(12);

/// Who carries messages.
pub trait Voice: Send + Sync + 'static {
    /// Sends a notice through the channel of this name, within its own time limit.
    fn send(&self, channel: &str, notice: &Notice) -> impl Future<Output = Result<Receipt, DeliveryError>> + Send;

    /// The channel that takes over for this one.
    fn fallback(&self, channel: &str) -> Option<String>;
}

/// The configured channels, by name.
#[derive(Debug, Default)]
pub struct Channels(BTreeMap<String, (Channel, Option<String>)>);

impl Channels {
    /// Makes them all.
    pub fn new(configured: &[ChannelConfig]) -> anyhow::Result<Self> {
        let http = probe::client(HTTP_TIMEOUT)?;
        let made = configured.iter().map(|config| {
            let name = config.name.clone();
            let channel = Channel::new(name.clone(), config.settings.clone(), http.clone(), || clock::wall().0)?;
            Ok((name, (channel, config.fallback.clone())))
        });
        made.collect::<anyhow::Result<_>>().map(Self)
    }
}

impl Voice for Channels {
    async fn send(&self, channel: &str, notice: &Notice) -> Result<Receipt, DeliveryError> {
        match self.0.get(channel) {
            Some((channel, _)) => channel.send(notice).await,
            None => Err(DeliveryError::Permanent { reason: format!("there is no channel {channel}") }),
        }
    }

    fn fallback(&self, channel: &str) -> Option<String> {
        self.0.get(channel).and_then(|(_, fallback)| fallback.clone())
    }
}
