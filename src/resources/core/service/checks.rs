//! Checks of services.

use std::collections::BTreeSet;

use atoll_api::validation::validate_labels;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::{Map, Value, json};

use super::addresses::needs_health_check;
use super::is_externally_accessible;
use crate::resources::checks::network::{
    PROTOCOLS, endpoint_ip, legacy_cidr, legacy_ip, parse_ip_sloppily, port, port_number_or_name,
};
use crate::resources::checks::{
    forbidden, invalid, label, one_of, path, qualified, required, required_one_of, subdomain,
};
use crate::resources::read::{field, int, is_set, list, strings, text};

/// Where the ranges that may use a load balancer were, before there was a field for them.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const MAX_AFFINITY_SECONDS: i64 = 86_400;

pub(super) fn validate(service: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let spec = field(service, "spec");
    topology_annotations(service, errors);
    let at = path("spec");
    let kind = text(&spec["type"]);
    let headless = is_headless(spec);
    if list(&spec["ports"]).is_empty() && !headless && kind != "ExternalName" {
        required(errors, &at.child("ports"), "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            invalid(errors, &at.child("clusterIPs").index(0), &spec["clusterIPs"][0], detail);
        }
        "ExternalName" => external_name(spec, &at, errors),
        _ => {}
    }
    ports(spec, &at.child("ports"), errors);
    if let Some(selector) = spec["selector"].as_object() {
        validate_labels(selector, &at.child("selector"), errors);
    }
    affinity(spec, &at, errors);
    if kind != "ExternalName" {
        cluster_ips(spec, &at, errors);
    }
    let kept = old.map(|old| strings(&field(old, "spec")["externalIPs"])).unwrap_or_default();
    for (index, ip) in strings(&spec["externalIPs"]).into_iter().enumerate().filter(|(_, ip)| !kept.contains(ip)) {
        let path = at.child("externalIPs").index(index);
        let before = errors.len();
        legacy_ip(errors, &path, ip);
        if errors.len() == before {
            endpoint_ip(errors, &path, ip);
        }
    }
    required_one_of(errors, &at.child("type"), kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    port_conflicts(spec, kind, &at.child("ports"), errors);
    source_ranges(service, kind, errors);
    load_balancer_fields(spec, kind, &at, errors);
    traffic(spec, &at, errors);
}

fn is_headless(spec: &Value) -> bool {
    spec["clusterIPs"] == json!(["None"])
}

fn topology_annotations(service: &Object, errors: &mut FieldErrors) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    if let (Some(hints), Some(mode)) = (service.annotation(HINTS), service.annotation(MODE))
        && hints != mode
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        invalid(errors, &path("metadata.annotations").key(MODE), &mode.into(), detail);
    }
}

fn external_name(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if is_set(&spec[field]) {
            forbidden(errors, &path.child(field), "may not be set for ExternalName services");
        }
    }
    let name = text(&spec["externalName"]);
    match name.strip_suffix('.').unwrap_or(name) {
        "" => required(errors, &path.child("externalName"), ""),
        name => subdomain(errors, &path.child("externalName"), name),
    }
}

fn ports(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let ports = list(&spec["ports"]);
    let mut names = BTreeSet::new();
    for (index, value) in ports.iter().enumerate() {
        let path = path.index(index);
        match text(&value["name"]) {
            "" if ports.len() > 1 => required(errors, &path.child("name"), ""),
            "" => {}
            name => {
                label(errors, &path.child("name"), name);
                if !names.insert(name) {
                    errors.push(FieldError::duplicate(&path.child("name"), &name.into()));
                }
            }
        }
        port(errors, &path.child("port"), int(&value["port"]));
        required_one_of(errors, &path.child("protocol"), text(&value["protocol"]), PROTOCOLS);
        port_number_or_name(errors, &path.child("targetPort"), &value["targetPort"]);
        if let Some(protocol) = value["appProtocol"].as_str() {
            qualified(errors, &path.child("appProtocol"), protocol);
        }
    }
}

fn affinity(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let kind = text(&spec["sessionAffinity"]);
    required_one_of(errors, &path.child("sessionAffinity"), kind, &["ClientIP", "None"]);
    let at = path.child("sessionAffinityConfig");
    let config = &spec["sessionAffinityConfig"];
    if kind == "None" && is_set(config) {
        forbidden(errors, &at, "must not be set when session affinity is None");
    }
    if kind == "ClientIP" {
        let seconds = &config["clientIP"]["timeoutSeconds"];
        let path = at.child("clientIP").child("timeoutSeconds");
        match seconds.as_i64() {
            None => required(errors, &path, "when session affinity type is ClientIP"),
            Some(number) if number <= 0 || number > MAX_AFFINITY_SECONDS => {
                let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
                invalid(errors, &path, seconds, detail);
            }
            Some(_) => {}
        }
    }
}

fn cluster_ips(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
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
        } else {
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

fn port_conflicts(spec: &Value, kind: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let ports = list(&spec["ports"]);
    if kind == "ClusterIP" {
        for (index, _) in ports.iter().enumerate().filter(|(_, port)| int(&port["nodePort"]) != 0) {
            let detail = "may not be used when `type` is 'ClusterIP'";
            forbidden(errors, &path.index(index).child("nodePort"), detail);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate().filter(|(_, port)| int(&port["nodePort"]) != 0) {
        if !seen.insert((text(&port["protocol"]), int(&port["nodePort"]))) {
            errors.push(FieldError::duplicate(&path.index(index).child("nodePort"), &port["nodePort"]));
        }
    }
    seen.clear();
    for (index, port) in ports.iter().enumerate() {
        let (protocol, number) = (text(&port["protocol"]), int(&port["port"]));
        if !seen.insert((protocol, number)) {
            let shown = json!({
                "Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number, "TargetPort": 0, "NodePort": 0,
            });
            errors.push(FieldError::duplicate(&path.index(index), &shown));
        }
    }
}

fn source_ranges(service: &Object, kind: &str, errors: &mut FieldErrors) {
    const WHY: &str = "may only be used when `type` is 'LoadBalancer'";
    let ranges = strings(&field(service, "spec")["loadBalancerSourceRanges"]);
    if !ranges.is_empty() {
        // The path is that of Go's field (validateService, 1.36).
        let path = path("spec.LoadBalancerSourceRanges");
        if kind != "LoadBalancer" {
            forbidden(errors, &path, WHY);
        }
        for (index, range) in ranges.into_iter().enumerate() {
            legacy_cidr(errors, &path.index(index), range.trim());
        }
    } else if let Some(ranges) = service.annotation(SOURCE_RANGES) {
        let path = path("metadata.annotations").key(SOURCE_RANGES);
        if kind != "LoadBalancer" {
            forbidden(errors, &path, WHY);
        }
        for range in ranges.split(',').map(str::trim).filter(|_| !ranges.trim().is_empty()) {
            legacy_cidr(errors, &path, range);
        }
    }
}

fn load_balancer_fields(spec: &Value, kind: &str, path: &FieldPath, errors: &mut FieldErrors) {
    const WHY: &str = "may only be used when `type` is 'LoadBalancer'";
    let balances = kind == "LoadBalancer";
    match is_set(&spec["allocateLoadBalancerNodePorts"]) {
        true if !balances => forbidden(errors, &path.child("allocateLoadBalancerNodePorts"), WHY),
        false if balances => required(errors, &FieldPath::new("allocateLoadBalancerNodePorts"), ""),
        _ => {}
    }
    if let Some(class) = spec["loadBalancerClass"].as_str() {
        let path = path.child("loadBalancerClass");
        if balances { qualified(errors, &path, class) } else { forbidden(errors, &path, WHY) }
    }
}

fn traffic(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let empty = Map::new();
    let map = spec.as_object().unwrap_or(&empty);
    let (at, external) = (path.child("externalTrafficPolicy"), text(&spec["externalTrafficPolicy"]));
    if is_externally_accessible(map) {
        required_one_of(errors, &at, external, &["Cluster", "Local"]);
    } else if !external.is_empty() {
        invalid(errors, &at, &external.into(), "may only be set for externally-accessible services");
    }
    let (at, health) = (path.child("healthCheckNodePort"), int(&spec["healthCheckNodePort"]));
    match (needs_health_check(map), health) {
        (true, 0) => required(errors, &at, ""),
        (true, number) => port(errors, &at, number),
        (false, 0) => {}
        (false, number) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            invalid(errors, &at, &number.into(), detail);
        }
    }
    let at = path.child("internalTrafficPolicy");
    match spec["internalTrafficPolicy"].as_str() {
        Some(policy) => one_of(errors, &at, policy, &["Cluster", "Local"]),
        None if ["NodePort", "LoadBalancer", "ClusterIP"].contains(&text(&spec["type"])) => required(errors, &at, ""),
        None => {}
    }
    if let Some(distribution) = spec["trafficDistribution"].as_str() {
        let accepted = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        one_of(errors, &path.child("trafficDistribution"), distribution, &accepted);
    }
}

pub(super) fn validate_update(service: &Object, old: &Object, errors: &mut FieldErrors) {
    let (spec, was) = (field(service, "spec"), field(old, "spec"));
    if spec["type"] != "ExternalName" && was["type"] != "ExternalName" {
        cluster_ip_changes(spec, was, errors);
        family_changes(spec, was, errors);
    }
    if spec["type"] == "LoadBalancer" && was["type"] == "LoadBalancer" {
        let class = |spec: &Value| spec["loadBalancerClass"].clone();
        if class(spec) != class(was) {
            invalid(errors, &path("spec.loadBalancerClass"), &class(spec), "may not change once set");
        }
        if let Some(class) = spec["loadBalancerClass"].as_str() {
            qualified(errors, &path("spec.loadBalancerClass"), class);
        }
    }
    let checked = |spec: &Value| spec.as_object().is_some_and(needs_health_check);
    if checked(spec) && checked(was) && spec["healthCheckNodePort"] != was["healthCheckNodePort"] {
        forbidden(errors, &path("spec.healthCheckNodePort"), "field is immutable");
    }
    validate(service, Some(old), errors);
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
    let free = |spec: &Value| is_headless(spec) && !is_set(&spec["selector"]);
    if free(spec) && free(old) {
        return;
    }
    let (at, shown) = (path("spec.ipFamilies"), &spec["ipFamilies"]);
    let (now, was) = (strings(shown), strings(&old["ipFamilies"]));
    if let (Some(now), Some(was)) = (now.first(), was.first())
        && now != was
    {
        invalid(errors, &at.index(0), shown, "may not change once set");
    }
    if now.len() == 1 && was.len() > 1 && spec["ipFamilyPolicy"] != "SingleStack" {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        invalid(errors, &path("spec.ipFamilyPolicy"), &spec["ipFamilyPolicy"], detail);
    }
}

pub(super) fn validate_status_update(service: &Object, _: &Object, errors: &mut FieldErrors) {
    let ingress = &field(service, "status")["loadBalancer"]["ingress"];
    let at = path("status.loadBalancer.ingress");
    if field(service, "spec")["type"] != "LoadBalancer" && !list(ingress).is_empty() {
        return forbidden(errors, &at, "may only be used when `spec.type` is 'LoadBalancer'");
    }
    for (index, ingress) in list(ingress).iter().enumerate() {
        let path = at.index(index);
        let (ip, name) = (text(&ingress["ip"]), text(&ingress["hostname"]));
        if !ip.is_empty() {
            legacy_ip(errors, &path.child("ip"), ip);
        }
        match ingress["ipMode"].as_str() {
            None if !ip.is_empty() => required(errors, &path.child("ipMode"), "must be specified when `ip` is set"),
            None => {}
            Some(_) if ip.is_empty() => {
                forbidden(errors, &path.child("ipMode"), "may not be specified when `ip` is not set");
            }
            Some(mode) => one_of(errors, &path.child("ipMode"), mode, &["Proxy", "VIP"]),
        }
        if !name.is_empty() {
            subdomain(errors, &path.child("hostname"), name);
            if parse_ip_sloppily(name).is_some() {
                let detail = "must be a DNS name, not an IP address";
                invalid(errors, &path.child("hostname"), &name.into(), detail);
            }
        }
    }
}
