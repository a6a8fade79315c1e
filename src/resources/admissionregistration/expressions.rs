//! Whether the expressions of policies and webhooks compile.

use atoll_api::{FieldError, FieldErrors, FieldPath};
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

    /// Those of its match conditions, which know nothing of its variables.
    pub(super) fn of_conditions(&self) -> Vocabulary {
        Vocabulary::without_variables(self.params)
    }

    /// Declares a variable.
    pub(super) fn declare(&mut self, errors: &mut FieldErrors, name: &str, expression: &str, path: &FieldPath) {
        if let Err(fault) = self.of_rules.declare(name, expression) {
            errors.push(FieldError::invalid(path, &expression.into(), fault.to_string()));
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
        errors.push(FieldError::invalid(path, &expression.into(), fault.to_string()));
    }
}
