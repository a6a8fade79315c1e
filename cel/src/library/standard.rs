//! The functions of the language itself: operators, conversions, sizes, and what times are made of.

use std::cmp::Ordering;

use super::{Native, Row, regex, text};
use crate::fault::{Eval, EvalError, Work};
use crate::value::time::{Civil, NANOS};
use crate::value::{Conversion, Value, add, compare, convert, divide, modulo, multiply, negate, subtract, unknown_to};

/// The functions whose implementation tells the types of its arguments apart itself.
pub(super) const UNIFORM: [&str; 22] = [
    "!_",
    "_+_",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "-_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "@in",
    "size",
    "type",
    "dyn",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "flatten",
    "sort",
    "@sortByAssociatedKeys",
];

macro_rules! comparisons {
    ($($function:literal, $id:literal, $native:expr;)*) => {
        &[
            $(
                Row(concat!($id, "_bool"), concat!($function, "(bool, bool) -> bool"), $native),
                Row(concat!($id, "_int64"), concat!($function, "(int, int) -> bool"), $native),
                Row(concat!($id, "_int64_double"), concat!($function, "(int, double) -> bool"), $native),
                Row(concat!($id, "_int64_uint64"), concat!($function, "(int, uint) -> bool"), $native),
                Row(concat!($id, "_uint64"), concat!($function, "(uint, uint) -> bool"), $native),
                Row(concat!($id, "_uint64_double"), concat!($function, "(uint, double) -> bool"), $native),
                Row(concat!($id, "_uint64_int64"), concat!($function, "(uint, int) -> bool"), $native),
                Row(concat!($id, "_double"), concat!($function, "(double, double) -> bool"), $native),
                Row(concat!($id, "_double_int64"), concat!($function, "(double, int) -> bool"), $native),
                Row(concat!($id, "_double_uint64"), concat!($function, "(double, uint) -> bool"), $native),
                Row(concat!($id, "_string"), concat!($function, "(string, string) -> bool"), $native),
                Row(concat!($id, "_bytes"), concat!($function, "(bytes, bytes) -> bool"), $native),
                Row(concat!($id, "_timestamp"), concat!($function, "(timestamp, timestamp) -> bool"), $native),
                Row(concat!($id, "_duration"), concat!($function, "(duration, duration) -> bool"), $native),
            )*
        ]
    };
}

pub(super) const COMPARISONS: &[Row] = comparisons! {
    "_<_", "less", |_, args| ordered("_<_", args, Ordering::is_lt);
    "_<=_", "less_equals", |_, args| ordered("_<=_", args, Ordering::is_le);
    "_>_", "greater", |_, args| ordered("_>_", args, Ordering::is_gt);
    "_>=_", "greater_equals", |_, args| ordered("_>=_", args, Ordering::is_ge);
};

const ADD: Native = |work, args| add(&args[0], &args[1], work);
const SUBTRACT: Native = |_, args| subtract(&args[0], &args[1]);
const MULTIPLY: Native = |_, args| multiply(&args[0], &args[1]);
const DIVIDE: Native = |_, args| divide(&args[0], &args[1]);
const MODULO: Native = |_, args| modulo(&args[0], &args[1]);
const NEGATE: Native = |_, args| negate(&args[0]);
const TO_BOOL: Native = |_, args| convert(&args[0], Conversion::Bool);
const TO_BYTES: Native = |_, args| convert(&args[0], Conversion::Bytes);
const TO_DOUBLE: Native = |_, args| convert(&args[0], Conversion::Double);
const TO_DURATION: Native = |_, args| convert(&args[0], Conversion::Duration);
const TO_INT: Native = |_, args| convert(&args[0], Conversion::Int);
const TO_STRING: Native = |_, args| convert(&args[0], Conversion::String);
const TO_TIMESTAMP: Native = |_, args| convert(&args[0], Conversion::Timestamp);
const TO_UINT: Native = |_, args| convert(&args[0], Conversion::Uint);

/// Stands for operators that evaluation knows itself, because they do not need all their operands.
pub(super) const BUILT_IN: Native = |_, _| Err(EvalError::no_overload());

pub(super) const ROWS: &[Row] = &[
    Row("conditional", "_?_:_(bool, A, A) -> A", BUILT_IN),
    Row("logical_and", "_&&_(bool, bool) -> bool", BUILT_IN),
    Row("logical_or", "_||_(bool, bool) -> bool", BUILT_IN),
    Row("logical_not", "!_(bool) -> bool", |_, args| match &args[0] {
        Value::Bool(truth) => Ok(Value::Bool(!truth)),
        _ => Err(EvalError::no_overload()),
    }),
    Row("not_strictly_false", "@not_strictly_false(bool) -> bool", BUILT_IN),
    Row("equals", "_==_(A, A) -> bool", BUILT_IN),
    Row("not_equals", "_!=_(A, A) -> bool", BUILT_IN),
    Row("add_bytes", "_+_(bytes, bytes) -> bytes", ADD),
    Row("add_double", "_+_(double, double) -> double", ADD),
    Row("add_duration_duration", "_+_(duration, duration) -> duration", ADD),
    Row("add_duration_timestamp", "_+_(duration, timestamp) -> timestamp", ADD),
    Row("add_timestamp_duration", "_+_(timestamp, duration) -> timestamp", ADD),
    Row("add_int64", "_+_(int, int) -> int", ADD),
    Row("add_list", "_+_(list(A), list(A)) -> list(A)", ADD),
    Row("add_string", "_+_(string, string) -> string", ADD),
    Row("add_uint64", "_+_(uint, uint) -> uint", ADD),
    Row("divide_double", "_/_(double, double) -> double", DIVIDE),
    Row("divide_int64", "_/_(int, int) -> int", DIVIDE),
    Row("divide_uint64", "_/_(uint, uint) -> uint", DIVIDE),
    Row("modulo_int64", "_%_(int, int) -> int", MODULO),
    Row("modulo_uint64", "_%_(uint, uint) -> uint", MODULO),
    Row("multiply_double", "_*_(double, double) -> double", MULTIPLY),
    Row("multiply_int64", "_*_(int, int) -> int", MULTIPLY),
    Row("multiply_uint64", "_*_(uint, uint) -> uint", MULTIPLY),
    Row("negate_double", "-_(double) -> double", NEGATE),
    Row("negate_int64", "-_(int) -> int", NEGATE),
    Row("subtract_double", "_-_(double, double) -> double", SUBTRACT),
    Row("subtract_duration_duration", "_-_(duration, duration) -> duration", SUBTRACT),
    Row("subtract_int64", "_-_(int, int) -> int", SUBTRACT),
    Row("subtract_timestamp_duration", "_-_(timestamp, duration) -> timestamp", SUBTRACT),
    Row("subtract_timestamp_timestamp", "_-_(timestamp, timestamp) -> duration", SUBTRACT),
    Row("subtract_uint64", "_-_(uint, uint) -> uint", SUBTRACT),
    Row("index_list", "_[_](list(A), int) -> A", BUILT_IN),
    Row("index_map", "_[_](map(A, B), A) -> B", BUILT_IN),
    Row("in_list", "@in(A, list(A)) -> bool", is_in),
    Row("in_map", "@in(A, map(A, B)) -> bool", is_in),
    Row("size_bytes", "size(bytes) -> int", size),
    Row("bytes_size", "<bytes>.size() -> int", size),
    Row("size_list", "size(list(A)) -> int", size),
    Row("list_size", "<list(A)>.size() -> int", size),
    Row("size_map", "size(map(A, B)) -> int", size),
    Row("map_size", "<map(A, B)>.size() -> int", size),
    Row("size_string", "size(string) -> int", size),
    Row("string_size", "<string>.size() -> int", size),
    Row("type", "type(A) -> type(A)", |_, args| Ok(args[0].type_value())),
    Row("bool_to_bool", "bool(bool) -> bool", TO_BOOL),
    Row("string_to_bool", "bool(string) -> bool", TO_BOOL),
    Row("bytes_to_bytes", "bytes(bytes) -> bytes", TO_BYTES),
    Row("string_to_bytes", "bytes(string) -> bytes", TO_BYTES),
    Row("double_to_double", "double(double) -> double", TO_DOUBLE),
    Row("int64_to_double", "double(int) -> double", TO_DOUBLE),
    Row("string_to_double", "double(string) -> double", TO_DOUBLE),
    Row("uint64_to_double", "double(uint) -> double", TO_DOUBLE),
    Row("duration_to_duration", "duration(duration) -> duration", TO_DURATION),
    Row("int64_to_duration", "duration(int) -> duration", TO_DURATION),
    Row("string_to_duration", "duration(string) -> duration", TO_DURATION),
    Row("to_dyn", "dyn(A) -> dyn", |_, args| Ok(args[0].clone())),
    Row("int64_to_int64", "int(int) -> int", TO_INT),
    Row("double_to_int64", "int(double) -> int", TO_INT),
    Row("duration_to_int64", "int(duration) -> int", TO_INT),
    Row("string_to_int64", "int(string) -> int", TO_INT),
    Row("timestamp_to_int64", "int(timestamp) -> int", TO_INT),
    Row("uint64_to_int64", "int(uint) -> int", TO_INT),
    Row("string_to_string", "string(string) -> string", TO_STRING),
    Row("bool_to_string", "string(bool) -> string", TO_STRING),
    Row("bytes_to_string", "string(bytes) -> string", TO_STRING),
    Row("double_to_string", "string(double) -> string", TO_STRING),
    Row("duration_to_string", "string(duration) -> string", TO_STRING),
    Row("int64_to_string", "string(int) -> string", TO_STRING),
    Row("timestamp_to_string", "string(timestamp) -> string", TO_STRING),
    Row("uint64_to_string", "string(uint) -> string", TO_STRING),
    Row("timestamp_to_timestamp", "timestamp(timestamp) -> timestamp", TO_TIMESTAMP),
    Row("int64_to_timestamp", "timestamp(int) -> timestamp", TO_TIMESTAMP),
    Row("string_to_timestamp", "timestamp(string) -> timestamp", TO_TIMESTAMP),
    Row("uint64_to_uint64", "uint(uint) -> uint", TO_UINT),
    Row("double_to_uint64", "uint(double) -> uint", TO_UINT),
    Row("int64_to_uint64", "uint(int) -> uint", TO_UINT),
    Row("string_to_uint64", "uint(string) -> uint", TO_UINT),
    Row("contains_string", "<string>.contains(string) -> bool", |_, args| {
        Ok(Value::Bool(text(args, 0)?.contains(&**text(args, 1)?)))
    }),
    Row("ends_with_string", "<string>.endsWith(string) -> bool", |_, args| {
        Ok(Value::Bool(text(args, 0)?.ends_with(&**text(args, 1)?)))
    }),
    Row("starts_with_string", "<string>.startsWith(string) -> bool", |_, args| {
        Ok(Value::Bool(text(args, 0)?.starts_with(&**text(args, 1)?)))
    }),
    Row("matches", "matches(string, string) -> bool", regex::matches),
    Row("matches_string", "<string>.matches(string) -> bool", regex::matches),
];

macro_rules! time_parts {
    ($($function:literal, $id:literal, $zoned_id:literal, $part:expr;)*) => {
        &[
            $(
                Row(concat!("timestamp_to_", $id), concat!("<timestamp>.", $function, "() -> int"), |_, args| {
                    time_part(args, $part)
                }),
                Row(
                    concat!("timestamp_to_", $zoned_id),
                    concat!("<timestamp>.", $function, "(string) -> int"),
                    |_, args| time_part(args, $part),
                ),
            )*
            Row("duration_to_hours", "<duration>.getHours() -> int", |_, args| span_in(args, 3600 * NANOS)),
            Row("duration_to_minutes", "<duration>.getMinutes() -> int", |_, args| span_in(args, 60 * NANOS)),
            Row("duration_to_seconds", "<duration>.getSeconds() -> int", |_, args| span_in(args, NANOS)),
            Row("duration_to_milliseconds", "<duration>.getMilliseconds() -> int", |_, args| {
                span_in(args, NANOS / 1000)
            }),
        ]
    };
}

pub(super) const TIME_ROWS: &[Row] = time_parts! {
    "getFullYear", "year", "year_with_tz", |civil, _| civil.year;
    "getMonth", "month", "month_with_tz", |civil, _| civil.month - 1;
    "getDayOfYear", "day_of_year", "day_of_year_with_tz", |civil, _| civil.day_of_year;
    "getDayOfMonth", "day_of_month", "day_of_month_with_tz", |civil, _| civil.day - 1;
    "getDate", "day_of_month_1_based", "day_of_month_1_based_with_tz", |civil, _| civil.day;
    "getDayOfWeek", "day_of_week", "day_of_week_with_tz", |civil, _| civil.day_of_week;
    "getHours", "hours", "hours_with_tz", |civil, _| civil.hour;
    "getMinutes", "minutes", "minutes_with_tz", |civil, _| civil.minute;
    "getSeconds", "seconds", "seconds_tz", |civil, _| civil.second;
    "getMilliseconds", "milliseconds", "milliseconds_with_tz", |_, nanos| i64::from(nanos) / 1_000_000;
};

fn ordered<'a>(function: &str, args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Eval<Value<'a>> {
    let has_order = matches!(
        args[0],
        Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Timestamp(_)
            | Value::Duration(_)
    );
    if !has_order {
        return Err(unknown_to(&args[0], function));
    }
    compare(&args[0], &args[1]).map(|ordering| Value::Bool(holds(ordering)))
}

fn is_in<'a>(work: &mut Work, args: &[Value<'a>]) -> Eval<Value<'a>> {
    match &args[1] {
        Value::List(list) => list.contains(&args[0], work).map(Value::Bool),
        Value::Map(map) => Ok(Value::Bool(map.find(&args[0])?.is_some())),
        _ => Err(EvalError::no_overload()),
    }
}

fn size<'a>(_: &mut Work, args: &[Value<'a>]) -> Eval<Value<'a>> {
    match args[0].size() {
        Some(size) => Ok(Value::Int(size as i64)),
        None => Err(unknown_to(&args[0], "size")),
    }
}

fn time_part<'a>(args: &[Value<'a>], part: fn(&Civil, u32) -> i64) -> Eval<Value<'a>> {
    let Value::Timestamp(time) = &args[0] else { return Err(EvalError::no_overload()) };
    let zone = if args.len() > 1 { &**text(args, 1)? } else { "UTC" };
    Ok(Value::Int(part(&time.in_zone(zone)?, time.nanos)))
}

fn span_in<'a>(args: &[Value<'a>], unit: i64) -> Eval<Value<'a>> {
    match &args[0] {
        Value::Duration(span) => Ok(Value::Int(span / unit)),
        _ => Err(EvalError::no_overload()),
    }
}
