//! Messages to JSON values, as Go would write the object it decodes: without the zero values that JSON leaves out.
//!
//! Nesting is bounded; what a message has and the table does not is skipped.

use atoll_api::time::{format_micro_time, format_time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::tables::{Field, Kind, Message, Occurrence, tables};
use super::wire::{Reader, WireField, lossy, malformed};
use super::{MAGIC, ProtobufError, TypeMeta};
use crate::codec::json::{self, Duplicates, MAX_DEPTH};

type Read<T> = Result<T, ProtobufError>;

/// Reads the fields of a message into an object.
pub(super) fn message(message: &Message, bytes: &[u8], object: &mut Map<String, Value>) -> Read<()> {
    Decoder { depth: 0 }.message(message, bytes, object)
}

struct Decoder {
    /// How deep the value that is being read is nested.
    depth: usize,
}

impl Decoder {
    /// Counts one level more while `read` runs.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return malformed("exceeded max depth".to_owned());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn message(&mut self, message: &Message, bytes: &[u8], object: &mut Map<String, Value>) -> Read<()> {
        self.deeper(|decoder| {
            let mut reader = Reader::new(bytes);
            while let Some(wire) = reader.next_field()? {
                if let Some(field) = message.field(wire.number) {
                    decoder.field(field, wire, object)?;
                }
            }
            Ok(())
        })
    }

    fn field(&mut self, field: &Field, wire: WireField<'_>, object: &mut Map<String, Value>) -> Read<()> {
        match (field.occurrence, field.kind) {
            (Occurrence::Once, Kind::Message(index)) if field.is_inlined() => {
                // It belongs to the same object, so it is no deeper; tables have no cycles of these.
                return self.message(tables().message(index), wire.bytes()?, object);
            }
            (Occurrence::Once, Kind::Message(index)) => {
                let slot = object.entry(&*field.name).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(inner) = slot else { return Ok(()) };
                return self.message(tables().message(index), wire.bytes()?, inner);
            }
            (Occurrence::Once, _) => {
                let value = self.single(field, wire)?;
                let absent = value.is_null() && matches!(field.kind, Kind::Time | Kind::MicroTime | Kind::Raw);
                if absent || (field.drops_zero && is_zero(&value)) {
                    object.remove(&*field.name);
                } else {
                    object.insert(field.name.to_string(), value);
                }
            }
            (Occurrence::List, _) => {
                let slot = object.entry(&*field.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = slot {
                    self.deeper(|decoder| decoder.elements(field, wire, list))?;
                }
            }
            (Occurrence::Map, _) => {
                let slot = object.entry(&*field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = slot {
                    self.deeper(|decoder| decoder.entry(field, wire.bytes()?, map))?;
                }
            }
        }
        Ok(())
    }

    /// One element of a list, or several numbers packed into one field.
    fn elements(&mut self, field: &Field, wire: WireField<'_>, list: &mut Vec<Value>) -> Read<()> {
        if !(wire.is_bytes() && matches!(field.kind, Kind::Bool | Kind::Int32 | Kind::Int64)) {
            list.push(self.single(field, wire)?);
            return Ok(());
        }
        let mut reader = Reader::new(wire.bytes()?);
        while !reader.is_empty() {
            list.push(varint(field.kind, reader.varint()?));
        }
        Ok(())
    }

    fn entry(&mut self, field: &Field, bytes: &[u8], map: &mut Map<String, Value>) -> Read<()> {
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(bytes);
        while let Some(wire) = reader.next_field()? {
            match wire.number {
                1 => key = lossy(wire.bytes()?),
                2 => value = Some(self.single(field, wire)?),
                _ => {}
            }
        }
        map.insert(key, value.unwrap_or_else(|| zero(field.kind)));
        Ok(())
    }

    fn single(&mut self, field: &Field, wire: WireField<'_>) -> Read<Value> {
        Ok(match field.kind {
            Kind::Text => lossy(wire.bytes()?).into(),
            Kind::Bytes => STANDARD.encode(wire.bytes()?).into(),
            Kind::Bool | Kind::Int32 | Kind::Int64 => varint(field.kind, wire.varint()?),
            Kind::Double => match Number::from_f64(wire.double()?) {
                Some(number) => Value::Number(number),
                None => return malformed(format!("the value of field {:?} is no number", field.name)),
            },
            Kind::Message(index) => {
                let mut object = Map::new();
                self.message(tables().message(index), wire.bytes()?, &mut object)?;
                Value::Object(object)
            }
            _ => self.special(field.kind, wire.bytes()?)?,
        })
    }

    /// A type that JSON and protobuf write differently.
    fn special(&mut self, kind: Kind, bytes: &[u8]) -> Read<Value> {
        match kind {
            Kind::IntOrString => int_or_string(bytes),
            Kind::Time | Kind::MicroTime => time(kind, bytes),
            Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings => self.schema_or(kind, bytes),
            _ => {
                let mut texts = Vec::new();
                let mut last: &[u8] = &[];
                let mut reader = Reader::new(bytes);
                while let Some(wire) = reader.next_field()?.filter(|wire| wire.number == 1) {
                    last = wire.bytes()?;
                    if kind == Kind::Texts {
                        texts.push(lossy(last).into());
                    }
                }
                match kind {
                    Kind::Texts => Ok(Value::Array(texts)),
                    Kind::Quantity => Ok(lossy(last).into()),
                    _ => self.raw(last),
                }
            }
        }
    }

    /// A value that is carried as the bytes of its JSON, or as an enveloped message.
    fn raw(&mut self, bytes: &[u8]) -> Read<Value> {
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        if bytes.starts_with(MAGIC) {
            return self.deeper(|decoder| {
                let (TypeMeta { api_version, kind }, body) = super::open(bytes)?;
                let mut object = Map::new();
                decoder.message(super::message(&api_version, &kind)?, body, &mut object)?;
                object.insert("apiVersion".to_owned(), api_version.into());
                object.insert("kind".to_owned(), kind.into());
                Ok(Value::Object(object))
            });
        }
        let document = json::parse(bytes, Duplicates::Replace);
        let value = document.map_err(|error| ProtobufError::Malformed(error.to_string()))?.value;
        if self.depth + depth(&value) > MAX_DEPTH {
            return malformed("exceeded max depth".to_owned());
        }
        Ok(value)
    }

    fn schema_or(&mut self, kind: Kind, bytes: &[u8]) -> Read<Value> {
        let (mut allows, mut schema, mut list) = (false, None, None::<Vec<Value>>);
        let mut reader = Reader::new(bytes);
        while let Some(wire) = reader.next_field()? {
            match (kind, wire.number) {
                (Kind::SchemaOrBool, 1) => allows = wire.varint()? != 0,
                (Kind::SchemaOrBool, 2) | (_, 1) => schema = Some(self.schema(wire.bytes()?)?),
                (Kind::SchemaOrArray, 2) => {
                    let item = self.deeper(|decoder| decoder.schema(wire.bytes()?))?;
                    list.get_or_insert_default().push(item);
                }
                (Kind::SchemaOrStrings, 2) => list.get_or_insert_default().push(lossy(wire.bytes()?).into()),
                _ => {}
            }
        }
        Ok(match (schema, list, kind) {
            // Of a schema and a list, Go writes the list of texts, but the one schema rather than a list of schemas.
            (_, Some(list), Kind::SchemaOrStrings) => list.into(),
            (Some(schema), _, _) => schema,
            (None, Some(list), _) => list.into(),
            (None, None, Kind::SchemaOrBool) => allows.into(),
            (None, None, _) => Value::Null,
        })
    }

    fn schema(&mut self, bytes: &[u8]) -> Read<Value> {
        let mut object = Map::new();
        self.message(tables().schema(), bytes, &mut object)?;
        Ok(Value::Object(object))
    }
}

fn varint(kind: Kind, value: u64) -> Value {
    match kind {
        Kind::Bool => (value != 0).into(),
        Kind::Int32 => (value as i32).into(),
        _ => (value as i64).into(),
    }
}

fn int_or_string(bytes: &[u8]) -> Read<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some(wire) = reader.next_field()? {
        match wire.number {
            1 => is_text = wire.varint()? != 0,
            2 => number = wire.varint()? as i32,
            3 => text = lossy(wire.bytes()?),
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// An empty message is no time at all. Of a `Time` Kubernetes drops the fraction, of a `MicroTime` what is finer than a millionth.
fn time(kind: Kind, bytes: &[u8]) -> Read<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some(wire) = reader.next_field()? {
        match wire.number {
            1 => seconds = wire.varint()? as i64,
            2 => nanos = wire.varint()? as i32,
            _ => {}
        }
    }
    if kind == Kind::Time {
        nanos = 0;
    }
    match Timestamp::new(seconds, nanos.clamp(0, 999_999_999)) {
        Ok(time) if kind == Kind::MicroTime => Ok(format_micro_time(time).into()),
        Ok(time) => Ok(format_time(time).into()),
        Err(_) => malformed("time out of range".to_owned()),
    }
}

/// The value of a map's entry that has none.
fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::Bytes | Kind::Quantity => "".into(),
        Kind::Bool => false.into(),
        Kind::Int32 | Kind::Int64 | Kind::Double | Kind::IntOrString => 0.into(),
        Kind::Texts => Value::Array(Vec::new()),
        Kind::Message(_) => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) => false,
    }
}

/// How deep a value is nested; it came from JSON, so the recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
