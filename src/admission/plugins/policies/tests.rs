//! Policies as they are stored, and what they do to a configmap.

use atoll_api::{ApiResult, GroupVersionKind, LogicalClusterName, Object};
use serde_json::{Value, json};

use super::*;
use crate::admission::testing::{Bench, context, creation, made};
use crate::admission::{AdmissionPlugin, Attributes, Chain, Operation, Served};
use crate::authz::AlwaysAllow;

/// Clusters that serve configmaps, and nothing else.
struct ConfigMaps;

impl Kinds for ConfigMaps {
    fn find(&self, _: &LogicalClusterName, kind: &GroupVersionKind) -> Option<Served> {
        let served = (&*kind.group, &*kind.version, &*kind.kind) == ("", "v1", "ConfigMap");
        served.then(|| Served {
            stored: atoll_api::GroupResource::new("", "configmaps"),
            version: kind.group_version(),
            is_namespaced: true,
            shapes: creation(&made(map(json!({})))).shapes,
        })
    }
}

fn validating(bench: &Bench) -> ValidatingAdmissionPolicy {
    ValidatingAdmissionPolicy::new(&bench.store, Arc::new(ConfigMaps), Arc::new(AlwaysAllow))
}

fn mutating(bench: &Bench) -> MutatingAdmissionPolicy {
    MutatingAdmissionPolicy::new(&bench.store, Arc::new(ConfigMaps), Arc::new(AlwaysAllow))
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}, "data": data})
}

fn merged(mut base: Value, change: Value) -> Value {
    for (field, value) in change.as_object().expect("an object") {
        base[field] = value.clone();
    }
    base
}

/// Stores a policy for configmaps and a binding of it under the same name.
async fn apply(bench: &Bench, sort: &str, name: &str, spec: Value, binding: Value) {
    let constraints = json!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [
        {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}});
    let binding = merged(json!({"policyName": name, "validationActions": ["Deny"]}), binding);
    for (suffix, resource, spec) in [("", "ies", merged(constraints, spec)), ("Binding", "ybindings", binding)] {
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name},
            "kind": format!("{sort}AdmissionPolicy{suffix}"), "spec": spec});
        let resource = format!("{}admissionpolic{resource}", sort.to_lowercase());
        bench.put(GROUP, &resource, object).await;
    }
}

/// What a validating policy says of a configmap that is created, with a map `params` beside it.
async fn judged(spec: Value, binding: Value) -> (Result<(), String>, Vec<String>) {
    let bench = Bench::new().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": "b"}}});
    bench.put("", "namespaces", namespace).await;
    let params = json!({"metadata": {"name": "params", "namespace": "n", "labels": {"x": "y"}}, "data": {"max": "2"}});
    bench.put("", "configmaps", merged(map(json!({})), params)).await;
    apply(&bench, "Validating", "p", spec, binding).await;
    let outcome = bench.validate(&validating(&bench), map(json!({"a": "1"}))).await;
    (outcome, bench.cx.take_warnings())
}

/// Checks what a policy with these fields says: nothing, or a message after who says it.
async fn check(spec: Value, binding: Value, expected: Result<(), &str>) {
    let told = expected.map_err(|why| {
        format!("configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: {why}")
    });
    assert_eq!(judged(spec.clone(), binding.clone()).await.0, told, "{spec} {binding}");
}

fn validation(expression: &str, more: Value) -> Value {
    json!({"validations": [merged(json!({"expression": expression}), more)]})
}

#[tokio::test]
async fn validations_see_the_write_and_word_their_objections() {
    let none = || json!({});
    for (expression, more, expected) in [
        ("object.data.a == '1' && oldObject == null", none(), Ok(())),
        ("request.operation == 'CREATE' && request.userInfo.username == 'somebody'", none(), Ok(())),
        ("namespaceObject.metadata.labels.a == 'b'", none(), Ok(())),
        ("authorizer.group('').resource('pods').namespace('n').check('get').allowed()", none(), Ok(())),
        ("authorizer.serviceAccount('n', 'x').path('/healthz').check('get').allowed()", none(), Ok(())),
        ("object.data.a == '2'", none(), Err("failed expression: object.data.a == '2'")),
        ("false", json!({"message": "no"}), Err("no")),
        ("false", json!({"message": "no", "messageExpression": "'not ' + object.data.a"}), Err("not 1")),
        ("false", json!({"message": "no", "messageExpression": "object.data.b"}), Err("no")),
        ("false", json!({"message": "no", "messageExpression": "'a\\nb'"}), Err("no")),
        ("object.data.b == '1'", none(), Err("expression 'object.data.b == '1'' resulted in error: no such key: b")),
    ] {
        check(validation(expression, more), none(), expected).await;
    }
    let ignoring = merged(validation("object.data.b == '1'", none()), json!({"failurePolicy": "Ignore"}));
    check(ignoring, none(), Ok(())).await;
}

#[tokio::test]
async fn variables_are_evaluated_when_they_are_used() {
    let variables = json!({"variables": [
        {"name": "n", "expression": "size(object.data)"}, {"name": "twice", "expression": "variables.n * 2"},
        {"name": "bad", "expression": "object.data.nothing"}]});
    check(merged(validation("variables.twice == 2", json!({})), variables.clone()), json!({}), Ok(())).await;
    let why = "expression 'variables.bad == 'x'' resulted in error: composited variable \"bad\" fails to evaluate: no such key: nothing";
    check(merged(validation("variables.bad == 'x'", json!({})), variables), json!({}), Err(why)).await;
}

#[tokio::test]
async fn parameters_are_those_the_binding_chooses() {
    let spec = |expression| {
        merged(validation(expression, json!({})), json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}))
    };
    let wants = "size(object.data) > int(params.data.max)";
    let broken = Err("failed expression: size(object.data) > int(params.data.max)");
    let named = |name| json!({"paramRef": {"name": name, "parameterNotFoundAction": "Deny"}});
    let chosen =
        |value| json!({"paramRef": {"selector": {"matchLabels": {"x": value}}, "parameterNotFoundAction": "Allow"}});
    check(spec(wants), named("params"), broken).await;
    check(spec(wants), chosen("y"), broken).await;
    check(spec(wants), chosen("z"), Ok(())).await;
    check(spec("params == null"), json!({}), Ok(())).await;
    let missing = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    check(spec(wants), named("other"), Err(missing)).await;
    let unknown = merged(spec(wants), json!({"paramKind": {"apiVersion": "a/v1", "kind": "B"}}));
    let why = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'a/v1, Kind=B'";
    assert_eq!(judged(unknown.clone(), named("params")).await.0, Err(why.to_owned()));
    check(merged(unknown, json!({"failurePolicy": "Ignore"})), named("params"), Ok(())).await;
}

#[tokio::test]
async fn conditions_and_bindings_choose_the_writes() {
    let with = |condition| {
        merged(validation("false", json!({})), json!({"matchConditions": [{"name": "c", "expression": condition}]}))
    };
    let refused = Err("failed expression: false");
    check(with("object.data.a == '1'"), json!({}), refused).await;
    check(with("object.data.a == '2'"), json!({}), Ok(())).await;
    check(
        with("object.data.b == '2'"),
        json!({}),
        Err("expression 'object.data.b == '2'' resulted in error: no such key: b"),
    )
    .await;
    let labels = |value| json!({"matchResources": {"namespaceSelector": {"matchLabels": {"a": value}}}});
    check(with("true"), labels("b"), refused).await;
    check(with("true"), labels("c"), Ok(())).await;
}

#[tokio::test]
async fn the_binding_says_what_becomes_of_an_objection() {
    let spec = || validation("false", json!({"message": "no"}));
    let (outcome, warnings) = judged(spec(), json!({"validationActions": ["Warn", "Audit"]})).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(warnings, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': no"]);
}

#[tokio::test]
async fn the_policies_of_another_cluster_are_not_asked() {
    let bench = Bench::new().await;
    apply(&bench, "Validating", "p", validation("false", json!({})), json!({})).await;
    let plugin = validating(&bench);
    let elsewhere = Bench { store: bench.store.clone(), cx: context("other") };
    assert_eq!(elsewhere.validate(&plugin, map(json!({}))).await, Ok(()));
    assert!(bench.validate(&plugin, map(json!({}))).await.is_err());
}

#[tokio::test]
async fn reasons_and_deletions_are_told() {
    let bench = Bench::new().await;
    let spec = validation("request.operation != 'DELETE' || object != null", json!({"reason": "Forbidden"}));
    apply(&bench, "Validating", "p", spec, json!({})).await;
    let old = made(map(json!({})));
    let attributes = Attributes { operation: Operation::Delete, ..creation(&old) };
    let error = validating(&bench).validate(&bench.cx, &attributes, None, Some(&old)).await.expect_err("is refused");
    assert_eq!((error.status.code, error.status.reason), (403, atoll_api::Reason::Forbidden));
}

#[tokio::test]
async fn what_costs_too_much_is_not_evaluated_to_its_end() {
    let names: Vec<u32> = (0..300).collect();
    let slow = format!("{names:?}.all(x, {names:?}.all(y, {names:?}.all(z, x + y + z >= 0)))");
    let (outcome, _) = judged(validation(&slow, json!({})), json!({})).await;
    let error = outcome.expect_err("is refused");
    assert!(error.contains("cost") && error.contains("exceeded"), "{}", &error[error.len().saturating_sub(300)..]);
}

fn mutations(list: Value) -> Value {
    json!({"mutations": list, "reinvocationPolicy": "Never"})
}

fn overlay(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

async fn changed(spec: Value) -> Result<Value, String> {
    let bench = Bench::new().await;
    apply(&bench, "Mutating", "p", spec, json!({})).await;
    bench.mutate(&mutating(&bench), map(json!({"a": "1"}))).await.map(|object| object["data"].clone())
}

#[tokio::test]
async fn mutations_change_the_object_one_after_the_other() {
    let add = overlay("Object{data: Object.data{b: object.data.a}}");
    assert_eq!(changed(mutations(json!([add]))).await, Ok(json!({"a": "1", "b": "1"})));
    let put = patch("[JSONPatch{op: 'add', path: '/data/c', value: object.data.b + '!'}]");
    assert_eq!(changed(mutations(json!([add, put]))).await, Ok(json!({"a": "1", "b": "1", "c": "1!"})));
    let tested = patch("[JSONPatch{op: 'test', path: '/data/a', value: '2'}, JSONPatch{op: 'remove', path: '/data'}]");
    assert_eq!(changed(mutations(json!([tested]))).await, Ok(json!({"a": "1"})));
    let never = json!({"matchConditions": [{"name": "c", "expression": "object.data.a != '1'"}]});
    assert_eq!(changed(merged(mutations(json!([add])), never)).await, Ok(json!({"a": "1"})));
}

#[tokio::test]
async fn mutations_that_fail_fail_the_write_or_are_passed_over() {
    let denied = |why: &str| Err(format!("policy 'p' with binding 'p' denied request: {why}"));
    let wrong = overlay("Object{data: Object.other{b: 'x'}}");
    let why = "type mismatch: unexpected type name \"Object.other\", expected \"Object.data\", which matches field name path from root Object type";
    assert_eq!(changed(mutations(json!([wrong]))).await, denied(why));
    let missing = overlay("Object{data: Object.data{b: object.data.nothing}}");
    let outcome = changed(mutations(json!([missing]))).await;
    assert!(outcome.is_err_and(|error| error.ends_with("resulted in error: no such key: nothing")));
    let ignoring = merged(mutations(json!([missing, wrong])), json!({"failurePolicy": "Ignore"}));
    assert_eq!(changed(ignoring).await, Ok(json!({"a": "1"})));
}

async fn changed_by_all(bench: &Bench) -> ApiResult<Object> {
    let chain = Chain::new(vec![Arc::new(mutating(bench))]);
    let mut object = made(map(json!({"seen": ""})));
    let attributes = creation(&object);
    chain.mutate(&bench.cx, &attributes, &mut object, None).await.map(|()| object)
}

#[tokio::test]
async fn a_policy_that_wants_to_looks_again_after_others() {
    let bench = Bench::new().await;
    let look = overlay("Object{data: Object.data{seen: object.data.seen + (has(object.data.b) ? 'b' : '-')}}");
    let wanting = merged(mutations(json!([look])), json!({"reinvocationPolicy": "IfNeeded"}));
    apply(&bench, "Mutating", "a", wanting, json!({})).await;
    apply(&bench, "Mutating", "b", mutations(json!([overlay("Object{data: Object.data{b: 'x'}}")])), json!({})).await;
    let object = changed_by_all(&bench).await.expect("is let through");
    assert_eq!(object.get("data"), Some(&json!({"seen": "-b", "b": "x"})));
}
