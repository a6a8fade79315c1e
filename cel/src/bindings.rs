//! What the variables of an evaluation stand for, and how much it may cost.

use crate::fault::{EvalError, Work};
use crate::limits::PER_CALL_LIMIT;
use crate::program::Program;
use crate::value::Value;

/// The values of variables.
#[derive(Debug, Clone, Default)]
pub struct Bindings<'a> {
    values: Vec<(&'a str, Result<Value<'a>, EvalError>)>,
}

/// What evaluations may still cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    remaining: u64,
    per_call: u64,
    pub(crate) work: Work,
}

/// The fields of the variable `variables`: expressions that are evaluated when they are first used.
///
/// They are evaluated with the same bindings as the expression that uses them, and may use each other.
#[derive(Debug, Default)]
pub struct Variables<'a> {
    entries: Vec<Entry<'a>>,
    cost: u64,
}

#[derive(Debug)]
struct Entry<'a> {
    name: &'a str,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    Unread(&'a Program),
    Failed(String),
    Known(Result<Value<'a>, EvalError>),
}

// === impl Bindings ===

impl<'a> Bindings<'a> {
    /// No variables yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same bindings with one more variable.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Value<'a>) -> Self {
        self.set(name, value);
        self
    }

    /// Binds a variable, in place of what it stood for before.
    pub fn set(&mut self, name: &'a str, value: Value<'a>) {
        self.set_result(name, Ok(value));
    }

    /// Binds a variable to a value that perhaps could not be read: then expressions fail where they use it.
    pub fn set_result(&mut self, name: &'a str, value: Result<Value<'a>, EvalError>) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name, value)),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Result<Value<'a>, EvalError>> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

// === impl Budget ===

impl Budget {
    /// A budget for all evaluations together; each of them may cost no more than Kubernetes allows for one.
    pub fn new(total: u64) -> Self {
        Self { remaining: total, per_call: PER_CALL_LIMIT, work: Work::new() }
    }

    /// A budget that allows each evaluation as much as `limit`.
    #[must_use]
    pub fn with_limit_per_call(self, limit: u64) -> Self {
        Self { per_call: limit, ..self }
    }

    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// A budget of at most `limit` out of this one. What is spent of it is to be told to [`Budget::take`].
    #[must_use]
    pub fn part(&self, limit: u64) -> Self {
        Self { remaining: self.remaining.min(limit), ..*self }
    }

    /// Takes away what was spent of a part of this budget, of which so much was left `before`.
    pub fn take(&mut self, part: &Self, before: u64) {
        self.remaining = self.remaining.saturating_sub(before.saturating_sub(part.remaining));
        self.work = part.work;
    }

    pub(crate) fn per_call(&self) -> u64 {
        self.per_call
    }

    /// Takes away what something cost; an error if there was less.
    pub fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        match self.remaining.checked_sub(cost) {
            Some(left) => {
                self.remaining = left;
                Ok(())
            }
            None => {
                self.remaining = 0;
                Err(EvalError::OutOfBudget)
            }
        }
    }
}

// === impl Variables ===

impl<'a> Variables<'a> {
    /// No variables yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable.
    pub fn add(&mut self, name: &'a str, program: &'a Program) {
        self.entries.push(Entry { name, state: State::Unread(program) });
    }

    /// Adds a variable whose expression is faulty.
    pub fn add_faulty(&mut self, name: &'a str, fault: &str) {
        let message = format!("composited variable \"{name}\" fails to compile: {fault}");
        self.entries.push(Entry { name, state: State::Failed(message) });
    }

    /// What the variables cost since this was last asked.
    pub fn take_cost(&mut self) -> u64 {
        std::mem::take(&mut self.cost)
    }

    /// The value of a variable, if there is one of that name.
    pub(crate) fn get(
        &mut self,
        name: &str,
        bindings: &Bindings<'a>,
        work: &mut Work,
    ) -> Result<Option<Value<'a>>, EvalError> {
        // The last one declared under a name is meant.
        let Some(index) = self.entries.iter().rposition(|entry| entry.name == name) else { return Ok(None) };
        let result = match &self.entries[index].state {
            State::Known(result) => return result.clone().map(Some),
            State::Failed(message) => Err(EvalError::new(message.clone())),
            State::Unread(program) => {
                let program = *program;
                let cyclic = EvalError::new(format!("composited variable \"{name}\" refers to itself"));
                self.entries[index].state = State::Known(Err(cyclic));
                let outcome = program.run(bindings, Some(&mut *self), PER_CALL_LIMIT, work);
                self.cost = self.cost.saturating_add(outcome.cost);
                outcome.result.map_err(|error| {
                    EvalError::new(format!("composited variable \"{name}\" fails to evaluate: {error}"))
                })
            }
        };
        self.entries[index].state = State::Known(result.clone());
        result.map(Some)
    }
}
