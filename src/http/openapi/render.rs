//! Writes paths as OpenAPI 2 or 3 has them, and keeps account of what they refer to.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::operation::{Model, Need, Operation, Paths, Sent};
use super::parameters::{Parameter, Place};
use crate::resources::catalog::openapi_name;
use crate::schema::openapi::{Document, reference};

const ACTION: &str = "x-kubernetes-action";
const KIND: &str = "x-kubernetes-group-version-kind";
/// Queries that older clients look for in operations themselves.
const UNSHARED: [&str; 2] = ["dryRun", "fieldValidation"];

/// Writes paths.
pub(super) struct Renderer {
    document: Document,
    /// The types that what was written refers to.
    pub(super) models: BTreeSet<Model>,
    /// The parameters of OpenAPI 2 that operations refer to, by name.
    pub(super) parameters: Map<String, Value>,
    /// The names of parameters, by what they are.
    names: HashMap<(String, Place, String), String>,
}

/// What a parameter is told by among those of an operation; in this order they are written.
type Key = (&'static str, Place);

impl Renderer {
    /// A writer of paths for one document.
    pub(super) fn new(document: Document) -> Self {
        Self { document, models: BTreeSet::new(), parameters: Map::new(), names: HashMap::new() }
    }

    /// Writes paths.
    pub(super) fn write(&mut self, paths: &Paths, out: &mut Map<String, Value>) {
        for (path, operations) in paths {
            let item = self.item(operations);
            out.insert(path.clone(), item);
        }
    }

    /// All that can be done at one path. What every operation takes stands beside them.
    fn item(&mut self, operations: &[Operation]) -> Value {
        let common = common(operations);
        let mut item = Map::new();
        for operation in operations {
            let written = self.operation(operation, &common);
            item.insert(operation.method.to_owned(), written);
        }
        let mut parameters: Vec<&Parameter> = operations.first().map_or(Vec::new(), |first| {
            first.parameters.iter().filter(|parameter| common.contains(&key(parameter))).collect()
        });
        parameters.sort_by_key(|parameter| key(parameter));
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into_iter().map(|one| self.parameter(one)).collect());
        }
        item.into()
    }

    fn operation(&mut self, operation: &Operation, common: &BTreeSet<Key>) -> Value {
        let mut out = Map::from_iter([
            ("description".to_owned(), Value::from(operation.description.as_str())),
            ("operationId".to_owned(), operation.id.as_str().into()),
            ("tags".to_owned(), json!([operation.tag])),
            ("responses".to_owned(), self.responses(operation)),
        ]);
        let own = operation.parameters.iter().filter(|parameter| !common.contains(&key(parameter)));
        let mut parameters: Vec<(Key, Value)> = own.map(|one| (key(one), self.parameter(one))).collect();
        match (self.document, &operation.body) {
            (Document::V2, Some(sent)) => parameters.push((("body", Place::Query), self.body_parameter(sent))),
            (Document::V3, Some(sent)) => {
                out.insert("requestBody".into(), self.request_body(sent, operation.consumes));
            }
            (_, None) => {}
        }
        parameters.sort_by_key(|(key, _)| *key);
        if !parameters.is_empty() {
            out.insert("parameters".into(), parameters.into_iter().map(|(_, written)| written).collect());
        }
        if self.document == Document::V2 {
            if !operation.consumes.is_empty() {
                out.insert("consumes".into(), json!(operation.consumes));
            }
            out.insert("produces".into(), json!(operation.produces));
            out.insert("schemes".into(), json!(["https"]));
        }
        if let Some((action, kind)) = &operation.action {
            out.insert(ACTION.into(), (*action).into());
            let kind = json!({"group": &*kind.group, "version": &*kind.version, "kind": &*kind.kind});
            out.insert(KIND.into(), kind);
        }
        out.into()
    }

    fn responses(&mut self, operation: &Operation) -> Value {
        let schema = self.schema(&operation.answer);
        let mut responses = Map::new();
        for status in operation.statuses {
            let description = match status {
                201 => "Created",
                202 => "Accepted",
                _ => "OK",
            };
            let response = match self.document {
                Document::V2 => json!({"description": description, "schema": schema}),
                Document::V3 => json!({"description": description, "content": content(operation.produces, &schema)}),
            };
            responses.insert(status.to_string(), response);
        }
        responses.insert("401".into(), json!({"description": "Unauthorized"}));
        responses.into()
    }

    fn request_body(&mut self, sent: &Sent, consumes: &[&str]) -> Value {
        let schema = self.schema(&sent.model);
        match sent.need {
            Need::Required => json!({"content": content(consumes, &schema), "required": true}),
            Need::Optional => json!({"content": content(consumes, &schema)}),
        }
    }

    /// A body as OpenAPI 2 has it. Those of all kinds are shared, those of one are not.
    fn body_parameter(&mut self, sent: &Sent) -> Value {
        let mut body = json!({"name": "body", "in": "body", "schema": self.schema(&sent.model)});
        if sent.need == Need::Required {
            body["required"] = true.into();
        }
        match &sent.model {
            Model::Type(name) if name.starts_with("meta.") => self.share("body", body),
            _ => body,
        }
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let mut out = json!({
            "name": parameter.name,
            "in": match parameter.place { Place::Path => "path", Place::Query => "query" },
            "description": parameter.description,
        });
        if parameter.place == Place::Path {
            out["required"] = true.into();
        }
        match self.document {
            Document::V3 => out["schema"] = json!({"type": parameter.value, "uniqueItems": true}),
            Document::V2 => {
                out["type"] = parameter.value.into();
                out["uniqueItems"] = true.into();
                // Names tell the kind.
                if parameter.name != "name" && !UNSHARED.contains(&parameter.name) {
                    return self.shared(parameter, out);
                }
            }
        }
        out
    }

    /// The reference to a parameter, whose name is looked up rather than computed where it has been before.
    fn shared(&mut self, parameter: &Parameter, written: Value) -> Value {
        let key = (parameter.name.to_owned(), parameter.place, parameter.description.to_string());
        if let Some(name) = self.names.get(&key) {
            return refer(name);
        }
        let reference = self.share(parameter.name, written);
        if let Some(name) = reference["$ref"].as_str().and_then(|text| text.strip_prefix(PARAMETERS)) {
            self.names.insert(key, name.to_owned());
        }
        reference
    }

    /// Puts a parameter among those that are referred to, under a name that tells it from others of its name.
    fn share(&mut self, name: &str, parameter: Value) -> Value {
        let digest = Sha256::digest(parameter.to_string());
        let name = format!("{name}-{}", URL_SAFE.encode(&digest[..6]));
        let reference = refer(&name);
        self.parameters.insert(name, parameter);
        reference
    }

    fn schema(&mut self, model: &Model) -> Value {
        let name = match model {
            Model::Text => return json!({"type": "string"}),
            Model::Object => return json!({"type": "object"}),
            Model::Type(name) => openapi_name(name),
            Model::List(item, kind) => list_name(item, kind),
            Model::Custom(name) => name.clone(),
        };
        if !self.models.contains(model) {
            self.models.insert(model.clone());
        }
        json!({"$ref": reference(self.document, &name)})
    }
}

/// Where the parameters of a document are.
pub(in crate::http) const PARAMETERS: &str = "#/parameters/";

fn refer(name: &str) -> Value {
    json!({"$ref": format!("{PARAMETERS}{name}")})
}

/// The name of the definition of lists of a type.
pub(super) fn list_name(item: &str, list_kind: &str) -> String {
    let package = item.rsplit_once('.').map_or("", |(package, _)| package);
    openapi_name(&format!("{package}.{list_kind}"))
}

fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
}

fn key(parameter: &Parameter) -> Key {
    (parameter.name, parameter.place)
}

/// The parameters that all operations of a path take.
fn common(operations: &[Operation]) -> BTreeSet<Key> {
    let Some((first, others)) = operations.split_first() else { return BTreeSet::new() };
    let taken_by = |operation: &Operation, wanted: Key| operation.parameters.iter().any(|one| key(one) == wanted);
    let keys = first.parameters.iter().map(key);
    keys.filter(|wanted| others.iter().all(|other| taken_by(other, *wanted))).collect()
}
