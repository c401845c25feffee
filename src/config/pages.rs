//! `[pages]`: how people who subscribed to public pages are told.

use komainu_notifiers::{Settings, mail};
use serde::Deserialize;

use super::channel::{ChannelConfig, unknown};
use super::fault::Faults;

/// As much as a small mail server of one's own, and most providers' cheapest plan, take: 10,000 subscribers hear of something within 17 minutes.
const MAILS_PER_SECOND: u32 = 10;

/// More than that is a bulk sender's business, and would keep the database busy.
const MOST_MAILS_PER_SECOND: u32 = 200;

/// Of the subscriptions of public pages.
#[derive(Clone, Debug, Default)]
pub struct PagesConfig {
    /// The channel whose server and sender mails to subscribers have.
    pub mail: Option<(String, mail::Config)>,
    /// Of all watchdogs together.
    pub mails_per_second: u32,
    /// Strangers may have webhooks on loopback and private addresses.
    pub private_webhooks: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    mail: Option<String>,
    mails_per_second: Option<u32>,
    private_webhooks: bool,
}

impl Section {
    pub(super) fn resolve(self, channels: &[ChannelConfig], faults: &mut Faults) -> Option<PagesConfig> {
        let mails_per_second = self.mails_per_second.unwrap_or(MAILS_PER_SECOND);
        if !(1..=MOST_MAILS_PER_SECOND).contains(&mails_per_second) {
            faults.add("pages", "mails_per_second", format!("must be from 1 to {MOST_MAILS_PER_SECOND}"));
        }
        let mail = match self.mail {
            Some(name) => Some(faults.note("pages", "mail", mail_of(name, channels))?),
            None => None,
        };
        Some(PagesConfig { mail, mails_per_second, private_webhooks: self.private_webhooks })
    }
}

fn mail_of(name: String, channels: &[ChannelConfig]) -> Result<(String, mail::Config), String> {
    let Some(channel) = channels.iter().find(|channel| channel.name == name) else {
        return Err(unknown(&name, channels.iter().map(|channel| channel.name.as_str())));
    };
    match &channel.settings {
        Settings::Mail(config) => Ok((name, config.clone())),
        Settings::Slack(_) | Settings::Pushbullet(_) | Settings::Webhook(_) | Settings::Template(_) => {
            Err(format!("the [[channel]] \"{name}\" is no mail; subscribers are told through one of type = \"mail\""))
        }
    }
}
