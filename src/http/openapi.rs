//! OpenAPI 3: what each group and version of a cluster looks like, for clients that explain, validate and complete.
//!
//! Documents are assembled when asked for and kept nowhere; their hashes come from what they are made of, so that the root
//! needs none of them. Those of OpenAPI 2 are made of the same parts (`openapi_v2.rs`).

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::{ApiResult, ClusterScope, GroupVersion, Object};
use axum::body::Body;
use futures::future::join_all;
use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::aggregation::{self, Backend, Spec};
use super::chain::Asked;
use super::{Api, answer, openapi_v2};
use crate::registry::descriptor::{ResourceVersionInfo, Verb};
use crate::registry::resource::{Origin, Resource};
use crate::resources::catalog::{Descriptions, openapi_name, publish, type_of_kind};
use crate::schema::openapi::{CustomKind, Document, definitions};

/// Answers `/openapi/v3` and what is below; `None` for other paths.
pub(super) async fn answer(api: &Api, asked: &Asked) -> ApiResult<Option<Response<Body>>> {
    let path = asked.info.path.trim_matches('/');
    if path == "openapi/v2" {
        return whole(api, asked).await.map(Some);
    }
    let Some(rest) = path.strip_prefix("openapi/v3") else { return Ok(None) };
    let served = api.surfaces.served(&asked.cx.scope);
    let others = aggregation::all(api, &asked.cx.scope);
    if rest.is_empty() {
        let mut response = answer::json_document(asked, &root(api, asked, &served, &others).await)?;
        // Kubernetes lets Go guess what this is, which takes JSON for text (kube-openapi, handler3).
        let guessed = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, guessed);
        return Ok(Some(response));
    }
    let version = match rest.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => GroupVersion::new("", *version),
        ["apis", group, version] => GroupVersion::new(*group, *version),
        _ => return Ok(Some(answer::page_not_found())),
    };
    let other = others.iter().find(|other| *other.group == *version.group && *other.version == *version.version);
    let found = match other {
        Some(other) => aggregation::document(api, other).await,
        None => versions(&served).contains(&version).then(|| document(api, asked, &served, &version)),
    };
    let Some(found) = found else { return Ok(Some(answer::page_not_found())) };
    let mut response = answer::json_document(asked, &found)?;
    // A document that is asked for by its hash never changes.
    if asked.query.contains("hash=") {
        let forever = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    Ok(Some(response))
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
    let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
    openapi_v2::answer(asked, &api.documents, &hash, || {
        let descriptions = Descriptions::unpack();
        let (mut schemas, mut paths) = (BTreeMap::new(), Map::new());
        for version in &versions {
            add_version(api, asked, &served, (version, Document::V2), &descriptions, (&mut schemas, &mut paths));
        }
        (paths, schemas.into_iter().collect(), added)
    })
}

/// Whether a version is one that another server serves.
fn is_of(others: &[std::sync::Arc<Backend>], version: &GroupVersion) -> bool {
    others.iter().any(|other| *other.group == *version.group && *other.version == *version.version)
}

type Served = [std::sync::Arc<dyn Resource>];

fn versions(served: &Served) -> BTreeSet<GroupVersion> {
    let all = served.iter().flat_map(|resource| resource.descriptor().versions.iter());
    all.filter(|version| version.served).map(|version| version.version.clone()).collect()
}

/// Where the documents are. kubectl takes the addresses as they stand, so they name the cluster.
async fn root(api: &Api, asked: &Asked, served: &Served, others: &[std::sync::Arc<Backend>]) -> Value {
    let prefix = if asked.cx.cluster.is_root() { String::new() } else { format!("/clusters/{}", asked.cx.cluster) };
    let mut paths = Map::new();
    for (version, hash) in hashes(served).into_iter().filter(|(version, _)| !is_of(others, version)) {
        let path = if version.group.is_empty() { format!("api/{version}") } else { format!("apis/{version}") };
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("{prefix}/openapi/v3/{path}?hash={hash}")}));
    }
    let hashes = join_all(others.iter().map(|other| aggregation::index(api, other))).await;
    for (other, hash) in others.iter().zip(hashes).filter_map(|(other, hash)| Some((other, hash?))) {
        let path = format!("apis/{}/{}", other.group, other.version);
        let query = if hash.is_empty() { String::new() } else { format!("?hash={hash}") };
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("{prefix}/openapi/v3/{path}{query}")}));
    }
    json!({"paths": paths})
}

/// What each document is made of, as a number: the release, what is served, and the text of definitions.
fn hashes(served: &Served) -> BTreeMap<GroupVersion, String> {
    let mut hashers: BTreeMap<&GroupVersion, Sha256> = BTreeMap::new();
    for resource in served {
        let descriptor = resource.descriptor();
        let described = || Some(Sha256::digest(resource.described_by()?.get("spec")?.to_string()).into());
        let definition = resource.definition_hash().or_else(described).unwrap_or_default();
        for version in descriptor.versions.iter().filter(|version| version.served) {
            let hasher = hashers.entry(&version.version).or_insert_with(|| {
                let mut hasher = Sha256::new();
                hasher.update(env!("CARGO_PKG_VERSION"));
                hasher
            });
            hasher.update(&*descriptor.resource.resource);
            hasher.update([0]);
            hasher.update(definition);
        }
    }
    let text = |hasher: Sha256| hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
    hashers.into_iter().map(|(version, hasher)| (version.clone(), text(hasher))).collect()
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

fn document(api: &Api, asked: &Asked, served: &Served, version: &GroupVersion) -> Value {
    let descriptions = Descriptions::unpack();
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    add_version(api, asked, served, (version, Document::V3), &descriptions, (&mut schemas, &mut paths));
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// Adds the schemas and paths of a version.
fn add_version(
    api: &Api,
    asked: &Asked,
    served: &Served,
    (version, document): (&GroupVersion, Document),
    descriptions: &Descriptions,
    (schemas, paths): (&mut BTreeMap<String, Value>, &mut Map<String, Value>),
) {
    for resource in served {
        let Some(info) = resource.descriptor().served(version) else { continue };
        add_paths(&**resource, info, paths);
        match resource.origin() {
            Origin::Builtin => add_builtin(&**resource, info, descriptions, schemas),
            Origin::Custom => {
                let definition = raw_definition(api, asked, &**resource);
                add_custom(definition, info, document, descriptions, schemas);
            }
        }
    }
}

fn add_builtin(
    resource: &dyn Resource,
    info: &ResourceVersionInfo,
    descriptions: &Descriptions,
    schemas: &mut BTreeMap<String, Value>,
) {
    let (group, version, kind) = (&info.version.group, &info.version.version, &resource.descriptor().kind);
    let Some(name) = type_of_kind(group, version, kind) else { return };
    publish(name, descriptions, schemas);
    if !resource.descriptor().verbs.contains(&Verb::List) {
        return;
    }
    publish("meta.v1.ListMeta", descriptions, schemas);
    let reference = |name: &str| format!("#/components/schemas/{}", openapi_name(name));
    let item = reference(name);
    let list_kind = &resource.descriptor().list_kind;
    let list = json!({
        "type": "object", "description": format!("{list_kind} is a list of objects of kind {kind}."), "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "items": {"type": "array", "items": {"allOf": [{"$ref": item}], "default": {}}},
            "metadata": {"allOf": [{"$ref": reference("meta.v1.ListMeta")}], "default": {}},
        },
        "x-kubernetes-group-version-kind": [{"group": &**group, "version": &**version, "kind": &**list_kind}],
    });
    schemas.insert(openapi_name(&name.replace(&**kind, list_kind)), list);
}

fn add_custom(
    definition: Option<Object>,
    info: &ResourceVersionInfo,
    document: Document,
    descriptions: &Descriptions,
    schemas: &mut BTreeMap<String, Value>,
) {
    let Some(definition) = definition else { return };
    let spec = definition.get("spec").cloned().unwrap_or_default();
    let text = |field: &str| spec["names"][field].as_str().unwrap_or_default();
    let of_list = format!("{}List", text("kind"));
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    let version = versions.iter().find(|version| version["name"] == *info.version.version);
    let kind = CustomKind {
        group: &info.version.group,
        version: &info.version.version,
        kind: text("kind"),
        list_kind: Some(text("listKind")).filter(|kind| !kind.is_empty()).unwrap_or(&of_list),
        plural: text("plural"),
        schema: version.map(|version| &version["schema"]["openAPIV3Schema"]),
        selectable_fields: &[],
    };
    schemas.extend(definitions(&kind, document));
    publish("meta.v1.ObjectMeta", descriptions, schemas);
    publish("meta.v1.ListMeta", descriptions, schemas);
}

/// The paths of a resource, each with what can be done there.
fn add_paths(resource: &dyn Resource, info: &ResourceVersionInfo, paths: &mut Map<String, Value>) {
    let descriptor = resource.descriptor();
    let base = if info.version.group.is_empty() {
        format!("/api/{}", info.version)
    } else {
        format!("/apis/{}", info.version)
    };
    let plural = &descriptor.resource.resource;
    let kind = &*descriptor.kind;
    let within = if descriptor.is_namespaced() { "/namespaces/{namespace}" } else { "" };
    let has = |verb| descriptor.verbs.contains(&verb);
    let mut collection = Map::new();
    let mut one = Map::new();
    let operations = [
        (Verb::List, "get", "list", format!("list objects of kind {kind}")),
        (Verb::Create, "post", "post", format!("create a {kind}")),
        (Verb::DeleteCollection, "delete", "deletecollection", format!("delete collection of {kind}")),
    ];
    for (_, method, action, text) in operations.into_iter().filter(|(verb, ..)| has(*verb)) {
        collection.insert(method.into(), operation(info, kind, plural, action, &text));
    }
    let operations = [
        (Verb::Get, "get", format!("read the specified {kind}")),
        (Verb::Update, "put", format!("replace the specified {kind}")),
        (Verb::Patch, "patch", format!("partially update the specified {kind}")),
        (Verb::Delete, "delete", format!("delete a {kind}")),
    ];
    for (_, method, text) in operations.iter().filter(|(verb, ..)| has(*verb)) {
        one.insert((*method).into(), operation(info, kind, plural, method, text));
    }
    paths.insert(format!("{base}{within}/{plural}"), collection.into());
    if descriptor.is_namespaced() && has(Verb::List) {
        let list = operation(
            info,
            kind,
            &format!("{plural}_for_all_namespaces"),
            "list",
            &format!("list objects of kind {kind}"),
        );
        paths.insert(format!("{base}/{plural}"), json!({"get": list}));
    }
    if one.is_empty() {
        return;
    }
    paths.insert(format!("{base}{within}/{plural}/{{name}}"), one.into());
    for sub in info.subresources.iter() {
        let name = sub.name();
        let of = |method: &str, text: &str| {
            operation(
                info,
                kind,
                &format!("{plural}_{name}"),
                method,
                &format!("{text} {name} of the specified {kind}"),
            )
        };
        let methods =
            json!({"get": of("get", "read"), "put": of("put", "replace"), "patch": of("patch", "partially update")});
        paths.insert(format!("{base}{within}/{plural}/{{name}}/{name}"), methods);
    }
}

fn operation(info: &ResourceVersionInfo, kind: &str, id: &str, action: &str, description: &str) -> Value {
    let version = &info.version;
    let group = if version.group.is_empty() { "core".to_owned() } else { camel(&version.group) };
    let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let mut operation = json!({
        "description": description, "operationId": format!("{action}_{group}_{}_{id}", version.version),
        "tags": [format!("{group}_{}", version.version)], "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": &*version.group, "version": &*version.version, "kind": kind},
    });
    if matches!(action, "post" | "put" | "patch") {
        operation["parameters"] = ["dryRun", "fieldManager", "fieldValidation"].into_iter().map(query).collect();
        let media: &[&str] = match action {
            "patch" => &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"],
            _ => &["*/*"],
        };
        let content: Map<String, Value> =
            media.iter().map(|media| ((*media).to_owned(), json!({"schema": {"type": "object"}}))).collect();
        operation["requestBody"] = json!({"content": content});
    }
    operation
}

/// `stable.example.com` as a word: `stableExampleCom`; Kubernetes' own groups go by their first part.
fn camel(group: &str) -> String {
    let own = group.strip_suffix(".k8s.io").unwrap_or(group);
    let mut parts = own.split('.');
    let mut word = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        word.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        word.push_str(letters.as_str());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::camel;

    #[test]
    fn groups_become_words() {
        assert_eq!(camel("stable.example.com"), "stableExampleCom");
        assert_eq!(camel("apps"), "apps");
    }
}
