//! CustomResourceDefinitions' schemas: reading an `openAPIV3Schema`, and deciding whether it is acceptable.
//!
//! CEL expressions are read but neither compiled nor weighed here.

mod accepted;
mod compile;
mod defaults;
mod field_path;
mod lists;
mod node;
mod rules;
mod shape;
#[cfg(test)]
mod tests;
mod validate;

pub use compile::compile;
pub use field_path::{FoundField, Notation, field_path};
pub use validate::{StatusPart, unrecognized_formats, validate};

/// How deep a schema may nest, counted in levels of JSON.
const MAX_DEPTH: usize = 256;
