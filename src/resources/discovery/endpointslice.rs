//! EndpointSlices: the addresses behind a service, in pieces.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
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
    cells,
    type_defaults: &[("discovery.v1.EndpointPort", port_defaults)],
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
