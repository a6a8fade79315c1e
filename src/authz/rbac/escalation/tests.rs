//! Writes of roles and bindings by those who hold less, as much, or the verbs that lift the check.

use atoll_api::Value;
use serde_json::json;

use super::*;
use crate::authz::rbac::fake::{FakePolicy, binding, cluster, role, rules};

fn alice() -> UserInfo {
    UserInfo::named("alice", ["devs", "system:authenticated"])
}

/// Alice holds `held` in the namespace (empty: everywhere) of cluster `a`; besides, `more` is there.
fn holding(place: &str, held: &[&str], more: &[Object]) -> Rbac {
    let kind = if place.is_empty() { "ClusterRole" } else { "Role" };
    let objects = [role(place, "mgr", rules(held)), binding(place, "b", &format!("{kind}/mgr"), &["User/alice"])];
    let everything =
        [role(place, "mgr", rules(&["* * *", "* *"])), binding(place, "b", &format!("{kind}/mgr"), &["User/alice"])];
    // What is held in another cluster must not count.
    FakePolicy::default().with("a", &objects).with("a", more).with("b", &everything).into_rbac()
}

fn check_write(rbac: &Rbac, user: &UserInfo, new: &Object, old: Option<&Object>, expected: Result<(), &str>) {
    let cluster = cluster("a");
    let request_name = if old.is_some() { new.name() } else { "" };
    let write = Write { cluster: &cluster, user, namespace: new.namespace(), request_name, new, old };
    let result = if new.kind().ends_with("Binding") {
        rbac.check_binding_write(rbac, &write)
    } else {
        rbac.check_role_write(rbac, &write)
    };
    assert_eq!(result.map_err(|error| error.status.message), expected.map_err(str::to_owned));
}

fn refused(resource: &str, name: &str, missing: &str) -> String {
    format!(
        "{resource}.rbac.authorization.k8s.io \"{name}\" is forbidden: user \"alice\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{missing}"
    )
}

#[test]
fn a_role_may_hold_what_its_writer_holds_and_no_more() {
    let rbac = holding("ns", &["get,list - configmaps"], &[]);
    check_write(&rbac, &alice(), &role("ns", "x", rules(&["get - configmaps"])), None, Ok(()));
    let missing = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;
    let secrets = role("ns", "big", rules(&["get - secrets"]));
    check_write(&rbac, &alice(), &secrets, None, Err(&refused("roles", "big", missing)));
    // Held in one namespace is not held in another, nor at the cluster scope.
    for place in ["ns2", ""] {
        let object = role(place, "x", rules(&["get - configmaps"]));
        let resource = if place.is_empty() { "clusterroles" } else { "roles" };
        let missing = r#"{APIGroups:[""], Resources:["configmaps"], Verbs:["get"]}"#;
        check_write(&rbac, &alice(), &object, None, Err(&refused(resource, "x", missing)));
    }
}

#[test]
fn any_change_of_a_bigger_role_is_refused_except_for_garbage_collection() {
    let rbac = holding("ns", &["get,list - configmaps"], &[]);
    let old = role("ns", "big", rules(&["get - secrets"]));
    let mut labelled = old.clone();
    labelled.set_label("x", "1");
    let missing = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;
    check_write(&rbac, &alice(), &labelled, Some(&old), Err(&refused("roles", "big", missing)));
    let mut collected = old.clone();
    collected.set_finalizers(vec!["example.com/x".to_owned()]);
    collected.metadata_mut().insert("ownerReferences".into(), json!([]));
    check_write(&rbac, &alice(), &collected, Some(&old), Ok(()));
    check_write(&rbac, &alice(), &role("ns", "big", rules(&["get - configmaps"])), Some(&old), Ok(()));
}

#[test]
fn paths_and_aggregation_need_their_own_rights() {
    let rbac = holding("", &["create,update rbac.authorization.k8s.io clusterroles"], &[]);
    let metrics = role("", "x", rules(&["get /metrics"]));
    let missing = r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#;
    check_write(&rbac, &alice(), &metrics, None, Err(&refused("clusterroles", "x", missing)));
    // Held through the shared role system:public-info-viewer.
    check_write(&rbac, &alice(), &role("", "x", rules(&["get /healthz"])), None, Ok(()));
    let mut sum = role("", "y", Value::Null);
    sum.0.insert("aggregationRule".into(), json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}));
    let why = "clusterroles.rbac.authorization.k8s.io \"y\" is forbidden: must have cluster-admin privileges to use the aggregationRule";
    check_write(&rbac, &alice(), &sum, None, Err(why));
    check_write(&rbac, &alice(), &role("", "y", Value::Null), Some(&sum), Err(why));
    check_write(&holding("", &["* * *", "* *"], &[]), &alice(), &sum, None, Ok(()));
}

#[test]
fn the_verb_escalate_lifts_the_check_for_roles_only() {
    let big = role("ns", "big", rules(&["get - secrets"]));
    let rbac = holding("ns", &["create,escalate rbac.authorization.k8s.io roles"], std::slice::from_ref(&big));
    check_write(&rbac, &alice(), &big, None, Ok(()));
    let bound = binding("ns", "x", "Role/big", &["User/bob"]);
    let missing = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;
    check_write(&rbac, &alice(), &bound, None, Err(&refused("rolebindings", "x", missing)));
}

#[test]
fn the_verb_bind_lifts_the_check_for_bindings_to_that_role() {
    let bind = "bind rbac.authorization.k8s.io clusterroles";
    let rbac = holding("ns", &[bind], &[]);
    check_write(&rbac, &alice(), &binding("ns", "x", "ClusterRole/admin", &["User/bob"]), None, Ok(()));
    let rbac = holding("ns", &["get - pods"], &[]);
    let to_view = binding("ns", "x", "ClusterRole/view", &["User/bob"]);
    let error = {
        let cluster = cluster("a");
        let write =
            Write { cluster: &cluster, user: &alice(), namespace: "ns", request_name: "", new: &to_view, old: None };
        rbac.check_binding_write(&rbac, &write).expect_err("refused")
    };
    assert!(
        error.status.message.contains(r#"{APIGroups:[""], Resources:["configmaps"], Verbs:["get" "list" "watch"]}"#)
    );
}

#[test]
fn a_binding_to_a_missing_role_is_not_found_except_for_masters() {
    let rbac = holding("ns", &["get - pods"], &[]);
    let bound = binding("ns", "c", "Role/missing", &["User/alice"]);
    check_write(&rbac, &alice(), &bound, None, Err("rolebindings.rbac.authorization.k8s.io \"missing\" not found"));
    let master = UserInfo::named("root", ["system:masters"]);
    check_write(&rbac, &master, &bound, None, Ok(()));
    check_write(&rbac, &master, &role("ns", "r", rules(&["* * *"])), None, Ok(()));
}

#[test]
fn a_right_held_through_an_extension_of_a_shared_role_counts_in_that_cluster() {
    let mut carts = role("", "carts", rules(&["get shop.example.com carts"]));
    carts.set_label("rbac.authorization.k8s.io/aggregate-to-view", "true");
    let bound = binding("ns", "v", "ClusterRole/view", &["User/alice"]);
    let new = role("ns", "x", rules(&["get shop.example.com carts"]));
    let policy = || FakePolicy::default().with("a", std::slice::from_ref(&bound));
    check_write(&policy().with("a", &[carts.clone()]).into_rbac(), &alice(), &new, None, Ok(()));
    let missing = r#"{APIGroups:["shop.example.com"], Resources:["carts"], Verbs:["get"]}"#;
    let elsewhere = policy().with("b", &[carts]).into_rbac();
    check_write(&elsewhere, &alice(), &new, None, Err(&refused("roles", "x", missing)));
}
