//! Kubernetes' protobuf: built-in objects between JSON values and messages, in the envelope `k8s\0` and in the frames of a watch.
//!
//! Field numbers come from the tables of built-in types; nothing is compiled per type. Custom resources have no protobuf but for their
//! bare metadata, and tables have none at all.

mod decode;
mod encode;
mod openapi;
mod tables;
mod wire;

use atoll_api::field::go_quote;
use serde_json::{Map, Value};

pub use openapi::encode_openapi_v2;
use tables::{Kind, Message, tables};
use wire::{Reader, Writer};

/// The bytes every enveloped message begins with.
pub const MAGIC: &[u8] = b"k8s\0";

/// Why a message cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// The bytes are not a message, or not one of the kind they claim to be.
    #[error("{0}")]
    Malformed(String),
    /// No built-in type has this `apiVersion` and kind.
    #[error("no kind {} is registered for version {}", go_quote(.kind), go_quote(.api_version))]
    UnknownKind {
        /// The `apiVersion`.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// A value that does not fit the type of its field.
    #[error("the value of field {field:?} cannot be written as protobuf")]
    Unfit {
        /// The field's name.
        field: String,
    },
}

/// The type an envelope names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypeMeta {
    /// The `apiVersion`; empty if not named.
    pub api_version: String,
    /// The kind; empty if not named.
    pub kind: String,
}

/// Whether there is protobuf of a kind.
pub fn supports(api_version: &str, kind: &str) -> bool {
    tables().kind(api_version, kind).is_some()
}

/// Writes an object that names its `apiVersion` and kind, with the envelope.
pub fn encode(object: &Value) -> Result<Vec<u8>, ProtobufError> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let message = message(api_version, kind)?;
    let mut writer = Writer::default();
    let map = object.as_object().ok_or_else(|| ProtobufError::Unfit { field: String::new() })?;
    encode::message(message, map, &mut writer)?;
    Ok(envelope(api_version, kind, &writer.into_bytes()))
}

/// Whether there is a kind of this name in this group and version.
pub fn is_kind(api_version: &str, kind: &str) -> bool {
    message(api_version, kind).is_ok()
}

/// Puts a message into the envelope.
pub fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_prefix(MAGIC);
    writer.nested(1, |writer| {
        writer.text(1, api_version);
        writer.text(2, kind);
    });
    writer.bytes(2, message);
    writer.text(3, "");
    writer.text(4, "");
    writer.into_bytes()
}

/// Writes a list, with the envelope, item by item: it never stands as a whole but in its last form.
pub struct ListEncoder<'a> {
    api_version: &'a str,
    kind: &'a str,
    /// The number of the items' field, and their message.
    items: (u32, &'static Message),
    writer: Writer,
}

// === impl ListEncoder ===

impl<'a> ListEncoder<'a> {
    /// Begins a list of this `apiVersion` and kind with its `metadata`.
    pub fn begin(api_version: &'a str, kind: &'a str, meta: &Value) -> Result<Self, ProtobufError> {
        let list = message(api_version, kind)?;
        let items = list.field_named("items").and_then(|field| match field.kind {
            Kind::Message(index) => Some((field.number, tables().message(index))),
            _ => None,
        });
        let items = items.ok_or_else(|| ProtobufError::Unfit { field: "items".to_owned() })?;
        let mut writer = Writer::default();
        let head = Map::from_iter([("metadata".to_owned(), meta.clone())]);
        encode::message(list, &head, &mut writer)?;
        Ok(Self { api_version, kind, items, writer })
    }

    /// Adds an item.
    pub fn add(&mut self, item: &Value) -> Result<(), ProtobufError> {
        let (number, message) = self.items;
        let map = item.as_object().ok_or_else(|| ProtobufError::Unfit { field: "items".to_owned() })?;
        let start = self.writer.begin(number);
        encode::message(message, map, &mut self.writer)?;
        self.writer.end(start);
        Ok(())
    }

    /// The whole list.
    pub fn end(self) -> Vec<u8> {
        envelope(self.api_version, self.kind, &self.writer.into_bytes())
    }
}

/// The type that an enveloped message names.
pub fn type_of(bytes: &[u8]) -> Result<TypeMeta, ProtobufError> {
    open(bytes).map(|(named, _)| named)
}

/// Reads an enveloped message as an object; where the envelope names no type, it is of the type given.
pub fn decode(bytes: &[u8], default: &TypeMeta) -> Result<Map<String, Value>, ProtobufError> {
    let (mut named, body) = open(bytes)?;
    if named.kind.is_empty() {
        named.kind.clone_from(&default.kind);
    }
    if named.api_version.is_empty() {
        named.api_version.clone_from(&default.api_version);
    }
    let message = message(&named.api_version, &named.kind)?;
    let mut object = Map::new();
    decode::message(message, body, &mut object)?;
    object.insert("apiVersion".to_owned(), named.api_version.into());
    object.insert("kind".to_owned(), named.kind.into());
    Ok(object)
}

/// One frame of a watch stream: its length, and the event with an enveloped object.
pub fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_prefix(&[0; 4]);
    writer.text(1, event);
    writer.nested(2, |writer| writer.bytes(1, object));
    let mut frame = writer.into_bytes();
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

fn message(api_version: &str, kind: &str) -> Result<&'static Message, ProtobufError> {
    tables()
        .kind(api_version, kind)
        .ok_or_else(|| ProtobufError::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() })
}

/// The type and the message in an envelope.
fn open(bytes: &[u8]) -> Result<(TypeMeta, &[u8]), ProtobufError> {
    let Some(unknown) = bytes.strip_prefix(MAGIC) else {
        let what = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
        return Err(ProtobufError::Malformed(what.to_owned()));
    };
    let (mut named, mut body) = (TypeMeta::default(), &[][..]);
    let mut reader = Reader::new(unknown);
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => {
                let mut reader = Reader::new(field.bytes()?);
                while let Some(field) = reader.next_field()? {
                    match field.number {
                        1 => named.api_version = wire::lossy(field.bytes()?),
                        2 => named.kind = wire::lossy(field.bytes()?),
                        _ => {}
                    }
                }
            }
            2 => body = field.bytes()?,
            _ => {}
        }
    }
    Ok((named, body))
}

#[cfg(test)]
mod tests;
