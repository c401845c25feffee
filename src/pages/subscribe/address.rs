//! What a stranger may give as an address, and what it is known as. Pure.
//!
//! An address goes into the dialogue with a mail server and into headers, or is called: what could mean more than one address there is refused,
//! not repaired. Known it is by keyed hashes: one per page, so that it is there once, and one for whose it is, so that nobody is written to by way
//! of many pages or of `victim+1`, `victim+2`.

use std::net::IpAddr;

use hmac::Mac;
use komainu_notifiers::mail;
use url::{Host, Url};

use crate::check::Guard;
use crate::keys::{ClusterKey, hmac};
use crate::pages::Way;

/// RFC 5321, section 4.5.3.1.
const MOST_USER: usize = 64;
const MOST_MAIL: usize = 254;

/// As long as servers take one.
const MOST_URL: usize = 2_000;

/// Ports below this are other services': a call there would be taken for something else.
const FIRST_FREE_PORT: u16 = 1_024;

/// One that may be written to or called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    pub(crate) way: Way,
    /// As it is stored and used.
    pub(crate) text: String,
    /// Whose it is.
    person: String,
}

/// Whom addresses are judged for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    pub(crate) guard: &'a Guard,
    pub(crate) may_be_private: bool,
}

/// What a page knows an address by.
pub(crate) struct Hashes {
    pub(crate) address: String,
    pub(crate) person: String,
}

impl Address {
    /// `None`: not to be written to, or called.
    pub(crate) fn parse(way: Way, text: &str, bounds: Bounds<'_>) -> Option<Self> {
        match way {
            Way::Mail => Self::mail(text.trim()),
            Way::Webhook => Self::webhook(text.trim(), bounds),
        }
    }

    fn mail(text: &str) -> Option<Self> {
        // Signs that end a word, a header, or an address in a list, and letters that are not seen.
        let is_fit = |letter: char| {
            if letter.is_ascii() {
                letter.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(letter)
            } else {
                letter.is_alphanumeric()
            }
        };
        if text.len() > 4 * MOST_MAIL || !text.chars().all(is_fit) {
            return None;
        }
        let mailbox = mail::mailbox(text).ok().filter(|mailbox| mailbox.name.is_none())?;
        let (user, domain) = (mailbox.email.user(), mailbox.email.domain().to_ascii_lowercase());
        let last = domain.rsplit_once('.').map(|(_, last)| last)?;
        let is_name = last.bytes().any(|byte| byte.is_ascii_alphabetic()) && domain.is_ascii();
        let text = format!("{user}@{domain}");
        if user.len() > MOST_USER || text.len() > MOST_MAIL || !is_name {
            return None;
        }
        let (box_of, _) = user.split_once('+').unwrap_or((user, ""));
        let person = format!("{}@{domain}", box_of.to_lowercase());
        Some(Self { way: Way::Mail, text, person })
    }

    fn webhook(text: &str, bounds: Bounds<'_>) -> Option<Self> {
        if text.len() > MOST_URL {
            return None;
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let port = url.port_or_known_default()?;
        let is_usual = bounds.may_be_private || port == 80 || port == 443 || port >= FIRST_FREE_PORT;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !is_usual || !is_bare || !is_allowed(&url, bounds) {
            return None;
        }
        let person = format!("{}:{port}", url.host_str()?);
        Some(Self { way: Way::Webhook, text: url.to_string(), person })
    }

    /// What it is known by on this page, and everywhere.
    pub(crate) fn hashes(&self, key: &ClusterKey, slug: &str) -> Hashes {
        // Users differ by case for hardly any server, and a second subscription for the other case helps nobody.
        let known = if self.way == Way::Mail { self.text.to_lowercase() } else { self.text.clone() };
        let of = |purpose: &str, parts: [&str; 3]| {
            let mut mac = hmac(&key.page_key(purpose));
            for part in parts {
                mac.update(part.as_bytes());
                mac.update(b"\0");
            }
            hex::encode(mac.finalize().into_bytes())
        };
        Hashes {
            address: of("subscriber", [slug, self.way.as_str(), &known]),
            person: of("subscribing person", ["", self.way.as_str(), &self.person]),
        }
    }
}

/// Names are looked at where they are resolved; an address that stands there itself is looked at here.
pub(crate) fn is_allowed(url: &Url, bounds: Bounds<'_>) -> bool {
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return false,
    };
    address.is_none_or(|address| bounds.guard.refuses_strangers(address, bounds.may_be_private).is_none())
}

/// An address for those who may not see it.
pub(crate) fn masked(way: Way, text: &str) -> String {
    match way {
        Way::Mail => {
            let (user, domain) = text.split_once('@').unwrap_or((text, ""));
            let first: String = user.chars().take(1).collect();
            let last = domain.rsplit_once('.').map_or("", |(_, last)| last);
            format!("{first}…@….{last}")
        }
        Way::Webhook => {
            let url = Url::parse(text).ok();
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
            format!("{}://{host}/…", url.as_ref().map_or("", Url::scheme))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(way: Way, text: &str, may_be_private: bool) -> Option<String> {
        let guard = Guard::default();
        Address::parse(way, text, Bounds { guard: &guard, may_be_private }).map(|address| address.text)
    }

    #[test]
    fn what_could_mean_more_than_one_address_is_none() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "a".repeat(260));
        for bad in [
            "",
            "a",
            "a@",
            "@b.example",
            "a@b",
            "a@localhost",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@b.example\r\nBcc: c@d.example",
            "a@b.example\nX",
            "a\r\n@b.example",
            "a@b.example,c@d.example",
            "a@b.example;c@d.example",
            "A <a@b.example>",
            "\"a b\"@b.example",
            "a b@b.example",
            "a@b.example>",
            "a@b@c.example",
            "a\u{202e}b@c.example",
            "a\u{200b}@c.example",
            "a\0@b.example",
            "a@b..example",
            "a@b.example:25",
            "a@b.1",
            &long,
            &longer,
        ] {
            assert_eq!(parsed(Way::Mail, bad, false), None, "{bad:?}");
        }
    }

    #[test]
    fn an_address_of_any_language_is_one() {
        for (said, stored) in [
            ("  Jane.Doe+x@Example.COM ", "Jane.Doe+x@example.com"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("用戶@例子.台灣", "用戶@xn--fsqu00a.xn--kpry57d"),
            ("o'neil@example.com", "o'neil@example.com"),
        ] {
            assert_eq!(parsed(Way::Mail, said, false).as_deref(), Some(stored), "{said}");
        }
    }

    #[test]
    fn a_strangers_webhook_leads_to_the_open_internet_and_to_no_other_service() {
        for bad in [
            "",
            "x",
            "ftp://a.example/",
            "file:///etc/passwd",
            "javascript:1",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest/",
            "http://[fd00:ec2::254]/",
            "http://10.0.0.1:8080/",
            "http://a.example:25/",
            "http://a.example:22/",
            "https://u:p@a.example/",
            "https://a.example/#x",
            "http://0/",
            "http://127。0。0。1/",
        ] {
            assert_eq!(parsed(Way::Webhook, bad, false), None, "{bad}");
        }
        assert_eq!(parsed(Way::Webhook, &format!("https://a.example/{}", "a".repeat(2_000)), false), None);
        for (said, stored) in [
            ("https://Hooks.example/a?b=c", "https://hooks.example/a?b=c"),
            ("http://a.example:8080", "http://a.example:8080/"),
            ("https://1.1.1.1/x", "https://1.1.1.1/x"),
        ] {
            assert_eq!(parsed(Way::Webhook, said, false).as_deref(), Some(stored), "{said}");
        }
        assert_eq!(parsed(Way::Webhook, "http://127.0.0.1:90/", true).as_deref(), Some("http://127.0.0.1:90/"));
        assert_eq!(parsed(Way::Webhook, "http://169.254.169.254/", true), None, "whatever is configured");
    }

    #[test]
    fn one_person_has_one_mailbox_however_it_is_written() {
        let key = ClusterKey::parse(&"a".repeat(64)).unwrap();
        let guard = Guard::default();
        let of = |text: &str, slug: &str| {
            let bounds = Bounds { guard: &guard, may_be_private: false };
            Address::parse(Way::Mail, text, bounds).unwrap().hashes(&key, slug)
        };
        let (one, tagged, elsewhere) =
            (of("Jane@a.example", "shop"), of("jane+1@A.example", "shop"), of("jane@a.example", "mail"));
        assert_eq!(one.address, of("jane@a.example", "shop").address);
        assert_ne!(one.address, tagged.address);
        assert_ne!(one.address, elsewhere.address);
        assert_eq!((&one.person, &one.person), (&tagged.person, &elsewhere.person));
    }

    #[test]
    fn a_masked_address_tells_who_it_is_to_nobody_who_does_not_know_it() {
        assert_eq!(masked(Way::Mail, "jane.doe@mail.example.com"), "j…@….com");
        assert_eq!(masked(Way::Webhook, "https://hooks.example/T0/secret"), "https://hooks.example/…");
    }
}
