//! Checks of services.

use std::collections::BTreeSet;

use atoll_api::validation::validate_labels;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::{Map, Value, json};

use super::addresses::needs_health_check;
use super::families::{self, is_headless};
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
    let contradictions = families::contradictions(spec, old.map(|old| field(old, "spec")));
    if !contradictions.is_empty() {
        *errors = contradictions;
        return;
    }
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
        families::changes(spec, was, errors);
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
