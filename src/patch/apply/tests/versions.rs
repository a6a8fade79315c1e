//! Owners in several versions of a kind.

use std::collections::BTreeMap;

use super::*;

/// A kind in which `v1` calls `colour` what `v2` calls `color`; `v3` cannot be converted to.
struct TwoVersions(BTreeMap<&'static str, Schema>);

impl TwoVersions {
    fn new() -> Self {
        let schema = |field: &str| {
            sample::schema(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
                field: "string", "size": "integer"}}}}))
        };
        Self(BTreeMap::from([("v1", schema("colour")), ("v2", schema("color")), ("v3", schema("color"))]))
    }
}

impl Versions for TwoVersions {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        self.0.get(api_version)
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let (from, to) = match api_version {
            "v1" => ("color", "colour"),
            "v2" => ("colour", "color"),
            other => return Err(format!("cannot convert to {other}")),
        };
        let mut converted = object.clone();
        converted["apiVersion"] = api_version.into();
        if let Some(color) = converted["spec"].as_object_mut().and_then(|spec| spec.remove(from)) {
            converted["spec"][to] = color;
        }
        Ok(converted)
    }
}

/// Acts in a version on an object that is stored in `v1`.
fn act(live: &Value, api_version: &str, act: impl FnOnce(&Tracking<'_>, &Value) -> Value) -> Value {
    let versions = TwoVersions::new();
    let live = versions.convert(live, api_version).expect("a version");
    let blank = json!({"apiVersion": api_version, "kind": "Widget"});
    let tracking = Tracking {
        manager: "me",
        subresource: "",
        api_version,
        kind: "Widget",
        blank: &blank,
        reset: &[],
        versions: &versions,
        now: Some(Timestamp::from_second(60).expect("a time")),
    };
    versions.convert(&act(&tracking, &live), "v1").expect("a version")
}

fn live(owners: &[(&str, &str, Value)]) -> Value {
    let entry = |(manager, version, fields): &(&str, &str, Value)| json!({"manager": manager, "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields});
    let owners: Vec<Value> = owners.iter().map(entry).collect();
    json!({"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "a", "uid": "1", "managedFields": owners},
        "spec": {"colour": "red", "size": 1}})
}

fn patched(live: &Value, api_version: &str, patch: Value) -> Value {
    act(live, api_version, |tracking, live| {
        let mut new = merge::apply(live.clone(), &patch).expect("a merge patch");
        update(tracking, Some(live), &mut new);
        new
    })
}

fn owners(object: &Value) -> Vec<(String, String, Value)> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|e| (text(e, "manager"), text(e, "apiVersion"), e["fieldsV1"].clone())).collect()
}

fn owner(manager: &str, version: &str, fields: Value) -> (String, String, Value) {
    (manager.to_owned(), version.to_owned(), fields)
}

#[test]
fn an_update_in_one_version_takes_fields_of_another() {
    let live = live(&[("one", "v1", json!({"f:spec": {"f:colour": {}, "f:size": {}}}))]);
    let new = patched(&live, "v2", json!({"spec": {"color": "blue"}}));
    assert_eq!(
        owners(&new),
        [owner("one", "v1", json!({"f:spec": {"f:size": {}}})), owner("me", "v2", json!({"f:spec": {"f:color": {}}}))]
    );
}

#[test]
fn owners_in_versions_that_are_gone_are_forgotten() {
    let size = json!({"f:spec": {"f:size": {}}});
    let live = live(&[("old", "v0", size.clone()), ("one", "v1", size.clone())]);
    let new = patched(&live, "v1", json!({"spec": {"colour": "blue"}}));
    assert_eq!(owners(&new), [owner("one", "v1", size), owner("me", "v1", json!({"f:spec": {"f:colour": {}}}))]);
}

#[test]
fn what_cannot_be_converted_ends_the_record_and_refuses_an_apply() {
    let live = live(&[("one", "v3", json!({"f:spec": {"f:color": {}}}))]);
    let new = patched(&live, "v1", json!({"spec": {"colour": "blue"}}));
    assert_eq!(owners(&new), []);
    let config = json!({"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 2}});
    act(&live, "v1", |tracking, live| {
        let result = apply(tracking, Some(live), &config, Force::No);
        assert_eq!(result, Err(Error::Failed("cannot convert to v3".to_owned())));
        live.clone()
    });
}

#[test]
fn an_applier_moves_to_the_version_it_applies_in() {
    let live = live(&[("me", "v1", json!({"f:spec": {"f:colour": {}, "f:size": {}}}))]);
    let config = json!({"apiVersion": "v2", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    let new = act(&live, "v2", |tracking, live| apply(tracking, Some(live), &config, Force::No).expect("no conflict"));
    assert_eq!(new["spec"], json!({"size": 1}));
    assert_eq!(owners(&new), [owner("me", "v2", json!({"f:spec": {"f:size": {}}}))]);
}

#[test]
fn what_another_version_owns_is_not_pruned() {
    let colour = json!({"f:spec": {"f:colour": {}}});
    let live = live(&[("me", "v2", json!({"f:spec": {"f:color": {}, "f:size": {}}})), ("one", "v1", colour.clone())]);
    let config = json!({"apiVersion": "v2", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    let new = act(&live, "v2", |tracking, live| apply(tracking, Some(live), &config, Force::No).expect("no conflict"));
    assert_eq!(new["spec"], json!({"colour": "red", "size": 1}));
    assert_eq!(owners(&new), [owner("me", "v2", json!({"f:spec": {"f:size": {}}})), owner("one", "v1", colour)]);
}
