//! What is told in the conditions of a namespace that is being deleted, in Kubernetes' reasons and sentences.

use std::collections::BTreeMap;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cluster_api::Failure;
use crate::conditions::{self, Change, Condition};
use crate::discovery::Served;

/// What one round of deleting found.
#[derive(Debug, Default)]
pub(super) struct Report {
    discovery: Option<String>,
    failures: Vec<String>,
    /// How many objects are left, by `resource.group`.
    resources: BTreeMap<String, usize>,
    /// How many of them each finalizer holds.
    finalizers: BTreeMap<String, usize>,
}

/// A condition's type, and its reason and message when all is well.
const FINE: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

// === impl Report ===

impl Report {
    /// Discovery as a whole failed.
    pub(super) fn discovery_failed(&mut self, failure: &Failure) {
        self.discovery = Some(failure.chain());
    }

    /// Discovery left these groups out.
    pub(super) fn undiscovered(&mut self, groups: &[String]) {
        if !groups.is_empty() {
            let names: Vec<String> =
                groups.iter().map(|group| format!("{group}: stale GroupVersion discovery")).collect();
            let count = groups.len();
            self.discovery = Some(format!(
                "Discovery failed for some groups, {count} failing: unable to retrieve the complete list of server APIs: {}",
                names.join(", ")
            ));
        }
    }

    /// The objects of a resource could not be deleted.
    pub(super) fn content_failed(&mut self, served: &Served, failure: &Failure) {
        self.failures.push(format!("{}.{}: {}", served.plural, served.group, failure.chain()));
    }

    /// Objects of a resource are still there.
    pub(super) fn content_remains(&mut self, served: &Served, objects: &[Object]) {
        *self.resources.entry(format!("{}.{}", served.plural, served.group)).or_default() += objects.len();
        for finalizer in objects.iter().flat_map(Object::finalizers) {
            *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }

    /// Writes the conditions into a status; whether that changed anything.
    pub(super) fn write(&self, status: &mut Map<String, Value>, now: Timestamp) -> bool {
        let mut changed = false;
        for (kind, fine_reason, fine_message) in FINE {
            let (status_text, reason, message) = match self.fault(kind) {
                Some((reason, message)) => ("True", reason, message),
                None => ("False", fine_reason, fine_message.to_owned()),
            };
            let condition = Condition { kind, status: status_text, reason, message };
            changed |= conditions::set(status, &condition, now) == Change::Changed;
        }
        changed
    }

    /// The reason and message of a condition that is not fine.
    fn fault(&self, kind: &str) -> Option<(&'static str, String)> {
        let counted = |counts: &BTreeMap<String, usize>, verb: &str| {
            let told: Vec<String> =
                counts.iter().map(|(name, n)| format!("{name} {verb} {n} resource instances")).collect();
            told.join(", ")
        };
        match kind {
            "NamespaceDeletionDiscoveryFailure" => Some(("DiscoveryFailed", self.discovery.clone()?)),
            "NamespaceDeletionContentFailure" if !self.failures.is_empty() => {
                let count = self.failures.len();
                let mut failures = self.failures.clone();
                failures.sort();
                let message =
                    format!("Failed to delete all resource types, {count} remaining: {}", failures.join(", "));
                Some(("ContentDeletionFailed", message))
            }
            "NamespaceContentRemaining" if !self.resources.is_empty() => {
                let message = format!("Some resources are remaining: {}", counted(&self.resources, "has"));
                Some(("SomeResourcesRemain", message))
            }
            "NamespaceFinalizersRemaining" if !self.finalizers.is_empty() => {
                let told = counted(&self.finalizers, "in");
                let message = format!("Some content in the namespace has finalizers remaining: {told}");
                Some(("SomeFinalizersRemain", message))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> Served {
        Served {
            group: String::new(),
            version: "v1".into(),
            plural: "pods".into(),
            kind: "Pod".into(),
            api: "/api/v1".into(),
            namespaced: true,
            verbs: vec!["list".into(), "delete".into()],
        }
    }

    fn condition<'a>(status: &'a Map<String, Value>, kind: &str) -> &'a Value {
        status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
    }

    #[test]
    fn a_clean_round_says_that_all_is_fine_once() {
        let mut status = Map::new();
        assert!(Report::default().write(&mut status, Timestamp::UNIX_EPOCH));
        assert!(!Report::default().write(&mut status, Timestamp::UNIX_EPOCH));
        for (kind, reason, _) in FINE {
            assert_eq!(condition(&status, kind)["status"], "False");
            assert_eq!(condition(&status, kind)["reason"], reason);
        }
    }

    #[test]
    fn what_remains_is_counted_by_resource_and_by_finalizer() {
        let held = Object::from_value(json!({"metadata": {"finalizers": ["example.com/hold"]}})).unwrap();
        let mut report = Report::default();
        report.content_remains(&pods(), &[held, Object::default()]);
        let mut status = Map::new();
        report.write(&mut status, Timestamp::UNIX_EPOCH);
        let remaining = condition(&status, "NamespaceContentRemaining");
        assert_eq!(remaining["message"], "Some resources are remaining: pods. has 2 resource instances");
        let finalizers = condition(&status, "NamespaceFinalizersRemaining");
        assert_eq!(
            finalizers["message"],
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
    }

    #[test]
    fn failures_are_told_with_their_resource() {
        let mut report = Report::default();
        report.content_failed(&pods(), &Failure::Conflict("changed".into()));
        report.undiscovered(&["metrics.example.com/v1".into()]);
        let mut status = Map::new();
        report.write(&mut status, Timestamp::UNIX_EPOCH);
        assert_eq!(condition(&status, "NamespaceDeletionContentFailure")["reason"], "ContentDeletionFailed");
        assert_eq!(condition(&status, "NamespaceDeletionDiscoveryFailure")["status"], "True");
    }
}
