//! One step of a field path: a field, or a list element told apart by its keys, its value or its index.
//!
//! The order of steps, and what counts as the same value, are those of structured-merge-diff: they decide how conflicts are listed.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

use super::shape::{Field, Form, ListForm, Scalar, Shape};
use crate::patch::shown;
use atoll_api::field::go_quote;

/// One step of a path.
#[derive(Debug, Clone)]
pub(super) enum Element {
    /// A field of a map.
    Field(Box<str>),
    /// The list element with these values of its keys, sorted by key.
    Key(Vec<(Box<str>, Value)>),
    /// The list element that is this scalar.
    Value(Value),
    /// The list element at this place. Nothing makes such steps, but they can be read.
    Index(i64),
}

// === impl Element ===

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_keys(a, b),
            (Self::Value(a), Self::Value(b)) => compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (i, (name, value)) in keys.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", show(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", show(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The step that leads to an element of a list that is not owned whole; an error if the element has no identity.
pub(super) fn element_of(list: ListForm<'_>, items: Shape<'_>, item: &Value) -> Result<Element, String> {
    match list {
        ListForm::Whole => Err("invalid indexing of non-associative list".to_owned()),
        ListForm::Set => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            scalar => Ok(Element::Value(scalar.clone())),
        },
        ListForm::Keyed(names) => {
            let map = match item {
                Value::Object(map) => map,
                Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
                _ => return Err("associative list with keys may not have non-map elements".to_owned()),
            };
            let mut keys: Vec<(Box<str>, Value)> = Vec::with_capacity(names.len());
            for name in names {
                if let Some(value) = map.get(&**name).or_else(|| key_default(items, name)) {
                    keys.push(((&**name).into(), value.clone()));
                }
            }
            if keys.is_empty() && !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| go_quote(name)).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                    names.join(" ")
                ));
            }
            keys.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(Element::Key(keys))
        }
    }
}

/// What a key counts as where an element leaves it out.
fn key_default<'a>(items: Shape<'a>, name: &str) -> Option<&'a Value> {
    match items.field(name) {
        Some(Field { shape: Shape::Known { schema, .. }, named: true }) => schema.default.as_ref(),
        _ => None,
    }
}

/// Whether two values are the same to server-side apply: as JSON, except that 1 is 1.0.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn compare_keys(a: &[(Box<str>, Value)], b: &[(Box<str>, Value)]) -> Ordering {
    for ((a_name, a_value), (b_name, b_value)) in a.iter().zip(b) {
        let order = a_name.cmp(b_name).then_with(|| compare(a_value, b_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// The order of values: numbers, strings, booleans, lists, maps, null.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| *order != Ordering::Equal);
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let pairs = a.iter().zip(b);
            let mut orders = pairs.map(|((ak, av), (bk, bv))| ak.cmp(bk).then_with(|| compare(av, bv)));
            orders.find(|order| *order != Ordering::Equal).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    let integer = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or_default().total_cmp(&(b.as_f64().unwrap_or_default())),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => go_quote(text),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}={}", show(value))).collect(),
        scalar => shown::plain(scalar),
    }
}

/// What is wrong with a scalar, if anything; null is every scalar.
pub(super) fn scalar_fault(form: Scalar, value: &Value) -> Option<String> {
    let boxed = || format!("&{{{}}}", shown::plain(value));
    match (form, value) {
        (_, Value::Null)
        | (Scalar::Number, Value::Number(_))
        | (Scalar::Text, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Scalar::Number, other) => Some(format!("expected numeric (int or float), got {}", shown::go_type(other))),
        (Scalar::Text, other) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", shown::source(other)))
        }
        (Scalar::Bool, _) => Some(format!("expected boolean, got {}", boxed())),
        (Scalar::Any, _) => Some(format!("expected any scalar, got {}", boxed())),
    }
}

/// What is wrong with a value where a list or a map is wanted, if anything; null is every list and map.
pub(super) fn container_fault(form: Form<'_>, value: &Value) -> Option<String> {
    let wanted = match (form, value) {
        (Form::List(_), Value::Array(_)) | (Form::Map(_), Value::Object(_)) | (_, Value::Null) => return None,
        (Form::List(_), _) => "list",
        (Form::Map(_), _) => "map",
        (Form::Scalar(_), _) => return None,
    };
    Some(format!("expected {wanted}, got &{{{}}}", shown::plain(value)))
}
