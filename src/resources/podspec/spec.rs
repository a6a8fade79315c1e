//! Checks of a whole pod description, in the order in which Kubernetes reports faults.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::validation::{dns1123_subdomain, validate_labels};
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use super::affinity::{affinity, spread_constraints, tolerations};
use super::containers::{containers, ephemeral_containers, init_containers};
use super::requirements::{pod_requirements, resource_claims};
use super::security::{host_processes, host_users, pod_security_context, windows_or_linux};
use super::volumes::volumes;
use crate::resources::checks::network::legacy_ip;
use crate::resources::checks::{
    amounts, forbidden, invalid, invalid_each, label, one_of, qualified, required, required_one_of, subdomain,
};
use crate::resources::read::{entries, entry, flag, int, is_set, list, strings, text};

/// Whose description it is; some checks are for pods only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Whose {
    /// A pod's own.
    Pod,
    /// A template that pods are made from.
    Template,
}

/// What checks of parts need to know of the whole.
pub(super) struct Scope<'a> {
    /// The well formed volumes, by name.
    pub(super) volumes: BTreeMap<&'a str, &'a Value>,
    /// The names of the claims to devices.
    pub(super) claims: BTreeSet<&'a str>,
    /// How long containers may take to stop.
    pub(super) grace: Option<i64>,
    /// The restart policy.
    pub(super) restart_policy: &'a str,
    /// Whether users are those of the host.
    pub(super) host_users: bool,
    /// The operating system, empty if not said.
    pub(super) os: &'a str,
    /// Whether an operating system was named at all.
    pub(super) names_os: bool,
}

/// The greatest 32-bit number.
const MAX_INT32: i64 = i32::MAX as i64;

/// Checks a pod description. `metadata` is that of the pod; templates have none.
pub(in crate::resources) fn validate_spec(
    errors: &mut FieldErrors,
    spec: &Value,
    metadata: Option<&Map<String, Value>>,
    path: &FieldPath,
    whose: Whose,
) {
    if !is_set(&spec["terminationGracePeriodSeconds"]) {
        required(errors, &path.child("terminationGracePeriodSeconds"), "");
    }
    let scope = Scope {
        volumes: volumes(errors, &spec["volumes"], metadata, &path.child("volumes"), whose),
        claims: list(&spec["resourceClaims"])
            .iter()
            .map(|claim| text(&claim["name"]))
            .filter(|n| !n.is_empty())
            .collect(),
        grace: spec["terminationGracePeriodSeconds"].as_i64(),
        restart_policy: text(&spec["restartPolicy"]),
        host_users: spec["hostUsers"].as_bool().unwrap_or(true),
        os: text(&spec["os"]["name"]),
        names_os: is_set(&spec["os"]),
    };
    resource_claims(errors, &spec["resourceClaims"], metadata, &path.child("resourceClaims"));
    containers(errors, spec, &path.child("containers"), &scope);
    init_containers(errors, spec, &path.child("initContainers"), &scope);
    ephemeral_containers(errors, spec, &path.child("ephemeralContainers"), &scope);
    pod_requirements(errors, spec, path, &scope);
    validate_policies(errors, spec, path, whose);
    pod_security_context(errors, spec, path);
    affinity(errors, &spec["affinity"], &path.child("affinity"));
    dns_config(errors, spec, &path.child("dnsConfig"));
    gates(errors, spec, path);
    spread_constraints(errors, &spec["topologySpreadConstraints"], &path.child("topologySpreadConstraints"));
    host_processes(errors, spec, path);
    host_users(errors, spec, path);
    host_name_override(errors, spec, path);
    validate_names(errors, spec, path);
    validate_scheduling(errors, spec, path);
    if is_set(&spec["os"]) {
        windows_or_linux(errors, spec, path);
    }
    file_key_references(errors, spec, path);
}

/// Checks what templates may hold but pods may not.
pub(in crate::resources) fn validate_only_for_pods(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    if text(&spec["serviceAccountName"]).is_empty() {
        for (at, volume) in list(&spec["volumes"]).iter().enumerate() {
            let sources = path.child("volumes").index(at).child("projected").child("sources");
            for (index, source) in list(&volume["projected"]["sources"]).iter().enumerate() {
                if is_set(&source["serviceAccountToken"]) {
                    let detail = "must not be specified when serviceAccountName is not set";
                    forbidden(errors, &sources.index(index).child("serviceAccountToken"), detail);
                }
            }
        }
    }
    for part in ["containers", "initContainers"] {
        for (index, container) in list(&spec[part]).iter().enumerate() {
            image_has_no_padding(errors, container, &path.child(part).index(index));
        }
    }
}

/// An image name is taken as it stands, so spaces around it are a mistake.
pub(super) fn image_has_no_padding(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    let image = text(&container["image"]);
    if image.trim().len() != image.len() {
        invalid(errors, &path.child("image"), &image.into(), "must not have leading or trailing whitespace");
    }
}

fn validate_policies(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, whose: Whose) {
    if flag(&spec["hostNetwork"]) {
        host_ports_match(errors, spec, path, whose);
    }
    let restart = text(&spec["restartPolicy"]);
    required_one_of(errors, &path.child("restartPolicy"), restart, &["Always", "OnFailure", "Never"]);
    let dns = text(&spec["dnsPolicy"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    required_one_of(errors, &path.child("dnsPolicy"), dns, &policies);
    if let Some(selector) = spec["nodeSelector"].as_object() {
        validate_labels(selector, &path.child("nodeSelector"), errors);
    }
}

fn host_ports_match(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, whose: Whose) {
    for (at, container) in list(&spec["containers"]).iter().enumerate() {
        let path = path.child("containers").index(at).child("ports");
        for (index, port) in list(&container["ports"]).iter().enumerate() {
            let (host, inner) = (int(&port["hostPort"]), int(&port["containerPort"]));
            if (whose == Whose::Pod || host != 0) && host != inner {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                invalid(errors, &path.index(index).child("hostPort"), &host.into(), detail);
            }
        }
    }
}

fn dns_config(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const MAX_NAMESERVERS: usize = 3;
    const MAX_SEARCHES: usize = 32;
    const MAX_SEARCH_LENGTH: usize = 2048;
    let config = &spec["dnsConfig"];
    let (servers, searches) = (strings(&config["nameservers"]), strings(&config["searches"]));
    if spec["dnsPolicy"] == "None" {
        if !is_set(config) {
            return required(errors, path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return required(errors, &path.child("nameservers"), detail);
        }
    }
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        invalid(errors, &path.child("nameservers"), &config["nameservers"], detail);
    }
    for (index, server) in servers.iter().enumerate() {
        legacy_ip(errors, &path.child("nameservers").index(index), server);
    }
    let at = path.child("searches");
    if searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        invalid(errors, &at, &config["searches"], detail);
    }
    if searches.join(" ").len() > MAX_SEARCH_LENGTH {
        let detail =
            format!("must not have more than {MAX_SEARCH_LENGTH} characters (including spaces) in the search list");
        invalid(errors, &at, &config["searches"], detail);
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        let plain = search.replace('_', "-");
        // Underscores are accepted where hyphens are (relaxed DNS search validation).
        if !dns1123_subdomain(&plain).is_empty() && !dns1123_subdomain(&search.replace('_', "a")).is_empty() {
            let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*')";
            invalid(errors, &at.index(index), &search.into(), detail);
        }
    }
    for (index, option) in list(&config["options"]).iter().enumerate() {
        if text(&option["name"]).is_empty() {
            required(errors, &path.child("options").index(index), "must not be empty");
        }
    }
}

fn gates(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (index, gate) in list(&spec["readinessGates"]).iter().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        qualified(errors, &path, text(&gate["conditionType"]));
    }
    let mut seen = BTreeSet::new();
    for (index, gate) in list(&spec["schedulingGates"]).iter().enumerate() {
        let path = path.child("schedulingGates").index(index);
        let name = text(&gate["name"]);
        qualified(errors, &path, name);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path, &name.into()));
        }
    }
}

fn host_name_override(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const MAX: usize = 64;
    let Some(name) = spec["hostnameOverride"].as_str() else { return };
    let path = path.child("hostnameOverride");
    if flag(&spec["setHostnameAsFQDN"]) {
        forbidden(errors, &path, "may not be specified when setHostnameAsFQDN is true");
    }
    if flag(&spec["hostNetwork"]) {
        forbidden(errors, &path, "may not be specified when hostNetwork is true");
    }
    if name.len() > MAX {
        errors.push(FieldError::too_long(&path, MAX));
    }
    subdomain(errors, &path, name);
}

fn validate_names(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for name in ["serviceAccountName", "nodeName"] {
        let value = text(&spec[name]);
        if !value.is_empty() {
            subdomain(errors, &path.child(name), value);
        }
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=MAX_INT32).contains(&seconds)
    {
        let detail = format!("must be between 1 and {MAX_INT32}, inclusive");
        invalid(errors, &path.child("activeDeadlineSeconds"), &seconds.into(), detail);
    }
    for name in ["hostname", "subdomain"] {
        let value = text(&spec[name]);
        if !value.is_empty() {
            label(errors, &path.child(name), value);
        }
    }
}

fn validate_scheduling(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    tolerations(errors, &spec["tolerations"], &path.child("tolerations"));
    for (index, alias) in list(&spec["hostAliases"]).iter().enumerate() {
        let path = path.child("hostAliases").index(index);
        legacy_ip(errors, &path.child("ip"), text(&alias["ip"]));
        for (index, name) in strings(&alias["hostnames"]).into_iter().enumerate() {
            subdomain(errors, &path.child("hostnames").index(index), name);
        }
    }
    for name in ["priorityClassName", "runtimeClassName"] {
        if let Some(value) = spec[name].as_str()
            && (name == "runtimeClassName" || !value.is_empty())
        {
            invalid_each(errors, &path.child(name), value, dns1123_subdomain(value));
        }
    }
    if let Some(policy) = spec["preemptionPolicy"].as_str() {
        required_one_of(errors, &path.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
    for (name, amount) in entries(&spec["overhead"]) {
        let path = path.child("overhead").child("limits").key(name);
        amounts::container_resource_name(errors, &path, name);
        amounts::amount_of(errors, &path, name, amount);
    }
    if is_set(&spec["os"]) && text(&spec["os"]["name"]).is_empty() {
        required(errors, &path.child("os").child("name"), "");
    } else if is_set(&spec["os"]) {
        one_of(errors, &path.child("os"), text(&spec["os"]["name"]), &["linux", "windows"]);
    }
}

/// Files that variables are read from lie in volumes that are there, and empty at first.
fn file_key_references(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (part, at, container) in all_containers(spec) {
        for (index, variable) in list(&container["env"]).iter().enumerate() {
            let reference = &variable["valueFrom"]["fileKeyRef"];
            if !is_set(reference) {
                continue;
            }
            let path = path.child(part).index(at).child("env").index(index).child("valueFrom");
            let path = path.child("fileKeyRef").child("volumeName");
            let name = &reference["volumeName"];
            match list(&spec["volumes"]).iter().find(|volume| volume["name"] == *name) {
                None => errors.push(FieldError::not_found(&path, name)),
                Some(volume) if !is_set(&volume["emptyDir"]) => {
                    invalid(errors, &path, name, "referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    }
}

/// All containers: the part of the description they stand in, their index there, and they themselves.
pub(super) fn all_containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|part| list(&spec[part]).iter().enumerate().map(move |(index, container)| (part, index, container)))
}

/// The part of a pod's metadata that says it mirrors a file on a node.
pub(super) fn is_mirror(metadata: Option<&Map<String, Value>>) -> bool {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    metadata.is_some_and(|metadata| is_set(&entry(metadata, "annotations")[MIRROR]))
}
