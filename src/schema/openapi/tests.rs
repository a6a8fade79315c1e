//! The definitions that custom kinds become.

use serde_json::{Value, json};

use super::{CustomKind, Document, Words, definition_name, definitions};

/// Publishes a schema; descriptions, and the fields of objects if they are as they should be, are left out.
fn published(schema: Value, document: Document) -> Value {
    let kind = CustomKind {
        group: "stable.example.com",
        version: "v1",
        kind: "CronTab",
        list_kind: "CronTabList",
        plural: "crontabs",
        schema: Some(&schema),
        selectable_fields: &[".spec.color"],
        words: Words::default(),
    };
    let mut all = definitions(&kind, document);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["com.example.stable.v1.CronTab", "com.example.stable.v1.CronTabList"]);
    let mut definition = all["com.example.stable.v1.CronTab"].take();
    let map = definition.as_object_mut().expect("an object");
    let kinds = map.remove("x-kubernetes-group-version-kind");
    assert_eq!(kinds, Some(json!([{"group": "stable.example.com", "version": "v1", "kind": "CronTab"}])));
    assert_eq!(map.remove("x-kubernetes-selectable-fields"), Some(json!([{"fieldPath": "spec.color"}])));
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        strip_object_fields(properties, document);
    }
    definition
}

fn strip_object_fields(properties: &mut serde_json::Map<String, Value>, document: Document) {
    let metadata = properties.remove("metadata").expect("metadata");
    let reference = match document {
        Document::V2 => &metadata["$ref"],
        Document::V3 => &metadata["allOf"][0]["$ref"],
    };
    let prefix = if document == Document::V2 { "#/definitions/" } else { "#/components/schemas/" };
    assert_eq!(*reference, format!("{prefix}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
    for name in ["apiVersion", "kind"] {
        let field = properties.remove(name).expect("a type");
        assert!(field["type"] == "string" && field["description"].is_string());
    }
}

fn check(schema: Value, v2: Value, v3: Value) {
    assert_eq!(published(schema.clone(), Document::V2), v2);
    assert_eq!(published(schema, Document::V3), v3);
}

#[test]
fn names_are_the_group_backwards() {
    assert_eq!(definition_name("stable.example.com", "v1", "CronTab"), "com.example.stable.v1.CronTab");
}

#[test]
fn descriptions_rules_and_defaults_are_published() {
    let spec = json!({"type": "object", "description": "what to do", "required": ["n"], "properties": {
        "n": {"type": "integer", "minimum": 0, "default": 0, "x-kubernetes-validations": [{"rule": "self > 0"}]}},
        "x-kubernetes-map-type": "atomic"});
    let mut reduced = spec.clone();
    reduced["properties"]["n"].as_object_mut().map(|n| n.remove("default"));
    check(
        json!({"type": "object", "properties": {"spec": spec}, "required": [], "nullable": false}),
        json!({"type": "object", "properties": {"spec": reduced}}),
        json!({"type": "object", "properties": {"spec": spec}}),
    );
}

#[test]
fn what_v2_cannot_say_is_left_out() {
    check(
        json!({"type": "object", "properties": {
            "any": {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}], "not": {"required": ["b"]}},
            "null": {"type": "object", "nullable": true, "properties": {"a": {"type": "string"}}},
            "holds": {"type": "object", "required": ["n", "m"], "properties": {"n": {"type": "string", "nullable": true}, "m": {"type": "string"}}},
            "only": {"type": "object", "required": ["n"], "properties": {"n": {"type": "array", "nullable": true, "items": {"type": "string"}}}},
            "keep": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
            "list": {"type": "array", "items": {"type": "string", "nullable": true}}}}),
        json!({"type": "object", "properties": {
            "any": {"type": "object", "properties": {"a": {"type": "string"}}},
            "null": {},
            "holds": {"type": "object", "required": ["m"], "properties": {"n": {}, "m": {"type": "string"}}},
            "only": {"type": "object", "properties": {"n": {}}},
            "keep": {"x-kubernetes-preserve-unknown-fields": true},
            "list": {"type": "array", "items": {}}}}),
        json!({"type": "object", "properties": {
            "any": {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}], "not": {"required": ["b"]}},
            "null": {"type": "object", "nullable": true, "properties": {"a": {"type": "string"}}},
            "holds": {"type": "object", "required": ["n", "m"], "properties": {"n": {"type": "string", "nullable": true}, "m": {"type": "string"}}},
            "only": {"type": "object", "required": ["n"], "properties": {"n": {"type": "array", "nullable": true, "items": {"type": "string"}}}},
            "keep": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
            "list": {"type": "array", "items": {"type": "string", "nullable": true}}}}),
    );
}

#[test]
fn integers_or_strings_are_unfolded() {
    let types = json!([{"type": "integer"}, {"type": "string"}]);
    let flag = "x-kubernetes-int-or-string";
    check(
        json!({"type": "object", "properties": {
            "a": {(flag): true}, "b": {(flag): true, "anyOf": types}, "c": {(flag): true, "allOf": [{"anyOf": types}, {"minimum": 1}]},
            "d": {(flag): true, "anyOf": [{"minimum": 1}]}}}),
        json!({"type": "object", "properties": {"a": {(flag): true}, "b": {(flag): true}, "c": {(flag): true}, "d": {(flag): true}}}),
        json!({"type": "object", "properties": {
            "a": {(flag): true, "anyOf": types}, "b": {(flag): true, "anyOf": types}, "c": {(flag): true, "allOf": [{"anyOf": types}, {"minimum": 1}]},
            "d": {(flag): true, "anyOf": [{"minimum": 1}], "allOf": [{"anyOf": types}]}}}),
    );
}

#[test]
fn embedded_objects_have_the_fields_of_objects() {
    let embedded =
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}});
    let preserving =
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"e": embedded, "p": preserving}});
    for document in [Document::V2, Document::V3] {
        let mut definition = published(schema.clone(), document);
        let e = &mut definition["properties"]["e"];
        assert_eq!(e["required"], json!(["kind", "apiVersion"]));
        let Value::Object(properties) = &mut e["properties"] else { panic!("properties") };
        strip_object_fields(properties, document);
        assert_eq!(properties.keys().collect::<Vec<_>>(), ["spec"]);
        assert_eq!(definition["properties"]["p"].get("properties").is_some(), document == Document::V3);
    }
}

#[test]
fn a_kind_that_takes_anything_says_nothing_in_v2() {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}});
    assert_eq!(published(schema.clone(), Document::V2), json!({"type": "object"}));
    let mut v3 = schema;
    v3["properties"] = json!({"a": {"type": "string"}});
    assert_eq!(published(v3.clone(), Document::V3), v3);
}

#[test]
fn lists_hold_references_to_the_kind() {
    let kind = CustomKind {
        group: "g.io",
        version: "v1",
        kind: "A",
        list_kind: "AList",
        plural: "as",
        schema: None,
        selectable_fields: &[],
        words: Words::default(),
    };
    let all = definitions(&kind, Document::V3);
    assert_eq!(
        all["io.g.v1.A"],
        json!({"type": "object", "x-kubernetes-group-version-kind": [{"group": "g.io", "version": "v1", "kind": "A"}]})
    );
    let list = &all["io.g.v1.AList"];
    assert_eq!(list["required"], json!(["items"]));
    assert_eq!(list["properties"]["items"]["items"], json!({"$ref": "#/components/schemas/io.g.v1.A"}));
    assert_eq!(list["x-kubernetes-group-version-kind"][0]["kind"], "AList");
    assert_eq!(
        list["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
    );
}
