//! A world of one object that several managers write to, for the tests of apply and of the record of owners.

mod appliers;
mod conflicts;
mod laws;
mod places;
mod records;
mod updaters;
mod versions;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::*;
use crate::patch::{Error, merge, sample};

/// An object, its kind, and the time.
struct World {
    schema: Schema,
    blank: Value,
    object: Option<Value>,
    seconds: i64,
    subresource: &'static str,
    reset: &'static [&'static [&'static str]],
}

impl World {
    fn of(schema: Schema, blank: Value) -> Self {
        Self { schema, blank, object: None, seconds: 0, subresource: "", reset: &[] }
    }

    /// A custom kind with every sort of list and map.
    fn widgets() -> Self {
        let port = json!({"type": "object", "properties": {
            "name": "string", "port": "integer", "protocol": {"type": "string", "default": "TCP"}}});
        let schema = sample::schema(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "size": "integer",
                "color": "string",
                "args": {"type": "array", "items": "string"},
                "tags": {"type": "array", "items": "string", "list": "set"},
                "ports": {"type": "array", "items": port, "list": ["name"]},
                "labels": {"type": "object", "additional": "string"},
                "atom": {"type": "object", "map": "atomic", "additional": "string"},
                "blob": {"type": "object", "open": true},
                "maybe": {"type": "object", "nullable": true, "properties": {"x": "integer"}},
            }},
            "status": {"type": "object", "properties": {"phase": "string"}},
        }}));
        Self::of(schema, json!({"apiVersion": "v1", "kind": "Widget"}))
    }

    /// A built-in kind.
    fn pod_templates() -> Self {
        let schema = sample::kind(json!({"template": sample::pod_template()}));
        let template = json!({"metadata": {}, "spec": {"containers": null}});
        Self::of(schema, json!({"apiVersion": "v1", "kind": "Widget", "metadata": {}, "template": template}))
    }

    /// A custom kind without a schema.
    fn loose() -> Self {
        let schema = sample::schema(&json!({"type": "object", "open": true}));
        Self::of(schema, json!({"apiVersion": "v1", "kind": "Widget"}))
    }

    fn try_apply(&mut self, manager: &str, config: Value, force: Force) -> Result<(), Error> {
        let config = named(config);
        self.seconds += 1;
        let mut result = self.tracked(manager, |tracking, live| apply(tracking, live, &config, force))?;
        result["metadata"]["uid"] = "1".into();
        self.object = Some(result);
        Ok(())
    }

    fn apply(&mut self, manager: &str, config: Value) -> &mut Self {
        self.try_apply(manager, config, Force::No).expect("no conflict");
        self
    }

    fn force(&mut self, manager: &str, config: Value) -> &mut Self {
        self.try_apply(manager, config, Force::Yes).expect("no conflict is looked for");
        self
    }

    /// Creates or replaces the object.
    fn put(&mut self, manager: &str, object: Value) -> &mut Self {
        let mut object = named(object);
        self.seconds += 1;
        self.tracked(manager, |tracking, live| update(tracking, live, &mut object));
        object["metadata"]["uid"] = "1".into();
        self.object = Some(object);
        self
    }

    /// Changes the object by a merge patch.
    fn patch(&mut self, manager: &str, patch: Value) -> &mut Self {
        let object = merge::apply(self.object.clone().expect("an object"), &patch).expect("a merge patch");
        self.put(manager, object)
    }

    fn tracked<T>(&self, manager: &str, act: impl FnOnce(&Tracking<'_>, Option<&Value>) -> T) -> T {
        let versions = OneVersion { api_version: "v1", schema: &self.schema };
        let tracking = Tracking {
            manager,
            subresource: self.subresource,
            api_version: "v1",
            kind: "Widget",
            blank: &self.blank,
            reset: self.reset,
            versions: &versions,
            now: Some(Timestamp::from_second(self.seconds).expect("a time")),
        };
        act(&tracking, self.object.as_ref())
    }

    fn record(&self) -> Vec<Value> {
        let object = self.object.as_ref().expect("an object");
        object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default()
    }

    /// The owners in short: `name Operation` to the fields, in the order of the record.
    fn owners(&self) -> Vec<(String, Value)> {
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let owner = |entry: &Value| {
            let name =
                format!("{} {} {}", text(entry, "manager"), text(entry, "operation"), text(entry, "subresource"));
            (name.trim_end().to_owned(), entry["fieldsV1"].clone())
        };
        self.record().iter().map(owner).collect()
    }

    #[track_caller]
    fn check_owners(&self, expected: &[(&str, Value)]) {
        let expected: Vec<(String, Value)> = expected.iter().map(|(name, v)| ((*name).to_owned(), v.clone())).collect();
        assert_eq!(self.owners(), expected);
    }

    #[track_caller]
    fn check_spec(&self, expected: Value) {
        assert_eq!(self.object.as_ref().expect("an object")["spec"], expected);
    }
}

/// An object or configuration with the type and name that are the same in all tests.
fn named(object: Value) -> Value {
    let Value::Object(mut map) = object else { return object };
    map.insert("apiVersion".to_owned(), "v1".into());
    map.insert("kind".to_owned(), "Widget".into());
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    metadata["name"] = "a".into();
    Value::Object(map)
}
