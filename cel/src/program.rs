//! Compiled expressions.

use std::fmt;
use std::sync::Arc;

use crate::bindings::{Bindings, Budget, Variables};
use crate::cost::CostRange;
use crate::eval::{self, Outcome};
use crate::fault::{EvalError, Work};
use crate::plan::Plan;
use crate::source::Issues;
use crate::typing::Type;
use crate::value::Value;

/// An expression that is ready to be evaluated, as often as wanted and by several threads at once.
pub struct Program {
    pub(crate) plan: Plan,
    pub(crate) output: Type,
    /// The names of the environment's variables.
    pub(crate) names: Arc<[Arc<str>]>,
    /// Which of them the expression uses.
    pub(crate) uses: Box<[bool]>,
    pub(crate) cost: CostRange,
}

/// Why an expression could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is not well-formed or not well-typed.
    #[error("compilation failed: {0}")]
    Issues(Issues),
    /// It holds a constant that cannot be computed.
    #[error("program instantiation failed: {0}")]
    Instantiation(String),
    /// It is of another type than those that were asked for.
    #[error("must evaluate to {expected} but got {found}")]
    Output {
        /// The type or types asked for, as they are shown.
        expected: String,
        /// The type of the expression.
        found: String,
    },
}

// === impl Program ===

impl Program {
    /// The type of the expression.
    pub fn output_type(&self) -> &Type {
        &self.output
    }

    /// What one evaluation may cost, as far as the declared types tell.
    pub fn estimated_cost(&self) -> CostRange {
        self.cost
    }

    /// Whether the expression uses a variable.
    pub fn uses(&self, name: &str) -> bool {
        self.names.iter().zip(&self.uses).any(|(known, uses)| *uses && &**known == name)
    }

    /// Evaluates the expression.
    pub fn evaluate<'a>(&'a self, bindings: &Bindings<'a>, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
        settle(self.run(bindings, None, budget.per_call(), &mut budget.work), budget)
    }

    /// Evaluates an expression that may use variables which are expressions themselves.
    ///
    /// What those cost is not taken from the budget, see [`Variables::take_cost`].
    pub fn evaluate_with<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        variables: &mut Variables<'a>,
        budget: &mut Budget,
    ) -> Result<Value<'a>, EvalError> {
        settle(self.run(bindings, Some(variables), budget.per_call(), &mut budget.work), budget)
    }

    pub(crate) fn run<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        variables: Option<&mut Variables<'a>>,
        limit: u64,
        work: &mut Work,
    ) -> Outcome<'a> {
        eval::run(&self.plan, &self.names, eval::Scope { bindings, variables }, limit, work)
    }
}

/// Takes the cost from the budget; what cost more than was left counts as not evaluated.
fn settle<'a>(outcome: Outcome<'a>, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    budget.spend(outcome.cost)?;
    outcome.result
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("output", &self.output).field("cost", &self.cost).finish_non_exhaustive()
    }
}

// === impl CompileError ===

impl CompileError {
    pub(crate) fn output(wanted: &[Type], found: &Type) -> Self {
        let expected = match wanted {
            [only] => only.to_string(),
            several => {
                let names: Vec<String> = several.iter().map(Type::to_string).collect();
                format!("one of [{}]", names.join(" "))
            }
        };
        Self::Output { expected, found: found.to_string() }
    }
}
