//! What policy allows: bindings of every sort, the shared policy, and two clusters side by side.

use serde_json::json;

use super::fake::{FakePolicy, binding, cluster, role};
use super::*;
use crate::authz::forbidden::forbidden;

/// A request in words: `verb group/resource[/subresource] [namespace] [name]`, `-` for an empty word; or `verb /path`.
fn ask(authorizer: &dyn Authorizer, in_cluster: &str, user: &UserInfo, request: &str) -> (bool, String) {
    let cluster = cluster(in_cluster);
    let words: Vec<&str> = request.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
    let (verb, what) = (words[0], words[1]);
    let attributes = if what.starts_with('/') && !what.starts_with("//") {
        Attributes::path(&cluster, user, verb, what)
    } else {
        let mut parts = what.trim_start_matches('/').split('/');
        let core = what.starts_with("//");
        let group = if core { "" } else { parts.next().unwrap_or_default() };
        let (resource, subresource) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (namespace, name) = (words.get(2).copied().unwrap_or(""), words.get(3).copied().unwrap_or(""));
        let plain = Attributes::resource(&cluster, user, verb, group, resource);
        Attributes { subresource, namespace, name, ..plain }
    };
    let decision = authorizer.authorize(&attributes);
    if decision.is_allowed() {
        (true, decision.reason.to_string())
    } else {
        (false, forbidden(&attributes, &decision).status.message)
    }
}

fn check(authorizer: &dyn Authorizer, in_cluster: &str, user: &UserInfo, request: &str, allowed: bool) {
    let (got, why) = ask(authorizer, in_cluster, user, request);
    assert_eq!(got, allowed, "{request} by {} in {in_cluster}: {why}", user.name);
}

fn alice() -> UserInfo {
    UserInfo::named("alice", ["devs", "system:authenticated"])
}

fn robot() -> UserInfo {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"];
    UserInfo::named("system:serviceaccount:ns:robot", groups)
}

fn configmaps(verbs: &[&str]) -> atoll_api::Value {
    json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}])
}

#[test]
fn a_role_binding_grants_in_its_namespace_only() {
    let rbac = FakePolicy::default()
        .with("a", &[role("", "r", configmaps(&["get"])), binding("ns", "b", "ClusterRole/r", &["User/alice"])])
        .into_rbac();
    check(&rbac, "a", &alice(), "get //configmaps ns x", true);
    check(&rbac, "a", &alice(), "get //configmaps ns2 x", false);
    check(&rbac, "a", &alice(), "get //configmaps - x", false);
    check(&rbac, "a", &UserInfo::named("bob", ["devs"]), "get //configmaps ns x", false);
}

#[test]
fn a_cluster_role_binding_grants_everywhere_in_its_cluster_and_nowhere_else() {
    let rbac = FakePolicy::default()
        .with("a", &[role("", "r", configmaps(&["list"])), binding("", "b", "ClusterRole/r", &["Group/devs"])])
        .with("b", &[role("", "r", configmaps(&["*"]))])
        .into_rbac();
    check(&rbac, "a", &alice(), "list //configmaps", true);
    check(&rbac, "a", &alice(), "list //configmaps ns", true);
    check(&rbac, "b", &alice(), "list //configmaps", false);
    check(&rbac, "root", &alice(), "list //configmaps", false);
    check(&rbac, "nowhere", &alice(), "list //configmaps", false);
}

#[test]
fn equally_named_roles_of_two_clusters_have_nothing_to_do_with_each_other() {
    let policy = |verb| [role("ns", "r", configmaps(&[verb])), binding("ns", "b", "Role/r", &["User/alice"])];
    let rbac = FakePolicy::default().with("a", &policy("get")).with("b", &policy("delete")).into_rbac();
    check(&rbac, "a", &alice(), "get //configmaps ns x", true);
    check(&rbac, "a", &alice(), "delete //configmaps ns x", false);
    check(&rbac, "b", &alice(), "get //configmaps ns x", false);
    check(&rbac, "b", &alice(), "delete //configmaps ns x", true);
}

#[test]
fn service_accounts_are_granted_by_name_or_by_their_groups() {
    let rules = configmaps(&["get"]);
    for subject in ["ServiceAccount/ns/robot", "ServiceAccount/robot", "Group/system:serviceaccounts:ns"] {
        let objects = [role("ns", "r", rules.clone()), binding("ns", "b", "Role/r", &[subject])];
        let rbac = FakePolicy::default().with("a", &objects).into_rbac();
        check(&rbac, "a", &robot(), "get //configmaps ns x", true);
    }
    for subject in ["ServiceAccount/other/robot", "ServiceAccount/ns/other", "User/robot", "Robot/robot"] {
        let objects = [role("ns", "r", rules.clone()), binding("ns", "b", "Role/r", &[subject])];
        let rbac = FakePolicy::default().with("a", &objects).into_rbac();
        check(&rbac, "a", &robot(), "get //configmaps ns x", false);
    }
}

#[test]
fn reasons_name_binding_role_and_subject() {
    let subjects = ["User/alice", "Group/devs", "ServiceAccount/ns/robot"];
    let rbac = FakePolicy::default()
        .with("a", &[role("ns", "r", configmaps(&["get"])), binding("ns", "b", "Role/r", &subjects)])
        .into_rbac();
    let reason = |user: &UserInfo| ask(&rbac, "a", user, "get //configmaps ns x").1;
    assert_eq!(reason(&alice()), r#"RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "alice""#);
    let carol = UserInfo::named("carol", ["devs"]);
    assert_eq!(reason(&carol), r#"RBAC: allowed by RoleBinding "b/ns" of Role "r" to Group "devs""#);
    assert_eq!(reason(&robot()), r#"RBAC: allowed by RoleBinding "b/ns" of Role "r" to ServiceAccount "robot/ns""#);
    let discovery = ask(&rbac, "a", &alice(), "get /apis").1;
    let expected = r#"RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated""#;
    assert_eq!(discovery, expected);
}

#[test]
fn a_missing_role_is_told_with_the_refusal() {
    let mut objects = vec![binding("ns", "b", "Role/later", &["User/alice"])];
    let refusal = |objects: &[_]| {
        let rbac = FakePolicy::default().with("a", objects).into_rbac();
        ask(&rbac, "a", &alice(), "get //configmaps ns a").1
    };
    let sentence = r#"configmaps "a" is forbidden: User "alice" cannot get resource "configmaps" in API group "" in the namespace "ns""#;
    let role_missing = r#"RBAC: role.rbac.authorization.k8s.io "later" not found"#;
    assert_eq!(refusal(&objects), format!("{sentence}: {role_missing}"));
    objects.push(binding("ns", "again", "Role/later", &["User/alice"]));
    assert_eq!(refusal(&objects), format!("{sentence}: {role_missing}"));
    objects.push(binding("", "c", "ClusterRole/x", &["Group/devs"]));
    let both = r#"RBAC: [clusterrole.rbac.authorization.k8s.io "x" not found, role.rbac.authorization.k8s.io "later" not found]"#;
    assert_eq!(refusal(&objects), format!("{sentence}: {both}"));
}

#[test]
fn the_shared_policy_holds_in_every_cluster() {
    let chain = FakePolicy::default().into_chain();
    let anonymous = UserInfo::named("system:anonymous", ["system:unauthenticated"]);
    let master = UserInfo::named("root", ["system:masters", "system:authenticated"]);
    for name in ["root", "a", "root:org:team"] {
        for (user, request, allowed) in [
            (&alice(), "get /apis/apps/v1", true),
            (&alice(), "get /openapi/v3", true),
            (&alice(), "get /healthz", true),
            (&alice(), "get /metrics", false),
            (&alice(), "create authorization.k8s.io/selfsubjectaccessreviews", true),
            (&alice(), "create authorization.k8s.io/subjectaccessreviews", false),
            (&alice(), "create authentication.k8s.io/selfsubjectreviews", true),
            (&alice(), "get /openid/v1/jwks", false),
            (&robot(), "get /openid/v1/jwks", true),
            (&anonymous, "get /healthz", true),
            (&anonymous, "get /version/", true),
            (&anonymous, "get /healthz/ping", false),
            (&anonymous, "get /apis", false),
            (&anonymous, "create authorization.k8s.io/selfsubjectaccessreviews", false),
            (&master, "delete //nodes - n", true),
            (&master, "get /metrics", true),
        ] {
            check(&chain, name, user, request, allowed);
        }
    }
}

#[test]
fn shared_roles_can_be_bound_and_mean_the_same_in_every_cluster() {
    let mine = role("", "view", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]));
    let rbac =
        FakePolicy::default().with("a", &[binding("ns", "b", "ClusterRole/view", &["User/alice"]), mine]).into_rbac();
    check(&rbac, "a", &alice(), "get //configmaps ns", true);
    check(&rbac, "a", &alice(), "get //pods/log ns", true);
    check(&rbac, "a", &alice(), "get //secrets ns", false);
    check(&rbac, "a", &alice(), "create //configmaps ns", false);
    check(&rbac, "a", &alice(), "get rbac.authorization.k8s.io/roles ns", false);
    check(&rbac, "a", &alice(), "get //configmaps ns2", false);
    check(&rbac, "b", &alice(), "get //configmaps ns", false);
}

#[test]
fn admin_gathers_edit_which_gathers_view() {
    let objects = [binding("ns", "b", "ClusterRole/admin", &["User/alice"])];
    let rbac = FakePolicy::default().with("a", &objects).into_rbac();
    for request in ["get //configmaps ns", "create //secrets ns", "create rbac.authorization.k8s.io/roles ns"] {
        check(&rbac, "a", &alice(), request, true);
    }
    let underlay = rbac.underlay();
    let shown = underlay.object("ClusterRole", "", "admin").expect("there").get("rules").expect("rules");
    assert_eq!(shown.as_array().map(Vec::len), Some(2 + 14 + 11));
}

#[test]
fn a_labelled_role_of_one_cluster_extends_the_shared_roles_there_and_only_there() {
    let rules = json!([{"apiGroups": ["shop.example.com"], "resources": ["carts"], "verbs": ["get"]}]);
    let mut carts = role("", "carts", rules);
    carts.set_label("rbac.authorization.k8s.io/aggregate-to-view", "true");
    let bound = |shared: &str| binding("ns", shared, &format!("ClusterRole/{shared}"), &["User/alice"]);
    for shared in ["view", "edit", "admin"] {
        let rbac =
            FakePolicy::default().with("a", &[carts.clone(), bound(shared)]).with("b", &[bound(shared)]).into_rbac();
        check(&rbac, "a", &alice(), "get shop.example.com/carts ns", true);
        check(&rbac, "a", &alice(), "delete shop.example.com/carts ns", false);
        check(&rbac, "b", &alice(), "get shop.example.com/carts ns", false);
    }
    let other = role("", "other", configmaps(&["get"]));
    let underlay = Underlay::bootstrap();
    let count = |own: &[&atoll_api::Object]| {
        let view = underlay.cluster_role_in("view", own.iter().copied()).expect("there");
        view.get("rules").and_then(atoll_api::Value::as_array).map(Vec::len)
    };
    assert_eq!((count(&[&carts, &other]), count(&[&other])), (Some(12), Some(11)));
    let rbac = FakePolicy::default().with("a", &[carts, bound("system:aggregate-to-view")]).into_rbac();
    check(&rbac, "a", &alice(), "get shop.example.com/carts ns", false);
}

#[test]
fn a_changed_underlay_takes_effect_at_once() {
    let rbac = FakePolicy::default().into_rbac();
    check(&rbac, "a", &alice(), "get /apis", true);
    let without = bootstrap_objects().into_iter().filter(|object| object.name() != "system:discovery");
    rbac.set_underlay(Arc::new(Underlay::from_objects(without.map(Arc::new))));
    check(&rbac, "a", &alice(), "get /apis", false);
}

#[test]
fn the_shared_objects_are_those_of_kubernetes() {
    let underlay = Underlay::bootstrap();
    let count = |kind| underlay.objects(kind).count();
    assert_eq!((count("ClusterRole"), count("Role")), (31 + 38, 7));
    assert_eq!((count("ClusterRoleBinding"), count("RoleBinding")), (12 + 38, 7));
    let discovery = underlay.object("ClusterRole", "", "system:discovery").expect("there");
    let urls: Vec<&str> =
        "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/".split(' ').collect();
    let expected = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": "system:discovery",
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        },
        "rules": [{"nonResourceURLs": urls, "verbs": ["get"]}],
    });
    assert_eq!((**discovery).clone().into_value(), expected);
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for object in underlay.objects(kind) {
            let binding = Binding::parse(object);
            let (role, namespace) = (binding.role_ref, object.namespace());
            assert!(underlay.object(&role.kind, namespace, &role.name).is_some(), "{}", object.name());
        }
    }
}

#[test]
fn rules_are_listed_for_a_namespace_with_those_of_the_cluster_scope() {
    let rbac = FakePolicy::default()
        .with("a", &[role("ns", "r", configmaps(&["get"])), binding("ns", "b", "Role/r", &["User/alice"])])
        .into_rbac();
    let configmaps = Rule::parse_all(Some(&configmaps(&["get"])));
    let list = |name: &str, namespace: &str| rbac.rules_for(&cluster(name), &alice(), namespace).rules;
    assert!(list("a", "ns").contains(&configmaps[0]));
    assert!(!list("a", "other").contains(&configmaps[0]));
    assert!(!list("b", "ns").contains(&configmaps[0]));
    // Discovery, public information, and the two reviews about oneself.
    assert_eq!(list("b", "ns").len(), 4);
}
