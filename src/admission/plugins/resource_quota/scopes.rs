//! The scopes of quotas: which pods, and which claims, one counts.

use serde_json::Value;

use super::usage::Facts;
use crate::admission::read::{list, text};

/// A condition on what a quota counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    name: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Scope {
    /// A scope that must hold.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), operator: Operator::Exists, values: Vec::new() }
    }

    /// A requirement of a scope selector.
    pub(super) fn read(requirement: &Value) -> Self {
        let operator = match text(requirement, "operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => Operator::Exists,
        };
        let values = list(requirement, "values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Self { name: text(requirement, "scopeName").to_owned(), operator, values }
    }

    /// Whether it holds for an object. A scope of other kinds than the object's never does.
    pub(super) fn holds(&self, facts: &Facts) -> bool {
        match (self.name.as_str(), &facts.pod) {
            ("Terminating", Some(pod)) => pod.is_terminating,
            ("NotTerminating", Some(pod)) => !pod.is_terminating,
            ("BestEffort", Some(pod)) => pod.is_best_effort,
            ("NotBestEffort", Some(pod)) => !pod.is_best_effort,
            ("CrossNamespacePodAffinity", Some(pod)) => pod.looks_into_other_namespaces,
            ("PriorityClass", Some(_)) | ("VolumeAttributesClass", None) if facts.classes.is_some() => {
                self.selects(facts.classes.as_deref().unwrap_or_default())
            }
            _ => false,
        }
    }

    /// Whether one of the classes is selected. Having none is a value, too.
    fn selects(&self, classes: &[String]) -> bool {
        let is_listed = |class: &String| self.values.contains(class);
        match self.operator {
            Operator::Exists => !classes.is_empty(),
            Operator::DoesNotExist => classes.is_empty(),
            Operator::In => classes.iter().any(is_listed),
            Operator::NotIn => classes.is_empty() || classes.iter().any(|class| !is_listed(class)),
        }
    }
}
