//! What somebody may do, as an answer: the access reviews and the rules review.
//!
//! Whether the client may ask comes before this; reviews have been decoded by their schemas. A review speaks of the
//! cluster it is sent to and of no other.

mod access;
mod rules;
mod validation;

pub use access::{local_subject_access_review, self_subject_access_review, subject_access_review};
pub use rules::self_subject_rules_review;

#[cfg(test)]
mod tests;
