//! Lists in a strategic merge patch: merged by key or as a set, taken from, and put into order.
//!
//! The order of the result: what the patch (or `$setElementOrder`) names stands in that order, what only the object has stands in
//! the object's order, and the two are woven together so that an element of the object comes before an element of the patch only
//! if it did so before.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{DIRECTIVE, SET_ORDER, failed, merge_map, unknown_directive, without_directives};
use crate::patch::{Error, shown};
use crate::schema::Schema;

/// What tells list elements apart: a scalar, or the value of an element's merge key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Identity {
    Null,
    Bool(bool),
    Integer(i128),
    Float(u64),
    Text(String),
}

/// Where each element stands in a list; the first place counts.
type Places = HashMap<Identity, usize>;

/// Merges the elements of `patch` into `original`.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: Option<&str>,
    items: &Schema,
) -> Result<Vec<Value>, Error> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if !elements_are_maps(&original, &patch)? {
        let (live, order) = (places(&original, merge_key)?, places(&patch, merge_key)?);
        let mut seen = HashSet::new();
        let mut merged = original;
        merged.extend(patch);
        merged.retain(|item| identity(item, None).is_ok_and(|identity| seen.insert(identity)));
        return arrange(merged, &order, &live, merge_key);
    }
    let key = merge_key.ok_or_else(|| failed("cannot merge lists without merge key for struct"))?;
    let (original, patch) = obey_directives(original, patch, key)?;
    let (live, order) = (places(&original, merge_key)?, places(&patch, merge_key)?);
    let merged = merge_by_key(original, patch, key, items)?;
    arrange(merged, &order, &live, merge_key)
}

/// `original` without the scalars in `values`.
pub(super) fn delete(
    original: Vec<Value>,
    values: Vec<Value>,
    merge_key: Option<&str>,
    items: &Schema,
) -> Result<Vec<Value>, Error> {
    if original.is_empty() && values.is_empty() {
        return Ok(original);
    }
    if elements_are_maps(&original, &values)? {
        // Kubernetes does not mind what the directive is called when the elements are maps.
        return merge(original, values, merge_key, items);
    }
    let gone = values.iter().map(|value| identity(value, None)).collect::<Result<HashSet<_>, _>>()?;
    let kept = |item: &Value| !identity(item, None).is_ok_and(|identity| gone.contains(&identity));
    Ok(original.into_iter().filter(kept).collect())
}

/// Obeys each `$setElementOrder/<name>` together with the patch of that list, and takes both from the patch.
pub(super) fn apply_set_orders(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: &Schema,
) -> Result<(), Error> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let order = into_list(order)?;
        let name = directive[SET_ORDER.len()..].strip_prefix('/').ok_or_else(bad_order_format)?;
        let current = original.get(name).cloned().map(into_list).transpose()?;
        let change = patch.get(name).cloned().map(into_list).transpose()?;
        let (list, items) = super::list_field(schema, name)?;
        let key = list.patch.merge_key.as_deref();
        check_order(change.as_deref().unwrap_or_default(), &order, key)?;
        let empty = || failed("no elements in any of the given slices");
        let is_empty = |list: &Option<Vec<Value>>| list.as_ref().is_none_or(Vec::is_empty);
        let all_empty = is_empty(&current) && is_empty(&change);
        let live = current.as_deref().map(|current| places(current, key)).transpose()?.unwrap_or_default();
        let merged = match (current, change) {
            (None, None) => continue,
            _ if all_empty => return Err(empty()),
            (Some(current), None) => current,
            (None, Some(change)) => change.into_iter().filter_map(without_directives).collect(),
            (Some(current), Some(change)) if list.patch.merge => merge(current, change, key, items)?,
            (Some(_), Some(change)) => change,
        };
        let order = places(&order, key)?;
        original.insert(name.to_owned(), Value::Array(arrange(merged, &order, &live, key)?));
        patch.remove(name);
    }
    Ok(())
}

/// Carries out the elements of the patch that are directives, and leaves the others.
fn obey_directives(mut original: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut deleted = HashSet::new();
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = &item else { return Err(not_a_map(&item)) };
        match map.get(DIRECTIVE) {
            None => plain.push(item),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    deleted.insert(identity(&item, Some(key))?);
                }
                Some("replace") => replace = true,
                Some("merge") => return Err(failed("merging lists cannot yet be specified in the patch")),
                _ => return Err(unknown_directive(directive, map)),
            },
        }
    }
    if replace {
        return Ok((plain, Vec::new()));
    }
    if !deleted.is_empty() {
        original.retain(|item| !identity(item, Some(key)).is_ok_and(|identity| deleted.contains(&identity)));
    }
    Ok((original, plain))
}

fn merge_by_key(original: Vec<Value>, patch: Vec<Value>, key: &str, items: &Schema) -> Result<Vec<Value>, Error> {
    let mut merged = original;
    let mut known = places(&merged, Some(key))?;
    for item in patch {
        let identity = identity(&item, Some(key))?;
        match known.get(&identity) {
            Some(place) => {
                let (Value::Object(current), Value::Object(change)) = (merged[*place].take(), item) else {
                    return Err(failed("list element types are not identical"));
                };
                merged[*place] = Value::Object(merge_map(current, change, items)?);
            }
            None => {
                known.insert(identity, merged.len());
                merged.push(item);
            }
        }
    }
    Ok(merged)
}

/// Puts the elements named in `order` into that order and weaves them into the others, which keep the `live` order.
fn arrange(merged: Vec<Value>, order: &Places, live: &Places, key: Option<&str>) -> Result<Vec<Value>, Error> {
    // An element that is in neither list has the last place of its group.
    let last = usize::MAX;
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        let identity = identity(&item, key)?;
        let live_place = live.get(&identity).copied();
        match order.get(&identity) {
            Some(place) => named.push((*place, live_place, item)),
            None => others.push((live_place.unwrap_or(last), live_place, item)),
        }
    }
    named.sort_by_key(|(place, ..)| *place);
    others.sort_by_key(|(place, ..)| *place);
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, named_place, item) in named {
        let before = |other: Option<usize>| matches!((other, named_place), (Some(o), Some(n)) if o < n);
        while let Some((_, _, other)) = others.next_if(|(_, place, _)| before(*place)) {
            arranged.push(other);
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(_, _, other)| other));
    Ok(arranged)
}

/// The patch must not contain elements that the order does not, nor contradict it.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Error> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut ordered = order.iter();
    for item in patch {
        if item.get(DIRECTIVE).is_some() {
            continue;
        }
        let wanted = identity(item, key)?;
        loop {
            let Some(next) = ordered.next() else {
                let (patch, order) = (Value::from(patch.to_vec()), Value::from(order.to_vec()));
                return Err(failed(format!(
                    "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
                    shown::plain(&patch),
                    shown::plain(&order)
                )));
            };
            if identity(next, key)? == wanted {
                break;
            }
        }
    }
    Ok(())
}

/// Whether the elements are maps; they must be all of one type, and no lists.
fn elements_are_maps(original: &[Value], patch: &[Value]) -> Result<bool, Error> {
    let mut first: Option<&Value> = None;
    for item in original.iter().chain(patch) {
        match first {
            None if item.is_array() => {
                return Err(Error::Unprocessable("lists of lists are not supported".to_owned()));
            }
            None => first = Some(item),
            Some(first) if shown::go_type(first) != shown::go_type(item) => {
                let lists = Value::from(vec![original.to_vec(), patch.to_vec()]);
                return Err(failed(format!("list element types are not identical: {}", shown::plain(&lists))));
            }
            Some(_) => {}
        }
    }
    Ok(first.is_some_and(Value::is_object))
}

fn places(list: &[Value], key: Option<&str>) -> Result<Places, Error> {
    let mut places = Places::with_capacity(list.len());
    for (place, item) in list.iter().enumerate() {
        places.entry(identity(item, key)?).or_insert(place);
    }
    Ok(places)
}

fn identity(item: &Value, key: Option<&str>) -> Result<Identity, Error> {
    let value = match key {
        None => item,
        Some(key) => {
            let map = item.as_object().ok_or_else(|| not_a_map(item))?;
            map.get(key).ok_or_else(|| {
                failed(format!("map: {} does not contain declared merge key: {key}", shown::plain(item)))
            })?
        }
    };
    match value {
        Value::Null => Ok(Identity::Null),
        Value::Bool(b) => Ok(Identity::Bool(*b)),
        Value::String(text) => Ok(Identity::Text(text.clone())),
        Value::Number(n) => Ok(match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Identity::Integer(n.into()),
            (None, Some(n)) => Identity::Integer(n.into()),
            // Adding zero makes the two zeros one.
            (None, None) => Identity::Float((n.as_f64().unwrap_or_default() + 0.0).to_bits()),
        }),
        Value::Array(_) | Value::Object(_) => {
            Err(failed(format!("a {} cannot tell list elements apart", shown::go_type(value))))
        }
    }
}

fn into_list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(failed(format!("expected a []interface {{}}, but received a {}", shown::go_type(&other)))),
    }
}

fn not_a_map(value: &Value) -> Error {
    failed(format!("expected a map[string]interface {{}}, but received a {}", shown::go_type(value)))
}

fn bad_order_format() -> Error {
    Error::BadRequest("invalid patch format of setElementOrder list".to_owned())
}
