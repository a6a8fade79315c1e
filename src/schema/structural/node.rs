//! A node of an `openAPIV3Schema` as its author wrote it, read without judging it.
//!
//! What is absent, null or of the wrong JSON type reads as empty; types of JSON are checked when the definition is decoded.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// One schema as it was written.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(&'a Map<String, Value>);

/// `items` as it was written.
pub(super) enum Items<'a> {
    Absent,
    One(Node<'a>),
    /// A list of schemas, which is not accepted.
    Many(Vec<Node<'a>>),
}

/// `additionalProperties` as it was written.
#[derive(Clone, Copy)]
pub(super) enum Extra<'a> {
    Allowed(bool),
    Values(Node<'a>),
}

impl<'a> Node<'a> {
    /// The schema that `value` is; an empty one if it is not an object.
    pub(super) fn of(value: &'a Value) -> Self {
        Self(value.as_object().unwrap_or(&NOTHING))
    }

    /// What is written under `name`, if it is not null.
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, name: &str) -> &'a str {
        self.value(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn flag(self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.value(name)?.as_f64()
    }

    /// A count; negative ones read as 0.
    pub(super) fn count(self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        value.as_u64().or_else(|| value.as_i64().map(|_| 0))
    }

    pub(super) fn list(self, name: &str) -> &'a [Value] {
        self.value(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn texts(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.list(name).iter().map(|value| value.as_str().unwrap_or_default())
    }

    /// The one schema under `name`.
    pub(super) fn schema(self, name: &str) -> Option<Self> {
        self.value(name).map(Self::of)
    }

    /// The list of schemas under `name`.
    pub(super) fn schemas(self, name: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.list(name).iter().map(Self::of)
    }

    /// The schemas by name under `name`.
    pub(super) fn named(self, name: &str) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let map = self.value(name).and_then(Value::as_object).unwrap_or(&NOTHING);
        map.iter().map(|(name, value)| (name.as_str(), Self::of(value)))
    }

    /// The schema of the property `name`.
    pub(super) fn property(self, name: &str) -> Option<Self> {
        self.value("properties")?.get(name).map(Self::of)
    }

    pub(super) fn has_properties(self) -> bool {
        self.named("properties").next().is_some()
    }

    pub(super) fn items(self) -> Items<'a> {
        match self.value("items") {
            None => Items::Absent,
            Some(Value::Array(list)) if list.is_empty() => Items::Absent,
            Some(Value::Array(list)) => Items::Many(list.iter().map(Self::of).collect()),
            Some(value) => Items::One(Self::of(value)),
        }
    }

    /// The schema of a list's elements, if there is one.
    pub(super) fn item(self) -> Option<Self> {
        match self.items() {
            Items::One(node) => Some(node),
            Items::Absent | Items::Many(_) => None,
        }
    }

    pub(super) fn extra(self) -> Option<Extra<'a>> {
        match self.value("additionalProperties")? {
            Value::Bool(allowed) => Some(Extra::Allowed(*allowed)),
            value => Some(Extra::Values(Self::of(value))),
        }
    }

    /// The names of what is written and says something: not null, false, or empty.
    pub(super) fn spoken(self) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(_, value)| !says_nothing(value)).map(|(name, _)| name.as_str())
    }

    /// Whether this says `type: <kind>` and nothing else.
    pub(super) fn is_only_type(self, kind: &str) -> bool {
        self.text("type") == kind && self.spoken().all(|name| name == "type")
    }

    /// The node as JSON, for showing it.
    pub(super) fn to_value(self) -> Value {
        Value::Object(self.0.clone())
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}
