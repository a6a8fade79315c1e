//! Which values are equal: numbers across types, lists by what their declared types say about order.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::order::numbers;
use super::{Entries, Key, List, Map, Value};
use crate::decl::{ListMerge, Shape};
use crate::fault::{Eval, EvalError, Work};

/// Whether two values are equal; an error where a declared type does not know how to compare them.
pub(crate) fn equal<'a>(a: &Value<'a>, b: &Value<'a>, work: &mut Work) -> Eval<bool> {
    work.spend(1)?;
    Ok(match (a, b) {
        (Value::Null, other) | (other, Value::Null) => matches!(other, Value::Null),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::String(a), Value::String(b)) => {
            work.scan(a.len().min(b.len()))?;
            a == b
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            work.scan(a.len().min(b.len()))?;
            a == b
        }
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a.instant() == b.instant(),
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => return equal(a, b, work),
            (a, b) => a.is_none() == b.is_none(),
        },
        (Value::List(a), Value::List(b)) => return lists(a, b, work),
        (Value::Map(a), Value::Map(b)) => return maps(a, b, work),
        (Value::Library(a), Value::Library(b)) => return a.equals(b),
        (Value::Authorization(a), Value::Authorization(b)) => a.is_same(b),
        (Value::Object(a), Value::Object(b)) => {
            if a.type_name != b.type_name || a.fields.len() != b.fields.len() {
                return Ok(false);
            }
            for ((a_name, a_value), (b_name, b_value)) in a.fields.iter().zip(&b.fields) {
                if a_name != b_name || !equal(a_value, b_value, work)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Preserved(a), Value::Preserved(b)) => return trees(a, b, work),
        // Only values that know nothing of other types object to being compared with them.
        (Value::Library(_) | Value::Authorization(_), _) => return Err(EvalError::no_overload()),
        (Value::List(a), _) if a.is_typed() => return Err(EvalError::no_overload()),
        (Value::Map(a), _) if a.is_typed() => return Err(EvalError::no_overload()),
        (a, b) => numbers(a, b).flatten().is_some_and(std::cmp::Ordering::is_eq),
    })
}

fn lists<'a>(a: &List<'a>, b: &List<'a>, work: &mut Work) -> Eval<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    match a.merge() {
        Some(ListMerge::Set) => {
            work.spend(a.len())?;
            let set = keys(a)?;
            for element in b.iter() {
                if !set.contains(&element?.try_into()?) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Some(ListMerge::Map(names)) => lists_by_keys(a, b, names, work),
        merge => {
            let mut fault = None;
            for (a, b) in a.iter().zip(b.iter()) {
                match equal(&a?, &b?, work) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) if merge.is_some() || error.is_final() => return Err(error),
                    Err(error) => {
                        fault.get_or_insert(error);
                    }
                }
            }
            fault.map_or(Ok(true), Err)
        }
    }
}

/// In any order, each element with the one that has the same keys.
fn lists_by_keys<'a>(a: &List<'a>, b: &List<'a>, names: &[Arc<str>], work: &mut Work) -> Eval<bool> {
    work.spend(a.len())?;
    let mut by_keys = std::collections::BTreeMap::new();
    for element in a.iter() {
        let element = element?;
        by_keys.insert(key_values(&element, names)?, element);
    }
    for element in b.iter() {
        let element = element?;
        match by_keys.get(&key_values(&element, names)?) {
            Some(same) if equal(same, &element, work)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The elements of a set.
fn keys<'a>(list: &List<'a>) -> Eval<BTreeSet<Key<'a>>> {
    list.iter().map(|element| element?.try_into()).collect()
}

/// The values by which an element of a map list is known; a missing one is told apart from all others.
fn key_values<'a>(element: &Value<'a>, names: &[Arc<str>]) -> Eval<Vec<Option<Key<'a>>>> {
    let Value::Map(map) = element else {
        return Err(EvalError::new("unexpected data format for element of array with x-kubernetes-list-type=map"));
    };
    let key = |name: &Arc<str>| map.find(&Value::owned(name.clone()))?.map(TryInto::try_into).transpose();
    names.iter().map(key).collect()
}

/// All elements of the first list, then those of the second that are not in it yet.
pub(super) fn union<'a>(a: &List<'a>, b: &List<'a>) -> Eval<Vec<Value<'a>>> {
    let mut seen = keys(a)?;
    let mut values: Vec<Value<'a>> = a.iter().collect::<Eval<_>>()?;
    for element in b.iter() {
        let element = element?;
        if seen.insert(element.clone().try_into()?) {
            values.push(element);
        }
    }
    Ok(values)
}

/// All elements of the first list, replaced by those of the second with the same keys, then the others of the second.
pub(super) fn merge_by_keys<'a>(a: &List<'a>, b: &List<'a>, names: &[Arc<str>]) -> Eval<Vec<Value<'a>>> {
    let mut positions = std::collections::BTreeMap::new();
    let mut values = Vec::with_capacity(a.len() + b.len());
    for element in a.iter() {
        let element = element?;
        positions.insert(key_values(&element, names)?, values.len());
        values.push(element);
    }
    for element in b.iter() {
        let element = element?;
        match positions.get(&key_values(&element, names)?) {
            Some(position) => values[*position] = element,
            None => values.push(element),
        }
    }
    Ok(values)
}

fn maps<'a>(a: &Map<'a>, b: &Map<'a>, work: &mut Work) -> Eval<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    // Entries are looked up one by one.
    work.spend(a.len().saturating_mul(4))?;
    if let Entries::Json { fields, decl: Some(decl) } = &a.0
        && let Shape::Object(object) = &decl.shape
    {
        // Fields that are not declared are compared as JSON, those that are null count as missing.
        for (name, value) in fields.iter() {
            let is_same = match (object.fields.contains_key(name.as_str()), &b.0) {
                (false, Entries::Json { fields: other, .. }) => match other.get(name) {
                    Some(other) => trees(value, other, work)?,
                    None => true,
                },
                (false, _) => return Err(EvalError::no_overload()),
                (true, _) => {
                    let key = Value::text(name);
                    entries(a.find(&key)?, b.find(&key)?, work)?
                }
            };
            if !is_same {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let mut fault = None;
    for key in a.keys() {
        match entries(a.find(&key)?, b.find(&key)?, work) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if a.is_typed() || error.is_final() => return Err(error),
            Err(error) => {
                fault.get_or_insert(error);
            }
        }
    }
    fault.map_or(Ok(true), Err)
}

fn entries<'a>(a: Option<Value<'a>>, b: Option<Value<'a>>, work: &mut Work) -> Eval<bool> {
    match (a, b) {
        (Some(a), Some(b)) => equal(&a, &b, work),
        (a, b) => Ok(a.is_none() == b.is_none()),
    }
}

/// Compares JSON as it is.
fn trees(a: &Json, b: &Json, work: &mut Work) -> Eval<bool> {
    work.spend(1)?;
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b) {
                if !trees(a, b, work)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Json::Object(a), Json::Object(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for ((a_name, a_value), (b_name, b_value)) in a.iter().zip(b) {
                if a_name != b_name || !trees(a_value, b_value, work)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (a, b) => Ok(a == b),
    }
}
