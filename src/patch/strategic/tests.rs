//! Each directive, the order of merged lists, and the texts of faults.

use serde_json::{Value, json};

use super::apply;
use crate::patch::Error;
use crate::patch::sample;
use crate::schema::Schema;

fn pod_template() -> Schema {
    sample::kind(json!({"template": sample::pod_template()}))
}

/// Patches the `spec` of a pod template.
fn patched(spec: Value, patch: Value) -> Result<Value, Error> {
    let object = json!({"template": {"spec": spec}});
    let result = apply(object, &json!({"template": {"spec": patch}}), &pod_template())?;
    Ok(result["template"]["spec"].clone())
}

fn check(spec: Value, patch: Value, expected: Value) {
    assert_eq!(patched(spec.clone(), patch.clone()).as_ref(), Ok(&expected), "{spec} patched by {patch}");
}

fn check_error(spec: Value, patch: Value, expected: Error) {
    assert_eq!(patched(spec.clone(), patch.clone()), Err(expected), "{spec} patched by {patch}");
}

fn check_failed(spec: Value, patch: Value, text: &str) {
    check_error(spec, patch, Error::Failed(text.to_owned()));
}

fn containers(names: &[&str]) -> Value {
    json!({"containers": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
}

fn check_finalizers(live: Value, patch: Value, expected: Value) {
    let object = json!({"metadata": {"finalizers": live}});
    let result = apply(object, &json!({"metadata": patch}), &pod_template()).expect("a fitting patch");
    assert_eq!(result["metadata"]["finalizers"], expected, "{patch}");
}

#[test]
fn list_elements_are_merged_by_key() {
    check(
        json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]}),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "a", "args": ["y"]}]}),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "a", "image": "1", "args": ["y"]}]}),
    );
}

#[test]
fn new_elements_come_before_those_that_only_the_object_has() {
    check(containers(&["main", "side"]), containers(&["third"]), containers(&["third", "main", "side"]));
    check(containers(&["a", "b", "c"]), containers(&["c", "new"]), containers(&["a", "b", "c", "new"]));
    check(containers(&["a", "b", "c"]), containers(&["new", "b"]), containers(&["new", "a", "b", "c"]));
    check(containers(&["a"]), containers(&[]), containers(&["a"]));
}

#[test]
fn a_patch_may_name_a_new_element_twice() {
    check(
        json!({}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "a", "args": []}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "a", "args": []}]}),
    );
    check(
        containers(&["b"]),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "a", "args": []}]}),
        json!({"containers": [{"name": "a", "image": "1", "args": []}, {"name": "b"}]}),
    );
}

#[test]
fn null_removes_and_is_dropped_where_nothing_is() {
    check(
        json!({"volumes": [{"name": "v"}], "restartPolicy": "Always"}),
        json!({"volumes": null, "restartPolicy": null}),
        json!({}),
    );
    check(
        json!({}),
        json!({"securityContext": {"runAsUser": null}, "nodeSelector": null}),
        json!({"securityContext": {}}),
    );
}

#[test]
fn patch_delete_removes_elements_and_empties_maps() {
    check(
        containers(&["a", "b"]),
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "ghost", "$patch": "delete"}]}),
        containers(&["b"]),
    );
    check(
        json!({"nodeSelector": {"x": "1"}}),
        json!({"nodeSelector": {"$patch": "delete"}}),
        json!({"nodeSelector": {}}),
    );
    check(json!({}), json!({"nodeSelector": {"$patch": "delete"}}), json!({}));
}

#[test]
fn patch_replace_replaces_lists_and_maps() {
    check(
        containers(&["a", "b"]),
        json!({"containers": [{"name": "only"}, {"$patch": "replace"}]}),
        containers(&["only"]),
    );
    check(
        json!({"nodeSelector": {"x": "1"}}),
        json!({"nodeSelector": {"$patch": "replace", "y": "2"}}),
        json!({"nodeSelector": {"y": "2"}}),
    );
    check(
        json!({"restartPolicy": "Always", "nodeSelector": {"x": "1"}}),
        json!({"$patch": "replace", "restartPolicy": "Never"}),
        json!({"restartPolicy": "Never"}),
    );
}

#[test]
fn scalar_lists_are_merged_only_where_the_schema_says_so() {
    check_finalizers(json!(["a", "b"]), json!({"finalizers": ["c", "a"]}), json!(["c", "a", "b"]));
    check(
        json!({"containers": [{"name": "c", "args": ["x", "y"]}]}),
        json!({"containers": [{"name": "c", "args": ["z"]}]}),
        json!({"containers": [{"name": "c", "args": ["z"]}]}),
    );
}

#[test]
fn values_are_deleted_from_scalar_lists() {
    check_finalizers(
        json!(["a", "b", "c"]),
        json!({"$deleteFromPrimitiveList/finalizers": ["b", "none"]}),
        json!(["a", "c"]),
    );
    check_finalizers(
        json!(["a", "b"]),
        json!({"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}),
        json!(["c", "b"]),
    );
    check_finalizers(json!(["a"]), json!({"$deleteFromPrimitiveList/finalizers": null}), json!(null));
    check(json!({}), json!({"$deleteFromPrimitiveList/finalizers": ["a"]}), json!({}));
    let bad = Error::BadRequest("invalid patch format of primitive list".to_owned());
    check_error(json!({}), json!({"$deleteFromPrimitiveListx": ["a"]}), bad);
}

#[test]
fn retain_keys_clears_what_it_does_not_name() {
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]}),
        json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
    );
    let bad = Error::BadRequest("invalid patch format of retainKeys".to_owned());
    check_error(json!({}), json!({"$retainKeys": ["x"], "restartPolicy": "Never"}), bad.clone());
    check_error(json!({}), json!({"$retainKeys": "x"}), bad);
}

#[test]
fn set_element_order_arranges_what_it_names() {
    let order = |names: &[&str]| containers(names)["containers"].clone();
    let check_order = |live: &[&str], names: &[&str], expected: &[&str]| {
        check(containers(live), json!({"$setElementOrder/containers": order(names)}), containers(expected));
    };
    check_order(&["a", "b", "c"], &["c", "b", "a"], &["c", "b", "a"]);
    check_order(&["a", "server", "b"], &["b", "a"], &["server", "b", "a"]);
    check_order(&["b", "server", "a"], &["b", "a"], &["b", "server", "a"]);
    check_order(&["server", "a", "b"], &["b", "a"], &["server", "b", "a"]);
    check(
        containers(&["a", "b"]),
        json!({
            "$setElementOrder/containers": order(&["new", "b"]),
            "containers": [{"name": "new"}, {"name": "a", "$patch": "delete"}],
        }),
        containers(&["new", "b"]),
    );
    check_finalizers(
        json!(["a", "b"]),
        json!({"$setElementOrder/finalizers": ["c", "b"], "finalizers": ["c"]}),
        json!(["c", "a", "b"]),
    );
}

#[test]
fn a_patch_that_contradicts_its_order_is_refused() {
    check_failed(
        containers(&["a"]),
        json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}),
        "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
    );
    check_failed(
        json!({"containers": []}),
        json!({"$setElementOrder/containers": [{"name": "a"}]}),
        "no elements in any of the given slices",
    );
    let bad = Error::BadRequest("invalid patch format of setElementOrder list".to_owned());
    check_error(json!({}), json!({"$setElementOrderx": []}), bad);
}

#[test]
fn faults_read_as_those_of_kubernetes() {
    check_failed(
        containers(&["a"]),
        json!({"containers": [{"image": "example.com/noname:1"}]}),
        "map: map[image:example.com/noname:1] does not contain declared merge key: name",
    );
    check_failed(
        containers(&["a"]),
        json!({"containers": [{"$patch": "delete"}]}),
        "map: map[$patch:delete] does not contain declared merge key: name",
    );
    check_failed(
        containers(&["a"]),
        json!({"containers": [{"name": "main", "$patch": "frobnicate"}]}),
        "unknown patch type: frobnicate in map: map[$patch:frobnicate name:main]",
    );
    check_failed(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"$patch": "merge", "z": "3"}}),
        "unknown patch type: merge in map: map[$patch:merge z:3]",
    );
}

#[test]
fn elements_must_be_of_one_type_and_no_lists() {
    check_failed(
        containers(&["a"]),
        json!({"containers": ["x"]}),
        "list element types are not identical: [[map[name:a]] [x]]",
    );
    check_error(
        json!({"containers": [[1]]}),
        json!({"containers": [[2]]}),
        Error::Unprocessable("lists of lists are not supported".to_owned()),
    );
    check_failed(
        json!({"containers": [{"name": {}}]}),
        json!({"containers": [{"name": "a"}]}),
        "a map[string]interface {} cannot tell list elements apart",
    );
}

#[test]
fn what_is_no_map_is_malformed() {
    let text = "json: cannot unmarshal array into Go value of type map[string]interface {}";
    assert_eq!(apply(json!({}), &json!([]), &pod_template()), Err(Error::BadRequest(text.to_owned())));
}

#[test]
fn long_lists_are_merged_in_linear_time() {
    let list = |from: usize, to: usize| json!({"containers": (from..to).map(|i| json!({"name": i.to_string()})).collect::<Vec<_>>()});
    let merged = patched(list(0, 50_000), list(25_000, 75_000)).expect("merges");
    assert_eq!(merged["containers"].as_array().map(Vec::len), Some(75_000));
}
