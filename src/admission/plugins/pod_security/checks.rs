//! The checks there are, which of them a level of some release has, and what they find together.

use serde_json::{Map, Value};

use super::policy::{Level, Standard, Version};
use super::{baseline, restricted};
use crate::admission::pods::Description;

/// The release whose checks `latest` means.
const CURRENT_MINOR: u32 = 36;

/// What is checked.
pub(super) struct Subject<'a> {
    pub(super) annotations: Option<&'a Map<String, Value>>,
    pub(super) pod: Description<'a>,
}

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) reason: String,
    pub(super) detail: String,
}

/// A check as it is since a release.
type Edition = (u32, fn(&Subject<'_>) -> Option<Violation>);

/// A check. Those of the restricted level take the place of a baseline one, if they name it.
pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) editions: &'static [Edition],
    pub(super) in_place_of: &'static str,
}

impl Check {
    /// The check as it was in a release, if it was there.
    fn edition(&self, minor: u32) -> Option<fn(&Subject<'_>) -> Option<Violation>> {
        self.editions.iter().rev().find(|(since, _)| *since <= minor).map(|(_, check)| *check)
    }
}

/// Everything that a standard forbids and a pod does; in the order of the checks' names, baseline first.
pub(super) fn violations(standard: Standard, subject: &Subject<'_>) -> Vec<Violation> {
    let minor = match standard.version {
        Version::Minor(minor) => minor.min(CURRENT_MINOR),
        Version::Latest => CURRENT_MINOR,
    };
    let stricter: &[Check] = match standard.level {
        Level::Privileged => return Vec::new(),
        Level::Baseline => &[],
        Level::Restricted => restricted::CHECKS,
    };
    let is_replaced =
        |check: &&Check| stricter.iter().any(|other| other.in_place_of == check.id && other.edition(minor).is_some());
    let checks = baseline::CHECKS.iter().filter(|check| !is_replaced(check)).chain(stricter);
    checks.filter_map(|check| check.edition(minor)?(subject)).collect()
}

/// All violations in one sentence.
pub(super) fn told(violations: &[Violation]) -> String {
    let told: Vec<String> = violations
        .iter()
        .map(
            |Violation { reason, detail }| {
                if detail.is_empty() { reason.clone() } else { format!("{reason} ({detail})") }
            },
        )
        .collect();
    told.join(", ")
}

/// All violations without details.
pub(super) fn reasons(violations: &[Violation]) -> String {
    let reasons: Vec<&str> = violations.iter().map(|violation| violation.reason.as_str()).collect();
    reasons.join(", ")
}

// What the checks are written with.

impl<'a> Subject<'a> {
    /// The pod that is described, with the annotations it would have.
    pub(super) fn new(pod: Description<'a>) -> Self {
        Self { annotations: pod.metadata["annotations"].as_object(), pod }
    }

    /// An annotation.
    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str()
    }

    /// The pod's own security context.
    pub(super) fn context(&self) -> &'a Value {
        &self.pod.spec["securityContext"]
    }

    /// The names of the containers that are bad.
    pub(super) fn containers(&self, mut is_bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        let bad = self.pod.all_containers().filter(|container| is_bad(container));
        bad.map(|container| container["name"].as_str().unwrap_or_default()).collect()
    }

    /// Whether the pod is for Windows, where some things do not exist.
    pub(super) fn is_for_windows(&self) -> bool {
        self.pod.spec["os"]["name"] == "windows"
    }

    /// Whether users in the pod are not those of its node.
    pub(super) fn has_own_users(&self) -> bool {
        self.pod.spec["hostUsers"] == false
    }
}

impl Violation {
    pub(super) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

/// `"a", "b"`.
pub(super) fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}

/// One word for one, another for more.
pub(super) fn plural<'a>(one: &'a str, more: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { more }
}

/// `container "a"` or `containers "a", "b"`.
pub(super) fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// Who is to blame: the pod, some containers, or both; `None` if nobody is.
pub(super) fn setters(pod: bool, names: &[&str]) -> Option<String> {
    match (pod, names.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".to_owned()),
        (false, false) => Some(containers(names)),
        (true, false) => Some(format!("pod and {}", containers(names))),
    }
}
