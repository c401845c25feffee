//! `type = "mail"`: a mail server, and from whom to whom.
//!
//! `smtps://` speaks TLS from the first byte. `smtp://` turns it on with STARTTLS and sends nothing without; plain text
//! is for a relay on the same host, and only when `tls = "none"` says so.

use std::path::{Path, PathBuf};

use komainu_notifiers::Secret;
use komainu_notifiers::mail::{self, Authorities, CONFIRM_LIMIT, Config, Login, Mailbox, Server, Tls};
use serde::Deserialize;
use url::Url;

use crate::config::fault::{Faults, FieldPlace};
use crate::config::secret;

/// Where mail is handed in over TLS (RFC 8314).
const SMTPS_PORT: u16 = 465;

/// Where mail is handed in and TLS is turned on (RFC 6409).
const SUBMISSION_PORT: u16 = 587;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    smtp: String,
    tls: Option<TlsSetting>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    from: String,
    to: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum TlsSetting {
    Required,
    None,
}

impl Section {
    pub(super) fn resolve(self, place: FieldPlace<'_>, folder: &Path, faults: &mut Faults) -> Option<Config> {
        let address = faults.note(place, "smtp", Address::parse(&self.smtp));
        let tls = address.as_ref().and_then(|address| faults.note(place, "tls", address.tls(self.tls)));
        let ca = match &self.ca_file {
            Some(file) => Some(faults.note(place, "ca_file", read_authorities(&folder.join(file)))?),
            None => None,
        };
        let from = faults.note(place, "from", parse_mailbox(&self.from));
        let to: Vec<Mailbox> =
            self.to.iter().filter_map(|text| faults.note(place, "to", parse_mailbox(text))).collect();
        if self.to.is_empty() {
            faults.add(place, "to", "names nobody; write to = [\"ops@example.com\"]");
        }
        let password = secret::Secret { place, name: "password", inline: self.password, file: self.password_file };
        let is_given = password.is_given();
        let password = password.read(folder, faults, parse_password);
        let user = address.as_ref()?.user.clone();
        let login = match (user, password) {
            (Some(user), Some(password)) => Some(Login { user, password: Secret::new(password) }),
            (Some(_), None) if !is_given => {
                faults.add(place, "password_file", "is missing: smtp names a user");
                None
            }
            (None, Some(_)) => {
                faults.add(place, "smtp", "names no user to go with the password: smtps://user@host");
                None
            }
            (Some(_) | None, None) => None,
        };
        let address = address?;
        Some(Config {
            server: Server { host: address.host, port: address.port, tls: tls?, ca },
            login,
            from: from?,
            to,
            confirm_within: CONFIRM_LIMIT,
        })
    }
}

/// What `smtp` says.
struct Address {
    is_wrapped: bool,
    host: String,
    port: u16,
    user: Option<String>,
    tls: Option<TlsSetting>,
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "write smtps://user@host:465 or smtp://user@host:587";
        let url = Url::parse(text.trim()).map_err(|error| format!("{error}; {FORM}"))?;
        let (is_wrapped, port) = match url.scheme() {
            "smtps" => (true, SMTPS_PORT),
            "smtp" => (false, SUBMISSION_PORT),
            _ => return Err(format!("must begin with smtps:// or smtp://; {FORM}")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("names no host; {FORM}"))?;
        if url.password().is_some() {
            return Err("holds a password; move it to password_file".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(format!("must be scheme, user, host and port only; {FORM}"));
        }
        let tls = match url.query() {
            None | Some("") => None,
            Some("tls=required") => Some(TlsSetting::Required),
            Some("tls=none") => Some(TlsSetting::None),
            Some(_) => return Err("takes ?tls=required or ?tls=none, nothing else after the port".to_owned()),
        };
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(percent_decoded);
        // An IPv6 address stands in brackets in a URL and nowhere else.
        let host = host_of_dns(host.trim_start_matches('[').trim_end_matches(']'))?;
        Ok(Self { is_wrapped, host, port: url.port().unwrap_or(port), user, tls })
    }

    fn tls(&self, said: Option<TlsSetting>) -> Result<Tls, &'static str> {
        match (self.is_wrapped, said.or(self.tls)) {
            (true, None | Some(TlsSetting::Required)) => Ok(Tls::Wrapped),
            (true, Some(TlsSetting::None)) => Err("smtps:// is TLS; write smtp:// to do without"),
            (false, None | Some(TlsSetting::Required)) => Ok(Tls::StartTls),
            (false, Some(TlsSetting::None)) => Ok(Tls::None),
        }
    }
}

/// URLs of mail write a name beyond ASCII in percents; DNS knows it by another name.
fn host_of_dns(host: &str) -> Result<String, String> {
    let host = percent_decoded(host);
    if host.is_ascii() {
        return Ok(host);
    }
    url::Host::parse(&host).map(|host| host.to_string()).map_err(|error| format!("{host}: {error}"))
}

/// User names are often addresses, whose `@` a URL may hold as `%40`.
fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

fn parse_mailbox(text: &str) -> Result<Mailbox, String> {
    mail::mailbox(text)
        .map_err(|error| format!("\"{text}\": {error}; write ops@example.com or \"Ops <ops@example.com>\""))
}

/// A password may hold blanks, but the line's end in its file is not part of it.
fn parse_password(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty") } else { Ok(text.to_owned()) }
}

fn read_authorities(file: &Path) -> Result<Authorities, String> {
    let pem = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Authorities::parse(&pem).map_err(|error| format!("{}: {error}", file.display()))
}
