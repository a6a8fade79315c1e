//! Warnings about descriptions of pods that are accepted: what is deprecated, ignored or probably not meant.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::{FieldPath, Object};
use serde_json::{Map, Value};

use super::overlaps;
use super::spec::all_containers;
use crate::request::RequestContext;
use crate::resources::checks::labels::{self, Term, term_warnings};
use crate::resources::checks::network::ip_warning;
use crate::resources::read::{entries, entry, field, int, is_set, list, quantity, strings, text};

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_FIELD: &str = r#"non-functional in v1.27+; use the "seccompProfile" field instead"#;
const APPARMOR_FIELD: &str = r#"deprecated since v1.30; use the "appArmorProfile" field instead"#;
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";
const ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        r#"non-functional in v1.16+; use the "priorityClassName" field instead"#,
    ),
    ("security.alpha.kubernetes.io/sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
    ("security.alpha.kubernetes.io/unsafe-sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
];
const VOLUMES: &[(&str, &str)] = &[
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];
/// With how many earlier ports a port is compared.
const MAX_COMPARED: usize = 16;

/// The warnings for a pod or a template of pods; the path of a pod is empty.
pub(in crate::resources) fn warnings(template: &Map<String, Value>, path: &FieldPath) -> Vec<String> {
    let spec = entry(template, "spec");
    let annotations = &entry(template, "metadata")["annotations"];
    let mut found = Warnings { all: Vec::new(), path: path.clone(), at: path.child("spec") };
    found.nodes(spec);
    found.annotations(annotations);
    found.volumes(spec);
    found.repeated(spec);
    found.amounts(&spec["overhead"], &path.child("spec").child("overhead"));
    if !is_set(&spec["securityContext"]["seccompProfile"]) && is_set(&annotations[SECCOMP_POD]) {
        found.annotation(SECCOMP_POD, SECCOMP_FIELD);
    }
    for (list_name, index, container) in all_containers(spec) {
        let at = found.at.child(list_name).index(index);
        found.container(container, spec, annotations, &at);
    }
    found.ports(spec);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        let at = found.at.child("terminationGracePeriodSeconds");
        found.say(&at, "must be >= 0; negative values are invalid and will be treated as 1");
    }
    found.affinity(&spec["affinity"]);
    found.addresses(spec);
    found.all
}

struct Warnings {
    all: Vec<String>,
    /// The template.
    path: FieldPath,
    /// Its specification.
    at: FieldPath,
}

impl Warnings {
    fn say(&mut self, path: &FieldPath, what: &str) {
        self.all.push(format!("{path}: {what}"));
    }

    fn annotation(&mut self, name: &str, what: &str) {
        let at = self.path.child("metadata").child("annotations").key(name);
        self.say(&at, what);
    }

    fn nodes(&mut self, spec: &Value) {
        for (label, _) in entries(&spec["nodeSelector"]) {
            if let Some(message) = labels::deprecated(label) {
                self.say(&self.at.child("nodeSelector").key(label), message);
            }
        }
        let affinity = &spec["affinity"]["nodeAffinity"];
        let at = self.at.child("affinity").child("nodeAffinity");
        let (must, should) =
            ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
        for (index, term) in list(&affinity[must]["nodeSelectorTerms"]).iter().enumerate() {
            let at = at.child(must).child("nodeSelectorTerms").index(index);
            self.all.extend(term_warnings(term, &at, Term::Required));
        }
        for (index, term) in list(&affinity[should]).iter().enumerate() {
            let at = at.child(should).index(index).child("preference");
            self.all.extend(term_warnings(&term["preference"], &at, Term::Preferred));
        }
        for (index, constraint) in list(&spec["topologySpreadConstraints"]).iter().enumerate() {
            let at = self.at.child("topologySpreadConstraints").index(index);
            let key = text(&constraint["topologyKey"]);
            if let Some(message) = labels::deprecated(key) {
                self.say(&at.child("topologyKey"), &format!("{key} is {message}"));
            }
            if !is_set(&constraint["labelSelector"]) {
                self.say(&at.child("labelSelector"), NO_SELECTOR);
            }
        }
    }

    fn annotations(&mut self, annotations: &Value) {
        for (name, message) in ANNOTATIONS.iter().filter(|(name, _)| is_set(&annotations[*name])) {
            self.annotation(name, message);
        }
    }

    fn volumes(&mut self, spec: &Value) {
        for (index, volume) in list(&spec["volumes"]).iter().enumerate() {
            let at = self.at.child("volumes").index(index);
            for (kind, message) in VOLUMES.iter().filter(|(kind, _)| is_set(&volume[*kind])) {
                // Kubernetes warns of this field by a name that it does not have (api/pod/warnings.go, 1.36).
                let shown = if *kind == "storageos" { "storageOS" } else { kind };
                self.say(&at.child(shown), message);
            }
            let claim = &volume["ephemeral"]["volumeClaimTemplate"];
            if is_set(claim) {
                let at = at.child("ephemeral").child("volumeClaimTemplate").child("spec");
                self.all.extend(claim_warnings(&claim["spec"], &at));
            }
        }
        self.all.extend(overlaps::warnings(&spec["volumes"]));
    }

    fn repeated(&mut self, spec: &Value) {
        for (list_name, field, what) in [("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")] {
            let mut seen = BTreeSet::new();
            for (index, item) in list(&spec[list_name]).iter().enumerate() {
                let value = text(&item[field]);
                if !seen.insert(value) {
                    let at = self.at.child(list_name).index(index).child(field);
                    self.say(&at, &format!("duplicate {what} {value:?}"));
                }
            }
        }
        for (index, secret) in list(&spec["imagePullSecrets"]).iter().enumerate() {
            if text(&secret["name"]).is_empty() {
                let at = self.at.child("imagePullSecrets").index(index).child("name");
                self.say(&at, "invalid empty name \"\"");
            }
        }
    }

    /// Bytes come in whole numbers.
    fn amounts(&mut self, amounts: &Value, path: &FieldPath) {
        for name in ["memory", "ephemeral-storage"] {
            self.all.extend(fraction(&amounts[name], &path.key(name)));
        }
    }

    fn container(&mut self, container: &Value, spec: &Value, annotations: &Value, path: &FieldPath) {
        let name = text(&container["name"]);
        let context = &container["securityContext"];
        let seccomp = format!("{SECCOMP_CONTAINER}{name}");
        if !is_set(&context["seccompProfile"]) && is_set(&annotations[&seccomp]) {
            self.annotation(&seccomp, SECCOMP_FIELD);
        }
        let apparmor = format!("{APPARMOR}{name}");
        let is_template = !self.path.as_str().is_empty();
        if is_template
            && !is_set(&context["appArmorProfile"])
            && let Some(wanted) = annotations[&apparmor].as_str()
        {
            let of_pod = &spec["securityContext"]["appArmorProfile"];
            if !is_set(of_pod) || apparmor_profile(wanted).as_ref() != Some(of_pod) {
                self.annotation(&apparmor, APPARMOR_FIELD);
            }
        }
        for resource in ["memory", "ephemeral-storage"] {
            for part in ["limits", "requests"] {
                let at = path.child("resources").child(part).key(resource);
                self.all.extend(fraction(&container["resources"][part][resource], &at));
            }
        }
        self.variables(container, path);
    }

    fn variables(&mut self, container: &Value, path: &FieldPath) {
        let mut seen = BTreeSet::new();
        for (index, variable) in list(&container["env"]).iter().enumerate() {
            let name = text(&variable["name"]);
            if seen.insert(name) {
                continue;
            }
            let (value, reference) = (text(&variable["value"]), format!("$({name})"));
            // A value that is built upon the earlier one is meant.
            if is_set(&variable["valueFrom"]) || value == reference || !value.contains(&reference) {
                let what = format!("hides previous definition of {name:?}, which may be dropped when using apply");
                self.say(&path.child("env").index(index), &what);
            }
        }
    }

    fn ports(&mut self, spec: &Value) {
        let mut known: BTreeMap<(i64, &str), Vec<(FieldPath, &Value)>> = BTreeMap::new();
        let mut names: BTreeMap<&str, FieldPath> = BTreeMap::new();
        let mut about_names = Vec::new();
        for (list_name, index, container) in all_containers(spec) {
            let at = self.at.child(list_name).index(index).child("ports");
            for (index, port) in list(&container["ports"]).iter().enumerate() {
                let at = at.index(index);
                if !text(&port["hostIP"]).is_empty() && int(&port["hostPort"]) == 0 {
                    self.say(&at, &format!("hostIP set without hostPort: {}", go_port(port)));
                }
                let key = (int(&port["containerPort"]), text(&port["protocol"]));
                let others = known.entry(key).or_default();
                for (other_at, other) in others.iter() {
                    if let Some(what) = compare_ports(port, other) {
                        self.say(&at, &format!("{what} port definition with {other_at}"));
                    }
                }
                if others.len() < MAX_COMPARED {
                    others.push((at.clone(), port));
                }
                let name = text(&port["name"]);
                if let Some(other) = names.get(name) {
                    about_names.push(format!("{at}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}"));
                } else if !name.is_empty() {
                    names.insert(name, at);
                }
            }
        }
        self.all.append(&mut about_names);
    }

    fn affinity(&mut self, affinity: &Value) {
        for kind in ["podAffinity", "podAntiAffinity"] {
            let at = self.at.child("affinity").child(kind);
            let must = "requiredDuringSchedulingIgnoredDuringExecution";
            for (index, term) in list(&affinity[kind][must]).iter().enumerate() {
                if !is_set(&term["labelSelector"]) {
                    self.say(&at.child(must).index(index).child("labelSelector"), NO_SELECTOR);
                }
            }
            let should = "preferredDuringSchedulingIgnoredDuringExecution";
            for (index, term) in list(&affinity[kind][should]).iter().enumerate() {
                if !is_set(&term["podAffinityTerm"]["labelSelector"]) {
                    let at = at.child(should).index(index).child("podAffinityTerm").child("labelSelector");
                    self.say(&at, NO_SELECTOR);
                }
            }
        }
    }

    fn addresses(&mut self, spec: &Value) {
        let servers = strings(&spec["dnsConfig"]["nameservers"]).into_iter().enumerate();
        let at = self.at.child("dnsConfig").child("nameservers");
        self.all.extend(servers.filter_map(|(index, server)| ip_warning(&at.index(index), server)));
        for (index, alias) in list(&spec["hostAliases"]).iter().enumerate() {
            let at = self.at.child("hostAliases").index(index).child("ip");
            self.all.extend(ip_warning(&at, text(&alias["ip"])));
        }
    }
}

/// How two ports of the same number and protocol get into each other's way.
fn compare_ports(port: &Value, other: &Value) -> Option<&'static str> {
    let address = |port: &Value| text(&port["hostIP"]).to_owned();
    let (ours, theirs) = (int(&port["hostPort"]), int(&other["hostPort"]));
    if ours == theirs && address(port) == address(other) {
        Some("duplicate")
    } else if ours == 0 || theirs == 0 {
        Some("overlapping")
    } else if ours == theirs && address(port).is_empty() != address(other).is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

/// A port as Go prints the struct.
fn go_port(port: &Value) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        text(&port["name"]),
        int(&port["hostPort"]),
        int(&port["containerPort"]),
        text(&port["protocol"]),
        text(&port["hostIP"]),
    )
}

/// The profile that the value of an annotation stands for.
fn apparmor_profile(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(serde_json::json!({"type": "Unconfined"})),
        "runtime/default" => Some(serde_json::json!({"type": "RuntimeDefault"})),
        _ => {
            let name = annotation.strip_prefix("localhost/").filter(|name| !name.is_empty())?;
            Some(serde_json::json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

/// Puts AppArmor profiles that are given as annotations, as they were before 1.30, into the fields of a new pod's
/// containers, and warns of those without a field that says as much.
pub(in crate::resources) fn take_profiles_from_annotations(cx: &RequestContext, pod: &mut Object) {
    let annotations = field(pod, "metadata")["annotations"].clone();
    let has_some = annotations.as_object().is_some_and(|all| all.keys().any(|key| key.starts_with(APPARMOR)));
    let spec = pod.map_mut("spec");
    if !has_some || entry(spec, "os")["name"] == "windows" {
        return;
    }
    let of_pod = entry(spec, "securityContext")["appArmorProfile"].clone();
    for part in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = spec.get_mut(part).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let key = format!("{APPARMOR}{}", text(entry(container, "name")));
            let Some(annotation) = annotations[&key].as_str() else { continue };
            if is_set(&entry(container, "securityContext")["appArmorProfile"]) {
                continue;
            }
            let profile = apparmor_profile(annotation).filter(is_usable);
            if profile.as_ref() == Some(&of_pod) {
                continue;
            }
            cx.warn(format!("{}: {APPARMOR_FIELD}", FieldPath::new("metadata").child("annotations").key(&key)));
            if let Some(profile) = profile {
                let context = container.entry("securityContext").or_insert(Value::Null);
                if !context.is_object() {
                    *context = serde_json::json!({});
                }
                context["appArmorProfile"] = profile;
            }
        }
    }
}

/// Whether a profile from an annotation would pass as a field.
fn is_usable(profile: &Value) -> bool {
    let name = &profile["localhostProfile"];
    name.as_str().is_none_or(|name| name.trim() == name && name.len() <= 4095)
}

/// A warning about an amount of bytes that is not whole.
fn fraction(amount: &Value, path: &FieldPath) -> Option<String> {
    let amount = quantity(amount);
    (amount.milli() % 1000 != 0)
        .then(|| format!("{path}: fractional byte value \"{amount}\" is invalid, must be an integer"))
}

/// The warnings for a claim to a volume.
pub(in crate::resources) fn claim_warnings(spec: &Value, path: &FieldPath) -> Vec<String> {
    let of =
        |part: &str| fraction(&spec["resources"][part]["storage"], &path.child("resources").child(part).key("storage"));
    ["requests", "limits"].into_iter().filter_map(of).collect()
}

/// The warnings for the template of an object's specification; of a changed object only if the specification changed.
pub(in crate::resources) fn template_warnings(
    object: &atoll_api::Object,
    old: Option<&atoll_api::Object>,
    path: &str,
) -> Vec<String> {
    let outer = path.split('.').next().unwrap_or(path);
    if old.is_some_and(|old| old.get(outer) == object.get(outer)) {
        return Vec::new();
    }
    let parts: Vec<&str> = path.split('.').collect();
    let template = object.at(&parts).and_then(Value::as_object);
    template.map(|template| warnings(template, &FieldPath::new(path))).unwrap_or_default()
}
