//! Tokens the server signs: recognised in their cluster while what they name exists, nobody's elsewhere.

use atoll_api::Uid;

use super::super::fake::{API, FakeObjects, cluster, now, tokens, tokens_with, union};
use super::super::{Credentials, Unauthenticated};
use super::*;

fn robot_token(tokens: &SignedTokens, in_cluster: &str, pod: Option<Reference>) -> String {
    let uid = tokens.lookup.find(&cluster(in_cluster), Referent::ServiceAccount, "ns", "robot").expect("there").uid;
    let spec = ServiceAccountToken {
        cluster: &cluster(in_cluster),
        namespace: "ns",
        service_account: Reference { name: "robot".into(), uid: uid.as_str().into() },
        audiences: tokens.audiences(),
        lives_seconds: Some(3600),
        warn_after_seconds: None,
        pod,
        secret: None,
        node: None,
    };
    tokens.issue_service_account(spec, now()).expect("made").token
}

fn recognise(
    tokens: &Arc<SignedTokens>,
    in_cluster: &str,
    token: &str,
    seconds_later: i64,
) -> Result<Identity, Unauthenticated> {
    let at = Timestamp::from_second(now().as_second() + seconds_later).expect("a time");
    let credentials = Credentials { bearer: Some(token), certificate: None };
    union(tokens).authenticate(&cluster(in_cluster), credentials, at)
}

fn check_refused(tokens: &Arc<SignedTokens>, in_cluster: &str, token: &str, later: i64, why: &str) {
    let refusal = recognise(tokens, in_cluster, token, later).expect_err(why);
    let expected =
        if why.is_empty() { "invalid bearer token".to_owned() } else { format!("[invalid bearer token, {why}]") };
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn a_service_account_is_recognised_with_its_groups_and_credential() {
    let tokens = tokens(FakeObjects::two_clusters());
    let identity = recognise(&tokens, "team-a", &robot_token(&tokens, "team-a", None), 0).expect("robot");
    let user = &identity.user;
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:ns:robot", "team-a-robot"));
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
    assert!(user.extra[CREDENTIAL_ID][0].starts_with("JTI="));
    assert_eq!(identity.audiences, [API]);
    assert_eq!(identity.expires.map(|at| at.as_second() - now().as_second()), Some(3600));
    assert!(identity.holds_in(&cluster("team-a"), Some(&Uid::new("uid-team-a"))));
    assert!(!identity.holds_in(&cluster("team-a"), Some(&Uid::new("another"))));
    assert!(!identity.holds_in(&cluster("team-b"), Some(&Uid::new("uid-team-a"))));
}

#[test]
fn a_token_of_one_cluster_is_nobodys_in_another_where_the_same_names_exist() {
    for issuer in [Issuer::Fixed(API.into()), Issuer::PerCluster { base: "https://atoll.example.com".into() }] {
        let tokens = tokens_with(FakeObjects::two_clusters(), issuer);
        let (a, b) = (robot_token(&tokens, "team-a", None), robot_token(&tokens, "team-b", None));
        assert!(recognise(&tokens, "team-a", &a, 0).is_ok());
        assert!(recognise(&tokens, "team-b", &b, 0).is_ok());
        for (name, token) in [("team-b", &a), ("team-a", &b), ("root", &a), ("nowhere", &a)] {
            // Nothing is told of the other cluster.
            check_refused(&tokens, name, token, 0, "");
        }
    }
}

#[test]
fn a_cluster_made_again_under_the_same_name_honours_nothing_of_its_predecessor() {
    let objects = Arc::new(FakeObjects::two_clusters());
    let tokens = tokens(Arc::clone(&objects));
    let account = robot_token(&tokens, "team-a", None);
    let groups = vec!["admins".to_owned()];
    let spec = UserToken { cluster: &cluster("team-a"), user: "eve", groups: &groups, lives_seconds: 3600 };
    let user = tokens.issue_user(spec, now()).expect("made").token;
    for token in [&account, &user] {
        assert!(recognise(&tokens, "team-a", token, 0).is_ok());
    }
    objects.remove_cluster("team-a");
    for token in [&account, &user] {
        check_refused(&tokens, "team-a", token, 0, "");
    }
    // The very same service account, uid and all, as a restored backup would bring it.
    objects.add_cluster("team-a", "uid-of-the-successor");
    for token in [&account, &user] {
        check_refused(&tokens, "team-a", token, 0, "");
    }
}

#[test]
fn tokens_end_with_their_time_and_a_little_leeway() {
    let tokens = tokens(FakeObjects::two_clusters());
    let token = robot_token(&tokens, "team-a", None);
    assert!(recognise(&tokens, "team-a", &token, 3660).is_ok());
    check_refused(&tokens, "team-a", &token, 3661, "service account token has expired");
    check_refused(&tokens, "team-a", &token, -61, "service account token is not valid yet");
}

#[test]
fn tokens_end_with_the_service_account() {
    let objects = Arc::new(FakeObjects::two_clusters());
    let tokens = tokens(Arc::clone(&objects));
    let token = robot_token(&tokens, "team-a", None);
    objects.set("team-a", Referent::ServiceAccount, "ns", "robot", Some(("another", None)));
    let why = "service account UID (another) does not match claim (team-a-robot)";
    check_refused(&tokens, "team-a", &token, 0, why);
    objects.set("team-a", Referent::ServiceAccount, "ns", "robot", Some(("team-a-robot", Some(now()))));
    assert!(recognise(&tokens, "team-a", &token, 60).is_ok());
    check_refused(&tokens, "team-a", &token, 61, "service account ns/robot has been deleted");
    objects.set("team-a", Referent::ServiceAccount, "ns", "robot", None);
    check_refused(&tokens, "team-a", &token, 0, "serviceaccounts \"robot\" not found");
}

#[test]
fn tokens_end_with_the_object_they_are_bound_to() {
    let objects = Arc::new(FakeObjects::two_clusters());
    let tokens = tokens(Arc::clone(&objects));
    let pod = Reference { name: "p".into(), uid: "pod-uid".into() };
    objects.set("team-a", Referent::Pod, "ns", "p", Some(("pod-uid", None)));
    let token = robot_token(&tokens, "team-a", Some(pod));
    let identity = recognise(&tokens, "team-a", &token, 0).expect("robot");
    assert_eq!(identity.user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
    assert_eq!(identity.user.extra["authentication.kubernetes.io/pod-uid"], ["pod-uid"]);
    objects.set("team-a", Referent::Pod, "ns", "p", Some(("later", None)));
    let why = "pod UID (later) does not match service account pod ref claim (pod-uid)";
    check_refused(&tokens, "team-a", &token, 0, why);
    objects.set("team-a", Referent::Pod, "ns", "p", None);
    check_refused(&tokens, "team-a", &token, 0, "service account token has been invalidated");
}

#[test]
fn users_have_the_groups_their_token_names() {
    let tokens = tokens(FakeObjects::two_clusters());
    let groups = vec!["devs".to_owned()];
    let issue = |user| {
        tokens.issue_user(UserToken { cluster: &cluster("team-a"), user, groups: &groups, lives_seconds: 600 }, now())
    };
    let identity = recognise(&tokens, "team-a", &issue("carol").expect("made").token, 0).expect("carol");
    assert_eq!(identity.user.name, "carol");
    assert_eq!(identity.user.groups, ["devs", "system:authenticated"]);
    for name in ["", "system:serviceaccount:ns:robot"] {
        assert!(matches!(issue(name), Err(IssueError::UserName(_))), "{name}");
    }
    let nowhere = UserToken { cluster: &cluster("nowhere"), user: "carol", groups: &groups, lives_seconds: 600 };
    assert!(matches!(tokens.issue_user(nowhere, now()), Err(IssueError::NoCluster(_))));
}

#[test]
fn forged_and_foreign_tokens_are_nobodys() {
    let tokens_a = tokens(FakeObjects::two_clusters());
    let other_server = tokens(FakeObjects::two_clusters());
    let foreign = robot_token(&other_server, "team-a", None);
    let good = robot_token(&tokens_a, "team-a", None);
    let parts: Vec<&str> = good.split('.').collect();
    let swapped = robot_token(&tokens_a, "team-b", None);
    let payload = swapped.split('.').nth(1).expect("a payload");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    let forged = format!("{}.{payload}.{}", parts[0], parts[2]);
    for token in [&foreign, &unsigned, &forged, "a.b.c", "..", "", &"x.".repeat(40_000)] {
        assert!(recognise(&tokens_a, "team-a", token, 0).is_err(), "{token:.40}");
        assert!(recognise(&tokens_a, "team-b", token, 0).is_err(), "{token:.40}");
    }
}

#[test]
fn signatures_of_a_replaced_key_count_as_long_as_it_is_kept() {
    let old = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let new = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let public = rcgen::KeyPair::from_pem(&old).expect("a key").public_key_pem();
    let objects = Arc::new(FakeObjects::two_clusters());
    let with = |signing: &str, others: &[String]| {
        let keys = KeyRing::from_pem(signing, others).expect("keys");
        let options = tokens(Arc::clone(&objects)).options.clone();
        let lookup: Arc<dyn ObjectLookup> = Arc::<FakeObjects>::clone(&objects);
        Arc::new(SignedTokens::new(options, move || keys, lookup))
    };
    let token = robot_token(&with(&old, &[]), "team-a", None);
    for kept in [old.clone(), public] {
        let rotated = with(&new, &[kept]);
        assert!(recognise(&rotated, "team-a", &token, 0).is_ok());
        assert_eq!(rotated.jwks()["keys"].as_array().map(Vec::len), Some(2));
    }
    assert!(recognise(&with(&new, &[]), "team-a", &token, 0).is_err());
    assert!(KeyRing::from_pem("junk", &[]).is_err());
}

#[test]
fn the_issuer_publishes_its_keys_and_configuration() {
    let tokens = tokens(FakeObjects::two_clusters());
    let jwks = tokens.jwks();
    let key = &jwks["keys"][0];
    for (field, text) in [("use", "sig"), ("kty", "EC"), ("alg", "ES256"), ("crv", "P-256")] {
        assert_eq!(key[field], text, "{field}");
    }
    assert!(key["kid"].is_string() && key.get("d").is_none());
    let expected = json!({
        "issuer": API, "jwks_uri": "https://x/openid/v1/jwks", "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
    });
    assert_eq!(tokens.openid_configuration(&cluster("team-a"), "https://x/openid/v1/jwks"), expected);
    let per_cluster = Issuer::PerCluster { base: "https://atoll.example.com".into() };
    assert_eq!(per_cluster.of(&cluster("team-a")), "https://atoll.example.com/clusters/team-a");
}
