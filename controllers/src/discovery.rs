//! What a logical cluster serves, as its discovery tells.

use serde::Deserialize;
use serde_json::Value;

use crate::cluster_api::{Answer, Endpoint, Failure, Resource};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A resource that a cluster serves, in the version its group prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// The API group, empty for the core group.
    pub(crate) group: String,
    /// The version.
    pub(crate) version: String,
    /// The plural name.
    pub(crate) plural: String,
    /// The kind.
    pub(crate) kind: String,
    /// The root of its API.
    pub(crate) api: String,
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
    /// What can be done.
    pub(crate) verbs: Vec<String>,
}

/// What a cluster serves, and what could not be told.
#[derive(Debug, Default)]
pub(crate) struct Surface {
    /// The resources.
    pub(crate) resources: Vec<Served>,
    /// The groups (with versions) whose resources are not known now.
    pub(crate) unknown: Vec<String>,
}

// === impl Served ===

impl Served {
    /// The resource as URLs name it.
    pub(crate) fn resource(&self) -> Resource<'_> {
        Resource { api: &self.api, plural: &self.plural }
    }

    /// Whether this can be done with it.
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }
}

/// Reads what a cluster serves.
pub(crate) async fn surface(cluster: &Endpoint) -> Answer<Surface> {
    let mut surface = Surface::default();
    for path in ["/api", "/apis"] {
        let document = cluster.document(path, AGGREGATED).await?;
        read(&document, &mut surface)?;
    }
    Ok(surface)
}

#[derive(Deserialize)]
struct GroupList {
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMeta,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
struct GroupMeta {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: String,
    #[serde(default)]
    freshness: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    resource: String,
    #[serde(default)]
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// Reads an `APIGroupDiscoveryList`. A resource of several versions counts once, in the version that comes first.
fn read(document: &Value, surface: &mut Surface) -> Answer<()> {
    let list = GroupList::deserialize(document).map_err(|error| Failure::Unavailable(error.into()))?;
    for group in list.items {
        let name = group.metadata.name;
        for version in group.versions {
            let (api, shown) = match name.as_str() {
                "" => (format!("/api/{}", version.version), version.version.clone()),
                name => (format!("/apis/{name}/{}", version.version), format!("{name}/{}", version.version)),
            };
            if version.freshness == "Stale" {
                surface.unknown.push(shown);
                continue;
            }
            for entry in version.resources {
                if surface.resources.iter().any(|known| known.group == name && known.plural == entry.resource) {
                    continue;
                }
                surface.resources.push(Served {
                    group: name.clone(),
                    version: version.version.clone(),
                    plural: entry.resource,
                    kind: entry.response_kind.map(|kind| kind.kind).unwrap_or_default(),
                    api: api.clone(),
                    namespaced: entry.scope == "Namespaced",
                    verbs: entry.verbs,
                });
            }
        }
    }
    Ok(())
}

/// A kind as one group and version of a cluster serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServedKind {
    /// The plural name.
    pub(crate) plural: String,
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
}

/// The root of the API of a group and version, as in `apiVersion`.
pub(crate) fn api_root(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

/// How a cluster serves a kind; `None` if it does not.
pub(crate) async fn kind(cluster: &Endpoint, api_version: &str, kind: &str) -> Answer<Option<ServedKind>> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        resources: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        name: String,
        #[serde(default)]
        kind: String,
        #[serde(default)]
        namespaced: bool,
    }
    if api_version.is_empty() || api_version.matches('/').count() > 1 {
        return Ok(None);
    }
    let document = match cluster.document(&api_root(api_version), "application/json").await {
        Err(Failure::NotServed | Failure::Absent) => return Ok(None),
        other => other?,
    };
    let list = List::deserialize(&document).map_err(|error| Failure::Unavailable(error.into()))?;
    let found = list.resources.into_iter().find(|entry| entry.kind == kind && !entry.name.contains('/'));
    Ok(found.map(|entry| ServedKind { plural: entry.name, namespaced: entry.namespaced }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_resource_counts_once_in_the_preferred_version_and_stale_groups_are_told() {
        let entry = |name: &str, scope: &str| json!({"resource": name, "scope": scope, "verbs": ["delete", "list"], "responseKind": {"kind": "K"}});
        let document = json!({"items": [
            {"metadata": {"name": "apps"}, "versions": [
                {"version": "v1", "freshness": "Current", "resources": [entry("deployments", "Namespaced")]},
                {"version": "v1beta1", "freshness": "Current",
                 "resources": [entry("deployments", "Namespaced"), entry("old", "Cluster")]},
            ]},
            {"metadata": {"name": "metrics.example.com"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
        ]});
        let mut surface = Surface::default();
        read(&document, &mut surface).unwrap();
        let names: Vec<_> = surface.resources.iter().map(|r| (r.api.as_str(), r.plural.as_str())).collect();
        assert_eq!(names, [("/apis/apps/v1", "deployments"), ("/apis/apps/v1beta1", "old")]);
        assert!(surface.resources[0].namespaced && !surface.resources[1].namespaced);
        assert_eq!(surface.unknown, ["metrics.example.com/v1"]);
    }
}
