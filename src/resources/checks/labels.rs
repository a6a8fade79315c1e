//! Labels of nodes that have newer names, for warnings.

use atoll_api::FieldPath;
use atoll_api::validation::label_value;
use serde_json::Value;

use crate::resources::read::{entries, list, strings, text};

const DEPRECATED: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#),
    ("beta.kubernetes.io/os", r#"deprecated since v1.14; use "kubernetes.io/os" instead"#),
    (
        "failure-domain.beta.kubernetes.io/region",
        r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
    ),
    ("failure-domain.beta.kubernetes.io/zone", r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#),
    ("beta.kubernetes.io/instance-type", r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", r#"use "node-role.kubernetes.io/control-plane" instead"#),
];

/// Whether a term is one that must be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Term {
    /// It must be met; its values are checked elsewhere.
    Required,
    /// It is better met; bad values are only warned about.
    Preferred,
}

/// What is said of a label of nodes that should not be used any more.
pub(in crate::resources) fn deprecated(label: &str) -> Option<&'static str> {
    DEPRECATED.iter().find(|(name, _)| *name == label).map(|(_, message)| *message)
}

/// Warnings about labels in a term that selects nodes.
pub(in crate::resources) fn term_warnings(term: &Value, path: &FieldPath, which: Term) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, expression) in list(&term["matchExpressions"]).iter().enumerate() {
        let at = path.child("matchExpressions").index(index);
        let key = text(&expression["key"]);
        if let Some(message) = deprecated(key) {
            warnings.push(format!("{}: {key} is {message}", at.child("key")));
        }
        if which == Term::Preferred {
            for (index, value) in strings(&expression["values"]).into_iter().enumerate() {
                let at = at.child("values").index(index);
                warnings.extend(label_value(value).into_iter().map(|why| format!("{at}: {value} is invalid, {why}")));
            }
        }
    }
    warnings
}

/// Warnings about labels in a selector of nodes.
pub(in crate::resources) fn selector_warnings(selector: &Value, path: &FieldPath) -> Vec<String> {
    let mut warnings = term_warnings(selector, path, Term::Required);
    let labels = entries(&selector["matchLabels"]).filter_map(|(label, _)| Some((label, deprecated(label)?)));
    warnings.extend(labels.map(|(label, message)| format!("{}: {message}", path.child("matchLabels").child(label))));
    warnings
}
