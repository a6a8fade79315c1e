//! The body of a write as an object, whatever its encoding, with Kubernetes' answers where that fails.
//!
//! Whether the object is of a kind that the endpoint takes is checked by the caller, and so are its fields.

use atoll_api::field::go_quote;
use atoll_api::{ApiError, GroupVersionKind, Object, Reason};
use serde_json::{Map, Value};

use super::json::{self, Duplicates, MAX_BODY};
use super::negotiate::Encoding;
use super::protobuf::{self, ProtobufError, TypeMeta};
use super::strict::StrictFault;
use super::yaml;

/// How many bytes of a body that is not understood are shown.
const SHOWN: usize = 30;

/// An object from a request, and the keys that were given more than once.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// The object.
    pub object: Object,
    /// Duplicate keys, in the order of the document.
    pub faults: Vec<StrictFault>,
}

/// Reads a body that is expected to be of a kind, and is of it if it does not say of which.
pub fn read_object(
    bytes: &[u8],
    encoding: Encoding,
    expected: &GroupVersionKind,
    duplicates: Duplicates,
) -> Result<Body, ApiError> {
    let Body { mut object, faults } = read_document(bytes, encoding, expected, duplicates)?;
    let api_version = match object.api_version() {
        "" => expected.group_version().to_string(),
        named => named.to_owned(),
    };
    let kind = if object.kind().is_empty() { expected.kind.to_string() } else { object.kind().to_owned() };
    object.set_type(&api_version, &kind);
    Ok(Body { object, faults })
}

/// Reads a body that is expected to be of a kind, without filling in what it does not say.
pub fn read_document(
    bytes: &[u8],
    encoding: Encoding,
    expected: &GroupVersionKind,
    duplicates: Duplicates,
) -> Result<Body, ApiError> {
    let not_understood = |why: String| unrecognized(&expected.kind, &why, bytes);
    let (value, faults) = match encoding {
        Encoding::Json => {
            let document = json::parse(bytes, duplicates)
                .map_err(|error| not_understood(format!("couldn't get version/kind; json parse error: {error}")))?;
            (document.value, document.faults)
        }
        Encoding::Yaml => {
            let document = yaml::parse(bytes).map_err(|error| not_understood(error.to_string()))?;
            (document.value, document.faults)
        }
        Encoding::Protobuf => (Value::Object(read_protobuf(bytes, expected)?), Vec::new()),
    };
    let object = as_document(value).map(Object).map_err(not_understood)?;
    Ok(Body { object, faults })
}

/// Checks that what a document says of its type can be read: texts, and a group with a version.
pub fn check_type_fields(document: &Map<String, Value>) -> Result<(), String> {
    for field in ["apiVersion", "kind"] {
        if let Some(other) = document.get(field).filter(|value| !(value.is_string() || value.is_null())) {
            let what = json_type(other);
            let why = format!("json: cannot unmarshal {what} into Go struct field .{field} of type string");
            return Err(format!("couldn't get version/kind; json parse error: {why}"));
        }
    }
    match document.get("apiVersion").and_then(Value::as_str) {
        Some(named) if named.matches('/').count() > 1 => Err(format!("unexpected GroupVersion string: {named}")),
        _ => Ok(()),
    }
}

/// Reads a document that may stand for an object with nothing in it.
pub fn as_document(value: Value) -> Result<Map<String, Value>, String> {
    let document = match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => return Err(not_an_object(&other)),
    };
    check_type_fields(&document)?;
    Ok(document)
}

fn read_protobuf(bytes: &[u8], expected: &GroupVersionKind) -> Result<Map<String, Value>, ApiError> {
    let default = TypeMeta { api_version: expected.group_version().to_string(), kind: expected.kind.to_string() };
    protobuf::decode(bytes, &default).map_err(|error| match protobuf::type_of(bytes) {
        Err(_) => unrecognized(&expected.kind, &error.to_string(), bytes),
        Ok(named) => {
            let kind = if named.kind.is_empty() { &default.kind } else { &named.kind };
            let api_version = if named.api_version.is_empty() { &default.api_version } else { &named.api_version };
            let version = api_version.rsplit('/').next().unwrap_or_default();
            let why = match &error {
                ProtobufError::UnknownKind { .. } => format!("{error} in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
                _ => error.to_string(),
            };
            cannot_be_handled(kind, version, &expected.kind, &why)
        }
    })
}

/// Refuses an object whose type is known but that is not as objects of the expected kind are.
pub fn cannot_be_handled(kind: &str, version: &str, expected_kind: &str, why: &str) -> ApiError {
    let version = go_quote(version);
    ApiError::bad_request(format!("{kind} in version {version} cannot be handled as a {expected_kind}: {why}"))
}

/// Refuses a body of which not even the type can be told.
pub fn unrecognized(expected_kind: &str, why: &str, body: &[u8]) -> ApiError {
    let shown = summary(body);
    let message = format!("the object provided is unrecognized (must be of type {expected_kind}): {why} ({shown})");
    ApiError::bad_request(message)
}

/// Refuses a body that is larger than [`MAX_BODY`].
pub fn too_large() -> ApiError {
    let message = format!("Request entity too large: limit is {MAX_BODY}");
    ApiError::new(Reason::RequestEntityTooLarge, message)
}

/// The beginning of a body: what looks like JSON as text, anything else in hexadecimal.
fn summary(body: &[u8]) -> String {
    let head = &body[..body.len().min(SHOWN)];
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match head.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => {
            let digits: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}{more}")
        }
    }
}

fn not_an_object(value: &Value) -> String {
    let fields = r#"APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"""#;
    let text = format!("json: cannot unmarshal {} into Go value of type struct {{ {fields} }}", json_type(value));
    format!("couldn't get version/kind; json parse error: {text}")
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(bytes: &[u8], encoding: Encoding) -> Result<Body, ApiError> {
        read_object(bytes, encoding, &GroupVersionKind::new("", "v1", "ConfigMap"), Duplicates::Merge)
    }

    #[test]
    fn all_encodings_give_the_same_object() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        let bodies = [
            (object.to_string().into_bytes(), Encoding::Json),
            (b"{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}".to_vec(), Encoding::Json),
            (yaml::to_vec(&object), Encoding::Yaml),
            (protobuf::encode(&object).expect("a built-in kind"), Encoding::Protobuf),
        ];
        for (bytes, encoding) in bodies {
            let body = read(&bytes, encoding).expect("well formed");
            assert_eq!(
                body,
                Body { object: Object::from_value(object.clone()).expect("an object"), faults: Vec::new() }
            );
        }
        assert_eq!(read(b"null", Encoding::Json).expect("no object at all").object.kind(), "ConfigMap");
    }

    #[test]
    fn bodies_that_are_not_understood_are_shown_in_part() {
        let head = "the object provided is unrecognized (must be of type ConfigMap): ";
        let cases: [(&[u8], Encoding, &str); 8] = [
            (
                b"",
                Encoding::Json,
                "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
            ),
            (
                b"{\"a\"",
                Encoding::Json,
                "couldn't get version/kind; json parse error: unexpected end of JSON input ({\"a\")",
            ),
            (
                b"hello",
                Encoding::Json,
                "couldn't get version/kind; json parse error: invalid character 'h' looking for beginning of value (68656c6c6f)",
            ),
            (
                b"[]",
                Encoding::Json,
                r#"couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)"#,
            ),
            (
                b"{\"kind\":5}",
                Encoding::Json,
                "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string ({\"kind\":5})",
            ),
            (
                b"{\"apiVersion\":\"a/b/c\"}",
                Encoding::Json,
                "unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\"})",
            ),
            (
                b"apiVersion: v1\nkind: ConfigMap\n\tmetadata: x\n",
                Encoding::Yaml,
                "yaml: line 3: found a tab character that violates indentation (61706956657273696f6e3a2076310a6b696e643a20436f6e6669674d6170 ...)",
            ),
            (
                b"{}",
                Encoding::Protobuf,
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})",
            ),
        ];
        for (bytes, encoding, expected) in cases {
            let error = read(bytes, encoding).expect_err(expected);
            assert_eq!((error.status.code, error.status.message), (400, format!("{head}{expected}")));
        }
    }

    #[test]
    fn messages_that_are_broken_name_their_kind() {
        let unknown = protobuf::envelope("example.com/v1", "Widget", b"");
        let broken = protobuf::envelope("v1", "ConfigMap", b"\x0a\x05");
        let cases = [
            (
                unknown,
                "Widget in version \"v1\" cannot be handled as a ConfigMap: no kind \"Widget\" is registered for version \"example.com/v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
            (broken, "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: unexpected EOF"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(&bytes, Encoding::Protobuf).expect_err(expected).status.message, expected);
        }
        assert_eq!(too_large().status.message, "Request entity too large: limit is 3145728");
    }
}
