//! Endpoints: the addresses behind a service, in one object.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

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
        columns: &[column("Endpoints", "string", "@core.v1.Endpoints.subsets"), AGE],
        ..Version::BARE
    }],
    manners: Manners::CREATE_ON_UPDATE,
    cells,
    type_defaults: &[("core.v1.EndpointSubset", subset_defaults)],
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
