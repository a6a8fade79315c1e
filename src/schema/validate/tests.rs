//! Values and the faults validation finds in them.

use atoll_api::FieldPath;
use serde_json::{Map, Value, json};

use super::{create, unchecked_rules, update};
use crate::schema::Schema;
use crate::schema::structural::compile;

fn schema(spec: Value) -> Schema {
    compile(&json!({"type": "object", "properties": {"spec": spec}})).expect("a schema")
}

/// Checks the faults of an object whose `spec` has the given schema and value.
fn check(spec: Value, value: Value, expected: &[&str]) {
    let errors = create(&schema(spec), &json!({"spec": value}), &FieldPath::root());
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{value}");
}

/// Checks one field `p` of the spec.
fn check_field(field: Value, value: Value, expected: &[&str]) {
    check(json!({"type": "object", "properties": {"p": field}}), json!({"p": value}), expected);
}

#[test]
fn types_are_checked() {
    check_field(
        json!({"type": "integer"}),
        json!("x"),
        &["spec.p: Invalid value: \"string\": spec.p in body must be of type integer: \"string\""],
    );
    check_field(
        json!({"type": "string"}),
        json!(1),
        &["spec.p: Invalid value: \"integer\": spec.p in body must be of type string: \"integer\""],
    );
    check_field(
        json!({"type": "boolean"}),
        json!([]),
        &["spec.p: Invalid value: \"array\": spec.p in body must be of type boolean: \"array\""],
    );
    check_field(
        json!({"type": "object"}),
        json!(null),
        &["spec.p: Invalid value: \"null\": spec.p in body must be of type object: \"null\""],
    );
    check_field(json!({"type": "object", "nullable": true}), json!(null), &[]);
    check_field(json!({"type": "number"}), json!(1), &[]);
    check_field(json!({"type": "integer"}), json!(1.0), &[]);
    check_field(
        json!({"type": "integer"}),
        json!(1.5),
        &[
            "spec.p: Invalid value: \"number\": spec.p in body must be of type integer: \"number\"",
            "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.p",
        ],
    );
    check_field(json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, {"x": null}]), &[]);
}

#[test]
fn int_or_string_takes_nothing_else() {
    let field = json!({"x-kubernetes-int-or-string": true});
    check_field(field.clone(), json!(80), &[]);
    check_field(field.clone(), json!("80%"), &[]);
    for (value, found) in
        [(json!(true), "boolean"), (json!({}), "object"), (json!(1.5), "number"), (json!(null), "null")]
    {
        let fault =
            format!("spec.p: Invalid value: \"{found}\": spec.p in body must be of type integer,string: \"{found}\"");
        check_field(field.clone(), value, &[&fault]);
    }
}

#[test]
fn numbers_have_bounds() {
    let bounded = json!({"type": "integer", "minimum": 1, "maximum": 10});
    check_field(
        bounded.clone(),
        json!(0),
        &["spec.p: Invalid value: 0: spec.p in body should be greater than or equal to 1"],
    );
    check_field(
        bounded.clone(),
        json!(11),
        &["spec.p: Invalid value: 11: spec.p in body should be less than or equal to 10"],
    );
    check_field(bounded, json!(10), &[]);
    let open =
        json!({"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 1, "exclusiveMaximum": true});
    check_field(open.clone(), json!(0), &["spec.p: Invalid value: 0: spec.p in body should be greater than 0"]);
    check_field(open.clone(), json!(1), &["spec.p: Invalid value: 1: spec.p in body should be less than 1"]);
    check_field(open.clone(), json!(1.5), &["spec.p: Invalid value: 1.5: spec.p in body should be less than 1"]);
    check_field(open, json!(0.5), &[]);
    check_field(
        json!({"type": "integer", "multipleOf": 5}),
        json!(7),
        &["spec.p: Invalid value: 7: spec.p in body should be a multiple of 5"],
    );
    check_field(json!({"type": "integer", "multipleOf": 5}), json!(-10), &[]);
    check_field(json!({"type": "number", "multipleOf": 0.1}), json!(0.3), &[]);
    check_field(
        json!({"type": "number", "multipleOf": 0.1}),
        json!(0.35),
        &["spec.p: Invalid value: 0.35: spec.p in body should be a multiple of 0.1"],
    );
    check_field(
        json!({"type": "integer", "multipleOf": 0}),
        json!(1),
        &["spec.p: Invalid value: 0: factor MultipleOf declared for spec.p must be positive: 0"],
    );
    check_field(
        json!({"type": "integer", "multipleOf": -1}),
        json!(i64::MIN),
        &["spec.p: Invalid value: -1: factor MultipleOf declared for spec.p must be positive: -1"],
    );
}

#[test]
fn numbers_fit_their_formats() {
    check_field(
        json!({"type": "integer", "format": "int32"}),
        json!(3_000_000_000_i64),
        &["<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.p"],
    );
    check_field(json!({"type": "integer", "format": "int64"}), json!(3_000_000_000_i64), &[]);
    check_field(
        json!({"type": "integer"}),
        json!(u64::MAX),
        &[
            "spec.p: Invalid value: \"number\": spec.p in body must be of type integer: \"number\"",
            "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.p",
        ],
    );
    check_field(
        json!({"type": "number", "format": "float"}),
        json!(1e39),
        &["<nil>: Invalid value: \"\": Checked value must be of type number with format float in spec.p"],
    );
    check_field(
        json!({"type": "integer", "maximum": 1.5}),
        json!(1),
        &["<nil>: Invalid value: \"\": Maximum boundary value must be of type integer (default format) in spec.p"],
    );
}

#[test]
fn texts_have_lengths_patterns_and_formats() {
    check_field(
        json!({"type": "string", "maxLength": 1}),
        json!("yy"),
        &["spec.p: Too long: may not be more than 1 byte"],
    );
    check_field(
        json!({"type": "string", "maxLength": 3}),
        json!("éééé"),
        &["spec.p: Too long: may not be more than 3 bytes"],
    );
    check_field(json!({"type": "string", "maxLength": 4, "minLength": 4}), json!("éééé"), &[]);
    check_field(
        json!({"type": "string", "minLength": 2}),
        json!("\""),
        &["spec.p: Invalid value: \"\\\"\": spec.p in body should be at least 2 chars long"],
    );
    check_field(
        json!({"type": "string", "pattern": "^a+$"}),
        json!("b"),
        &["spec.p: Invalid value: \"b\": spec.p in body should match '^a+$'"],
    );
    check_field(
        json!({"type": "string", "format": "uuid"}),
        json!("x"),
        &["spec.p: Invalid value: \"x\": spec.p in body must be of type uuid: \"x\""],
    );
    check_field(
        json!({"type": "string", "format": "date"}),
        json!(1),
        &["spec.p: Invalid value: \"int64\": spec.p in body must be of type date: \"int64\""],
    );
    check_field(json!({"type": "string", "format": "odd"}), json!("x"), &[]);
    check_field(
        json!({"type": "string", "enum": ["a", "b"]}),
        json!("c"),
        &["spec.p: Unsupported value: \"c\": supported values: \"a\", \"b\""],
    );
    check_field(
        json!({"x-kubernetes-int-or-string": true, "enum": [1, "b"]}),
        json!(2),
        &["spec.p: Unsupported value: 2: supported values: \"1\", \"b\""],
    );
    check_field(
        json!({"type": "string", "nullable": true, "enum": ["a", null]}),
        json!(null),
        &["spec.p: Unsupported value: null: supported values: \"a\", \"null\""],
    );
    check_field(json!({"type": "number", "enum": [1]}), json!(1.0), &[]);
}

#[test]
fn lists_and_maps_have_sizes() {
    let list = json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}});
    check_field(list.clone(), json!([]), &["spec.p: Invalid value: 0: spec.p in body should have at least 1 items"]);
    check_field(
        list,
        json!(["a", 1, "b"]),
        &[
            "spec.p[1]: Invalid value: \"integer\": spec.p[1] in body must be of type string: \"integer\"",
            "spec.p: Too many: 3: must have at most 2 items",
        ],
    );
    let map =
        json!({"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "integer"}});
    check_field(
        map.clone(),
        json!({}),
        &["spec.p: Invalid value: 0: spec.p in body should have at least 1 properties"],
    );
    check_field(map.clone(), json!({"a": 1, "b": 2}), &["spec.p: Too many: 2: must have at most 1 item"]);
    check_field(
        map,
        json!({"odd.key/x": "z"}),
        &["spec.p.odd.key/x: Invalid value: \"string\": spec.p.odd.key/x in body must be of type integer: \"string\""],
    );
    check_field(
        json!({"type": "object", "additionalProperties": false}),
        json!({"a": 1}),
        &["spec.p: Invalid value: \"a\": spec.p.a in body is a forbidden property"],
    );
}

#[test]
fn all_faults_are_told_together() {
    let spec = json!({"type": "object", "required": ["z"], "properties": {
        "a": {"type": "integer"}, "b": {"type": "string", "maxLength": 1},
        "c": {"type": "array", "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
        "z": {"type": "string"}}});
    check(
        spec,
        json!({"a": "x", "b": "yy", "c": [{"k": 1}, {}, {"k": "ok"}]}),
        &[
            "spec.a: Invalid value: \"string\": spec.a in body must be of type integer: \"string\"",
            "spec.b: Too long: may not be more than 1 byte",
            "spec.c[0].k: Invalid value: \"integer\": spec.c[0].k in body must be of type string: \"integer\"",
            "spec.c[1].k: Required value",
            "spec.z: Required value",
        ],
    );
}

#[test]
fn operators_combine_schemas() {
    let fields = json!({"a": {"type": "string"}, "b": {"type": "string"}});
    let one = json!({"type": "object", "properties": fields, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    check(
        one.clone(),
        json!({}),
        &[
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
            "spec.a: Required value",
        ],
    );
    check(
        one.clone(),
        json!({"a": "x", "b": "y"}),
        &[
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
    check(one, json!({"b": "y"}), &[]);
    let any = json!({"type": "object", "properties": fields, "anyOf": [{"required": ["a"]}, {"required": ["b"], "properties": {"b": {"minLength": 2}}}]});
    check(
        any.clone(),
        json!({"b": "y"}),
        &[
            "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)",
            "spec.b: Invalid value: \"y\": spec.b in body should be at least 2 chars long",
        ],
    );
    check(any, json!({"a": "", "b": "y"}), &[]);
    let all = json!({"type": "object", "properties": fields, "allOf": [{"required": ["a"]}, {"required": ["b"]}]});
    check(
        all.clone(),
        json!({}),
        &[
            "spec.a: Required value",
            "spec.b: Required value",
            "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf). None validated",
        ],
    );
    check(
        all,
        json!({"a": "x"}),
        &["spec.b: Required value", "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf)"],
    );
    let not = json!({"type": "object", "properties": fields, "not": {"properties": {"a": {"enum": ["bad"]}}, "required": ["a"]}});
    check(
        not.clone(),
        json!({"a": "bad"}),
        &["<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)"],
    );
    check(not, json!({"a": "good"}), &[]);
}

#[test]
fn a_fault_is_told_once() {
    check(
        json!({"type": "object", "required": ["a"], "allOf": [{"required": ["a"]}, {"required": ["a"]}]}),
        json!({}),
        &[
            "spec.a: Required value",
            "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf). None validated",
        ],
    );
}

#[test]
fn a_path_leads_to_the_value_but_does_not_show_in_sentences() {
    let schema = compile(&json!({"type": "object", "required": ["a"], "properties": {"b": {"type": "string"}}}))
        .expect("a schema");
    let errors = |value: Value| create(&schema, &value, &FieldPath::new("status"));
    assert_eq!(errors(json!({}))[0].to_string(), "status.a: Required value");
    assert_eq!(
        errors(json!({"a": 1, "b": 1}))[0].to_string(),
        "status.b: Invalid value: \"integer\": b in body must be of type string: \"integer\""
    );
    assert_eq!(
        errors(json!(7))[0].to_string(),
        "status: Invalid value: \"integer\":  in body must be of type object: \"integer\""
    );
}

fn check_update(spec: Value, old: Value, new: Value, expected: &[&str]) {
    let errors = update(&schema(spec), &json!({"spec": new}), &json!({"spec": old}), &FieldPath::root());
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{old} {new}");
}

#[test]
fn what_did_not_change_does_not_fail_again() {
    let spec = json!({"type": "object", "required": ["r"], "properties": {
        "a": {"type": "string", "maxLength": 3}, "b": {"type": "string"}, "r": {"type": "string"},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
        "plain": {"type": "array", "items": {"type": "string", "maxLength": 1}}}});
    let too_long = "Too long: may not be more than";
    let old = json!({"r": "", "a": "long value", "b": "x"});
    check_update(spec.clone(), old.clone(), json!({"r": "", "a": "long value", "b": "y"}), &[]);
    check_update(
        spec.clone(),
        old.clone(),
        json!({"r": "", "a": "longer value"}),
        &[&format!("spec.a: {too_long} 3 bytes")],
    );
    check_update(
        spec.clone(),
        json!({"r": ""}),
        json!({"r": "", "a": "long value"}),
        &[&format!("spec.a: {too_long} 3 bytes")],
    );
    check_update(spec.clone(), json!({"a": "long"}), json!({"a": "long"}), &[]);
    check_update(spec.clone(), json!({"b": "x"}), json!({"b": "y"}), &["spec.r: Required value"]);
    check_update(
        spec.clone(),
        json!({"r": "", "keyed": [{"k": "1", "v": "long"}, {"k": "2", "v": "long"}]}),
        json!({"r": "", "keyed": [{"k": "2", "v": "long"}, {"k": "1", "v": "longer"}, {"k": "3", "v": "long"}]}),
        &[&format!("spec.keyed[1].v: {too_long} 1 byte"), &format!("spec.keyed[2].v: {too_long} 1 byte")],
    );
    check_update(spec.clone(), json!({"r": "", "plain": ["long"]}), json!({"r": "", "plain": ["long"]}), &[]);
    check_update(
        spec,
        json!({"r": "", "plain": ["long"]}),
        json!({"r": "", "plain": ["long", "x"]}),
        &[&format!("spec.plain[0]: {too_long} 1 byte")],
    );
}

#[test]
fn rules_stay_unchecked_when_types_are_wrong() {
    let spec = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}});
    let errors = |value: Value| create(&schema(spec.clone()), &json!({"spec": value}), &FieldPath::root());
    assert!(unchecked_rules(&errors(json!({"a": "x"}))).is_some_and(|error| {
        error.to_string().starts_with("<nil>: Invalid value: null: some validation rules were not checked")
    }));
    assert_eq!(unchecked_rules(&errors(json!({"a": 1}))), None);
}

#[test]
fn hostile_values_are_refused_without_much_work() {
    let many: Vec<Value> = (0..200_000).map(Value::from).collect();
    let branches: Vec<Value> = (0..1000).map(|n| json!({"items": {"enum": [n]}})).collect();
    let schema =
        schema(json!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}, "anyOf": branches}));
    let errors = create(&schema, &json!({"spec": many}), &FieldPath::root());
    assert_eq!(
        errors[0].to_string(),
        "<nil>: Invalid value: \"\": checking the object against its schema takes too much work"
    );
    let faulty: Map<String, Value> = (0..50_000).map(|n| (n.to_string(), json!(1))).collect();
    let deep = json!({("k".repeat(1 << 20)): faulty});
    let schema = compile(&json!({"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}}})).expect("a schema");
    assert!((1..10).contains(&create(&schema, &deep, &FieldPath::root()).len()));
}
