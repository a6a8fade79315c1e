//! OpenAPI 2 documents as messages (`openapi.v2.Document`, as gnostic defines it), which is the only form older clients ask
//! for.
//!
//! Only what Kubernetes' documents hold is written; words that begin with `x-` are kept as the text they are.

use serde_json::{Map, Value};

use super::wire::Writer;

/// Writes a document.
pub fn encode_openapi_v2(document: &Value) -> Vec<u8> {
    let mut out = Writer::with_prefix(&[]);
    text(&mut out, 1, &document["swagger"]);
    out.nested(2, |out| {
        text(out, 1, &document["info"]["title"]);
        text(out, 2, &document["info"]["version"]);
    });
    out.nested(8, |out| {
        for (path, item) in entries(&document["paths"]) {
            named(out, 2, path, |out| path_item(out, item));
        }
    });
    out.nested(9, |out| {
        for (name, definition) in entries(&document["definitions"]) {
            named(out, 1, name, |out| schema(out, definition));
        }
    });
    out.nested(10, |out| {
        for (name, value) in entries(&document["parameters"]) {
            named(out, 1, name, |out| one_parameter(out, value));
        }
    });
    for requirement in list(&document["security"]) {
        out.nested(12, |out| {
            for (name, scopes) in entries(requirement) {
                named(out, 1, name, |out| texts(out, 1, scopes));
            }
        });
    }
    out.nested(13, |out| {
        for (name, definition) in entries(&document["securityDefinitions"]) {
            named(out, 1, name, |out| out.nested(2, |out| api_key(out, definition)));
        }
    });
    out.into_bytes()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(out: &mut Writer, number: u32, value: &Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        out.text(number, text);
    }
}

fn texts(out: &mut Writer, number: u32, value: &Value) {
    for text in list(value).iter().filter_map(Value::as_str) {
        out.text(number, text);
    }
}

fn flag(out: &mut Writer, number: u32, value: &Value) {
    if value.as_bool().unwrap_or_default() {
        out.varint(number, 1);
    }
}

fn integer(out: &mut Writer, number: u32, value: &Value) {
    if let Some(value) = value.as_i64().filter(|value| *value != 0) {
        out.varint(number, value as u64);
    }
}

fn double(out: &mut Writer, number: u32, value: &Value) {
    if let Some(value) = value.as_f64().filter(|value| *value != 0.0) {
        out.double(number, value);
    }
}

/// A value of any shape, as the text it is in YAML; JSON is YAML.
fn any(out: &mut Writer, number: u32, value: &Value) {
    out.nested(number, |out| out.text(2, &value.to_string()));
}

/// A name and a message.
fn named(out: &mut Writer, number: u32, name: &str, write: impl FnOnce(&mut Writer)) {
    out.nested(number, |out| {
        out.text(1, name);
        out.nested(2, write);
    });
}

fn extensions(out: &mut Writer, number: u32, value: &Value) {
    for (name, value) in entries(value).filter(|(name, _)| name.starts_with("x-")) {
        out.nested(number, |out| {
            out.text(1, name);
            any(out, 2, value);
        });
    }
}

/// The numbers of methods.
const METHODS: [(u32, &str); 7] =
    [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")];

fn path_item(out: &mut Writer, item: &Value) {
    for (number, method) in METHODS {
        if item[method].is_object() {
            out.nested(number, |out| operation(out, &item[method]));
        }
    }
    for value in list(&item["parameters"]) {
        out.nested(9, |out| parameter(out, value));
    }
}

fn operation(out: &mut Writer, value: &Value) {
    texts(out, 1, &value["tags"]);
    text(out, 3, &value["description"]);
    text(out, 5, &value["operationId"]);
    texts(out, 6, &value["produces"]);
    texts(out, 7, &value["consumes"]);
    for value in list(&value["parameters"]) {
        out.nested(8, |out| parameter(out, value));
    }
    out.nested(9, |out| {
        for (code, answer) in entries(&value["responses"]) {
            named(out, 1, code, |out| out.nested(1, |out| response(out, answer)));
        }
    });
    texts(out, 10, &value["schemes"]);
    extensions(out, 13, value);
}

fn response(out: &mut Writer, value: &Value) {
    text(out, 1, &value["description"]);
    if value["schema"].is_object() {
        out.nested(2, |out| out.nested(1, |out| schema(out, &value["schema"])));
    }
}

/// A parameter, or where it is.
fn parameter(out: &mut Writer, value: &Value) {
    match value.get("$ref") {
        Some(target) => out.nested(2, |out| text(out, 1, target)),
        None => out.nested(1, |out| one_parameter(out, value)),
    }
}

fn one_parameter(out: &mut Writer, value: &Value) {
    match value["in"].as_str() {
        Some("body") => out.nested(1, |out| {
            text(out, 1, &value["description"]);
            text(out, 2, &value["name"]);
            text(out, 3, &value["in"]);
            flag(out, 4, &value["required"]);
            out.nested(5, |out| schema(out, &value["schema"]));
        }),
        Some("path") => out.nested(2, |out| out.nested(4, |out| plain_parameter(out, value, [4, 5, 19]))),
        _ => out.nested(2, |out| out.nested(3, |out| plain_parameter(out, value, [4, 6, 20]))),
    }
}

/// A parameter that is no body; the numbers of its name, type and uniqueness depend on where it stands.
fn plain_parameter(out: &mut Writer, value: &Value, [name, type_name, unique]: [u32; 3]) {
    flag(out, 1, &value["required"]);
    text(out, 2, &value["in"]);
    text(out, 3, &value["description"]);
    text(out, name, &value["name"]);
    text(out, type_name, &value["type"]);
    flag(out, unique, &value["uniqueItems"]);
}

fn api_key(out: &mut Writer, value: &Value) {
    text(out, 1, &value["type"]);
    text(out, 2, &value["name"]);
    text(out, 3, &value["in"]);
    text(out, 4, &value["description"]);
}

fn schema(out: &mut Writer, value: &Value) {
    let Value::Object(fields) = value else { return };
    plain_words(out, fields);
    for accepted in fields.get("enum").map(list).unwrap_or_default() {
        any(out, 20, accepted);
    }
    match fields.get("additionalProperties") {
        Some(Value::Bool(allowed)) => out.nested(21, |out| out.varint(2, u64::from(*allowed))),
        Some(values) => out.nested(21, |out| out.nested(1, |out| schema(out, values))),
        None => {}
    }
    if let Some(name) = fields.get("type").and_then(Value::as_str) {
        out.nested(22, |out| out.text(1, name));
    }
    if let Some(items) = fields.get("items") {
        out.nested(23, |out| out.nested(1, |out| schema(out, items)));
    }
    for part in fields.get("allOf").map(list).unwrap_or_default() {
        out.nested(24, |out| schema(out, part));
    }
    if let Some(properties) = fields.get("properties") {
        out.nested(25, |out| {
            for (name, property) in entries(properties) {
                named(out, 1, name, |out| schema(out, property));
            }
        });
    }
    extensions(out, 31, value);
}

fn plain_words(out: &mut Writer, fields: &Map<String, Value>) {
    let word = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    for (number, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        text(out, number, word(name));
    }
    if let Some(default) = fields.get("default") {
        any(out, 5, default);
    }
    for (number, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        double(out, number, word(name));
    }
    for (number, name) in [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems")] {
        flag(out, number, word(name));
    }
    let sizes = [
        (11, "maxLength"),
        (12, "minLength"),
        (14, "maxItems"),
        (15, "minItems"),
        (17, "maxProperties"),
        (18, "minProperties"),
    ];
    for (number, name) in sizes {
        integer(out, number, word(name));
    }
    texts(out, 19, word("required"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_is_written_with_its_name_its_type_and_its_extensions() {
        let document = json!({"swagger": "2.0", "definitions": {"a": {"type": "string", "x-b": true}}});
        let definition: &[u8] =
            b"\x0a\x01a\x12\x1b\xb2\x01\x08\x0a\x06string\xfa\x01\x0d\x0a\x03x-b\x12\x06\x12\x04true";
        let mut expected = b"\x0a\x032.0\x12\x00\x42\x00\x4a".to_vec();
        expected.push(definition.len() as u8 + 2);
        expected.push(0x0a);
        expected.push(definition.len() as u8);
        expected.extend_from_slice(definition);
        expected.extend_from_slice(b"\x52\x00\x6a\x00");
        assert_eq!(encode_openapi_v2(&document), expected);
    }
}
