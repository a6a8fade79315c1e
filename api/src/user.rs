//! Who makes a request, as Kubernetes' `UserInfo` tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A user's name, uid, groups and extra attributes, after authentication (`authentication.k8s.io/v1` `UserInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct UserInfo {
    /// The name, such as `alice` or `system:serviceaccount:default:builder`.
    #[serde(default, rename = "username", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The uid, if the authenticator gives one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whatever else the authenticator tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The group whose members may do everything.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// The group of everybody who was authenticated.
pub const ALL_AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody who was not.
pub const ALL_UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of everybody who was not authenticated.
pub const ANONYMOUS: &str = "system:anonymous";

impl UserInfo {
    /// A user with a name and groups.
    pub fn named(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), groups: groups.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Whether the user belongs to `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}
