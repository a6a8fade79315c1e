//! NetworkPolicies: which traffic pods may have.

use std::collections::BTreeSet;

use atoll_api::validation::{port_name, validate_label_selector};
use atoll_api::{FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::network::{Cidr, cidr_warnings, legacy_cidr, port};
use crate::resources::checks::{forbidden, invalid, invalid_each, one_of, path, required};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::{age, selector};
use crate::resources::read::{entry, field, is_set, list, size, text};

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
    validate_create: |policy, errors| validate(policy, &BTreeSet::new(), errors),
    validate_update: Some(|policy, old, errors| {
        validate(policy, &ranges(old).map(|(_, range)| range).collect(), errors);
    }),
    warnings: |policy, _| ranges(policy).flat_map(|(at, range)| cidr_warnings(&at, range)).collect(),
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

/// The two directions of traffic: the rules, and whom they are about.
const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// The ranges of addresses in a policy, and where they are.
fn ranges(policy: &Object) -> impl Iterator<Item = (FieldPath, &str)> {
    let blocks = DIRECTIONS.into_iter().flat_map(move |(direction, peers)| {
        let rules = list(&field(policy, "spec")[direction]).iter().enumerate();
        rules.flat_map(move |(index, rule)| {
            let at = path("spec").child(direction).index(index).child(peers);
            let all = list(&rule[peers]).iter().enumerate();
            all.map(move |(index, peer)| (at.index(index).child("ipBlock"), &peer["ipBlock"]))
        })
    });
    blocks.flat_map(|(at, block)| {
        let whole = block["cidr"].as_str().map(|range| (at.child("cidr"), range));
        let exceptions = list(&block["except"]).iter().enumerate();
        whole.into_iter().chain(exceptions.map(move |(index, range)| (at.child("except").index(index), text(range))))
    })
}

/// Checks a policy; `known` are the ranges that stood somewhere in it before.
fn validate(policy: &Object, known: &BTreeSet<&str>, errors: &mut FieldErrors) {
    let spec = field(policy, "spec");
    let at = path("spec");
    validate_label_selector(&spec["podSelector"], &at.child("podSelector"), errors);
    for (direction, peers) in DIRECTIONS {
        for (index, rule) in list(&spec[direction]).iter().enumerate() {
            let at = at.child(direction).index(index);
            for (index, port) in list(&rule["ports"]).iter().enumerate() {
                check_port(errors, port, &at.child("ports").index(index));
            }
            for (index, peer) in list(&rule[peers]).iter().enumerate() {
                check_peer(errors, peer, known, &at.child(peers).index(index));
            }
        }
    }
    let types = list(&spec["policyTypes"]);
    if types.len() > DIRECTIONS.len() {
        let detail = "may not specify more than two policyTypes";
        return invalid(errors, &at.child("policyTypes"), &spec["policyTypes"], detail);
    }
    for (index, kind) in types.iter().enumerate() {
        one_of(errors, &at.child("policyTypes").index(index), text(kind), &["Ingress", "Egress"]);
    }
}

fn check_port(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    if let Some(protocol) = rule["protocol"].as_str() {
        one_of(errors, &path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (first, last) = (&rule["port"], rule["endPort"].as_i64());
    let end = path.child("endPort");
    match first {
        Value::Null => {
            if let Some(last) = last {
                invalid(errors, &end, &last.into(), "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if let Some(last) = last {
                invalid(errors, &end, &last.into(), "may not be specified when `port` is non-numeric");
            }
            invalid_each(errors, &path.child("port"), name, port_name(name));
        }
        number => {
            let number = number.as_i64().unwrap_or_default();
            port(errors, &path.child("port"), number);
            if let Some(last) = last {
                if last < number {
                    invalid(errors, &end, &number.into(), "must be greater than or equal to `port`");
                }
                port(errors, &end, last);
            }
        }
    }
}

fn check_peer(errors: &mut FieldErrors, peer: &Value, known: &BTreeSet<&str>, path: &FieldPath) {
    for name in ["podSelector", "namespaceSelector"] {
        validate_label_selector(&peer[name], &path.child(name), errors);
    }
    let block = &peer["ipBlock"];
    if is_set(block) {
        check_block(errors, block, known, &path.child("ipBlock"));
    }
    match (is_set(block), is_set(&peer["podSelector"]) || is_set(&peer["namespaceSelector"])) {
        (false, false) => required(errors, path, "must specify a peer"),
        (true, true) => forbidden(errors, path, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn check_block(errors: &mut FieldErrors, block: &Value, known: &BTreeSet<&str>, path: &FieldPath) {
    let range_of = |errors: &mut FieldErrors, at: &FieldPath, value: &str| {
        if !known.contains(value) {
            legacy_cidr(errors, at, value);
        }
        Cidr::parse(value).map(Cidr::masked)
    };
    let cidr = text(&block["cidr"]);
    if cidr.is_empty() {
        return required(errors, &path.child("cidr"), "");
    }
    let Some(whole) = range_of(errors, &path.child("cidr"), cidr) else { return };
    for (index, except) in list(&block["except"]).iter().enumerate() {
        let at = path.child("except").index(index);
        let except = text(except);
        let Some(part) = range_of(errors, &at, except) else { continue };
        if !whole.contains(part) || whole.bits >= part.bits {
            invalid(errors, &at, &except.into(), "must be a strict subset of `cidr`");
        }
    }
}
