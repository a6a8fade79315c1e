//! The record itself: how clients may set, reset and spoil it, and how it is written.

use super::*;

fn entry(manager: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "1970-01-01T00:00:01Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn created() -> World {
    let mut world = World::widgets();
    world.put("creator", json!({"spec": {"size": 1}}));
    world
}

#[test]
fn one_empty_entry_or_none_forgets_the_managers() {
    for reset in [json!([]), json!([{}]), json!([{"manager": "", "time": null}])] {
        let mut world = created();
        world.patch("up", json!({"metadata": {"managedFields": reset}}));
        world.check_owners(&[]);
        // An update does not begin a new record.
        world.patch("up", json!({"spec": {"size": 2}}));
        world.check_owners(&[]);
    }
    let mut world = World::widgets();
    world.put("creator", json!({"metadata": {"managedFields": [{}]}, "spec": {"size": 1}}));
    world.check_owners(&[("creator Update", json!({"f:spec": {".": {}, "f:size": {}}}))]);
}

#[test]
fn a_client_may_set_the_record() {
    let mut world = created();
    let fields = json!({"f:spec": {"f:size": {}, "f:color": {}}});
    world.patch("up", json!({"metadata": {"managedFields": [entry("other", fields.clone())]}}));
    world.check_owners(&[("other Update", fields)]);
    world.patch("up", json!({"metadata": {"managedFields": [entry("third", json!({"f:spec": {"f:size": {}}}))]}, "spec": {"color": "red"}}));
    world.check_owners(&[
        ("third Update", json!({"f:spec": {"f:size": {}}})),
        ("up Update", json!({"f:spec": {"f:color": {}}})),
    ]);
}

#[test]
fn a_malformed_record_counts_as_absent() {
    let spoiled = |field: &str, value: Value| {
        let mut entry = entry("other", json!({"f:spec": {}}));
        entry[field] = value;
        entry
    };
    let malformed = [
        ("operation", json!("Guess"), "operation must be `Apply` or `Update`"),
        ("apiVersion", json!(""), "apiVersion must not be empty"),
        ("fieldsType", json!(""), "missing fieldsType in managed fields entry 0"),
        ("fieldsType", json!("FieldsV2"), "invalid fieldsType \"FieldsV2\" in managed fields entry 0"),
    ];
    for (field, value, text) in malformed {
        let mut world = created();
        let before = world.record();
        let record = json!([spoiled(field, value)]);
        assert_eq!(check_managed_fields(Some(&record)), Err(text.to_owned()));
        world.patch("up", json!({"metadata": {"managedFields": record}}));
        assert_eq!(world.record(), before);
    }
    for (field, value) in [
        ("time", json!("noon")),
        ("fieldsV1", json!({"spec": {}})),
        ("fieldsV1", json!({"f:a": 1})),
        ("fieldsV1", json!({"k:[": {}})),
    ] {
        assert!(check_managed_fields(Some(&json!([spoiled(field, value)]))).is_err());
    }
    assert_eq!(check_managed_fields(None), Ok(()));
    assert_eq!(check_managed_fields(Some(&json!([entry("x", json!({"f:spec": {}}))]))), Ok(()));
}

#[test]
fn long_records_are_read_in_linear_time() {
    let steps = |range: std::ops::Range<u32>| range.map(|i| (format!("v:{i}"), json!({}))).collect::<Map<_, _>>();
    let mut world = created();
    world.patch(
        "up",
        json!({"metadata": {"managedFields": [entry("other", json!({"f:spec": {"f:tags": steps(0..100_000)}}))]}}),
    );
    let many: Vec<Value> =
        (0..20_000).map(|i| entry(&format!("m{i}"), json!({"f:spec": {"f:tags": steps(i..i + 3)}}))).collect();
    world.patch("up", json!({"metadata": {"managedFields": many}, "spec": {"size": 2}}));
    assert_eq!(world.owners().len(), 10);
}

#[test]
fn a_subresource_cannot_set_the_record() {
    let mut world = created();
    let before = world.record();
    world.subresource = "status";
    world.patch("up", json!({"metadata": {"managedFields": [{}]}}));
    assert_eq!(world.record(), before);
}

#[test]
fn entries_are_sorted_by_operation_time_and_name() {
    let mut world = created();
    world.apply("z", json!({"spec": {"color": "red"}}));
    world.seconds -= 1;
    world.apply("y", json!({"spec": {"tags": ["a"]}}));
    world.patch("b", json!({"spec": {"args": []}}));
    world.seconds -= 1;
    world.patch("a", json!({"spec": {"atom": {}}}));
    let names: Vec<String> = world.owners().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["y Apply", "z Apply", "creator Update", "a Update", "b Update"]);
}

#[test]
fn a_schema_that_became_atomic_is_owned_as_a_whole() {
    let mut world = World::widgets();
    world.apply("one", json!({"spec": {"labels": {"k": "v"}, "tags": ["a"]}}));
    let spec = json!({"type": "object", "properties": {
        "labels": {"type": "object", "map": "atomic", "additional": "string"},
        "tags": {"type": "array", "list": "atomic", "items": "string"},
        "size": "integer",
    }});
    world.schema = sample::schema(&json!({"type": "object", "properties": {"spec": spec}}));
    world.patch("up", json!({"spec": {"size": 1}}));
    world.check_owners(&[
        ("one Apply", json!({"f:spec": {"f:labels": {}, "f:tags": {}}})),
        ("up Update", json!({"f:spec": {"f:size": {}}})),
    ]);
}

#[test]
fn replicas_change_hands_between_an_object_and_its_scale() {
    let paths = ReplicasPaths(&[("apps/v1", Some(&["spec", "replicas"]))]);
    let entry = |manager: &str, operation: &str, version: &str, fields: Value| json!({"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields});
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    let both = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}});
    let object = json!([
        entry("one", "Apply", "apps/v1", both.clone()),
        entry("old", "Apply", "apps/v0", replicas.clone()),
        entry("up", "Update", "apps/v1", both.clone()),
    ]);
    let scale = to_scale(Some(&object), paths).expect("a record").expect("owners");
    let one = entry("one", "Apply", "autoscaling/v1", replicas.clone());
    assert_eq!(scale, json!([one, entry("up", "Update", "autoscaling/v1", replicas.clone())]));
    // Nobody takes anything over.
    let same = from_scale(Some(&object), Some(&scale), "apps/v1", paths).expect("a record");
    assert_eq!(same, Some(json!([object[0], object[2]])));
    // A scaler takes the replicas over.
    let mut scaler = entry("scaler", "Update", "autoscaling/v1", replicas.clone());
    scaler["subresource"] = "scale".into();
    let taken = from_scale(Some(&object), Some(&json!([scaler])), "apps/v1", paths).expect("a record");
    let paused = json!({"f:spec": {"f:paused": {}}});
    scaler["apiVersion"] = "apps/v1".into();
    assert_eq!(
        taken,
        Some(json!([
            entry("one", "Apply", "apps/v1", paused.clone()),
            scaler,
            entry("up", "Update", "apps/v1", paused)
        ]))
    );
}
