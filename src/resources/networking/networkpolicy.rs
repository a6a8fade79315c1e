//! NetworkPolicies: which traffic pods may have.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::{age, selector};
use crate::resources::read::{entry, field, size};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "networkpolicies",
    kind: "NetworkPolicy",
    short_names: &["netpol"],
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.NetworkPolicy",
        columns: &[column("Pod-Selector", "string", "@networking.v1.NetworkPolicySpec.podSelector"), AGE],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    cells,
    type_defaults: &[
        ("networking.v1.NetworkPolicySpec", spec_defaults),
        ("networking.v1.NetworkPolicyPort", |port| set(port, "protocol", "TCP")),
    ],
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    let both = size(entry(spec, "egress")) > 0;
    set(spec, "policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![selector(&field(object, "spec")["podSelector"]), age(object, now)]
}
