//! What holds for whatever is sent, and for whatever strangers send: sender and receiver understand each other to the
//! byte. The targets of `fuzz/` try the same without end.

use proptest::option;
use proptest::prelude::*;

use super::address;
use super::push::{Push, Status};
use crate::heartbeat::secret::{Proof, Secrets, sign};
use crate::heartbeat::{body, is_name};

/// Beyond it (the year 2242) a double no longer tells two microseconds apart.
const EXACT_US: i64 = (1 << 33) * 1_000_000;

fn any_push() -> impl Strategy<Value = Push> {
    let status = prop_oneof![Just(Status::Ok), Just(Status::Start), Just(Status::Fail)];
    let duration = option::of(0..=u64::try_from(i64::MAX).unwrap());
    let texts = (option::of(".*"), option::of(".{0,100}"));
    (1..EXACT_US, status, duration, option::of(any::<i32>()), texts).prop_map(|parts| {
        let (time_us, status, duration_ms, exit_code, (message, run_id)) = parts;
        Push { time_us, status, message, duration_ms, exit_code, run_id }
    })
}

fn taken_back(body: body::Body) -> Push {
    let status = [Status::Ok, Status::Start, Status::Fail];
    Push {
        time_us: body.push.time_us,
        status: status.into_iter().find(|status| status.as_str() == body.push.status.as_str()).unwrap(),
        message: body.message,
        duration_ms: body.duration_ms.map(|ms| u64::try_from(ms).unwrap()),
        exit_code: body.exit_code,
        run_id: body.push.run_id,
    }
}

fn by_sha256(header: &str) -> Proof<'_> {
    Proof { sha256: Some(header), sha1: None }
}

fn by_sha1(header: &str) -> Proof<'_> {
    Proof { sha256: None, sha1: Some(header) }
}

proptest! {
    #[test]
    fn what_a_sender_says_is_what_a_watchdog_reads(push in any_push()) {
        let read = body::parse(&push.body()).unwrap();
        prop_assert_eq!(taken_back(read), push);
    }

    #[test]
    fn no_bytes_bring_the_parser_down(bytes in any::<Vec<u8>>()) {
        let _ = body::parse(&bytes);
    }

    /// Nearly right bodies come further than random bytes do.
    #[test]
    fn no_near_miss_brings_the_parser_down(push in any_push(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = push.body();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = body::parse(&bytes) && (1..EXACT_US).contains(&read.push.time_us) {
            let said = taken_back(read.clone());
            prop_assert_eq!(body::parse(&said.body()), Ok(read));
        }
    }

    #[test]
    fn numbers_of_any_spelling_bring_nothing_down(whole in "-?[0-9]{1,25}", fraction in "(\\.[0-9]{0,25})?", exponent in "([eE][+-]?[0-9]{1,12})?") {
        let _ = body::parse(format!("{{\"time\": {whole}{fraction}{exponent}}}").as_bytes());
    }

    #[test]
    fn a_signature_holds_for_exactly_these_bytes(
        body in any::<Vec<u8>>(), other in any::<Vec<u8>>(), secret in "[!-~]{1,60}", wrong in "[!-~]{1,60}",
    ) {
        let secrets = Secrets::new(vec![secret.clone()], false);
        let signed = sign(&secret, &body);
        prop_assert!(secrets.have_signed(&body, by_sha256(&signed)));
        prop_assert!(secrets.have_signed(&body, by_sha256(&signed.to_uppercase().replace("SHA256=", "sha256="))));
        prop_assert_eq!(secrets.have_signed(&other, by_sha256(&signed)), other == body);
        prop_assert_eq!(secrets.have_signed(&body, by_sha256(&sign(&wrong, &body))), wrong == secret);
        prop_assert!(!secrets.have_signed(&body, by_sha1(&signed)));
    }

    #[test]
    fn no_header_of_a_stranger_is_taken(header in ".*", hex in "(sha256=|sha1=)?[0-9a-fA-F]{0,70}", body in any::<Vec<u8>>()) {
        let secrets = Secrets::new(vec!["secret".to_owned()], true);
        for header in [header, hex] {
            prop_assert!(!secrets.have_signed(&body, by_sha256(&header)));
            prop_assert!(!secrets.have_signed(&body, by_sha1(&header)));
        }
    }

    #[test]
    fn a_name_stays_in_its_place(name in prop_oneof![".*", "[A-Za-z0-9._-]{1,101}"]) {
        let watchdog = "https://w1.example.com:8900/komainu/".parse().unwrap();
        let address = address(&watchdog, &name).unwrap();
        if is_name(&name) {
            prop_assert_eq!(address.path(), format!("/komainu/heartbeats/{name}"));
        }
        prop_assert_eq!(address.origin(), watchdog.origin());
        prop_assert!(address.path().starts_with("/komainu/heartbeats"));
        prop_assert_eq!((address.query(), address.fragment()), (None, None));
    }
}
