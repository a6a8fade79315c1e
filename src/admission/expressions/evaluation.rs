//! Evaluating expressions for one write, within their budgets.

use std::sync::Arc;

use atoll_cel::library::{Authorization, CheckTarget};
use atoll_cel::limits::{MATCH_CONDITIONS_BUDGET, RUNTIME_BUDGET};
use atoll_cel::{Bindings, Budget, EvalError, Variables};
use serde_json::Value;

use super::Compiled;
use super::asking::Asking;

/// What the expressions of all policies together may cost for one write.
pub(in crate::admission) fn all_together() -> Budget {
    Budget::new(2 * RUNTIME_BUDGET)
}

/// A write as the expressions of one policy see it.
pub(in crate::admission) struct View<'a> {
    pub(in crate::admission) object: &'a Value,
    pub(in crate::admission) old: &'a Value,
    pub(in crate::admission) request: &'a Value,
    pub(in crate::admission) namespace: &'a Value,
    pub(in crate::admission) params: &'a Value,
    pub(in crate::admission) asking: &'a Asking<'a>,
    pub(in crate::admission) resource: &'a CheckTarget,
}

/// There is no budget left, so that nothing more can be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("validation failed due to running out of cost budget, no further validation rules will be run")]
pub(in crate::admission) struct Exhausted;

/// What expressions may still cost: those of one group, and those of the write altogether.
pub(in crate::admission) struct Allowance<'t> {
    group: Budget,
    total: &'t mut Budget,
}

impl<'t> Allowance<'t> {
    /// The allowance of a group of expressions.
    pub(in crate::admission) fn of_group(total: &'t mut Budget) -> Self {
        Self { group: total.part(RUNTIME_BUDGET), total }
    }

    /// The allowance of match conditions.
    pub(super) fn of_conditions(total: &'t mut Budget) -> Self {
        Self { group: total.part(MATCH_CONDITIONS_BUDGET), total }
    }
}

impl<'a> View<'a> {
    /// The variables that expressions refer to; the authorizer only where it may be asked.
    pub(in crate::admission) fn bindings(&self, asks: Asks) -> Bindings<'a> {
        let mut bindings = Bindings::new()
            .with("object", atoll_cel::Value::untyped(self.object))
            .with("oldObject", atoll_cel::Value::untyped(self.old))
            .with("request", atoll_cel::Value::untyped(self.request))
            .with("namespaceObject", atoll_cel::Value::untyped(self.namespace))
            .with("params", atoll_cel::Value::untyped(self.params));
        if asks == Asks::Authorizer {
            let of = |authorization| atoll_cel::Value::Authorization(Arc::new(authorization));
            bindings.set("authorizer", of(Authorization::new(self.asking)));
            let resource = Authorization::of_request(self.asking, self.resource.clone());
            bindings.set("authorizer.requestResource", of(resource));
        }
        bindings
    }
}

/// Whether expressions may ask the authorizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admission) enum Asks {
    Authorizer,
    Nobody,
}

/// Evaluates one expression. The inner error is the expression's own.
pub(in crate::admission) fn evaluate<'a>(
    text: &str,
    compiled: &'a Compiled,
    bindings: &Bindings<'a>,
    variables: &mut Variables<'a>,
    allowance: &mut Allowance<'_>,
) -> Result<Result<atoll_cel::Value<'a>, String>, Exhausted> {
    let program = match compiled {
        Ok(program) => program,
        Err(error) => return Ok(Err(format!("compilation error: {error}"))),
    };
    let before = allowance.group.remaining();
    let result = program.evaluate_with(bindings, variables, &mut allowance.group);
    let spent = allowance.group.spend(variables.take_cost());
    allowance.total.take(&allowance.group, before);
    match result {
        Err(EvalError::OutOfBudget) => Err(Exhausted),
        _ if spent.is_err() => Err(Exhausted),
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(format!("expression '{text}' resulted in error: {error}"))),
    }
}
