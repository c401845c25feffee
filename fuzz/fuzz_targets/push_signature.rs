//! The signature headers of a push: whatever a stranger writes there, a push is taken only when it was signed over exactly
//! its bytes.
#![no_main]

use komainu::heartbeat::secret::{Proof, Secrets, sign};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

fuzz_target!(|input: (&str, Option<&str>, &[u8])| {
    let (header, legacy, body) = input;
    let secrets = Secrets::new(vec![SECRET.to_owned()], true);
    let signed = sign(SECRET, body);
    // Hex digits of either case, blanks around it.
    let is_right = header
        .trim()
        .strip_prefix("sha256=")
        .is_some_and(|digits| signed.strip_prefix("sha256=").is_some_and(|right| right.eq_ignore_ascii_case(digits)));
    assert_eq!(secrets.have_signed(body, Proof { sha256: Some(header), sha1: legacy }), is_right);
    assert!(secrets.have_signed(body, Proof { sha256: Some(&signed), sha1: legacy }));
    // Any other body is another signature.
    let other = [body, b"x"].concat();
    assert!(!secrets.have_signed(&other, Proof { sha256: Some(&signed), sha1: None }));
    let _ = secrets.have_signed(body, Proof { sha256: None, sha1: Some(header) });
});
