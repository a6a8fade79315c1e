//! The bounds within which Kubernetes keeps expressions.

/// What one evaluation of one expression may cost.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// What all rules of one object, or all expressions of one policy binding, may cost together.
pub const RUNTIME_BUDGET: u64 = 10_000_000;
/// What all match conditions of one webhook or policy may cost together.
pub const MATCH_CONDITIONS_BUDGET: u64 = 2_500_000;
/// What one rule may be estimated to cost, as often as it may apply in one object.
pub const ESTIMATED_COST_LIMIT: u64 = 10_000_000;
/// What all rules of one schema may be estimated to cost together.
pub const ESTIMATED_TOTAL_COST_LIMIT: u64 = 100_000_000;
/// The size of the largest request; bounds how long values without a declared bound are assumed to be.
pub const MAX_REQUEST_BYTES: u64 = 3 * 1024 * 1024;
/// How long the text made by a message expression may be.
pub const MAX_MESSAGE_BYTES: usize = 5 * 1024;
