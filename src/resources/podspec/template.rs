//! Checks of templates that pods are made from.

use atoll_api::selector::LabelSelector;
use atoll_api::validation::{validate_annotations, validate_labels};
use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::spec::{Whose, validate_spec};
use crate::resources::checks::{forbidden, invalid, one_of};
use crate::resources::read::{is_set, list, text};

/// What a controller demands of its template.
pub(in crate::resources) struct Template<'a> {
    /// The selector the template's labels must match, unless it selects everything.
    pub(in crate::resources) selector: Option<LabelSelector>,
    /// The accepted restart policies; empty for any.
    pub(in crate::resources) restart_policies: &'a [&'a str],
    /// The kind, if its pods have no deadline.
    pub(in crate::resources) no_deadline: Option<&'a str>,
}

/// Checks a template and what its controller demands of it.
pub(in crate::resources) fn validate_template(
    errors: &mut FieldErrors,
    template: &Value,
    path: &FieldPath,
    demands: &Template<'_>,
) {
    let (metadata, spec) = (&template["metadata"], &template["spec"]);
    if let Some(selector) = &demands.selector
        && !selector.is_everything()
    {
        let labels = &metadata["labels"];
        if !selector.matches(|key| labels[key].as_str()) {
            let shown = if labels.is_null() { Value::Null } else { labels.clone() };
            let detail = "`selector` does not match template `labels`";
            invalid(errors, &path.child("metadata").child("labels"), &shown, detail);
        }
    }
    validate_metadata(errors, metadata, path);
    validate_spec(errors, spec, None, &path.child("spec"), Whose::Template);
    if !list(&spec["ephemeralContainers"]).is_empty() {
        let path = path.child("spec").child("ephemeralContainers");
        forbidden(errors, &path, "ephemeral containers not allowed in pod template");
    }
    validate_lasting(errors, spec, path, demands.restart_policies, demands.no_deadline);
}

/// Checks how long pods live: the accepted restart policies, and whether there may be a deadline.
pub(in crate::resources) fn validate_lasting(
    errors: &mut FieldErrors,
    spec: &Value,
    path: &FieldPath,
    restart_policies: &[&str],
    no_deadline: Option<&str>,
) {
    let policy = text(&spec["restartPolicy"]);
    if !restart_policies.is_empty() {
        one_of(errors, &path.child("spec").child("restartPolicy"), policy, restart_policies);
    }
    if let Some(kind) = no_deadline
        && is_set(&spec["activeDeadlineSeconds"])
    {
        let path = path.child("spec").child("activeDeadlineSeconds");
        forbidden(errors, &path, format!("activeDeadlineSeconds in {kind} is not Supported"));
    }
}

/// Checks the labels and annotations of a template; Kubernetes checks those of some kinds twice.
pub(in crate::resources) fn validate_metadata(errors: &mut FieldErrors, metadata: &Value, path: &FieldPath) {
    if let Some(labels) = metadata["labels"].as_object() {
        validate_labels(labels, &path.child("labels"), errors);
    }
    if let Some(annotations) = metadata["annotations"].as_object() {
        validate_annotations(annotations, &path.child("annotations"), errors);
        deletion_cost(errors, &metadata["annotations"], &path.child("annotations"));
    }
}

/// How dear it is to delete a pod, compared with others of its controller.
pub(in crate::resources) fn deletion_cost(errors: &mut FieldErrors, annotations: &Value, path: &FieldPath) {
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(cost) = annotations[COST].as_str() {
        let plain = !cost.starts_with('+') && (cost == "0" || !cost.starts_with('0'));
        if !plain || cost.parse::<i32>().is_err() {
            invalid(errors, &path.key(COST), &cost.into(), "must be a 32bit integer");
        }
    }
}
