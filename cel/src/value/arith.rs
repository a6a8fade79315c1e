//! Arithmetic, with Go's faults where a result does not fit.

use std::sync::Arc;

use super::{Text, Value};
use crate::fault::{Eval, EvalError, Work};

const INT_OVERFLOW: &str = "integer overflow";
const UINT_OVERFLOW: &str = "unsigned integer overflow";

fn int<'a>(result: Option<i64>) -> Eval<Value<'a>> {
    result.map(Value::Int).ok_or_else(|| EvalError::new(INT_OVERFLOW))
}

fn uint<'a>(result: Option<u64>) -> Eval<Value<'a>> {
    result.map(Value::Uint).ok_or_else(|| EvalError::new(UINT_OVERFLOW))
}

fn duration<'a>(result: Option<i64>) -> Eval<Value<'a>> {
    result.map(Value::Duration).ok_or_else(|| EvalError::new(INT_OVERFLOW))
}

/// The left operand decides whether an operator is known at all, and how that is said.
fn unknown(function: &str, left: &Value<'_>, is_known_to_left: bool) -> EvalError {
    if is_known_to_left { EvalError::no_overload() } else { unknown_to(left, function) }
}

/// The fault of a value that does not know a function; those that have methods are asked for one in vain.
pub(crate) fn unknown_to(value: &Value<'_>, function: &str) -> EvalError {
    match value {
        Value::String(_) | Value::Timestamp(_) | Value::Duration(_) => EvalError::no_overload(),
        _ => EvalError::new(format!("no such overload: {function}")),
    }
}

pub(crate) fn add<'a>(a: &Value<'a>, b: &Value<'a>, work: &mut Work) -> Eval<Value<'a>> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => {
            work.allocate(a.len() + b.len())?;
            Ok(Value::String(Text::owned(format!("{a}{b}"))))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            work.allocate(a.len() + b.len())?;
            Ok(Value::Bytes(a.iter().chain(b.iter()).copied().collect::<Arc<[u8]>>()))
        }
        (Value::List(a), Value::List(b)) => a.concat(b, work).map(Value::List),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(*b)),
        (Value::Timestamp(time), Value::Duration(span)) | (Value::Duration(span), Value::Timestamp(time)) => {
            time.plus(*span).map(Value::Timestamp)
        }
        (a, _) => Err(unknown(
            "_+_",
            a,
            matches!(
                a,
                Value::Int(_)
                    | Value::Uint(_)
                    | Value::Double(_)
                    | Value::String(_)
                    | Value::Bytes(_)
                    | Value::List(_)
                    | Value::Duration(_)
                    | Value::Timestamp(_)
            ),
        )),
    }
}

pub(crate) fn subtract<'a>(a: &Value<'a>, b: &Value<'a>) -> Eval<Value<'a>> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_sub(*b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.since(*b).map(Value::Duration),
        (Value::Timestamp(time), Value::Duration(span)) => {
            let back = span.checked_neg().ok_or_else(|| EvalError::new(INT_OVERFLOW))?;
            time.plus(back).map(Value::Timestamp)
        }
        (a, _) => Err(unknown("_-_", a, is_number(a) || matches!(a, Value::Duration(_) | Value::Timestamp(_)))),
    }
}

pub(crate) fn multiply<'a>(a: &Value<'a>, b: &Value<'a>) -> Eval<Value<'a>> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_mul(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_mul(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        (a, _) => Err(unknown("_*_", a, is_number(a))),
    }
}

pub(crate) fn divide<'a>(a: &Value<'a>, b: &Value<'a>) -> Eval<Value<'a>> {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(EvalError::new("division by zero")),
        (Value::Int(a), Value::Int(b)) => int(a.checked_div(*b)),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a / b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        (a, _) => Err(unknown("_/_", a, is_number(a))),
    }
}

pub(crate) fn modulo<'a>(a: &Value<'a>, b: &Value<'a>) -> Eval<Value<'a>> {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(EvalError::new("modulus by zero")),
        (Value::Int(a), Value::Int(b)) => int(a.checked_rem(*b)),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a % b)),
        (a, _) => Err(unknown("_%_", a, matches!(a, Value::Int(_) | Value::Uint(_)))),
    }
}

pub(crate) fn negate<'a>(a: &Value<'a>) -> Eval<Value<'a>> {
    match a {
        Value::Int(a) => int(a.checked_neg()),
        Value::Double(a) => Ok(Value::Double(-a)),
        Value::Duration(a) => duration(a.checked_neg()),
        Value::Bool(_) => Err(EvalError::no_overload()),
        _ => Err(unknown_to(a, "-_")),
    }
}

fn is_number(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}
