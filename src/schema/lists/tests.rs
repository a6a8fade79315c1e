//! Keys of map lists and sets: what counts as the same element.

use atoll_api::FieldPath;
use serde_json::{Value, json};

use super::{check, check_update};
use crate::schema::Schema;
use crate::schema::structural::compile;

fn schema() -> Schema {
    let map = |keys: Value| {
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}}}})
    };
    let set = |items: Value| json!({"type": "array", "x-kubernetes-list-type": "set", "items": items});
    compile(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "t": set(json!({"type": "string"})), "i": set(json!({"type": "integer"})),
        "o": set(json!({"type": "object", "x-kubernetes-map-type": "atomic"})),
        "one": map(json!(["k"])), "two": map(json!(["k", "n"])),
        "m": {"type": "object", "additionalProperties": set(json!({"type": "string"}))}}}}}))
    .expect("a schema")
}

fn check_spec(spec: Value, expected: &[&str]) {
    let errors = check(&schema(), &json!({"spec": spec}), &FieldPath::root());
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{spec}");
}

#[test]
fn sets_take_no_value_twice() {
    check_spec(json!({"t": ["x", "y", "x"]}), &["spec.t[2]: Duplicate value: \"x\""]);
    check_spec(json!({"i": [1, 1, 1]}), &["spec.i[1]: Duplicate value: 1"]);
    check_spec(json!({"o": [{"k": "x"}, {"k": "x"}]}), &["spec.o[1]: Duplicate value: {\"k\":\"x\"}"]);
    check_spec(json!({"m": {"a.b": ["x", "x"]}}), &["spec.m[a.b][1]: Duplicate value: \"x\""]);
    check_spec(json!({"t": ["x", "1"], "i": [1, 2], "o": [{"k": "x"}, {}]}), &[]);
}

#[test]
fn keys_of_elements_are_there_once() {
    check_spec(
        json!({"one": [{"k": "a"}, {"k": "b"}, {"k": "a", "n": 1}]}),
        &["spec.one[2]: Duplicate value: {\"k\":\"a\"}"],
    );
    check_spec(json!({"one": [{}, {"n": 1}]}), &["spec.one[1]: Duplicate value: {}"]);
    check_spec(
        json!({"two": [{"k": "a", "n": 1}, {"k": "a", "n": 2}, {"k": "a", "n": 1}]}),
        &["spec.two[2]: Duplicate value: {\"k\":\"a\",\"n\":1}"],
    );
    check_spec(
        json!({"one": [{"k": "a"}, "x"]}),
        &["spec.one[1]: Invalid value: \"x\": must be an object for an array of list-type map"],
    );
}

#[test]
fn duplicates_that_were_there_before_are_left_alone() {
    let (bad, worse, good) =
        (json!({"spec": {"t": ["x", "x"]}}), json!({"spec": {"t": ["y", "y"]}}), json!({"spec": {"t": []}}));
    assert!(check_update(&schema(), &worse, &bad, &FieldPath::root()).is_empty());
    assert_eq!(check_update(&schema(), &worse, &good, &FieldPath::root()).len(), 1);
}
