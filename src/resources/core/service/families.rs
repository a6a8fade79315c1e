//! Checks of a service's addresses and their families. There are IPv4 addresses only.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use crate::resources::checks::network::{legacy_ip, parse_ip_sloppily};
use crate::resources::checks::{invalid, one_of, path, required};
use crate::resources::read::{size, strings, text};

/// Whether a service has no address of its own.
pub(super) fn is_headless(spec: &Value) -> bool {
    spec["clusterIPs"] == json!(["None"])
}

/// What contradicts itself in what a service says of its addresses.
pub(super) fn contradictions(spec: &Value, old: Option<&Value>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if spec["type"] != "ExternalName" {
        let kept = old.map(|old| strings(&old["clusterIPs"])).unwrap_or_default();
        cluster_ips(spec, &kept, &path("spec"), &mut errors);
    }
    errors
}

/// Why no addresses can be given to a service.
pub(super) fn faults(spec: &Value, old: Option<&Value>) -> FieldErrors {
    let mut errors = contradictions(spec, old);
    if spec["type"] == "ExternalName" {
        return errors;
    }
    let at = path("spec");
    if errors.is_empty() {
        policy(spec, old, &at, &mut errors);
    }
    if errors.is_empty() && !(is_headless(spec) && size(&spec["selector"]) == 0) {
        unavailable(spec, &at, &mut errors);
    }
    errors
}

fn policy(spec: &Value, old: Option<&Value>, path: &FieldPath, errors: &mut FieldErrors) {
    let shown = &spec["ipFamilyPolicy"];
    let mut wrong = |detail: &str| invalid(errors, &path.child("ipFamilyPolicy"), shown, detail);
    let count = |spec: &Value, field: &str| strings(&spec[field]).len();
    if shown == "SingleStack" {
        const BOTH: &str = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
        if count(spec, "clusterIPs") == 2 {
            wrong(&format!("{BOTH} cluster IPs are specified"));
        }
        if count(spec, "ipFamilies") == 2 {
            wrong(&format!("{BOTH} IP families are specified"));
        }
    } else if let Some(old) = old {
        for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
            if count(old, field) == 2 && count(spec, field) == 1 {
                wrong(&format!("must be 'SingleStack' to release the secondary {what}"));
            }
        }
    }
}

/// What this cluster does not have.
fn unavailable(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    for (index, ip) in strings(&spec["clusterIPs"]).into_iter().enumerate() {
        if parse_ip_sloppily(ip).is_some_and(|ip| ip.is_ipv6()) {
            let at = path.child("clusterIPs").index(index);
            invalid(errors, &at, &spec["clusterIPs"], "IPv6 is not configured on this cluster");
        }
    }
    if !errors.is_empty() {
        return;
    }
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        invalid(errors, &path.child("ipFamilyPolicy"), &spec["ipFamilyPolicy"], detail);
    }
    for (index, family) in strings(&spec["ipFamilies"]).into_iter().enumerate().filter(|(_, family)| *family == "IPv6")
    {
        let at = path.child("ipFamilies").index(index);
        invalid(errors, &at, &family.into(), "not configured on this cluster");
    }
}

fn cluster_ips(spec: &Value, kept: &[&str], path: &FieldPath, errors: &mut FieldErrors) {
    const POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];
    let (at, shown) = (path.child("clusterIPs"), &spec["clusterIPs"]);
    let (ip, ips) = (text(&spec["clusterIP"]), strings(shown));
    match (ip, ips.first()) {
        ("", None) => {}
        ("", Some(_)) => invalid(errors, &at, shown, "must be empty when `clusterIP` is not specified"),
        (_, None) => required(errors, &at, ""),
        (ip, Some(first)) if ip != *first => invalid(errors, &at, shown, "first value must match `clusterIP`"),
        _ => {}
    }
    let families = strings(&spec["ipFamilies"]);
    let mut seen = BTreeSet::new();
    for (index, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies").index(index);
        one_of(errors, &path, family, &["IPv4", "IPv6"]);
        if !seen.insert(*family) {
            errors.push(FieldError::duplicate(&path, &(*family).into()));
        }
    }
    if let Some(policy) = spec["ipFamilyPolicy"].as_str() {
        one_of(errors, &path.child("ipFamilyPolicy"), policy, POLICIES);
    }
    let before = errors.len();
    for (index, ip) in ips.iter().enumerate() {
        if index == 0 && *ip == "None" {
            if ips.len() > 1 {
                invalid(errors, &at, shown, "'None' must be the first and only value");
            }
        } else if !kept.contains(ip) {
            legacy_ip(errors, &at.index(index), ip);
        }
    }
    if ips.len() > 2 {
        invalid(errors, &at, shown, "may only hold up to 2 values");
    }
    if errors.len() > before {
        return;
    }
    let is_v4: Vec<bool> = ips.iter().filter_map(|ip| parse_ip_sloppily(ip)).map(|ip| ip.is_ipv4()).collect();
    if is_v4.len() > 1 && is_v4[0] == is_v4[1] {
        invalid(errors, &at, shown, "may specify no more than one IP for each IP family");
    }
    for (index, (is_v4, family)) in is_v4.iter().zip(&families).enumerate() {
        if *is_v4 != (*family == "IPv4") && ["IPv4", "IPv6"].contains(family) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            invalid(errors, &at.index(index), &ips[index].into(), detail);
        }
    }
}

/// What may not change about the addresses and families of a service that has and keeps addresses.
pub(super) fn changes(spec: &Value, old: &Value, errors: &mut FieldErrors) {
    cluster_ip_changes(spec, old, errors);
    family_changes(spec, old, errors);
}

/// The first address stays; a second one may come or go.
fn cluster_ip_changes(spec: &Value, old: &Value, errors: &mut FieldErrors) {
    const WHY: &str = "may not change once set";
    if is_headless(spec) && is_headless(old) {
        return;
    }
    let (at, shown) = (path("spec.clusterIPs"), &spec["clusterIPs"]);
    let (now, was) = (strings(shown), strings(&old["clusterIPs"]));
    if now.len() == was.len() {
        for (index, _) in now.iter().zip(&was).enumerate().filter(|(_, (now, was))| now != was) {
            invalid(errors, &at.index(index), shown, WHY);
        }
        return;
    }
    if now.is_empty() {
        return invalid(errors, &at.index(0), shown, "primary clusterIP can not be unset");
    }
    if was.first().is_some_and(|was| *was != now[0]) {
        invalid(errors, &at.index(0), shown, WHY);
    }
    if now.len() == 1 && was.len() > 1 && spec["ipFamilyPolicy"] != "SingleStack" {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        invalid(errors, &path("spec.ipFamilyPolicy"), &spec["ipFamilyPolicy"], detail);
    }
}

fn family_changes(spec: &Value, old: &Value, errors: &mut FieldErrors) {
    if is_headless(spec) || is_headless(old) {
        return;
    }
    let (at, shown) = (path("spec.ipFamilies"), &spec["ipFamilies"]);
    let (now, was) = (strings(shown), strings(&old["ipFamilies"]));
    let changed = if now.len() == was.len() { now != was } else { !now.is_empty() && now.first() != was.first() };
    if changed {
        invalid(errors, &at.index(0), shown, "may not change once set");
    }
    if now.len() == 1 && was.len() > 1 && spec["ipFamilyPolicy"] != "SingleStack" {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        invalid(errors, &path("spec.ipFamilyPolicy"), &spec["ipFamilyPolicy"], detail);
    }
}
