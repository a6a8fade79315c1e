//! Which old element a new one is compared with, and when a value counts as unchanged.

use serde_json::{Value, json};

use super::{OldElements, is_unchanged};
use crate::schema::Schema;
use crate::schema::structural::compile;

fn list_of_ports() -> Schema {
    compile(&json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}, "x": {"type": "string"}}}}))
    .expect("a schema")
}

#[test]
fn elements_are_found_by_all_their_keys() {
    let schema = list_of_ports();
    let old = json!([{"name": "a", "port": 1, "x": "first"}, {"name": "a", "port": 1, "x": "second"}, {"name": "a"}]);
    let elements = OldElements::of(&schema, &old).expect("a list with keys");
    assert_eq!(elements.find(&json!({"name": "a", "port": 1})).map(|e| e["x"].clone()), Some("first".into()));
    for missing in [json!({"name": "a"}), json!({"name": "a", "port": "1"}), json!({"name": {}, "port": 1}), json!("a")]
    {
        assert_eq!(elements.find(&missing), None, "{missing}");
    }
    assert!(OldElements::of(&Schema::default(), &old).is_none());
}

#[test]
fn order_counts_only_where_elements_have_no_keys() {
    let check = |schema: &Schema, new: Value, old: Value, expected: bool| {
        assert_eq!(is_unchanged(schema, &new, &old), expected, "{new} {old}");
    };
    let keyed = list_of_ports();
    let (a, b) = (json!({"name": "a", "port": 1}), json!({"name": "b", "port": 2, "x": "y"}));
    check(&keyed, json!([a, b]), json!([b, a]), true);
    check(&keyed, json!([a]), json!([b]), false);
    check(&keyed, json!([a, b]), json!([a]), false);
    let plain =
        compile(&json!({"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}}}}))
            .expect("a schema");
    check(&plain, json!({"l": ["a", "b"]}), json!({"l": ["b", "a"]}), false);
    check(&plain, json!({"l": ["a"], "other": {"x": 1}}), json!({"l": ["a"], "other": {"x": 1}}), true);
    check(&plain, json!({"l": ["a"]}), json!({"l": ["a"], "m": 1}), false);
    check(&plain, json!({"l": ["a"]}), json!({"m": ["a"]}), false);
}
