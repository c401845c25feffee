//! Vendors that many have, as drafts that only want a token or an address. Each file says whose documentation it follows.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Draft;

/// Their names.
pub const NAMES: [&str; 8] = ["alertmanager", "discord", "gotify", "matrix", "ntfy", "pagerduty", "teams", "telegram"];

/// The text of one, to be read and to be copied.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        "alertmanager" => include_str!("presets/alertmanager.toml"),
        "discord" => include_str!("presets/discord.toml"),
        "gotify" => include_str!("presets/gotify.toml"),
        "matrix" => include_str!("presets/matrix.toml"),
        "ntfy" => include_str!("presets/ntfy.toml"),
        "pagerduty" => include_str!("presets/pagerduty.toml"),
        "teams" => include_str!("presets/teams.toml"),
        "telegram" => include_str!("presets/telegram.toml"),
        _ => return None,
    })
}

/// The draft of one; `None`: there is none of that name.
#[must_use]
pub fn named(name: &str) -> Option<Draft> {
    read(text(name)?).ok()
}

fn read(text: &str) -> Result<Draft, toml::de::Error> {
    let mut keys: toml::Table = toml::from_str(text)?;
    let needs = keys.remove("needs").map(BTreeMap::deserialize).transpose()?.unwrap_or_default();
    Ok(Draft { needs, ..keys.try_into()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read_and_says_what_it_needs() {
        for name in NAMES {
            let draft = read(text(name).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!draft.needs.is_empty(), "{name}");
            let faults = Draft { preset: Some(name.to_owned()), ..Draft::default() }.completed().unwrap_err();
            let keys: Vec<_> = faults.iter().map(|fault| fault.key.clone()).collect();
            assert_eq!(
                keys,
                draft.needs.into_keys().filter(|key| key != "url" || draft.url.is_none()).collect::<Vec<_>>(),
                "{name}"
            );
        }
        assert!(named("carrier-pigeon").is_none());
    }
}
