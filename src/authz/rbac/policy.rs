//! Roles and bindings as policy is evaluated from them, and where they come from.
//!
//! Read once from the stored object and kept beside it; checking that they are well formed is the resources' matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_api::field::go_quote;
use atoll_api::selector::LabelSelector;
use atoll_api::{LogicalClusterName, Object, UserInfo, Value};

use super::rule::Rule;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// A `Role` or `ClusterRole`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Role {
    /// The name.
    pub name: String,
    /// The namespace; empty for a `ClusterRole`.
    pub namespace: String,
    /// The labels, by which roles are gathered into others.
    pub labels: BTreeMap<String, String>,
    /// What the role allows.
    pub rules: Vec<Rule>,
    /// Which roles an aggregated `ClusterRole` gathers; none if it gathers nothing.
    pub gathers: Vec<LabelSelector>,
}

/// Somebody to whom a binding grants its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// All members of a group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace; in a `RoleBinding` the binding's own if empty.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Of a kind that does not exist: nobody.
    Unknown {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
    },
}

/// The role a binding grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// The role's name.
    pub name: String,
    /// The API group, as it stands in the binding.
    pub api_group: String,
}

/// A `RoleBinding` or `ClusterRoleBinding`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// The namespace; empty for a `ClusterRoleBinding`.
    pub namespace: String,
    /// The role it grants.
    pub role_ref: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

/// Roles and bindings of logical clusters, without those that all clusters share.
///
/// Called for every authorization; answers come from memory, with what was parsed when an object entered it. A cluster
/// that does not exist has none.
pub trait PolicySource: Send + Sync {
    /// All `ClusterRoleBinding`s of a cluster.
    fn cluster_role_bindings(&self, cluster: &LogicalClusterName) -> Vec<Arc<Binding>>;

    /// All `RoleBinding`s of a namespace.
    fn role_bindings(&self, cluster: &LogicalClusterName, namespace: &str) -> Vec<Arc<Binding>>;

    /// One `ClusterRole`.
    fn cluster_role(&self, cluster: &LogicalClusterName, name: &str) -> Option<Arc<Role>>;

    /// One `Role`.
    fn role(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Option<Arc<Role>>;

    /// The `ClusterRole`s of a cluster for which [`Role::may_be_gathered`] holds; they extend shared roles such as `view`.
    fn gathered_cluster_roles(&self, cluster: &LogicalClusterName) -> Vec<Arc<Role>>;
}

// === impl Role ===

impl Role {
    /// Reads a `Role` or `ClusterRole`.
    pub fn parse(object: &Object) -> Self {
        let gathers = object.at(&["aggregationRule", "clusterRoleSelectors"]).and_then(Value::as_array);
        let gathers = gathers.into_iter().flatten().filter_map(|selector| LabelSelector::from_object(selector).ok());
        Self {
            name: object.name().to_owned(),
            namespace: object.namespace().to_owned(),
            labels: object.labels().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            rules: Rule::parse_all(object.get("rules")),
            gathers: gathers.collect(),
        }
    }

    /// Whether a role that gathers by labels could take this one in: it has labels and allows something.
    pub fn may_be_gathered(&self) -> bool {
        self.namespace.is_empty() && !self.labels.is_empty() && !self.rules.is_empty()
    }

    /// Whether one of the selectors selects this role.
    pub fn is_gathered_by(&self, selectors: &[LabelSelector]) -> bool {
        selectors.iter().any(|selector| selector.matches(|key| self.labels.get(key).map(String::as_str)))
    }
}

// === impl RoleRef ===

impl RoleRef {
    /// Reads `roleRef`.
    pub fn parse(role_ref: Option<&Value>) -> Self {
        let text =
            |field: &str| role_ref.and_then(|r| r.get(field)).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { kind: text("kind"), name: text("name"), api_group: text("apiGroup") }
    }
}

// === impl Binding ===

impl Binding {
    /// Reads a `RoleBinding` or `ClusterRoleBinding`.
    pub fn parse(object: &Object) -> Self {
        let subjects = object.get("subjects").and_then(Value::as_array);
        Self {
            name: object.name().to_owned(),
            namespace: object.namespace().to_owned(),
            role_ref: RoleRef::parse(object.get("roleRef")),
            subjects: subjects.into_iter().flatten().map(Subject::parse).collect(),
        }
    }

    /// The index of the first subject that `user` is.
    pub fn subject_of(&self, user: &UserInfo) -> Option<usize> {
        self.subjects.iter().position(|subject| subject.is(user, &self.namespace))
    }

    /// Which binding of which role to whom, for the reason of a decision.
    pub(in crate::authz) fn grant(&self, subject: usize) -> String {
        let (kind, name) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", self.name.clone()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        let subject = self.subjects.get(subject).map(|s| s.describe(&self.namespace)).unwrap_or_default();
        let (role_kind, role) = (&self.role_ref.kind, go_quote(&self.role_ref.name));
        format!("{kind} {} of {role_kind} {role} to {subject}", go_quote(&name))
    }
}

// === impl Subject ===

impl Subject {
    fn parse(subject: &Value) -> Self {
        let text = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        match subject.get("kind").and_then(Value::as_str).unwrap_or_default() {
            "User" => Self::User(text("name")),
            "Group" => Self::Group(text("name")),
            "ServiceAccount" => Self::ServiceAccount { namespace: text("namespace"), name: text("name") },
            kind => Self::Unknown { kind: kind.to_owned(), name: text("name") },
        }
    }

    /// Whether `user` is the subject of a binding in `binding_namespace`.
    fn is(&self, user: &UserInfo, binding_namespace: &str) -> bool {
        match self {
            Self::User(name) => *name == user.name,
            Self::Group(group) => user.is_in(group),
            Self::ServiceAccount { namespace, name } => {
                let namespace = if namespace.is_empty() { binding_namespace } else { namespace };
                !namespace.is_empty() && is_service_account(&user.name, namespace, name)
            }
            Self::Unknown { .. } => false,
        }
    }

    fn describe(&self, binding_namespace: &str) -> String {
        match self {
            Self::User(name) => format!("User {}", go_quote(name)),
            Self::Group(name) => format!("Group {}", go_quote(name)),
            Self::ServiceAccount { namespace, name } => {
                let namespace = if namespace.is_empty() { binding_namespace } else { namespace };
                format!("ServiceAccount {}", go_quote(&format!("{name}/{namespace}")))
            }
            Self::Unknown { kind, name } => format!("{kind} {}", go_quote(name)),
        }
    }
}

fn is_service_account(user: &str, namespace: &str, name: &str) -> bool {
    let rest = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.strip_prefix(namespace));
    rest.and_then(|rest| rest.strip_prefix(':')) == Some(name)
}
