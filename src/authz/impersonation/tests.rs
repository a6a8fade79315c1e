//! Acting as somebody else: by masters, by those who were granted it, and by nobody else.

use super::*;
use crate::authz::rbac::fake::{FakePolicy, binding, cluster, role, rules};

/// The outcome for `requestor`, who asks in cluster `a` for a self review with headers `Name: value`.
fn attempt(authorizer: &dyn Authorizer, requestor: &UserInfo, headers: &[&str]) -> Result<Impersonated, String> {
    let lowered: Vec<(String, &str)> = headers
        .iter()
        .map(|header| header.split_once(": ").expect("name and value"))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    let wanted = requested(lowered.iter().map(|(name, value)| (name.as_str(), *value)));
    let wanted = wanted.map_err(|error| error.status.message)?.expect("somebody");
    let cluster = cluster("a");
    let request = Attributes::resource(&cluster, requestor, "create", GROUP, "selfsubjectreviews");
    authorize(authorizer, &Habits::default(), &request, &wanted).map_err(|error| {
        assert_eq!(error.status.code, 403);
        error.status.message
    })
}

fn check_groups(authorizer: &dyn Authorizer, requestor: &UserInfo, headers: &[&str], groups: &[&str]) {
    let user = attempt(authorizer, requestor, headers).expect("allowed").user;
    assert_eq!(user.groups, groups, "{headers:?}");
}

fn master() -> UserInfo {
    UserInfo::named("admin", ["system:masters", "system:authenticated"])
}

fn alice() -> UserInfo {
    UserInfo::named("alice", ["devs", "system:authenticated"])
}

/// Alice is granted these rules everywhere in cluster `a`, and everything in cluster `b`.
fn granted(texts: &[&str]) -> crate::authz::Chain {
    let grant = |texts: &[&str]| [role("", "i", rules(texts)), binding("", "i", "ClusterRole/i", &["User/alice"])];
    FakePolicy::default().with("a", &grant(texts)).with("b", &grant(&["* * *"])).into_chain()
}

#[test]
fn masters_act_as_anybody_and_groups_are_filled_in() {
    let chain = granted(&[]);
    let user = "Impersonate-User: carol";
    check_groups(&chain, &master(), &[user], &["system:authenticated"]);
    check_groups(&chain, &master(), &[user, "Impersonate-Group: ops"], &["ops", "system:authenticated"]);
    let robot = "Impersonate-User: system:serviceaccount:ns:robot";
    let groups = ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"];
    check_groups(&chain, &master(), &[robot], &groups);
    check_groups(&chain, &master(), &["Impersonate-User: system:anonymous"], &["system:unauthenticated"]);
    check_groups(&chain, &master(), &[user, "Impersonate-Group: system:authenticated"], &["system:authenticated"]);
    check_groups(&chain, &master(), &[user, "Impersonate-Group: system:unauthenticated"], &["system:unauthenticated"]);
    let masters = ["system:masters", "system:authenticated"];
    check_groups(&chain, &master(), &[user, "Impersonate-Group: system:masters"], &masters);
}

/// Who was let by the old way once is told what the old way lacks, and gets what the old way gives.
#[test]
fn the_way_that_served_last_is_tried_first() {
    let chain = granted(&["impersonate - users"]);
    let (cluster, habits) = (cluster("a"), Habits::default());
    let act = |requestor: &UserInfo, wanted: UserInfo| {
        let request = Attributes::resource(&cluster, requestor, "create", GROUP, "selfsubjectreviews");
        authorize(&chain, &habits, &request, &wanted).map_err(|error| error.status.message)
    };
    let with_group = || UserInfo::named("carol", ["ops"]);
    let before = act(&alice(), with_group()).expect_err("no groups");
    assert!(before.contains("impersonate-on:user-info:create"), "{before}");
    let _ = act(&alice(), UserInfo::named("carol", [""; 0])).expect("the old way allows it");
    let after = act(&alice(), with_group()).expect_err("no groups");
    assert!(after.contains("cannot impersonate resource \"groups\""), "{after}");
    let elsewhere = UserInfo::named("bob", ["system:authenticated"]);
    assert!(act(&elsewhere, with_group()).expect_err("nothing").contains("impersonate-on"), "habits are a user's own");
}

#[test]
fn uid_and_extra_are_taken_over_with_decoded_keys() {
    let headers = [
        "Impersonate-User: carol",
        "Impersonate-Uid: 77",
        "Impersonate-Extra-Scopes: a b",
        "Impersonate-Extra-Example.com%2Fkey: v",
    ];
    let user = attempt(&granted(&[]), &master(), &headers).expect("allowed").user;
    assert_eq!(user.uid, "77");
    assert_eq!(user.extra["scopes"], ["a b"]);
    assert_eq!(user.extra["example.com/key"], ["v"]);
}

#[test]
fn without_a_user_name_the_other_headers_are_a_bad_request() {
    assert_eq!(requested([("accept", "x")]).expect("nothing is asked"), None);
    let error = requested([("impersonate-group", "ops")]).expect_err("refused").status;
    let expected = r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"ops"}, Extra:map[string][]string(nil)} without impersonating a user name"#;
    assert_eq!((error.code, error.message.as_str()), (400, expected));
}

#[test]
fn without_the_right_to_it_acting_as_anybody_is_refused_even_as_oneself() {
    // What alice may do in another cluster does not help her here.
    let chain = granted(&["create authentication.k8s.io selfsubjectreviews"]);
    for user in ["carol", "alice", "system:serviceaccount:ns:robot", "system:node:n1"] {
        attempt(&chain, &alice(), &[&format!("Impersonate-User: {user}")]).expect_err(user);
    }
    let refusal = attempt(&chain, &alice(), &["Impersonate-User: carol"]).expect_err("refused");
    let expected = r#"selfsubjectreviews.authentication.k8s.io is forbidden: User "alice" cannot impersonate-on:user-info:create resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope"#;
    assert_eq!(refusal, expected);
}

#[test]
fn the_old_verb_is_granted_apart_for_users_groups_extra_and_service_accounts() {
    let chain = granted(&[
        "impersonate - users carol",
        "impersonate - groups ops",
        "impersonate authentication.k8s.io userextras/scopes read",
        "impersonate - serviceaccounts robot",
    ]);
    let carol = "Impersonate-User: carol";
    for headers in [
        &[carol][..],
        &[carol, "Impersonate-Group: ops"],
        &[carol, "Impersonate-Extra-Scopes: read"],
        &["Impersonate-User: system:serviceaccount:ns:robot"],
    ] {
        assert_eq!(attempt(&chain, &alice(), headers).expect("allowed").constraint, None, "{headers:?}");
    }
    for headers in [
        &[carol, "Impersonate-Group: devs"][..],
        &[carol, "Impersonate-Extra-Scopes: write"],
        &[carol, "Impersonate-Extra-Other: read"],
        &[carol, "Impersonate-Uid: 5"],
        &["Impersonate-User: dave"],
        &["Impersonate-User: system:serviceaccount:ns:other"],
    ] {
        attempt(&chain, &alice(), headers).expect_err(headers[headers.len() - 1]);
    }
}

#[test]
fn constrained_impersonation_needs_the_verb_on_the_user_and_on_the_request() {
    let on_user = "impersonate:user-info authentication.k8s.io users,groups carol,ops";
    let on_request = "impersonate-on:user-info:create authentication.k8s.io selfsubjectreviews";
    let headers = ["Impersonate-User: carol", "Impersonate-Group: ops"];
    attempt(&granted(&[on_user]), &alice(), &headers).expect_err("for no request");
    attempt(&granted(&[on_request]), &alice(), &headers).expect_err("as nobody");
    let allowed = attempt(&granted(&[on_user, on_request]), &alice(), &headers).expect("both");
    assert_eq!(allowed.constraint.as_deref(), Some("impersonate:user-info"));

    let everything = granted(&["impersonate:user-info * *", "impersonate-on:user-info:create * *"]);
    for group in ["system:masters", ""] {
        let group = format!("Impersonate-Group: {group}");
        attempt(&everything, &alice(), &["Impersonate-User: carol", &group]).expect_err(&group);
    }
    attempt(&everything, &alice(), &["Impersonate-User: system:serviceaccount:ns:x"]).expect_err("another mode");
}

#[test]
fn a_service_account_may_act_as_its_own_node_only() {
    let mut agent = UserInfo::named("system:serviceaccount:ns:agent", ["system:serviceaccounts"]);
    agent.extra.insert(NODE_NAME.to_owned(), vec!["n1".to_owned()]);
    let texts = [
        "impersonate:associated-node authentication.k8s.io nodes",
        "impersonate-on:associated-node:create authentication.k8s.io selfsubjectreviews",
    ];
    let bound = binding("", "i", "ClusterRole/i", &["ServiceAccount/ns/agent"]);
    let chain = FakePolicy::default().with("a", &[role("", "i", rules(&texts)), bound]).into_chain();
    let allowed = attempt(&chain, &agent, &["Impersonate-User: system:node:n1"]).expect("its own node");
    assert_eq!(allowed.user.groups, ["system:nodes", "system:authenticated"]);
    attempt(&chain, &agent, &["Impersonate-User: system:node:n2"]).expect_err("another node");
}
