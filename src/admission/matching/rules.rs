//! Rules of webhooks and policies: which operations on which resources they are about.

use serde_json::Value;

use crate::admission::Operation;
use crate::admission::read::{list, text};

/// A write in the words of rules. Of one write there can be several, if its resource is served in several versions.
#[derive(Debug, Clone, Copy)]
pub(in crate::admission) struct Asked<'a> {
    pub(in crate::admission) operation: Operation,
    pub(in crate::admission) group: &'a str,
    pub(in crate::admission) version: &'a str,
    pub(in crate::admission) resource: &'a str,
    pub(in crate::admission) subresource: &'a str,
    /// Empty for objects of the cluster, which namespaces are.
    pub(in crate::admission) namespace: &'a str,
    pub(in crate::admission) name: &'a str,
}

/// A rule: operations, and resources by group, version, name and scope.
#[derive(Debug)]
pub(in crate::admission) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    /// The objects it is about; all if there are none.
    names: Vec<String>,
    scope: Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Namespaced,
    Cluster,
}

impl Rule {
    /// The rules of a list.
    pub(in crate::admission) fn read_all(value: &Value, field: &str) -> Vec<Self> {
        list(value, field).iter().map(Self::read).collect()
    }

    fn read(rule: &Value) -> Self {
        let texts = |field| list(rule, field).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            scope: match text(rule, "scope") {
                "Namespaced" => Scope::Namespaced,
                "Cluster" => Scope::Cluster,
                _ => Scope::All,
            },
        }
    }

    /// Whether a write is one of those the rule is about.
    pub(in crate::admission) fn matches(&self, asked: &Asked<'_>) -> bool {
        let has = |items: &[String], wanted: &str| items.iter().any(|item| item == "*" || item == wanted);
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Namespaced => !asked.namespace.is_empty(),
            Scope::Cluster => asked.namespace.is_empty(),
        };
        in_scope
            && has(&self.operations, asked.operation.as_str())
            && has(&self.groups, asked.group)
            && has(&self.versions, asked.version)
            && self.resources.iter().any(|resource| is_about(resource, asked))
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }
}

/// Whether `resource` or `resource/subresource`, with stars for any, is what is asked about.
fn is_about(pattern: &str, asked: &Asked<'_>) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == asked.resource) && (subresource == "*" || subresource == asked.subresource)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(change: Value, expected: bool) {
        let mut rule = json!({"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
            "resources": ["deployments"], "scope": "*"});
        for (field, value) in change.as_object().expect("an object") {
            rule[field] = value.clone();
        }
        let asked = Asked {
            operation: Operation::Create,
            group: "apps",
            version: "v1",
            resource: "deployments",
            subresource: "",
            namespace: "n",
            name: "a",
        };
        assert_eq!(Rule::read(&rule).matches(&asked), expected, "{change}");
        let scaled = Asked { subresource: "scale", ..asked };
        let about_subresources = rule["resources"].as_array().expect("a list").iter().any(|r| r == "*/*");
        assert_eq!(Rule::read(&rule).matches(&scaled), about_subresources, "{change}");
    }

    #[test]
    fn rules_match_by_name_or_star() {
        check(json!({}), true);
        check(json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}), true);
        check(json!({"resources": ["*/*"]}), true);
        check(json!({"operations": ["DELETE"]}), false);
        check(json!({"apiGroups": [""]}), false);
        check(json!({"apiVersions": ["v1beta1"]}), false);
        check(json!({"resources": ["pods", "deployments"]}), true);
        check(json!({"scope": "Namespaced"}), true);
        check(json!({"scope": "Cluster"}), false);
        check(json!({"resourceNames": ["a", "b"]}), true);
        check(json!({"resourceNames": ["b"]}), false);
    }
}
