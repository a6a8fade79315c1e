//! PodSecurity: pods keep to the security standard that their namespace's labels ask for.
//!
//! Where a namespace asks for nothing, which is the default, nothing is read but its labels.

mod baseline;
mod checks;
mod policy;
mod restricted;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::Value;

use self::checks::{Subject, reasons, told, violations};
use self::policy::{Level, Policy, Standard};
use crate::admission::collection::{Collection, object};
use crate::admission::pods::{described, of_pod, place_of_template};
use crate::admission::read::{list, text};
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once, note};
use crate::request::RequestContext;
use crate::storage::Store;

/// Subresources of pods that say nothing of how they run.
const HARMLESS: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];
/// How many pods of a namespace are looked at when it becomes stricter.
const MAX_PODS: usize = 3000;

/// Checks pods, and warns of workloads that would make pods which would be refused.
pub struct PodSecurity {
    namespaces: Collection,
    pods: Collection,
}

impl PodSecurity {
    /// Reads namespaces and pods from this store.
    pub fn new(store: &Arc<Store>) -> Self {
        Self { namespaces: Collection::of(store, "", "namespaces"), pods: Collection::of(store, "", "pods") }
    }

    fn policy_of(&self, cx: &RequestContext, namespace: &str) -> Policy {
        let entry = self.namespaces.get(&cx.cluster, "", namespace);
        Policy::of(|label| entry.as_ref().and_then(|entry| entry.labels().get(label))).0
    }

    fn check_pod(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        pod: &Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let policy = self.policy_of(cx, &attributes.namespace);
        if policy.checks_nothing() || old.is_some_and(|old| !changes_much(pod, old)) {
            return Ok(());
        }
        let subject = Subject::new(of_pod(pod));
        let found = violations(policy.enforce, &subject);
        if !found.is_empty() {
            let why = format!("violates PodSecurity \"{}\": {}", policy.enforce, told(&found));
            return Err(attributes.forbidden(Some(pod), &why));
        }
        self.tell(cx, attributes, policy, &subject);
        Ok(())
    }

    fn check_workload(&self, cx: &RequestContext, attributes: &Attributes, workload: &Object) {
        let policy = self.policy_of(cx, &attributes.namespace);
        if policy.warn.level == Level::Privileged && policy.audit.level == Level::Privileged {
            return;
        }
        if let Some(pod) = described(attributes, workload) {
            self.tell(cx, attributes, policy, &Subject::new(pod));
        }
    }

    /// Tells of violations that nothing is refused for.
    fn tell(&self, cx: &RequestContext, attributes: &Attributes, policy: Policy, subject: &Subject<'_>) {
        let would = |standard: Standard| {
            let found = violations(standard, subject);
            (!found.is_empty()).then(|| format!("would violate PodSecurity \"{standard}\": {}", told(&found)))
        };
        let audited = would(policy.audit);
        let warned = if policy.warn == policy.audit { audited.clone() } else { would(policy.warn) };
        if let Some(violations) = audited {
            note(cx, attributes, "pod-security.kubernetes.io/audit-violations", &violations);
        }
        if let Some(warning) = warned {
            cx.warn(warning);
        }
    }

    fn check_namespace(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        namespace: &Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let (policy, faults) = Policy::of(|label| namespace.label(label));
        let Some(old) = old else {
            return if faults.is_empty() {
                Ok(())
            } else {
                Err(ApiError::invalid(&attributes.kind.group_kind(), namespace.name(), &faults))
            };
        };
        let (before, old_faults) = Policy::of(|label| old.label(label));
        if !faults.is_empty() && faults != old_faults {
            return Err(ApiError::invalid(&attributes.kind.group_kind(), namespace.name(), &faults));
        }
        let (new, old) = (policy.enforce, before.enforce);
        let is_laxer = new.version == old.version && new.level <= old.level;
        if new.level != Level::Privileged && !is_laxer {
            self.warn_of_pods(cx, namespace.name(), new);
        }
        Ok(())
    }

    /// Warns of the pods in a namespace that what is enforced from now on would refuse.
    fn warn_of_pods(&self, cx: &RequestContext, namespace: &str, standard: Standard) {
        let entries = self.pods.in_namespace(&cx.cluster, namespace);
        let mut controllers = HashSet::new();
        let mut repeated = Vec::new();
        // The reason, the first pod by name it holds for, and for how many it does.
        let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
        let mut look = |pod: &Object| {
            let violations = violations(standard, &Subject::new(of_pod(pod)));
            if !violations.is_empty() {
                let (first, count) = found.entry(reasons(&violations)).or_insert_with(|| (pod.name().to_owned(), 0));
                if pod.name() < first.as_str() {
                    *first = pod.name().to_owned();
                }
                *count += 1;
            }
        };
        // One pod of each controller first: its others are mostly like it.
        let mut left = MAX_PODS;
        for entry in entries.iter().take(MAX_PODS) {
            let pod = object(entry);
            let controller = pod.owner_references().into_iter().find(|owner| owner.controller == Some(true));
            if controller.is_some_and(|controller| !controllers.insert(controller.uid)) {
                repeated.push(pod);
            } else {
                look(&pod);
                left -= 1;
            }
        }
        repeated.iter().take(left).for_each(&mut look);
        if entries.len() > MAX_PODS {
            cx.warn(format!(
                "new PodSecurity enforce level only checked against the first {MAX_PODS} of {} existing pods",
                entries.len()
            ));
        }
        if !found.is_empty() {
            cx.warn(format!(
                "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{standard}\""
            ));
        }
        let mut shown: Vec<String> = found
            .into_iter()
            .map(|(reason, (name, count))| match count {
                1 => format!("{name}: {reason}"),
                2 => format!("{name} (and 1 other pod): {reason}"),
                _ => format!("{name} (and {} other pods): {reason}", count - 1),
            })
            .collect();
        shown.sort_unstable();
        shown.into_iter().for_each(|warning| cx.warn(warning));
    }
}

/// Whether a changed pod is worth another look: nothing but images and ephemeral containers can change what is checked.
fn changes_much(new: &Object, old: &Object) -> bool {
    let (new, old) = (of_pod(new).spec, of_pod(old).spec);
    let images = |spec: &Value, field: &str| -> Vec<String> {
        list(spec, field).iter().map(|container| text(container, "image").to_owned()).collect()
    };
    if ["containers", "initContainers"].iter().any(|field| images(new, field) != images(old, field)) {
        return true;
    }
    let before: BTreeMap<&str, &str> = list(old, "ephemeralContainers")
        .iter()
        .map(|container| (text(container, "name"), text(container, "image")))
        .collect();
    let is_new = |container: &Value| before.get(text(container, "name")) != Some(&text(container, "image"));
    list(new, "ephemeralContainers").iter().any(is_new)
}

impl AdmissionPlugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        if !matches!(attributes.operation, Operation::Create | Operation::Update) {
            return false;
        }
        if attributes.concerns("", "pods") {
            return !HARMLESS.contains(&attributes.subresource.as_str());
        }
        let resource = &attributes.resource;
        attributes.subresource.is_empty()
            && (attributes.concerns("", "namespaces")
                || place_of_template(&resource.group, &resource.resource).is_some())
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let Some(object) = object else { return at_once(Ok(())) };
        if attributes.concerns("", "namespaces") {
            return at_once(self.check_namespace(cx, attributes, object, old));
        }
        if attributes.concerns("", "pods") {
            return at_once(self.check_pod(cx, attributes, object, old));
        }
        self.check_workload(cx, attributes, object);
        at_once(Ok(()))
    }
}
