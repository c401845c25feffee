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
        [0, 0, 0, 0, 0, 0, high @ 1.., low] => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
