//! A document as the bytes of an answer, in the encoding that was agreed on.
//!
//! Which encodings there are for a document is settled in negotiation.

use serde_json::Value;

use super::negotiate::Encoding;
use super::protobuf::{self, ProtobufError};
use super::{json, yaml};

/// Whether text is laid out for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// As short as it can be.
    #[default]
    Compact,
    /// Indented.
    Pretty,
}

/// Writes a document that names its `apiVersion` and kind. Only protobuf can fail.
pub fn write_document(document: &Value, encoding: Encoding, layout: Layout) -> Result<Vec<u8>, ProtobufError> {
    Ok(match (encoding, layout) {
        (Encoding::Json, Layout::Pretty) => json::to_pretty_vec(document),
        (Encoding::Json, Layout::Compact) => {
            let mut bytes = json::to_vec(document);
            // Kubernetes ends compact documents with a new line, and watch events are told apart by it.
            bytes.push(b'\n');
            bytes
        }
        (Encoding::Yaml, _) => yaml::to_vec(document),
        (Encoding::Protobuf, _) => protobuf::encode(document)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_written_in_every_encoding() {
        let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "code": 404});
        let written = |encoding, layout| write_document(&status, encoding, layout).expect("a built-in kind");
        let text = |encoding, layout| String::from_utf8(written(encoding, layout)).expect("text");
        let compact = "{\"apiVersion\":\"v1\",\"code\":404,\"kind\":\"Status\",\"metadata\":{}}\n";
        assert_eq!(text(Encoding::Json, Layout::Compact), compact);
        assert!(text(Encoding::Json, Layout::Pretty).starts_with("{\n  \"apiVersion\": \"v1\",\n"));
        assert_eq!(text(Encoding::Yaml, Layout::Compact), "apiVersion: v1\ncode: 404\nkind: Status\nmetadata: {}\n");
        assert!(written(Encoding::Protobuf, Layout::Compact).starts_with(protobuf::MAGIC));
        let custom = json!({"apiVersion": "example.com/v1", "kind": "Widget"});
        assert!(write_document(&custom, Encoding::Protobuf, Layout::Compact).is_err());
    }
}
