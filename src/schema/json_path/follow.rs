//! Follows a path through a value.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Comparison, JsonPath, MAX_VALUES, Slice, Step};

/// The path cannot be followed.
pub(super) struct Nowhere;

type Found<'v> = Result<Vec<&'v Value>, Nowhere>;

/// The values a path leads to.
pub(super) fn follow<'v>(path: &'v JsonPath, value: &'v Value) -> Found<'v> {
    walk(path, vec![value])
}

fn walk<'v>(path: &'v JsonPath, from: Vec<&'v Value>) -> Found<'v> {
    let mut found = from;
    for step in &path.steps {
        found = take(step, &found)?;
        if found.len() > MAX_VALUES {
            return Err(Nowhere);
        }
    }
    Ok(found)
}

fn take<'v>(step: &'v Step, from: &[&'v Value]) -> Found<'v> {
    let mut found = Vec::new();
    match step {
        Step::Literal(literal) => found.push(literal),
        Step::Unknown => return Err(Nowhere),
        Step::Union(paths) => {
            for path in paths {
                found.extend(walk(path, from.to_vec())?);
                if found.len() > MAX_VALUES {
                    return Err(Nowhere);
                }
            }
        }
        step => {
            for value in from.iter().copied().filter(|value| !value.is_null()) {
                take_one(step, value, &mut found)?;
                if found.len() > MAX_VALUES {
                    return Err(Nowhere);
                }
            }
        }
    }
    Ok(found)
}

/// One step from a value that is not null.
fn take_one<'v>(step: &'v Step, value: &'v Value, found: &mut Vec<&'v Value>) -> Result<(), Nowhere> {
    match (step, value) {
        (Step::Field(name), value) => found.extend(value.get(name)),
        (Step::Slice(slice), Value::Array(items)) => found.extend(slice_of(items, *slice)?),
        (Step::Each, Value::Array(items)) => found.extend(items),
        (Step::Each, Value::Object(map)) => found.extend(map.values()),
        (Step::Descend, value) => descend(value, found),
        (Step::Filter { left, comparison, right }, Value::Array(items)) => {
            for item in items {
                if passes(item, left, *comparison, right)? {
                    found.push(item);
                }
            }
        }
        (Step::Slice(_) | Step::Filter { .. }, _) => return Err(Nowhere),
        _ => {}
    }
    Ok(())
}

fn slice_of(items: &[Value], slice: Slice) -> Result<impl Iterator<Item = &Value>, Nowhere> {
    let length = items.len() as i64;
    let mut from = slice.from.unwrap_or(0);
    let mut to = if slice.is_index { from.saturating_add(1) } else { slice.to.unwrap_or(length) };
    if from < 0 {
        from += length;
    }
    if to < 0 || (to == 0 && slice.is_index) {
        to += length;
    }
    let by = slice.by.unwrap_or(1);
    let inside = (0..length).contains(&from) && (0..=length).contains(&to) && from <= to && by > 0;
    if from != to && !inside {
        return Err(Nowhere);
    }
    let (from, to) = if from == to { (0, 0) } else { (from as usize, to as usize) };
    Ok(items[from..to].iter().step_by(usize::try_from(by).unwrap_or(1).max(1)))
}

/// What holds something, and all of that sort below it. Depth is bounded by the decoder that made the value.
fn descend<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    if found.len() > MAX_VALUES {
        return;
    }
    match value {
        Value::String(text) if !text.is_empty() => found.push(value),
        Value::Array(items) if !items.is_empty() => {
            found.push(value);
            items.iter().for_each(|item| descend(item, found));
        }
        Value::Object(map) if !map.is_empty() => {
            found.push(value);
            map.values().for_each(|item| descend(item, found));
        }
        _ => {}
    }
}

fn passes(item: &Value, left: &JsonPath, comparison: Comparison, right: &JsonPath) -> Result<bool, Nowhere> {
    let found = follow(left, item);
    if comparison == Comparison::Exists {
        return Ok(found.is_ok_and(|found| !found.is_empty()));
    }
    let one = |found: Vec<&Value>| match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        _ => Err(Nowhere),
    };
    let Some(left) = one(found?)? else { return Ok(false) };
    let Some(right) = one(follow(right, item)?)? else { return Ok(false) };
    let order = match (&left, &right) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() == b.is_f64() => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().partial_cmp(&b.as_f64()),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) if matches!(comparison, Comparison::Equal | Comparison::NotEqual) => {
            Some(a.cmp(b))
        }
        _ => return Err(Nowhere),
    };
    Ok(match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order.is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order.is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        Comparison::Exists | Comparison::Unknown => return Err(Nowhere),
    })
}
