//! The examples, compiled into this binary and run by the tests that they come with.

#![allow(dead_code, reason = "each example has a `main` of its own")]

#[path = "../../examples/aggregated.rs"]
mod aggregated;
#[path = "../../examples/backed.rs"]
mod backed;
#[path = "../../examples/crds.rs"]
mod crds;
#[path = "../../examples/everything.rs"]
mod everything;
#[path = "../../examples/exec.rs"]
mod exec;
#[path = "../../examples/inline_admission.rs"]
mod inline_admission;
#[path = "../../examples/limits.rs"]
mod limits;
#[path = "../../examples/middleware.rs"]
mod middleware;
#[path = "../../examples/own_auth.rs"]
mod own_auth;
#[path = "../../examples/own_storage.rs"]
mod own_storage;
#[path = "../../examples/own_types.rs"]
mod own_types;
#[path = "../../examples/playground.rs"]
mod playground;
#[path = "../../examples/pod_logs.rs"]
mod pod_logs;
#[path = "../../examples/view.rs"]
mod view;
