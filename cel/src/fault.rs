//! What can go wrong when an expression is evaluated.

use std::borrow::Cow;

/// Why an evaluation yielded no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The expression failed; the text is that of Kubernetes, such as `no such key: a`.
    #[error("{0}")]
    Failed(Cow<'static, str>),
    /// The evaluation cost more than one evaluation may.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostLimit,
    /// The evaluation cost more than was left of the budget.
    #[error("out of budget")]
    OutOfBudget,
}

pub(crate) type Eval<T> = Result<T, EvalError>;

// === impl EvalError ===

impl EvalError {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed(message.into())
    }

    /// The values are of types that the operation does not know.
    pub(crate) fn no_overload() -> Self {
        Self::new("no such overload")
    }

    pub(crate) fn no_key(key: impl std::fmt::Display) -> Self {
        Self::new(format!("no such key: {key}"))
    }

    /// Whether evaluation must end, so that no operator may make up for the failure.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// What costs do not count: bounded by itself.
///
/// Costs are Kubernetes' and charge some operations less than they take, such as comparing large structures or making
/// long texts. What such an operation really takes is counted here, so that a hostile expression can neither keep a
/// processor busy nor fill the memory, however often it is evaluated with one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    steps: u64,
    memory: u64,
}

/// How many steps all evaluations with one budget may take; a step takes up to about 100 ns.
const MAX_STEPS: u64 = 10_000_000;
/// How many bytes of new values all evaluations with one budget may make by single operations.
const MAX_MEMORY: u64 = 64 << 20;

// === impl Work ===

impl Work {
    pub(crate) fn new() -> Self {
        Self { steps: MAX_STEPS, memory: MAX_MEMORY }
    }

    /// Takes steps, each of which is looking at one value.
    pub(crate) fn spend(&mut self, steps: usize) -> Eval<()> {
        self.steps = self.steps.checked_sub(steps as u64).ok_or(EvalError::CostLimit)?;
        Ok(())
    }

    /// Takes the steps of looking at so many bytes one by one.
    pub(crate) fn scan(&mut self, bytes: usize) -> Eval<()> {
        self.spend(bytes >> 6)
    }

    /// Makes so many bytes.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Eval<()> {
        self.spend(bytes >> 4)?;
        self.memory = self.memory.checked_sub(bytes as u64).ok_or(EvalError::CostLimit)?;
        Ok(())
    }

    /// Makes a list of so many values.
    pub(crate) fn allocate_list(&mut self, len: usize) -> Eval<()> {
        self.spend(len)?;
        self.allocate(len.saturating_mul(size_of::<crate::value::Value<'_>>()))
    }
}
