//! The channels of the configuration, ready to send.
//!
//! Owns the one HTTP client that they share. What is said through which of them, and when, is the outbox's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use komainu_notifiers::channel::SEND_LIMIT;
use komainu_notifiers::{Channel, ChannelError, DeliveryError, Notice, Receipt};
use thiserror::Error;

use crate::config::ChannelConfig;
use crate::outbox::{Calendar, Outlet, Sends};
use crate::{clock, probe};

/// Whom a host does not reach in this time, another watchdog had better try.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why channels cannot be made ready.
#[derive(Debug, Error)]
pub enum ChannelsError {
    /// The HTTP client cannot be built.
    #[error("cannot prepare HTTP for the channels")]
    PrepareHttp(#[source] reqwest::Error),
    /// One of them cannot.
    #[error("cannot prepare channel {name}")]
    Prepare {
        /// The channel's name.
        name: String,
        /// What is wrong with it.
        source: ChannelError,
    },
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The way to the vendor.
    pub channel: Arc<Channel>,
    /// Gets what this one refuses for good.
    pub fallback: Option<String>,
    /// What it is told although nothing is wrong.
    pub calendar: Calendar,
}

/// All of them, by name.
#[derive(Clone, Debug, Default)]
pub struct Channels(BTreeMap<String, Ready>);

impl Channels {
    /// Prepares every channel of the configuration; sends nothing.
    pub fn prepare(configs: &[ChannelConfig]) -> Result<Self, ChannelsError> {
        let http = client().map_err(ChannelsError::PrepareHttp)?;
        let prepare = |config: &ChannelConfig| {
            let name = config.name.clone();
            let channel = Channel::new(&name, config.settings.clone(), http.clone(), || clock::wall().0)
                .map_err(|source| ChannelsError::Prepare { name: name.clone(), source })?
                .read_in(config.time_zone.clone());
            let (fallback, calendar) = (config.fallback.clone(), config.calendar.clone());
            Ok((name, Ready { channel: Arc::new(channel), fallback, calendar }))
        };
        configs.iter().map(prepare).collect::<Result<_, _>>().map(Self)
    }

    /// The channel of that name.
    pub fn named(&self, name: &str) -> Option<&Ready> {
        self.0.get(name)
    }

    /// As the outbox knows them.
    pub fn outlets(&self) -> BTreeMap<String, Outlet> {
        let outlet = |ready: &Ready| {
            let channel = Arc::<Channel>::clone(&ready.channel);
            Outlet { channel, fallback: ready.fallback.clone(), calendar: ready.calendar.clone() }
        };
        self.0.iter().map(|(name, ready)| (name.clone(), outlet(ready))).collect()
    }

    /// All, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Ready)> {
        self.0.iter().map(|(name, ready)| (name.as_str(), ready))
    }
}

impl Sends for Channel {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        Box::pin(Self::send(self, notice))
    }

    fn take_back<'a>(&'a self, notice: &'a Notice, receipt: &'a Receipt) -> BoxFuture<'a, Result<bool, DeliveryError>> {
        Box::pin(Self::take_back(self, notice, receipt))
    }

    fn longest(&self) -> Duration {
        Self::longest(self)
    }

    fn min_interval(&self) -> Duration {
        Self::min_interval(self)
    }

    fn takes_one_incident(&self) -> bool {
        Self::takes_one_incident(self)
    }
}

/// Unlike the probes' client this one takes the proxy of the environment (`HTTPS_PROXY`, `NO_PROXY`): many companies let
/// nothing out but through one. No connection is kept: one that died unnoticed would look like a message without answer.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(probe::tls())
        .connect_timeout(CONNECT_LIMIT)
        .timeout(SEND_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        // A few bytes could stand for gigabytes.
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .user_agent(concat!("komainu/", env!("CARGO_PKG_VERSION")))
        .build()
}
