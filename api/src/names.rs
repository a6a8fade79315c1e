//! Identifiers as newtypes: logical clusters, groups, versions, kinds, resources, uids, resource versions.
//!
//! Nothing here checks that the named thing exists.

use std::fmt;
use std::sync::Arc;

/// Why a string is not a logical cluster's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a logical cluster name: at most 63 lower case letters, digits and '-' in each part, parts joined by ':', beginning and ending with a letter or digit"
)]
pub struct NameError {
    /// What was offered as a name.
    pub name: String,
}

/// The name of one logical cluster, such as `team-a` or `root:org:team`.
///
/// Made only by parsing a URL path or a stored object's name; a cheap clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogicalClusterName(Arc<str>);

/// The namespaces every Kubernetes cluster has for its own purposes, besides `default`.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// The longest name a logical cluster may have, in bytes.
pub const MAX_CLUSTER_NAME: usize = 253;

impl LogicalClusterName {
    /// The system cluster: what is served without a `/clusters/<name>` prefix, and where workspaces are kept.
    pub fn root() -> Self {
        Self(Arc::from("root"))
    }

    /// Parses a name; every part is a DNS label, parts are joined by `:`.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let part_is_label = |part: &str| {
            let bytes = part.as_bytes();
            let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
            !bytes.is_empty()
                && bytes.len() <= 63
                && bytes.iter().all(inner)
                && bytes[0] != b'-'
                && bytes[bytes.len() - 1] != b'-'
        };
        if name.len() <= MAX_CLUSTER_NAME && name.split(':').all(part_is_label) {
            Ok(Self(Arc::from(name)))
        } else {
            Err(NameError { name: name.chars().take(MAX_CLUSTER_NAME).collect() })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the system cluster.
    pub fn is_root(&self) -> bool {
        &*self.0 == "root"
    }
}

impl fmt::Display for LogicalClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which logical clusters a read speaks of. Only list and watch accept `All`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClusterScope {
    /// One logical cluster.
    One(LogicalClusterName),
    /// Every logical cluster (`/clusters/*`), for those allowed in the system cluster.
    All,
}

impl ClusterScope {
    /// The one cluster, if it is one.
    pub fn one(&self) -> Option<&LogicalClusterName> {
        match self {
            Self::One(name) => Some(name),
            Self::All => None,
        }
    }
}

/// An API group and the plural name of a resource in it; the core group is the empty string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// The API group, empty for the core group.
    pub group: Arc<str>,
    /// The plural, lower-case resource name.
    pub resource: Arc<str>,
}

impl GroupResource {
    /// Names a resource of a group.
    pub fn new(group: impl Into<Arc<str>>, resource: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    /// `deployments.apps`, or `pods` for the core group, as in Kubernetes' messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

/// An API group and a kind in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// The API group, empty for the core group.
    pub group: Arc<str>,
    /// The kind, such as `Deployment`.
    pub kind: Arc<str>,
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}.{}", self.kind, self.group) }
    }
}

/// An API group and one of its versions; `apiVersion` in an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    /// The API group, empty for the core group.
    pub group: Arc<str>,
    /// The version, such as `v1` or `v1beta1`.
    pub version: Arc<str>,
}

impl GroupVersion {
    /// Names a version of a group.
    pub fn new(group: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), version: version.into() }
    }

    /// Parses an `apiVersion`: `v1` or `apps/v1`. `None` when there is more than one slash.
    pub fn parse(api_version: &str) -> Option<Self> {
        match api_version.split_once('/') {
            None => Some(Self::new("", api_version)),
            Some((_, version)) if version.contains('/') => None,
            Some((group, version)) => Some(Self::new(group, version)),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.version) } else { write!(f, "{}/{}", self.group, self.version) }
    }
}

/// A group, a version and a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The API group, empty for the core group.
    pub group: Arc<str>,
    /// The version.
    pub version: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
}

impl GroupVersionKind {
    /// Names a kind in a version of a group.
    pub fn new(group: impl Into<Arc<str>>, version: impl Into<Arc<str>>, kind: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }

    /// The group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }
}

impl fmt::Display for GroupVersionKind {
    /// `apps/v1, Kind=Deployment`, as in Kubernetes' messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// A group, a version and a plural resource name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionResource {
    /// The API group, empty for the core group.
    pub group: Arc<str>,
    /// The version.
    pub version: Arc<str>,
    /// The plural resource name.
    pub resource: Arc<str>,
}

impl GroupVersionResource {
    /// Names a resource in a version of a group.
    pub fn new(group: impl Into<Arc<str>>, version: impl Into<Arc<str>>, resource: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// The group and resource, without the version.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.resource.clone() }
    }

    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }
}

impl fmt::Display for GroupVersionResource {
    /// `apps/v1, Resource=deployments`, as in Kubernetes' messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Resource={}", self.group, self.version, self.resource)
    }
}

/// The identity of an object, never used twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Arc<str>);

impl Uid {
    /// Takes a uid as it stands in an object.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The uid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A revision of the whole store: one 64-bit counter; `0` means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ResourceVersion(pub u64);

impl ResourceVersion {
    /// Parses the decimal text clients send; empty means none (`0`).
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self(0)) } else { text.parse().ok().map(Self) }
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_accept_labels_joined_by_colons_only() {
        for good in ["a", "team-a", "root:org:team", "0"] {
            assert!(LogicalClusterName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "A", "a/b", "..", "a..b", "-a", "a-", "a:", ":a", "a%2fb", "a b", &"x".repeat(64)] {
            assert!(LogicalClusterName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn api_versions_split_at_one_slash() {
        assert_eq!(GroupVersion::parse("v1"), Some(GroupVersion::new("", "v1")));
        assert_eq!(GroupVersion::parse("apps/v1"), Some(GroupVersion::new("apps", "v1")));
        assert_eq!(GroupVersion::parse("a/b/c"), None);
    }
}
