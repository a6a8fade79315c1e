//! Values as Go's `fmt` prints them, for error messages that must read as Kubernetes' do.
//!
//! Only the verbs that occur in those messages are here.

use std::fmt::Write;

use serde_json::{Number, Value};

use atoll_api::field::go_quote;

/// A value as `%v` prints it: strings bare, lists as `[a b]`, maps as `map[k:v]` in the order of their keys.
pub fn plain(value: &Value) -> String {
    let mut text = String::new();
    write_plain(&mut text, value);
    text
}

/// An object of a built-in kind as JSON, its metadata in the order in which Go writes it and everything else by its keys.
pub fn object(value: &Value) -> String {
    let Value::Object(map) = value else { return value.to_string() };
    let fields = map.iter().map(|(field, value)| {
        let value = if field == "metadata" { metadata(value) } else { value.to_string() };
        format!("{}:{value}", Value::from(field.as_str()))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// The metadata of an object as JSON, in the order in which Go writes it.
pub fn metadata(value: &Value) -> String {
    in_order(value, METADATA)
}

/// The fields of `ObjectMeta`, as the Go struct has them.
const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// The fields of an entry of `managedFields`.
const MANAGED: &[&str] = &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

/// A map with the named fields first, in this order.
fn in_order(value: &Value, order: &[&str]) -> String {
    let Value::Object(map) = value else { return value.to_string() };
    let named = order.iter().filter_map(|name| map.get_key_value(*name));
    let others = map.iter().filter(|(name, _)| !order.contains(&name.as_str()));
    let fields = named.chain(others).map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("managedFields", Value::Array(entries)) => {
                let entries: Vec<String> = entries.iter().map(|entry| in_order(entry, MANAGED)).collect();
                format!("[{}]", entries.join(","))
            }
            _ => value.to_string(),
        };
        format!("{}:{value}", Value::from(name.as_str()))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// A value as `%#v` prints it: as Go source.
pub(super) fn source(value: &Value) -> String {
    let join = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => number(n),
        Value::String(text) => go_quote(text),
        Value::Array(items) => format!("[]interface {{}}{{{}}}", join(items.iter().map(source).collect())),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}:{}", go_quote(key), source(value))).collect();
            format!("map[string]interface {{}}{{{}}}", join(entries))
        }
    }
}

/// The Go type a decoded JSON value has.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// What `encoding/json` calls a value that does not fit where it stands.
pub fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A number as `%v` prints it: integers plain, floats with an exponent from 1e+06 on.
pub(super) fn number(n: &Number) -> String {
    match n.as_f64() {
        Some(float) if n.is_f64() => go_float(float),
        _ => n.to_string(),
    }
}

fn go_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn write_plain(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::Bool(b) => {
            let _ = write!(text, "{b}");
        }
        Value::Number(n) => text.push_str(&number(n)),
        Value::String(s) => text.push_str(s),
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(' ');
                }
                write_plain(text, item);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push_str("map[");
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    text.push(' ');
                }
                text.push_str(key);
                text.push(':');
                write_plain(text, value);
            }
            text.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_go_prints_them() {
        assert_eq!(plain(&json!({"b": [1, "x"], "a": null, "c": {"d": true}})), "map[a:<nil> b:[1 x] c:map[d:true]]");
        assert_eq!(plain(&json!([1.5, 1234567.0, 1e-7])), "[1.5 1.234567e+06 1e-07]");
        assert_eq!(source(&json!({"a": ["x", 1]})), r#"map[string]interface {}{"a":[]interface {}{"x", 1}}"#);
    }
}
