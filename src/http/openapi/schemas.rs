//! The schemas of what operations take and answer.

use std::collections::BTreeMap;

use atoll_api::GroupVersion;
use serde_json::{Value, json};

use super::operation::Model;
use super::render::list_name;
use crate::resources::catalog::{Descriptions, TYPES, openapi_name, publish};

const KIND: &str = "x-kubernetes-group-version-kind";

/// What a document is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    /// A version of a group of built-in kinds.
    Builtin(&'a GroupVersion),
    /// A version of a group of custom kinds.
    Custom,
    /// The whole API.
    Everything,
    /// No group.
    Nothing,
}

/// Adds the schemas of types, and of all they refer to. Those of custom kinds are added elsewhere.
pub(super) fn add<'m>(
    models: impl IntoIterator<Item = &'m Model>,
    about: About<'_>,
    descriptions: &Descriptions,
    schemas: &mut BTreeMap<String, Value>,
) {
    for model in models {
        match model {
            Model::Text | Model::Object | Model::Custom(_) => {}
            Model::Type("meta.v1.Patch") => {
                let text = descriptions.of_type("meta.v1.Patch").unwrap_or_default();
                schemas.insert(openapi_name("meta.v1.Patch"), json!({"type": "object", "description": text}));
            }
            Model::Type(name) => publish(name, descriptions, schemas),
            Model::List(item, kind) => {
                publish("meta.v1.ListMeta", descriptions, schemas);
                schemas.entry(list_name(item, kind)).or_insert_with(|| list_of(item, kind, descriptions));
            }
        }
    }
    for (name, kinds) in [("DeleteOptions", about.groups()), ("WatchEvent", about.groups())]
        .into_iter()
        .chain(OF_NO_GROUP.iter().map(|name| (*name, vec![("", "v1")])))
    {
        if let Some(schema) = schemas.get_mut(&openapi_name(&format!("meta.v1.{name}"))) {
            let kind = |(group, version)| json!({"group": group, "version": version, "kind": name});
            schema[KIND] = kinds.into_iter().map(kind).collect();
        }
    }
}

/// The definition of lists of a built-in kind.
fn list_of(item: &str, list_kind: &str, descriptions: &Descriptions) -> Value {
    let reference = |name: &str| format!("#/components/schemas/{}", openapi_name(name));
    let facts = TYPES.facts_of(item);
    let (group, version, kind) = facts
        .and_then(|facts| facts.gvk.first())
        .map_or(("", "", ""), |(group, version, kind)| (group.as_str(), version.as_str(), kind.as_str()));
    let said = |field: &str| descriptions.of_field(item, field).unwrap_or_default();
    json!({
        "type": "object", "description": format!("{list_kind} is a list of objects of kind {kind}."), "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": said("apiVersion")},
            "kind": {"type": "string", "description": said("kind")},
            "items": {
                "type": "array", "description": format!("List of {}.", many(kind)),
                "items": {"allOf": [{"$ref": reference(item)}], "default": {}},
            },
            "metadata": {
                "allOf": [{"$ref": reference("meta.v1.ListMeta")}], "default": {},
                "description": "What is told of the list as a whole.",
            },
        },
        KIND: [{"group": group, "version": version, "kind": list_kind}],
    })
}

/// What many objects of a kind are called, as Kubernetes guesses the name of a resource: `Ingress` gives `ingresses`.
fn many(kind: &str) -> String {
    let one = kind.to_lowercase();
    match one.strip_suffix('y') {
        _ if one == "endpoints" => one,
        Some(stem) => format!("{stem}ies"),
        None if one.ends_with('s') => format!("{one}es"),
        None => format!("{one}s"),
    }
}

/// Types of `meta.v1` that are kinds of the core group wherever they stand.
const OF_NO_GROUP: &[&str] = &["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"];

impl<'a> About<'a> {
    /// The versions in which the kinds that all groups have, such as `DeleteOptions`, are said to be.
    fn groups(self) -> Vec<(&'a str, &'a str)> {
        let all = || KNOWN.iter().flat_map(|(group, versions)| versions.iter().map(|version| (*group, *version)));
        match self {
            Self::Builtin(version) if version.group.is_empty() => vec![("", "v1")],
            Self::Builtin(version) => vec![("", "v1"), (&version.group, &version.version)],
            Self::Custom => all().filter(|(group, _)| !APART.contains(group)).collect(),
            Self::Everything => all().collect(),
            Self::Nothing => vec![("", "v1")],
        }
    }
}

/// The groups and versions that Kubernetes 1.36 knows, served or not.
const KNOWN: &[(&str, &[&str])] = &[
    ("", &["v1"]),
    ("admission.k8s.io", &["v1", "v1beta1"]),
    ("admissionregistration.k8s.io", &["v1", "v1alpha1", "v1beta1"]),
    ("apiextensions.k8s.io", &["v1", "v1beta1"]),
    ("apiregistration.k8s.io", &["v1", "v1beta1"]),
    ("apps", &["v1", "v1beta1", "v1beta2"]),
    ("authentication.k8s.io", &["v1", "v1alpha1", "v1beta1"]),
    ("authorization.k8s.io", &["v1", "v1beta1"]),
    ("autoscaling", &["v1", "v2"]),
    ("batch", &["v1", "v1beta1"]),
    ("certificates.k8s.io", &["v1", "v1alpha1", "v1beta1"]),
    ("coordination.k8s.io", &["v1", "v1alpha2", "v1beta1"]),
    ("discovery.k8s.io", &["v1", "v1beta1"]),
    ("events.k8s.io", &["v1", "v1beta1"]),
    ("extensions", &["v1beta1"]),
    ("flowcontrol.apiserver.k8s.io", &["v1", "v1beta1", "v1beta2", "v1beta3"]),
    ("imagepolicy.k8s.io", &["v1alpha1"]),
    ("internal.apiserver.k8s.io", &["v1alpha1"]),
    ("networking.k8s.io", &["v1", "v1beta1"]),
    ("node.k8s.io", &["v1", "v1alpha1", "v1beta1"]),
    ("policy", &["v1", "v1beta1"]),
    ("rbac.authorization.k8s.io", &["v1", "v1alpha1", "v1beta1"]),
    ("resource.k8s.io", &["v1", "v1alpha3", "v1beta1", "v1beta2"]),
    ("scheduling.k8s.io", &["v1", "v1alpha2", "v1beta1"]),
    ("storage.k8s.io", &["v1", "v1alpha1", "v1beta1"]),
    ("storagemigration.k8s.io", &["v1beta1"]),
];

/// Those that Kubernetes' server of custom kinds does not know.
const APART: [&str; 4] = ["admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "imagepolicy.k8s.io"];
