//! The signature of calls between komainu's own parts: `X-Komainu-Signature`.
//!
//! `t=<unix ms>,v1=<hex HMAC-SHA256(key, "t.METHOD.path.body")>`. Such calls only hint or report, so a replay within
//! the window does no harm and is not looked for. Pushes of heartbeats are signed differently; not here.

use hmac::Mac;
use komainu_watchdogs::time::Wall;
use thiserror::Error;

use crate::keys::hmac;

/// The header that carries the signature, in requests and in the answers to them.
pub const HEADER: &str = "X-Komainu-Signature";

/// How far the signer's clock may be off, in either direction. Hosts with NTP are off by milliseconds; half a minute
/// forgives one without.
const WINDOW_MS: u64 = 30_000;

/// Why a signature is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SignatureError {
    /// Not of the form `t=…,v1=…`.
    #[error("the signature header does not read `t=<unix ms>,v1=<hex>`")]
    Malformed,
    /// Signed too long ago, or in the future.
    #[error("the signature's time is more than 30 s off; compare the clocks of the two hosts")]
    OutsideWindow,
    /// Another key, or another content.
    #[error("the signature does not match; compare the cluster key of the two")]
    Mismatch,
}

/// The header's value for a message signed at `at`.
#[must_use]
pub fn sign(key: &[u8], at: Wall, method: &str, path: &str, body: &[u8]) -> String {
    let code = code(key, at.0, method, path, body).finalize().into_bytes();
    format!("t={},v1={}", at.0, hex::encode(code))
}

/// Checks a header's value, in constant time as far as the code is concerned.
#[expect(clippy::too_many_arguments, reason = "the four signed parts stay in the order in which they are signed")]
pub fn verify(
    key: &[u8],
    header: &str,
    now: Wall,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<(), SignatureError> {
    let (at, claimed) = parse(header).ok_or(SignatureError::Malformed)?;
    if at.abs_diff(now.0) > WINDOW_MS {
        return Err(SignatureError::OutsideWindow);
    }
    code(key, at, method, path, body).verify_slice(&claimed).map_err(|_| SignatureError::Mismatch)
}

fn parse(header: &str) -> Option<(i64, Vec<u8>)> {
    let (at, claimed) = header.trim().split_once(',')?;
    let at = at.trim().strip_prefix("t=")?.parse().ok()?;
    let claimed = hex::decode(claimed.trim().strip_prefix("v1=")?).ok()?;
    Some((at, claimed))
}

fn code(key: &[u8], at: i64, method: &str, path: &str, body: &[u8]) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = hmac(key);
    mac.update(format!("{at}.{method}.{path}.").as_bytes());
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const AT: Wall = Wall(1_763_800_000_250);
    const PATH: &str = "/api/v1/reconcile-monitors";
    const BODY: &[u8] = br#"{"generation":7}"#;

    fn check(header: &str, now: Wall) -> Result<(), SignatureError> {
        verify(KEY, header, now, "POST", PATH, BODY)
    }

    #[test]
    fn a_signature_is_what_openssl_makes_of_the_message() {
        // printf '1763800000250.POST./api/v1/reconcile-monitors.{"generation":7}' | openssl dgst -sha256 -hmac KEY
        assert_eq!(
            sign(KEY, AT, "POST", PATH, BODY),
            "t=1763800000250,v1=338ba786b345edae23d6f3e476236f6443217680d874ea00568d1c4202a7b47f"
        );
    }

    #[test]
    fn the_signer_may_be_half_a_minute_off_in_either_direction() {
        let header = sign(KEY, AT, "POST", PATH, BODY);
        assert_eq!(check(&header, Wall(AT.0 + 30_000)), Ok(()));
        assert_eq!(check(&header, Wall(AT.0 - 30_000)), Ok(()));
        assert_eq!(check(&header, Wall(AT.0 + 30_001)), Err(SignatureError::OutsideWindow));
        assert_eq!(check(&header, Wall(AT.0 - 30_001)), Err(SignatureError::OutsideWindow));
    }

    #[test]
    fn every_part_of_the_message_is_signed() {
        let header = sign(KEY, AT, "POST", PATH, BODY);
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify(b"another key", &header, AT, "POST", PATH, BODY), mismatch);
        assert_eq!(verify(KEY, &header, AT, "GET", PATH, BODY), mismatch);
        assert_eq!(verify(KEY, &header, AT, "POST", "/api/v1/health", BODY), mismatch);
        assert_eq!(verify(KEY, &header, AT, "POST", PATH, b""), mismatch);
        assert_eq!(check(&header.replace("250,", "251,"), AT), mismatch);
    }

    #[test]
    fn garbage_is_named_as_such() {
        for header in ["", "t=1", "t=x,v1=00", "t=1763800000250,v1=zz", "v1=00,t=1763800000250"] {
            assert_eq!(check(header, AT), Err(SignatureError::Malformed), "{header}");
        }
        assert_eq!(check("t=1763800000250,v1=00", AT), Err(SignatureError::Mismatch));
        assert_eq!(check("t=-9223372036854775808,v1=00", AT), Err(SignatureError::OutsideWindow));
    }
}
