//! JSON values to messages.
//!
//! Recursion follows the values, whose nesting is bounded where they are read.

use atoll_api::time::{parse_micro_time, parse_time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::ProtobufError;
use super::tables::{Field, Kind, Message, Occurrence, tables};
use super::wire::Writer;
use crate::codec::json;

type Written = Result<(), ProtobufError>;

/// Writes the fields of an object in the order of their numbers; what the message does not have is left out.
pub(super) fn message(message: &Message, map: &Map<String, Value>, writer: &mut Writer) -> Written {
    for field in &message.fields {
        if let (true, Kind::Message(index)) = (field.is_inlined(), field.kind) {
            inlined(tables().message(index), map, field.number, writer)?;
            continue;
        }
        match map.get(&*field.name) {
            None | Some(Value::Null) => {}
            Some(value) => occurrences(field, value, writer)?,
        }
    }
    Ok(())
}

/// The message of an inlined struct takes its fields from the same object; without any it is not written.
fn inlined(inner: &Message, map: &Map<String, Value>, number: u32, writer: &mut Writer) -> Written {
    let before = writer.len();
    let start = writer.begin(number);
    message(inner, map, writer)?;
    if writer.len() == start {
        writer.forget(before);
    } else {
        writer.end(start);
    }
    Ok(())
}

fn occurrences(field: &Field, value: &Value, writer: &mut Writer) -> Written {
    match (field.occurrence, value) {
        (Occurrence::Once, value) => single(field, field.number, value, writer),
        (Occurrence::List, Value::Array(list)) => {
            list.iter().try_for_each(|value| single(field, field.number, value, writer))
        }
        (Occurrence::Map, Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
            let start = writer.begin(field.number);
            writer.text(1, key);
            single(field, 2, value, writer)?;
            writer.end(start);
            Ok(())
        }),
        _ => unfit(field),
    }
}

/// One value in the field `number`: of a list or map there are several.
fn single(field: &Field, number: u32, value: &Value, writer: &mut Writer) -> Written {
    match (field.kind, value) {
        (Kind::Text, Value::String(text)) => writer.text(number, text),
        (Kind::Bytes, Value::String(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| ProtobufError::Unfit { field: field.name.to_string() })?;
            writer.bytes(number, &bytes);
        }
        (Kind::Bool, Value::Bool(value)) => writer.varint(number, u64::from(*value)),
        (Kind::Int32 | Kind::Int64, Value::Number(_)) => match integer(value) {
            Some(value) if field.kind == Kind::Int64 || i32::try_from(value).is_ok() => {
                writer.varint(number, value as u64);
            }
            _ => return unfit(field),
        },
        (Kind::Double, Value::Number(value)) => writer.double(number, value.as_f64().unwrap_or_default()),
        (Kind::Message(index), Value::Object(map)) => {
            let start = writer.begin(number);
            message(tables().message(index), map, writer)?;
            writer.end(start);
        }
        // An element of a list or map may be null; its type's zero value is the nearest to it.
        (_, Value::Null) => writer.bytes(number, &[]),
        _ => {
            let start = writer.begin(number);
            special(field, value, writer)?;
            writer.end(start);
        }
    }
    Ok(())
}

/// The content of a type that JSON and protobuf write differently.
fn special(field: &Field, value: &Value, writer: &mut Writer) -> Written {
    match (field.kind, value) {
        (Kind::Quantity, Value::String(text)) => writer.text(1, text),
        (Kind::Quantity, Value::Number(number)) => writer.text(1, &number.to_string()),
        (Kind::IntOrString, Value::String(text)) => {
            writer.varint(1, 1);
            writer.varint(2, 0);
            writer.text(3, text);
        }
        (Kind::IntOrString, Value::Number(_)) => {
            let Some(number) = integer(value).filter(|number| i32::try_from(*number).is_ok()) else {
                return unfit(field);
            };
            writer.varint(1, 0);
            writer.varint(2, number as u64);
            writer.text(3, "");
        }
        (Kind::Time | Kind::MicroTime, Value::String(text)) => time(field, text, writer)?,
        (Kind::Raw, value) => writer.bytes(1, &json::to_vec(value)),
        (Kind::Texts, Value::Array(list)) => {
            for item in list {
                writer.text(1, item.as_str().unwrap_or_default());
            }
        }
        (Kind::SchemaOrBool, Value::Bool(allows)) => writer.varint(1, u64::from(*allows)),
        (Kind::SchemaOrBool, Value::Object(map)) => {
            writer.varint(1, 1);
            schema(2, map, writer)?;
        }
        (Kind::SchemaOrArray | Kind::SchemaOrStrings, Value::Object(map)) => schema(1, map, writer)?,
        (Kind::SchemaOrArray, Value::Array(list)) => {
            for item in list {
                schema(2, item.as_object().unwrap_or(&Map::new()), writer)?;
            }
        }
        (Kind::SchemaOrStrings, Value::Array(list)) => {
            for item in list {
                writer.text(2, item.as_str().unwrap_or_default());
            }
        }
        _ => return unfit(field),
    }
    Ok(())
}

fn schema(number: u32, map: &Map<String, Value>, writer: &mut Writer) -> Written {
    let start = writer.begin(number);
    message(tables().schema(), map, writer)?;
    writer.end(start);
    Ok(())
}

fn time(field: &Field, text: &str, writer: &mut Writer) -> Written {
    let micro = field.kind == Kind::MicroTime;
    let read = if micro { parse_micro_time(text).or_else(|_| parse_time(text)) } else { parse_time(text) };
    let Ok(time) = read else { return unfit(field) };
    // Both count from the second before, so that the fraction is never negative.
    let nanos = time.as_nanosecond().rem_euclid(1_000_000_000);
    let seconds = time.as_nanosecond().div_euclid(1_000_000_000);
    writer.varint(1, seconds as i64 as u64);
    writer.varint(2, if micro { nanos as u64 / 1000 * 1000 } else { 0 });
    Ok(())
}

/// A whole number, however it is written.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e18).map(|n| n as i64))
}

fn unfit(field: &Field) -> Written {
    Err(ProtobufError::Unfit { field: field.name.to_string() })
}
