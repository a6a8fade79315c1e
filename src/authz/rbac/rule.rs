//! One rule of a role: which verbs on which resources or paths, and what it allows.
//!
//! A rule is read once, when its role enters the cache.

use atoll_api::Value;
use atoll_api::field::go_quote;
use serde_json::{Map, json};

use crate::authz::Attributes;

/// Stands for every verb, group, resource or path.
const ALL: &str = "*";

type Texts = Box<[Box<str>]>;

/// A `PolicyRule`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Rule {
    pub verbs: Texts,
    pub api_groups: Texts,
    pub resources: Texts,
    pub resource_names: Texts,
    pub non_resource_urls: Texts,
}

// === impl Rule ===

impl Rule {
    /// Reads a rule; what is not a list of strings counts as absent.
    pub fn parse(rule: &Value) -> Self {
        let texts = |field: &str| -> Texts {
            let list = rule.get(field).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(Box::from).collect()
        };
        Self {
            verbs: texts("verbs"),
            api_groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            non_resource_urls: texts("nonResourceURLs"),
        }
    }

    /// Reads a list of rules.
    pub fn parse_all(rules: Option<&Value>) -> Vec<Self> {
        rules.and_then(Value::as_array).into_iter().flatten().map(Self::parse).collect()
    }

    /// The two rules that together allow everything.
    pub fn everything() -> Vec<Self> {
        let all = || -> Texts { [Box::from(ALL)].into() };
        vec![
            Self { verbs: all(), api_groups: all(), resources: all(), ..Self::default() },
            Self { verbs: all(), non_resource_urls: all(), ..Self::default() },
        ]
    }

    /// The rule as it stands in a role.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("verbs".into(), json!(self.verbs));
        for (field, texts) in [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ] {
            if !texts.is_empty() {
                map.insert(field.into(), json!(texts));
            }
        }
        Value::Object(map)
    }

    /// Whether the rule allows what is asked.
    pub fn allows(&self, asked: &Attributes<'_>) -> bool {
        if !has_or_all(&self.verbs, asked.verb) {
            return false;
        }
        if !asked.is_resource {
            return self.non_resource_urls.iter().any(|url| path_matches(url, asked.path));
        }
        has_or_all(&self.api_groups, asked.group)
            && self.resources.iter().any(|rule| resource_matches(rule, asked.resource, asked.subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, asked.name))
    }

    /// The rule in one line, as refusals show what is missing.
    pub fn compact(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(field, texts)| format!("{field}:{}", quote_all(texts.iter().map(|text| &**text))))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// A list of strings as Go's `%q` shows it.
pub(super) fn quote_all<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = texts.map(go_quote).collect();
    format!("[{}]", quoted.join(" "))
}

pub(super) fn has(texts: &[Box<str>], wanted: &str) -> bool {
    texts.iter().any(|text| &**text == wanted)
}

pub(super) fn has_or_all(texts: &[Box<str>], wanted: &str) -> bool {
    texts.iter().any(|text| &**text == wanted || &**text == ALL)
}

/// `pods`, `pods/log`, `*/scale` (that subresource of anything) or `*` (anything, subresources too).
pub(super) fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == ALL {
        return true;
    }
    // Reviews may name a subresource within the resource, `pods/log`, which is as good.
    if subresource.is_empty() {
        return rule == resource;
    }
    let below = |main: &str| rule.strip_prefix(main).and_then(|rest| rest.strip_prefix('/')) == Some(subresource);
    below(ALL) || below(resource)
}

/// A path, or all paths that begin with what stands before a final `*`.
pub(super) fn path_matches(rule: &str, path: &str) -> bool {
    // Only a trailing star counts; several are as one (`/api/**`), as in Kubernetes.
    rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use atoll_api::{LogicalClusterName, UserInfo};

    use super::*;

    fn check_rule(rule: Value, asked: &str, expected: bool) {
        let cluster = LogicalClusterName::root();
        let user = UserInfo::default();
        let words: Vec<&str> = asked.split(' ').collect();
        let attributes = match words.as_slice() {
            [verb, path] => Attributes::path(&cluster, &user, verb, path),
            [verb, group, resource, subresource, name] => {
                let text = |word| if word == "-" { "" } else { word };
                let (group, subresource, name) = (text(*group), text(*subresource), text(*name));
                Attributes { subresource, name, ..Attributes::resource(&cluster, &user, verb, group, resource) }
            }
            _ => panic!("verb and path, or verb, group, resource, subresource and name: {asked}"),
        };
        assert_eq!(Rule::parse(&rule).allows(&attributes), expected, "{rule} {asked}");
    }

    #[test]
    fn rules_match_verbs_groups_resources_and_names() {
        let pods = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]});
        check_rule(pods.clone(), "get - pods - a", true);
        check_rule(pods.clone(), "list - pods - -", true);
        check_rule(pods.clone(), "get - pods log a", true);
        check_rule(pods.clone(), "get - pods status a", false);
        check_rule(pods.clone(), "delete - pods - a", false);
        check_rule(pods.clone(), "get apps pods - a", false);
        check_rule(pods, "get /pods", false);
        let any = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
        check_rule(any.clone(), "whatever x.y things sub a", true);
        check_rule(any, "get /metrics", false);
        let scale = json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["*/scale"]});
        check_rule(scale.clone(), "get apps deployments scale d", true);
        check_rule(scale.clone(), "get apps deployments - d", false);
        check_rule(scale, "get apps deployments status d", false);
        let named = json!({"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]});
        check_rule(named.clone(), "get - configmaps - a", true);
        check_rule(named.clone(), "get - configmaps - b", false);
        check_rule(named, "create - configmaps - -", false);
        check_rule(json!({"verbs": null, "resources": "pods"}), "get - pods - a", false);
        let log = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]});
        check_rule(log.clone(), "get - pods log a", true);
        check_rule(log.clone(), "get - pods/log - a", true);
        check_rule(log, "get - pods - a", false);
    }

    #[test]
    fn paths_match_exactly_or_by_a_trailing_star() {
        let rule = json!({"verbs": ["get"], "nonResourceURLs": ["/probe", "/probe/deep/*"]});
        check_rule(rule.clone(), "get /probe", true);
        check_rule(rule.clone(), "get /probe/deep/er", true);
        check_rule(rule.clone(), "get /probe/deep", false);
        check_rule(rule.clone(), "get /probe/other", false);
        check_rule(rule, "post /probe", false);
        check_rule(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}), "put /x/y", true);
        check_rule(json!({"verbs": ["get"], "nonResourceURLs": ["/x*y"]}), "get /xzy", false);
    }

    #[test]
    fn a_missing_right_is_shown_in_one_line() {
        let rule =
            json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "resourceNames": ["a"]});
        let expected = r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["a"], Verbs:["get" "list"]}"#;
        assert_eq!(Rule::parse(&rule).compact(), expected);
    }
}
