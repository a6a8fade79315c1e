//! The quality of service of a pod, which follows from what its containers ask for.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::quantity::Quantity;
use serde_json::Value;

use crate::resources::read::{entries, is_set, list, quantity};

const COUNTED: [&str; 2] = ["cpu", "memory"];

type Sums<'a> = BTreeMap<&'a str, Quantity>;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(super) fn class(spec: &Value) -> &'static str {
    let mut requests = Sums::new();
    let mut limits = Sums::new();
    let mut all_limited = true;
    if is_set(&spec["resources"]) {
        add(&mut requests, &spec["resources"]["requests"]);
        let limited = add(&mut limits, &spec["resources"]["limits"]);
        all_limited = entries(&spec["resources"]["limits"]).next().is_none() || limited.len() == COUNTED.len();
    } else {
        for container in list(&spec["containers"]).iter().chain(list(&spec["initContainers"])) {
            add(&mut requests, &container["resources"]["requests"]);
            all_limited &= add(&mut limits, &container["resources"]["limits"]).len() == COUNTED.len();
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds amounts up; tells which were more than nothing.
fn add<'a>(sums: &mut Sums<'a>, amounts: &'a Value) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (name, amount) in entries(amounts) {
        let amount = quantity(amount);
        if COUNTED.contains(&name) && !amount.is_zero() && !amount.is_negative() {
            found.insert(name);
            let sum = sums.entry(name).or_insert(Quantity::ZERO);
            *sum = sum.plus(&amount);
        }
    }
    found
}
