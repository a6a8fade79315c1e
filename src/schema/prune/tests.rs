//! What pruning takes away, and what it leaves.

use serde_json::{Value, json};

use super::{Extent, drop_nulls, prune, prune_reporting};
use crate::schema::structural::compile;

fn check(schema: Value, extent: Extent, input: Value, expected: Value, dropped: &[&str]) {
    let schema = compile(&schema).expect("a schema");
    let mut silent = input.clone();
    prune(&schema, &mut silent, extent);
    assert_eq!(silent, expected);
    let mut reported = input;
    assert_eq!(prune_reporting(&schema, &mut reported, extent), dropped);
    assert_eq!(reported, expected);
}

#[test]
fn unknown_fields_are_dropped_at_every_depth() {
    check(
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "l": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
            "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"v": {"type": "string"}}}}}}}}),
        Extent::Object,
        json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "x": 1}, "top": 1, "status": {"x": 1},
            "spec": {"a": "x", "b": "y", "l": [{"k": "v", "z": 1}], "m": {"one": {"v": "x", "w": "y"}}}}),
        json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "x": 1},
            "spec": {"a": "x", "l": [{"k": "v"}], "m": {"one": {"v": "x"}}}}),
        &["spec.b", "spec.l[0].z", "spec.m.one.w", "status", "top"],
    );
}

#[test]
fn preserved_fields_stay_but_specified_ones_below_are_pruned_again() {
    check(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "strict": {"type": "object", "properties": {"a": {"type": "string"}}}}}),
        Extent::Part,
        json!({"x": {"y": [1, {"z": 2}]}, "strict": {"a": "1", "b": 2}}),
        json!({"x": {"y": [1, {"z": 2}]}, "strict": {"a": "1"}}),
        &["strict.b"],
    );
    check(
        json!({"type": "object", "properties": {"l": {"x-kubernetes-preserve-unknown-fields": true}}}),
        Extent::Part,
        json!({"l": [{"a": {"b": 1}}], "m": 1}),
        json!({"l": [{"a": {"b": 1}}]}),
        &["m"],
    );
}

#[test]
fn below_values_of_any_type_objects_are_pruned_empty() {
    check(
        json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": true}}}),
        Extent::Part,
        json!({"m": {"a": 1, "b": {"c": 2}, "d": [{"e": 3}]}}),
        json!({"m": {"a": 1, "b": {}, "d": [{}]}}),
        &["m.b.c", "m.d[0].e"],
    );
}

#[test]
fn embedded_resources_keep_the_fields_of_objects() {
    let schema = json!({"type": "object", "properties": {"e": {"type": "object", "x-kubernetes-embedded-resource": true,
        "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}}});
    check(
        schema,
        Extent::Object,
        json!({"e": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "bogus": 1}, "spec": {"a": "x", "b": "y"}, "extra": 1}}),
        json!({"e": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "bogus": 1}, "spec": {"a": "x"}}}),
        &["e.extra", "e.spec.b"],
    );
}

#[test]
fn fields_of_values_that_are_no_objects_are_unknown() {
    check(
        json!({"type": "object", "properties": {"p": {"x-kubernetes-int-or-string": true}}}),
        Extent::Part,
        json!({"p": {"x": 1}}),
        json!({"p": {}}),
        &["p.x"],
    );
}

#[test]
fn what_is_reported_is_bounded() {
    let schema = compile(
        &json!({"type": "object", "properties": {"x": {"type": "object", "additionalProperties": {"type": "object"}}}}),
    )
    .expect("a schema");
    let many: serde_json::Map<String, Value> = (0..10_000).map(|n| (n.to_string(), json!(1))).collect();
    let mut value = json!({"x": {("k".repeat(10_000)): many}});
    assert!(prune_reporting(&schema, &mut value, Extent::Part).len() < 10);
}

#[test]
fn nulls_without_meaning_are_dropped() {
    let schema = compile(&json!({"type": "object", "properties": {
        "n": {"type": "string", "nullable": true}, "nd": {"type": "string", "nullable": true, "default": "x"},
        "d": {"type": "string", "default": "y"}, "p": {"type": "string"},
        "any": {"x-kubernetes-preserve-unknown-fields": true}, "m": {"type": "object", "additionalProperties": true},
        "l": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string"}}}}}}))
    .expect("a schema");
    let mut value =
        json!({"n": null, "nd": null, "d": null, "p": null, "any": null, "m": {"a": null}, "l": [null, {"p": null}]});
    drop_nulls(&schema, &mut value);
    assert_eq!(value, json!({"n": null, "nd": null, "d": null, "m": {"a": null}, "l": [null, {}]}));
}
