//! Hostile expressions end with a fault, without exhausting stack, time or memory.

use atoll_cel::{Bindings, Budget, CompileError, Env, EvalError};

/// As much as a thread of the server has.
const STACK: usize = 2 << 20;

fn compiles(expression: &str) -> Result<(), String> {
    Env::builder().build().compile(expression).map(drop).map_err(|error| match error {
        CompileError::Issues(issues) => issues.iter().next().map(|issue| issue.message.clone()).unwrap_or_default(),
        other => other.to_string(),
    })
}

fn evaluate(expression: &str) -> Result<String, EvalError> {
    let program = Env::builder().build().compile(expression).expect("the expression is sound");
    let mut budget = Budget::new(u64::MAX);
    program.evaluate(&Bindings::new(), &mut budget).map(|value| value.to_string())
}

fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread can be started");
    thread.join().expect("the stack is large enough");
}

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

#[test]
fn expressions_that_nest_too_deep_are_refused() {
    let cases = [
        (format!("1{}", "+1".repeat(20_000)), "max recursion depth exceeded"),
        (format!("a{}", ".b".repeat(30_000)), "max recursion depth exceeded"),
        (format!("a{}", "[0]".repeat(30_000)), "max recursion depth exceeded"),
        (format!("1{}", " < 1".repeat(10_000)), "max recursion depth exceeded"),
        (format!("optional.of(1){}", ".optMap(x, x)".repeat(40)), "max recursion depth exceeded"),
        (nested("(", "1", ")", 5_000), "expression recursion limit exceeded: 250"),
        (nested("[", "1", "]", 5_000), "expression recursion limit exceeded: 250"),
        (nested("{1:", "1", "}", 5_000), "expression recursion limit exceeded: 250"),
        (nested("f(", "1", ")", 5_000), "expression recursion limit exceeded: 250"),
        ("[".repeat(99_000), "expression recursion limit exceeded: 250"),
        (format!("{}1", "true?1:".repeat(10_000)), "expression recursion limit exceeded: 250"),
        (nested("[1].map(x,", "1", ")", 2_000), "expression recursion limit exceeded: 250"),
        ("a".repeat(100_001), "expression code point size exceeds limit: size: 100001, limit 100000"),
        ("'".repeat(99_999), "error recovery token lookahead limit exceeded: 256"),
    ];
    on_small_stack(move || {
        for (expression, fault) in cases {
            assert_eq!(compiles(&expression), Err(fault.to_owned()), "{}", &expression[..20]);
        }
    });
}

#[test]
fn expressions_that_nest_as_deep_as_they_may_fit_on_a_small_stack() {
    let cases = [
        (format!("1{}", "+1".repeat(200)), "201"),
        (format!("{}true", "!".repeat(90_000)), "true"),
        (nested("(", "1", ")", 120), "1"),
        (format!("{}1{}.size()", "[".repeat(120), "]".repeat(120)), "1"),
        (nested("(true ? ", "1", " : 2)", 100), "1"),
        (format!("{}.size()", nested("[1].map(x, ", "1", ")", 60)), "1"),
        (nested("optional.of(", "1", ").value()", 60), "1"),
        (format!("[1]{}.size()", ".map(x, [x])".repeat(60)), "1"),
        (vec!["true"; 12_000].join(" && "), "true"),
        (format!("1 in [{}]", vec!["2"; 40_000].join(",")), "false"),
    ];
    on_small_stack(move || {
        for (expression, value) in cases {
            assert_eq!(evaluate(&expression).as_deref(), Ok(value), "{}", &expression[..20]);
        }
    });
}

#[test]
fn types_that_double_with_each_macro_are_refused() {
    let expression = format!("[1]{}", ".map(x, {x: x})".repeat(60));
    assert_eq!(compiles(&expression), Err("expression is too complex to be checked".to_owned()));
}

#[test]
fn evaluations_that_take_too_much_are_cancelled() {
    let doubled = |step: &str, times: usize| format!("[[1]]{}", step.repeat(times));
    for expression in [
        "lists.range(9223372036854775807).size()".to_owned(),
        "lists.range(90000).all(x, lists.range(900000).size() > 0)".to_owned(),
        nested("[1, 2, 3, 4].all(x, ", "true", ")", 20),
        format!("['a']{}.size()", ".map(x, x + x)".repeat(60)),
        format!("{}.map(x, x.indexOf(1))", doubled(".map(x, x + x)", 60)),
        format!("{0} == {0}", doubled(".map(x, [x, x])", 40)),
        format!("lists.range(5000).map(x, '{}').join()", "a".repeat(90_000)),
        format!("'a'{}.size()", ".replace('', 'cccccccccccccccc')".repeat(8)),
    ] {
        assert_eq!(evaluate(&expression), Err(EvalError::CostLimit), "{}", &expression[..expression.len().min(60)]);
    }
}

#[test]
fn precisions_beyond_all_digits_are_filled_with_zeros() {
    assert_eq!(evaluate("'%.70000f'.format([1.5]).size()").as_deref(), Ok("70002"));
    assert_eq!(evaluate("'%.70000e'.format([1.5]).size()").as_deref(), Ok("70000"));
}

#[test]
fn values_that_are_too_large_are_not_written_as_json() {
    let program = Env::builder().build().compile(&format!("[1]{}", ".map(x, [x, x])".repeat(40))).expect("sound");
    let mut budget = Budget::new(u64::MAX);
    let value = program.evaluate(&Bindings::new(), &mut budget).expect("cheap enough");
    assert!(value.to_json().is_err());
}

#[test]
fn a_budget_is_spent_by_each_evaluation_and_then_exhausted() {
    let program = Env::builder().build().compile("lists.range(5).size() == 5").expect("sound");
    let mut budget = Budget::new(20);
    assert!(program.evaluate(&Bindings::new(), &mut budget).is_ok());
    assert_eq!(budget.remaining(), 2);
    assert_eq!(program.evaluate(&Bindings::new(), &mut budget).map(|_| ()), Err(EvalError::OutOfBudget));
    assert_eq!(budget.remaining(), 0);
}

#[test]
fn one_evaluation_may_not_cost_more_than_its_limit() {
    let program = Env::builder().build().compile("lists.range(50).all(x, x >= 0)").expect("sound");
    let mut budget = Budget::new(10_000).with_limit_per_call(100);
    assert_eq!(program.evaluate(&Bindings::new(), &mut budget).map(|_| ()), Err(EvalError::CostLimit));
}

/// Each of many rules could take all that one evaluation may; together they may not.
#[test]
fn what_costs_do_not_count_is_bounded_for_all_evaluations_with_a_budget() {
    let map: serde_json::Map<String, serde_json::Value> = (0..1000).map(|n| (format!("k{n}"), n.into())).collect();
    let object = serde_json::json!({"m": map});
    let env = Env::builder().variable("self", atoll_cel::Type::Dyn).build();
    let program = env.compile("lists.range(200).all(x, self.m == self.m)").expect("sound");
    let bindings = Bindings::new().with("self", atoll_cel::Value::untyped(&object));
    let mut budget = Budget::new(u64::MAX);
    let mut evaluate = || program.evaluate(&bindings, &mut budget).map(|value| value.as_bool());
    assert_eq!(evaluate(), Ok(Some(true)));
    assert!((0..50).any(|_| evaluate() == Err(EvalError::CostLimit)));
    assert_eq!(evaluate(), Err(EvalError::CostLimit));
    let mut whole = Budget::new(100);
    let mut part = whole.part(30);
    assert_eq!(part.spend(40), Err(EvalError::OutOfBudget));
    whole.take(&part, 30);
    assert_eq!((whole.remaining(), whole.part(1000).remaining()), (70, 70));
}
