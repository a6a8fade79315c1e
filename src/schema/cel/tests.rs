//! What rules say of objects and of definitions, with the texts and costs of a Kubernetes 1.36 API server.

use std::sync::Arc;

use atoll_api::FieldPath;
use serde_json::{Value, json};

use super::{RULES_BUDGET, Rules, check_definition};
use crate::schema::structural::compile;

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn objects_are_judged_as_in_kubernetes() {
    let cases: Value = serde_json::from_str(include_str!("tests/objects.json")).expect("cases are JSON");
    let mut faults = Vec::new();
    for case in cases.as_array().expect("a list") {
        let schema = Arc::new(compile(&case["schema"]).expect("the schema is structural"));
        let rules = Rules::compile(&schema).expect("the schema has rules");
        let old = Some(&case["old"]).filter(|old| !old.is_null());
        let outcome = rules.check(&case["value"], old, &FieldPath::root(), RULES_BUDGET);
        let mut errors: Vec<String> = outcome.errors.iter().map(ToString::to_string).collect();
        let mut expected = texts(&case["errors"]);
        // Fields are visited in no particular order.
        errors.sort();
        expected.sort_unstable();
        let cost = RULES_BUDGET - outcome.remaining;
        let is_same_cost = case["cost"].as_u64().is_none_or(|expected| expected == cost);
        if errors != expected || outcome.warnings != texts(&case["warnings"]) || !is_same_cost {
            faults.push(format!("{case}\n  got {errors:?}, warnings {:?}, cost {cost}", outcome.warnings));
        }
    }
    assert!(faults.is_empty(), "{} cases failed:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn rules_that_nothing_is_left_for_are_not_evaluated() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.a > 0"}, {"rule": "self.a > 1"}]});
    let rules = Rules::compile(&Arc::new(compile(&schema).expect("structural"))).expect("there are rules");
    for (budget, expected) in [(2, 1), (3, 2), (6, 2)] {
        let outcome = rules.check(&json!({"a": 0}), None, &FieldPath::root(), budget);
        let errors: Vec<String> = outcome.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), expected, "{budget}: {errors:?}");
        let is_exhausted = errors.iter().any(|error| {
            error
                == "<nil>: Invalid value: \"object\": validation failed due to running out of cost budget, no further \
                    validation rules will be run"
        });
        assert_eq!(is_exhausted, budget < 6, "{budget}: {errors:?}");
    }
}

/// Checks what is said of a schema with one property `p` that has the given rules; paths are relative to the rules.
fn check_rules(mut property: Value, rules: Value, expected: &[&str]) {
    property["x-kubernetes-validations"] = rules;
    check(
        json!({"type": "object", "properties": {"p": property}}),
        "spec.s.properties[p].x-kubernetes-validations",
        expected,
    );
}

fn check(schema: Value, prefix: &str, expected: &[&str]) {
    let errors = check_definition(&schema, &FieldPath::new("spec.s"));
    let errors: Vec<String> = errors.iter().map(|error| error.to_string().replace(prefix, "")).collect();
    assert_eq!(errors, expected, "{schema}");
}

const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";

#[test]
fn rules_that_do_not_compile_are_refused() {
    let shown = |rule: &str| {
        format!(
            "{{\"Rule\":\"{rule}\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}"
        )
    };
    let compile_fault = format!(
        "[0].rule: Invalid value: {}: compilation failed: ERROR: <input>:1:6: found no matching overload for '_==_' applied to '(int, string)'\n | self == 'x'\n | .....^",
        shown("self == 'x'")
    );
    let type_fault = format!("[1].rule: Invalid value: {}: cel expression must evaluate to a bool", shown("self + 1"));
    let constant_fault = format!(
        "[2].rule: Invalid value: {}: program instantiation failed: type conversion error from 'string' to 'int'",
        shown("int('x') == self")
    );
    check_rules(
        json!({"type": "integer"}),
        json!([{"rule": "self == 'x'"}, {"rule": "self + 1"}, {"rule": "int('x') == self"}, {"rule": "self > 1"}]),
        &[&compile_fault, &type_fault, &constant_fault],
    );
}

#[test]
fn message_expressions_must_make_texts() {
    let rule = json!({"rule": "self > 1", "messageExpression": "self + 1"});
    let fault = "[0].messageExpression: Invalid value: {\"Rule\":\"self \\u003e 1\",\"Message\":\"\",\"MessageExpression\":\"self + 1\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: messageExpression must evaluate to a string";
    check_rules(json!({"type": "integer"}), json!([rule]), &[fault]);
    check_rules(json!({"type": "integer"}), json!([{"rule": "self > 1", "messageExpression": "string(self)"}]), &[]);
}

#[test]
fn rules_that_may_cost_too_much_are_refused() {
    let quadratic = "self.all(x, self.all(y, x == y))";
    let list = json!({"type": "array", "items": {"type": "string"}});
    check_rules(
        list.clone(),
        json!([{"rule": quadratic}]),
        &[
            &format!("[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {ADVICE}"),
            "[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
            &format!(
                "spec.s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x {ADVICE}"
            ),
        ],
    );
    let mut bounded = list;
    bounded["maxItems"] = json!(10);
    bounded["items"]["maxLength"] = json!(10);
    check_rules(bounded, json!([{"rule": quadratic}]), &[]);
}

#[test]
fn old_values_can_be_asked_for_only_where_they_can_be_found() {
    let items = json!({"type": "object", "properties": {"k": {"type": "string", "maxLength": 9}}, "required": ["k"],
        "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let list = json!({"type": "object", "properties": {"l": {"type": "array", "maxItems": 9, "items": items}}});
    let fault = ".properties[l].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within spec.s.properties[l]";
    check(list.clone(), "\u{0}", &[&format!("spec.s{fault}")]);
    let mut keyed = list;
    keyed["properties"]["l"]["x-kubernetes-list-type"] = json!("map");
    keyed["properties"]["l"]["x-kubernetes-list-map-keys"] = json!(["k"]);
    check(keyed, "", &[]);
    check_rules(
        json!({"type": "integer"}),
        json!([{"rule": "self > 1", "optionalOldSelf": true}]),
        &["[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"],
    );
    let mistyped = "[0].rule: Invalid value: {\"Rule\":\"self == oldSelf\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":true}: compilation failed: ERROR: <input>:1:6: found no matching overload for '_==_' applied to '(int, optional_type(int))'\n | self == oldSelf\n | .....^";
    check_rules(
        json!({"type": "integer"}),
        json!([{"rule": "self == oldSelf", "optionalOldSelf": true}]),
        &[mistyped, "[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"],
    );
}
