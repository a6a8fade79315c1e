//! What the types and fields of the catalog are for, in the words of Kubernetes' own documentation.
//!
//! The text is large and seldom wanted: it stays compressed in the binary, and who reads it drops it again.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

/// The descriptions as the build took them from their source.
static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.json.deflate"));

/// The descriptions of all types of the catalog that have some.
#[derive(Debug, Default)]
pub struct Descriptions(HashMap<String, HashMap<String, String>>);

impl Descriptions {
    /// Unpacks the descriptions: some milliseconds and megabytes, so keep them only while they are of use.
    pub fn unpack() -> Self {
        let mut text = Vec::new();
        let unpacked = DeflateDecoder::new(COMPRESSED).read_to_end(&mut text);
        let parsed = unpacked.ok().and_then(|_| serde_json::from_slice(&text).ok());
        Self(parsed.unwrap_or_default())
    }

    /// What a type such as `core.v1.Pod` is.
    pub fn of_type(&self, name: &str) -> Option<&str> {
        self.of_field(name, "")
    }

    /// What a field of a type is for.
    pub fn of_field(&self, name: &str, field: &str) -> Option<&str> {
        self.0.get(name)?.get(field).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::Descriptions;

    #[test]
    fn types_and_fields_are_described() {
        let descriptions = Descriptions::unpack();
        assert!(descriptions.of_type("apps.v1.Deployment").is_some_and(|text| text.contains("Pods")));
        assert!(
            descriptions.of_field("meta.v1.ObjectMeta", "name").is_some_and(|text| text.starts_with("Name must be"))
        );
        assert_eq!(descriptions.of_field("core.v1.Pod", "no such field"), None);
    }
}
