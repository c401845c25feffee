//! What is kept secret of a monitor, and how an address is shown without who signs in. Which column is which stands in
//! [`super::rules`].

use serde_json::{Value as Json, json};
use url::Url;

/// Who may see what a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrecy {
    /// Whoever may read.
    Open,
    /// An address, open but for the user and password in it.
    Address,
    /// What lets one push: whoever may write.
    Token,
    /// An admin who asks for it.
    Secret,
}

/// Stands for a user and a password that are not shown.
const VEIL: &str = "not-shown";

/// An address without the user and password in it; anything else as it is.
pub fn veiled(value: &Json) -> Json {
    match parsed(value) {
        Some(mut url) if has_credentials(&url) => {
            // Addresses that cannot have them were sorted out.
            let _veiled = url.set_password(None).and_then(|()| url.set_username(VEIL));
            json!(url.as_str())
        }
        Some(_) | None => value.clone(),
    }
}

/// Whether an address holds a user or password, which readers do not see.
pub fn holds_credentials(value: &Json) -> bool {
    parsed(value).is_some_and(|url| has_credentials(&url))
}

/// Whether an address is one that was veiled, and would lose its user and password if it were stored.
pub(super) fn is_veiled(url: &Url) -> bool {
    url.username() == VEIL
}

fn parsed(value: &Json) -> Option<Url> {
    Url::parse(value.as_str()?).ok()
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::{known_columns, secrecy};
    use super::*;

    #[test]
    fn what_sounds_like_a_secret_is_declared() {
        let sounds = ["pass", "secret", "token", "key", "sasl", "metadata", "connection_string"];
        // A public address, a name of a phrase to look for, a public certificate's name.
        let open = ["oauth_token_url", "keyword", "invert_keyword"];
        for column in known_columns().filter(|column| !open.contains(column)) {
            let is_one = sounds.iter().any(|sound| column.contains(sound));
            assert!(!is_one || secrecy(column) != Secrecy::Open, "{column}");
        }
    }

    #[test]
    fn an_address_is_shown_without_who_signs_in() {
        for (address, shown) in [
            ("http://joe:s3@host/a?b", "http://not-shown@host/a?b"),
            ("https://token@host/", "https://not-shown@host/"),
            ("https://host/a", "https://host/a"),
            ("no address", "no address"),
        ] {
            assert_eq!(veiled(&json!(address)), json!(shown));
        }
        assert_eq!(veiled(&Json::Null), Json::Null);
    }
}
