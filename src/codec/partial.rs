//! Objects without anything but their metadata: `PartialObjectMetadata`.
//!
//! Stored objects are bytes, so there is a way from bytes to bytes that copies the metadata as it stands.

use std::borrow::Cow;
use std::collections::BTreeMap;

use atoll_api::Object;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::negotiate::MetaVersion;

/// The metadata of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListMeta {
    /// The version of the store the list shows.
    pub resource_version: String,
    /// Where the next part begins; empty if this is the last.
    pub continue_token: String,
    /// How many items are left for later parts, if that is known.
    pub remaining_item_count: Option<u64>,
}

impl ListMeta {
    /// The `metadata` of a list.
    pub fn to_value(&self) -> Value {
        let mut meta = Map::new();
        if !self.resource_version.is_empty() {
            meta.insert("resourceVersion".into(), self.resource_version.as_str().into());
        }
        if !self.continue_token.is_empty() {
            meta.insert("continue".into(), self.continue_token.as_str().into());
        }
        if let Some(count) = self.remaining_item_count {
            meta.insert("remainingItemCount".into(), count.into());
        }
        Value::Object(meta)
    }
}

/// An object's metadata as a `PartialObjectMetadata`.
pub fn partial_object(mut object: Object, version: MetaVersion) -> Value {
    // `json!` would copy what is in it by serializing it.
    let mut partial = Map::new();
    partial.insert("kind".into(), "PartialObjectMetadata".into());
    partial.insert("apiVersion".into(), version.api_version().into());
    partial.insert("metadata".into(), object.0.remove("metadata").unwrap_or_else(|| Map::new().into()));
    Value::Object(partial)
}

/// The JSON of an object to the JSON of its `PartialObjectMetadata`; `None` if the bytes are no JSON object.
pub fn partial_bytes(object: &[u8], version: MetaVersion) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
    }
    let whole: Whole<'_> = serde_json::from_slice(object).ok()?;
    let metadata = whole.metadata.map_or("{}", RawValue::get);
    let head =
        format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"{}\",\"metadata\":", version.api_version());
    Some([head.as_bytes(), metadata.as_bytes(), b"}"].concat())
}

/// What stored bytes do not say of an object, and its metadata does.
#[derive(Debug, Clone, Copy)]
pub struct Added<'a> {
    /// Its resource version.
    pub revision: u64,
    /// An annotation it gets, and its value.
    pub annotation: Option<(&'a str, &'a str)>,
}

/// Appends the `PartialObjectMetadata` of a stored object, of which nothing behind its metadata is looked at. Appends
/// nothing, and gives `false`, if the bytes do not begin with metadata as stored ones do.
pub fn write_partial(stored: &[u8], added: Added<'_>, version: MetaVersion, out: &mut Vec<u8>) -> bool {
    let Some(metadata) = stored.strip_prefix(b"{\"metadata\":") else { return false };
    let Ok(metadata) = <&RawValue>::deserialize(&mut serde_json::Deserializer::from_slice(metadata)) else {
        return false;
    };
    let before = out.len();
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":{\"resourceVersion\":\"");
    out.extend_from_slice(added.revision.to_string().as_bytes());
    out.push(b'"');
    let written = match added.annotation {
        None => write_fields(metadata, out),
        Some(annotation) => write_annotated(metadata, annotation, out),
    };
    match written {
        Some(()) => out.extend_from_slice(b"}}"),
        None => out.truncate(before),
    }
    written.is_some()
}

/// The fields of an object of JSON as they stand, behind one that was written.
fn write_fields(metadata: &RawValue, out: &mut Vec<u8>) -> Option<()> {
    let fields = metadata.get().strip_prefix('{')?.strip_suffix('}')?;
    if !fields.trim_ascii().is_empty() {
        out.push(b',');
        out.extend_from_slice(fields.as_bytes());
    }
    Some(())
}

fn write_annotated(metadata: &RawValue, (key, value): (&str, &str), out: &mut Vec<u8>) -> Option<()> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(metadata.get()).ok()?;
    let mut annotations: Map<String, Value> = match fields.get("annotations") {
        Some(annotations) => serde_json::from_str::<Option<_>>(annotations.get()).ok()?.unwrap_or_default(),
        None => Map::new(),
    };
    annotations.insert(key.to_owned(), value.into());
    out.extend_from_slice(b",\"annotations\":");
    serde_json::to_writer(&mut *out, &annotations).ok()?;
    for (field, value) in fields.iter().filter(|(field, _)| *field != "annotations") {
        out.push(b',');
        serde_json::to_writer(&mut *out, field).ok()?;
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_but_metadata_is_left() {
        let object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "u"}, "spec": {"x": 1}});
        let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a", "uid": "u"}});
        let bytes = partial_bytes(object.to_string().as_bytes(), MetaVersion::V1).expect("a JSON object");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), expected);
        let object = Object::from_value(object).expect("an object");
        assert_eq!(partial_object(object, MetaVersion::V1), expected);
        assert_eq!(partial_bytes(b"[]", MetaVersion::V1), None);
    }

    fn check_written(stored: &str, annotation: Option<(&str, &str)>, expected: Value) {
        let mut out = b"before".to_vec();
        let added = Added { revision: 42, annotation };
        assert!(write_partial(stored.as_bytes(), added, MetaVersion::V1, &mut out), "{stored}");
        let written: Value = serde_json::from_slice(&out[b"before".len()..]).expect("JSON");
        let whole = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": expected});
        assert_eq!(written, whole, "{stored}");
    }

    #[test]
    fn stored_metadata_is_written_with_its_version_and_what_is_annotated() {
        let cluster = Some(("kcp.io/cluster", "a"));
        check_written(r#"{"metadata":{},"x":1}"#, None, json!({"resourceVersion": "42"}));
        check_written(r#"{"metadata":{"name":"n"},"x":1}"#, None, json!({"resourceVersion": "42", "name": "n"}));
        check_written(
            r#"{"metadata":{"name":"n","labels":{"a":"}"}}}"#,
            cluster,
            json!({"resourceVersion": "42", "name": "n", "labels": {"a": "}"}, "annotations": {"kcp.io/cluster": "a"}}),
        );
        check_written(
            r#"{"metadata":{"annotations":{"k\n":"v","kcp.io/cluster":"forged"},"name":"n"}}"#,
            cluster,
            json!({"resourceVersion": "42", "name": "n", "annotations": {"k\n": "v", "kcp.io/cluster": "a"}}),
        );
        check_written(
            r#"{"metadata":{"annotations":null}}"#,
            cluster,
            json!({"resourceVersion": "42", "annotations": {"kcp.io/cluster": "a"}}),
        );
    }

    #[test]
    fn bytes_that_are_not_as_stored_ones_write_nothing() {
        for stored in ["", "{}", r#"{"metadata":{"#, r#"{"metadata":[]}"#, r#"{"x":1,"metadata":{}}"#] {
            for annotation in [None, Some(("k", "v"))] {
                let mut out = b"before".to_vec();
                let added = Added { revision: 42, annotation };
                assert!(!write_partial(stored.as_bytes(), added, MetaVersion::V1, &mut out), "{stored}");
                assert_eq!(out, b"before");
            }
        }
    }
}
