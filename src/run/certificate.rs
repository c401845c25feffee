//! The certificate chain that a target showed, and how Kuma writes it down (`monitor_tls_info.info_json`).
//!
//! Pure: what a chain says and how long it lasts, never whether to tell anybody. Kept as it came and read on demand: most
//! runs see the chain of the run before, which [`Certificate::fingerprint`] tells without reading it.

use std::net::IpAddr;

use jiff::Timestamp;
use komainu_watchdogs::time::Wall;
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use serde_json::{Map, Value as Json, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

const DAY_MS: i64 = 86_400_000;

/// What a TLS connection showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The target's own first, then those who signed it; a root that only this system knows comes last.
    chain: Vec<CertificateDer<'static>>,
    /// This system, or the monitor's own authority, trusts it for the host that was asked.
    pub is_valid: bool,
    /// It is made out to the host in the monitor's URL.
    pub fits_host: bool,
}

/// One certificate of a chain, as people want to know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// What it is for.
    pub kind: LinkKind,
    /// Whom it names: `CN` if it has one.
    pub common_name: Option<String>,
    /// SHA-256, as `AB:CD:…`.
    pub fingerprint256: String,
    /// When it ends.
    pub expires_at: Wall,
}

impl Link {
    /// Whole days left, cut towards zero; negative once it has ended.
    pub fn days_left(&self, now: Wall) -> i64 {
        days_left(self.expires_at, now)
    }
}

/// A certificate's place in its chain: Kuma's `certType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// The target's own.
    Server,
    /// The target's own, and nobody else's signature is known.
    SelfSigned,
    /// Signed by another, and signs.
    Intermediate,
    /// The last one.
    Root,
}

impl LinkKind {
    /// As Kuma calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::SelfSigned => "self-signed",
            Self::Intermediate => "intermediate CA",
            Self::Root => "root CA",
        }
    }

    fn at(place: usize, is_last: bool) -> Self {
        match (place, is_last) {
            (0, true) => Self::SelfSigned,
            (0, false) => Self::Server,
            (_, true) => Self::Root,
            (_, false) => Self::Intermediate,
        }
    }
}

impl Certificate {
    /// Of a chain as it was shown; `host` is the one in the monitor's URL.
    pub fn new(chain: Vec<CertificateDer<'static>>, is_valid: bool, host: Option<&str>) -> Self {
        let fits_host = match (chain.first(), host) {
            (Some(own), Some(host)) => is_made_out_to(own, host),
            (None, _) | (_, None) => true,
        };
        Self { chain, is_valid, fits_host }
    }

    /// SHA-256 of the target's own certificate: as long as it stays, only the days that are left change.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.chain.first().map_or([0; 32], |own| Sha256::digest(own).into())
    }

    /// The chain, the target's own first, up to what cannot be read.
    pub fn links(&self) -> Vec<Link> {
        let parsed = self.parsed();
        let last = parsed.len().saturating_sub(1);
        let link = |(place, (der, certificate)): (usize, &(&CertificateDer<'_>, X509Certificate<'_>))| Link {
            kind: LinkKind::at(place, place == last),
            common_name: certificate
                .subject()
                .iter_common_name()
                .find_map(|name| name.as_str().ok())
                .map(str::to_owned),
            fingerprint256: colons(&Sha256::digest(der)),
            expires_at: expiry(certificate),
        };
        parsed.iter().enumerate().map(link).collect()
    }

    /// What Kuma stores: `{valid, certInfo: {…, issuerCertificate: {…}}, hostnameMatchMonitorUrl}`. The raw bytes and the
    /// public key, which Kuma stores and nothing reads, are left out.
    pub fn info_json(&self, now: Wall) -> Json {
        let parsed = self.parsed();
        let last = parsed.len().saturating_sub(1);
        let mut issuer = Json::Null;
        for (place, (der, certificate)) in parsed.iter().enumerate().rev() {
            let mut info = describe(der, certificate, now);
            info.insert("certType".to_owned(), json!(LinkKind::at(place, place == last).name()));
            info.insert("issuerCertificate".to_owned(), issuer);
            issuer = Json::Object(info);
        }
        json!({ "valid": self.is_valid, "certInfo": issuer, "hostnameMatchMonitorUrl": self.fits_host })
    }

    /// Up to the first that is no X.509, and to the first that signed itself: what follows it is no part of the chain.
    fn parsed(&self) -> Vec<(&CertificateDer<'static>, X509Certificate<'_>)> {
        let mut parsed: Vec<(_, X509Certificate<'_>)> = Vec::new();
        for der in &self.chain {
            let Ok((_, certificate)) = X509Certificate::from_der(der) else { break };
            if parsed.last().is_some_and(|(_, last)| last.issuer().as_raw() != certificate.subject().as_raw()) {
                break;
            }
            let is_own_issuer = certificate.issuer().as_raw() == certificate.subject().as_raw();
            parsed.push((der, certificate));
            if is_own_issuer {
                break;
            }
        }
        parsed
    }
}

/// The subject of a certificate, as its bytes stand there.
pub fn subject_of(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.subject().as_raw().to_vec())
}

/// Who signed the last certificate of a chain, unless it did so itself.
pub fn issuer_beyond(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let (_, last) = X509Certificate::from_der(chain.last()?).ok()?;
    (last.issuer().as_raw() != last.subject().as_raw()).then(|| last.issuer().as_raw().to_vec())
}

/// Whether a certificate signed itself, by its names.
pub fn is_own_issuer(der: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, own)| own.issuer().as_raw() == own.subject().as_raw())
}

/// Whether now is within its time.
pub fn is_in_time(der: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let Ok((_, own)) = X509Certificate::from_der(der) else { return Err(CertificateError::BadEncoding) };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < own.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if now > own.validity().not_after.timestamp() { Err(CertificateError::Expired) } else { Ok(()) }
}

/// Whether it is made out to a host by Node's rules (`tls.checkServerIdentity`): the common name counts where it names no
/// other host; an address must stand there as one.
pub fn is_called(der: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    if ParsedCertificate::try_from(der).is_ok_and(|own| rustls::client::verify_server_name(&own, host).is_ok()) {
        return true;
    }
    let ServerName::DnsName(name) = host else { return false };
    let Ok((_, own)) = X509Certificate::from_der(der) else { return false };
    let names = own.subject_alternative_name().ok().flatten();
    let is_host = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_));
    let names_hosts = names.is_some_and(|names| names.value.general_names.iter().any(is_host));
    let mut common = own.subject().iter_common_name().filter_map(|common| common.as_str().ok());
    !names_hosts && common.any(|common| fits(common, name.as_ref()))
}

/// Letter by letter, or by a whole first label that is a star.
fn fits(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.trim_end_matches('.'), host.trim_end_matches('.'));
    let below = |text: &str| text.split_once('.').map(|(_, rest)| rest.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        // A star stands for no name of a whole zone.
        Some(zone) => zone.contains('.') && below(host).is_some_and(|rest| rest == zone.to_ascii_lowercase()),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// Whether it has a critical extension that OpenSSL does not know either.
pub fn demands_what_nobody_knows(der: &CertificateDer<'_>) -> bool {
    /// Of RFC 5280, 3779, 7633 and 3820, and Netscape's.
    const KNOWN: [&str; 17] = [
        "2.5.29.14",
        "2.5.29.15",
        "2.5.29.17",
        "2.5.29.19",
        "2.5.29.30",
        "2.5.29.31",
        "2.5.29.32",
        "2.5.29.33",
        "2.5.29.35",
        "2.5.29.36",
        "2.5.29.37",
        "2.5.29.54",
        "1.3.6.1.5.5.7.1.7",
        "1.3.6.1.5.5.7.1.8",
        "1.3.6.1.5.5.7.1.14",
        "1.3.6.1.5.5.7.1.24",
        "2.16.840.1.113730.1.1",
    ];
    let Ok((_, own)) = X509Certificate::from_der(der) else { return false };
    own.extensions().iter().any(|part| part.critical && !KNOWN.contains(&part.oid.to_id_string().as_str()))
}

/// Whether its key is one of RSA that is shorter than ring takes.
pub fn has_short_key(der: &CertificateDer<'_>) -> bool {
    const LEAST_BITS: usize = 2_048;
    let Ok((_, own)) = X509Certificate::from_der(der) else { return false };
    match own.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() < LEAST_BITS,
        Ok(_) | Err(_) => false,
    }
}

/// By name only, as Kuma looks: an address never matches.
fn is_made_out_to(own: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(name) = DnsName::try_from(host) else { return false };
    ParsedCertificate::try_from(own)
        .and_then(|own| rustls::client::verify_server_name(&own, &ServerName::DnsName(name)))
        .is_ok()
}

fn describe(der: &CertificateDer<'_>, certificate: &X509Certificate<'_>, now: Wall) -> Map<String, Json> {
    let mut info = Map::new();
    let mut set = |key: &str, value: Json| info.insert(key.to_owned(), value);
    let expires_at = expiry(certificate);
    set("subject", names(certificate.subject()));
    set("issuer", names(certificate.issuer()));
    let alternatives = alternatives(certificate);
    if let Some(alternatives) = &alternatives {
        set("subjectaltname", json!(alternatives.join(", ")));
    }
    set("ca", json!(certificate.is_ca()));
    set("valid_from", json!(openssl_time(Wall(certificate.validity().not_before.timestamp() * 1_000))));
    set("valid_to", json!(openssl_time(expires_at)));
    set("fingerprint", json!(colons(&Sha1::digest(der))));
    set("fingerprint256", json!(colons(&Sha256::digest(der))));
    set("fingerprint512", json!(colons(&Sha512::digest(der))));
    set("serialNumber", json!(serial_number(certificate.raw_serial())));
    set("validTo", json!(iso_time(expires_at)));
    if let Some(alternatives) = &alternatives {
        let bare = alternatives.iter().map(|name| name.replace("DNS:", "").replace("IP Address:", ""));
        set("validFor", json!(bare.collect::<Vec<_>>()));
    }
    set("daysRemaining", json!(days_left(expires_at, now)));
    info
}

fn expiry(certificate: &X509Certificate<'_>) -> Wall {
    Wall(certificate.validity().not_after.timestamp().saturating_mul(1_000))
}

fn days_left(expires_at: Wall, now: Wall) -> i64 {
    (expires_at.0 - now.0) / DAY_MS
}

/// `{"C": "JP", "CN": "example.com"}`; what comes twice is a list.
fn names(name: &X509Name<'_>) -> Json {
    let mut names = Map::new();
    for attribute in name.iter_attributes() {
        let Ok(value) = attribute.as_str() else { continue };
        let key = attribute_name(&attribute.attr_type().to_id_string());
        match names.get_mut(&key) {
            None => {
                names.insert(key, json!(value));
            }
            Some(Json::Array(several)) => several.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Json::Object(names)
}

/// OpenSSL's short names.
fn attribute_name(oid: &str) -> String {
    let short = match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.42" => "GN",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        other => other,
    };
    short.to_owned()
}

fn alternatives(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let extension = certificate.subject_alternative_name().ok().flatten()?;
    let described = extension.value.general_names.iter().filter_map(alternative).collect();
    Some(described)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other kinds of names are no hosts, and Kuma shows hosts")]
fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(format!("IP Address:{address}"))
        }
        _ => None,
    }
}

fn colons(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Without the zero that keeps a number positive.
fn serial_number(raw: &[u8]) -> String {
    let start = raw.iter().position(|&byte| byte != 0).unwrap_or(raw.len());
    hex::encode_upper(raw.get(start..).unwrap_or_default())
}

/// `Nov  2 08:26:40 2025 GMT`
fn openssl_time(at: Wall) -> String {
    timestamp(at).strftime("%b %e %H:%M:%S %Y GMT").to_string()
}

/// `2025-11-02T08:26:40.000Z`
fn iso_time(at: Wall) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn timestamp(at: Wall) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};

    use super::*;

    /// 22 November 2025, midnight.
    const NOW: Wall = Wall(1_763_769_600_000);

    #[test]
    fn a_chain_is_written_as_kuma_writes_it() {
        let info = chain(90).info_json(NOW);
        assert_eq!(info["valid"], true);
        assert_eq!(info["hostnameMatchMonitorUrl"], true);
        let own = &info["certInfo"];
        assert_eq!(own["certType"], "server");
        assert_eq!(own["subject"], json!({ "CN": "shop", "OU": ["web", "eu"] }));
        assert_eq!(own["issuer"]["CN"], "middle");
        assert_eq!(own["subjectaltname"], "DNS:shop.example, IP Address:192.0.2.7");
        assert_eq!(own["validFor"], json!(["shop.example", "192.0.2.7"]));
        assert_eq!(own["valid_to"], "Feb 20 00:00:00 2026 GMT");
        assert_eq!(own["validTo"], "2026-02-20T00:00:00.000Z");
        assert_eq!(own["daysRemaining"], 90);
        assert_eq!(own["issuerCertificate"]["certType"], "intermediate CA");
        let root = &own["issuerCertificate"]["issuerCertificate"];
        assert_eq!((root["certType"].as_str(), root["issuerCertificate"].is_null()), (Some("root CA"), true));
        assert_eq!(own["fingerprint256"].as_str().map(str::len), Some(95));
    }

    #[test]
    fn the_links_of_a_chain_say_whose_they_are_and_how_long_they_last() {
        let links = chain(14).links();
        let seen: Vec<_> = links.iter().map(|link| (link.kind.name(), link.common_name.as_deref())).collect();
        assert_eq!(seen, [("server", Some("shop")), ("intermediate CA", Some("middle")), ("root CA", Some("root"))]);
        assert_eq!(links[0].days_left(NOW), 14);
        assert_eq!(links[0].days_left(Wall(NOW.0 + 1)), 13);
        assert_eq!(links[0].days_left(Wall(NOW.0 + 16 * DAY_MS)), -2);
    }

    #[test]
    fn a_lone_certificate_is_called_self_signed() {
        let whole = chain(90);
        let alone = Certificate::new(whole.chain[..1].to_vec(), false, Some("elsewhere.example"));
        assert_eq!(alone.info_json(NOW)["certInfo"]["certType"], "self-signed");
        assert!(!alone.fits_host);
        assert_eq!(alone.fingerprint(), whole.fingerprint());
    }

    #[test]
    fn an_address_is_no_name_for_kuma() {
        assert!(!Certificate::new(chain(90).chain, true, Some("192.0.2.7")).fits_host);
    }

    #[test]
    fn what_does_not_follow_in_a_chain_is_left_out() {
        let mut whole = chain(90);
        whole.chain.swap(1, 2);
        assert_eq!(whole.links().len(), 1);
        whole.chain.push(CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(whole.links().len(), 1);
    }

    fn chain(days: i64) -> Certificate {
        let (root_params, root_key) = authority("root");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let (middle_params, middle_key) = authority("middle");
        let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(middle_params, middle_key);
        let mut own = CertificateParams::new(["shop.example".to_owned()]).unwrap();
        own.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "shop");
        name.push(DnType::OrganizationalUnitName, "web");
        name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), "eu");
        own.distinguished_name = name;
        let end = timestamp(Wall(NOW.0 + days * DAY_MS)).to_zoned(jiff::tz::TimeZone::UTC);
        let (month, day) = (u8::try_from(end.month()).unwrap(), u8::try_from(end.day()).unwrap());
        own.not_after = rcgen::date_time_ymd(end.year().into(), month, day);
        let own = own.signed_by(&KeyPair::generate().unwrap(), &middle_issuer).unwrap();
        let chain = [own, middle, root].map(|made| made.der().clone()).into();
        Certificate::new(chain, true, Some("shop.example"))
    }

    fn authority(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params, KeyPair::generate().unwrap())
    }
}
