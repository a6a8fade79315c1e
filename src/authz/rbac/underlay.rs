//! The roles and bindings that every logical cluster shares: stored once, effective everywhere.
//!
//! They begin as Kubernetes' bootstrap policy (`manifests/bootstrap/`); the system cluster may change them, no other
//! cluster can. Writing them, and refusing such writes, is the registry's matter.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use atoll_api::selector::LabelSelector;
use atoll_api::{Object, UserInfo, Value};

use super::aggregation::gather_rules;
use super::policy::{Binding, Role, Subject};

/// Kubernetes' bootstrap policy as lists of objects.
const BOOTSTRAP: &[&str] = &[
    include_str!("../../../manifests/bootstrap/cluster-roles.json"),
    include_str!("../../../manifests/bootstrap/cluster-role-bindings.json"),
    include_str!("../../../manifests/bootstrap/controller-roles.json"),
    include_str!("../../../manifests/bootstrap/controller-role-bindings.json"),
    include_str!("../../../manifests/bootstrap/roles.json"),
    include_str!("../../../manifests/bootstrap/role-bindings.json"),
];

/// The label of the system cluster's roles and bindings that all clusters share.
pub const BOOTSTRAP_LABEL: &str = "kubernetes.io/bootstrapping";

/// Kind, namespace (empty at the cluster scope) and name of a shared object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// `ClusterRole`, `ClusterRoleBinding`, `Role` or `RoleBinding`.
    pub kind: String,
    /// The namespace, empty at the cluster scope.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A shared `ClusterRole`, and by which labels roles of a single cluster extend it there.
#[derive(Debug, Clone)]
pub(super) struct SharedRole {
    pub(super) role: Arc<Role>,
    /// The role's own selectors and those of the roles it gathers; empty if it gathers none.
    pub(super) extended_by: Vec<LabelSelector>,
}

/// The shared roles and bindings.
#[derive(Debug, Default)]
pub struct Underlay {
    objects: BTreeMap<Key, Arc<Object>>,
    cluster_roles: HashMap<String, SharedRole>,
    /// By namespace, then name.
    roles: HashMap<String, HashMap<String, Arc<Role>>>,
    cluster_role_bindings: Vec<Arc<Binding>>,
    role_bindings: HashMap<String, Vec<Arc<Binding>>>,
    /// Indices in `cluster_role_bindings` and of the subject in it, by user name; service accounts by theirs.
    by_user: HashMap<String, Vec<(usize, usize)>>,
    by_group: HashMap<String, Vec<(usize, usize)>>,
}

/// The objects of Kubernetes' bootstrap policy, as they are written when a server starts on an empty store.
pub fn bootstrap_objects() -> Vec<Object> {
    let lists = BOOTSTRAP.iter().map(|text| serde_json::from_str(text).expect("embedded lists are read by a test"));
    lists
        .flat_map(|mut list: Value| match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
        .filter_map(|item| Object::from_value(item).ok())
        .collect()
}

// === impl Underlay ===

impl Underlay {
    /// The bootstrap policy as it is shipped, read once in a process.
    pub fn bootstrap() -> Arc<Self> {
        static SHIPPED: LazyLock<Arc<Underlay>> =
            LazyLock::new(|| Arc::new(Underlay::from_objects(bootstrap_objects().into_iter().map(Arc::new))));
        Arc::clone(&SHIPPED)
    }

    /// The bootstrap policy as it is shipped, if that is what these objects are: the very ones.
    pub fn bootstrap_if_made_of<'a>(objects: impl ExactSizeIterator<Item = &'a Arc<Object>>) -> Option<Arc<Self>> {
        let shipped = Self::bootstrap();
        let ours = |object: &Arc<Object>| {
            let found = shipped.object(object.kind(), object.namespace(), object.name());
            found.is_some_and(|shipped| Arc::ptr_eq(shipped, object))
        };
        let mut objects = objects;
        (objects.len() == shipped.objects.len() && objects.all(ours)).then_some(Arc::clone(&shipped))
    }

    /// The underlay made of these objects; the rules of roles that gather others are computed.
    pub fn from_objects(objects: impl IntoIterator<Item = Arc<Object>>) -> Self {
        let mut by_key = BTreeMap::new();
        for object in objects {
            let key = Key {
                kind: object.kind().to_owned(),
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
            };
            by_key.insert(key, object);
        }
        gather_until_stable(&mut by_key);
        let mut underlay = Self::default();
        by_key.iter().for_each(|(key, object)| underlay.add(key, object));
        underlay.objects = by_key;
        underlay.close_selectors();
        underlay
    }

    /// All shared objects of a kind, sorted by namespace and name.
    pub fn objects(&self, kind: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(_, object)| object)
    }

    /// One shared object.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(&Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The selectors by which the `ClusterRole`s of a single cluster extend a shared one; empty if they cannot.
    pub fn extended_by(&self, cluster_role: &str) -> &[LabelSelector] {
        self.cluster_roles.get(cluster_role).map(|shared| shared.extended_by.as_slice()).unwrap_or_default()
    }

    /// A shared `ClusterRole` as a cluster with these `ClusterRole`s of its own sees it: with the rules of those that
    /// extend it there.
    pub fn cluster_role_in<'a>(&self, name: &str, own: impl IntoIterator<Item = &'a Object>) -> Option<Arc<Object>> {
        let shared = self.object("ClusterRole", "", name)?;
        let selectors = self.extended_by(name);
        let mut extending: Vec<&Object> =
            own.into_iter().filter(|role| selectors.iter().any(|selector| selector.matches_object(role))).collect();
        if extending.is_empty() {
            return Some(Arc::clone(shared));
        }
        extending.sort_by(|a, b| a.name().cmp(b.name()));
        let list = |role: &Object| role.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut rules = list(shared);
        for rule in extending.into_iter().flat_map(list) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        let mut object = Object::clone(shared);
        object.0.insert("rules".into(), Value::Array(rules));
        Some(Arc::new(object))
    }

    pub(super) fn cluster_role(&self, name: &str) -> Option<&SharedRole> {
        self.cluster_roles.get(name)
    }

    pub(super) fn role(&self, namespace: &str, name: &str) -> Option<&Arc<Role>> {
        self.roles.get(namespace)?.get(name)
    }

    pub(super) fn role_bindings(&self, namespace: &str) -> &[Arc<Binding>] {
        self.role_bindings.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// The `ClusterRoleBinding`s that apply to a user, each once, with the index of the subject.
    pub(super) fn cluster_role_bindings_of(&self, user: &UserInfo) -> Vec<(&Arc<Binding>, usize)> {
        let mut found: Vec<(usize, usize)> = self.by_user.get(&user.name).cloned().unwrap_or_default();
        for group in &user.groups {
            for &(binding, subject) in self.by_group.get(group).into_iter().flatten() {
                if !found.iter().any(|(known, _)| *known == binding) {
                    found.push((binding, subject));
                }
            }
        }
        found.into_iter().map(|(binding, subject)| (&self.cluster_role_bindings[binding], subject)).collect()
    }

    fn add(&mut self, key: &Key, object: &Object) {
        match key.kind.as_str() {
            "ClusterRole" => {
                let role = Arc::new(Role::parse(object));
                self.cluster_roles.insert(key.name.clone(), SharedRole { role, extended_by: Vec::new() });
            }
            "Role" => {
                let role = Arc::new(Role::parse(object));
                self.roles.entry(key.namespace.clone()).or_default().insert(key.name.clone(), role);
            }
            "ClusterRoleBinding" => self.add_cluster_role_binding(Binding::parse(object)),
            "RoleBinding" => {
                self.role_bindings.entry(key.namespace.clone()).or_default().push(Arc::new(Binding::parse(object)));
            }
            _ => {}
        }
    }

    fn add_cluster_role_binding(&mut self, binding: Binding) {
        let index = self.cluster_role_bindings.len();
        for (subject, who) in binding.subjects.iter().enumerate() {
            let place = (index, subject);
            match who {
                Subject::User(name) => push_once(self.by_user.entry(name.clone()).or_default(), place),
                Subject::Group(name) => push_once(self.by_group.entry(name.clone()).or_default(), place),
                Subject::ServiceAccount { namespace, name } if !namespace.is_empty() => {
                    let user = format!("system:serviceaccount:{namespace}:{name}");
                    push_once(self.by_user.entry(user).or_default(), place);
                }
                Subject::ServiceAccount { .. } | Subject::Unknown { .. } => {}
            }
        }
        self.cluster_role_bindings.push(Arc::new(binding));
    }

    /// A role that extends `view` extends `edit` too, because `edit` gathers `view`: selectors are handed on.
    fn close_selectors(&mut self) {
        let gatherers: Vec<Arc<Role>> =
            self.cluster_roles.values().map(|shared| &shared.role).filter(|r| !r.gathers.is_empty()).cloned().collect();
        for gatherer in &gatherers {
            let mut seen = HashSet::from([gatherer.name.as_str()]);
            let mut open = vec![gatherer];
            let mut closed: Vec<LabelSelector> = Vec::new();
            while let Some(next) = open.pop() {
                closed.extend(next.gathers.iter().cloned());
                for inner in gatherers.iter().filter(|inner| inner.is_gathered_by(&next.gathers)) {
                    if seen.insert(&inner.name) {
                        open.push(inner);
                    }
                }
            }
            if let Some(shared) = self.cluster_roles.get_mut(&gatherer.name) {
                shared.extended_by = closed;
            }
        }
    }
}

fn push_once(places: &mut Vec<(usize, usize)>, place: (usize, usize)) {
    if places.last().is_none_or(|(binding, _)| *binding != place.0) {
        places.push(place);
    }
}

/// Fills in the rules of gathering roles; `admin` gathers `edit`, which gathers `view`, so this takes some rounds.
fn gather_until_stable(objects: &mut BTreeMap<Key, Arc<Object>>) {
    const ROUNDS: usize = 8;
    for _ in 0..ROUNDS {
        let roles: Vec<&Object> =
            objects.values().filter(|object| object.kind() == "ClusterRole").map(|object| &**object).collect();
        let changed: Vec<(Key, Vec<Value>)> = objects
            .iter()
            .filter(|(key, _)| key.kind == "ClusterRole")
            .filter_map(|(key, object)| Some((key.clone(), gather_rules(object, roles.iter().copied())?)))
            .collect();
        if changed.is_empty() {
            return;
        }
        for (key, rules) in changed {
            if let Some(object) = objects.get_mut(&key) {
                Arc::make_mut(object).0.insert("rules".into(), Value::Array(rules));
            }
        }
    }
}
