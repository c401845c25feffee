//! Whose connection it really is, where a proxy stands in between: pure but for reading the header.
//!
//! A proxy is believed if it is named in `[server] trusted_proxies`. One that passes connections on says who connected in a
//! PROXY header before anything else ([`Proxies::announced`], versions 1 and 2); one that speaks HTTP says it in each request
//! ([`Proxies::client`]). Only the configured header of the two is read: a proxy that writes one of them passes the other on
//! as the client invented it. What others say of themselves is nobody's address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use rfc7239::NodeName;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a header of version 2 begins with; nothing that a client of HTTP or TLS sends begins so.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1 (protocol, two addresses of IPv6, two ports).
const LONGEST_LINE: usize = 107;

/// The addresses of version 2 need 216 bytes; the rest is for what proxies add about TLS.
const LONGEST_REST: usize = 4_096;

/// In which header proxies say whose request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientHeader {
    /// What most of them write.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// Who may say whose connection it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    /// Addresses of proxies.
    pub trusted: Vec<IpNet>,
    /// Their connections begin with a PROXY header.
    pub announce: bool,
    /// Their requests say it here.
    pub header: ClientHeader,
}

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Who asks: the last address of the header that is no trusted proxy's. Whatever stands before it could be invented.
    pub fn client(&self, connection: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = connection;
        if !self.trusts(client.ip()) {
            return client;
        }
        for hop in self.hops(headers).into_iter().rev() {
            let Some(address) = hop else { return client };
            client = SocketAddr::new(address, 0);
            if !self.trusts(address) {
                return client;
            }
        }
        client
    }

    /// From the first proxy to the last; `None` is what names no address.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let lines = |name: HeaderName| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
        match self.header {
            ClientHeader::XForwardedFor => {
                lines(X_FORWARDED_FOR).flat_map(|line| line.split(',')).map(|hop| address(hop.trim())).collect()
            }
            ClientHeader::Forwarded => lines(header::FORWARDED)
                .flat_map(rfc7239::parse)
                .map(|hop| match hop.ok()?.forwarded_for?.name {
                    NodeName::Ip(address) => Some(address.to_canonical()),
                    NodeName::Unknown | NodeName::Obfuscated(_) => None,
                })
                .collect(),
        }
    }

    /// Who connected: as the header says that a trusted proxy must begin with, or whoever it is. Reads nothing behind it.
    pub(super) async fn announced(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        connection: SocketAddr,
    ) -> io::Result<SocketAddr> {
        if !self.announce || !self.trusts(connection.ip()) {
            return Ok(connection);
        }
        let header = read_header(stream).await?;
        let said = match HeaderResult::parse(&header) {
            HeaderResult::V1(Ok(header)) => source_of_line(header.addresses),
            HeaderResult::V2(Ok(header)) if header.command == v2::Command::Proxy => source_of_block(&header.addresses),
            // The proxy itself looks whether somebody answers.
            HeaderResult::V2(Ok(_)) => None,
            HeaderResult::V1(Err(error)) => return Err(malformed(error)),
            HeaderResult::V2(Err(error)) => return Err(malformed(error)),
        };
        Ok(said.unwrap_or(connection))
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An address, perhaps with a port or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: Option<IpAddr> = text.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip())).or_else(in_brackets);
    address.map(|address| address.to_canonical())
}

/// The bytes of the header and no more: what follows is the client's.
async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut begun = [0; SIGNATURE.len()];
    stream.read_exact(&mut begun).await?;
    let mut header = begun.to_vec();
    if begun == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [_, _, high, low] = fixed;
        let rest = usize::from(u16::from_be_bytes([high, low]));
        if rest > LONGEST_REST {
            return Err(malformed("it is longer than any"));
        }
        header.extend(fixed);
        header.resize(SIGNATURE.len() + fixed.len() + rest, 0);
        let (_, missing) = header.split_at_mut(SIGNATURE.len() + fixed.len());
        stream.read_exact(missing).await?;
        return Ok(header);
    }
    if !begun.starts_with(b"PROXY ") {
        return Err(malformed("there is none"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= LONGEST_LINE {
            return Err(malformed("it is longer than any"));
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

fn malformed(problem: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no PROXY header of a trusted proxy: {problem}"))
}

fn source_of_line(addresses: v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(said) => Some(SocketAddr::from((said.source_address, said.source_port))),
        v1::Addresses::Tcp6(said) => Some(SocketAddr::from((said.source_address, said.source_port))),
        v1::Addresses::Unknown => None,
    }
}

fn source_of_block(addresses: &v2::Addresses) -> Option<SocketAddr> {
    match addresses {
        v2::Addresses::IPv4(said) => Some(SocketAddr::from((said.source_address, said.source_port))),
        v2::Addresses::IPv6(said) => Some(SocketAddr::from((said.source_address, said.source_port))),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ClientHeader) -> Proxies {
        Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], announce: true, header }
    }

    /// Whom a request is taken for that comes from there with these header lines.
    fn client(header: ClientHeader, from: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        proxies(header).client(format!("{from}:5000").parse().unwrap(), &headers).ip().to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let x = |from: &str, value: &str| client(ClientHeader::XForwardedFor, from, &[("x-forwarded-for", value)]);
        assert_eq!(x("10.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(
            x("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2"),
            "203.0.113.9",
            "what stands before may be invented"
        );
        assert_eq!(x("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3", "within the own network");
        assert_eq!(x("10.0.0.1", "2001:db8::7"), "2001:db8::7");
        assert_eq!(x("10.0.0.1", "[2001:db8::7]:443"), "2001:db8::7");
        assert_eq!(x("10.0.0.1", "203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(x("10.0.0.1", "::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(x("[fd00::1]", "203.0.113.9"), "203.0.113.9");
        assert_eq!(x("[::ffff:10.0.0.1]", "203.0.113.9"), "203.0.113.9", "a socket that takes both kinds");
    }

    #[test]
    fn whoever_is_no_trusted_proxy_is_believed_nothing() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        for header in [ClientHeader::XForwardedFor, ClientHeader::Forwarded] {
            assert_eq!(client(header, "192.0.2.1", &lines), "192.0.2.1");
        }
        let nobody = Proxies::default();
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, "203.0.113.9".parse().unwrap())]);
        let from: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert_eq!(nobody.client(from, &headers), from);
    }

    #[test]
    fn what_names_no_address_ends_the_way_back() {
        let x = |value: &str| client(ClientHeader::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(x("203.0.113.9, unknown, 10.0.0.2"), "10.0.0.2");
        assert_eq!(x(""), "10.0.0.1");
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(
            client(ClientHeader::XForwardedFor, "10.0.0.1", &lines),
            "203.0.113.9",
            "several lines are one list"
        );
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let lines =
            [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=\"[2001:db8::7]:4711\";proto=https, for=10.0.0.2")];
        assert_eq!(client(ClientHeader::Forwarded, "10.0.0.1", &lines), "2001:db8::7");
        assert_eq!(client(ClientHeader::XForwardedFor, "10.0.0.1", &lines), "1.1.1.1");
        let forwarded = |value: &str| client(ClientHeader::Forwarded, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(forwarded("for=203.0.113.9;by=\"_a\""), "203.0.113.9");
        assert_eq!(forwarded("for=203.0.113.9, for=_hidden"), "10.0.0.1");
    }

    async fn announced(from: &str, mut bytes: &[u8]) -> Result<(String, Vec<u8>), String> {
        let connection = format!("{from}:5000").parse().unwrap();
        let said = proxies(ClientHeader::default()).announced(&mut bytes, connection).await;
        said.map(|said| (said.to_string(), bytes.to_vec())).map_err(|error| error.to_string())
    }

    fn block(command: v2::Command) -> Vec<u8> {
        let addresses: (SocketAddr, SocketAddr) =
            ("203.0.113.9:4711".parse().unwrap(), "10.0.0.5:8900".parse().unwrap());
        let version = v2::Version::Two | command;
        let built = v2::Builder::with_addresses(version, v2::Protocol::Stream, addresses);
        built.write_tlv(v2::Type::NoOp, b"x").unwrap().build().unwrap()
    }

    #[tokio::test]
    async fn a_proxy_that_passes_connections_on_says_who_connected() {
        let with = |header: Vec<u8>| [header, b"GET / HTTP/1.1".to_vec()].concat();
        let rest = b"GET / HTTP/1.1".to_vec();
        let said = |client: &str| Ok((client.to_owned(), rest.clone()));
        assert_eq!(announced("10.0.0.1", &with(block(v2::Command::Proxy))).await, said("203.0.113.9:4711"));
        assert_eq!(announced("10.0.0.1", &with(block(v2::Command::Local))).await, said("10.0.0.1:5000"));
        let line = b"PROXY TCP6 2001:db8::7 fd00::5 4711 8900\r\n".to_vec();
        assert_eq!(announced("10.0.0.1", &with(line)).await, said("[2001:db8::7]:4711"));
        assert_eq!(announced("10.0.0.1", &with(b"PROXY UNKNOWN\r\n".to_vec())).await, said("10.0.0.1:5000"));
    }

    #[tokio::test]
    async fn who_may_not_announce_anybody_is_not_heard_and_who_must_is_refused_without() {
        let header = block(v2::Command::Proxy);
        assert_eq!(announced("192.0.2.1", &header).await, Ok(("192.0.2.1:5000".to_owned(), header.clone())));
        let mut endless = SIGNATURE.to_vec();
        endless.extend([0x21, 0x11, 0xff, 0xff]);
        for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[b'x'; 300], &endless, &header[..20]] {
            assert!(announced("10.0.0.1", bytes).await.is_err());
        }
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 300]].concat();
        assert!(announced("10.0.0.1", &long).await.unwrap_err().contains("longer than any"));
    }
}
