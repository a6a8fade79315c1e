//! Services: a stable address for pods.

mod addresses;
mod checks;
pub(in crate::resources) mod claims;
mod families;
mod ports;
mod table;
mod warnings;

use serde_json::{Map, Value, json};

use super::node::PROXY_VERBS;
use crate::registry::resource::NameRule;
use crate::resources::defaults::{child, each, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, wide};
use crate::resources::read::{entry, int, list, text};
pub(in crate::resources) use table::load_balancer_addresses;

/// How long a client stays with the same pod, if it is to.
const AFFINITY_SECONDS: i64 = 10_800;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "services",
    kind: "Service",
    short_names: &["svc"],
    categories: &["all"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Service",
        columns: &[
            column("Type", "string", "@core.v1.ServiceSpec.type"),
            column("Cluster-IP", "string", "@core.v1.ServiceSpec.clusterIP"),
            column("External-IP", "string", "@core.v1.ServiceSpec.externalIPs"),
            column("Port(s)", "string", "@core.v1.ServiceSpec.ports"),
            AGE,
            wide("Selector", "string", "@core.v1.ServiceSpec.selector"),
        ],
        subresources: &[
            SubresourceSpec::Other("proxy", "", "ServiceProxyOptions", PROXY_VERBS),
            SubresourceSpec::Status,
        ],
        selectable_fields: &["spec.clusterIP", "spec.type"],
        ..Version::BARE
    }],
    name_rule: NameRule::Label,
    manners: Manners { create_on_update: true, ..Manners::RETURNS_DELETED },
    prepare_create: addresses::assign,
    prepare_update: addresses::reassign,
    validate_create: |service, errors| checks::validate(service, None, errors),
    validate_update: Some(checks::validate_update),
    validate_status_update: checks::validate_status_update,
    warnings: |service, _| warnings::warnings(service),
    cells: table::cells,
    type_defaults: &[("core.v1.Service", service_defaults)],
    ..Kind::NAMESPACED
};

fn service_defaults(service: &mut Map<String, Value>) {
    let Some(spec) = child(service, "spec") else { return };
    set(spec, "sessionAffinity", "None");
    set(spec, "type", "ClusterIP");
    match text(entry(spec, "sessionAffinity")) {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" if entry(spec, "sessionAffinityConfig")["clientIP"]["timeoutSeconds"].is_null() => {
            let config = json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}});
            spec.insert("sessionAffinityConfig".into(), config);
        }
        _ => {}
    }
    for port in each(spec, "ports") {
        set(port, "protocol", "TCP");
        let target = entry(port, "targetPort");
        if target.is_null() || *target == json!(0) || *target == json!("") {
            let number = int(entry(port, "port"));
            port.insert("targetPort".into(), number.into());
        }
    }
    let kind = text(entry(spec, "type")).to_owned();
    if is_externally_accessible(spec) {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        let balancer = child(service, "status").and_then(|status| child(status, "loadBalancer"));
        for ingress in balancer.into_iter().flat_map(|balancer| each(balancer, "ingress")) {
            if !text(entry(ingress, "ip")).is_empty() {
                set(ingress, "ipMode", "VIP");
            }
        }
    }
}

/// Whether traffic from outside of the cluster reaches a service.
pub(super) fn is_externally_accessible(spec: &Map<String, Value>) -> bool {
    match text(entry(spec, "type")) {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !list(entry(spec, "externalIPs")).is_empty(),
        _ => false,
    }
}
