//! Which writes a webhook or policy is about: rules, selectors of objects and of namespaces, and versions that are as good.

mod request;
mod rules;

use std::sync::Arc;

use atoll_api::selector::LabelSelector;
use atoll_api::{ApiError, ApiResult, GroupResource, GroupVersionResource, Object};
use serde_json::Value;

pub(super) use self::request::request;
use self::rules::{Asked, Rule};
use super::collection::{Collection, object};
use super::read::text;
use super::{Attributes, Operation, Shape};
use crate::request::RequestContext;
use crate::storage::{Entry, Store};

/// What a webhook or policy asks of writes it wants to see.
#[derive(Debug)]
pub(super) struct Criteria {
    rules: Rules,
    excluded: Vec<Rule>,
    namespaces: Selector,
    objects: Selector,
    versions: Versions,
}

/// Which resources and operations are wanted.
#[derive(Debug)]
enum Rules {
    /// All: a binding that does not say leaves it to its policy.
    All,
    /// Those that one of these is about; without any, nothing.
    Some(Vec<Rule>),
}

/// Whether a rule for another version of a resource is as good as one for the version that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    Exact,
    Equivalent,
}

/// A selector of labels, read leniently: validation has refused what is malformed.
#[derive(Debug)]
enum Selector {
    Everything,
    Some(LabelSelector),
}

/// A write that may be wanted.
pub(super) struct Subject<'a> {
    pub(super) cx: &'a RequestContext,
    pub(super) attributes: &'a Attributes,
    pub(super) object: Option<&'a Object>,
    pub(super) old: Option<&'a Object>,
    /// The namespace it is in, if it is in one that is there.
    pub(super) namespace: Option<Arc<Entry>>,
}

/// The namespaces that writes are in.
pub(super) struct Namespaces(Collection);

// === impl Namespaces ===

impl Namespaces {
    /// The namespaces of this store.
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self(Collection::of(store, "", "namespaces"))
    }

    /// The write, with the namespace it is in; of a namespace, that is itself.
    pub(super) fn subject<'a>(
        &self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> Subject<'a> {
        let name = namespace_of(attributes);
        let namespace = if name.is_empty() { None } else { self.0.get(&cx.cluster, "", name) };
        Subject { cx, attributes, object, old, namespace }
    }
}

/// The namespace a write is in, as webhooks and policies are told: a namespace is in itself.
pub(super) fn namespace_of(attributes: &Attributes) -> &str {
    if attributes.concerns("", "namespaces") { &attributes.name } else { &attributes.namespace }
}

/// Whether a write is one of the configurations of admission itself, which nobody else may hold up.
pub(super) fn is_exempt(attributes: &Attributes) -> bool {
    *attributes.resource.group == *"admissionregistration.k8s.io"
}

// === impl Criteria ===

impl Criteria {
    /// What stands in a webhook: its rules are called `rules`.
    pub(super) fn of_webhook(webhook: &Value) -> Self {
        Self { rules: Rules::Some(Rule::read_all(webhook, "rules")), ..Self::without_rules(webhook) }
    }

    /// What stands in a policy's constraints, or in a binding.
    pub(super) fn of_policy(constraints: &Value) -> Self {
        let rules = Rule::read_all(constraints, "resourceRules");
        Self {
            rules: if rules.is_empty() { Rules::All } else { Rules::Some(rules) },
            excluded: Rule::read_all(constraints, "excludeResourceRules"),
            ..Self::without_rules(constraints)
        }
    }

    fn without_rules(value: &Value) -> Self {
        Self {
            rules: Rules::All,
            excluded: Vec::new(),
            namespaces: Selector::read(&value["namespaceSelector"]),
            objects: Selector::read(&value["objectSelector"]),
            versions: if text(value, "matchPolicy") == "Exact" { Versions::Exact } else { Versions::Equivalent },
        }
    }

    /// In which version a write is wanted; `None` if it is not.
    pub(super) fn wants(&self, subject: &Subject<'_>) -> ApiResult<Option<Shape>> {
        // What a webhook or policy is not about must not fail for a namespace that is not there.
        let in_namespace = self.selects_namespace(subject);
        if matches!(in_namespace, Ok(false)) || !self.selects_object(subject) {
            return Ok(None);
        }
        if self.by_rules(&self.excluded, subject).is_some() {
            return Ok(None);
        }
        let found = match &self.rules {
            Rules::All => Some(as_written(subject.attributes)),
            Rules::Some(rules) => self.by_rules(rules, subject),
        };
        if found.is_some() {
            in_namespace?;
        }
        Ok(found)
    }

    fn by_rules(&self, rules: &[Rule], subject: &Subject<'_>) -> Option<Shape> {
        let attributes = subject.attributes;
        let written = as_written(attributes);
        if rules.iter().any(|rule| rule.matches(&asked(attributes, &written.resource))) {
            return Some(written);
        }
        if self.versions == Versions::Exact || rules.is_empty() {
            return None;
        }
        let others: Vec<Shape> = attributes.shapes.versions().into_iter().filter(|other| *other != written).collect();
        let wanting = |rule: &Rule| others.iter().find(|other| rule.matches(&asked(attributes, &other.resource)));
        rules.iter().find_map(wanting).cloned()
    }

    fn selects_namespace(&self, subject: &Subject<'_>) -> ApiResult<bool> {
        let attributes = subject.attributes;
        let name = namespace_of(attributes);
        let Selector::Some(selector) = &self.namespaces else { return Ok(true) };
        if name.is_empty() {
            return Ok(true);
        }
        // The labels a namespace is about to get count, not those it had.
        let is_written = attributes.concerns("", "namespaces")
            && attributes.subresource.is_empty()
            && attributes.operation != Operation::Delete;
        if let Some(namespace) = subject.object.filter(|_| is_written) {
            return Ok(selector.matches_object(namespace));
        }
        match &subject.namespace {
            Some(entry) => Ok(selector.matches(|label| entry.labels().get(label))),
            None => Err(ApiError::not_found(&GroupResource::new("", "namespaces"), name)),
        }
    }

    fn selects_object(&self, subject: &Subject<'_>) -> bool {
        let Selector::Some(selector) = &self.objects else { return true };
        [subject.object, subject.old].into_iter().flatten().any(|object| selector.matches_object(object))
    }
}

impl Selector {
    fn read(value: &Value) -> Self {
        match LabelSelector::from_object(value) {
            _ if value.is_null() => Self::Everything,
            Ok(selector) if selector.is_everything() => Self::Everything,
            Ok(selector) => Self::Some(selector),
            Err(_) => Self::Some(LabelSelector::nothing()),
        }
    }
}

impl Subject<'_> {
    /// The namespace that a write of something else is in, as clients see it.
    pub(super) fn namespace_object(&self) -> Option<Object> {
        if self.attributes.namespace.is_empty() {
            return None;
        }
        let entry = self.namespace.as_ref()?;
        let mut namespace = object(entry);
        namespace.set_meta("resourceVersion", &entry.revision.to_string());
        namespace.metadata_mut().remove("managedFields");
        Some(namespace)
    }
}

fn as_written(attributes: &Attributes) -> Shape {
    Shape { resource: attributes.resource.clone(), kind: attributes.kind.clone() }
}

fn asked<'a>(attributes: &'a Attributes, resource: &'a GroupVersionResource) -> Asked<'a> {
    Asked {
        operation: attributes.operation,
        group: &resource.group,
        version: &resource.version,
        resource: &resource.resource,
        subresource: &attributes.subresource,
        namespace: &attributes.namespace,
        name: &attributes.name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::testing::{Bench, creation, made};

    async fn check(criteria: Value, object: Value, expected: bool) {
        check_criteria(Criteria::of_policy(&criteria), object, expected).await;
    }

    async fn check_criteria(criteria: Criteria, object: Value, expected: bool) {
        let bench = Bench::new().await;
        let labelled =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"team": "a"}}});
        bench.put("", "namespaces", labelled).await;
        let object = made(object);
        let attributes = creation(&object);
        let subject = Namespaces::new(&bench.store).subject(&bench.cx, &attributes, Some(&object), None);
        let wanted = criteria.wants(&subject).map_err(|error| error.to_string());
        assert_eq!(wanted.map(|found| found.is_some()), Ok(expected), "{criteria:?}");
    }

    #[tokio::test]
    async fn criteria_choose_by_rules_and_labels() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "m", "namespace": "n", "labels": {"x": "y"}}});
        let rule = |resource: &str| json!([{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource]}]);
        for (criteria, expected) in [
            (json!({}), true),
            (json!({"resourceRules": rule("configmaps")}), true),
            (json!({"resourceRules": rule("secrets")}), false),
            (json!({"resourceRules": rule("*"), "excludeResourceRules": rule("configmaps")}), false),
            (json!({"excludeResourceRules": rule("secrets")}), true),
            (json!({"objectSelector": {"matchLabels": {"x": "y"}}}), true),
            (json!({"objectSelector": {"matchLabels": {"x": "z"}}}), false),
            (json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}), true),
            (json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), false),
            (json!({"namespaceSelector": {}, "objectSelector": {}}), true),
        ] {
            check(criteria, map.clone(), expected).await;
        }
    }

    #[tokio::test]
    async fn a_webhook_without_rules_is_about_nothing() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}});
        check_criteria(Criteria::of_webhook(&json!({"name": "w"})), map, false).await;
    }

    #[tokio::test]
    async fn a_namespace_is_chosen_by_the_labels_it_is_about_to_get() {
        let selector = json!({"namespaceSelector": {"matchLabels": {"team": "b"}}});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"team": "b"}}});
        check(selector.clone(), namespace, true).await;
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
        check(selector, node, true).await;
    }

    #[tokio::test]
    async fn rules_for_other_versions_are_as_good_unless_they_must_be_exact() {
        let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h", "namespace": "n"}});
        let rules = json!([{"operations": ["*"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"],
            "resources": ["horizontalpodautoscalers"]}]);
        check(json!({"resourceRules": rules}), scaler.clone(), true).await;
        check(json!({"resourceRules": rules, "matchPolicy": "Exact"}), scaler, false).await;
    }
}
