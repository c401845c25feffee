//! One configured channel, whatever its vendor.

use std::time::Duration;

use jiff::tz::TimeZone;
use thiserror::Error;

use crate::{DeliveryError, Notice, Receipt, mail, pushbullet, slack, template, webhook};

/// Longest that one message may take, mail aside; a Slack bot then edits headlines for a moment more. A claim in the outbox lasts 30 s; less than half of it leaves time to
/// say how it ended.
pub const SEND_LIMIT: Duration = Duration::from_millis(11_500);

/// What a channel of each type is told by the configuration.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Slack, or a server that takes Slack's incoming webhooks.
    Slack(slack::Config),
    /// Mail over SMTP.
    Mail(mail::Config),
    /// Pushbullet.
    Pushbullet(pushbullet::Config),
    /// A program of one's own.
    Webhook(webhook::Config),
    /// Any vendor that takes an HTTP request.
    Template(template::Config),
}

/// Why a channel cannot be made of its settings.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The certificates it is to trust are not usable.
    #[error("cannot prepare TLS")]
    PrepareTls(#[source] lettre::transport::smtp::Error),
}

/// A channel that messages can be sent through.
#[derive(Debug)]
pub struct Channel {
    name: String,
    sender: Sender,
    http: reqwest::Client,
    wall_ms: fn() -> i64,
    /// Where its readers are.
    time_zone: Option<TimeZone>,
}

#[derive(Debug)]
enum Sender {
    Slack(slack::Config),
    Mail(Box<mail::Courier>),
    Pushbullet(pushbullet::Config),
    Webhook(webhook::Config),
    Template(template::Config),
}

impl Channel {
    /// A channel with that name. The client must follow no redirects and bound how long connecting takes; `wall_ms` tells
    /// the time in milliseconds UTC.
    pub fn new(
        name: impl Into<String>,
        settings: Settings,
        http: reqwest::Client,
        wall_ms: fn() -> i64,
    ) -> Result<Self, ChannelError> {
        let sender = match settings {
            Settings::Slack(config) => Sender::Slack(config),
            Settings::Mail(config) => {
                Sender::Mail(Box::new(mail::Courier::new(config).map_err(ChannelError::PrepareTls)?))
            }
            Settings::Pushbullet(config) => Sender::Pushbullet(config),
            Settings::Webhook(config) => Sender::Webhook(config),
            Settings::Template(config) => Sender::Template(config),
        };
        Ok(Self { name: name.into(), sender, http, wall_ms, time_zone: None })
    }

    /// The same for readers who live there: times are said as they read them.
    #[must_use]
    pub fn read_in(self, time_zone: Option<TimeZone>) -> Self {
        Self { time_zone, ..self }
    }

    /// As the configuration calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Least time between the beginnings of two messages.
    pub fn min_interval(&self) -> Duration {
        match &self.sender {
            // "1 message per second" per webhook and per channel: <https://docs.slack.dev/apis/web-api/rate-limits>
            Sender::Slack(_) => Duration::from_secs(1),
            Sender::Template(config) => config.min_interval(),
            Sender::Mail(_) | Sender::Pushbullet(_) | Sender::Webhook(_) => Duration::ZERO,
        }
    }

    /// The vendor takes one incident at a time: several had better be several messages.
    pub fn takes_one_incident(&self) -> bool {
        match &self.sender {
            Sender::Template(config) => config.takes_one_incident(),
            Sender::Slack(_) | Sender::Mail(_) | Sender::Pushbullet(_) | Sender::Webhook(_) => false,
        }
    }

    /// What was told stands at the vendor until its end is told: a test has to end, too.
    pub fn remembers(&self) -> bool {
        match &self.sender {
            Sender::Template(config) => config.remembers(),
            Sender::Slack(_) | Sender::Mail(_) | Sender::Pushbullet(_) | Sender::Webhook(_) => false,
        }
    }

    /// Longest that one message may take. Whoever waits longer than [`SEND_LIMIT`] keeps its claim alive meanwhile.
    pub fn longest(&self) -> Duration {
        match &self.sender {
            Sender::Mail(courier) => courier.longest(),
            // Whoever was told must not be told again because headlines took long.
            Sender::Slack(_) => SEND_LIMIT + slack::EDITS_LIMIT,
            Sender::Pushbullet(_) | Sender::Webhook(_) | Sender::Template(_) => SEND_LIMIT,
        }
    }

    /// Takes a message back that was only a drill, within [`Self::longest`], as far as the vendor allows: a message of a bot and a push are deleted,
    /// and what a vendor would keep until its end is told ends. `false`: it stays.
    pub async fn take_back(&self, notice: &Notice, receipt: &Receipt) -> Result<bool, DeliveryError> {
        let (now_ms, place) = ((self.wall_ms)(), receipt.vendor_ref.as_deref());
        match &self.sender {
            Sender::Slack(config) => slack::delete(config, place, &self.http, now_ms).await,
            Sender::Pushbullet(config) => pushbullet::delete(config, place, &self.http, now_ms).await,
            Sender::Template(config) if config.remembers() => {
                Box::pin(template::send(config, &notice.over(now_ms), &self.http, now_ms)).await.map(|_| true)
            }
            Sender::Mail(_) | Sender::Webhook(_) | Sender::Template(_) => Ok(false),
        }
    }

    /// Hands one message to the vendor, within [`Self::longest`].
    pub async fn send(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let now_ms = (self.wall_ms)();
        let notice = &Notice { time_zone: self.time_zone.clone(), ..notice.clone() };
        let attempt = async {
            match &self.sender {
                Sender::Slack(config) => slack::send(config, notice, &self.http, now_ms).await,
                Sender::Mail(courier) => Box::pin(courier.send(notice, now_ms)).await,
                Sender::Pushbullet(config) => pushbullet::send(config, notice, &self.http, now_ms).await,
                Sender::Webhook(config) => webhook::send(config, notice, &self.http, now_ms).await,
                Sender::Template(config) => Box::pin(template::send(config, notice, &self.http, now_ms)).await,
            }
        };
        let limit = self.longest();
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            Err(DeliveryError::Unanswered { reason: format!("no answer within {} ms", limit.as_millis()) })
        })
    }
}
