//! What is signed for clusters, what is not, and what it is worth.

use rcgen::{CertificateParams, DnType, SanType};
use rustls::RootCertStore;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;

use super::*;
use crate::authn::ClientCertificate;
use crate::server::pki::{Options, Pki};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

fn pki() -> Pki {
    let options = Options {
        data_dir: None,
        listen: "127.0.0.1:6443".parse().expect("an address"),
        names: Vec::new(),
        server_url: "https://127.0.0.1:6443".to_owned(),
        shared: None,
    };
    Pki::ensure(&options, now()).expect("made")
}

fn request(common_name: &str, organization: &str, names: &[SanType]) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.subject_alt_names = names.to_vec();
    params.serialize_request(&key).expect("a request").pem().expect("PEM").into_bytes()
}

fn sign(pki: &Pki, signer: &str, request: &[u8], usages: &[&str], seconds: Option<i64>) -> Result<String, Unsigned> {
    let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
    let asked = Asked { signer, request, usages: &usages, seconds };
    ClusterSigner::new(&pki.clusters).expect("a signer").sign("uid-1", &asked, now()).expect("a known signer")
}

fn der_of(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// Whether the handshake lets a client with that certificate pass that believes these CAs.
fn passes(certificate: &CertificateDer<'_>, cas: &[&str]) -> bool {
    let mut roots = RootCertStore::empty();
    cas.iter().for_each(|ca| roots.add(der_of(ca)).expect("a CA"));
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(std::sync::Arc::new(roots), provider);
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now().as_second().unsigned_abs()));
    verifier.build().expect("a verifier").verify_client_cert(certificate, &[], at).is_ok()
}

#[test]
fn a_certificate_names_who_asked_and_the_cluster() {
    let pki = pki();
    let usages = ["client auth", "digital signature", "key encipherment"];
    let signed = sign(&pki, CLIENT, &request("jane", "devs", &[]), &usages, None).expect("signed");
    let der = der_of(&signed);
    assert!(passes(&der, &[&pki.ca.certificate, &pki.clusters.certificate]));
    assert!(!passes(&der, &[&pki.ca.certificate]), "it is not of the CA whose certificates hold everywhere");
    let read = ClientCertificate::from_der(&der).expect("readable").expect("named");
    assert_eq!((&*read.user().name, &*read.user().groups), ("jane", &["devs".to_owned()][..]));
    assert_eq!(read.cluster().map(|uid| uid.as_str()), Some("uid-1"));
    let admin = ClientCertificate::from_der(&der_of(&pki.admin.certificate)).expect("readable").expect("named");
    assert_eq!(admin.cluster(), None);
    // It is the same CA whenever it is made, as long as the server's is the same.
    let again = authority(&pki.ca, now()).expect("made");
    assert!(passes(&der, &[&again.certificate]));
    let (_, parsed) = X509Certificate::from_der(&der).expect("a certificate");
    // Clients in Go read their own certificate before they show it.
    let numbers = parsed.extensions().iter().filter_map(|extension| extension.oid.iter()).flatten();
    assert!(numbers.max().is_some_and(|largest| largest < 1 << 31));
    assert!(!parsed.is_ca() && parsed.key_usage().expect("well formed").is_some());
}

#[test]
fn a_certificate_holds_as_long_as_is_asked_within_bounds() {
    let pki = pki();
    for (seconds, expect) in [
        (None, LONGEST - BACKDATED),
        (Some(i64::from(i32::MAX)), LONGEST - BACKDATED),
        (Some(3600), 3600),
        (Some(60), SHORTEST),
        (Some(-1), SHORTEST),
        (Some(10 * 3600), 10 * 3600 - BACKDATED),
    ] {
        let signed = sign(&pki, CLIENT, &request("jane", "devs", &[]), &["client auth"], seconds).expect("signed");
        let end = end_of(signed.as_bytes()).expect("a certificate");
        assert_eq!(end.as_second() - now().as_second(), expect, "{seconds:?}");
    }
    assert_eq!(end_of(b"junk"), None);
}

#[test]
fn signers_refuse_what_kubernetes_signers_refuse() {
    let pki = pki();
    let dns = SanType::DnsName("n1".try_into().expect("a name"));
    let uri = SanType::URI("spiffe://n1".try_into().expect("a name"));
    let named = std::slice::from_ref(&dns);
    let node = |names: &[SanType]| request("system:node:n1", NODES, names);
    let (client, server) = (["client auth", "digital signature"], ["server auth", "digital signature"]);
    for (signer, request, usages, refusal) in [
        (CLIENT, request("jane", "system:masters", &[]), &client[..], "system:masters group is not allowed"),
        (CLIENT, request("jane", "devs", &[]), &server[..], "invalid usage for client certificate: server auth"),
        (
            CLIENT,
            request("jane", "devs", &[]),
            &client[1..],
            "missing required usage for client certificate: client auth",
        ),
        (CLIENT, b"junk".to_vec(), &client[..], "PEM block type must be CERTIFICATE REQUEST"),
        (KUBELET_CLIENT, node(&[]), &client[..], ""),
        (KUBELET_CLIENT, node(named), &client[..], "DNS subjectAltNames are not allowed"),
        (
            KUBELET_CLIENT,
            request("system:node:n1", "devs", &[]),
            &client[..],
            "subject organization is not system:nodes",
        ),
        (
            KUBELET_CLIENT,
            request("jane", NODES, &[]),
            &client[..],
            "subject common name does not begin with system:node:",
        ),
        (
            KUBELET_CLIENT,
            node(&[]),
            &server[..],
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (KUBELET_SERVING, node(named), &server[..], ""),
        (KUBELET_SERVING, node(&[]), &server[..], "DNS or IP subjectAltName is required"),
        (KUBELET_SERVING, node(&[dns.clone(), uri]), &server[..], "URI subjectAltNames are not allowed"),
        (
            KUBELET_SERVING,
            node(named),
            &client[..],
            "usages did not match [digital signature key encipherment server auth]",
        ),
    ] {
        match sign(&pki, signer, &request, usages, None) {
            Ok(_) => assert_eq!(refusal, "", "{signer} signed"),
            Err(Unsigned::Refused(why)) => assert!(!refusal.is_empty() && why.contains(refusal), "{signer}: {why}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    let asked = Asked { signer: "example.com/mine", request: b"", usages: &[], seconds: None };
    assert!(ClusterSigner::new(&pki.clusters).expect("a signer").sign("uid-1", &asked, now()).is_none());
}

#[test]
fn a_kubelets_serving_certificate_makes_no_client() {
    let pki = pki();
    let name = SanType::DnsName("n1".try_into().expect("a name"));
    let asked = request("system:node:n1", NODES, &[name]);
    let signed = sign(&pki, KUBELET_SERVING, &asked, &["server auth", "digital signature"], None).expect("signed");
    let der = der_of(&signed);
    assert!(!passes(&der, &[&pki.clusters.certificate]));
    let (_, parsed) = X509Certificate::from_der(&der).expect("a certificate");
    let names = parsed.subject_alternative_name().expect("well formed").expect("names");
    assert!(matches!(names.value.general_names[..], [GeneralName::DNSName("n1")]));
}

/// However it came to be, a certificate of this CA without the name of a cluster is nobody's, and so is one of the group whose
/// members may do everything.
#[test]
fn a_certificate_of_the_cas_without_a_cluster_is_nobodys() {
    let pki = pki();
    let ca_key = KeyPair::from_pem(&pki.clusters.key).expect("a key");
    let issuer = rcgen::Issuer::from_ca_cert_pem(&pki.clusters.certificate, ca_key).expect("a CA");
    let make = |organization: &str, extensions: Vec<rcgen::CustomExtension>| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "jane");
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.custom_extensions = extensions;
        params.signed_by(&KeyPair::generate().expect("a key"), &issuer).expect("a certificate").der().to_vec()
    };
    let bound = |value: &[u8]| rcgen::CustomExtension::from_oid_content(CLUSTER_EXTENSION, value.to_vec());
    let good = der(UTF8, &[b"uid-1"]);
    assert!(ClientCertificate::from_der(&make("devs", vec![bound(&good)])).is_ok());
    for (organization, extensions) in [
        ("devs", vec![]),
        ("devs", vec![bound(b"")]),
        ("devs", vec![bound(&der(UTF8, &[]))]),
        ("devs", vec![bound(&good[..good.len() - 1])]),
        ("devs", vec![bound(&der(UTF8, &[&[0xff]]))]),
        ("devs", vec![bound(&good), bound(&good)]),
        ("system:masters", vec![bound(&good)]),
    ] {
        let refused = ClientCertificate::from_der(&make(organization, extensions));
        assert!(refused.is_err(), "{refused:?}");
    }
}
