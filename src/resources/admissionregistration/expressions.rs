//! Whether the expressions of policies and webhooks compile.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use atoll_cel::CompileError;
use serde_json::Value;

use crate::admission::expressions::{Params, Purpose, Vocabulary, Yield};
use crate::resources::read::{is_set, list};

/// What the expressions of a policy can refer to.
pub(super) struct Words {
    params: Params,
    of_rules: Vocabulary,
}

// === impl Words ===

impl Words {
    /// Those of a policy, before its variables are declared.
    pub(super) fn of(spec: &Value) -> Self {
        let params = if is_set(&spec["paramKind"]) { Params::Present } else { Params::Absent };
        let of_rules = match list(&spec["variables"]).is_empty() {
            true => Vocabulary::without_variables(params),
            false => Vocabulary::of_policy(params),
        };
        Self { params, of_rules }
    }

    /// Those of a mutating policy, which know variables even if there are none.
    pub(super) fn of_mutations(spec: &Value) -> Self {
        let words = Self::of(spec);
        Self { of_rules: Vocabulary::of_policy(words.params), ..words }
    }

    /// Those of its match conditions, which know nothing of its variables.
    pub(super) fn of_conditions(&self) -> Vocabulary {
        Vocabulary::without_variables(self.params)
    }

    /// Declares a variable.
    pub(super) fn declare(&mut self, errors: &mut FieldErrors, name: &str, expression: &str, path: &FieldPath) {
        if let Err(fault) = self.of_rules.declare(name, expression) {
            errors.push(fault_at(path, expression, &fault));
        }
    }

    /// Checks an expression that decides, words or changes something.
    pub(super) fn check(
        &mut self,
        errors: &mut FieldErrors,
        expression: &str,
        (purpose, wanted): (Purpose, Yield),
        path: &FieldPath,
    ) {
        check(errors, &mut self.of_rules, expression, (purpose, wanted), path);
    }

    /// Checks the expression of an annotation, which is compiled without the blanks around it and shown with them.
    pub(super) fn check_annotation(&mut self, errors: &mut FieldErrors, expression: &str, path: &FieldPath) {
        if let Err(fault) = self.of_rules.compile(Purpose::Decision, Yield::TextOrNull, expression.trim()) {
            errors.push(fault_at(path, expression, &fault));
        }
    }
}

/// Checks a match condition.
pub(super) fn condition(errors: &mut FieldErrors, words: &mut Vocabulary, expression: &str, path: &FieldPath) {
    check(errors, words, expression, (Purpose::Decision, Yield::Truth), path);
}

fn check(
    errors: &mut FieldErrors,
    words: &mut Vocabulary,
    expression: &str,
    (purpose, wanted): (Purpose, Yield),
    path: &FieldPath,
) {
    if let Err(fault) = words.compile(purpose, wanted, expression) {
        errors.push(fault_at(path, expression, &fault));
    }
}

/// A constant that cannot be computed is found only when the program is made, which counts as the server's failure
/// (cel/compile.go).
fn fault_at(path: &FieldPath, expression: &str, fault: &CompileError) -> FieldError {
    match fault {
        CompileError::Instantiation(_) => FieldError::internal(path, fault.to_string()),
        _ => FieldError::invalid(path, &expression.into(), fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::checks::path;

    fn told(errors: &FieldErrors) -> Vec<String> {
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        errors.iter().map(|error| format!("{}: {}", error.path, first_line(error.body()))).collect()
    }

    #[test]
    fn variables_can_be_referred_to_by_what_follows_them() {
        let mut words = Words::of(&json!({"paramKind": {"kind": "K"}, "variables": [{"name": "v"}]}));
        let mut errors = FieldErrors::new();
        let decides = (Purpose::Decision, Yield::Truth);
        words.check(&mut errors, "variables.v == 1", decides, &path("early"));
        words.declare(&mut errors, "v", "params.x", &path("v"));
        words.declare(&mut errors, "faulty", "nothing", &path("faulty"));
        words.check(&mut errors, "variables.v == 1 && variables.faulty", decides, &path("late"));
        condition(&mut errors, &mut words.of_conditions(), "params.x == 1", &path("condition"));
        condition(&mut errors, &mut words.of_conditions(), "variables.v == 1", &path("condition"));
        let undeclared = |place: &str, name: &str, shown: &str| {
            format!(
                "{place}: Invalid value: {shown:?}: compilation failed: ERROR: <input>:1:1: undeclared reference to \
                 '{name}' (in container '')"
            )
        };
        let early =
            "early: Invalid value: \"variables.v == 1\": compilation failed: ERROR: <input>:1:10: undefined field 'v'";
        let faulty = undeclared("faulty", "nothing", "nothing");
        assert_eq!(told(&errors), [early, &faulty, &undeclared("condition", "variables", "variables.v == 1")]);
    }

    #[test]
    fn annotations_are_shown_with_the_blanks_around_them() {
        let mut words = Words::of(&json!({}));
        let mut errors = FieldErrors::new();
        words.check_annotation(&mut errors, " 'a' ", &path("fine"));
        words.check_annotation(&mut errors, " 1 ", &path("number"));
        let expected = "number: Invalid value: \" 1 \": must evaluate to one of [string null_type] but got int";
        assert_eq!(told(&errors), [expected]);
    }

    #[test]
    fn constants_that_cannot_be_computed_count_as_the_servers_failure() {
        let mut words = Words::of(&json!({}));
        let mut errors = FieldErrors::new();
        words.check(&mut errors, "int('x') == 1", (Purpose::Decision, Yield::Truth), &path("rule"));
        let why = "program instantiation failed: type conversion error from 'string' to 'int'";
        assert_eq!(told(&errors), [format!("rule: Internal error: {why}")]);
    }
}
