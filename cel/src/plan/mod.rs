//! A checked expression in the form in which it is evaluated: constants computed, names and functions resolved, charges
//! worked out.
//!
//! What is computed in advance, and so costs nothing, follows cel-go's optimisations, because costs depend on it.

mod build;
mod constant;

use std::sync::Arc;

use crate::cost::Charge;
use crate::library::{Function, Overload};
use crate::pattern::Pattern;
use crate::value::{Value, ValueMap};

pub(crate) use build::build;

/// The index of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepId(u32);

/// The steps of one expression.
pub(crate) struct Plan {
    steps: Vec<Step>,
    pub(crate) root: StepId,
    /// How many slots the variables of macros take.
    pub(crate) slots: usize,
}

/// One step.
pub(crate) enum Step {
    Constant(Value<'static>),
    /// A variable or the result of a step, and what is selected from it.
    Attribute(Attribute),
    And(StepId, StepId),
    Or(StepId, StepId),
    Equals(StepId, StepId),
    Differs(StepId, StepId),
    /// Whether a value is anything but `false`; what fails is.
    NotFalse(StepId),
    Call(Call),
    /// Whether a value is one of some constants.
    OneOf(StepId, ValueMap<'static>),
    /// An optional value or, if it is missing, another one.
    Otherwise(Otherwise),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct(Struct),
    Fold(Fold),
    Append(Append),
    Insert(Insert),
}

/// A variable or the result of a step, and what is selected from it.
pub(crate) struct Attribute {
    pub(crate) root: Root,
    pub(crate) qualifiers: Vec<Qualifier>,
    /// Whether the last qualifier only asks whether something is there.
    pub(crate) tests_presence: bool,
}

/// What an attribute begins with.
pub(crate) enum Root {
    /// A variable of the environment.
    Variable(usize),
    /// The variable whose fields are expressions themselves.
    Composition,
    /// A variable of a macro.
    Slot(usize),
    Step(StepId),
    /// One of two attributes.
    Choice(Box<Choice>),
}

pub(crate) struct Choice {
    pub(crate) condition: StepId,
    pub(crate) then: Attribute,
    pub(crate) otherwise: Attribute,
}

/// What selects something from a value.
pub(crate) struct Qualifier {
    pub(crate) key: QualifierKey,
    /// Whether what is selected may be missing.
    pub(crate) optional: bool,
}

pub(crate) enum QualifierKey {
    Constant(Value<'static>),
    Attribute(Box<Attribute>),
    Step(StepId),
}

/// A call of a function.
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<StepId>,
    /// The overloads that may fit the arguments, of which the first that does is called.
    pub(crate) overloads: Vec<&'static Overload>,
    pub(crate) charge: Charge,
    /// Whether arguments are evaluated only up to the first that fails.
    pub(crate) is_sequential: bool,
    /// The compiled regular expression, where it is a constant.
    pub(crate) pattern: Option<Pattern>,
}

/// `or` and `orValue`.
pub(crate) struct Otherwise {
    pub(crate) first: StepId,
    pub(crate) second: StepId,
    /// Whether the value itself is wanted, and not that it may be missing.
    pub(crate) unwraps: bool,
}

pub(crate) struct Element {
    pub(crate) value: StepId,
    pub(crate) optional: bool,
}

pub(crate) struct Entry {
    pub(crate) key: StepId,
    pub(crate) value: StepId,
    pub(crate) optional: bool,
}

/// A literal of an object.
pub(crate) struct Struct {
    pub(crate) name: Arc<str>,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) value: StepId,
    pub(crate) optional: bool,
}

/// A loop over a list or map.
pub(crate) struct Fold {
    pub(crate) range: StepId,
    /// The slot of the accumulator; those of the variables follow.
    pub(crate) slot: usize,
    pub(crate) has_two_variables: bool,
    pub(crate) init: StepId,
    pub(crate) condition: StepId,
    pub(crate) step: StepId,
    pub(crate) result: StepId,
}

/// Adds an element to the list that an accumulator holds.
pub(crate) struct Append {
    pub(crate) slot: usize,
    pub(crate) element: StepId,
    pub(crate) cost: u64,
}

/// Adds an entry, or the entries of a map, to the map that an accumulator holds.
pub(crate) struct Insert {
    pub(crate) slot: usize,
    pub(crate) key: Option<StepId>,
    pub(crate) value: StepId,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0 as usize]
    }
}
