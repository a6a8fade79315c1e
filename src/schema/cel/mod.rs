//! Rules of schemas (`x-kubernetes-validations`): what data looks like to them, whether a definition may have them, and
//! what they say of an object.
//!
//! The language itself is the crate `atoll_cel`; the shape of rules, as far as no expression has to be understood, is
//! checked with the schema that holds them.

mod check;
mod compile;
mod declared;
mod definition;
#[cfg(test)]
mod tests;
mod wording;

pub use check::{Outcome, RULES_BUDGET};
pub use compile::Rules;
pub use declared::{Level, declared, declared_throughout};
pub use definition::check_definition;
