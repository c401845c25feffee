//! What templates can do to a value, beyond Jinja's own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::tz::TimeZone;
use minijinja::{Environment, Error, ErrorKind};
use sha2::Sha256;

use super::facts::rfc3339;
use crate::words;

pub(super) fn add_to(templates: &mut Environment<'static>) {
    templates.add_filter("clip", clip);
    templates.add_filter("time", time);
    templates.add_filter("rfc3339", rfc3339);
    templates.add_filter("hmac_sha256", |text: &str, key: &str| hex::encode(signed(text, key)));
    templates.add_filter("hmac_sha256_base64", |text: &str, key: &str| STANDARD.encode(signed(text, key)));
    templates.add_filter("base64", |text: &str| STANDARD.encode(text));
}

/// `{{ text | clip(4000) }}`: so many characters at most.
fn clip(text: &str, chars: usize) -> String {
    words::clip(text, chars)
}

/// `{{ item.opened_at_ms | time("Europe/Berlin") }}`: as people there read it; UTC unless a zone is named.
fn time(at_ms: i64, zone: Option<&str>) -> Result<String, Error> {
    let unknown = |name: &str, error: jiff::Error| {
        Error::new(ErrorKind::InvalidOperation, format!("time zone \"{name}\": {error}"))
    };
    let zone = zone.map(|name| TimeZone::get(name).map_err(|error| unknown(name, error))).transpose()?;
    Ok(words::time(at_ms, zone.as_ref()))
}

fn signed(text: &str, key: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
