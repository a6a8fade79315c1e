//! Ingresses: how HTTP from outside reaches services.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use super::ingress_checks as checks;
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::core::service::load_balancer_addresses;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::{NONE, age, text_or};
use crate::resources::read::{field, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "ingresses",
    kind: "Ingress",
    short_names: &["ing"],
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.Ingress",
        columns: &[
            column("Class", "string", "The ingress class."),
            column("Hosts", "string", "The hosts of the rules."),
            column("Address", "string", "The addresses of the load balancer."),
            column("Ports", "string", "The ports that are open."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    validate_create: |ingress, errors| {
        checks::validate(ingress, checks::Existing::default(), errors);
        checks::one_class(ingress, errors);
    },
    validate_update: Some(|ingress, old, errors| checks::validate(ingress, checks::Existing::of(old), errors)),
    validate_status_update: checks::validate_status_update,
    warnings: |ingress, old| match old {
        None => deprecated_class(ingress),
        Some(_) => Vec::new(),
    },
    cells,
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let addresses = load_balancer_addresses(&field(object, "status")["loadBalancer"]);
    vec![
        text_or(&spec["ingressClassName"], NONE),
        hosts(&spec["rules"]).into(),
        addresses.into_iter().collect::<Vec<_>>().join(",").into(),
        if list(&spec["tls"]).is_empty() { "80" } else { "80, 443" }.into(),
        age(object, now),
    ]
}

/// The first three hosts; how many more rules there are beyond three.
fn hosts(rules: &Value) -> String {
    const SHOWN: usize = 3;
    let rules = list(rules);
    let all: Vec<&str> = rules.iter().map(|rule| text(&rule["host"])).filter(|host| !host.is_empty()).collect();
    let shown = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(",");
    let third = rules.iter().enumerate().filter(|(_, rule)| !text(&rule["host"]).is_empty()).nth(SHOWN - 1);
    match third {
        _ if shown.is_empty() => "*".to_owned(),
        Some((index, _)) if index + 1 < rules.len() => format!("{shown} + {} more...", rules.len() - SHOWN),
        _ => shown,
    }
}

fn deprecated_class(ingress: &Object) -> Vec<String> {
    match ingress.annotation(checks::CLASS) {
        Some(_) if field(ingress, "spec")["ingressClassName"].is_null() => {
            vec![format!("annotation {:?} is deprecated, please use 'spec.ingressClassName' instead", checks::CLASS)]
        }
        _ => Vec::new(),
    }
}
