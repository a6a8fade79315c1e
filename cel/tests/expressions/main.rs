//! Expressions with what a Kubernetes 1.36 API server makes of them: faults, types, values and costs, each as data.

mod schema;
mod shown;

use std::sync::Arc;

use atoll_cel::{Bindings, Budget, CompileError, DeclType, Env, Type, Value};
use serde_json::{Value as Json, json};

/// What a case may refer to.
struct Context<'a> {
    decl: Option<Arc<DeclType>>,
    data: &'a Json,
    env: Env,
}

impl<'a> Context<'a> {
    fn new(data: &'a Json) -> Self {
        let is_true = |field: &str| data[field] == json!(true);
        let mut builder = Env::builder();
        let decl = data["schema"].is_object().then(|| Arc::new(schema::decl(&data["schema"], is_true("root"))));
        if let Some(decl) = &decl {
            let old =
                if is_true("optOld") { builder.optional_data("oldSelf", decl) } else { builder.data("oldSelf", decl) };
            builder = old.data("self", decl).sizes_of(decl);
        }
        for (name, _) in variables(data) {
            builder = builder.variable(name, Type::Dyn);
        }
        Self { decl, data, env: builder.build() }
    }

    fn bindings(&self) -> Bindings<'_> {
        let mut bindings = Bindings::new();
        if let Some(decl) = &self.decl {
            let typed = |name: &str| Value::typed(&self.data[name], decl).expect("the data fits its schema");
            if !self.data["self"].is_null() {
                bindings.set("self", typed("self"));
            }
            match (self.data["optOld"] == json!(true), self.data["old"].is_null()) {
                (true, true) => bindings.set("oldSelf", Value::Optional(None)),
                (true, false) => bindings.set("oldSelf", Value::some(typed("old"))),
                (false, true) => {}
                (false, false) => bindings.set("oldSelf", typed("old")),
            }
        }
        for (name, value) in variables(self.data) {
            bindings.set(name, Value::untyped(value));
        }
        bindings
    }

    /// What comes of an expression, in the form of the cases.
    fn outcome(&self, expression: &str) -> Json {
        let program = match self.env.compile(expression) {
            Ok(program) => program,
            Err(CompileError::Issues(issues)) => return json!({"expr": expression, "compile": issues.to_string()}),
            Err(CompileError::Instantiation(fault)) => return json!({"expr": expression, "program": fault}),
            Err(other) => return json!({"expr": expression, "compile": other.to_string()}),
        };
        let mut budget = Budget::new(u64::MAX);
        let result = program.evaluate(&self.bindings(), &mut budget);
        let estimate = program.estimated_cost();
        let cost = [u64::MAX - budget.remaining(), estimate.min, estimate.max];
        let mut outcome = json!({"expr": expression, "type": program.output_type().to_string(), "cost": cost});
        match result {
            Ok(value) => outcome["value"] = json!(shown::show(&value)),
            Err(error) => outcome["err"] = json!(error.to_string()),
        }
        outcome
    }
}

fn variables(data: &Json) -> impl Iterator<Item = (&String, &Json)> {
    data["vars"].as_object().into_iter().flatten()
}

fn check(file: &str) {
    let file: Json = serde_json::from_str(file).expect("cases are JSON");
    let contexts: Vec<Context<'_>> = file["data"].as_array().expect("a list").iter().map(Context::new).collect();
    let without = Context::new(&Json::Null);
    let mut faults = Vec::new();
    for case in file["cases"].as_array().expect("a list") {
        let context = case["data"].as_u64().map_or(&without, |index| &contexts[index as usize]);
        let outcome = context.outcome(case["expr"].as_str().expect("an expression"));
        let mut expected = case.clone();
        expected.as_object_mut().expect("an object").remove("data");
        if outcome != expected {
            faults.push(format!("expected {expected}\n     got {outcome}"));
        }
    }
    assert!(faults.is_empty(), "{} cases failed:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn operators_work_and_fail_as_in_kubernetes() {
    check(include_str!("data/operators.json"));
}

#[test]
fn literals_are_read_as_in_kubernetes() {
    check(include_str!("data/literals.json"));
}

#[test]
fn conversions_work_and_fail_as_in_kubernetes() {
    check(include_str!("data/conversions.json"));
}

#[test]
fn strings_are_handled_as_in_kubernetes() {
    check(include_str!("data/strings.json"));
}

#[test]
fn times_are_taken_apart_as_in_kubernetes() {
    check(include_str!("data/times.json"));
}

#[test]
fn lists_maps_and_macros_work_as_in_kubernetes() {
    check(include_str!("data/lists.json"));
}

#[test]
fn optional_values_work_as_in_kubernetes() {
    check(include_str!("data/optionals.json"));
}

#[test]
fn libraries_of_kubernetes_are_there() {
    check(include_str!("data/libraries.json"));
}

#[test]
fn untyped_data_is_checked_when_it_is_used() {
    check(include_str!("data/dynamic.json"));
}

#[test]
fn data_is_seen_through_its_declared_type() {
    check(include_str!("data/typed_data.json"));
}

#[test]
fn ill_typed_expressions_are_refused_with_the_texts_of_kubernetes() {
    check(include_str!("data/types.json"));
}

#[test]
fn ill_formed_expressions_are_refused_with_the_texts_of_kubernetes() {
    check(include_str!("data/syntax.json"));
}
