//! The rules of a `ClusterRole` that gathers those of others by their labels.
//!
//! A pure function: the controller that writes the result, and the underlay, call it.

use atoll_api::selector::LabelSelector;
use atoll_api::{Object, Value};

/// The rules an aggregated `ClusterRole` should have, given all `ClusterRole`s of its cluster; `None` when it gathers
/// nothing by labels or has these rules already.
///
/// Selectors in their order, roles by name, each rule once, as Kubernetes' aggregation controller does.
pub fn gather_rules<'a>(role: &Object, all: impl IntoIterator<Item = &'a Object>) -> Option<Vec<Value>> {
    let selectors = role.at(&["aggregationRule", "clusterRoleSelectors"])?.as_array()?;
    let mut others: Vec<&Object> = all.into_iter().filter(|other| other.name() != role.name()).collect();
    others.sort_by(|a, b| a.name().cmp(b.name()));
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors.iter().filter_map(|selector| LabelSelector::from_object(selector).ok()) {
        for other in others.iter().filter(|other| selector.matches_object(other)) {
            for rule in other.get("rules").and_then(Value::as_array).into_iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    let current = role.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    (current != rules.as_slice()).then_some(rules)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, body: Value) -> Object {
        let mut object = Object::from_value(body).expect("an object");
        object.set_type("rbac.authorization.k8s.io/v1", "ClusterRole");
        object.set_meta("name", name);
        object
    }

    #[test]
    fn rules_are_gathered_by_label_and_follow_changes() {
        let rule = |verb: &str| json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]});
        let selectors = json!([{"matchLabels": {"agg": "x"}}]);
        let mut sum = role("sum", json!({"aggregationRule": {"clusterRoleSelectors": selectors}, "rules": null}));
        let part = |verb| role("part", json!({"metadata": {"labels": {"agg": "x"}}, "rules": [rule(verb)]}));
        let twin = role("twin", json!({"metadata": {"labels": {"agg": "x"}}, "rules": [rule("get")]}));
        let other = role("other", json!({"metadata": {"labels": {"agg": "y"}}, "rules": [rule("delete")]}));

        assert_eq!(gather_rules(&sum, [&sum, &part("get"), &twin, &other]), Some(vec![rule("get")]));
        sum.0.insert("rules".into(), json!([rule("get")]));
        assert_eq!(gather_rules(&sum, [&sum, &part("get")]), None);
        assert_eq!(gather_rules(&sum, [&sum, &part("list")]), Some(vec![rule("list")]));
        assert_eq!(gather_rules(&sum, [&sum]), Some(vec![]));
        assert_eq!(gather_rules(&other, [&other, &twin]), None);
    }
}
