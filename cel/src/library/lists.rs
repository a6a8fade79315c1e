//! Lists: Kubernetes' sums and extremes, cel-go's slices and sorting, and the sets library.

use std::cmp::Ordering;

use super::{Native, Row, int, list, whole_list};
use crate::fault::{Eval, EvalError, Work};
use crate::value::{List, Map, Value, compare, equal, unknown_to};

macro_rules! for_comparable {
    ($($type:literal, $name:literal;)*) => {
        &[
            $(
                Row(concat!("list_", $name, "_is_sorted_bool"), concat!("<list(", $type, ")>.isSorted() -> bool"), |work, args| {
                    is_sorted(args, work)
                }),
                Row(
                    concat!("list_", $name, "_max_", $name),
                    concat!("<list(", $type, ")>.max() -> ", $type),
                    |work, args| extreme(args, "max", Ordering::Less, work),
                ),
                Row(
                    concat!("list_", $name, "_min_", $name),
                    concat!("<list(", $type, ")>.min() -> ", $type),
                    |work, args| extreme(args, "min", Ordering::Greater, work),
                ),
            )*
        ]
    };
}

/// Functions that Kubernetes declares once for each type that has an order.
pub(super) const EXTREMES: &[Row] = for_comparable! {
    "int", "int";
    "uint", "uint";
    "double", "double";
    "bool", "bool";
    "duration", "duration";
    "timestamp", "timestamp";
    "string", "string";
    "bytes", "bytes";
};

macro_rules! for_sortable {
    ($($type:literal, $name:literal;)*) => {
        &[
            $(
                Row(
                    concat!("list_", $name, "_sort"),
                    concat!("<list(", $type, ")>.sort() -> list(", $type, ")"),
                    |work, args| sort(args, work),
                ),
                Row(
                    concat!("list_", $name, "_sortByAssociatedKeys"),
                    concat!("<list(T)>.@sortByAssociatedKeys(list(", $type, ")) -> list(T)"),
                    |work, args| sort(args, work),
                ),
            )*
        ]
    };
}

/// Functions that cel-go declares once for each type that has an order.
pub(super) const SORTS: &[Row] = for_sortable! {
    "int", "int";
    "uint", "uint";
    "double", "double";
    "bool", "bool";
    "duration", "google.protobuf.Duration";
    "timestamp", "google.protobuf.Timestamp";
    "string", "string";
    "bytes", "bytes";
};

pub(super) const ROWS: &[Row] = &[
    Row("list_int_sum_int", "<list(int)>.sum() -> int", |work, args| sum(Value::Int(0), args, work)),
    Row("list_uint_sum_uint", "<list(uint)>.sum() -> uint", |work, args| sum(Value::Uint(0), args, work)),
    Row("list_double_sum_double", "<list(double)>.sum() -> double", |work, args| sum(Value::Double(0.0), args, work)),
    Row("list_duration_sum_duration", "<list(duration)>.sum() -> duration", |work, args| {
        sum(Value::Duration(0), args, work)
    }),
    Row("list_a_index_of_int", "<list(A)>.indexOf(A) -> int", INDEX_OF),
    Row("list_a_last_index_of_int", "<list(A)>.lastIndexOf(A) -> int", LAST_INDEX_OF),
    Row("list_slice", "<list(T)>.slice(int, int) -> list(T)", |work, args| slice(args, work)),
    Row("list_flatten", "<list(list(T))>.flatten() -> list(T)", FLATTEN),
    Row("list_flatten_int", "<list(dyn)>.flatten(int) -> list(dyn)", FLATTEN),
    Row("lists_range", "lists.range(int) -> list(int)", |work, args| {
        let count = int(args, 0)?.max(0);
        work.allocate_list(usize::try_from(count).unwrap_or(usize::MAX))?;
        Ok(Value::list((0..count).map(Value::Int).collect()))
    }),
    Row("list_reverse", "<list(T)>.reverse() -> list(T)", |work, args| {
        let mut values = collect(list(args, 0)?, work)?;
        values.reverse();
        Ok(Value::list(values))
    }),
    Row("list_distinct", "<list(T)>.distinct() -> list(T)", |work, args| distinct(list(args, 0)?, work)),
    Row("list_sets_contains_list", "sets.contains(list(T), list(T)) -> bool", |work, args| {
        contains_all(list(args, 0)?, list(args, 1)?, work).map(Value::Bool)
    }),
    Row("list_sets_equivalent_list", "sets.equivalent(list(T), list(T)) -> bool", |work, args| {
        let (a, b) = (list(args, 0)?, list(args, 1)?);
        Ok(Value::Bool(contains_all(a, b, work)? && contains_all(b, a, work)?))
    }),
    Row("list_sets_intersects_list", "sets.intersects(list(T), list(T)) -> bool", |work, args| {
        let (a, b) = (list(args, 0)?, list(args, 1)?);
        work.spend(a.len())?;
        for element in a.iter() {
            if b.contains(&element?, work)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    // What the two-variable macros make maps with.
    Row("@mapInsert_map_key_value", "cel.@mapInsert(map(K, V), K, V) -> map(K, V)", |work, args| {
        insert(&args[0], vec![(args[1].clone(), args[2].clone())], work)
    }),
    Row("@mapInsert_map_map", "cel.@mapInsert(map(K, V), map(K, V)) -> map(K, V)", |work, args| {
        insert(&args[0], entries(&args[1])?, work)
    }),
];

const FLATTEN: Native = |work, args| match args {
    [Value::List(list)] => flatten(list, 1, work),
    [Value::List(_), Value::Int(..0)] => Err(EvalError::new("level must be non-negative")),
    [Value::List(list), Value::Int(depth)] => flatten(list, *depth, work),
    [list, depth @ ..] => {
        let depth = depth.first().map_or("", |depth| depth.type_name());
        Err(EvalError::new(format!("no such overload: {}.flatten({depth})", list.type_name())))
    }
    [] => Err(EvalError::no_overload()),
};

const INDEX_OF: Native = |work, args| {
    for (index, element) in whole_list(args, 0, work)?.iter().enumerate() {
        if is_same(element, &args[1], work)? {
            return Ok(Value::Int(index as i64));
        }
    }
    Ok(Value::Int(-1))
};

const LAST_INDEX_OF: Native = |work, args| {
    let list = whole_list(args, 0, work)?;
    for index in (0..list.len()).rev() {
        if let Some(element) = list.get(index)
            && is_same(element, &args[1], work)?
        {
            return Ok(Value::Int(index as i64));
        }
    }
    Ok(Value::Int(-1))
};

/// Whether an element equals a value; one that cannot be compared does not.
fn is_same<'a>(element: Eval<Value<'a>>, value: &Value<'a>, work: &mut Work) -> Eval<bool> {
    match equal(&element?, value, work) {
        Err(error) if error.is_final() => Err(error),
        result => Ok(result.unwrap_or(false)),
    }
}

fn collect<'a>(list: &List<'a>, work: &mut Work) -> Eval<Vec<Value<'a>>> {
    work.allocate_list(list.len())?;
    list.iter().collect()
}

/// Accounts for comparing a value so many times.
fn scan(value: &Value<'_>, times: usize, work: &mut Work) -> Eval<()> {
    match value {
        Value::String(text) => work.scan(text.len().saturating_mul(times)),
        Value::Bytes(bytes) => work.scan(bytes.len().saturating_mul(times)),
        _ => Ok(()),
    }
}

fn is_sorted<'a>(args: &[Value<'a>], work: &mut Work) -> Eval<Value<'a>> {
    let mut previous: Option<Value<'a>> = None;
    for element in whole_list(args, 0, work)?.iter() {
        let element = element?;
        scan(&element, 1, work)?;
        // What has no order is not out of order.
        if previous.is_some_and(|previous| compare(&previous, &element).is_ok_and(Ordering::is_gt)) {
            return Ok(Value::Bool(false));
        }
        previous = Some(element);
    }
    Ok(Value::Bool(true))
}

/// The element that no other is beyond; `worse` is how a lesser candidate compares to a better one.
fn extreme<'a>(args: &[Value<'a>], name: &str, worse: Ordering, work: &mut Work) -> Eval<Value<'a>> {
    let mut best: Option<Value<'a>> = None;
    for element in whole_list(args, 0, work)?.iter() {
        let element = element?;
        scan(&element, 1, work)?;
        let replace = match &best {
            Some(best) => compare(best, &element).is_ok_and(|ordering| ordering == worse),
            None => true,
        };
        if replace {
            best = Some(element);
        }
    }
    best.ok_or_else(|| EvalError::new(format!("{name} called on empty list")))
}

fn sum<'a>(zero: Value<'a>, args: &[Value<'a>], work: &mut Work) -> Eval<Value<'a>> {
    let mut total = zero;
    for element in whole_list(args, 0, work)?.iter() {
        total = crate::value::add(&total, &element?, work)?;
    }
    Ok(total)
}

fn slice<'a>(args: &[Value<'a>], work: &mut Work) -> Eval<Value<'a>> {
    let (list, start, end) = (list(args, 0)?, int(args, 1)?, int(args, 2)?);
    let fault = |what: String| Err(EvalError::new(format!("cannot slice({start}, {end}), {what}")));
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return fault("negative indexes not supported".to_owned());
    };
    if from > to {
        return fault("start index must be less than or equal to end index".to_owned());
    }
    if to > list.len() {
        return fault(format!("list is length {}", list.len()));
    }
    work.allocate_list(to)?;
    Ok(Value::list(list.iter().take(to).skip(from).collect::<Eval<_>>()?))
}

fn flatten<'a>(list: &List<'a>, depth: i64, work: &mut Work) -> Eval<Value<'a>> {
    let mut flat = Vec::new();
    // Elements still to be looked at, the next one last, and how many levels may still be opened.
    let mut pending: Vec<(Value<'a>, i64)> = Vec::new();
    let push = |list: &List<'a>, depth: i64, pending: &mut Vec<(Value<'a>, i64)>, work: &mut Work| -> Eval<()> {
        let values = collect(list, work)?;
        pending.extend(values.into_iter().rev().map(|value| (value, depth)));
        Ok(())
    };
    push(list, depth, &mut pending, work)?;
    while let Some((value, depth)) = pending.pop() {
        match value {
            Value::List(inner) if depth > 0 => push(&inner, depth - 1, &mut pending, work)?,
            value => flat.push(value),
        }
    }
    Ok(Value::list(flat))
}

fn distinct<'a>(list: &List<'a>, work: &mut Work) -> Eval<Value<'a>> {
    work.spend(list.len())?;
    let mut unique: Vec<Value<'a>> = Vec::new();
    for element in list.iter() {
        let element = element?;
        let mut is_known = false;
        for known in &unique {
            if is_same(Ok(known.clone()), &element, work)? {
                is_known = true;
                break;
            }
        }
        if !is_known {
            unique.push(element);
        }
    }
    Ok(Value::list(unique))
}

/// Sorts a list by itself, or by other values that belong to its elements.
fn sort<'a>(args: &[Value<'a>], work: &mut Work) -> Eval<Value<'a>> {
    let (list, keys) = match args {
        [Value::List(list)] => (list, list),
        [Value::List(list), Value::List(keys)] => (list, keys),
        _ => return Err(unknown_to(&args[0], "sort")),
    };
    if list.len() != keys.len() {
        return Err(EvalError::new(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, \
             but got {} and {} elements respectively",
            list.len(),
            keys.len()
        )));
    }
    let values = collect(list, work)?;
    let keys = collect(keys, work)?;
    if let Some(first) = keys.first() {
        compare(first, first).map_err(|_| EvalError::new("list elements must be comparable"))?;
        if keys.iter().any(|key| key.type_name() != first.type_name()) {
            return Err(EvalError::new("list elements must have the same type"));
        }
    }
    let comparisons = keys.len().checked_ilog2().map_or(0, |log| log as usize + 1);
    work.spend(keys.len().saturating_mul(comparisons))?;
    for key in &keys {
        scan(key, comparisons, work)?;
    }
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.into_iter().zip(values).collect();
    pairs.sort_by(|(a, _), (b, _)| compare(a, b).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, value)| value).collect()))
}

fn contains_all<'a>(list: &List<'a>, part: &List<'a>, work: &mut Work) -> Eval<bool> {
    work.spend(part.len())?;
    for element in part.iter() {
        if !list.contains(&element?, work)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entries of a map, as `cel.@mapInsert` takes them.
pub(crate) fn entries<'a>(map: &Value<'a>) -> Eval<Vec<(Value<'a>, Value<'a>)>> {
    let Value::Map(map) = map else { return Err(EvalError::no_overload()) };
    map.keys()
        .into_iter()
        .map(|key| {
            let value = map.find(&key)?.ok_or_else(|| EvalError::no_key(&key))?;
            Ok((key, value))
        })
        .collect()
}

fn insert<'a>(map: &Value<'a>, added: Vec<(Value<'a>, Value<'a>)>, work: &mut Work) -> Eval<Value<'a>> {
    let old = entries(map)?;
    work.allocate_list(old.len().saturating_mul(2))?;
    let mut values = crate::value::ValueMap::new();
    for (key, value) in old {
        values.insert(key.try_into()?, value);
    }
    for (key, value) in added {
        insert_new(&mut values, key, value)?;
    }
    Ok(Value::Map(Map::new(values)))
}

/// Adds an entry; an error if there is one with the same key.
pub(crate) fn insert_new<'a>(map: &mut crate::value::ValueMap<'a>, key: Value<'a>, value: Value<'a>) -> Eval<()> {
    if crate::value::find_value(map, &key).is_some() {
        return Err(EvalError::new(format!("insert failed: key {key} already exists")));
    }
    map.insert(key.try_into()?, value);
    Ok(())
}
