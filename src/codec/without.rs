//! JSON read without one of its fields, which is passed over and never built.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Reads an object of JSON without the field at a path.
///
/// Fails if this is no JSON, or if there is anything but objects along the path.
pub fn read(json: &[u8], path: &[&str]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let object = Without(path).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(object)
}

/// What reads an object without the field at this path.
struct Without<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Without<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Without<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(A::Error::custom("no field is named"));
        };
        let mut object = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            if field != *first {
                let value = fields.next_value()?;
                object.insert(field, value);
            } else if rest.is_empty() {
                fields.next_value::<IgnoredAny>()?;
            } else {
                let within = fields.next_value_seed(Without(rest))?;
                object.insert(field, Value::Object(within));
            }
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(json: &str, path: &[&str], expected: Option<Value>) {
        assert_eq!(read(json.as_bytes(), path).ok().map(Value::Object), expected, "{json} without {path:?}");
    }

    #[test]
    fn one_field_is_left_out_and_nothing_else() {
        let object = r#"{"a":{"b":[1,{"c":2}],"c":"\u0041"},"b":1.5}"#;
        check(object, &["a", "b"], Some(json!({"a": {"c": "A"}, "b": 1.5})));
        check(object, &["b"], Some(json!({"a": {"b": [1, {"c": 2}], "c": "A"}})));
        check(object, &["a", "none"], Some(json!({"a": {"b": [1, {"c": 2}], "c": "A"}, "b": 1.5})));
        check("{}", &["a"], Some(json!({})));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        check("[]", &["a"], None);
        check(r#"{"a":1}"#, &["a", "b"], None);
        check(r#"{"a":{"b":}}"#, &["a", "b"], None);
        check("{} {}", &["a"], None);
        check("{}", &[], None);
    }
}
