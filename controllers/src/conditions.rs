//! Conditions in a status: a list with one entry for each type, whose transition time changes with its status only.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition<'a> {
    /// What it is about.
    pub(crate) kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    /// Why, for machines.
    pub(crate) reason: &'a str,
    /// Why, for people.
    pub(crate) message: String,
}

/// Whether setting a condition changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was so already.
    None,
    /// It is new or differs.
    Changed,
}

/// Sets a condition in `status.conditions`.
pub(crate) fn set(status: &mut Map<String, Value>, condition: &Condition<'_>, now: Timestamp) -> Change {
    let slot = status.entry("conditions").or_insert_with(|| Value::Array(Vec::new()));
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(list) = slot else { return Change::None };
    let time = atoll_api::time::format_time(now);
    let Some(old) = list.iter_mut().find(|old| old["type"] == condition.kind) else {
        list.push(json!({
            "type": condition.kind, "status": condition.status, "lastTransitionTime": time,
            "reason": condition.reason, "message": condition.message,
        }));
        return Change::Changed;
    };
    let same_status = old["status"] == condition.status;
    if same_status && old["reason"] == condition.reason && old["message"] == condition.message.as_str() {
        return Change::None;
    }
    if !same_status {
        old["status"] = condition.status.into();
        old["lastTransitionTime"] = time.into();
    }
    old["reason"] = condition.reason.into();
    old["message"] = condition.message.as_str().into();
    Change::Changed
}

/// The status of a condition; empty if it is not there.
pub(crate) fn status_of<'a>(status: Option<&'a Value>, kind: &str) -> &'a str {
    let list = status.and_then(|status| status["conditions"].as_array());
    let found = list.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: &'static str, message: &str) -> Condition<'static> {
        Condition { kind: "Ready", status, reason: "Because", message: message.to_owned() }
    }

    #[test]
    fn the_transition_time_changes_with_the_status_only() {
        let mut status = Map::new();
        let (first, second) = (Timestamp::UNIX_EPOCH, Timestamp::new(100, 0).unwrap());
        assert_eq!(set(&mut status, &condition("True", "a"), first), Change::Changed);
        assert_eq!(set(&mut status, &condition("True", "a"), second), Change::None);
        assert_eq!(set(&mut status, &condition("True", "b"), second), Change::Changed);
        assert_eq!(status["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(set(&mut status, &condition("False", "b"), second), Change::Changed);
        assert_eq!(status["conditions"][0]["lastTransitionTime"], "1970-01-01T00:01:40Z");
        assert_eq!(status_of(Some(&Value::Object(status)), "Ready"), "False");
    }
}
