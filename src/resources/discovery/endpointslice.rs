//! EndpointSlices: the addresses behind a service, in pieces.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1123_label, dns1123_subdomain, validate_labels};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::checks::network::{PROTOCOLS, endpoint_ip, ip_warning, legacy_ip, strict_ip};
use crate::resources::checks::{
    immutable, invalid, label, one_of, path, qualified, required, required_one_of, subdomain, value_of_label,
};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::{age, first_three};
use crate::resources::read::{field, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "endpointslices",
    kind: "EndpointSlice",
    versions: &[Version {
        api_version: "discovery.k8s.io/v1",
        type_name: "discovery.v1.EndpointSlice",
        columns: &[
            column("AddressType", "string", "@discovery.v1.EndpointSlice.addressType"),
            column("Ports", "string", "@discovery.v1.EndpointSlice.ports"),
            column("Endpoints", "string", "@discovery.v1.EndpointSlice.endpoints"),
            AGE,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::ContentChanges,
    prepare_create: |slice| drop_topology(slice, None),
    prepare_update: |slice, old| {
        if slice.metadata().and_then(|metadata| metadata.get("labels"))
            != old.metadata().and_then(|metadata| metadata.get("labels"))
        {
            slice.set_generation(old.generation() + 1);
        }
        drop_topology(slice, Some(old));
    },
    validate_create: |slice, errors| validate(slice, None, errors),
    validate_update: Some(|slice, old, errors| {
        validate(slice, Some(old), errors);
        immutable(errors, &path("addressType"), field(slice, "addressType"), field(old, "addressType"));
    }),
    warnings,
    cells,
    type_defaults: &[("discovery.v1.EndpointPort", port_defaults)],
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::NAMESPACED
};

fn port_defaults(port: &mut Map<String, Value>) {
    set(port, "name", "");
    set(port, "protocol", "TCP");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| match (port["port"].as_i64(), port["name"].as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = list(field(object, "ports")).iter().map(port).collect();
    let endpoints = list(field(object, "endpoints")).iter().flat_map(|endpoint| list(&endpoint["addresses"]));
    let addresses: Vec<String> = endpoints.map(|address| text(address).to_owned()).collect();
    let kind = text(field(object, "addressType"));
    vec![kind.into(), first_three(&ports), first_three(&addresses), age(object, now)]
}

/// The label that names the controller of a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The controllers that are known to write good addresses.
const CAREFUL: &[&str] = &["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
const ADDRESS_TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_TOPOLOGY: usize = 16;
const MAX_HINTS: usize = 8;

/// The topology is a field of an older version; what is written to it is dropped unless the endpoints are unchanged.
fn drop_topology(slice: &mut Object, old: Option<&Object>) {
    if old.is_some_and(|old| field(old, "endpoints") == field(slice, "endpoints")) {
        return;
    }
    if let Some(Value::Array(endpoints)) = slice.0.get_mut("endpoints") {
        for endpoint in endpoints.iter_mut().filter_map(Value::as_object_mut) {
            endpoint.remove("deprecatedTopology");
        }
    }
}

fn warnings(slice: &Object, old: Option<&Object>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() && field(slice, "addressType") == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    if slice.label(MANAGED_BY).is_some_and(|manager| CAREFUL.contains(&manager)) {
        return warnings;
    }
    for (index, endpoint) in list(field(slice, "endpoints")).iter().enumerate() {
        let at = path("endpoints").index(index).child("addresses");
        let addresses = list(&endpoint["addresses"]).iter().enumerate();
        warnings.extend(addresses.filter_map(|(index, address)| ip_warning(&at.index(index), text(address))));
    }
    warnings
}

fn validate(slice: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let kind = text(field(slice, "addressType"));
    required_one_of(errors, &path("addressType"), kind, ADDRESS_TYPES);
    check_ports(errors, list(field(slice, "ports")), &path("ports"));
    // Endpoints that are as they were may stay, however wrong they are.
    if old.is_none_or(|old| field(old, "endpoints") != field(slice, "endpoints")) {
        check_endpoints(errors, list(field(slice, "endpoints")), kind, &path("endpoints"));
    }
}

fn check_ports(errors: &mut FieldErrors, ports: &[Value], path: &FieldPath) {
    if ports.len() > MAX_PORTS {
        return errors.push(FieldError::too_many(path, ports.len(), MAX_PORTS));
    }
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = text(&port["name"]);
        if !name.is_empty() {
            label(errors, &at.child("name"), name);
        }
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&at.child("name"), &name.into()));
        }
        one_of(errors, &at.child("protocol"), text(&port["protocol"]), PROTOCOLS);
        if let Some(protocol) = port["appProtocol"].as_str() {
            qualified(errors, &at.child("appProtocol"), protocol);
        }
    }
}

fn check_endpoints(errors: &mut FieldErrors, endpoints: &[Value], kind: &str, path: &FieldPath) {
    if endpoints.len() > MAX_ENDPOINTS {
        return errors.push(FieldError::too_many(path, endpoints.len(), MAX_ENDPOINTS));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        check_endpoint(errors, endpoint, kind, &path.index(index));
    }
}

fn check_endpoint(errors: &mut FieldErrors, endpoint: &Value, kind: &str, path: &FieldPath) {
    let addresses = list(&endpoint["addresses"]);
    let at = path.child("addresses");
    if addresses.is_empty() {
        required(errors, &at, "must contain at least 1 address");
    } else if addresses.len() > MAX_ADDRESSES {
        errors.push(FieldError::too_many(&at, addresses.len(), MAX_ADDRESSES));
    }
    for (index, address) in addresses.iter().enumerate() {
        check_address(errors, text(address), kind, &at, index);
    }
    if let Some(node) = endpoint["nodeName"].as_str() {
        subdomain(errors, &path.child("nodeName"), node);
    }
    if let Some(topology) = endpoint["deprecatedTopology"].as_object() {
        let at = path.child("deprecatedTopology");
        if topology.len() > MAX_TOPOLOGY {
            errors.push(FieldError::too_many(&at, topology.len(), MAX_TOPOLOGY));
        }
        validate_labels(topology, &at, errors);
    }
    if let Some(host) = endpoint["hostname"].as_str() {
        label(errors, &path.child("hostname"), host);
    }
    for (name, check) in [("forZones", value_of_label as Check), ("forNodes", subdomain as Check)] {
        let hints = list(&endpoint["hints"][name]);
        if !check_hints(errors, hints, check, &path.child("hints").child(name)) {
            break;
        }
    }
}

type Check = fn(&mut FieldErrors, &FieldPath, &str);

/// Whether there are not too many; what comes after is then not looked at.
fn check_hints(errors: &mut FieldErrors, hints: &[Value], check: Check, path: &FieldPath) -> bool {
    if hints.len() > MAX_HINTS {
        errors.push(FieldError::too_many(path, hints.len(), MAX_HINTS));
        return false;
    }
    let mut names = BTreeSet::new();
    for (index, hint) in hints.iter().enumerate() {
        let at = path.index(index).child("name");
        let name = text(&hint["name"]);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&at, &name.into()));
        }
        check(errors, &at, name);
    }
    true
}

fn check_address(errors: &mut FieldErrors, address: &str, kind: &str, path: &FieldPath, index: usize) {
    let at = path.index(index);
    let before = errors.len();
    match kind {
        "IPv4" => legacy_ip(errors, &at, address),
        "IPv6" => strict_ip(errors, &at, address),
        "FQDN" => return full_domain_name(errors, address, &at),
        _ => return,
    }
    if errors.len() == before {
        if address.contains(':') != (kind == "IPv6") {
            invalid(errors, path, &address.into(), format!("must be an {kind} address"));
        }
        endpoint_ip(errors, &at, address);
    }
}

/// A domain name of at least two parts, which may end in a dot.
fn full_domain_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        return required(errors, path, "");
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut wrong = |value: &str, detail: String| invalid(errors, path, &value.into(), detail);
    let faults = dns1123_subdomain(name);
    if !faults.is_empty() {
        return wrong(name, faults.join(","));
    }
    if !name.contains('.') {
        return wrong(name, "should be a domain with at least two segments separated by dots".into());
    }
    let bad = name.split('.').map(|part| (part, dns1123_label(part))).find(|(_, faults)| !faults.is_empty());
    if let Some((part, faults)) = bad {
        wrong(part, faults.join(","));
    }
}
