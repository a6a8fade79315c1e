//! Endpoints: the addresses behind a service, in one object.

use atoll_api::{FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::MetadataChecks;
use crate::resources::checks::network::{PROTOCOLS, endpoint_ip, ip_warning, legacy_ip, port};
use crate::resources::checks::{label, path, qualified, required, required_one_of, subdomain};
use crate::resources::defaults::{each, set};
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{field, int, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "endpoints",
    singular: "endpoints",
    kind: "Endpoints",
    short_names: &["ep"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Endpoints",
        deprecated: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        columns: &[column("Endpoints", "string", "@core.v1.Endpoints.subsets"), AGE],
        ..Version::BARE
    }],
    manners: Manners::CREATE_ON_UPDATE,
    validate_create,
    validate_update: Some(validate_update),
    warnings: |endpoints, _| warnings(endpoints),
    cells,
    type_defaults: &[("core.v1.EndpointSubset", subset_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn subset_defaults(subset: &mut Map<String, Value>) {
    for port in each(subset, "ports") {
        if text(port.get("protocol").unwrap_or(&Value::Null)).is_empty() {
            port.remove("protocol");
        }
        set(port, "protocol", "TCP");
    }
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![addresses(field(object, "subsets")).into(), age(object, now)]
}

/// The first three addresses, and how many more there are.
fn addresses(subsets: &Value) -> String {
    const SHOWN: usize = 3;
    if list(subsets).is_empty() {
        return NONE.to_owned();
    }
    let (mut shown, mut count) = (Vec::new(), 0);
    for subset in list(subsets) {
        let ports = list(&subset["ports"]);
        let of_port = |address: &Value, port: Option<&Value>| match port {
            None => text(&address["ip"]).to_owned(),
            Some(port) => join_host_port(text(&address["ip"]), int(&port["port"])),
        };
        let ports: Vec<Option<&Value>> = if ports.is_empty() { vec![None] } else { ports.iter().map(Some).collect() };
        for port in ports {
            for address in list(&subset["addresses"]) {
                count += 1;
                if shown.len() < SHOWN {
                    shown.push(of_port(address, port));
                }
            }
        }
    }
    match count > SHOWN {
        true => format!("{} + {} more...", shown.join(","), count - SHOWN),
        false => shown.join(","),
    }
}

fn join_host_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn validate_create(endpoints: &Object, errors: &mut FieldErrors) {
    for (index, subset) in list(field(endpoints, "subsets")).iter().enumerate() {
        let path = path("subsets").index(index);
        if list(&subset["addresses"]).is_empty() && list(&subset["notReadyAddresses"]).is_empty() {
            required(errors, &path, "must specify `addresses` or `notReadyAddresses`");
        }
        for part in ["addresses", "notReadyAddresses"] {
            for (index, address) in list(&subset[part]).iter().enumerate() {
                validate_address(address, &path.child(part).index(index), errors);
            }
        }
        let ports = list(&subset["ports"]);
        for (index, port) in ports.iter().enumerate() {
            let name = if ports.len() > 1 { Name::Required } else { Name::Optional };
            validate_port(port, name, &path.child("ports").index(index), errors);
        }
    }
}

/// Whether a port must have a name, to be told apart from others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Required,
    Optional,
}

fn validate_address(address: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let ip = text(&address["ip"]);
    legacy_ip(errors, &path.child("ip"), ip);
    if !text(&address["hostname"]).is_empty() {
        label(errors, &path.child("hostname"), text(&address["hostname"]));
    }
    if let Some(node) = address["nodeName"].as_str() {
        subdomain(errors, &path.child("nodeName"), node);
    }
    endpoint_ip(errors, &path.child("ip"), ip);
}

fn validate_port(value: &Value, name: Name, path: &FieldPath, errors: &mut FieldErrors) {
    match (text(&value["name"]), name) {
        ("", Name::Required) => required(errors, &path.child("name"), ""),
        ("", Name::Optional) => {}
        (name, _) => label(errors, &path.child("name"), name),
    }
    port(errors, &path.child("port"), int(&value["port"]));
    required_one_of(errors, &path.child("protocol"), text(&value["protocol"]), PROTOCOLS);
    if let Some(protocol) = value["appProtocol"].as_str() {
        qualified(errors, &path.child("appProtocol"), protocol);
    }
}

/// What was accepted once may stay as it is.
fn validate_update(endpoints: &Object, old: &Object, errors: &mut FieldErrors) {
    if field(endpoints, "subsets") != field(old, "subsets") {
        validate_create(endpoints, errors);
    }
}

fn warnings(endpoints: &Object) -> Vec<String> {
    // The controller writes good addresses.
    if endpoints.label("endpoints.kubernetes.io/managed-by") == Some("endpoint-controller") {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for (index, subset) in list(field(endpoints, "subsets")).iter().enumerate() {
        for name in ["addresses", "notReadyAddresses"] {
            let at = path("subsets").index(index).child(name);
            let addresses = list(&subset[name]).iter().enumerate();
            let about =
                |(index, address): (usize, &Value)| ip_warning(&at.index(index).child("ip"), text(&address["ip"]));
            warnings.extend(addresses.filter_map(about));
        }
    }
    warnings
}
