//! Conflicts and faults of an apply, word for word.

use super::*;

#[track_caller]
fn check_conflict(world: &mut World, manager: &str, config: Value, message: &str, causes: &[(&str, &str)]) {
    let before = world.object.clone();
    let Err(Error::Conflict(conflicts)) = world.try_apply(manager, config, Force::No) else { panic!("no conflict") };
    assert_eq!(conflicts.to_string(), message);
    let found: Vec<(String, String)> = conflicts.listed.iter().map(|c| (c.field.clone(), c.message())).collect();
    let expected: Vec<(String, String)> = causes.iter().map(|(f, m)| ((*f).to_owned(), (*m).to_owned())).collect();
    assert_eq!(found, expected);
    assert_eq!(world.object, before);
}

#[track_caller]
fn check_error(world: &mut World, config: Value, expected: Error) {
    assert_eq!(world.try_apply("one", config, Force::No), Err(expected));
}

fn failed(text: &str) -> Error {
    Error::Failed(format!("failed to create typed patch object (/a; /v1, Kind=Widget): {text}"))
}

#[test]
fn another_value_for_a_field_of_another_applier_conflicts() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"size": 1, "ports": [{"name": "p", "port": 1}], "tags": ["a"]}}));
    let cause = "conflict with \"one\"";
    check_conflict(
        &mut world,
        "two",
        json!({"spec": {"size": 2}}),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.size",
        &[(".spec.size", cause)],
    );
    check_conflict(
        &mut world,
        "two",
        json!({"spec": {"size": 2, "ports": [{"name": "p", "port": 2}, {"name": "q"}], "tags": ["b"]}}),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.size\n- .spec.ports[name=\"p\"].port",
        &[(".spec.size", cause), (".spec.ports[name=\"p\"].port", cause)],
    );
    world.apply("two", json!({"spec": {"size": 1, "tags": ["b"]}}));
}

#[test]
fn long_paths_are_not_shown_without_end() {
    let key = "k".repeat(300_000);
    let values = |n: i64| -> Map<String, Value> { (0..100).map(|i| (format!("f{i}"), n.into())).collect() };
    let element = |n: i64| {
        let mut element = values(n);
        element.insert("name".to_owned(), key.as_str().into());
        json!({"list": [element]})
    };
    let schema = json!({"type": "object", "properties": {"list": {"type": "array", "list": ["name"], "items": {
        "type": "object", "properties": {"name": "string"}, "open": true}}}});
    let mut world = World::of(sample::schema(&schema), json!({"apiVersion": "v1", "kind": "Widget"}));
    world.apply("one", element(1));
    let Err(Error::Conflict(conflicts)) = world.try_apply("two", element(2), Force::No) else { panic!("no conflict") };
    assert_eq!((conflicts.total, conflicts.listed.len()), (100, 4));
    assert!(conflicts.to_string().starts_with("Apply failed with 100 conflicts: conflicts with \"one\":\n- .list["));
}

#[test]
fn conflicts_are_grouped_by_manager() {
    let mut world = World::widgets();
    world.apply("b", json!({"spec": {"size": 1, "color": "red"}})).patch("a", json!({"spec": {"args": ["x"]}}));
    world.subresource = "status";
    world.patch("c", json!({"status": {"phase": "Up"}}));
    world.subresource = "";
    check_conflict(
        &mut world,
        "two",
        json!({"spec": {"size": 2, "color": "blue", "args": []}, "status": {"phase": "Down"}}),
        "Apply failed with 4 conflicts: conflicts with \"a\" using v1:\n- .spec.args\nconflicts with \"b\":\n- .spec.color\n\
         - .spec.size\nconflicts with \"c\" with subresource \"status\" using v1:\n- .status.phase",
        &[
            (".spec.args", "conflict with \"a\" using v1"),
            (".spec.color", "conflict with \"b\""),
            (".spec.size", "conflict with \"b\""),
            (".status.phase", "conflict with \"c\" with subresource \"status\" using v1"),
        ],
    );
}

#[test]
fn an_applier_conflicts_with_its_own_updates() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"size": 1}})).patch("one", json!({"spec": {"size": 2}}));
    world.check_owners(&[("one Update", json!({"f:spec": {"f:size": {}}}))]);
    check_conflict(
        &mut world,
        "one",
        json!({"spec": {"size": 1}}),
        "Apply failed with 1 conflict: conflict with \"one\" using v1: .spec.size",
        &[(".spec.size", "conflict with \"one\" using v1")],
    );
}

#[test]
fn force_takes_fields_over() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"size": 1, "color": "red"}})).force("two", json!({"spec": {"size": 2}}));
    world.check_spec(json!({"size": 2, "color": "red"}));
    world.check_owners(&[
        ("one Apply", json!({"f:spec": {"f:color": {}}})),
        ("two Apply", json!({"f:spec": {"f:size": {}}})),
    ]);
    world.force("two", json!({"spec": {"size": 2, "color": "blue"}}));
    world.check_owners(&[("two Apply", json!({"f:spec": {"f:color": {}, "f:size": {}}}))]);
}

#[test]
fn values_that_are_the_same_number_do_not_conflict() {
    let mut world = World::loose();
    world.apply("one", json!({"x": 1})).apply("two", json!({"x": 1.0}));
    assert_eq!(world.owners().len(), 2);
}

#[test]
fn what_was_there_before_the_first_apply_conflicts() {
    let mut world = World::widgets();
    world.put("up", json!({"spec": {"size": 1}}));
    world.patch("up", json!({"metadata": {"managedFields": [{}]}}));
    check_conflict(
        &mut world,
        "two",
        json!({"spec": {"size": 2}}),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.size",
        &[(".spec.size", "conflict with \"before-first-apply\" using v1")],
    );
    world.apply("two", json!({"spec": {"color": "red"}}));
    world.check_owners(&[
        ("two Apply", json!({"f:spec": {"f:color": {}}})),
        ("before-first-apply Update", json!({"f:spec": {".": {}, "f:size": {}}})),
    ]);
}

#[test]
fn a_configuration_that_does_not_fit_the_schema_is_refused() {
    let mut world = World::widgets();
    check_error(&mut world, json!({"dataa": 1}), failed(".dataa: field not declared in schema"));
    check_error(
        &mut world,
        json!({"spec": {"size": "x", "color": 5}}),
        failed(
            "errors:\n  .spec.color: expected string, got &value.valueUnstructured{Value:5}\n  .spec.size: expected numeric (int or float), got string",
        ),
    );
    check_error(&mut world, json!({"spec": {"labels": [1]}}), failed(".spec.labels: expected map, got &{[1]}"));
    check_error(&mut world, json!({"spec": {"tags": {"a": 1}}}), failed(".spec.tags: expected list, got &{map[a:1]}"));
    check_error(
        &mut world,
        json!({"spec": {"tags": ["e", "e"]}}),
        failed(".spec.tags: duplicate entries for key [=\"e\"]"),
    );
    check_error(
        &mut world,
        json!({"spec": {"ports": [{"name": "p"}, {"name": "p"}]}}),
        failed(".spec.ports: duplicate entries for key [name=\"p\"]"),
    );
    check_error(
        &mut world,
        json!({"spec": {"ports": [{"port": 1}]}}),
        failed(
            ".spec.ports: element 0: associative list with keys has an element that omits all key fields [\"name\"] \
             (and doesn't have default values for any key fields)",
        ),
    );
}

#[test]
fn a_configuration_of_another_type_is_malformed() {
    let mut world = World::widgets();
    let config = json!({"apiVersion": "apps/v1", "kind": "Widget", "metadata": {"name": "a"}});
    let result = world.tracked("one", |tracking, live| apply(tracking, live, &config, Force::No));
    assert_eq!(result, Err(Error::BadRequest("invalid object type: apps/v1, Kind=Widget".to_owned())));
    let result = world.tracked("one", |tracking, live| apply(tracking, live, &json!([]), Force::No));
    assert!(matches!(result, Err(Error::BadRequest(text)) if text.starts_with("error decoding YAML")));
    let nil = Error::BadRequest("metadata.managedFields must be nil".to_owned());
    check_error(&mut world, json!({"metadata": {"managedFields": []}}), nil);
    world.apply("one", json!({"metadata": {"managedFields": null}}));
}

#[test]
fn kubectl_takes_over_what_it_applied_in_the_old_way() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let applied = named(json!({"spec": {"size": 1, "color": "red"}})).to_string();
    let mut world = World::widgets();
    let metadata = json!({"annotations": {annotation: applied}});
    world.put(
        "kubectl-client-side-apply",
        json!({"metadata": metadata, "spec": {"size": 1, "color": "red", "args": ["x"]}}),
    );
    let others = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .spec.size";
    let cause = "conflict with \"kubectl-client-side-apply\" using v1";
    check_conflict(&mut world, "other", json!({"spec": {"size": 2}}), others, &[(".spec.size", cause)]);
    let foreign = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .spec.args";
    check_conflict(&mut world, "kubectl", json!({"spec": {"size": 2, "args": []}}), foreign, &[(".spec.args", cause)]);
    world.apply("kubectl", json!({"spec": {"size": 2}}));
    world.check_spec(json!({"size": 2, "color": "red", "args": ["x"]}));
    let annotations = &world.object.as_ref().expect("an object")["metadata"]["annotations"];
    assert_eq!(annotations[annotation], named(json!({"spec": {"size": 2}})).to_string() + "\n");
}
