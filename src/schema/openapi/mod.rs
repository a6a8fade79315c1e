//! OpenAPI definitions of custom kinds, from the schemas as their authors wrote them.
//!
//! Paths and whole documents are assembled by the HTTP floor.

mod publish;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use publish::publish;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const KIND: &str = "x-kubernetes-group-version-kind";

/// Which version of OpenAPI a document is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// Swagger 2.0, which says less.
    V2,
    /// OpenAPI 3.0.
    V3,
}

/// One version of a custom kind.
#[derive(Debug, Clone, Copy)]
pub struct CustomKind<'a> {
    /// The API group.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The kind of lists of it.
    pub list_kind: &'a str,
    /// The resource.
    pub plural: &'a str,
    /// The `openAPIV3Schema` of the version, if it has one.
    pub schema: Option<&'a Value>,
    /// The paths of selectable fields, as the definition gives them: `.spec.color`.
    pub selectable_fields: &'a [&'a str],
    /// What the fields of all objects are for.
    pub words: Words<'a>,
}

/// What the fields are for that every object has, for people.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    /// `apiVersion`.
    pub api_version: &'a str,
    /// `kind`.
    pub kind: &'a str,
    /// `metadata`.
    pub metadata: &'a str,
}

/// The name of a kind's definition: `com.example.stable.v1.CronTab`.
pub fn definition_name(group: &str, version: &str, kind: &str) -> String {
    let mut name = String::with_capacity(group.len() + version.len() + kind.len() + 2);
    for part in group.rsplit('.') {
        name.push_str(part);
        name.push('.');
    }
    name.push_str(version);
    name.push('.');
    name.push_str(kind);
    name
}

/// The reference to a definition.
pub fn reference(document: Document, name: &str) -> String {
    match document {
        Document::V2 => format!("#/definitions/{name}"),
        Document::V3 => format!("#/components/schemas/{name}"),
    }
}

/// The definitions of the kind and of its lists, by their names.
pub fn definitions(kind: &CustomKind<'_>, document: Document) -> Map<String, Value> {
    let named = |kind_name| definition_name(kind.group, kind.version, kind_name);
    Map::from_iter([
        (named(kind.kind), object_definition(kind, document)),
        (named(kind.list_kind), list_definition(kind, document)),
    ])
}

/// The definition of the kind.
pub fn object_definition(kind: &CustomKind<'_>, document: Document) -> Value {
    let preserves = |schema: &Value| schema["x-kubernetes-preserve-unknown-fields"] == true;
    let mut definition = match kind.schema {
        // kubectl takes what is not named for forbidden, so nothing is named where anything is allowed.
        None => Map::from_iter([("type".to_owned(), "object".into())]),
        Some(schema) if document == Document::V2 && preserves(schema) => {
            Map::from_iter([("type".to_owned(), "object".into())])
        }
        Some(schema) => {
            let mut definition = publish(schema, document, kind.words);
            set_object_fields(&mut definition, document, kind.words);
            definition
        }
    };
    finish(&mut definition, kind, kind.kind);
    Value::Object(definition)
}

/// The definition of lists of the kind.
pub fn list_definition(kind: &CustomKind<'_>, document: Document) -> Value {
    let item = definition_name(kind.group, kind.version, kind.kind);
    let items = json!({
        "type": "array",
        "description": format!("The {} in the list.", kind.plural),
        "items": {"$ref": reference(document, &item)},
    });
    let mut definition = Map::from_iter([
        ("type".to_owned(), "object".into()),
        ("description".to_owned(), format!("{} is a list of {}.", kind.list_kind, kind.kind).into()),
        ("required".to_owned(), json!(["items"])),
        (
            "properties".to_owned(),
            json!({
                "apiVersion": text(kind.words.api_version),
                "kind": text(kind.words.kind),
                "items": items,
                "metadata": metadata(document, LIST_META, "What is told of the list as a whole."),
            }),
        ),
    ]);
    finish(&mut definition, kind, kind.list_kind);
    Value::Object(definition)
}

fn finish(definition: &mut Map<String, Value>, kind: &CustomKind<'_>, kind_name: &str) {
    definition.insert(KIND.to_owned(), json!([{"group": kind.group, "version": kind.version, "kind": kind_name}]));
    if !kind.selectable_fields.is_empty() {
        let plain = |path: &&str| json!({"fieldPath": path.strip_prefix('.').unwrap_or(path)});
        let fields: Value = kind.selectable_fields.iter().map(plain).collect();
        definition.insert("x-kubernetes-selectable-fields".to_owned(), fields);
    }
}

/// Sets the three fields that every whole object has.
fn set_object_fields(definition: &mut Map<String, Value>, document: Document, words: Words<'_>) {
    let properties = definition.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(properties) = properties else { return };
    properties.insert("apiVersion".to_owned(), text(words.api_version));
    properties.insert("kind".to_owned(), text(words.kind));
    properties.insert("metadata".to_owned(), metadata(document, OBJECT_META, words.metadata));
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// A reference with a description. In OpenAPI 3.0 nothing may stand beside a reference, so it is wrapped.
fn metadata(document: Document, name: &str, description: &str) -> Value {
    let reference = reference(document, name);
    match document {
        Document::V2 => json!({"description": description, "$ref": reference}),
        Document::V3 => json!({"description": description, "allOf": [{"$ref": reference}]}),
    }
}
