//! What ids, addresses and canaries must look like, wherever they are configured or sent.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::Url;

/// As long as the fork's `node.node_id` column takes.
const ID_CHARS: usize = 50;

/// An id: it becomes a part of URLs, metric labels and incident keys, so it is kept plain.
pub(crate) fn ensure_id(text: &str) -> Result<(), String> {
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if text.is_empty() || text.len() > ID_CHARS || !is_plain {
        return Err(format!("must be 1 to {ID_CHARS} letters, digits, dots, dashes or underscores"));
    }
    Ok(())
}

/// The base address of a watchdog or node: `http://host:port`.
pub(crate) fn parse_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; write http://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with http:// or https:// and name a host".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("must be scheme, host and port only: http://host:port".to_owned());
    }
    Ok(url)
}

/// A web address that paths are appended to: `https://host/path`.
pub(super) fn parse_web_url(text: &str) -> Result<Url, String> {
    let url = parse_secret_url(text)?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("must be scheme, host, port and path only: https://host/path".to_owned());
    }
    Ok(url)
}

/// A web address that is itself a secret, or holds one: what is wrong is said without repeating it.
pub(super) fn parse_secret_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("{error}; write https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with https:// or http:// and name a host".to_owned());
    }
    Ok(url)
}

/// One word, such as a token: blanks and line ends around it are not part of it.
pub(super) fn parse_word(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|letter| letter.is_ascii_graphic()) {
        return Err("must be one word of printable characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A base address without the slash that `Url` puts at its end, so that paths are simply appended.
pub(crate) fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// An address of the outside world: `tcp://host:port`, or an http(s) URL.
pub(super) fn ensure_canary(text: &str) -> Result<(), String> {
    let url =
        Url::parse(text).map_err(|error| format!("\"{text}\": {error}; write tcp://host:port or https://host/"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(()),
        "tcp" if url.has_host() && url.port().is_some() => Ok(()),
        "tcp" => Err(format!("\"{text}\" needs a host and a port: tcp://1.1.1.1:443")),
        other => Err(format!("\"{text}\": canaries speak tcp, http or https, not {other}")),
    }
}

/// The address others reach a listener at, when it listens on one address and not on all.
pub(super) fn advertise_of(listen: SocketAddr, scheme: &str) -> Option<Url> {
    let is_one_address = match listen.ip() {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unspecified(),
    };
    is_one_address.then(|| Url::parse(&format!("{scheme}://{listen}")).ok()).flatten()
}

/// A network, or one address.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    let network: Option<IpNet> = text.parse().ok();
    let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network
        .map(|network| network.trunc())
        .ok_or_else(|| format!("\"{text}\" is no network; write 10.0.0.0/8 or 10.0.0.5"))
}
