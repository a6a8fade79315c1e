//! Which addresses and ports a service keeps, drops and needs when it is made or changed; `claims.rs` gives them.

use std::collections::{HashMap, HashSet};

use atoll_api::Object;
use serde_json::{Map, Value, json};

use super::is_externally_accessible;
use crate::resources::checks::network::parse_ip_sloppily;
use crate::resources::defaults::set;
use crate::resources::read::{entry, field, int, list, size, strings, text};

/// Readies a new service for the addresses and ports it does not name itself.
pub(super) fn assign(service: &mut Object) {
    let spec = service.map_mut("spec");
    settle_cluster_ips(spec, None);
    family_policy(spec, None);
}

/// Keeps the addresses and ports a service has, and drops what a change of its type makes needless.
pub(super) fn reassign(service: &mut Object, old: &Object) {
    let was = field(old, "spec").as_object().cloned().unwrap_or_default();
    let spec = service.map_mut("spec");
    keep_allocated(spec, &was);
    settle_cluster_ips(spec, Some(&was));
    drop_unneeded(spec, &was);
    family_policy(spec, Some(&was));
    let balances = entry(spec, "type") == "LoadBalancer";
    if !balances && let Some(status) = service.0.get_mut("status").and_then(Value::as_object_mut) {
        status.insert("loadBalancer".into(), json!({}));
    }
}

fn is_headless(spec: &Map<String, Value>) -> bool {
    text(entry(spec, "clusterIP")) == "None" || entry(spec, "clusterIPs")[0] == "None"
}

/// Whether a service has an address in its cluster, or is headless.
pub(super) fn needs_cluster_ip(spec: &Map<String, Value>) -> bool {
    matches!(text(entry(spec, "type")), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the ports of a service are open on nodes.
pub(super) fn needs_node_ports(spec: &Map<String, Value>) -> bool {
    match text(entry(spec, "type")) {
        "NodePort" => true,
        "LoadBalancer" => entry(spec, "allocateLoadBalancerNodePorts") != false,
        _ => false,
    }
}

/// Whether load balancers ask nodes if they have pods of the service.
pub(super) fn needs_health_check(spec: &Map<String, Value>) -> bool {
    entry(spec, "type") == "LoadBalancer" && entry(spec, "externalTrafficPolicy") == "Local"
}

/// Keeps the address and the list of addresses equal, whichever of them a client knows.
fn settle_cluster_ips(spec: &mut Map<String, Value>, old: Option<&Map<String, Value>>) {
    let Some(old) = old else {
        if !text(entry(spec, "clusterIP")).is_empty() && size(entry(spec, "clusterIPs")) == 0 {
            let ip = entry(spec, "clusterIP").clone();
            spec.insert("clusterIPs".into(), json!([ip]));
        }
        return;
    };
    let same = |field: &str| entry(spec, field) == entry(old, field);
    let (ip_kept, ips_kept) = (same("clusterIP"), same("clusterIPs"));
    let had_ip = !text(entry(old, "clusterIP")).is_empty();
    match text(entry(spec, "clusterIP")).to_owned() {
        ip if ip.is_empty() && had_ip && ips_kept => {
            spec.remove("clusterIPs");
        }
        ip if !ip.is_empty() && !ip_kept && ips_kept => {
            spec.insert("clusterIPs".into(), json!([ip]));
        }
        _ => {}
    }
}

/// What a client leaves out of an update stays as it was given.
fn keep_allocated(spec: &mut Map<String, Value>, old: &Map<String, Value>) {
    if needs_cluster_ip(old) && needs_cluster_ip(spec) {
        for field in ["clusterIP", "clusterIPs"] {
            if text(entry(spec, field)).is_empty() && size(entry(spec, field)) == 0 && old.contains_key(field) {
                set(spec, field, entry(old, field).clone());
            }
        }
    }
    if needs_node_ports(old) && needs_node_ports(spec) {
        let named: HashSet<i64> = list(entry(spec, "ports")).iter().map(|port| int(&port["nodePort"])).collect();
        let had = list(entry(old, "ports")).iter().map(|was| (text(&was["name"]), int(&was["nodePort"])));
        let had: HashMap<&str, i64> = had.collect();
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            let was = had.get(text(entry(port, "name"))).copied().unwrap_or(0);
            // What another port names now is not given to this one.
            if was != 0 && int(entry(port, "nodePort")) == 0 && !named.contains(&was) {
                port.insert("nodePort".into(), was.into());
            }
        }
    }
    if needs_health_check(old) && needs_health_check(spec) && int(entry(spec, "healthCheckNodePort")) == 0 {
        spec.insert("healthCheckNodePort".into(), entry(old, "healthCheckNodePort").clone());
    }
}

/// Drops what a changed type has no use for, unless the client changed that too.
fn drop_unneeded(spec: &mut Map<String, Value>, old: &Map<String, Value>) {
    // It was once a default of all types, so that nobody sees it where it means nothing.
    if entry(spec, "type") == "ExternalName" && entry(old, "type") == "ExternalName" {
        spec.remove("internalTrafficPolicy");
    }
    if needs_cluster_ip(old) && entry(spec, "type") == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            drop_if_kept(spec, old, field);
        }
    }
    if entry(old, "type") == "LoadBalancer" && entry(spec, "type") != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            drop_if_kept(spec, old, field);
        }
    }
    if needs_health_check(old) && !needs_health_check(spec) {
        drop_if_kept(spec, old, "healthCheckNodePort");
    }
    if is_externally_accessible(old) && !is_externally_accessible(spec) {
        drop_if_kept(spec, old, "externalTrafficPolicy");
    }
    if needs_cluster_ip(old) && !needs_cluster_ip(spec) {
        drop_if_kept(spec, old, "internalTrafficPolicy");
    }
    let node_ports = |spec: &Map<String, Value>| -> Vec<i64> {
        list(entry(spec, "ports")).iter().map(|port| int(&port["nodePort"])).collect()
    };
    if needs_node_ports(old) && !needs_node_ports(spec) && node_ports(old) == node_ports(spec) {
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
    }
}

fn drop_if_kept(spec: &mut Map<String, Value>, old: &Map<String, Value>, field: &str) {
    if entry(spec, field) == entry(old, field) {
        spec.remove(field);
    }
}

/// How many families of addresses a service has: one, as in a cluster that has nothing else, except for services that have
/// no addresses of their own and select nothing.
fn family_policy(spec: &mut Map<String, Value>, old: Option<&Map<String, Value>>) {
    if !needs_cluster_ip(spec) {
        return;
    }
    let free = is_headless(spec) && size(entry(spec, "selector")) == 0;
    if !spec.contains_key("ipFamilyPolicy") {
        let inferred: Value = if free { "RequireDualStack" } else { "SingleStack" }.into();
        let known = old.and_then(|old| old.get("ipFamilyPolicy")).cloned();
        spec.insert("ipFamilyPolicy".into(), known.unwrap_or(inferred));
    }
    // To ask for one family where there were two is clear, whatever families are named.
    if let Some(old) = old
        && entry(spec, "ipFamilyPolicy") == "SingleStack"
    {
        for field in ["clusterIPs", "ipFamilies"] {
            let same = entry(spec, field) == entry(old, field);
            if same && let Some(Value::Array(list)) = spec.get_mut(field) {
                list.truncate(1);
            }
        }
    }
}

/// Names the families that a client left out, after what it said of them was looked at.
pub(super) fn settle_families(spec: &mut Map<String, Value>) {
    if !needs_cluster_ip(spec) {
        return;
    }
    let free = is_headless(spec) && size(entry(spec, "selector")) == 0;
    let mut families: Vec<String> = strings(entry(spec, "ipFamilies")).into_iter().map(str::to_owned).collect();
    if families.is_empty() {
        let given = strings(entry(spec, "clusterIPs")).into_iter().filter_map(parse_ip_sloppily);
        families = given.map(|ip| if ip.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()).collect();
    }
    if families.is_empty() {
        families.push("IPv4".to_owned());
    }
    if free && families.len() == 1 && entry(spec, "ipFamilyPolicy") != "SingleStack" {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.to_owned());
    }
    spec.insert("ipFamilies".into(), families.into());
}
