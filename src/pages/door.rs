//! Who may see a page that asks for a password: a signed cookie of whoever entered it, or Basic authentication of a program.
//!
//! The cookie follows from the cluster's key, the page and the password's hash: any watchdog knows it, and another password ends it.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

use crate::keys::{ClusterKey, hmac};

/// A month.
const LASTS_S: u32 = 30 * 86_400;

const NAME: &str = "komainu_page";

/// The key, the place of the page, the hash of its password.
type Lock<'a> = (&'a ClusterKey, &'a str, &'a str);

fn mac((key, slug, password): Lock<'_>) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = hmac(&key.page_key("opened"));
    mac.update(slug.as_bytes());
    mac.update(b"\0");
    mac.update(password.as_bytes());
    mac
}

/// The header that gives it to the browser.
pub(super) fn cookie(lock: Lock<'_>, is_private: bool) -> HeaderValue {
    let (signature, slug) = (hex::encode(mac(lock).finalize().into_bytes()), lock.1);
    let secure = if is_private { "; Secure" } else { "" };
    let text = format!("{NAME}={signature}; Path=/pages/{slug}; Max-Age={LASTS_S}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether the browser sent it.
pub(super) fn has_cookie(headers: &HeaderMap, lock: Lock<'_>) -> bool {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut ours = cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    ours.any(|(name, value)| {
        name == NAME && hex::decode(value).is_ok_and(|signature| mac(lock).verify_slice(&signature).is_ok())
    })
}

/// The password of Basic authentication, whatever the user is called.
pub(super) fn basic(headers: &HeaderMap) -> Option<String> {
    let (scheme, said) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let said = STANDARD.decode(said.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let said = String::from_utf8(said).ok()?;
    said.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_opens_its_page_until_the_password_changes() {
        let key = ClusterKey::parse(&"a".repeat(64)).unwrap();
        let set = cookie((&key, "shop", "hash"), true);
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {NAME}=00; {pair}")).unwrap());
        assert!(has_cookie(&headers, (&key, "shop", "hash")));
        assert!(!has_cookie(&headers, (&key, "shop", "other")) && !has_cookie(&headers, (&key, "mail", "hash")));
        assert!(set.to_str().unwrap().ends_with("; Path=/pages/shop; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"));
    }
}
