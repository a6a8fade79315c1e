//! Discovery: what a cluster serves, in the legacy documents and in the aggregated one.
//!
//! Documents are assembled from the surface when asked for; the aggregated ones, which clients ask for all the time, are kept by
//! `documents.rs` as long as nothing served changes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use atoll_api::{ApiResult, GroupVersion};
use axum::body::Body;
use futures::future::join_all;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use super::aggregation::{self, Backend, Freshness};
use super::answer::Offered;
use super::chain::Asked;
use super::documents::{self, Document, Form, Name};
use super::verbs::method_not_allowed;
use super::{Api, answer};
use crate::codec::json::{InOrder, Order};
use crate::codec::negotiate::{Encoding, Target, negotiate};
use crate::registry::descriptor::{ALL_VERBS, Descriptor, ResourceVersionInfo, Subresource, Verb, compare_versions};
use crate::registry::resource::{Origin, Resource};
use crate::resources::group_priority;

/// What is served, in no particular order.
type Served = [Arc<dyn Resource>];

/// Resources by their groups.
type InGroups = HashMap<Arc<str>, Vec<Arc<dyn Resource>>>;

/// What a cluster serves: resources of this server, and groups of others.
struct Surface {
    /// In no particular order.
    own: Vec<Arc<dyn Resource>>,
    /// Other servers, one for each version of a group.
    others: Vec<Arc<Backend>>,
    /// The resources by their groups, once they are asked for.
    in_groups: OnceLock<InGroups>,
}

/// The paths that every cluster has.
const INDEX: &[&str] = &[
    "/.well-known/openid-configuration",
    "/api",
    "/apis",
    "/apis/",
    "/healthz",
    "/healthz/etcd",
    "/healthz/log",
    "/healthz/ping",
    "/livez",
    "/livez/etcd",
    "/livez/log",
    "/livez/ping",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/readyz/etcd",
    "/readyz/informer-sync",
    "/readyz/log",
    "/readyz/ping",
    "/readyz/shutdown",
    "/version",
];

/// The priority of versions that this server serves, among those of others: that of custom resources.
const OWN_VERSIONS: i64 = 100;

/// The verbs of custom resources, in the order kube-apiserver lists them.
const CUSTOM_VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// The order of fields in documents, which tools read as text, too (`kubectl get --raw … | grep`): that of Go's structs.
const ORDER: Order = Order {
    of_document: &["kind", "apiVersion", "metadata"],
    of_objects: &[
        "metadata",
        "name",
        "resource",
        "subresource",
        "responseKind",
        "scope",
        "singularName",
        "singularResource",
        "namespaced",
        "group",
        "groupVersion",
        "version",
        "kind",
        "acceptedTypes",
        "verbs",
        "shortNames",
        "categories",
        "storageVersionHash",
        "subresources",
        "versions",
        "preferredVersion",
        "resources",
        "freshness",
        "clientCIDR",
        "serverAddress",
        "serverAddressByClientCIDRs",
    ],
};

/// Answers `/api`, `/apis` and what is directly below; `None` for other paths.
pub(super) async fn answer(api: &Api, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    let path = asked.info.path.trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    let known = matches!(segments.as_slice(), [""] | ["api"] | ["api", _] | ["apis"] | ["apis", _] | ["apis", _, _]);
    if !known {
        return Ok(None);
    }
    let surface = Surface::of(api, asked);
    if path.is_empty() {
        return index(asked, &surface).map(Some);
    }
    // What kube-apiserver's aggregator and its server of definitions answer has no routes: whatever the method is, it is read.
    let offered = match segments.as_slice() {
        ["apis", "apiregistration.k8s.io", ..] | ["api", ..] => Offered::ByRoute,
        ["apis", group, _] if surface.has_builtin(group) => Offered::ByRoute,
        _ => Offered::ByHandler,
    };
    let read = asked.info.verb == "get" || offered == Offered::ByHandler;
    let document = match segments.as_slice() {
        ["api"] if read && wants_aggregated(asked) => {
            return aggregated(api, asked, &surface, Part::Core).await.map(Some);
        }
        ["apis"] if wants_aggregated(asked) => {
            return aggregated(api, asked, &surface, Part::Groups).await.map(Some);
        }
        ["api"] => {
            Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses(asked)}))
        }
        ["apis"] => Some(group_list(&surface)),
        ["apis", group] => group_document(&surface, group, Standing::Alone),
        ["api", version] => resource_list(surface.in_group(""), &GroupVersion::new("", *version)),
        // Another server's was passed on to it.
        ["apis", group, version] => resource_list(surface.in_group(group), &GroupVersion::new(*group, *version)),
        _ => None,
    };
    match document {
        Some(_) if !read => Err(method_not_allowed()),
        Some(document) => answer::document(asked, offered, &InOrder::document(&document, &ORDER)).map(Some),
        None => {
            let group = if segments[0] == "api" { "" } else { segments.get(1).copied().unwrap_or_default() };
            if surface.has_builtin(group) {
                Err(atoll_api::ApiError::no_such_path())
            } else {
                Ok(Some(answer::page_not_found()))
            }
        }
    }
}

/// The root: which paths there are.
fn index(asked: &Asked, surface: &Surface) -> ApiResult<Response<Body>> {
    let mut paths: Vec<String> = INDEX.iter().map(|path| (*path).to_owned()).collect();
    for group in surface.groups() {
        paths.push(format!("/apis/{group}"));
        paths.extend(surface.versions(&group).iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(surface.versions("").iter().map(|version| format!("/api/{version}")));
    paths.sort();
    Ok(answer::indented(asked, &InOrder::document(&json!({"paths": paths}), &ORDER)))
}

fn addresses(asked: &Asked) -> Value {
    let host = asked.headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": host}])
}

fn is_in_group(descriptor: &Descriptor, group: &str) -> bool {
    descriptor.versions.iter().any(|version| version.served && &*version.version.group == group)
}

/// Whether an APIGroup document stands alone (and names its own type) or in a list.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Alone,
    Listed,
}

fn group_document(surface: &Surface, group: &str, standing: Standing) -> Option<Value> {
    let versions = surface.versions(group);
    let first = versions.first()?;
    let shown = |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let mut document = json!({
        "name": group, "versions": versions.iter().map(shown).collect::<Vec<_>>(), "preferredVersion": shown(first),
    });
    if standing == Standing::Alone {
        document["kind"] = "APIGroup".into();
        document["apiVersion"] = "v1".into();
    }
    Some(document)
}

fn group_list(surface: &Surface) -> Value {
    let groups = surface.groups();
    let groups: Vec<Value> =
        groups.iter().filter_map(|group| group_document(surface, group, Standing::Listed)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

// === impl Surface ===

impl Surface {
    fn of(api: &Api, asked: &Asked) -> Self {
        let (own, others) = (api.surfaces.served(&asked.cx.scope), aggregation::all(api, &asked.cx.scope));
        Self { own, others, in_groups: OnceLock::new() }
    }

    /// Whether the program itself serves something of a group.
    fn has_builtin(&self, group: &str) -> bool {
        self.own.iter().any(|own| is_in_group(own.descriptor(), group) && own.origin() == Origin::Builtin)
    }

    /// The resources of this server that a group has, in whatever version.
    fn in_group(&self, group: &str) -> &Served {
        let in_groups = self.in_groups.get_or_init(|| {
            let mut in_groups = InGroups::new();
            for resource in &self.own {
                let versions = &resource.descriptor().versions;
                for (index, version) in versions.iter().enumerate() {
                    // A few resources are in two groups.
                    let known = versions[..index].iter().any(|earlier| earlier.version.group == version.version.group);
                    if !known {
                        in_groups.entry(version.version.group.clone()).or_default().push(resource.clone());
                    }
                }
            }
            in_groups
        });
        in_groups.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    /// The groups other than the core one, those of the highest priority first, equal ones by name.
    fn groups(&self) -> Vec<String> {
        let mut priorities: BTreeMap<String, i64> = BTreeMap::new();
        let mut add = |group: &str, priority: i64| {
            let known = priorities.entry(group.to_owned()).or_insert(priority);
            *known = priority.max(*known);
        };
        for resource in &self.own {
            for version in resource.descriptor().versions.iter().filter(|v| v.served && !v.version.group.is_empty()) {
                add(&version.version.group, group_priority(&version.version.group, resource.origin()));
            }
        }
        self.others.iter().for_each(|other| add(&other.group, other.group_priority));
        let mut groups: Vec<(String, i64)> = priorities.into_iter().collect();
        groups.sort_by_key(|(_, priority)| Reverse(*priority));
        groups.into_iter().map(|(group, _)| group).collect()
    }

    /// The versions of a group, in order of preference.
    fn versions(&self, group: &str) -> Vec<String> {
        let mut versions = versions_of(self.in_group(group), group);
        let others: Vec<&Arc<Backend>> = self.others.iter().filter(|other| other.group == group).collect();
        if others.is_empty() {
            return versions;
        }
        versions.retain(|version| !others.iter().any(|other| other.version == *version));
        let own = versions.into_iter().map(|version| (OWN_VERSIONS, version));
        let mut all: Vec<(i64, String)> =
            own.chain(others.iter().map(|other| (other.version_priority, other.version.clone()))).collect();
        all.sort_by(|(a, older), (b, newer)| b.cmp(a).then_with(|| compare_versions(newer, older)));
        all.into_iter().map(|(_, version)| version).collect()
    }
}

/// The served versions of a group, in order of preference: GA before beta before alpha, newer first, others by name.
pub(super) fn versions_of(served: &Served, group: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for resource in served {
        for version in &resource.descriptor().versions {
            if version.served
                && &*version.version.group == group
                && !versions.contains(&version.version.version.to_string())
            {
                versions.push(version.version.version.to_string());
            }
        }
    }
    versions.sort_by(|a, b| compare_versions(b, a));
    versions
}

fn resource_list(served: &Served, version: &GroupVersion) -> Option<Value> {
    let mut entries: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for resource in served {
        let descriptor = resource.descriptor();
        if let Some(info) = descriptor.served(version) {
            entries.insert(descriptor.resource.resource.to_string(), resource_entries(&**resource, info));
        }
    }
    if entries.is_empty() {
        return None;
    }
    let resources: Vec<Value> = entries.into_values().flatten().collect();
    let mut list = json!({"kind": "APIResourceList", "groupVersion": version.to_string(), "resources": resources});
    // The list of the core group says nothing of its own version, as in Kubernetes.
    if !version.group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

/// A resource and its subresources, by name.
fn resource_entries(resource: &dyn Resource, info: &ResourceVersionInfo) -> Vec<Value> {
    let descriptor = resource.descriptor();
    let name = &*descriptor.resource.resource;
    let mut main = json!({
        "name": name, "singularName": &*descriptor.singular, "namespaced": descriptor.is_namespaced(),
        "kind": &*descriptor.kind, "verbs": shown_verbs(resource),
    });
    if !descriptor.short_names.is_empty() {
        main["shortNames"] = descriptor.short_names.iter().map(|n| n.to_string()).collect();
    }
    if !descriptor.categories.is_empty() {
        main["categories"] = descriptor.categories.iter().map(|n| n.to_string()).collect();
    }
    // What is computed is not stored. (Component statuses can be read all the same.)
    if [Verb::Get, Verb::Watch, Verb::Create].iter().all(|verb| descriptor.verbs.contains(verb)) {
        main["storageVersionHash"] = storage_hash(descriptor).into();
    }
    let mut entries = vec![main];
    entries.extend(ordered(resource, info).into_iter().map(|sub| subresource_entry(descriptor, sub)));
    entries
}

/// Subresources in the order kube-apiserver lists them: by name, but those of custom resources with the status first.
fn ordered<'a>(resource: &dyn Resource, info: &'a ResourceVersionInfo) -> Vec<&'a Subresource> {
    let mut subresources: Vec<&Subresource> = info.subresources.iter().collect();
    let is_later = |sub: &Subresource| resource.origin() == Origin::Custom && *sub != Subresource::Status;
    subresources.sort_by_key(|sub| (is_later(sub), sub.name().to_owned()));
    subresources
}

fn shown_verbs(resource: &dyn Resource) -> Vec<&'static str> {
    match resource.origin() {
        Origin::Custom if resource.descriptor().verbs == ALL_VERBS => CUSTOM_VERBS.to_vec(),
        Origin::Builtin | Origin::Custom => resource.descriptor().verbs.iter().map(|verb| verb.as_str()).collect(),
    }
}

fn subresource_entry(descriptor: &Descriptor, sub: &Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", descriptor.resource.resource, sub.name()), "singularName": "",
        "namespaced": descriptor.is_namespaced(), "kind": &*descriptor.kind, "verbs": ["get", "patch", "update"],
    });
    match sub {
        Subresource::Status | Subresource::Part(_) => {}
        Subresource::Scale(_) => {
            entry["group"] = "autoscaling".into();
            entry["version"] = "v1".into();
            entry["kind"] = "Scale".into();
        }
        Subresource::Other { kind, verbs, .. } => {
            if !kind.kind.is_empty() {
                entry["kind"] = (&*kind.kind).into();
            }
            if !kind.version.is_empty() {
                if !kind.group.is_empty() {
                    entry["group"] = (&*kind.group).into();
                }
                entry["version"] = (&*kind.version).into();
            }
            entry["verbs"] = verbs.iter().map(|verb| verb.as_str()).collect();
        }
    }
    entry
}

fn storage_hash(descriptor: &Descriptor) -> String {
    use base64::Engine;
    let version = &descriptor.storage_version().version;
    let digest = sha2::Sha256::digest(format!("{}/{}/{}", version.group, version.version, descriptor.kind));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

/// Whether the aggregated form is wanted, and is the first of the forms the client names that there is.
fn wants_aggregated(asked: &Asked) -> bool {
    struct Offer;
    impl crate::codec::negotiate::Offer for Offer {
        fn allows(&self, encoding: Encoding, target: Option<&Target>) -> bool {
            target.is_none_or(|t| {
                encoding == Encoding::Json
                    && (t.kind.as_str(), t.group.as_str(), t.version.as_str())
                        == ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")
            })
        }
    }
    negotiate(answer::accept(&asked.headers), &Offer).is_ok_and(|agreed| agreed.target.is_some())
}

/// Which half of the API an aggregated document tells of.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Core,
    Groups,
}

/// The resources of another server, and whether they are what it serves now.
type Discovered = (Vec<Value>, Freshness);

/// The aggregated document (KEP-3352), with its entity tag.
async fn aggregated(api: &Api, asked: &Asked, surface: &Surface, part: Part) -> ApiResult<Response<Body>> {
    // All at once: one that is slow does not add to another.
    let others = match part {
        Part::Core => Vec::new(),
        Part::Groups => join_all(surface.others.iter().map(|other| aggregation::resources(api, other))).await,
    };
    let others: Vec<_> = surface.others.iter().zip(others).collect();
    let name = aggregated_name(asked, surface, &others, part);
    let document = api.documents.of(&name, || {
        let groups = match part {
            Part::Core => vec![String::new()],
            Part::Groups => surface.groups(),
        };
        let items: Vec<Value> = groups.iter().filter_map(|group| aggregated_group(surface, &others, group)).collect();
        let document = json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
        });
        let body = InOrder::document(&document, &ORDER).to_vec();
        Document { tag: documents::quoted(&format!("{:X}", Sha512::digest(&body))), bytes: body.into() }
    });
    // As one text, unlike what serves OpenAPI (endpoints/discovery/aggregated/etag.go).
    let unchanged = asked.headers.get(header::IF_NONE_MATCH).is_some_and(|given| *given == document.tag);
    let mut response = if unchanged {
        let mut response = answer::empty(StatusCode::NOT_MODIFIED);
        response.headers_mut().insert(header::ETAG, document.tag);
        response
    } else {
        let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        api.documents.answer(asked, media, &name, document)
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(response)
}

/// What an aggregated document is found by: all that stands in it comes from this.
fn aggregated_name(asked: &Asked, surface: &Surface, others: &[(&Arc<Backend>, Discovered)], part: Part) -> Name {
    let (form, own) = match part {
        Part::Core => (Form::CoreDiscovery, surface.in_group("")),
        Part::Groups => (Form::Discovery, surface.own.as_slice()),
    };
    let mut hasher = Sha256::new();
    own.iter().for_each(|resource| documents::add(&mut hasher, &**resource));
    for (other, (resources, freshness)) in others {
        let told = json!([
            other.group,
            other.version,
            other.group_priority,
            other.version_priority,
            resources,
            freshness.as_str(),
        ]);
        hasher.update(told.to_string());
    }
    let scope = &asked.cx.scope;
    let only_for = match others {
        [] => documents::only_for(scope, own.iter().map(|resource| &**resource)),
        _ => scope.one().cloned(),
    };
    Name::new(form, hasher, only_for)
}

fn aggregated_group(surface: &Surface, others: &[(&Arc<Backend>, Discovered)], group: &str) -> Option<Value> {
    let versions = surface.versions(group);
    if versions.is_empty() {
        return None;
    }
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let other = others.iter().find(|(other, _)| other.group == group && other.version == *version);
            match other {
                Some((_, (resources, freshness))) => {
                    json!({"version": version, "resources": resources, "freshness": freshness.as_str()})
                }
                None => {
                    let gv = GroupVersion::new(group, version.as_str());
                    let resources = aggregated_resources(surface.in_group(group), &gv);
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                }
            }
        })
        .collect();
    Some(json!({"metadata": metadata, "versions": versions}))
}

fn aggregated_resources(served: &Served, version: &GroupVersion) -> Vec<Value> {
    let mut resources: BTreeMap<String, Value> = BTreeMap::new();
    for resource in served {
        let descriptor = resource.descriptor();
        let Some(info) = descriptor.served(version) else { continue };
        let own = own_version(&**resource, version);
        let kind = |kind: &str| json!({"group": &*own.group, "version": &*own.version, "kind": kind});
        let mut entry = json!({
            "resource": &*descriptor.resource.resource, "responseKind": kind(&descriptor.kind),
            "scope": if descriptor.is_namespaced() { "Namespaced" } else { "Cluster" },
            "singularResource": &*descriptor.singular, "verbs": shown_verbs(&**resource),
        });
        if !descriptor.short_names.is_empty() {
            entry["shortNames"] = descriptor.short_names.iter().map(|n| n.to_string()).collect();
        }
        if !descriptor.categories.is_empty() {
            entry["categories"] = descriptor.categories.iter().map(|n| n.to_string()).collect();
        }
        let below = ordered(&**resource, info);
        let below: Vec<Value> = below.into_iter().map(|sub| aggregated_subresource(descriptor, &own, sub)).collect();
        if !below.is_empty() {
            entry["subresources"] = below.into();
        }
        resources.insert(descriptor.resource.resource.to_string(), entry);
    }
    resources.into_values().collect()
}

/// How the aggregated document names the version a resource is listed under: for built-in kinds not at all, as in Kubernetes.
fn own_version(resource: &dyn Resource, version: &GroupVersion) -> GroupVersion {
    match resource.origin() {
        Origin::Builtin => GroupVersion::new("", ""),
        Origin::Custom => version.clone(),
    }
}

fn aggregated_subresource(descriptor: &Descriptor, version: &GroupVersion, sub: &Subresource) -> Value {
    let (group, version, kind) = match sub {
        Subresource::Scale(_) => ("autoscaling", "v1", "Scale"),
        Subresource::Other { kind, .. } if !kind.version.is_empty() => (&*kind.group, &*kind.version, &*kind.kind),
        Subresource::Other { kind, .. } if !kind.kind.is_empty() => (&*version.group, &*version.version, &*kind.kind),
        _ => (&*version.group, &*version.version, &*descriptor.kind),
    };
    let verbs: Vec<&str> = match sub {
        Subresource::Other { verbs, .. } => verbs.iter().map(|verb| verb.as_str()).collect(),
        _ => vec!["get", "patch", "update"],
    };
    json!({
        "subresource": sub.name(), "verbs": verbs,
        "responseKind": {"group": group, "version": version, "kind": kind},
    })
}
