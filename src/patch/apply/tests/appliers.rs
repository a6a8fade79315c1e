//! Applying: ownership is what was sent, and what is no longer sent goes away unless someone else has it.

use super::*;

#[test]
fn an_applier_owns_what_it_sent() {
    let mut world = World::widgets();
    world.apply(
        "one",
        json!({
            "metadata": {"labels": {"l": "1"}, "finalizers": ["example.com/f"]},
            "spec": {
                "size": 1, "tags": ["x", "y"], "ports": [{"name": "p", "port": 1}], "args": ["a", "b"],
                "labels": {"k": "v"}, "atom": {"k": "v"}, "blob": {"deep": {"x": 1, "list": [1, {"y": 2}]}},
            },
        }),
    );
    world.check_owners(&[(
        "one Apply",
        json!({
            "f:metadata": {"f:labels": {"f:l": {}}, "f:finalizers": {"v:\"example.com/f\"": {}}},
            "f:spec": {
                "f:args": {}, "f:atom": {}, "f:size": {}, "f:labels": {"f:k": {}},
                "f:blob": {"f:deep": {".": {}, "f:list": {}, "f:x": {}}},
                "f:ports": {"k:{\"name\":\"p\"}": {".": {}, "f:name": {}, "f:port": {}}},
                "f:tags": {"v:\"x\"": {}, "v:\"y\"": {}},
            },
        }),
    )]);
}

#[test]
fn what_is_no_longer_applied_is_removed() {
    let mut world = World::widgets();
    world.apply(
        "one",
        json!({"spec": {"size": 1, "tags": ["x", "y"], "ports": [{"name": "p"}, {"name": "q", "port": 1}]}}),
    );
    world.apply("one", json!({"spec": {"tags": ["y"], "ports": [{"name": "q"}]}}));
    world.check_spec(json!({"tags": ["y"], "ports": [{"name": "q"}]}));
    world.apply("one", json!({}));
    world.check_owners(&[]);
    assert_eq!(
        world.object,
        Some(json!({"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "a", "uid": "1"}}))
    );
}

#[test]
fn what_another_applier_has_too_stays() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"size": 1, "color": "blue"}})).apply("two", json!({"spec": {"color": "blue"}}));
    let color = json!({"f:spec": {"f:color": {}}});
    world
        .check_owners(&[("two Apply", color.clone()), ("one Apply", json!({"f:spec": {"f:color": {}, "f:size": {}}}))]);
    world.apply("one", json!({"spec": {"size": 1}}));
    world.check_spec(json!({"size": 1, "color": "blue"}));
    world.check_owners(&[("two Apply", color), ("one Apply", json!({"f:spec": {"f:size": {}}}))]);
    world.apply("two", json!({}));
    world.check_spec(json!({"size": 1}));
}

#[test]
fn what_an_updater_added_to_a_map_stays_and_to_an_element_goes() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"ports": [{"name": "p", "port": 1}, {"name": "q"}], "labels": {"k": "v"}}}));
    let ports = json!([{"name": "p", "port": 1, "protocol": "UDP"}, {"name": "q"}]);
    world.patch("up", json!({"spec": {"ports": ports, "labels": {"l": "w"}}}));
    world.apply("one", json!({"spec": {}}));
    // The element was the applier's, and without it the protocol is nothing.
    world.check_spec(json!({"ports": [], "labels": {"l": "w"}}));
    world.check_owners(&[
        ("one Apply", json!({"f:spec": {}})),
        ("up Update", json!({"f:spec": {"f:labels": {"f:l": {}}}})),
    ]);
}

#[test]
fn a_removed_element_takes_along_what_nobody_owns_in_it() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"ports": [{"name": "p"}]}}));
    // As defaulting does, without a record.
    world.object.as_mut().expect("an object")["spec"]["ports"][0]["protocol"] = "TCP".into();
    world.apply("one", json!({"spec": {"size": 1}}));
    world.check_spec(json!({"size": 1}));
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let config = json!({"spec": {"size": 1, "tags": ["x"], "blob": {"a": {}, "n": null}}});
    let mut world = World::widgets();
    world.apply("one", config.clone());
    let first = world.object.clone();
    world.apply("one", config);
    assert_eq!(world.object, first);
}

#[test]
fn an_applier_that_changes_nothing_has_no_time() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"size": 1}})).apply("two", json!({"spec": {"size": 1}}));
    let times: Vec<Value> = world.record().iter().map(|entry| entry["time"].clone()).collect();
    assert_eq!(times, [json!(null), json!("1970-01-01T00:00:01Z")]);
}

#[test]
fn a_set_is_merged_in_the_order_of_the_configuration() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"tags": ["a", "b"]}})).apply("two", json!({"spec": {"tags": ["c", "b"]}}));
    world.check_spec(json!({"tags": ["a", "c", "b"]}));
    world.apply("one", json!({"spec": {"tags": ["a"]}}));
    world.check_spec(json!({"tags": ["a", "c", "b"]}));
    world.apply("two", json!({"spec": {"tags": ["d", "a"]}}));
    world.check_spec(json!({"tags": ["d", "a"]}));
}

#[test]
fn empty_maps_and_nulls_are_owned_and_empty_lists_are_not() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"labels": {}, "tags": [], "args": [], "maybe": null}}));
    world.check_owners(&[("one Apply", json!({"f:spec": {"f:labels": {}, "f:args": {}, "f:maybe": {}}}))]);
    world.check_spec(json!({"labels": {}, "tags": [], "args": [], "maybe": null}));
}

#[test]
fn what_is_emptied_is_empty_whether_by_an_empty_map_or_by_null() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"labels": {"k": "v"}, "maybe": {"x": 1}}}));
    world.apply("one", json!({"spec": {"labels": {}, "maybe": null}}));
    world.check_spec(json!({"labels": {}, "maybe": {}}));
}

#[test]
fn defaulted_keys_tell_elements_apart() {
    let schema = sample::schema(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "ports": {"type": "array", "list": ["port", "protocol"], "items": {"type": "object", "properties": {
            "port": "integer", "name": "string", "protocol": {"type": "string", "default": "TCP"}}}},
    }}}}));
    let mut world = World::of(schema, json!({"apiVersion": "v1", "kind": "Widget"}));
    world.apply("one", json!({"spec": {"ports": [{"port": 80, "name": "web"}]}}));
    world.check_owners(&[(
        "one Apply",
        json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}}}),
    )]);
    world.apply("two", json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]}}));
    world.check_spec(
        json!({"ports": [{"port": 80, "name": "web", "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]}),
    );
}

#[test]
fn without_a_schema_maps_are_shared_and_lists_are_not() {
    let mut world = World::loose();
    world.apply(
        "one",
        json!({"spec": {"m": {"x": 1}, "list": [{"name": "p"}], "n": null, "e": {}, "el": []}, "top": "text"}),
    );
    let one = json!({"f:spec": {".": {}, "f:e": {}, "f:el": {}, "f:list": {}, "f:m": {".": {}, "f:x": {}}, "f:n": {}}, "f:top": {}});
    world.check_owners(&[("one Apply", one.clone())]);
    world.apply("two", json!({"spec": {"m": {"y": 2}}}));
    world.check_owners(&[("one Apply", one), ("two Apply", json!({"f:spec": {".": {}, "f:m": {".": {}, "f:y": {}}}}))]);
    world.apply("one", json!({"spec": {"m": {"x": "text"}}}));
    world.check_spec(json!({"m": {"x": "text", "y": 2}}));
}

#[test]
fn appliers_of_a_subresource_are_apart() {
    let mut world = World::widgets();
    world.reset = &[&["status"]];
    world.apply("one", json!({"spec": {"size": 1}, "status": {"phase": "Ignored"}}));
    world.subresource = "status";
    world.reset = &[&["metadata"], &["spec"]];
    world.apply("one", json!({"metadata": {"labels": {"l": "1"}}, "status": {"phase": "Up"}}));
    world.check_owners(&[
        ("one Apply", json!({"f:spec": {"f:size": {}}})),
        ("one Apply status", json!({"f:status": {"f:phase": {}}})),
    ]);
}
