//! What no watchdog looks at: addresses where a cloud tells its secrets to whoever asks, and what the configuration denies.
//!
//! Judges single addresses. Who has a name resolves it first, and asks about what it resolved to, also after a redirect.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::run::names::Refuses;

/// Where AWS answers instances over IPv6; elsewhere it is 169.254.169.254.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What may not be looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guard {
    /// Link-local and metadata addresses may.
    pub allow_link_local: bool,
    /// These may not.
    pub deny: Vec<IpNet>,
}

/// Why an address may not be looked at. Displayed, it says what that address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// `169.254.0.0/16` or `fe80::/10`.
    LinkLocal,
    /// `fd00:ec2::254`.
    Metadata,
    /// The configuration names this network.
    Configured(IpNet),
    /// Nobody outside reaches it, and a stranger named it.
    NotOpen,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkLocal => f.write_str(
                "it is a link-local address, where clouds answer with secrets; [checks] allow_link_local = true allows it",
            ),
            Self::Metadata => f.write_str(
                "a cloud answers with secrets; [checks] allow_link_local = true allows it",
            ),
            Self::NotOpen => f.write_str("it is no address of the open internet"),
            Self::Configured(network) => write!(f, "it lies in {network}, which [checks] deny names"),
        }
    }
}

impl Guard {
    /// Why a watchdog does not look there; `None`: it may.
    pub fn refuses(&self, address: IpAddr) -> Option<Denial> {
        [Some(address.to_canonical()), written_within(address)]
            .into_iter()
            .flatten()
            .find_map(|address| self.refuses_plainly(address))
    }

    fn refuses_plainly(&self, address: IpAddr) -> Option<Denial> {
        if !self.allow_link_local {
            let is_link_local = match address {
                IpAddr::V4(address) => address.is_link_local(),
                IpAddr::V6(address) => address.is_unicast_link_local(),
            };
            if is_link_local {
                return Some(Denial::LinkLocal);
            }
            if address == METADATA {
                return Some(Denial::Metadata);
            }
        }
        self.deny.iter().find(|network| network.contains(&address)).copied().map(Denial::Configured)
    }

    /// Why a watchdog does not call there for a stranger: wherever it would not look, and whatever is not the open internet.
    /// `may_be_private`: the configuration lets strangers name addresses that nobody outside reaches.
    pub fn refuses_strangers(&self, address: IpAddr, may_be_private: bool) -> Option<Denial> {
        let closed = Self { allow_link_local: false, deny: self.deny.clone() };
        closed.refuses(address).or_else(|| {
            let is_refused = !may_be_private && !is_open(meant(address));
            is_refused.then_some(Denial::NotOpen)
        })
    }

    /// As calls for strangers ask it.
    pub fn for_strangers(self, may_be_private: bool) -> Refuses {
        Arc::new(move |address| self.refuses_strangers(address, may_be_private).map(|denial| denial.to_string()))
    }

    /// As the looks ask it, of every address that a name or a redirect leads to.
    pub fn for_looks(self) -> Refuses {
        Arc::new(move |address| self.refuses(address).map(|denial| denial.to_string()))
    }
}

/// The address of IPv4 within one of IPv6 to which a gateway or a tunnel may lead: `64:ff9b::a.b.c.d` and `64:ff9b:1::/48` (RFC 6052, RFC
/// 8215), `2002:aabb:ccdd::/48` (RFC 3056), and what was once written `::a.b.c.d`.
fn written_within(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(six) = address else { return None };
    let (high, low) = match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, .., high, low] | [0x2002, high, low, ..] => {
            (high, low)
        }
        // Not `::` and `::1`.
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
}

/// The address to which a gateway of the open internet leads (`64:ff9b::a.b.c.d`), or the address itself.
fn meant(address: IpAddr) -> IpAddr {
    let is_translated = matches!(address, IpAddr::V6(six) if matches!(six.segments(), [0x64, 0xff9b, 0, 0, 0, 0, ..]));
    written_within(address).filter(|_| is_translated).unwrap_or_else(|| address.to_canonical())
}

/// Whether it is an address of the open internet: by the registries of special addresses (RFC 6890 and those that followed it).
fn is_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let is_special = match a {
                0 | 10 | 127 | 224..=255 => true,
                100 => (64..128).contains(&b),
                169 => b == 254,
                172 => (16..32).contains(&b),
                192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
                198 => b == 18 || b == 19 || (b == 51 && c == 100),
                203 => b == 0 && c == 113,
                _ => false,
            };
            !is_special
        }
        // What is given out, without what holds another address within: Teredo, 6to4, and what is only for documents.
        IpAddr::V6(address) => {
            let [a, b, ..] = address.segments();
            let is_given_out = (0x2000..0x4000).contains(&a);
            let is_special = a == 0x2002 || a == 0x3fff || (a == 0x2001 && (b < 0x200 || b == 0xdb8));
            is_given_out && !is_special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_leads_a_watchdog_to_nothing_but_the_open_internet() {
        let guard = Guard { allow_link_local: true, deny: vec!["198.41.0.0/24".parse().unwrap()] };
        let refused = |address: &str, may| guard.refuses_strangers(address.parse().unwrap(), may);
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert_eq!(refused(address, false), Some(Denial::NotOpen), "{address}");
        }
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1"] {
            assert_eq!(refused(address, true), Some(Denial::LinkLocal), "{address}: whatever [checks] allows");
        }
        assert_eq!(refused("fd00:ec2::254", true), Some(Denial::Metadata));
        assert!(matches!(refused("198.41.0.4", true), Some(Denial::Configured(_))));
        for address in [
            "1.1.1.1",
            "9.9.9.9",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(refused(address, false), None, "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1"] {
            assert_eq!(refused(address, true), None, "{address}, which the configuration allows");
        }
    }

    fn refused(guard: &Guard, address: &str) -> Option<Denial> {
        guard.refuses(address.parse().unwrap())
    }

    #[test]
    fn where_clouds_tell_secrets_nobody_looks() {
        let guard = Guard::default();
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "::a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:ffff:ffff:ffff:a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert_eq!(refused(&guard, address), Some(Denial::LinkLocal), "{address}");
        }
        assert_eq!(refused(&guard, "fd00:ec2::254"), Some(Denial::Metadata));
        for address in ["127.0.0.1", "10.0.0.1", "169.253.255.255", "169.255.0.0", "fec0::1", "fd00:ec2::253", "::1"] {
            assert_eq!(refused(&guard, address), None, "{address}");
        }
    }

    #[test]
    fn a_configuration_allows_them_and_denies_others() {
        let denied: IpNet = "10.0.0.0/8".parse().unwrap();
        let guard = Guard { allow_link_local: true, deny: vec![denied] };
        assert_eq!(refused(&guard, "169.254.169.254"), None);
        assert_eq!(refused(&guard, "fd00:ec2::254"), None);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"] {
            assert_eq!(refused(&guard, address), Some(Denial::Configured(denied)), "{address}");
        }
        assert_eq!(refused(&guard, "11.0.0.1"), None);
        let gateway: IpNet = "64:ff9b::/96".parse().unwrap();
        let guard = Guard { allow_link_local: true, deny: vec![gateway] };
        assert_eq!(refused(&guard, "64:ff9b::b00:1"), Some(Denial::Configured(gateway)), "and by its own words");
    }
}
