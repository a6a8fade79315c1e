//! Which schemas are structural, and how the others are told off.

use atoll_api::FieldPath;
use serde_json::{Value, json};

use super::{FoundField, Notation, StatusPart, compile, field_path, unrecognized_formats, validate};
use crate::schema::{Additional, ListType, SchemaType};

fn faults(schema: &Value, status: StatusPart) -> Vec<String> {
    validate(schema, &FieldPath::new("spec.validation"), status).iter().map(ToString::to_string).collect()
}

/// Checks the faults of a schema; those below the schema are given without the path of it.
fn check(schema: Value, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!("spec.validation.openAPIV3Schema{text}")).collect();
    assert_eq!(faults(&schema, StatusPart::Field), expected, "{schema}");
}

/// Checks a schema with one property `p`.
fn check_property(property: Value, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!(".properties[p]{text}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(json!({"type": "object", "properties": {"p": property}}), &expected);
}

#[test]
fn ordinary_schemas_are_accepted() {
    for property in [
        json!({"type": "string", "enum": [], "format": "no-such-format"}),
        json!({"type": "integer", "multipleOf": 0}),
        json!({"x-kubernetes-int-or-string": true}),
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "x"}]}),
        json!({"x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "additionalProperties": true}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "anyOf": [{"properties": {"b": {"minLength": 1}}}, {"required": ["a"]}]}),
        json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
        json!({"type": "object", "x-kubernetes-map-type": "atomic"}),
    ] {
        check_property(property, &[]);
    }
    check(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}}}}),
        &[],
    );
}

#[test]
fn every_value_needs_a_type() {
    let fields = "must not be empty for specified object fields";
    check(json!({}), &[".type: Required value: must not be empty at the root"]);
    check(json!({"type": "string"}), &[".type: Invalid value: \"string\": must be object at the root"]);
    check_property(json!({}), &[&format!(".type: Required value: {fields}")]);
    check_property(json!({"properties": {"a": {"type": "string"}}}), &[&format!(".type: Required value: {fields}")]);
    check_property(
        json!({"type": "array", "items": {}}),
        &[".items.type: Required value: must not be empty for specified array items"],
    );
    check_property(
        json!({"type": "object", "additionalProperties": {}}),
        &[&format!(".additionalProperties.type: Required value: {fields}")],
    );
    check_property(json!({"type": "array"}), &[".items: Required value: must be specified"]);
    check_property(
        json!({"type": "text"}),
        &[
            ".type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ],
    );
    check_property(
        json!({"type": "null"}),
        &[
            ".type: Unsupported value: \"null\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            ".type: Forbidden: type cannot be set to null, use nullable as an alternative",
        ],
    );
}

#[test]
fn parts_of_openapi_that_definitions_may_not_use() {
    for (name, value) in [
        ("$ref", json!("#/definitions/x")),
        ("definitions", json!({"x": {"type": "string"}})),
        ("patternProperties", json!({"x": {"type": "string"}})),
        ("dependencies", json!({"x": ["y"]})),
        ("additionalItems", json!({"type": "string"})),
        ("id", json!("x")),
    ] {
        let mut property = json!({"type": "object"});
        property[name] = value;
        check_property(property, &[&format!(".{name}: Forbidden: {name} is not supported")]);
    }
    check_property(
        json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        &[".uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"],
    );
    check_property(
        json!({"type": "array", "items": [{"type": "string"}]}),
        &[".items: Forbidden: items must be a schema object and not an array"],
    );
    check_property(
        json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}}),
        &[".additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    check(
        json!({"type": "object", "nullable": true, "additionalProperties": {"type": "string"}}),
        &[
            ".nullable: Forbidden: nullable cannot be true at the root",
            ".additionalProperties: Forbidden: must not be used at the root",
        ],
    );
    check_property(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        &[".x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
    );
    check(
        json!({"type": "object", "$schema": "x"}),
        &[": Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"],
    );
}

#[test]
fn logical_operators_say_nothing_of_structure() {
    check_property(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "allOf": [{"properties": {"a": {"type": "string"}}}]}),
        &[".allOf[0].properties[a].type: Forbidden: must be empty to be structural"],
    );
    check_property(
        json!({"type": "object", "oneOf": [{"additionalProperties": {"minLength": 1}}]}),
        &[".oneOf[0].additionalProperties: Forbidden: must be undefined to be structural"],
    );
    check_property(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "not": {"properties": {"a": {"default": "x"}}}}),
        &[".not.properties[a].default: Forbidden: must be undefined to be structural"],
    );
    check_property(
        json!({"type": "object", "allOf": [{"description": "d", "title": "t", "nullable": true}]}),
        &[
            ".allOf[0].description: Forbidden: must be empty to be structural",
            ".allOf[0].nullable: Forbidden: must be false to be structural",
            ".allOf[0].title: Forbidden: must be empty to be structural",
        ],
    );
    // Kubernetes looks for what operators add at the root only.
    check_property(json!({"type": "object", "anyOf": [{"properties": {"b": {"minLength": 1}}}]}), &[]);
    check(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"a": {"items": {}}, "b": {"minLength": 1}}}]}),
        &[
            ".properties[a].items: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[a].items",
            ".properties[b]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[b]",
        ],
    );
    check_property(
        json!({"type": "object", "anyOf": [{"properties": {"metadata": {"required": ["x"]}}}], "properties": {"metadata": {"type": "object"}}}),
        &[".anyOf[0].properties[metadata]: Forbidden: must not be specified in a nested context"],
    );
}

#[test]
fn embedded_resources_and_metadata() {
    check_property(
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        &[
            ".properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ],
    );
    check_property(
        json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-embedded-resource": true}),
        &[
            ".properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            ".type: Invalid value: \"array\": must be object if x-kubernetes-embedded-resource is true",
        ],
    );
    let restricted = ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified";
    check(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        &[restricted],
    );
    check(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "required": ["labels"]}}}),
        &[restricted],
    );
    check(
        json!({"type": "object", "properties": {"apiVersion": {"type": "integer"}, "kind": {"type": "object"}, "metadata": {"type": "string"}}}),
        &[
            ".properties[apiVersion].type: Invalid value: \"integer\": must be string",
            ".properties[kind].type: Invalid value: \"object\": must be string",
            ".properties[metadata].type: Invalid value: \"string\": must be object",
        ],
    );
    check(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "default": "x"}}}}}),
        &[".properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata"],
    );
}

#[test]
fn int_or_string_goes_with_little_else() {
    check_property(
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        &[
            ".x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ],
    );
    check_property(
        json!({"type": "string", "anyOf": [{"type": "integer"}]}),
        &[".anyOf[0].type: Forbidden: must be empty to be structural"],
    );
}

#[test]
fn list_and_map_types() {
    let map = |keys: Value, items: Value| json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": items});
    check_property(
        map(json!(["k"]), json!({"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}})),
        &[],
    );
    check_property(
        map(json!(["k"]), json!({"type": "object", "properties": {"k": {"type": "string"}}})),
        &[
            ".items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ],
    );
    check_property(
        map(
            json!(["k"]),
            json!({"type": "object", "nullable": true, "properties": {"k": {"type": "object", "nullable": true, "default": {}}}}),
        ),
        &[
            ".items.properties[k].type: Invalid value: \"object\": must be a scalar type if parent array's x-kubernetes-list-type is map",
            ".items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is map",
            ".items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
        ],
    );
    check_property(
        map(json!(["a", "a"]), json!({"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}})),
        &[
            ".x-kubernetes-list-map-keys: Invalid value: [\"a\",\"a\"]: entries must all be names of item properties",
            ".x-kubernetes-list-map-keys: Invalid value: [\"a\",\"a\"]: entries must all be names of item properties",
            ".x-kubernetes-list-map-keys: Invalid value: [\"a\",\"a\"]: must not contain duplicate entries",
        ],
    );
    check_property(
        map(json!([]), json!({"type": "string"})),
        &[
            ".x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
            ".items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map",
        ],
    );
    check_property(
        json!({"type": "string", "x-kubernetes-list-type": "bag", "x-kubernetes-list-map-keys": ["k"]}),
        &[
            ".type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified",
            ".x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \"atomic\", \"set\", \"map\"",
            ".x-kubernetes-list-type: Invalid value: \"bag\": must be map if x-kubernetes-list-map-keys is non-empty",
        ],
    );
    check_property(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}),
        &[
            ".items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
        ],
    );
    check_property(
        json!({"type": "object", "x-kubernetes-map-type": "fluid"}),
        &[".x-kubernetes-map-type: Unsupported value: \"fluid\": supported values: \"atomic\", \"granular\""],
    );
    check_property(
        json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-map-type": "atomic"}),
        &[".type: Invalid value: \"array\": must be object if x-kubernetes-map-type is specified"],
    );
}

#[test]
fn patterns_are_compiled() {
    check_property(
        json!({"type": "string", "pattern": "("}),
        &[
            ".pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`",
        ],
    );
    let many: serde_json::Map<String, Value> =
        (0..2000).map(|n| (format!("p{n}"), json!({"type": "string", "pattern": format!("\\pL{{120}}{n}")}))).collect();
    assert!(!faults(&json!({"type": "object", "properties": many}), StatusPart::Field).is_empty());
}

#[test]
fn rules_are_well_formed() {
    let rules = |rules: Value| json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": rules});
    check_property(
        rules(json!([{"rule": "true", "message": "m", "reason": "FieldValueForbidden", "fieldPath": ".a"}])),
        &[],
    );
    check_property(
        rules(json!([
            {"rule": " ", "message": "m"},
            {"rule": "true", "message": "  "},
            {"rule": "true", "message": "a\nb", "messageExpression": " "},
            {"rule": "a\n&& b"},
            {"rule": "true", "reason": "Odd"},
            {"rule": "true", "fieldPath": ".b"},
        ])),
        &[
            ".x-kubernetes-validations[0].rule: Required value: rule is not specified",
            ".x-kubernetes-validations[1].message: Invalid value: \"  \": must be non-empty if specified",
            ".x-kubernetes-validations[2].message: Invalid value: \"a\\nb\": must not contain line breaks",
            ".x-kubernetes-validations[2].messageExpression: Required value: messageExpression must be non-empty if specified",
            ".x-kubernetes-validations[3].message: Required value: message must be specified if rule contains line breaks",
            ".x-kubernetes-validations[4].reason: Unsupported value: \"Odd\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
            ".x-kubernetes-validations[5].fieldPath: Invalid value: \".b\": must be a valid path",
        ],
    );
}

#[test]
fn the_root_says_little_if_the_status_is_a_subresource() {
    assert!(faults(&json!({"type": "object", "required": ["spec"]}), StatusPart::Subresource).is_empty());
    let errors = faults(&json!({"type": "object", "minProperties": 1}), StatusPart::Subresource);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("only [Description Type Format Title")
            && errors[0].ends_with("if the status subresource is enabled")
    );
}

#[test]
fn hostile_schemas_are_refused_without_much_work() {
    let mut deep = json!({"type": "string"});
    for _ in 0..1000 {
        deep = json!({"type": "object", "properties": {"p": deep}});
    }
    assert_eq!(faults(&deep, StatusPart::Field).len(), 1);
    assert!(compile(&deep).is_err());
    let long = "x".repeat(1 << 20);
    let many: serde_json::Map<String, Value> = (0..50_000).map(|n| (format!("p{n}"), json!({}))).collect();
    assert!(
        faults(
            &json!({"type": "object", "properties": {(long): {"type": "object", "properties": many}}}),
            StatusPart::Field
        )
        .len()
            < 10
    );
}

#[test]
fn schemas_are_read_faithfully() {
    let schema = compile(&json!({"type": "object", "properties": {
        "list": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["b", "a"]},
        "any": {"type": "object", "additionalProperties": true},
        "none": {"type": "object", "additionalProperties": false},
        "text": {"type": "string", "format": "quantity", "pattern": "^a$", "maxLength": 3, "nullable": true, "default": "a",
            "x-kubernetes-validations": [{"rule": "self == 'a'", "reason": "FieldValueInvalid", "optionalOldSelf": true}]},
    }}))
    .expect("a schema");
    let field = |name: &str| schema.field(name).expect("a property");
    assert_eq!(field("list").list_type, Some(ListType::Map(vec!["b".into(), "a".into()])));
    assert!(matches!(&field("any").additional, Additional::Values(values) if values.nullable && values.kind.is_none()));
    assert!(field("none").rules.as_ref().is_some_and(|rules| rules.no_additional));
    let text = field("text");
    assert_eq!((text.kind, text.nullable, &text.default), (Some(SchemaType::String), true, &Some("a".into())));
    // A custom type cannot ask for the formats of built-in types.
    assert_eq!(text.format, None);
    let rules = text.rules.as_ref().expect("rules");
    assert_eq!((rules.max_length, rules.pattern.as_ref().map(|p| p.as_str())), (Some(3), Some("^a$")));
    assert!(text.validations[0].rule == "self == 'a'" && text.validations[0].optional_old_self);
}

#[test]
fn field_paths_lead_through_properties_and_maps() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "n": {"type": "integer"}, "m": {"type": "object", "additionalProperties": {"type": "string"}}}}}});
    let check = |path: &str, expected: Result<(&str, Option<SchemaType>), &str>| {
        let found = field_path(&schema, path, Notation::DotsAndBrackets);
        let found = found.as_ref().map(|FoundField { path, kind, .. }| (path.as_str(), *kind)).map_err(String::as_str);
        assert_eq!(found, expected, "{path}");
    };
    check(".spec.n", Ok(("spec.n", Some(SchemaType::Integer))));
    check(".spec.m['a.b']", Ok(("spec.m[a.b]", Some(SchemaType::String))));
    check(".spec.m.a", Ok(("spec.m[a]", Some(SchemaType::String))));
    check("['spec']['n']", Ok(("spec.n", Some(SchemaType::Integer))));
    check(".spec.m['it\\'s']", Ok(("spec.m[it's]", Some(SchemaType::String))));
    check(".spec.x", Err("does not refer to a valid field"));
    check(".spec.n.x", Err("does not refer to a valid field"));
    check("spec", Err("expected [ or . but got: spec"));
    check(".spec.", Err("unexpected end of JSON path"));
    check(".spec[n]", Err("expected single quoted string but got n"));
    check(".spec['n'", Err("unexpected end of JSON path"));
    assert_eq!(
        field_path(&schema, ".spec['n']", Notation::Dots).map_err(|e| e.to_string()).err().as_deref(),
        Some("array notation is not allowed")
    );
}

#[test]
fn unrecognized_formats_are_listed_once() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string", "format": "odd"}, "b": {"type": "integer", "format": "odd"},
        "c": {"type": "integer", "format": "int32"}, "d": {"type": "string", "format": "date-time"}}});
    assert_eq!(unrecognized_formats(&schema), ["odd"]);
}

#[test]
fn defaults_are_valid_and_pruned() {
    check_property(
        json!({"type": "string", "default": 7}),
        &[".default: Invalid value: \"integer\":  in body must be of type string: \"integer\""],
    );
    check_property(
        json!({"type": "object", "properties": {"b": {"type": "string"}}, "default": {"c": "x"}}),
        &[".default: Invalid value: {\"c\":\"x\"}: must not have unknown fields"],
    );
    check_property(
        json!({"type": "string", "enum": ["x"], "default": "y"}),
        &[".default: Unsupported value: \"y\": supported values: \"x\""],
    );
    check_property(
        json!({"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}, "default": {}}),
        &[".default.b: Required value"],
    );
    check(
        json!({"type": "object", "default": {}, "properties": {"a": {"type": "string"}}}),
        &[".default.apiVersion: Required value", ".default.kind: Required value"],
    );
    check_property(json!({"type": "string", "default": null}), &[]);
    check_property(
        json!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer", "default": 1.5}}}}),
        &[
            ".items.properties[a].default: Invalid value: \"number\":  in body must be of type integer: \"number\"",
            ".items.properties[a].default: Invalid value: \"\": Checked value must be of type integer (default format) in ",
        ],
    );
}

#[test]
fn defaults_in_embedded_metadata_result_in_valid_metadata() {
    let embedded = |labels: Value| {
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
        "metadata": {"type": "object", "properties": {"labels": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "default": labels}}}}})
    };
    check_property(embedded(json!({"a": "b"})), &[]);
    check_property(
        embedded(json!({"a": 1})),
        &[
            ".properties[metadata].properties[labels].default: Invalid value: {\"a\":1}: must result in valid metadata: metadata: Invalid value: {\"labels\":{\"a\":1}}: json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string",
        ],
    );
    assert!(
        faults(&json!({"type": "object", "properties": {"p": embedded(json!({"bad key": "b"}))}}), StatusPart::Field)
            [0]
        .contains("must result in valid metadata: metadata.labels: Invalid value: \"bad key\"")
    );
    check_property(
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true, "default": {"kind": "A"}}),
        &[".default.apiVersion: Required value"],
    );
}
