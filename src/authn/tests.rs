//! The union: who is recognised, who is refused, who is anonymous.

use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;

fn cluster(name: &str) -> LogicalClusterName {
    LogicalClusterName::parse(name).expect("a name")
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

fn certificate(subject: &[(DnType, &str)]) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, text) in subject {
        params.distinguished_name.push(kind.clone(), *text);
    }
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params.self_signed(&key).expect("a certificate").der().to_vec()
}

fn owner(der: &[u8]) -> Option<ClientCertificate> {
    ClientCertificate::from_der(der).expect("a certificate")
}

fn union(anonymous: AnonymousAccess) -> Union {
    let audiences = vec!["api".to_owned()];
    let token_file = TokenFile::parse("alice-token,alice,1,devs", audiences.clone()).expect("well formed");
    default_chain(Config { token_file: Some(token_file), signed_tokens: None, anonymous, audiences })
}

#[test]
fn bearer_tokens_are_read_as_kubernetes_reads_them() {
    for (header, expected) in [
        ("Bearer x", Bearer::Token("x")),
        ("bearer x", Bearer::Token("x")),
        ("  Bearer x  ", Bearer::Token("x")),
        ("Bearer a b", Bearer::Token("a")),
        ("Bearer  x", Bearer::ExtraSpace),
        ("Bearer ", Bearer::Absent),
        ("Bearer", Bearer::Absent),
        ("", Bearer::Absent),
        ("Basic YTpi", Bearer::Absent),
    ] {
        assert_eq!(Bearer::parse(header), expected, "{header:?}");
    }
}

#[test]
fn a_bad_bearer_token_is_refused_even_where_anonymous_requests_are_served() {
    let union = union(AnonymousAccess::Allowed);
    let bad = Credentials { bearer: Some("nope"), certificate: None };
    let refusal = union.authenticate(&cluster("team-a"), bad, now()).expect_err("refused");
    assert_eq!(refusal.to_string(), "invalid bearer token");
    assert_eq!(ApiError::from(refusal).status.code, 401);

    let nobody = union.authenticate(&cluster("team-a"), Credentials::default(), now()).expect("anonymous");
    assert_eq!(nobody.user, UserInfo::named("system:anonymous", ["system:unauthenticated"]));
}

#[test]
fn requests_without_credentials_are_refused_where_anonymous_requests_are_not_served() {
    let refused = union(AnonymousAccess::Refused).authenticate(&cluster("team-a"), Credentials::default(), now());
    assert!(refused.is_err());
}

#[test]
fn static_tokens_hold_in_every_cluster_and_join_the_group_of_the_authenticated() {
    let union = union(AnonymousAccess::Refused);
    for name in ["team-a", "team-b", "root"] {
        let credentials = Credentials { bearer: Some("alice-token"), certificate: None };
        let identity = union.authenticate(&cluster(name), credentials, now()).expect("alice");
        assert_eq!(identity.user.name, "alice");
        assert_eq!(identity.user.groups, ["devs", "system:authenticated"]);
        assert!(identity.holds_in(&cluster(name), None));
    }
}

#[test]
fn static_tokens_are_meant_for_the_api_alone() {
    let union = union(AnonymousAccess::Refused);
    let review = |audiences: &[&str]| {
        let audiences: Vec<String> = audiences.iter().map(|a| (*a).to_owned()).collect();
        union.review(&cluster("team-a"), "alice-token", &audiences, now()).map(|identity| identity.audiences)
    };
    assert_eq!(review(&[]).expect("the API"), ["api"]);
    assert_eq!(review(&["x", "api"]).expect("the API too"), ["api"]);
    assert_eq!(review(&["x"]).expect_err("not for x").to_string(), "invalid bearer token");
}

#[test]
fn a_certificate_names_its_owner_by_common_name_and_organizations() {
    let uid = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2]);
    let der = certificate(&[(DnType::CommonName, "carol"), (DnType::OrganizationName, "ops"), (uid, "77")]);
    let certificate = owner(&der).expect("an owner");
    let credentials = Credentials { bearer: None, certificate: Some(&certificate) };
    let identity = union(AnonymousAccess::Refused).authenticate(&cluster("team-a"), credentials, now()).expect("carol");
    assert_eq!((identity.user.name.as_str(), identity.user.uid.as_str()), ("carol", "77"));
    assert_eq!(identity.user.groups, ["ops", "system:authenticated"]);
    let id = &identity.user.extra[CREDENTIAL_ID][0];
    assert!(id.starts_with("X509SHA256=") && id.len() == "X509SHA256=".len() + 64, "{id}");
}

#[test]
fn a_certificate_that_ends_while_its_connection_lives_is_refused() {
    let certificate = owner(&certificate(&[(DnType::CommonName, "carol")])).expect("an owner");
    let credentials = Credentials { bearer: None, certificate: Some(&certificate) };
    let later = "2027-06-01T12:00:00Z".parse().expect("a time");
    let union = union(AnonymousAccess::Allowed);
    assert!(union.authenticate(&cluster("team-a"), credentials, now()).is_ok());
    assert!(union.authenticate(&cluster("team-a"), credentials, later).is_err());
}

#[test]
fn a_certificate_without_a_name_names_nobody() {
    let der = certificate(&[(DnType::OrganizationName, "system:masters")]);
    assert_eq!(owner(&der), None);
    assert_eq!(ClientCertificate::from_der(b"junk"), Err(certificate::Error::Malformed));
}
