//! Atoll: a multi-tenant control plane, as a library.
//!
//! With it a program becomes a Kubernetes-compliant API server, of all of Kubernetes' resources, some of them, or none
//! but its own; [`server::Builder`] says which. `docs/embedding.md` leads from here to each part that can be chosen.
//!
//! ```no_run
//! use atoll::server::Server;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = Server::builder().data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into()).build().await?;
//!     let running = server.start().await?;
//!     tokio::signal::ctrl_c().await?;
//!     running.stop().await;
//!     Ok(())
//! }
//! ```
//!
//! Features: `etcd` is the engine over etcd, and `program` the command line; both are on unless said otherwise. `test-server` adds `atoll::test`, a control plane in the process of a test; `test-util` adds the suites
//! that engines run. Neither of these is on by default.
//!
//! Floors, from the ground: pure functions over values (`schema`, `patch`, `codec`), storage, who may do what,
//! the registry, the resources, HTTP, the server. A module uses lower floors only; `tests/tidy.rs` holds the table.

pub mod admission;
pub mod authn;
pub mod authz;
#[cfg(feature = "program")]
pub mod cli;
pub mod codec;
pub mod flow;
pub mod http;
pub mod metrics;
pub mod outbound;
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
