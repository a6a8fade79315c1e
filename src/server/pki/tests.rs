//! Keys and certificates: made, kept, renewed, refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;
use crate::authn::ClientCertificate;

fn options(dir: Option<&Path>) -> Options {
    Options {
        data_dir: dir.map(Path::to_owned),
        listen: "127.0.0.1:6443".parse().expect("an address"),
        names: vec!["atoll.example.com".to_owned()],
        server_url: "https://127.0.0.1:6443".to_owned(),
        shared: None,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// Whether a client that trusts the CA would take the serving certificate under `name`.
fn client_accepts(pki: &Pki, name: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(der(&pki.ca.certificate)).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .expect("a verifier");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let seconds = u64::try_from(now.as_second()).expect("after 1970");
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_server_cert(&der(&pki.serving.certificate), &[], &name, &[], now).is_ok()
}

#[test]
fn clients_that_trust_the_ca_take_the_serving_certificate_by_all_its_names() {
    let now = at("2026-06-01T12:00:00Z");
    let pki = Pki::ensure(&options(None), now).expect("made");
    for name in ["localhost", "127.0.0.1", "::1", "atoll.example.com"] {
        assert!(client_accepts(&pki, name, now), "{name}");
    }
    assert!(!client_accepts(&pki, "example.com", now));
    let config = pki.server_config().expect("TLS");
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn the_administrator_is_in_the_group_of_the_masters() {
    let pki = Pki::ensure(&options(None), at("2026-06-01T12:00:00Z")).expect("made");
    let admin = ClientCertificate::from_der(&der(&pki.admin.certificate)).expect("readable").expect("named");
    assert_eq!(admin.user().name, "atoll-admin");
    assert_eq!(admin.user().groups, ["system:masters"]);
    assert!(pki.admin_kubeconfig.contains("https://127.0.0.1:6443"));
}

#[test]
fn what_was_made_is_kept_and_private() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = at("2026-06-01T12:00:00Z");
    let first = Pki::ensure(&options(Some(dir.path())), now).expect("made");
    let second = Pki::ensure(&options(Some(dir.path())), now).expect("kept");
    assert_eq!(first.ca.certificate, second.ca.certificate);
    assert_eq!(first.serving.certificate, second.serving.certificate);
    assert_eq!(first.token_key, second.token_key);
    assert_eq!(first.admin_kubeconfig, second.admin_kubeconfig);
    for name in ["pki/ca.key", "pki/server.key", "pki/admin.key", "pki/service-account.key", "admin.kubeconfig"] {
        let mode = fs::metadata(dir.path().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("ca.crt")).expect("there"), first.ca.certificate);
    let left_over = fs::read_dir(dir.path().join("pki")).expect("there").filter_map(Result::ok);
    assert!(left_over.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn leaves_that_end_soon_are_renewed_under_the_same_ca() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Pki::ensure(&options(Some(dir.path())), at("2026-06-01T12:00:00Z")).expect("made");
    assert!(first.renew_at < at("2027-05-10T00:00:00Z"), "{}", first.renew_at);
    let later = at("2027-05-20T12:00:00Z");
    let second = Pki::ensure(&options(Some(dir.path())), later).expect("renewed");
    assert_eq!(first.ca.certificate, second.ca.certificate);
    assert_ne!(first.serving.certificate, second.serving.certificate);
    assert_ne!(first.admin.certificate, second.admin.certificate);
    assert_eq!(first.token_key, second.token_key);
    assert!(client_accepts(&second, "localhost", later));
}

#[test]
fn a_new_name_makes_a_new_serving_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = at("2026-06-01T12:00:00Z");
    Pki::ensure(&options(Some(dir.path())), now).expect("made");
    let mut options = options(Some(dir.path()));
    options.names.push("10.1.2.3".to_owned());
    let renamed = Pki::ensure(&options, now).expect("made anew");
    assert!(client_accepts(&renamed, "10.1.2.3", now));
    options.names.push("not a name".to_owned());
    assert!(matches!(Pki::ensure(&options, now), Err(Error::Name { .. })));
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_replaced_with_it() {
    // A crash between the writes of key and certificate leaves a pair that does not fit.
    let dir = tempfile::tempdir().expect("a directory");
    let now = at("2026-06-01T12:00:00Z");
    Pki::ensure(&options(Some(dir.path())), now).expect("made");
    fs::copy(dir.path().join("pki/admin.key"), dir.path().join("pki/server.key")).expect("copied");
    let healed = Pki::ensure(&options(Some(dir.path())), now).expect("healed");
    assert!(healed.server_config().is_ok());
}

#[test]
fn a_directory_without_keys_gets_those_that_servers_share() {
    let (dir, now) = (tempfile::tempdir().expect("a directory"), at("2026-06-01T12:00:00Z"));
    let first = Pki::ensure(&options(None), now).expect("made");
    let shared =
        Shared { ca: first.ca.clone(), token_key: first.token_key.clone(), front_proxy: first.front_proxy.clone() };
    let second = Pki::ensure(&Options { shared: Some(shared), ..options(Some(dir.path())) }, now).expect("adopted");
    assert_eq!((&second.ca.certificate, &second.token_key), (&first.ca.certificate, &first.token_key));
    let key = fs::read_to_string(dir.path().join("pki/ca.key")).expect("written");
    assert_eq!(key, first.ca.key);
}

#[test]
fn a_damaged_or_expired_ca_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = at("2026-06-01T12:00:00Z");
    let ensure = |now| Pki::ensure(&options(Some(dir.path())), now).map(|_| ()).map_err(|e| e.to_string());
    ensure(now).expect("made");
    let expired = ensure(at("2040-01-01T00:00:00Z")).expect_err("expired");
    assert!(expired.contains("ca.crt") && expired.contains("expired"), "{expired}");

    let key = fs::read(dir.path().join("pki/ca.key")).expect("there");
    fs::write(dir.path().join("pki/ca.key"), "junk").expect("written");
    let damaged = ensure(now).expect_err("damaged");
    assert!(damaged.contains("ca.key") && damaged.contains("private key"), "{damaged}");

    fs::remove_file(dir.path().join("pki/ca.key")).expect("removed");
    let lost = ensure(now).expect_err("lost");
    assert!(lost.contains("restore the key"), "{lost}");

    fs::write(dir.path().join("pki/ca.key"), key).expect("restored");
    fs::remove_file(dir.path().join("pki/ca.crt")).expect("removed");
    ensure(now).expect("a certificate for the same key");
}

#[test]
fn urls_for_this_machine_never_name_the_unspecified_address() {
    for (listen, url) in [
        ("0.0.0.0:6443", "https://127.0.0.1:6443"),
        ("[::]:8443", "https://[::1]:8443"),
        ("10.0.0.1:443", "https://10.0.0.1:443"),
    ] {
        assert_eq!(local_url(listen.parse().expect("an address")), url);
    }
}
