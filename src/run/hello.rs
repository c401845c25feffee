//! Whether a server that this node could not agree with on TLS would agree with Node: a hello by hand, and no more.
//!
//! rustls speaks neither the suites without forward secrecy nor those of CBC, which Kuma's OpenSSL still offers. A server
//! that knows only those answers rustls with an alert, as one does that agrees with nobody. So it is greeted once more in
//! OpenSSL's words: whoever greets back is well, as far as Kuma can tell, and nothing may be said of it here.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::names::Names;

/// A greeting is answered at once, or the run is over anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// RFC 8446, section 5.1, and RFC 5246, section 7.4.
const RECORD_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Of TLS 1.2, in the order of Node 20 (`tls.DEFAULT_CIPHERS`), as IANA numbers them.
const SUITES: [u16; 31] = [
    0xC02F, 0xC02B, 0xC030, 0xC02C, 0x009E, 0xC027, 0x0067, 0xC028, 0x006B, 0x009F, 0xCCA9, 0xCCA8, 0xCCAA, 0xC024,
    0x006A, 0xC023, 0x0040, 0xC00A, 0xC014, 0x0039, 0xC009, 0xC013, 0x0033, 0x009D, 0x009C, 0x003D, 0x003C, 0x0035,
    0x002F, 0xC0AD, 0x00FF,
];

/// x25519, P-256, x448, P-521, P-384, ffdhe2048.
const GROUPS: [u16; 6] = [0x001D, 0x0017, 0x001E, 0x0019, 0x0018, 0x0100];

/// By elliptic curves, RSA-PSS and RSA with SHA-2, then two with SHA-1.
const SIGNATURES: [u16; 16] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080A, 0x080B, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601,
    0x0203, 0x0201,
];

/// Whether whoever listens there greets back.
pub(super) async fn is_answered(names: &Names, host: &str, port: u16, server_name: &str) -> bool {
    let greeting = async {
        for address in names.lookup(host.trim_matches(['[', ']'])).await.unwrap_or_default() {
            let Ok(mut stream) = TcpStream::connect((address, port)).await else { continue };
            if stream.write_all(&hello(server_name)).await.is_err() {
                continue;
            }
            let mut answer = [0; 6];
            return stream.read_exact(&mut answer).await.is_ok()
                && matches!(answer, [RECORD_HANDSHAKE, _, _, _, _, SERVER_HELLO]);
        }
        false
    };
    tokio::time::timeout(PATIENCE, greeting).await.unwrap_or(false)
}

/// A record that holds a `ClientHello` of TLS 1.2; addresses are named to nobody.
fn hello(server_name: &str) -> Vec<u8> {
    let mut extensions = vec![];
    if !server_name.is_empty() && server_name.parse::<std::net::IpAddr>().is_err() {
        let name = [vec![0], counted(server_name.as_bytes())].concat();
        extensions.extend(extension(0, &counted(&name)));
    }
    extensions.extend(extension(10, &counted(&numbers(&GROUPS))));
    extensions.extend(extension(11, &[1, 0]));
    extensions.extend(extension(13, &counted(&numbers(&SIGNATURES))));
    let random: [u8; 32] = rand::random();
    let body = [
        &[3, 3][..],
        &random,
        // No session to resume.
        &[0],
        &counted(&numbers(&SUITES)),
        // No compression.
        &[1, 0],
        &counted(&extensions),
    ]
    .concat();
    let handshake = [&[CLIENT_HELLO, 0][..], &counted(&body)].concat();
    [&[RECORD_HANDSHAKE, 3, 1][..], &counted(&handshake)].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &counted(data)].concat()
}

/// Behind its length in two bytes; everything here is far shorter than that allows.
fn counted(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], data].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_hello_is_one_that_a_server_reads() {
        let hello = hello("shop.example");
        let mut acceptor = rustls::server::Acceptor::default();
        acceptor.read_tls(&mut hello.as_slice()).unwrap();
        let accepted = acceptor.accept().unwrap().expect("it is whole");
        let client = accepted.client_hello();
        assert_eq!(client.server_name(), Some("shop.example"));
        assert_eq!(client.cipher_suites().len(), SUITES.len());
    }

    #[tokio::test]
    async fn who_greets_back_is_told_from_who_refuses() {
        let names = Names::of_system();
        for (answer, is_greeting) in
            [(&[22, 3, 3, 0, 4, 2, 0, 0, 0][..], true), (&[21, 3, 3, 0, 2, 2, 40], false), (&[], false)]
        {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let answer = Arc::new(answer.to_vec());
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1_024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(&answer).await;
            });
            assert_eq!(is_answered(&names, "127.0.0.1", port, "shop.example").await, is_greeting);
        }
    }
}
