//! What expressions cost: an estimate before, and a count during evaluation.
//!
//! Both are Kubernetes', whose limits are in `limits`; rules are accepted or not depending on them.

mod charge;
mod estimate;
mod estimate_call;
mod range;

pub(crate) use charge::{Charge, differs_cost, equals_cost};
pub(crate) use estimate::{Sizes, estimate};
pub use range::CostRange;
use range::scaled;

/// Reading a variable, or selecting a field.
pub(crate) const IDENT_COST: u64 = 1;
/// Calling a function that does little.
pub(crate) const CALL_COST: u64 = 1;
pub(crate) const LIST_COST: u64 = 10;
pub(crate) const MAP_COST: u64 = 30;
pub(crate) const STRUCT_COST: u64 = 40;
/// Reading one character or byte.
const CHARACTER_COST: f64 = 0.1;
/// One character of a regular expression.
const PATTERN_COST: f64 = 0.25;
/// An authorization check; two fit into one evaluation.
const CHECK_COST: u64 = 350_000;
