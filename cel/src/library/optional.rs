//! Values that may be missing.

use super::standard::BUILT_IN;
use super::{Row, list};
use crate::fault::{Eval, EvalError};
use crate::value::Value;

pub(super) const ROWS: &[Row] = &[
    Row("optional_of", "optional.of(V) -> optional(V)", |_, args| Ok(Value::some(args[0].clone()))),
    Row("optional_ofNonZeroValue", "optional.ofNonZeroValue(V) -> optional(V)", |_, args| {
        Ok(if args[0].is_zero() { Value::Optional(None) } else { Value::some(args[0].clone()) })
    }),
    Row("optional_none", "optional.none() -> optional(V)", |_, _| Ok(Value::Optional(None))),
    Row("optional_value", "<optional(V)>.value() -> V", |_, args| match &args[0] {
        Value::Optional(Some(value)) => Ok((**value).clone()),
        Value::Optional(None) => Err(EvalError::new("optional.none() dereference")),
        _ => Err(EvalError::no_overload()),
    }),
    Row("optional_hasValue", "<optional(V)>.hasValue() -> bool", |_, args| match &args[0] {
        Value::Optional(value) => Ok(Value::Bool(value.is_some())),
        _ => Err(EvalError::no_overload()),
    }),
    Row("optional_or_optional", "<optional(V)>.or(optional(V)) -> optional(V)", BUILT_IN),
    Row("optional_orValue_value", "<optional(V)>.orValue(V) -> V", BUILT_IN),
    Row("select_optional_field", "_?._(dyn, string) -> optional(V)", BUILT_IN),
    Row("list_optindex_optional_int", "_[?_](list(V), int) -> optional(V)", BUILT_IN),
    Row("optional_list_optindex_optional_int", "_[?_](optional(list(V)), int) -> optional(V)", BUILT_IN),
    Row("map_optindex_optional_value", "_[?_](map(K, V), K) -> optional(V)", BUILT_IN),
    Row("optional_map_optindex_optional_value", "_[?_](optional(map(K, V)), K) -> optional(V)", BUILT_IN),
    Row("optional_list_index_int", "_[_](optional(list(V)), int) -> optional(V)", BUILT_IN),
    Row("optional_map_index_value", "_[_](optional(map(K, V)), K) -> optional(V)", BUILT_IN),
    Row("list_last", "<list(V)>.last() -> optional(V)", |_, args| {
        let list = list(args, 0)?;
        element(list.len().checked_sub(1).and_then(|last| list.get(last)))
    }),
    Row("list_first", "<list(V)>.first() -> optional(V)", |_, args| element(list(args, 0)?.get(0))),
    Row("optional_unwrap", "optional.unwrap(list(optional(V))) -> list(V)", |work, args| unwrap(args, work)),
    Row("optional_unwrapOpt", "<list(optional(V))>.unwrapOpt() -> list(V)", |work, args| unwrap(args, work)),
];

fn element<'a>(element: Option<Eval<Value<'a>>>) -> Eval<Value<'a>> {
    Ok(match element {
        Some(value) => Value::some(value?),
        None => Value::Optional(None),
    })
}

fn unwrap<'a>(args: &[Value<'a>], work: &mut crate::fault::Work) -> Eval<Value<'a>> {
    let list = list(args, 0)?;
    work.allocate_list(list.len())?;
    let mut values = Vec::new();
    for element in list.iter() {
        match element? {
            Value::Optional(Some(value)) => values.push((*value).clone()),
            Value::Optional(None) => {}
            other => return Err(EvalError::new(format!("value {other} is not optional"))),
        }
    }
    Ok(Value::list(values))
}
