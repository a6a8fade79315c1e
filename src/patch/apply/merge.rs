//! The object that comes out when a configuration is laid over a live object, and the taking away of fields from it.
//!
//! Who owns what is not looked at here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::check::{Faults, at};
use super::path::{Element, element_of};
use super::set::Set;
use super::shape::{Form, ListForm, MapForm, Shape};

/// Lays `config` over `live`: what is owned whole is taken from `config` where it is there, the rest is merged.
pub(super) fn merge(shape: Shape<'_>, live: &Value, config: &Value) -> Result<Value, Faults> {
    Ok(merge_place(shape, Some(live), Some(config))?.unwrap_or(Value::Null))
}

fn merge_place(shape: Shape<'_>, live: Option<&Value>, config: Option<&Value>) -> Result<Option<Value>, Faults> {
    let form = shape.form(config.or(live));
    let whole = || Ok(config.or(live).cloned());
    match form {
        Form::Scalar(_) => whole(),
        Form::List(list) => {
            let (olds, news) = (live.and_then(Value::as_array), config.and_then(Value::as_array));
            let empty = olds.is_none_or(Vec::is_empty) && news.is_none_or(Vec::is_empty);
            if empty || list == ListForm::Whole {
                return whole();
            }
            merge_lists(shape, list, olds.map_or(&[], Vec::as_slice), news.map_or(&[], Vec::as_slice))
                .map(|merged| Some(Value::Array(merged)))
        }
        Form::Map(map) => {
            let (olds, news) = (live.and_then(Value::as_object), config.and_then(Value::as_object));
            let empty = olds.is_none_or(Map::is_empty) && news.is_none_or(Map::is_empty);
            if empty || map == MapForm::Whole {
                return whole();
            }
            merge_maps(shape, olds, news).map(|merged| Some(Value::Object(merged)))
        }
    }
}

fn merge_maps(
    shape: Shape<'_>,
    live: Option<&Map<String, Value>>,
    config: Option<&Map<String, Value>>,
) -> Result<Map<String, Value>, Faults> {
    let mut merged = Map::new();
    let mut entry = |name: &str, old: Option<&Value>, new: Option<&Value>| {
        let below = shape.field(name).map_or(Shape::Opaque, |field| field.shape);
        let value = merge_place(below, old, new).map_err(|faults| at(&format!(".{name}"), faults))?;
        if let Some(value) = value {
            merged.insert(name.to_owned(), value);
        }
        Ok::<_, Faults>(())
    };
    for (name, old) in live.into_iter().flatten() {
        entry(name, Some(old), config.and_then(|config| config.get(name)))?;
    }
    for (name, new) in config.into_iter().flatten() {
        if live.is_none_or(|live| !live.contains_key(name)) {
            entry(name, None, Some(new))?;
        }
    }
    Ok(merged)
}

/// Merges two lists whose elements have identities. What the configuration has stands in its order; what only the live list has
/// keeps its place among what both have.
fn merge_lists(shape: Shape<'_>, list: ListForm<'_>, live: &[Value], config: &[Value]) -> Result<Vec<Value>, Faults> {
    let items = shape.items();
    let places = Places::of(list, items, live, config)?;
    let item = |step: &Element, old: Option<&Value>, new: Option<&Value>| {
        merge_place(items, old, new).map_err(|faults| at(&step.to_string(), faults))
    };
    let mut shared = (0..config.len()).filter(|new| places.in_live[*new].is_some()).peekable();
    let mut merged_config = vec![false; config.len()];
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let (mut old, mut new) = (0, 0);
    while old < live.len() || new < config.len() {
        if let Some(twin) = places.in_config.get(old).copied().flatten().filter(|_| new < config.len()) {
            if twin == new {
                merged_config[new] = true;
                merged.extend(item(&places.live[old], places.sole_live(live, new), Some(&config[new]))?);
                old += 1;
                new += 1;
                shared.next();
                continue;
            }
            if shared.peek().is_some_and(|next| *next != twin) {
                // The configuration wants another of the shared elements first, and brings this one later.
                old += 1;
                continue;
            }
        }
        if old < live.len() {
            match places.in_config[old] {
                None => {
                    merged.extend(item(&places.live[old], Some(&live[old]), None)?);
                    old += 1;
                    continue;
                }
                Some(twin) if merged_config[twin] => old += 1,
                Some(_) => {}
            }
        }
        if new < config.len() {
            merged_config[new] = true;
            merged.extend(item(&places.config[new], places.sole_live(live, new), Some(&config[new]))?);
            shared.next_if_eq(&new);
            new += 1;
        }
    }
    Ok(merged)
}

/// Which elements of two lists are the same.
struct Places {
    live: Vec<Element>,
    config: Vec<Element>,
    /// For each live element, its place in the configuration.
    in_config: Vec<Option<usize>>,
    /// For each element of the configuration, its first place in the live list, and whether it is the only one.
    in_live: Vec<Option<(usize, bool)>>,
}

// === impl Places ===

impl Places {
    fn of(list: ListForm<'_>, items: Shape<'_>, live: &[Value], config: &[Value]) -> Result<Self, Faults> {
        let elements = |values: &[Value]| -> Result<Vec<Element>, Faults> {
            let element = |(i, value)| {
                element_of(list, items, value).map_err(|why| Faults::one("", format!("element {i}: {why}")))
            };
            values.iter().enumerate().map(element).collect()
        };
        let (live, config) = (elements(live)?, elements(config)?);
        let mut of_live = BTreeMap::<&Element, (usize, bool)>::new();
        for (place, element) in live.iter().enumerate() {
            of_live.entry(element).and_modify(|(_, sole)| *sole = false).or_insert((place, true));
        }
        let mut of_config = BTreeMap::new();
        for (place, element) in config.iter().enumerate() {
            if of_config.insert(element, place).is_some() {
                return Err(Faults::one("", format!("duplicate entries for key {element}")));
            }
        }
        let in_config = live.iter().map(|element| of_config.get(element).copied()).collect();
        let in_live = config.iter().map(|element| of_live.get(element).copied()).collect();
        Ok(Self { in_config, in_live, live, config })
    }

    /// The live element to merge with one of the configuration; where there are several, none of them is merged.
    fn sole_live<'v>(&self, live: &'v [Value], new: usize) -> Option<&'v Value> {
        let (place, sole) = self.in_live[new]?;
        if sole { live.get(place) } else { None }
    }
}

/// Takes the paths of the set out of a value. What is owned whole goes only if its own path is in the set; a map or list from which
/// everything is taken becomes null.
pub(super) fn remove(shape: Shape<'_>, value: &mut Value, paths: &Set) {
    let form = shape.form(Some(value));
    let emptied = match (form, &mut *value) {
        (Form::Map(MapForm::Granular), Value::Object(map)) => {
            map.retain(|name, value| {
                let Some(branch) = paths.field(name) else { return true };
                if !branch.member && !branch.children.is_empty() {
                    let below = shape.field(name).map_or(Shape::Opaque, |field| field.shape);
                    remove(below, value, &branch.children);
                }
                !branch.member
            });
            map.is_empty()
        }
        (Form::List(list), Value::Array(values)) if list != ListForm::Whole => {
            let items = shape.items();
            values.retain_mut(|value| {
                let Ok(element) = element_of(list, items, value) else { return true };
                let Some(branch) = paths.get(&element) else { return true };
                if !branch.member && !branch.children.is_empty() {
                    remove(items, value, &branch.children);
                }
                // An element that lost everything lost its keys, too.
                !branch.member && !value.is_null()
            });
            values.is_empty()
        }
        _ => false,
    };
    if emptied {
        *value = Value::Null;
    }
}

/// Makes maps and lists that became null because everything was taken from them empty again, as structured-merge-diff 6.3.2 does;
/// what was taken whole is not there any more.
pub(super) fn restore_emptied(shape: Shape<'_>, value: &mut Value, full: &Value) {
    match (&mut *value, full) {
        (Value::Null, Value::Object(map)) if !map.is_empty() => *value = Value::Object(Map::new()),
        (Value::Null, Value::Array(values)) if !values.is_empty() => *value = Value::Array(Vec::new()),
        (Value::Object(map), Value::Object(full)) => {
            for (name, value) in map {
                let Some(full) = full.get(name) else { continue };
                let below = shape.field(name).map_or(Shape::Opaque, |field| field.shape);
                restore_emptied(below, value, full);
            }
        }
        (Value::Array(values), Value::Array(full)) => {
            let Form::List(list @ ListForm::Keyed(_)) = shape.form(Some(&Value::Array(Vec::new()))) else { return };
            let items = shape.items();
            let places = full.iter().enumerate();
            let places: BTreeMap<Element, usize> =
                places.filter_map(|(place, value)| Some((element_of(list, items, value).ok()?, place))).collect();
            for value in values {
                let Ok(element) = element_of(list, items, value) else { continue };
                let Some(full) = places.get(&element).and_then(|place| full.get(*place)) else { continue };
                restore_emptied(items, value, full);
            }
        }
        _ => {}
    }
}
