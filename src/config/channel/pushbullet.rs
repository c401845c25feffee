//! `type = "pushbullet"`: an access token, and which of its devices or people get the push.

use std::path::{Path, PathBuf};

use komainu_notifiers::Secret;
use komainu_notifiers::pushbullet::{Config, DEFAULT_API_URL, Target};
use serde::Deserialize;

use crate::config::fault::{Faults, FieldPlace};
use crate::config::{secret, shape};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    token: Option<String>,
    token_file: Option<PathBuf>,
    device: Option<String>,
    email: Option<String>,
    channel_tag: Option<String>,
    api_url: Option<String>,
}

impl Section {
    pub(super) fn resolve(self, place: FieldPlace<'_>, folder: &Path, faults: &mut Faults) -> Option<Config> {
        let token = secret::Secret { place, name: "token", inline: self.token, file: self.token_file };
        if !token.is_given() {
            faults.add(
                place,
                "token_file",
                "is missing: a file with an access token of pushbullet.com/#settings/account",
            );
        }
        let token = token.read(folder, faults, shape::parse_word);
        let target = match (self.device, self.email, self.channel_tag) {
            (None, None, None) => Some(Target::AllDevices),
            (Some(device), None, None) => Some(Target::Device(device)),
            (None, Some(email), None) => Some(Target::Email(email)),
            (None, None, Some(tag)) => Some(Target::ChannelTag(tag)),
            _ => {
                faults.add(place, "device", "device, email and channel_tag are targets; keep one");
                None
            }
        };
        let api_url = self.api_url.unwrap_or_else(|| DEFAULT_API_URL.to_owned());
        let api_url = faults.note(place, "api_url", shape::parse_web_url(&api_url));
        Some(Config { token: Secret::new(token?), target: target?, api_url: api_url? })
    }
}
