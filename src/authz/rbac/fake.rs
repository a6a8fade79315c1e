//! Policy of several clusters in memory, for tests.

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::{LogicalClusterName, Object, Value};
use serde_json::json;

use super::{Binding, PolicySource, Rbac, Role};
use crate::authz::{Chain, PrivilegedGroup};

/// The objects of each cluster, parsed when they are added.
#[derive(Default)]
pub(crate) struct FakePolicy {
    cluster_role_bindings: HashMap<LogicalClusterName, Vec<Arc<Binding>>>,
    role_bindings: HashMap<(LogicalClusterName, String), Vec<Arc<Binding>>>,
    cluster_roles: HashMap<LogicalClusterName, HashMap<String, Arc<Role>>>,
    roles: HashMap<(LogicalClusterName, String, String), Arc<Role>>,
}

pub(crate) fn cluster(name: &str) -> LogicalClusterName {
    LogicalClusterName::parse(name).expect("a cluster's name")
}

pub(crate) fn object(value: Value) -> Object {
    Object::from_value(value).expect("an object")
}

/// Rules written `verbs groups resources [names]` or `verbs paths`, words joined by commas, `-` for the core group.
pub(crate) fn rules(texts: &[&str]) -> Value {
    let list = |word: &str| -> Value { word.split(',').map(|text| if text == "-" { "" } else { text }).collect() };
    let rule = |text: &&str| match text.split(' ').collect::<Vec<_>>().as_slice() {
        [verbs, paths] => json!({"verbs": list(verbs), "nonResourceURLs": list(paths)}),
        [verbs, groups, resources] => {
            json!({"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)})
        }
        [verbs, groups, resources, names] => json!({
            "apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs), "resourceNames": list(names),
        }),
        _ => panic!("{text}"),
    };
    texts.iter().map(rule).collect()
}

/// A role; `place` is a namespace, empty for a `ClusterRole`.
pub(crate) fn role(place: &str, name: &str, rules: Value) -> Object {
    let kind = if place.is_empty() { "ClusterRole" } else { "Role" };
    with_namespace(place, json!({"kind": kind, "metadata": {"name": name}, "rules": rules}))
}

/// A binding of `Kind/name` to subjects written `User/alice`, `Group/devs` or `ServiceAccount/namespace/name`.
pub(crate) fn binding(place: &str, name: &str, role_ref: &str, subjects: &[&str]) -> Object {
    let (role_kind, role) = role_ref.split_once('/').expect("Kind/name");
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|subject| match subject.split('/').collect::<Vec<_>>().as_slice() {
            [kind, name] => json!({"kind": kind, "name": name}),
            [kind, namespace, name] => json!({"kind": kind, "namespace": namespace, "name": name}),
            _ => panic!("{subject}"),
        })
        .collect();
    let kind = if place.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let role_ref = json!({"apiGroup": super::GROUP, "kind": role_kind, "name": role});
    let body = json!({"kind": kind, "metadata": {"name": name}, "roleRef": role_ref, "subjects": subjects});
    with_namespace(place, body)
}

fn with_namespace(place: &str, body: Value) -> Object {
    let mut object = object(body);
    object.set_meta("namespace", place);
    object
}

impl FakePolicy {
    pub(crate) fn add(&mut self, name: &str, object: &Object) {
        let cluster = cluster(name);
        let namespace = object.namespace().to_owned();
        match object.kind() {
            "ClusterRole" => {
                let roles = self.cluster_roles.entry(cluster).or_default();
                roles.insert(object.name().to_owned(), Arc::new(Role::parse(object)));
            }
            "Role" => {
                self.roles.insert((cluster, namespace, object.name().to_owned()), Arc::new(Role::parse(object)));
            }
            "ClusterRoleBinding" => {
                self.cluster_role_bindings.entry(cluster).or_default().push(Arc::new(Binding::parse(object)));
            }
            "RoleBinding" => {
                let bindings = self.role_bindings.entry((cluster, namespace)).or_default();
                bindings.push(Arc::new(Binding::parse(object)));
            }
            kind => panic!("{kind}"),
        }
    }

    pub(crate) fn with(mut self, name: &str, objects: &[Object]) -> Self {
        objects.iter().for_each(|object| self.add(name, object));
        self
    }

    pub(crate) fn into_rbac(self) -> Rbac {
        Rbac::new(Arc::new(self))
    }

    /// RBAC behind the group of the masters, as a server runs it.
    pub(crate) fn into_chain(self) -> Chain {
        let masters = PrivilegedGroup(atoll_api::user::SYSTEM_MASTERS);
        Chain::new(vec![Box::new(masters), Box::new(self.into_rbac())])
    }
}

impl PolicySource for FakePolicy {
    fn cluster_role_bindings(&self, cluster: &LogicalClusterName) -> Vec<Arc<Binding>> {
        self.cluster_role_bindings.get(cluster).cloned().unwrap_or_default()
    }

    fn role_bindings(&self, cluster: &LogicalClusterName, namespace: &str) -> Vec<Arc<Binding>> {
        self.role_bindings.get(&(cluster.clone(), namespace.to_owned())).cloned().unwrap_or_default()
    }

    fn cluster_role(&self, cluster: &LogicalClusterName, name: &str) -> Option<Arc<Role>> {
        self.cluster_roles.get(cluster)?.get(name).cloned()
    }

    fn role(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Option<Arc<Role>> {
        self.roles.get(&(cluster.clone(), namespace.to_owned(), name.to_owned())).cloned()
    }

    fn gathered_cluster_roles(&self, cluster: &LogicalClusterName) -> Vec<Arc<Role>> {
        let roles = self.cluster_roles.get(cluster).into_iter().flat_map(HashMap::values);
        roles.filter(|role| role.may_be_gathered()).cloned().collect()
    }
}
