//! The row of a service.

use std::collections::BTreeSet;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::printing::{NONE, age, labels, text_or};
use crate::resources::read::{field, int, list, strings, text};

pub(super) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    vec![
        text(&spec["type"]).into(),
        text_or(&spec["clusterIPs"][0], NONE),
        external_ip(spec, status).into(),
        ports(spec).into(),
        age(object, now),
        labels(&spec["selector"]),
    ]
}

fn external_ip(spec: &Value, status: &Value) -> String {
    let external = strings(&spec["externalIPs"]);
    let or = |list: Vec<&str>, instead: &str| if list.is_empty() { instead.to_owned() } else { list.join(",") };
    match text(&spec["type"]) {
        "ClusterIP" | "NodePort" => or(external, NONE),
        "LoadBalancer" => {
            let mut all: Vec<&str> = load_balancer_addresses(&status["loadBalancer"]).into_iter().collect();
            all.extend(external);
            or(all, "<pending>")
        }
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses and names of a load balancer, sorted.
pub(in crate::resources) fn load_balancer_addresses(balancer: &Value) -> BTreeSet<&str> {
    list(&balancer["ingress"])
        .iter()
        .map(|ingress| if text(&ingress["ip"]).is_empty() { text(&ingress["hostname"]) } else { text(&ingress["ip"]) })
        .filter(|address| !address.is_empty())
        .collect()
}

fn ports(spec: &Value) -> String {
    let ports = list(&spec["ports"]).iter().map(|port| match (int(&port["port"]), int(&port["nodePort"])) {
        (number, node) if node > 0 => format!("{number}:{node}/{}", text(&port["protocol"])),
        (number, _) => format!("{number}/{}", text(&port["protocol"])),
    });
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() { NONE.to_owned() } else { ports.join(",") }
}
