//! Whether what is asked for lies within limits. What an object asked for already before a change may stay.

use std::collections::HashMap;

use atoll_api::Object;
use atoll_api::quantity::Quantity;
use serde_json::Value;

use super::limits::{Kind, Limit, Limits};
use crate::admission::amounts::Amounts;
use crate::admission::pods::{Description, of_pod};
use crate::admission::read::{list, text};

/// What something asks for.
#[derive(Debug, Clone, Default)]
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

impl Asked {
    fn by_container(container: &Value) -> Self {
        let resources = &container["resources"];
        Self { requests: Amounts::read(&resources["requests"]), limits: Amounts::read(&resources["limits"]) }
    }

    fn by_pod(pod: Description<'_>) -> Self {
        Self { requests: pod.amounts("requests"), limits: pod.amounts("limits") }
    }

    fn is_as_before(&self, before: Option<&Self>, name: &str) -> bool {
        before.is_some_and(|before| {
            self.requests.get(name) == before.requests.get(name) && self.limits.get(name) == before.limits.get(name)
        })
    }
}

/// The faults of a pod.
pub(super) fn pod(limits: &Limits, new: &Object, old: Option<&Object>) -> Vec<String> {
    let pod = of_pod(new);
    let before = old.map(of_pod);
    let mut faults = Vec::new();
    for limit in &limits.limits {
        match limit.kind {
            Kind::Container => {
                for field in ["containers", "initContainers"] {
                    let old: HashMap<&str, Asked> = before
                        .map(|before| list(before.spec, field))
                        .unwrap_or_default()
                        .iter()
                        .map(|container| (text(container, "name"), Asked::by_container(container)))
                        .collect();
                    for container in list(pod.spec, field) {
                        let before = old.get(text(container, "name"));
                        check(limit, &Asked::by_container(container), before, &mut faults);
                    }
                }
            }
            Kind::Pod => {
                let before = before.map(Asked::by_pod);
                check(limit, &Asked::by_pod(pod), before.as_ref(), &mut faults);
            }
            Kind::Claim => {}
        }
    }
    faults
}

/// The faults of a claim. What it has limited itself to does not count.
pub(super) fn claim(limits: &Limits, new: &Object, old: Option<&Object>) -> Vec<String> {
    let requests = |claim: &Object| claim.at(&["spec", "resources", "requests"]).map(Amounts::read).unwrap_or_default();
    let (now, before) = (requests(new), old.map(requests).unwrap_or_default());
    let mut faults = Vec::new();
    for limit in limits.limits.iter().filter(|limit| limit.kind == Kind::Claim) {
        let is_new = |name: &str| now.get(name).is_none() || now.get(name) != before.get(name);
        let what = limit.kind.shown();
        for (name, least) in limit.min.iter().filter(|(name, _)| is_new(name)) {
            faults.extend(below(what, name, least, now.get(name), None));
        }
        for (name, most) in limit.max.iter().filter(|(name, _)| is_new(name)) {
            let fault = match now.get(name) {
                None => Some(format!("maximum {name} usage per {what} is {most}.  No request is specified")),
                Some(asked) if asked > most => {
                    Some(format!("maximum {name} usage per {what} is {most}, but request is {asked}"))
                }
                Some(_) => None,
            };
            faults.extend(fault);
        }
    }
    faults
}

fn check(limit: &Limit, asked: &Asked, before: Option<&Asked>, faults: &mut Vec<String>) {
    let what = limit.kind.shown();
    let is_new = |name: &str| !asked.is_as_before(before, name);
    let of = |name: &str| (asked.requests.get(name), asked.limits.get(name));
    for (name, least) in limit.min.iter().filter(|(name, _)| is_new(name)) {
        let (request, limit) = of(name);
        faults.extend(below(what, name, least, request, limit));
    }
    for (name, most) in limit.max.iter().filter(|(name, _)| is_new(name)) {
        let (request, limit) = of(name);
        faults.extend(above(what, name, most, request, limit));
    }
    for (name, most) in limit.max_ratio.iter().filter(|(name, _)| is_new(name)) {
        let (request, limit) = of(name);
        faults.extend(too_far_apart(what, name, most, request, limit));
    }
}

fn below(
    what: &str,
    name: &str,
    least: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let bound = format!("minimum {name} usage per {what} is {least}");
    match (request, limit) {
        (None, _) => Some(format!("{bound}.  No request is specified")),
        (Some(request), _) if request < least => Some(format!("{bound}, but request is {request}")),
        (_, Some(limit)) if limit < least => Some(format!("{bound}, but limit is {limit}")),
        _ => None,
    }
}

fn above(
    what: &str,
    name: &str,
    most: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let bound = format!("maximum {name} usage per {what} is {most}");
    match (request, limit) {
        (_, None) => Some(format!("{bound}.  No limit is specified")),
        (_, Some(limit)) if limit > most => Some(format!("{bound}, but limit is {limit}")),
        (Some(request), _) if request > most => Some(format!("{bound}, but request is {request}")),
        _ => None,
    }
}

fn too_far_apart(
    what: &str,
    name: &str,
    most: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let bound = format!("{name} max limit to request ratio per {what} is {most}");
    let Some(request) = request.filter(|request| !request.is_zero()) else {
        return Some(format!("{bound}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return Some(format!("{bound}, but no limit is specified or limit is 0"));
    };
    let thousandths = |quantity: &Quantity| i128::from(quantity.milli()).abs();
    let is_beyond = thousandths(limit) * 1000 > thousandths(request) * thousandths(most);
    let ratio = (limit.as_f64() / request.as_f64()).abs();
    is_beyond.then(|| format!("{bound}, but provided ratio is {ratio:.6}"))
}
