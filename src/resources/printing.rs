//! Pieces of table rows that several kinds share: ages, containers, selectors, short lists.

use std::collections::BTreeMap;

use atoll_api::Object;
use atoll_api::selector::LabelSelector;
use atoll_api::time::{human_duration, parse_time};
use jiff::Timestamp;
use serde_json::Value;

use super::read::{entries, list, text};

/// What is printed for a value that is not there.
pub(super) const NONE: &str = "<none>";
/// What is printed for a setting that was not made.
pub(super) const UNSET: &str = "<unset>";
/// What is printed for something that is not known yet.
pub(super) const UNKNOWN: &str = "<unknown>";

/// The age of an object.
pub(super) fn age(object: &Object, now: Timestamp) -> Value {
    since(object.meta("creationTimestamp"), now).into()
}

/// The cells of kinds that show their age only.
pub(super) fn age_only(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![age(object, now)]
}

/// The cells of kinds without a printer of their own.
pub(super) fn created_at(object: &Object, _: Timestamp) -> Vec<Value> {
    vec![object.meta("creationTimestamp").into()]
}

/// How long ago a time was; `<unknown>` if it is no time.
pub(super) fn since(time: &str, now: Timestamp) -> String {
    match parse_time(time) {
        Ok(time) => human_duration(now.as_second() - time.as_second()),
        Err(_) => UNKNOWN.to_owned(),
    }
}

/// The time between two times; empty if one of them is no time.
pub(super) fn between(from: &str, to: &str) -> String {
    match (parse_time(from), parse_time(to)) {
        (Ok(from), Ok(to)) => human_duration(to.as_second() - from.as_second()),
        _ => String::new(),
    }
}

/// A text, or what is printed instead if it is empty.
pub(super) fn text_or(value: &Value, instead: &str) -> Value {
    match text(value) {
        "" => instead.into(),
        text => text.into(),
    }
}

/// The names and the images of a list of containers.
pub(super) fn containers(containers: &Value) -> (Value, Value) {
    let joined = |field: &str| list(containers).iter().map(|c| text(&c[field])).collect::<Vec<_>>().join(",");
    (joined("name").into(), joined("image").into())
}

/// A map of labels as `a=1,b=2`; `<none>` if there are none.
pub(super) fn labels(labels: &Value) -> Value {
    let sorted: BTreeMap<&str, &str> = entries(labels).map(|(key, value)| (key, text(value))).collect();
    if sorted.is_empty() {
        return NONE.into();
    }
    sorted.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",").into()
}

/// A `metav1.LabelSelector` in text form; `<none>` if it is empty or absent.
pub(super) fn selector(selector: &Value) -> Value {
    match LabelSelector::from_object(selector) {
        Ok(selector) if selector.is_everything() || selector.is_nothing() => NONE.into(),
        Ok(selector) => selector.to_string().into(),
        Err(_) => "<error>".into(),
    }
}

/// The first three of a list, and how many more there are; `<unset>` if there are none.
pub(super) fn first_three(items: &[String]) -> Value {
    const SHOWN: usize = 3;
    match items {
        [] => UNSET.into(),
        [one] if one.is_empty() => UNSET.into(),
        items if items.len() <= SHOWN => items.join(",").into(),
        items => format!("{} + {} more...", items[..SHOWN].join(","), items.len() - SHOWN).into(),
    }
}

/// `True`, `False`, or `<unset>`.
pub(super) fn go_bool(value: &Value) -> Value {
    match value.as_bool() {
        Some(true) => "True".into(),
        Some(false) => "False".into(),
        None => UNSET.into(),
    }
}
