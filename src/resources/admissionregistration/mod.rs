//! The kinds of `admissionregistration.k8s.io`.

use std::collections::BTreeMap;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::defaults::set;
use super::printing::{UNSET, age};
use super::read::{entries, field, is_set, list, size, strings, text};

pub(super) mod mutatingadmissionpolicy;
pub(super) mod mutatingadmissionpolicybinding;
pub(super) mod mutatingwebhookconfiguration;
pub(super) mod validatingadmissionpolicy;
pub(super) mod validatingadmissionpolicybinding;
pub(super) mod validatingwebhookconfiguration;

mod expressions;
mod policies;
mod rules;
pub(in crate::resources) mod type_checking;
mod webhooks;

/// What webhooks of both kinds do if they do not say.
fn webhook_defaults(webhook: &mut Map<String, Value>) {
    set(webhook, "failurePolicy", "Fail");
    match_defaults(webhook);
    set(webhook, "timeoutSeconds", 10);
}

/// What is matched by webhooks and policies if they do not say.
fn match_defaults(matcher: &mut Map<String, Value>) {
    set(matcher, "matchPolicy", "Equivalent");
    set(matcher, "namespaceSelector", json!({}));
    set(matcher, "objectSelector", json!({}));
}

/// The cells of a webhook configuration.
fn configuration_cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![size(field(object, "webhooks")).into(), age(object, now)]
}

/// The cells of a policy, with the number of its rules.
fn policy_cells(object: &Object, rules: &str, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let kind = &spec["paramKind"];
    let param = match is_set(kind) {
        true => format!("{}/{}", text(&kind["apiVersion"]), text(&kind["kind"])),
        false => UNSET.to_owned(),
    };
    vec![size(&spec[rules]).into(), param.into(), age(object, now)]
}

/// The cells of a policy's binding.
fn binding_cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let param = &spec["paramRef"];
    let shown = match (text(&param["namespace"]), text(&param["name"])) {
        (_, "") if is_set(&param["selector"]) => go_selector(&param["selector"]),
        (_, "") => UNSET.to_owned(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![text(&spec["policyName"]).into(), shown.into(), age(object, now)]
}

/// A label selector as Go's generated code prints it, which is what the column of parameters shows.
fn go_selector(selector: &Value) -> String {
    let labels: BTreeMap<&str, &str> =
        entries(&selector["matchLabels"]).map(|(key, value)| (key, text(value))).collect();
    let labels: String = labels.iter().map(|(key, value)| format!("{key}: {value},")).collect();
    let one = |wanted: &Value| {
        let (key, operator, values) = (text(&wanted["key"]), text(&wanted["operator"]), strings(&wanted["values"]));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    };
    let wanted: String = list(&selector["matchExpressions"]).iter().map(one).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{wanted}}},}}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::go_selector;

    #[test]
    fn selectors_of_parameters_are_shown_as_go_prints_them() {
        let wanted = json!({"matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]});
        let expected = "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},\
            MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}";
        assert_eq!(go_selector(&wanted), expected);
    }
}
