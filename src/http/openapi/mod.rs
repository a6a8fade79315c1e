//! OpenAPI: what each group and version of a cluster looks like and what can be done there, for clients that are generated,
//! and for those that explain, validate and complete.
//!
//! Documents are assembled when asked for and kept by `documents.rs`; their hashes come from what they are made of, so that
//! neither the root nor a client that has the newest one needs any of them.
//! What stands in them is told by `resource.rs` and `index.rs` (paths), `parameters.rs` and `schemas.rs`; `render.rs` writes it
//! as version 2 or 3 has it, and `v2.rs` makes the one document of version 2.

mod index;
mod operation;
mod parameters;
mod render;
mod resource;
mod schemas;
mod v2;

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::query::Query;
use atoll_api::{ApiResult, ClusterScope, GroupVersion, Object};
use axum::body::Body;
use futures::future::join_all;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::aggregation::{self, Backend, Spec};
use super::chain::Asked;
use super::documents::{self, Form, Name};
use super::{Api, answer};
use crate::registry::descriptor::ResourceVersionInfo;
use crate::registry::resource::{Origin, Resource};
use crate::resources::catalog::{Descriptions, publish};
use crate::schema::openapi::{CustomKind, Document, Words, definitions};
use index::Index;
use operation::Paths;
pub(in crate::http) use render::PARAMETERS;
use render::Renderer;
use schemas::About;

/// Counts up when documents say more or something else of the same resources, so that no client keeps old ones.
const FORM: &str = "2";
/// The version of Kubernetes that the API is of, as kube-apiserver's documents give it.
const VERSION: &str = "1.36";
const TITLE: &str = "Kubernetes";
const CUSTOM_TITLE: &str = "Kubernetes CRD Swagger";

/// Answers `/openapi/v3` and what is below; `None` for other paths.
pub(super) async fn answer(api: &Api, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    let path = &*asked.info.path;
    if path == "/openapi/v2" {
        return whole(api, asked).await.map(Some);
    }
    let Some(rest) = path.strip_prefix("/openapi/v3") else { return Ok(None) };
    let served = api.surfaces.served(&asked.cx.scope);
    let others = aggregation::all(api, &asked.cx.scope);
    if rest.is_empty() {
        let mut response = answer::json_document(asked, &root(api, asked, &served, &others).await)?;
        // Kubernetes lets Go guess what this is, which takes JSON for text (kube-openapi, handler3).
        let guessed = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, guessed);
        return Ok(Some(response));
    }
    let Some(rest) = rest.strip_prefix('/') else { return Ok(None) };
    let version = match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => Some(GroupVersion::new("", *version)),
        ["apis", group, version] => Some(GroupVersion::new(*group, *version)),
        _ => None,
    };
    let Some(version) = version else {
        let found = indexes(&served).into_iter().find(|index| index.path() == rest);
        let answered = found.map(|index| part(api, asked, rest, &index_name(&index), || of_index(&index)));
        return Ok(Some(answered.unwrap_or_else(unknown)));
    };
    if let Some(other) = others.iter().find(|other| serves(other, &version)) {
        let Some(document) = aggregation::document(api, other).await else {
            return Ok(Some(unknown()));
        };
        let mut response = answer::json_document(asked, &document)?;
        if Query::parse(&asked.query).first("hash").is_some() {
            stays_as_it_is(asked, response.headers_mut());
        }
        return Ok(Some(response));
    }
    let Some(hash) = hash_of(&served, &version) else { return Ok(Some(unknown())) };
    let resources = served.iter().filter(|resource| resource.descriptor().served(&version).is_some());
    let only_for = documents::only_for(&asked.cx.scope, resources.map(|resource| &**resource));
    let name = Name::new(Form::Part, hash, only_for);
    Ok(Some(part(api, asked, rest, &name, || of_version(api, asked, &served, &version))))
}

/// The answer where version 3 has no document, which says nothing.
fn unknown() -> Response<Body> {
    answer::empty(StatusCode::NOT_FOUND)
}

/// Answers with the document of a path, under the rules of kube-openapi's handler of version 3: who asks by a hash that is not
/// that of the document is sent on, who has the document gets none, and what is asked for by its hash never changes.
fn part(api: &Api, asked: &Asked, path: &str, name: &Name, make: impl FnOnce() -> Value) -> Response<Body> {
    let hash = name.hash();
    let query = Query::parse(&asked.query);
    let asked_for = query.first("hash").filter(|hash| !hash.is_empty());
    let mut response = match asked_for {
        Some(other) if other != hash => {
            let mut response = answer::empty(StatusCode::MOVED_PERMANENTLY);
            let place = format!("{}/openapi/v3/{path}?hash={hash}", prefix(asked));
            if let Ok(place) = HeaderValue::from_str(&place) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        _ if documents::has_already(&asked.headers, &name.tag()) => answer::empty(StatusCode::NOT_MODIFIED),
        _ => {
            let make = || documents::Document { bytes: make().to_string().into(), tag: name.tag() };
            let document = api.documents.of(name, make);
            api.documents.answer(asked, "application/json", name, document)
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, name.tag());
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if asked_for.is_some_and(|asked_for| asked_for == hash) {
        stays_as_it_is(asked, headers);
    }
    response
}

/// Says that a document never changes, and for how long that may be relied on: a year.
fn stays_as_it_is(asked: &Asked, headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    let then = asked.cx.now + jiff::SignedDuration::from_hours(365 * 24);
    if let Ok(then) = HeaderValue::from_str(&then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        headers.insert(header::EXPIRES, then);
    }
}

/// The path below which the request's cluster is.
fn prefix(asked: &Asked) -> String {
    if asked.cx.cluster.is_root() { String::new() } else { format!("/clusters/{}", asked.cx.cluster) }
}

/// The whole API in one document.
async fn whole(api: &Api, asked: &Asked) -> ApiResult<Response<Body>> {
    let served = api.surfaces.served(&asked.cx.scope);
    let others = aggregation::all(api, &asked.cx.scope);
    let mut versions = versions(&served);
    versions.retain(|version| !is_of(&others, version));
    let added = join_all(others.iter().map(|other| aggregation::whole(api, other))).await;
    let added: Vec<Spec> = added.into_iter().flatten().collect();
    let mut hasher = Sha256::new();
    for (version, hash) in hashes(&served).into_iter().filter(|(version, _)| !is_of(&others, version)) {
        hasher.update(version.to_string());
        hasher.update(hash);
    }
    added.iter().for_each(|spec| hasher.update(&spec.hash));
    let only_for = match added.as_slice() {
        [] => documents::only_for(&asked.cx.scope, served.iter().map(|resource| &**resource)),
        _ => asked.cx.scope.one().cloned(),
    };
    v2::answer(asked, &api.documents, (hasher, only_for), || {
        let mut parts = Parts::new(Document::V2);
        let mut indexes_at = Paths::new();
        indexes(&served).iter().for_each(|index| index.add(&mut indexes_at));
        parts.renderer.write(&indexes_at, &mut parts.paths);
        for version in &versions {
            parts.add_version(api, asked, &served, version);
        }
        parts.finish(About::Everything);
        (parts, added)
    })
}

/// Whether a version is one that another server serves.
fn is_of(others: &[std::sync::Arc<Backend>], version: &GroupVersion) -> bool {
    others.iter().any(|other| serves(other, version))
}

fn serves(other: &Backend, version: &GroupVersion) -> bool {
    *other.group == *version.group && *other.version == *version.version
}

type Served = [std::sync::Arc<dyn Resource>];

fn versions(served: &Served) -> BTreeSet<GroupVersion> {
    let all = served.iter().flat_map(|resource| resource.descriptor().versions.iter());
    all.filter(|version| version.served).map(|version| version.version.clone()).collect()
}

/// The documents of a cluster that are of no version.
fn indexes(served: &Served) -> Vec<Index> {
    let builtin = served.iter().filter(|resource| resource.origin() == Origin::Builtin);
    let versions = builtin.flat_map(|resource| resource.descriptor().versions.iter().filter(|version| version.served));
    let groups: BTreeSet<String> = versions.map(|version| version.version.group.to_string()).collect();
    Index::all(groups.into_iter())
}

/// Where the documents are. kubectl takes the addresses as they stand, so they name the cluster.
async fn root(api: &Api, asked: &Asked, served: &Served, others: &[std::sync::Arc<Backend>]) -> Value {
    let prefix = prefix(asked);
    let mut paths = Map::new();
    let mut add = |path: String, hash: String| {
        let query = if hash.is_empty() { String::new() } else { format!("?hash={hash}") };
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("{prefix}/openapi/v3/{path}{query}")}));
    };
    for index in indexes(served) {
        add(index.path(), index_name(&index).hash());
    }
    for (version, hash) in hashes(served).into_iter().filter(|(version, _)| !is_of(others, version)) {
        add(if version.group.is_empty() { format!("api/{version}") } else { format!("apis/{version}") }, hash);
    }
    let hashes = join_all(others.iter().map(|other| aggregation::index(api, other))).await;
    for (other, hash) in others.iter().zip(hashes).filter_map(|(other, hash)| Some((other, hash?))) {
        add(format!("apis/{}/{}", other.group, other.version), hash);
    }
    json!({"paths": paths})
}

/// What each document is made of, as a number: the release, what is served, and the text of definitions.
fn hashes(served: &Served) -> BTreeMap<GroupVersion, String> {
    let mut hashers: BTreeMap<&GroupVersion, Sha256> = BTreeMap::new();
    for resource in served {
        let definition = definition_hash(&**resource);
        for version in resource.descriptor().versions.iter().filter(|version| version.served) {
            let hasher = hashers.entry(&version.version).or_insert_with(|| hasher_of(&version.version));
            add_to_hash(hasher, &**resource, definition);
        }
    }
    hashers.into_iter().map(|(version, hasher)| (version.clone(), hex(hasher))).collect()
}

/// The same of one version, if it is served.
fn hash_of(served: &Served, version: &GroupVersion) -> Option<Sha256> {
    let mut hash = None;
    for resource in served.iter().filter(|resource| resource.descriptor().served(version).is_some()) {
        add_to_hash(hash.get_or_insert_with(|| hasher_of(version)), &**resource, definition_hash(&**resource));
    }
    hash
}

/// Two versions of the same resources have documents of their own.
fn hasher_of(version: &GroupVersion) -> Sha256 {
    hasher().chain_update(version.to_string()).chain_update([0])
}

fn add_to_hash(hasher: &mut Sha256, resource: &dyn Resource, definition: [u8; 32]) {
    hasher.update(&*resource.descriptor().resource.resource);
    hasher.update([0]);
    hasher.update(definition);
}

fn definition_hash(resource: &dyn Resource) -> [u8; 32] {
    let described = || Some(Sha256::digest(resource.described_by()?.get("spec")?.to_string()).into());
    resource.definition_hash().or_else(described).unwrap_or_default()
}

/// What the document of such paths is found by.
fn index_name(index: &Index) -> Name {
    Name::new(Form::Part, hasher().chain_update(index.path()), None)
}

/// What a hash begins with: what made the document.
fn hasher() -> Sha256 {
    Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update([0]).chain_update(FORM)
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The definition of a custom resource, as it is stored or part of the program.
fn raw_definition(api: &Api, asked: &Asked, resource: &dyn Resource) -> Option<Object> {
    if let Some(definition) = resource.described_by() {
        return Some(definition.clone());
    }
    let ClusterScope::One(cluster) = &asked.cx.scope else { return None };
    let name = resource.descriptor().resource.to_string();
    let key = crate::storage::Key::new(crate::resources::definitions(), cluster.clone(), "", name);
    serde_json::from_slice(&api.registry.store().get(&key)?.bytes()).ok()
}

/// The document of a version that this server serves.
fn of_version(api: &Api, asked: &Asked, served: &Served, version: &GroupVersion) -> Value {
    let mut parts = Parts::new(Document::V3);
    let origin = parts.add_version(api, asked, served, version);
    parts.finish(match origin {
        Origin::Builtin => About::Builtin(version),
        Origin::Custom => About::Custom,
    });
    parts.into_v3(origin)
}

fn of_index(index: &Index) -> Value {
    let mut parts = Parts::new(Document::V3);
    let mut paths = Paths::new();
    index.add(&mut paths);
    parts.renderer.write(&paths, &mut parts.paths);
    parts.finish(About::Nothing);
    parts.into_v3(Origin::Builtin)
}

/// A document in the making.
struct Parts {
    document: Document,
    descriptions: Descriptions,
    renderer: Renderer,
    paths: Map<String, Value>,
    /// Those of built-in types as version 3 has them.
    schemas: BTreeMap<String, Value>,
}

impl Parts {
    fn new(document: Document) -> Self {
        Self {
            document,
            descriptions: Descriptions::unpack(),
            renderer: Renderer::new(document),
            paths: Map::new(),
            schemas: BTreeMap::new(),
        }
    }

    /// Adds the paths of a version and the schemas of its custom kinds; gives where its kinds come from.
    fn add_version(&mut self, api: &Api, asked: &Asked, served: &Served, version: &GroupVersion) -> Origin {
        let mut origin = Origin::Custom;
        for resource in served {
            let Some(info) = resource.descriptor().served(version) else { continue };
            let mut paths = Paths::new();
            resource::add(&**resource, info, &mut paths);
            self.renderer.write(&paths, &mut self.paths);
            match resource.origin() {
                Origin::Builtin => origin = Origin::Builtin,
                Origin::Custom => {
                    let definition = raw_definition(api, asked, &**resource);
                    let said = |field| self.descriptions.of_field("core.v1.ConfigMap", field).unwrap_or_default();
                    let words =
                        Words { api_version: said("apiVersion"), kind: said("kind"), metadata: said("metadata") };
                    self.schemas.extend(custom(definition, &**resource, info, (self.document, words)));
                }
            }
        }
        if origin == Origin::Builtin {
            let mut paths = Paths::new();
            index::add_resource_list(&version.group, &version.version, &mut paths);
            self.renderer.write(&paths, &mut self.paths);
        }
        origin
    }

    /// Adds the schemas of what was written.
    fn finish(&mut self, about: About<'_>) {
        let models = std::mem::take(&mut self.renderer.models);
        if models.iter().any(|model| matches!(model, operation::Model::Custom(_))) {
            publish("meta.v1.ObjectMeta", &self.descriptions, &mut self.schemas);
            publish("meta.v1.ListMeta", &self.descriptions, &mut self.schemas);
        }
        schemas::add(&models, about, &self.descriptions, &mut self.schemas);
    }

    /// The document of version 3; those of custom kinds have another title in Kubernetes, and say nothing of how clients show
    /// who they are.
    fn into_v3(self, origin: Origin) -> Value {
        let mut components = Map::new();
        if !self.schemas.is_empty() {
            components.insert("schemas".into(), self.schemas.into_iter().collect::<Map<_, _>>().into());
        }
        let info = match origin {
            Origin::Builtin => {
                components.insert("securitySchemes".into(), json!({"BearerToken": v2::bearer_token()}));
                json!({"title": TITLE, "version": VERSION})
            }
            Origin::Custom => json!({"title": CUSTOM_TITLE, "version": "v0.1.0"}),
        };
        json!({"openapi": "3.0.0", "info": info, "paths": self.paths, "components": components})
    }
}

/// The definitions of a custom kind. Of one whose definition is not to be had, nothing is told but what it is called.
fn custom(
    definition: Option<Object>,
    resource: &dyn Resource,
    info: &ResourceVersionInfo,
    (document, words): (Document, Words<'_>),
) -> Map<String, Value> {
    let descriptor = resource.descriptor();
    let spec = definition.as_ref().and_then(|definition| definition.get("spec"));
    let versions = spec.and_then(|spec| spec["versions"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let version = versions.iter().find(|version| version["name"] == *info.version.version);
    let fields = version.and_then(|version| version["selectableFields"].as_array()).map(Vec::as_slice);
    let fields: Vec<&str> = fields.unwrap_or_default().iter().filter_map(|field| field["jsonPath"].as_str()).collect();
    let kind = CustomKind {
        group: &info.version.group,
        version: &info.version.version,
        kind: &descriptor.kind,
        list_kind: &descriptor.list_kind,
        plural: &descriptor.resource.resource,
        schema: version.map(|version| &version["schema"]["openAPIV3Schema"]),
        selectable_fields: &fields,
        words,
    };
    definitions(&kind, document)
}
