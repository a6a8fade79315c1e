//! Warnings about services that are accepted: what is deprecated or ignored.

use atoll_api::Object;

use crate::resources::checks::network::{cidr_warnings, ip_warning};
use crate::resources::checks::path;
use crate::resources::read::{field, list, strings, text};

/// The warnings for a service.
pub(super) fn warnings(service: &Object) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const EXTERNAL: &str = "ExternalName";
    let spec = field(service, "spec");
    let kind = text(&spec["type"]);
    let mut warnings = Vec::new();
    let mut say = |condition: bool, what: &str| warnings.extend(condition.then(|| what.to_owned()));
    say(
        service.annotation(HINTS).is_some(),
        &format!("annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"),
    );
    let is_headless = kind == "ClusterIP" && spec["clusterIP"] == "None";
    let has_addresses = !matches!(text(&spec["clusterIP"]), "" | "None");
    let has_external = !list(&spec["externalIPs"]).is_empty();
    if has_addresses {
        for (index, address) in strings(&spec["clusterIPs"]).into_iter().enumerate() {
            let warning = ip_warning(&path("spec.clusterIPs").index(index), address);
            say(warning.is_some(), &warning.unwrap_or_default());
        }
    }
    if is_headless {
        say(!text(&spec["loadBalancerIP"]).is_empty(), "spec.loadBalancerIP is ignored for headless services");
        say(has_external, "spec.externalIPs is ignored for headless services");
        say(spec["sessionAffinity"] != "None", "spec.SessionAffinity is ignored for headless services");
    }
    for (index, address) in strings(&spec["externalIPs"]).into_iter().enumerate() {
        let warning = ip_warning(&path("spec.externalIPs").index(index), address);
        say(warning.is_some(), &warning.unwrap_or_default());
    }
    say(
        has_external && !is_headless && kind != EXTERNAL,
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
    );
    let warning = ip_warning(&path("spec.loadBalancerIP"), text(&spec["loadBalancerIP"]));
    say(warning.is_some(), &warning.unwrap_or_default());
    for (index, range) in strings(&spec["loadBalancerSourceRanges"]).into_iter().enumerate() {
        for warning in cidr_warnings(&path("spec.loadBalancerSourceRanges").index(index), range) {
            say(true, &warning);
        }
    }
    say(kind == EXTERNAL && has_external, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    say(
        kind != EXTERNAL && !text(&spec["externalName"]).is_empty(),
        "spec.externalName is ignored when spec.type is not \"ExternalName\"",
    );
    say(
        spec["trafficDistribution"] == "PreferClose",
        "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
    );
    warnings
}
