//! What callers put into environments: composed variables, the authorizer, the types of mutating policies.

use std::sync::{Arc, Mutex};

use atoll_cel::library::{Authorization, Authorizer, Check, CheckTarget, Decision, Subject};
use atoll_cel::{Bindings, Budget, CompileError, DeclType, Env, LibraryType, Type, Value, Variables};
use serde_json::json;

fn budget() -> Budget {
    Budget::new(u64::MAX)
}

fn result(env: &Env, expression: &str, bindings: &Bindings<'static>) -> String {
    let program = match env.compile(expression) {
        Ok(program) => program,
        Err(error) => return error.to_string(),
    };
    match program.evaluate(bindings, &mut budget()) {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn composed_variables_are_evaluated_once_and_when_they_are_used() {
    let plain = Env::builder().variable("object", Type::Dyn).build();
    let base = plain.compile("object.a + 1").expect("sound");
    let failing = plain.compile("object.missing").expect("sound");
    let fields = [("base", base.output_type().clone()), ("failing", Type::Dyn), ("broken", Type::Dyn)];
    let env = Env::builder()
        .variable("object", Type::Dyn)
        .composition("variables", "kubernetes.variables", fields.map(|(name, ty)| (Arc::from(name), ty)))
        .build();
    let twice = env.compile("variables.base * variables.base").expect("sound");
    let object = json!({"a": 2});
    let bindings = Bindings::new().with("object", Value::untyped(&object));
    let mut variables = Variables::new();
    variables.add("base", &base);
    variables.add("twice", &twice);
    variables.add("failing", &failing);
    variables.add_faulty("broken", "compilation failed: oh");
    let mut run = |expression: &str| {
        let program = env.compile(expression).expect("sound");
        let program = Box::leak(Box::new(program));
        match program.evaluate_with(&bindings, &mut variables, &mut budget()) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(run("variables.base"), "3");
    assert_eq!(run("variables.base + variables.base"), "6");
    assert_eq!(run("has(variables.base)"), "true");
    assert_eq!(
        run("variables.failing == 1"),
        "composited variable \"failing\" fails to evaluate: no such key: missing"
    );
    assert_eq!(run("variables.failing == 1 || true"), "true");
    assert_eq!(run("variables.broken == 1"), "composited variable \"broken\" fails to compile: compilation failed: oh");
    // Two selections and an addition, once; the failing one read twice its cost once.
    assert_eq!(variables.take_cost(), 5);
    assert_eq!(variables.take_cost(), 0);
    assert!(env.compile("variables.unknown").is_err());
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Check>>);

impl Authorizer for Recorder {
    fn authorize(&self, check: &Check) -> Decision {
        self.0.lock().expect("not poisoned").push(check.clone());
        let allowed = check.verb == "get";
        Decision { allowed, reason: "because".to_owned(), error: (check.verb == "fail").then(|| "oops".to_owned()) }
    }
}

#[test]
fn the_authorizer_is_asked_what_expressions_put_together() {
    let env = Env::builder()
        .variable("authorizer", Type::Library(LibraryType::Authorizer))
        .variable("authorizer.requestResource", Type::Library(LibraryType::ResourceCheck))
        .build();
    let recorder = Recorder::default();
    let target = CheckTarget::Resource {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        subresource: String::new(),
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        field_selector: String::new(),
        label_selector: String::new(),
    };
    let cases = [
        ("authorizer.path('/healthz').check('get').allowed()", "true"),
        (
            "authorizer.group('apps').resource('deployments').subresource('status').namespace('n').name('x').check('put').allowed()",
            "false",
        ),
        ("authorizer.serviceAccount('ns', 'robot').group('').resource('pods').check('get').reason()", "because"),
        ("authorizer.requestResource.check('get').allowed()", "true"),
        ("authorizer.path('/').check('fail').errored()", "true"),
        ("authorizer.path('/').check('fail').error()", "oops"),
        ("authorizer.path('').check('get').allowed()", "path must not be empty"),
        (
            "authorizer.serviceAccount('Bad', 'robot').path('/').check('get').allowed()",
            "Invalid service account namespace",
        ),
        (
            "authorizer.group('').resource('pods').fieldSelector('a=b').labelSelector('c=d').check('list').allowed()",
            "false",
        ),
    ];
    for (expression, expected) in cases {
        let program = env.compile(expression).expect("sound");
        let bindings =
            Bindings::new().with("authorizer", Value::Authorization(Arc::new(Authorization::new(&recorder)))).with(
                "authorizer.requestResource",
                Value::Authorization(Arc::new(Authorization::of_request(&recorder, target.clone()))),
            );
        let shown = match program.evaluate(&bindings, &mut budget()) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{expression}");
    }
    let asked = recorder.0.into_inner().expect("not poisoned");
    assert_eq!(asked[0].target, CheckTarget::Path("/healthz".to_owned()));
    assert!(matches!(&asked[1].target, CheckTarget::Resource { group, resource, subresource, namespace, name, .. }
            if [group, resource, subresource, namespace, name] == ["apps", "deployments", "status", "n", "x"]));
    assert_eq!(asked[2].subject, Subject::ServiceAccount { namespace: "ns".to_owned(), name: "robot".to_owned() });
    assert_eq!(asked[3].target, target);
}

#[test]
fn checks_cost_so_much_that_two_fit_into_one_evaluation() {
    let env = Env::builder().variable("authorizer", Type::Library(LibraryType::Authorizer)).build();
    let recorder = Recorder::default();
    let check = "authorizer.path('/').check('get').allowed()";
    for (count, fits) in [(2, true), (3, false)] {
        let program = env.compile(&vec![check; count].join(" && ")).expect("sound");
        let authorizer = Value::Authorization(Arc::new(Authorization::new(&recorder)));
        let outcome = program.evaluate(&Bindings::new().with("authorizer", authorizer), &mut budget());
        assert_eq!(outcome.is_ok(), fits, "{count} checks");
    }
}

#[test]
fn mutating_policies_make_objects_and_patches() {
    let env = Env::builder().variable("object", Type::Dyn).with_patches().build();
    let cases = [
        ("Object{spec: Object.spec{replicas: 3}}", json!({"spec": {"replicas": 3}})),
        ("Object{a: [Object.a{b: 'c'}], ?d: optional.none()}", json!({"a": [{"b": "c"}]})),
        (
            "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c~'), value: {'x': 1.5}}]",
            json!([{"op": "add", "path": "/a/b~1c~0", "value": {"x": 1.5}}]),
        ),
    ];
    for (expression, expected) in cases {
        let program = env.compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let value = program.evaluate(&Bindings::new(), &mut budget()).expect("it evaluates");
        assert_eq!(value.to_json().expect("JSON"), expected, "{expression}");
    }
    let bindings = Bindings::new();
    assert_eq!(result(&env, "Object{a: 1}.a + 1", &bindings), "2");
    assert_eq!(result(&env, "type(Object.spec{})", &bindings), "Object.spec");
    assert!(result(&env, "JSONPatch{op: 1}", &bindings).contains("expected type of field 'op' is 'string'"));
    assert!(
        result(&env, "JSONPatch{foo: 1}", &bindings)
            .contains("expected type of field 'foo' is '' but provided type is 'int'")
    );
    let without = Env::builder().build();
    assert!(result(&without, "Object{}", &bindings).contains("undeclared reference to 'Object'"));
    assert!(result(&without, "jsonpatch.escapeKey('a')", &bindings).contains("undeclared reference"));
}

#[test]
fn policies_see_their_request_with_its_types() {
    let env = atoll_cel::admission::environment().with_params().with_authorizer().build();
    let fault = |expression: &str| env.compile(expression).err().map(|error| error.to_string()).unwrap_or_default();
    let sound = [
        "object.spec.replicas <= params.maxReplicas && request.operation in ['CREATE', 'UPDATE']",
        "request.userInfo.groups.exists(g, g == 'admins') && request.resource.resource == 'pods'",
        "namespaceObject.metadata.labels['tier'] == 'prod' || authorizer.requestResource.check('x').allowed()",
        "oldObject == null && request.options.kind == 'CreateOptions' && !request.dryRun",
    ];
    for expression in sound {
        assert_eq!(fault(expression), "", "{expression}");
    }
    assert!(fault("request.object").contains("undefined field 'object'"));
    assert!(fault("request.namespace + 1").contains("found no matching overload for '_+_' applied to '(string, int)'"));
    assert!(fault("namespaceObject.metadata.managedFields").contains("undefined field 'managedFields'"));
    let fault = atoll_cel::admission::environment().build().compile("params.a").err();
    assert!(fault.is_some_and(|fault| fault.to_string().contains("undeclared reference to 'params'")));
}

#[test]
fn only_expressions_of_the_wanted_types_are_compiled() {
    let env = Env::builder().variable("object", Type::Dyn).build();
    let fault = |expression: &str, wanted: &[Type]| env.compile_to(expression, wanted).err().map(|e| e.to_string());
    assert_eq!(fault("1", &[Type::Bool]).as_deref(), Some("must evaluate to bool but got int"));
    assert_eq!(
        fault("1", &[Type::String, Type::Null]).as_deref(),
        Some("must evaluate to one of [string null_type] but got int")
    );
    assert_eq!(fault("null", &[Type::String, Type::Null]), None);
    assert_eq!(fault("object.a", &[Type::Bool]).as_deref(), Some("must evaluate to bool but got dyn"));
    assert!(matches!(env.compile_to("1 +", &[Type::Int]), Err(CompileError::Issues(_))));
}

#[test]
fn threads_can_share_environments_and_programs() {
    fn shared<T: Send + Sync>(_: T) {}
    let env = Env::builder().build();
    shared(env.compile("[1, 'a'].size()"));
    shared(env);
}

#[test]
fn programs_know_which_variables_they_use() {
    let env = Env::builder().variable("self", Type::Dyn).variable("oldSelf", Type::Dyn).build();
    let uses = |expression: &str| env.compile(expression).expect("sound").uses("oldSelf");
    assert!(uses("self == oldSelf"));
    assert!(uses("[1].all(x, oldSelf.a == x)"));
    assert!(!uses("self.oldSelf"));
    assert!(!uses("[1].all(oldSelf, oldSelf == 1)"));
}

#[test]
fn names_can_be_bound_where_that_is_switched_on() {
    let with = Env::builder().with_bind().build();
    assert_eq!(result(&with, "cel.bind(x, 2, x * x + cel.bind(y, x, y))", &Bindings::new()), "6");
    assert!(result(&Env::builder().build(), "cel.bind(x, 2, x)", &Bindings::new()).contains("undeclared reference"));
}

#[test]
fn values_of_any_sort_are_no_ranges_and_have_a_size() {
    let inner = DeclType::map(Arc::new(DeclType::any().at_most(64)), Some(32)).with_keys_up_to(32);
    let data = Arc::new(DeclType::map(Arc::new(inner), Some(8)).with_keys_up_to(63));
    let env = Env::builder().measured_data("data", &data).build();
    for (expression, expected) in [
        ("data.a.b", "google.protobuf.Any, 3"),
        ("data.a.b == 'x' && data.a.b.startsWith('xy')", "bool, 8"),
        ("data.a.b.c", "dyn, 3"),
        ("data.all(a, a.startsWith('x') && a < 'x')", "bool, 58"),
        ("data.all(a, data[a].all(b, b < a))", "bool, 2362"),
        ("[data][0].a.b.contains('x')", "bool, 1844674407370955278"),
    ] {
        let program = env.compile(expression).expect("sound");
        assert_eq!(format!("{}, {}", program.output_type(), program.estimated_cost().max), expected, "{expression}");
    }
    let fault = env.compile("data.a.b.all(x, true)").expect_err("no range").to_string();
    assert!(fault.contains("expression of type 'any' cannot be range of a comprehension"), "{fault}");
}
