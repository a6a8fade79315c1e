//! Operations, malformed patches, and what a hostile patch must not achieve.

use serde_json::{Value, json};

use super::*;

fn patched(document: &Value, patch: &Value) -> Result<Value, Error> {
    Patch::decode(patch)?.apply(document.clone())
}

fn check(document: Value, patch: Value, expected: Value) {
    assert_eq!(patched(&document, &patch).as_ref(), Ok(&expected), "{document} patched by {patch}");
}

fn check_unprocessable(document: Value, patch: Value) {
    let result = patched(&document, &patch);
    assert!(matches!(result, Err(Error::Unprocessable(_))), "{document} patched by {patch}: {result:?}");
}

fn check_malformed(patch: Value, message: &str) {
    assert_eq!(Patch::decode(&patch), Err(Error::BadRequest(format!("error decoding patch: {message}"))));
}

#[test]
fn what_does_not_fit_is_worded_as_by_the_library_of_kubernetes() {
    let check = |patch: Value, expected: &str| {
        let result = patched(&json!({"a": {"x": 1}, "l": [1]}), &json!([patch]));
        assert_eq!(result, Err(Error::Unprocessable(expected.to_owned())));
    };
    let missing = "operation does not apply: doc is missing";
    check(json!({"op": "add", "path": "/b/c", "value": 1}), &format!("add {missing} path: \"/b/c\": missing value"));
    check(json!({"op": "remove", "path": "/b/c"}), &format!("remove {missing} path: \"/b/c\": missing value"));
    check(
        json!({"op": "remove", "path": "/a/y"}),
        "error in remove for path: '/a/y': Unable to remove nonexistent key: y: missing value",
    );
    check(
        json!({"op": "remove", "path": "/l/3"}),
        "error in remove for path: '/l/3': Unable to access invalid index: 3: invalid index referenced",
    );
    check(
        json!({"op": "add", "path": "/l/z", "value": 1}),
        "error in add for path: '/l/z': value was not a proper array index: 'z': strconv.Atoi: parsing \"z\": invalid syntax",
    );
    check(
        json!({"op": "replace", "path": "/b/c", "value": 1}),
        &format!("replace {missing} path: /b/c: missing value"),
    );
    check(json!({"op": "replace", "path": "/l/5", "value": 1}), &format!("replace {missing} key: /l/5: missing value"));
    check(
        json!({"op": "move", "from": "/b/c", "path": "/d"}),
        &format!("move {missing} from path: /b/c: missing value"),
    );
    check(
        json!({"op": "copy", "from": "/a", "path": "/b/c"}),
        &format!("copy {missing} destination path: /b/c: missing value"),
    );
    check(json!({"op": "test", "path": "/b/c"}), "test operation does not apply: is missing path: /b/c: missing value");
    check(json!({"op": "bad", "path": "/a"}), "Unexpected kind: bad");
}

#[test]
fn every_operation_works_on_maps() {
    let doc = || json!({"a": {"x": 1, "y": 2}});
    check(doc(), json!([{"op": "add", "path": "/a/z", "value": 3}]), json!({"a": {"x": 1, "y": 2, "z": 3}}));
    check(doc(), json!([{"op": "add", "path": "/a/x", "value": 3}]), json!({"a": {"x": 3, "y": 2}}));
    check(doc(), json!([{"op": "remove", "path": "/a/x"}]), json!({"a": {"y": 2}}));
    check(doc(), json!([{"op": "replace", "path": "/a/x", "value": []}]), json!({"a": {"x": [], "y": 2}}));
    check(doc(), json!([{"op": "move", "from": "/a/x", "path": "/b"}]), json!({"a": {"y": 2}, "b": 1}));
    check(
        doc(),
        json!([{"op": "copy", "from": "/a", "path": "/a/z"}]),
        json!({"a": {"x": 1, "y": 2, "z": {"x": 1, "y": 2}}}),
    );
    check(doc(), json!([{"op": "test", "path": "/a", "value": {"y": 2, "x": 1}}]), doc());
    check(doc(), json!([]), doc());
}

#[test]
fn list_elements_are_addressed_by_index() {
    let doc = || json!({"l": [1, 2, 3]});
    check(doc(), json!([{"op": "add", "path": "/l/-", "value": 4}]), json!({"l": [1, 2, 3, 4]}));
    check(doc(), json!([{"op": "add", "path": "/l/0", "value": 0}]), json!({"l": [0, 1, 2, 3]}));
    check(doc(), json!([{"op": "add", "path": "/l/3", "value": 4}]), json!({"l": [1, 2, 3, 4]}));
    check(doc(), json!([{"op": "add", "path": "/l/-1", "value": 4}]), json!({"l": [1, 2, 3, 4]}));
    check(doc(), json!([{"op": "remove", "path": "/l/-1"}]), json!({"l": [1, 2]}));
    check(doc(), json!([{"op": "replace", "path": "/l/1", "value": 9}]), json!({"l": [1, 9, 3]}));
    check(doc(), json!([{"op": "move", "from": "/l/0", "path": "/l/2"}]), json!({"l": [2, 3, 1]}));
    for path in ["/l/3", "/l/-4", "/l/x", "/l/-"] {
        check_unprocessable(doc(), json!([{"op": "remove", "path": path}]));
    }
    check_unprocessable(doc(), json!([{"op": "add", "path": "/l/4", "value": 0}]));
}

#[test]
fn tokens_are_unescaped() {
    let doc = json!({"m": {"a/b": 1, "c~d": 2, "~1": 3}});
    check(doc.clone(), json!([{"op": "test", "path": "/m/a~1b", "value": 1}]), doc.clone());
    check(doc.clone(), json!([{"op": "test", "path": "/m/c~0d", "value": 2}]), doc.clone());
    check(doc.clone(), json!([{"op": "test", "path": "/m/~01", "value": 3}]), doc);
}

#[test]
fn missing_keys_are_null_to_test_and_copy_and_are_added_by_replace() {
    check(json!({}), json!([{"op": "test", "path": "/a", "value": null}]), json!({}));
    check(json!({}), json!([{"op": "test", "path": "/a"}]), json!({}));
    check(json!({}), json!([{"op": "copy", "from": "/a", "path": "/b"}]), json!({"b": null}));
    check(json!({}), json!([{"op": "replace", "path": "/a", "value": 1}]), json!({"a": 1}));
    check_unprocessable(json!({}), json!([{"op": "move", "from": "/a", "path": "/b"}]));
    check_unprocessable(json!({}), json!([{"op": "remove", "path": "/a"}]));
    check_unprocessable(json!({}), json!([{"op": "add", "path": "/a/b", "value": 1}]));
}

#[test]
fn the_whole_document_can_be_replaced_and_tested_only() {
    check(json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"b": 2}}]), json!({"b": 2}));
    check(json!({"a": 1}), json!([{"op": "test", "path": "", "value": {"a": 1}}]), json!({"a": 1}));
    check_unprocessable(json!({"a": 1}), json!([{"op": "replace", "path": "", "value": 5}]));
    check_unprocessable(json!({"a": 1}), json!([{"op": "replace", "path": ""}]));
    for op in ["add", "remove"] {
        check_unprocessable(json!({"a": 1}), json!([{"op": op, "path": "", "value": {}}]));
    }
}

#[test]
fn a_failing_operation_fails_the_patch() {
    let doc = json!({"k": "v"});
    check_unprocessable(
        doc.clone(),
        json!([{"op": "replace", "path": "/k", "value": "w"}, {"op": "test", "path": "/k", "value": "v"}]),
    );
    check_unprocessable(doc.clone(), json!([{"op": "frobnicate", "path": "/k"}]));
    check_unprocessable(doc.clone(), json!([{"op": "add", "value": "x"}]));
    check_unprocessable(doc.clone(), json!([{"op": "copy", "path": "/x"}]));
    check_unprocessable(doc, json!([null]));
}

#[test]
fn what_is_no_patch_is_malformed() {
    check_malformed(json!({"a": 1}), "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp");
    check_malformed(json!(["a"]), "json: cannot unmarshal string into Go value of type handlers.jsonPatchOp");
    check_malformed(
        json!([{"op": 1}]),
        "json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
    );
}

#[test]
fn unknown_fields_of_operations_are_reported() {
    let patch = Patch::decode(&json!([{"op": "test", "path": "/a", "vlaue": 1}])).expect("decodes");
    assert_eq!(patch.unknown_fields, ["json patch unknown field \"[0].vlaue\""]);
}

#[test]
fn too_many_operations_are_refused() {
    let operation = json!({"op": "test", "path": "/a"});
    assert!(Patch::decode(&vec![operation.clone(); 10_000].into()).is_ok());
    let text = "The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!(Patch::decode(&vec![operation; 10_001].into()), Err(Error::TooLarge(text.to_owned())));
}

#[test]
fn copies_cannot_blow_up_the_document() {
    let doubling: Vec<Value> = (0..40).map(|i| json!({"op": "copy", "from": "", "path": format!("/c{i}")})).collect();
    check_unprocessable(json!({"a": "x"}), doubling.into());
    let doubling: Vec<Value> =
        (0..40).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/a/c{i}")})).collect();
    check_unprocessable(json!({"a": {"x": "0123456789"}}), doubling.into());
}

#[test]
fn nesting_is_bounded() {
    let mut path = String::new();
    let mut operations = vec![];
    for _ in 0..126 {
        path.push_str("/a");
        operations.push(json!({"op": "add", "path": path, "value": {}}));
    }
    let deep = patched(&json!({}), &operations.clone().into()).expect("just not too deep");
    operations.push(json!({"op": "add", "path": format!("{path}/a"), "value": {}}));
    check_unprocessable(json!({}), operations.into());
    check_unprocessable(deep.clone(), json!([{"op": "copy", "from": "/a/a", "path": "/a/a/a/b"}]));
    // Moving up and down again must not make the bound drift into an error.
    let there_and_back: Vec<Value> = (0..1000)
        .flat_map(|_| {
            [json!({"op": "move", "from": "/a", "path": "/b"}), json!({"op": "move", "from": "/b", "path": "/a"})]
        })
        .collect();
    check(deep.clone(), there_and_back.into(), deep);
}

#[test]
fn shifting_long_lists_is_bounded() {
    let list = json!({"l": vec![0; 100_000]});
    let inserts: Vec<Value> = (0..1000).map(|_| json!({"op": "add", "path": "/l/0", "value": 1})).collect();
    check_unprocessable(list, inserts.into());
}
