//! The kinds of `resource.k8s.io`.

use serde_json::{Map, Value};

use super::defaults::set;
use super::read::{entry, int};

mod allocations;
mod capacities;
pub(super) mod deviceclass;
mod devices;
mod lists;
mod names;
mod requests;
pub(super) mod resourceclaim;
pub(super) mod resourceclaimtemplate;
pub(super) mod resourceslice;
mod selectors;
mod shown;

/// A request is for exactly one device if it does not say.
fn request_defaults(request: &mut Map<String, Value>) {
    set(request, "allocationMode", "ExactCount");
    if entry(request, "allocationMode") == "ExactCount" && int(entry(request, "count")) == 0 {
        request.insert("count".into(), 1.into());
    }
}
