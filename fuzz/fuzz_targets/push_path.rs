//! The name in a push's path: what counts as one needs no escaping anywhere, so that an address, a shell and a file name
//! hold it as it is.
#![no_main]

use komainu::heartbeat::is_name;
use komainu::sender::address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    let watchdog = "https://w1.example.com:8900/komainu/".parse().expect("that is an address");
    let address = address(&watchdog, name).expect("https addresses have paths");
    if is_name(name) {
        assert_eq!(address.path(), format!("/komainu/heartbeats/{name}"));
    }
    // Whatever the name, nobody is led to another watchdog, or out of its folder.
    assert_eq!(address.origin(), watchdog.origin());
    assert!(address.path().starts_with("/komainu/heartbeats"));
    assert_eq!((address.query(), address.fragment()), (None, None));
});
