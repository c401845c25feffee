//! How those who connect are served: certificates, and proxies in between.

use super::*;
use crate::surface::ClientHeader;

/// `GOOD`, with these sections, in a folder with a certificate `w1.crt`, its key, and the key of another.
fn with(sections: &str) -> Folder {
    let folder = Folder::with(&format!("{GOOD}{sections}"));
    let made = rcgen::generate_simple_self_signed(["w1".to_owned()]).unwrap();
    folder.write("w1.crt", &made.cert.pem());
    folder.write("w1.key", &made.signing_key.serialize_pem());
    folder.write("other.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    folder
}

#[test]
fn certificates_are_read_where_the_configuration_is_and_kept_out_of_what_is_shown() {
    let config =
        with("[tls]\ncert = \"w1.crt\"\nkey = \"w1.key\"\nca = \"w1.crt\"\nclient_ca = \"w1.crt\"\n").load().unwrap();
    assert!(config.tls.serves());
    let shown = config.effective();
    assert!(shown.contains("w1.crt") && !shown.contains("PRIVATE"), "{shown}");
    let plain = with("[tls]\nca = \"w1.crt\"\n").load().unwrap();
    assert!(!plain.tls.serves() && plain.tls.ca.is_some());
}

#[test]
fn what_speaks_tls_advertises_it() {
    let local = "[tls]\ncert = \"w1.crt\"\nkey = \"w1.key\"\n";
    let folder = with(local);
    folder.write(
        "komainu.toml",
        &GOOD
            .replace("0.0.0.0", "127.0.0.1")
            .replace("advertise = \"http://w1:8900\"\n", "")
            .replace("[policy]", &format!("{local}[policy]")),
    );
    assert_eq!(folder.load().unwrap().watchdog.unwrap().advertise.as_str(), "https://127.0.0.1:8900/");
}

#[test]
fn what_does_not_fit_together_is_named() {
    for (section, fault) in [
        ("[tls]\ncert = \"w1.crt\"\n", "[tls] key: is missing"),
        ("[tls]\nkey = \"w1.key\"\n", "[tls] cert: is missing"),
        ("[tls]\nclient_ca = \"w1.crt\"\n", "[tls] client_ca: needs cert and key"),
        ("[tls]\ncert = \"w1.crt\"\nkey = \"other.key\"\n", "is not the key of"),
        ("[tls]\ncert = \"w1.key\"\nkey = \"w1.key\"\n", "holds no certificate"),
        ("[tls]\ncert = \"w1.crt\"\nkey = \"w1.crt\"\n", "holds no private key"),
        ("[tls]\nca = \"nowhere.crt\"\n", "[tls] ca: cannot read"),
        ("[server]\nproxy_protocol = true\n", "[server] proxy_protocol: needs trusted_proxies"),
        ("[server]\ntrusted_proxies = [\"gateway\"]\n", "\"gateway\" is no network"),
        ("[server]\nclient_header = \"X-Real-IP\"\n", "X-Forwarded-For"),
    ] {
        let told = with(section).load().unwrap_err();
        assert!(told.contains(fault), "{section}: {told}");
    }
}

#[test]
fn proxies_are_networks_or_addresses() {
    let server = "[server]\ntrusted_proxies = [\"10.1.2.3/8\", \"192.0.2.7\", \"fd00::/8\"]\nproxy_protocol = true\n";
    let proxies = with(&format!("{server}client_header = \"Forwarded\"\n")).load().unwrap().proxies;
    let trusted: Vec<String> = proxies.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    assert!(proxies.announce && proxies.header == ClientHeader::Forwarded);
}
