//! Conversions: `int(x)`, `string(x)` and the like.

use super::float::{self, format_double};
use super::{Text, Timestamp, Value, time};
use crate::fault::{Eval, EvalError};

/// The types that values can be converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    Bool,
    Bytes,
    Double,
    Duration,
    Int,
    String,
    Timestamp,
    Uint,
}

impl Conversion {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Bytes => "bytes",
            Self::Double => "double",
            Self::Duration => "google.protobuf.Duration",
            Self::Int => "int",
            Self::String => "string",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Uint => "uint",
        }
    }
}

/// The value as one of another type.
pub(crate) fn convert<'a>(value: &Value<'a>, to: Conversion) -> Eval<Value<'a>> {
    let converted = match value {
        Value::Int(number) => from_int(*number, to)?,
        Value::Uint(number) => from_uint(*number, to)?,
        Value::Double(number) => from_double(*number, to)?,
        Value::String(text) => from_text(text, to)?,
        Value::Bool(truth) => match to {
            Conversion::Bool => Some(Value::Bool(*truth)),
            Conversion::String => Some(Value::owned(truth.to_string())),
            _ => None,
        },
        Value::Bytes(bytes) => match to {
            Conversion::Bytes => Some(value.clone()),
            Conversion::String => {
                let invalid = "invalid UTF-8 in bytes, cannot convert to string";
                Some(Value::owned(std::str::from_utf8(bytes).map_err(|_| EvalError::new(invalid))?))
            }
            _ => None,
        },
        Value::Duration(span) => match to {
            Conversion::Duration => Some(Value::Duration(*span)),
            Conversion::Int => Some(Value::Int(*span)),
            Conversion::String => Some(Value::owned(time::show_duration(*span))),
            _ => None,
        },
        Value::Timestamp(time) => match to {
            Conversion::Timestamp => Some(Value::Timestamp(*time)),
            Conversion::Int => Some(Value::Int(time.seconds)),
            Conversion::String => Some(Value::owned(time.show())),
            _ => None,
        },
        Value::Null if to == Conversion::String => Some(Value::owned("null")),
        Value::Type(name) if to == Conversion::String => Some(Value::String(name.clone())),
        Value::Library(library) if to == Conversion::String => library.to_text().map(Value::owned),
        _ => None,
    };
    converted
        .ok_or_else(|| EvalError::new(format!("type conversion error from '{}' to '{}'", value.type_name(), to.name())))
}

fn from_int<'a>(number: i64, to: Conversion) -> Eval<Option<Value<'a>>> {
    Ok(Some(match to {
        Conversion::Int => Value::Int(number),
        Conversion::Uint => Value::Uint(u64::try_from(number).map_err(|_| uint_overflow())?),
        Conversion::Double => Value::Double(number as f64),
        Conversion::String => Value::owned(number.to_string()),
        Conversion::Timestamp => Value::Timestamp(Timestamp::from_seconds(number)?),
        // Declared by cel-go, but without an implementation: "type conversion error" is what comes of it.
        _ => return Ok(None),
    }))
}

fn from_uint<'a>(number: u64, to: Conversion) -> Eval<Option<Value<'a>>> {
    Ok(Some(match to {
        Conversion::Int => Value::Int(i64::try_from(number).map_err(|_| int_overflow())?),
        Conversion::Uint => Value::Uint(number),
        Conversion::Double => Value::Double(number as f64),
        Conversion::String => Value::owned(number.to_string()),
        _ => return Ok(None),
    }))
}

fn from_double<'a>(number: f64, to: Conversion) -> Eval<Option<Value<'a>>> {
    Ok(Some(match to {
        // The bounds themselves do not fit: they are powers of two beyond the last number.
        Conversion::Int if number > i64::MIN as f64 && number < i64::MAX as f64 => Value::Int(number as i64),
        Conversion::Int => return Err(int_overflow()),
        Conversion::Uint if number >= 0.0 && number < u64::MAX as f64 => Value::Uint(number as u64),
        Conversion::Uint => return Err(uint_overflow()),
        Conversion::Double => Value::Double(number),
        Conversion::String => Value::owned(format_double(number)),
        _ => return Ok(None),
    }))
}

fn from_text<'a>(text: &Text<'a>, to: Conversion) -> Eval<Option<Value<'a>>> {
    Ok(match to {
        Conversion::Int => text.parse().ok().map(Value::Int),
        Conversion::Uint => text.strip_prefix('+').is_none().then(|| text.parse().ok().map(Value::Uint)).flatten(),
        Conversion::Double => float::parse(text).map(Value::Double),
        Conversion::Bool => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        Conversion::Bytes => Some(Value::Bytes(text.as_bytes().into())),
        Conversion::Duration => time::parse_duration(text).map(Value::Duration),
        Conversion::Timestamp => match Timestamp::parse(text) {
            Some(time) if !time.is_in_range() => return Err(EvalError::new("timestamp overflow")),
            time => time.map(Value::Timestamp),
        },
        Conversion::String => Some(Value::String(text.clone())),
    })
}

fn int_overflow() -> EvalError {
    EvalError::new("integer overflow")
}

fn uint_overflow() -> EvalError {
    EvalError::new("unsigned integer overflow")
}
