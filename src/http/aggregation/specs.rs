//! The OpenAPI documents of the servers behind, among those of the cluster.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::Api;
use super::super::openapi::PARAMETERS;
use super::backend::Backend;
use super::fetched::fetch;

const JSON: &str = "application/json";
const DEFINITIONS: &str = "#/definitions/";
const KINDS: &str = "x-kubernetes-group-version-kind";
/// How deep a document is looked into for references.
const DEPTH: usize = 64;

/// What of a server's document of OpenAPI 2 is its group's and version's.
pub(in crate::http) struct Spec {
    /// The paths.
    pub(in crate::http) paths: Map<String, Value>,
    /// The types they refer to.
    pub(in crate::http) definitions: Map<String, Value>,
    /// The parameters they refer to.
    pub(in crate::http) parameters: Map<String, Value>,
    /// Changes when the document does.
    pub(in crate::http) hash: String,
}

/// The hash of a server's document of OpenAPI 3, if it has one.
pub(in crate::http) async fn index(api: &Api, backend: &Backend) -> Option<String> {
    let (document, _) = fetch(api, backend, "/openapi/v3", JSON).await;
    let document = document.filter(|document| document.status.is_success())?;
    let index: Value = serde_json::from_slice(&document.bytes).ok()?;
    let path = format!("apis/{}/{}", backend.group, backend.version);
    let url = index["paths"][&path]["serverRelativeURL"].as_str()?;
    let hash = url.split_once("hash=").map(|(_, hash)| hash.split('&').next().unwrap_or_default());
    let hash = hash.filter(|hash| hash.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    Some(hash.unwrap_or_default().to_owned())
}

/// A server's document of OpenAPI 3.
pub(in crate::http) async fn document(api: &Api, backend: &Backend) -> Option<Value> {
    let hash = index(api, backend).await?;
    let path = format!("/openapi/v3{}", backend.root());
    let path = if hash.is_empty() { path } else { format!("{path}?hash={hash}") };
    let (document, _) = fetch(api, backend, &path, JSON).await;
    let document = document.filter(|document| document.status.is_success())?;
    serde_json::from_slice(&document.bytes).ok()
}

/// What a server's document of OpenAPI 2 adds to that of the cluster.
pub(in crate::http) async fn whole(api: &Api, backend: &Backend) -> Option<Spec> {
    let (document, _) = fetch(api, backend, "/openapi/v2", JSON).await;
    let document = document.filter(|document| document.status.is_success())?;
    let hash = Sha256::digest(&document.bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    let mut parsed: Value = serde_json::from_slice(&document.bytes).ok()?;
    let below = format!("{}/", backend.root());
    let mut paths = taken(&mut parsed, "paths");
    paths.retain(|path, _| path.starts_with(&below));
    let mut definitions = taken(&mut parsed, "definitions");
    let mut parameters = taken(&mut parsed, "parameters");
    let used = used(&paths, &definitions, &parameters);
    definitions.retain(|name, _| used.contains(&format!("{DEFINITIONS}{name}")));
    parameters.retain(|name, _| used.contains(&format!("{PARAMETERS}{name}")));
    Some(Spec { paths, definitions, parameters, hash })
}

// === impl Spec ===

impl Spec {
    /// Adds paths, definitions and parameters to those of a document. What is there already under the same name and differs
    /// gets another one; where the difference is in the kinds a definition is for, it is for all of them, as in Kubernetes.
    pub(in crate::http) fn merge_into(
        self,
        paths: &mut Map<String, Value>,
        definitions: &mut Map<String, Value>,
        parameters: &mut Map<String, Value>,
    ) {
        let mut renamed: Map<String, Value> = Map::new();
        for (section, ours, theirs) in
            [(DEFINITIONS, &*definitions, &self.definitions), (PARAMETERS, &*parameters, &self.parameters)]
        {
            for (name, value) in theirs {
                if ours.get(name).is_some_and(|known| !is_same(known, value)) {
                    let free = (2..).map(|number| format!("{name}_v{number}")).find(|name| !ours.contains_key(name));
                    renamed.insert(format!("{section}{name}"), format!("{section}{}", free.unwrap_or_default()).into());
                }
            }
        }
        let target = |full: &str| renamed.get(full).and_then(Value::as_str).unwrap_or(full).to_owned();
        for (section, ours, theirs) in
            [(DEFINITIONS, definitions, self.definitions), (PARAMETERS, parameters, self.parameters)]
        {
            for (name, mut value) in theirs {
                rename(&mut value, &target, DEPTH);
                let full = target(&format!("{section}{name}"));
                match ours.get_mut(full.strip_prefix(section).unwrap_or(&full)) {
                    Some(known) => add_kinds(known, value),
                    None => drop(ours.insert(full.strip_prefix(section).unwrap_or(&full).to_owned(), value)),
                }
            }
        }
        for (path, mut item) in self.paths {
            rename(&mut item, &target, DEPTH);
            paths.entry(path).or_insert(item);
        }
    }
}

/// Whether definitions say the same but for the kinds they are for.
fn is_same(one: &Value, other: &Value) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return one == other };
    let said = |fields: &Map<String, Value>| fields.keys().filter(|name| *name != KINDS).count();
    said(one) == said(other) && one.iter().all(|(name, value)| name == KINDS || other.get(name) == Some(value))
}

/// Adds the kinds that another definition is for.
fn add_kinds(definition: &mut Value, mut other: Value) {
    let Some(Value::Array(more)) = other.get_mut(KINDS).map(Value::take) else { return };
    let Some(Value::Array(kinds)) = definition.get_mut(KINDS) else { return };
    let known: BTreeSet<String> = kinds.iter().map(Value::to_string).collect();
    kinds.extend(more.into_iter().filter(|kind| !known.contains(&kind.to_string())));
}

fn taken(document: &mut Value, name: &str) -> Map<String, Value> {
    match document.get_mut(name).map(Value::take) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The references to definitions and parameters that paths hold, by themselves and through others.
fn used(
    paths: &Map<String, Value>,
    definitions: &Map<String, Value>,
    parameters: &Map<String, Value>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = Vec::new();
    paths.values().for_each(|item| references(item, &mut waiting, DEPTH));
    while let Some(full) = waiting.pop() {
        let target = match (full.strip_prefix(DEFINITIONS), full.strip_prefix(PARAMETERS)) {
            (Some(name), _) => definitions.get(name),
            (None, Some(name)) => parameters.get(name),
            (None, None) => None,
        };
        if let Some(target) = target
            && found.insert(full)
        {
            references(target, &mut waiting, DEPTH);
        }
    }
    found
}

fn references(value: &Value, found: &mut Vec<String>, depth: usize) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner.as_str() {
                    Some(target) if name == "$ref" => found.push(target.to_owned()),
                    _ => references(inner, found, depth - 1),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found, depth - 1)),
        _ => {}
    }
}

fn rename(value: &mut Value, target: &dyn Fn(&str) -> String, depth: usize) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                match inner.as_str() {
                    Some(old) if name == "$ref" => *inner = target(old).into(),
                    _ => rename(inner, target, depth - 1),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, target, depth - 1)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn definitions_that_differ_get_another_name_and_equal_ones_do_not() {
        let mut paths = fields(json!({"/apis/a/v1/": {"get": {}}}));
        let mut definitions = fields(json!({"Same": {"type": "object"}, "Other": {"type": "string"}}));
        let reference = |name: &str| json!({"$ref": format!("{DEFINITIONS}{name}")});
        let mut parameters = fields(json!({"limit-a": {"name": "limit"}}));
        let limit = |name: &str| json!({"$ref": format!("{PARAMETERS}{name}")});
        let spec = Spec {
            paths: fields(json!({"/apis/b/v1/": {
                "get": {"schema": reference("Other"), "same": reference("Same")}, "parameters": [limit("limit-a")],
            }})),
            definitions: fields(json!({
                "Same": {"type": "object"}, "Other": {"items": reference("Other")},
            })),
            parameters: fields(json!({"limit-a": {"name": "limit", "type": "integer"}, "body": reference("Other")})),
            hash: String::new(),
        };
        spec.merge_into(&mut paths, &mut definitions, &mut parameters);
        assert_eq!(paths["/apis/b/v1/"]["parameters"], json!([limit("limit-a_v2")]));
        assert_eq!(parameters["limit-a"], json!({"name": "limit"}));
        assert_eq!(parameters["limit-a_v2"], json!({"name": "limit", "type": "integer"}));
        assert_eq!(parameters["body"], reference("Other_v2"));
        assert_eq!(paths["/apis/b/v1/"]["get"], json!({"schema": reference("Other_v2"), "same": reference("Same")}));
        assert_eq!(definitions["Other"], json!({"type": "string"}));
        assert_eq!(definitions["Other_v2"], json!({"items": reference("Other_v2")}));
        assert_eq!(definitions.len(), 3);
    }

    #[test]
    fn definitions_are_for_the_kinds_of_all_servers() {
        let kind = |group: &str| json!({"group": group, "version": "v1", "kind": "DeleteOptions"});
        let definition = |groups: &[&str]| {
            let kinds: Vec<Value> = groups.iter().map(|group| kind(group)).collect();
            fields(json!({"D": {"type": "object", KINDS: kinds}}))
        };
        let mut definitions = definition(&["", "apps"]);
        let (paths, parameters) = (Map::new(), Map::new());
        let spec = Spec { paths, definitions: definition(&["", "its.own"]), parameters, hash: String::new() };
        spec.merge_into(&mut Map::new(), &mut definitions, &mut Map::new());
        assert_eq!(definitions, definition(&["", "apps", "its.own"]));
    }

    #[test]
    fn only_what_is_referred_to_is_taken() {
        let definitions = fields(json!({
            "A": {"items": {"$ref": "#/definitions/B"}}, "B": {"items": {"$ref": "#/definitions/A"}}, "C": {},
        }));
        let parameters = fields(json!({"p": {"schema": {"$ref": "#/definitions/D"}}, "q": {}}));
        let definitions = Map::from_iter(definitions.into_iter().chain([("D".to_owned(), json!({}))]));
        let paths = fields(json!({"/x": [
            {"$ref": "#/definitions/A"}, {"$ref": "#/definitions/Gone"}, {"$ref": "#/parameters/p"},
        ]}));
        let expected = ["#/definitions/A", "#/definitions/B", "#/definitions/D", "#/parameters/p"];
        assert_eq!(used(&paths, &definitions, &parameters).into_iter().collect::<Vec<_>>(), expected);
    }
}
