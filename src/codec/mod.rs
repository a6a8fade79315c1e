//! The encodings of requests and answers: JSON, YAML and protobuf, what a client may ask for, and tables and bare metadata.
//!
//! Pure functions over bytes and JSON values: nothing here reads a stream, knows the clock or a tenant. CBOR is not served:
//! kube-apiserver 1.36 has it behind a feature gate that is off by default.

pub mod answer;
pub mod body;
pub mod json;
pub mod negotiate;
#[cfg(test)]
mod noise;
pub mod partial;
pub mod protobuf;
mod strict;
pub mod table;
pub mod without;
pub mod yaml;

pub use strict::{StrictFault, strict_error, strict_warnings};
