//! `type = "slack"`: an incoming webhook, or a bot's token and a channel.

use std::path::{Path, PathBuf};

use komainu_notifiers::Secret;
use komainu_notifiers::slack::{Access, Config, DEFAULT_API_URL};
use serde::Deserialize;

use crate::config::fault::{Faults, FieldPlace};
use crate::config::{secret, shape};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    webhook_url: Option<String>,
    webhook_url_file: Option<PathBuf>,
    bot_token: Option<String>,
    bot_token_file: Option<PathBuf>,
    channel: Option<String>,
    api_url: Option<String>,
}

impl Section {
    pub(super) fn resolve(self, place: FieldPlace<'_>, folder: &Path, faults: &mut Faults) -> Option<Config> {
        let webhook =
            secret::Secret { place, name: "webhook_url", inline: self.webhook_url, file: self.webhook_url_file };
        let bot = secret::Secret { place, name: "bot_token", inline: self.bot_token, file: self.bot_token_file };
        let access = match (webhook.is_given(), bot.is_given()) {
            (true, false) => {
                if self.channel.is_some() || self.api_url.is_some() {
                    let key = if self.channel.is_some() { "channel" } else { "api_url" };
                    faults.add(place, key, "goes with bot_token_file; a webhook's URL decides by itself");
                }
                Access::Webhook { url: Secret::new(webhook.read(folder, faults, shape::parse_secret_url)?) }
            }
            (false, true) => {
                let token = bot.read(folder, faults, shape::parse_word);
                let channel = self.channel.filter(|channel| !channel.is_empty());
                if channel.is_none() {
                    faults.add(place, "channel", "is missing: the channel's id (C0123456789) or name (#ops)");
                }
                let api_url = self.api_url.unwrap_or_else(|| DEFAULT_API_URL.to_owned());
                let api_url = faults.note(place, "api_url", shape::parse_web_url(&api_url));
                Access::Bot { token: Secret::new(token?), channel: channel?, api_url: api_url? }
            }
            (true, true) => {
                faults.add(place, "bot_token_file", "webhook_url and bot_token are both given; keep one");
                return None;
            }
            (false, false) => {
                faults.add(
                    place,
                    "webhook_url_file",
                    "is missing: an incoming webhook's URL; or bot_token_file and channel",
                );
                return None;
            }
        };
        Some(Config { access })
    }
}
