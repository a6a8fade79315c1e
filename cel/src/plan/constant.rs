//! What can be computed before an expression is evaluated.

use crate::fault::Work;
use crate::library::{self, Overload};
use crate::value::{Key, List, Map, Value, ValueMap};

/// A list of constants, each with whether it may be missing.
pub(super) fn list(elements: Vec<(&Value<'static>, bool)>) -> Result<Value<'static>, String> {
    let mut values = Vec::with_capacity(elements.len());
    for (value, is_optional) in elements {
        match value {
            Value::Optional(value) if is_optional => values.extend(value.as_deref().cloned()),
            value if is_optional => return Err(crate::eval::not_optional_element(value)),
            value => values.push(value.clone()),
        }
    }
    Ok(Value::List(List::new(values)))
}

/// A map of constants.
pub(super) fn map(entries: Vec<(&Value<'static>, &Value<'static>, bool)>) -> Result<Value<'static>, String> {
    let mut values = ValueMap::new();
    for (key, value, is_optional) in entries {
        let name: Key<'static> = key.clone().try_into().map_err(|error: crate::EvalError| error.to_string())?;
        match value {
            Value::Optional(Some(value)) if is_optional => values.insert(name, (**value).clone()),
            Value::Optional(None) if is_optional => values.remove(&name),
            value if is_optional => return Err(crate::eval::not_optional_entry(key, value)),
            value => values.insert(name, value.clone()),
        };
    }
    Ok(Value::Map(Map::new(values)))
}

/// The result of a conversion.
pub(super) fn call(
    function: &str,
    overloads: &[&'static Overload],
    arg: &Value<'static>,
) -> Result<Value<'static>, String> {
    let args = [arg.clone()];
    match overloads.iter().find(|overload| overload.accepts(&args)) {
        Some(overload) => (overload.native)(&mut Work::new(), &args).map_err(|error| error.to_string()),
        None => Err(library::no_overload_for(function, &args).to_string()),
    }
}

/// The elements of a list as a set, if all of them can be looked up.
pub(super) fn set(list: &List<'static>) -> Option<ValueMap<'static>> {
    list.iter().map(|element| Some((Key::try_from(element.ok()?).ok()?, Value::Bool(true)))).collect()
}
