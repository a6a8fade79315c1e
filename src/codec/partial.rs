//! Objects without anything but their metadata: `PartialObjectMetadata` and its list.
//!
//! Stored objects are bytes, so there is a way from bytes to bytes that copies the metadata as it stands.

use atoll_api::Object;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

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
pub fn partial_object(object: &Object, version: MetaVersion) -> Value {
    let metadata = object.metadata().cloned().unwrap_or_default();
    json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": metadata})
}

/// A list of such.
pub fn partial_list(items: Vec<Value>, meta: &ListMeta, version: MetaVersion) -> Value {
    let kind = "PartialObjectMetadataList";
    json!({"kind": kind, "apiVersion": version.api_version(), "metadata": meta.to_value(), "items": items})
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_metadata_is_left() {
        let object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "u"}, "spec": {"x": 1}});
        let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a", "uid": "u"}});
        let bytes = partial_bytes(object.to_string().as_bytes(), MetaVersion::V1).expect("a JSON object");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), expected);
        let object = Object::from_value(object).expect("an object");
        assert_eq!(partial_object(&object, MetaVersion::V1), expected);
        assert_eq!(partial_bytes(b"[]", MetaVersion::V1), None);
        let meta = ListMeta { resource_version: "5".into(), continue_token: "c".into(), remaining_item_count: Some(2) };
        let list = partial_list(vec![expected.clone()], &meta, MetaVersion::V1beta1);
        let expected = json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1beta1", "items": [expected],
            "metadata": {"resourceVersion": "5", "continue": "c", "remainingItemCount": 2},
        });
        assert_eq!(list, expected);
    }
}
