//! JSON merge patch (RFC 7396), as kube-apiserver applies it.
//!
//! Two habits of its library are kept: a `null` inside a list that is new to the object is dropped from objects in that list, and
//! a patch that is `null` is malformed.

use serde_json::{Map, Value};

use super::{Error, shown};

/// Applies a merge patch to a document.
pub fn apply(document: Value, patch: &Value) -> Result<Value, Error> {
    match (document, patch) {
        (_, Value::Null) => Err(Error::BadRequest("Invalid JSON Patch".to_owned())),
        (Value::Object(mut document), Value::Object(patch)) => {
            merge(&mut document, patch);
            Ok(Value::Object(document))
        }
        (_, Value::Object(patch)) => Ok(without_nulls(&Value::Object(patch.clone()))),
        (_, other) => Err(Error::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            shown::json_kind(other)
        ))),
    }
}

fn merge(document: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        if change.is_null() {
            document.remove(key);
            continue;
        }
        match (document.get_mut(key), change) {
            (Some(Value::Object(current)), Value::Object(change)) => merge(current, change),
            // A list or scalar that takes the place of a map is taken as it stands.
            (Some(current @ Value::Object(_)), change) => *current = change.clone(),
            (Some(current), change) => *current = without_nulls(change),
            (None, change) => {
                document.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

/// A copy without the fields that are null; elements of lists that are null stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(document: Value, patch: Value, expected: Value) {
        assert_eq!(apply(document.clone(), &patch).as_ref(), Ok(&expected), "{document} patched by {patch}");
    }

    fn check_error(patch: Value, message: &str) {
        assert_eq!(apply(json!({}), &patch), Err(Error::BadRequest(message.to_owned())));
    }

    #[test]
    fn the_examples_of_the_standard_hold() {
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
        check(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }

    #[test]
    fn nulls_in_new_lists_vanish_from_objects_only() {
        check(json!({}), json!({"a": [null, {"b": null, "c": 1}]}), json!({"a": [null, {"c": 1}]}));
        check(json!({"a": [1]}), json!({"a": [{"b": null}]}), json!({"a": [{}]}));
        check(json!({"a": {"x": 1}}), json!({"a": [{"b": null}]}), json!({"a": [{"b": null}]}));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let cannot = |kind: &str| {
            format!(
                "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )
        };
        check_error(json!([1]), &cannot("array"));
        check_error(json!("text"), &cannot("string"));
        check_error(json!(1), &cannot("number"));
        check_error(json!(null), "Invalid JSON Patch");
    }
}
