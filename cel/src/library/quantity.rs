//! Quantities such as `1500m` or `2Gi`.

use std::cmp::Ordering;

use atoll_api::quantity::Quantity as Amount;

use super::{LibraryValue, Row, int, text};
use crate::fault::{Eval, EvalError};
use crate::value::Value;

/// A quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity(pub(crate) Amount);

pub(super) const ROWS: &[Row] = &[
    Row("string_to_quantity", "quantity(string) -> Quantity", |_, args| {
        Amount::parse(text(args, 0)?).map(value).map_err(|error| EvalError::new(error.to_string()))
    }),
    Row("is_quantity_string", "isQuantity(string) -> bool", |_, args| {
        Ok(Value::Bool(Amount::parse(text(args, 0)?).is_ok()))
    }),
    // Not called on a quantity, although it is documented so (library/quantity.go, 1.36).
    Row("quantity_sign", "sign(Quantity) -> int", |_, args| {
        let amount = amount(args, 0)?;
        Ok(Value::Int(if amount.is_zero() {
            0
        } else if amount.is_negative() {
            -1
        } else {
            1
        }))
    }),
    Row("quantity_is_greater_than", "<Quantity>.isGreaterThan(Quantity) -> bool", |_, args| {
        compared(args).map(|ordering| Value::Bool(ordering.is_gt()))
    }),
    Row("quantity_is_less_than", "<Quantity>.isLessThan(Quantity) -> bool", |_, args| {
        compared(args).map(|ordering| Value::Bool(ordering.is_lt()))
    }),
    Row("quantity_compare_to", "<Quantity>.compareTo(Quantity) -> int", |_, args| {
        compared(args).map(|ordering| Value::Int(ordering as i64))
    }),
    Row("quantity_get_float", "<Quantity>.asApproximateFloat() -> double", |_, args| {
        Ok(Value::Double(amount(args, 0)?.as_f64()))
    }),
    Row("quantity_get_int", "<Quantity>.asInteger() -> int", |_, args| {
        let cannot = || EvalError::new("cannot convert value to integer");
        amount(args, 0)?.as_integer().map(Value::Int).ok_or_else(cannot)
    }),
    Row("quantity_is_integer", "<Quantity>.isInteger() -> bool", |_, args| {
        Ok(Value::Bool(amount(args, 0)?.as_integer().is_some()))
    }),
    Row("quantity_add", "<Quantity>.add(Quantity) -> Quantity", |_, args| {
        Ok(value(amount(args, 0)?.plus(amount(args, 1)?)))
    }),
    Row("quantity_add_int", "<Quantity>.add(int) -> Quantity", |_, args| {
        Ok(value(amount(args, 0)?.plus(&Amount::from_units(int(args, 1)?))))
    }),
    Row("quantity_sub", "<Quantity>.sub(Quantity) -> Quantity", |_, args| {
        Ok(value(amount(args, 0)?.minus(amount(args, 1)?)))
    }),
    Row("quantity_sub_int", "<Quantity>.sub(int) -> Quantity", |_, args| {
        Ok(value(amount(args, 0)?.minus(&Amount::from_units(int(args, 1)?))))
    }),
];

fn value<'a>(amount: Amount) -> Value<'a> {
    Value::library(LibraryValue::Quantity(Quantity(amount)))
}

fn amount<'v>(args: &'v [Value<'_>], index: usize) -> Eval<&'v Amount> {
    match &args[index] {
        Value::Library(value) => match &**value {
            LibraryValue::Quantity(quantity) => Ok(&quantity.0),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn compared(args: &[Value<'_>]) -> Eval<Ordering> {
    Ok(amount(args, 0)?.cmp(amount(args, 1)?))
}

impl Quantity {
    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
