//! Atoll: a multi-tenant control plane, as a library.
//!
//! Floors, from the ground: pure functions over values (`schema`, `patch`, `codec`), storage, who may do what,
//! the registry, the resources, HTTP, the server. A module uses lower floors only; `tests/tidy.rs` holds the table.

pub mod admission;
pub mod authn;
pub mod authz;
pub mod cli;
pub mod codec;
pub mod http;
pub mod metrics;
pub mod patch;
pub mod registry;
pub mod request;
pub mod resources;
pub mod schema;
pub mod server;
pub mod storage;
pub mod tenancy;
#[cfg(any(test, feature = "test-server"))]
pub mod test;
