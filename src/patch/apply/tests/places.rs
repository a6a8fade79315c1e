//! Paths, sets of them, and how they are written.

use super::*;
use crate::patch::apply::{fields, set::Set};

fn set(fields: Value) -> Set {
    fields::decode(&fields).expect("a set")
}

#[test]
fn sets_are_written_as_they_are_read() {
    let written = json!({
        "f:a": {}, "f:b": {".": {}, "f:c": {}, "f:d": {"v:1": {}, "v:true": {}}},
        "f:l": {"k:{\"name\":\"x\",\"port\":80}": {".": {}, "f:name": {}}, "i:3": {}},
    });
    assert_eq!(fields::encode(&set(written.clone())), written);
    assert_eq!(fields::encode(&Set::default()), json!({}));
}

#[test]
fn steps_that_are_written_differently_are_the_same() {
    assert_eq!(set(json!({"k:{\"b\":1,\"a\":2}": {}})), set(json!({"k:{ \"a\": 2, \"b\": 1.0 }": {}})));
    assert_eq!(set(json!({"f:a": {"x:unknown": {}}, "y:z": {}})), set(json!({"f:a": {}})));
    assert_eq!(fields::encode(&set(json!({"v:\"<\"": {}}))), json!({"v:\"\\u003c\"": {}}));
}

#[test]
fn sets_are_combined_path_by_path() {
    let one = set(json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}, "f:d": {"f:e": {}, "f:f": {}}}));
    let two = set(json!({"f:b": {}, "f:d": {"f:e": {}}, "f:g": {}}));
    let mut rest = one.clone();
    assert!(rest.remove(&two));
    assert_eq!(rest, set(json!({"f:a": {}, "f:b": {"f:c": {}}, "f:d": {"f:f": {}}})));
    assert!(!rest.remove(&two));
    assert_eq!(one.common(&two), set(json!({"f:b": {}, "f:d": {"f:e": {}}})));
    assert_eq!(two.common(&one), one.common(&two));
    let both = json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}, "f:d": {"f:e": {}, "f:f": {}}, "f:g": {}});
    assert_eq!(one.clone().union(two.clone()), set(both.clone()));
    assert_eq!(two.union(one), set(both));
}

#[test]
fn reset_paths_take_everything_below_along() {
    let mut fields =
        set(json!({"f:spec": {"f:a": {}}, "f:status": {".": {}, "f:x": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}));
    fields.prune(&["status"]);
    fields.prune(&["metadata", "labels"]);
    fields.prune(&["metadata", "none"]);
    assert_eq!(fields, set(json!({"f:spec": {"f:a": {}}})));
}

#[test]
fn paths_are_shown_as_kubernetes_shows_them() {
    let fields = set(json!({
        "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}, "f:tags": {"v:\"x\"": {}, "v:1.5": {}}, "f:z": {}},
        "f:top": {"i:2": {}},
    }));
    assert_eq!(
        fields.paths(1000),
        [".spec.z", ".spec.ports[port=80,protocol=\"TCP\"].name", ".spec.tags[=1.5]", ".spec.tags[=\"x\"]", ".top[2]"]
    );
}

#[test]
fn raw_values_of_built_in_kinds_are_owned_whole() {
    let fields = json!({"data": {"additional": true}, "limit": {"format": "quantity"}, "any": {"open": true}});
    let mut world = World::of(sample::kind(fields), json!({"apiVersion": "v1", "kind": "Widget"}));
    world.apply("one", json!({"data": {"a": {"b": 1}}, "limit": "1Gi", "any": {"a": 1}}));
    world.check_owners(&[("one Apply", json!({"f:data": {}, "f:limit": {}, "f:any": {"f:a": {}}}))]);
    let fault = "failed to create typed patch object (/a; /v1, Kind=Widget): .limit: expected any scalar, got &{map[]}";
    assert_eq!(world.try_apply("one", json!({"limit": {}}), Force::No), Err(Error::Failed(fault.to_owned())));
}

#[test]
fn embedded_objects_have_the_metadata_of_objects() {
    let schema = sample::schema(
        &json!({"type": "object", "properties": {"e": {"type": "object", "embedded": true, "open": true}}}),
    );
    let mut world = World::of(schema, json!({"apiVersion": "v1", "kind": "Widget"}));
    world.apply(
        "one",
        json!({"e": {"apiVersion": "v1", "metadata": {"labels": {"a": "b"}, "finalizers": ["f"]}, "spec": {"x": [1]}}}),
    );
    world.check_owners(&[(
        "one Apply",
        json!({"f:e": {"f:apiVersion": {}, "f:metadata": {"f:finalizers": {"v:\"f\"": {}}, "f:labels": {"f:a": {}}}, "f:spec": {".": {}, "f:x": {}}}}),
    )]);
}
