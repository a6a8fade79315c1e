//! Label and field selectors: reading their text, matching, and printing them in one canonical form.
//!
//! Which fields a kind lets be selected is known by the caller.

mod field;
mod label;
mod text;

pub use field::{FieldOperator, FieldRequirement, FieldSelector, FieldWording};
pub use label::{LabelOperator, LabelRequirement, LabelSelector};

/// Why a text is not a selector, in Kubernetes' words; clients get it as the message of a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

#[cfg(test)]
mod tests;
