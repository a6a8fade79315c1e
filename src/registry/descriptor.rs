//! What a resource is called and what it can do: names, scope, versions, verbs, subresources, columns.
//!
//! Data only; behaviour that differs from kind to kind is in the `Resource` trait.

use std::sync::Arc;

use atoll_api::{GroupKind, GroupResource, GroupVersion, GroupVersionKind};

use crate::schema::Link;

/// Whether objects live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Objects live in a namespace.
    Namespaced,
    /// Objects live in the cluster itself.
    Cluster,
}

/// What can be done with a resource or a subresource, in discovery's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// The verb in discovery and in RBAC rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// The verbs of most resources, in discovery's order.
pub const ALL_VERBS: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

/// The verbs of `status` and `scale`.
pub const GET_PATCH_UPDATE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];

/// A column of the server-printed table (`metav1.TableColumnDefinition`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Column {
    pub name: Arc<str>,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: Arc<str>,
    /// Such as `name`; empty for none.
    pub format: Arc<str>,
    pub description: Description,
    /// 0 is shown always, greater ones with `-o wide`.
    pub priority: i32,
}

/// What a column is for.
#[derive(Debug, Clone)]
pub enum Description {
    /// This sentence.
    Said(Arc<str>),
    /// A sentence that stands elsewhere under a name, and is looked up when somebody wants to read it.
    Borrowed(fn(&str) -> Arc<str>, &'static str),
}

impl Description {
    /// The sentence.
    pub fn text(&self) -> Arc<str> {
        match self {
            Self::Said(text) => Arc::clone(text),
            Self::Borrowed(look_up, name) => look_up(name),
        }
    }
}

impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Description {}

/// Where a `scale` subresource finds its figures, as simple dotted paths without the leading dot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ScalePaths {
    pub spec_replicas: Arc<str>,
    pub status_replicas: Arc<str>,
    /// A selector in text form; none if the kind has none. For built-in kinds, a `LabelSelector` or label map.
    pub selector: Option<Arc<str>>,
}

/// A subresource that the registry or a handler of its own serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subresource {
    /// `status`: only the status (and, for metadata, what the kind allows) may change.
    Status,
    /// `scale`: an `autoscaling/v1` `Scale` in front of the object.
    Scale(ScalePaths),
    /// Another part of the object, such as `approval`, that is read and written as the status is.
    Part(&'static str),
    /// Any other, such as `token`, `eviction`, `binding`, `finalize`, `approval`, `log`.
    Other {
        /// The name in the URL.
        name: Arc<str>,
        /// The kind it takes and gives; group and version empty when those of the parent.
        kind: GroupVersionKind,
        /// What can be done.
        verbs: &'static [Verb],
    },
}

impl Subresource {
    /// The name in the URL.
    pub fn name(&self) -> &str {
        match self {
            Self::Status => "status",
            Self::Scale(_) => "scale",
            Self::Part(name) => name,
            Self::Other { name, .. } => name,
        }
    }
}

/// One version of a resource.
#[derive(Debug, Clone)]
pub struct ResourceVersionInfo {
    /// The API group this version is served under; differs from the storage group for aliases such as `events.k8s.io` events.
    pub version: GroupVersion,
    /// Whether clients can use it.
    pub served: bool,
    /// The schema objects of this version follow.
    pub schema: Link,
    /// The table's columns without the leading `Name`; empty for `Name` and `Age` alone.
    pub columns: Arc<[Column]>,
    /// The subresources.
    pub subresources: Arc<[Subresource]>,
    /// Field paths that field selectors may use, besides `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Arc<[Arc<str>]>,
    /// The warning clients get for using this version, if it is deprecated.
    pub deprecation_warning: Option<Arc<str>>,
}

/// All that is told about a resource by data alone.
#[derive(Debug, Clone)]
pub struct Descriptor {
    /// The group and plural name under which objects are stored.
    pub resource: GroupResource,
    /// The singular name.
    pub singular: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The kind of a list of them.
    pub list_kind: Arc<str>,
    /// Abbreviations for kubectl.
    pub short_names: Arc<[Arc<str>]>,
    /// Groups of resources for kubectl, such as `all`.
    pub categories: Arc<[Arc<str>]>,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// What can be done.
    pub verbs: &'static [Verb],
    /// The versions, the preferred one first.
    pub versions: Vec<ResourceVersionInfo>,
    /// The index in `versions` of the one objects are stored in.
    pub storage: usize,
}

impl Descriptor {
    /// The version served under this group and version, if it is served.
    pub fn served(&self, version: &GroupVersion) -> Option<&ResourceVersionInfo> {
        self.versions.iter().find(|v| v.served && v.version == *version)
    }

    /// The version objects are stored in.
    pub fn storage_version(&self) -> &ResourceVersionInfo {
        &self.versions[self.storage]
    }

    /// The group and kind of the stored objects.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.resource.group.clone(), kind: self.kind.clone() }
    }

    /// Whether objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}

impl ResourceVersionInfo {
    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name() == name)
    }

    /// Whether status is a subresource, so that writes to the object leave it alone and the other way round.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}

/// Orders versions as Kubernetes does: GA over beta over alpha, greater numbers first within each, and all other names
/// below, by name (`version.CompareKubeAwareVersionStrings`). `Greater` means preferred.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    match (kube_version(a), kube_version(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Greater,
        (None, Some(_)) => std::cmp::Ordering::Less,
        (None, None) => b.cmp(a),
    }
}

/// `v2beta3` as (stability, 2, 3), stability growing towards GA.
fn kube_version(text: &str) -> Option<(u8, u64, u64)> {
    let rest = text.strip_prefix('v')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (major, rest) = rest.split_at(digits);
    let number = |text: &str| match text.as_bytes() {
        [b'1'..=b'9', more @ ..] if more.iter().all(u8::is_ascii_digit) => text.parse::<u64>().ok(),
        _ => None,
    };
    let major = number(major)?;
    match rest.strip_prefix("beta").map(|n| (1, n)).or_else(|| rest.strip_prefix("alpha").map(|n| (0, n))) {
        None if rest.is_empty() => Some((2, major, 0)),
        None => None,
        Some((stability, minor)) => Some((stability, major, number(minor)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::compare_versions;

    #[test]
    fn versions_are_preferred_by_stability_then_number_then_name() {
        let mut versions = vec!["foo", "v1alpha1", "v1", "v10", "bar", "v2beta1", "v2", "v01"];
        versions.sort_by(|a, b| compare_versions(b, a));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1alpha1", "bar", "foo", "v01"]);
    }
}
