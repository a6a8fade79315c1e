//! Checks of what containers and pods ask for: CPU, memory, devices.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::quantity::Quantity;
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value, json};

use super::spec::{Scope, is_mirror};
use crate::resources::checks::amounts::{
    amount_of, container_resource_name, greater, is_huge_page, may_be_overcommitted, resource_name,
};
use crate::resources::checks::{forbidden, invalid, label, one_of, required, subdomain};
use crate::resources::read::{entries, is_set, list, quantity, text};

/// Checks what one container asks for. `claims` are the names of the pod's claims to devices.
pub(in crate::resources) fn container_requirements(
    errors: &mut FieldErrors,
    requirements: &Value,
    claims: &BTreeSet<&str>,
    path: &FieldPath,
) {
    validate(errors, requirements, path, container_resource_name);
    validate_claims(errors, &requirements["claims"], claims, &path.child("claims"));
}

fn validate(
    errors: &mut FieldErrors,
    requirements: &Value,
    path: &FieldPath,
    name_check: fn(&mut FieldErrors, &FieldPath, &str),
) {
    let limits = &requirements["limits"];
    let (mut huge, mut computing) = (false, false);
    for part in ["limits", "requests"] {
        for (name, value) in entries(&requirements[part]) {
            let at = path.child(part).key(name);
            name_check(errors, &at, name);
            amount_of(errors, &at, name, value);
            let amount = quantity(value);
            if part == "requests" {
                compare_with_limit(errors, name, &amount, &limits[name], path);
            }
            if is_huge_page(name) {
                huge = true;
                if !is_divisible(name, &amount) {
                    let detail = format!("{amount} is not positive integer multiple of {name}");
                    invalid(errors, &at, &amount.to_string().into(), detail);
                }
            }
            computing |= matches!(name, "cpu" | "memory");
        }
    }
    if huge && !computing {
        forbidden(errors, path, "HugePages require cpu or memory");
    }
}

fn compare_with_limit(errors: &mut FieldErrors, name: &str, amount: &Quantity, limit: &Value, path: &FieldPath) {
    if !is_set(limit) {
        if !may_be_overcommitted(name) {
            required(errors, &path.child("limits"), "Limit must be set for non overcommitable resources");
        }
        return;
    }
    let limit = quantity(limit);
    let detail = if *amount != limit && !may_be_overcommitted(name) {
        format!("must be equal to {name} limit of {limit}")
    } else if greater(amount, &limit) {
        format!("must be less than or equal to {name} limit of {limit}")
    } else {
        return;
    };
    invalid(errors, &path.child("requests"), &amount.to_string().into(), detail);
}

fn is_divisible(name: &str, amount: &Quantity) -> bool {
    let page = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok());
    match page.and_then(|page| page.as_integer()) {
        Some(page) if page > 0 => amount.units() % page == 0,
        _ => false,
    }
}

fn validate_claims(errors: &mut FieldErrors, claims: &Value, known: &BTreeSet<&str>, path: &FieldPath) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (index, claim) in list(claims).iter().enumerate() {
        let path = path.index(index);
        let (name, request) = (text(&claim["name"]), text(&claim["request"]));
        if name.is_empty() {
            required(errors, &path, "");
            continue;
        }
        if seen.contains(name) {
            errors.push(FieldError::duplicate(&path, &name.into()));
        } else {
            let mut key = name.to_owned();
            if !request.is_empty() {
                label(errors, &path.child("request"), request);
                key = format!("{name}/{request}");
            }
            if seen.contains(&key) {
                errors.push(FieldError::duplicate(&path, &key.as_str().into()));
            } else if request.is_empty() {
                let prefix = format!("{name}/");
                let within = seen.iter().filter(|other| other.starts_with(&prefix)).count();
                errors.extend((0..within).map(|_| FieldError::duplicate(&path, &name.into())));
            }
            seen.insert(key);
        }
        if !known.contains(name) {
            let mut fault = FieldError::not_found(&path, &name.into());
            let names = known.iter().copied().collect::<Vec<_>>().join(", ");
            let which = if known.is_empty() { " which is empty".to_owned() } else { format!(": {names}") };
            fault.detail = format!("must be one of the names in pod.spec.resourceClaims{which}");
            errors.push(fault);
        }
    }
}

/// Checks the claims to devices of a pod.
pub(super) fn resource_claims(
    errors: &mut FieldErrors,
    claims: &Value,
    metadata: Option<&Map<String, Value>>,
    path: &FieldPath,
) {
    let mut names = BTreeSet::new();
    for (index, claim) in list(claims).iter().enumerate() {
        if is_mirror(metadata) {
            forbidden(errors, &FieldPath::root(), "static pods do not support resource claims");
            continue;
        }
        let path = path.index(index);
        match text(&claim["name"]) {
            "" => required(errors, &path.child("name"), ""),
            name if !names.insert(name) => errors.push(FieldError::duplicate(&path.child("name"), &name.into())),
            name => label(errors, &path.child("name"), name),
        }
        let (one, other) = (&claim["resourceClaimName"], &claim["resourceClaimTemplateName"]);
        let shown = json!({
            "Name": claim["name"], "ResourceClaimName": one, "ResourceClaimTemplateName": other,
        });
        match (is_set(one), is_set(other)) {
            (true, true) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                invalid(errors, &path, &shown, detail);
            }
            (false, false) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                invalid(errors, &path, &shown, detail);
            }
            _ => {}
        }
        for (field, value) in [("resourceClaimName", one), ("resourceClaimTemplateName", other)] {
            if let Some(name) = value.as_str() {
                subdomain(errors, &path.child(field), name);
            }
        }
    }
}

const OF_PODS: &[&str] = &["cpu", "memory"];

/// Checks what a pod asks for as a whole, and that it is enough for its containers.
pub(super) fn pod_requirements(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, scope: &Scope<'_>) {
    let requirements = &spec["resources"];
    if !is_set(requirements) {
        return;
    }
    let path = path.child("resources");
    if scope.os == "windows" {
        return forbidden(errors, &path, "may not be set for a windows pod");
    }
    if is_set(&requirements["claims"]) {
        forbidden(errors, &path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    validate(errors, requirements, &path, pod_resource_name);
    validate_claims(errors, &requirements["claims"], &scope.claims, &path.child("claims"));
    let asked = sum_of(spec, "requests");
    for (name, sum) in &asked {
        let of_pod = &requirements["requests"][name.as_str()];
        if is_set(of_pod) && greater(sum, &quantity(of_pod)) {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            invalid(errors, &path.child("requests").key(name), &quantity(of_pod).to_string().into(), detail);
        }
    }
    for (index, container) in list(&spec["containers"]).iter().enumerate() {
        for (name, limit) in entries(&container["resources"]["limits"]) {
            let of_pod = &requirements["limits"][name];
            if is_set(of_pod) && greater(&quantity(limit), &quantity(of_pod)) {
                let path = path.child("containers").index(index).key(name).child("limits");
                let detail = format!("must be less than or equal to pod limits of {}", quantity(of_pod));
                invalid(errors, &path, &quantity(limit).to_string().into(), detail);
            }
        }
    }
}

fn pod_resource_name(errors: &mut FieldErrors, path: &FieldPath, name: &str) {
    let before = errors.len();
    resource_name(errors, path, name);
    if errors.len() == before && !is_huge_page(name) {
        one_of(errors, path, name, OF_PODS);
    }
}

/// What the containers of a pod need together, of their `requests` or `limits`: those that run at a time, or the greatest of those that run first.
pub(super) fn sum_of(spec: &Value, part: &str) -> BTreeMap<String, Quantity> {
    let mut sums: BTreeMap<String, Quantity> = BTreeMap::new();
    let requests = |container: &Value| -> Vec<(String, Quantity)> {
        entries(&container["resources"][part]).map(|(name, value)| (name.to_owned(), quantity(value))).collect()
    };
    let restarts = |container: &&Value| container["restartPolicy"] == "Always";
    let init = list(&spec["initContainers"]);
    for container in list(&spec["containers"]).iter().chain(init.iter().filter(restarts)) {
        for (name, amount) in requests(container) {
            let sum = sums.entry(name).or_insert(Quantity::ZERO);
            *sum = sum.plus(&amount);
        }
    }
    let mut sidecars: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in init {
        for (name, amount) in requests(container) {
            let before = sidecars.get(&name).cloned().unwrap_or(Quantity::ZERO);
            let needed = before.plus(&amount);
            if restarts(&container) {
                sidecars.insert(name.clone(), needed.clone());
            }
            let sum = sums.entry(name).or_insert(Quantity::ZERO);
            if greater(&needed, sum) {
                *sum = needed;
            }
        }
    }
    sums
}
