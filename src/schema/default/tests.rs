//! What defaults fill in, and where they stop.

use serde_json::{Value, json};

use super::{TooLarge, fill};
use crate::schema::prune::drop_nulls;
use crate::schema::structural::compile;

fn check(schema: Value, input: Value, expected: Value) {
    let schema = compile(&schema).expect("a schema");
    let mut value = input;
    assert_eq!(fill(&schema, &mut value), Ok(()));
    assert_eq!(value, expected);
    assert_eq!(fill(&schema, &mut value), Ok(()));
    assert_eq!(value, expected, "filling in again changes nothing");
}

#[test]
fn defaults_apply_inside_lists_and_maps_and_defaults() {
    let element =
        json!({"type": "object", "properties": {"k": {"type": "string", "default": "v"}, "n": {"type": "integer"}}});
    check(
        json!({"type": "object", "properties": {
            "a": {"type": "array", "items": element},
            "d": {"type": "array", "default": [{"n": 1}, {}], "items": element},
            "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"k": {"type": "string", "default": "w"}}}}}}),
        json!({"a": [{}, {"k": "x"}, {"n": 2}], "m": {"one": {}, "two": {"k": "z"}}}),
        json!({"a": [{"k": "v"}, {"k": "x"}, {"k": "v", "n": 2}], "d": [{"k": "v", "n": 1}, {"k": "v"}],
            "m": {"one": {"k": "w"}, "two": {"k": "z"}}}),
    );
}

#[test]
fn defaults_do_not_make_the_objects_around_them() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}}});
    check(schema.clone(), json!({}), json!({}));
    check(schema.clone(), json!({"spec": {}}), json!({"spec": {"a": 1}}));
    check(schema, json!({"spec": "text"}), json!({"spec": "text"}));
}

#[test]
fn nulls_take_a_default_unless_they_are_values() {
    let schema = json!({"type": "object", "properties": {
        "n": {"type": "string", "nullable": true}, "nd": {"type": "string", "nullable": true, "default": "x"},
        "d": {"type": "string", "default": "y"}, "p": {"type": "string"},
        "l": {"type": "array", "items": {"type": "string", "nullable": true}},
        "e": {"type": "array", "items": {"type": "string", "default": "z"}},
        "m": {"type": "object", "additionalProperties": {"type": "string", "default": "z"}}}});
    check(
        schema.clone(),
        json!({"n": null, "nd": null, "d": null, "l": [null, "x"], "e": [null], "m": {"k": null}}),
        json!({"n": null, "nd": null, "d": "y", "l": [null, "x"], "e": ["z"], "m": {"k": "z"}}),
    );
    let compiled = compile(&schema).expect("a schema");
    let mut value = json!({"p": null});
    drop_nulls(&compiled, &mut value);
    assert_eq!(fill(&compiled, &mut value), Ok(()));
    assert_eq!(value, json!({"d": "y", "nd": "x"}));
}

#[test]
fn defaults_do_not_turn_a_small_object_into_a_huge_one() {
    let schema = compile(&json!({"type": "array", "items": {"type": "object", "properties": {
        "x": {"type": "string", "default": "x".repeat(100_000)}}}}))
    .expect("a schema");
    let mut value = Value::Array(vec![json!({}); 100_000]);
    assert_eq!(fill(&schema, &mut value), Err(TooLarge));
}
