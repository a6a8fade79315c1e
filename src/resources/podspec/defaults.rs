//! Defaults inside of pods' descriptions, by type.

use serde_json::{Map, Value, json};

use super::image::pull_policy;
use super::requirements::sum_of;
use crate::resources::defaults::{TypeDefaults, child, each, made, set};
use crate::resources::read::{entry, flag, int, is_set, text};

pub(in crate::resources) const DEFAULTS: TypeDefaults = &[
    ("core.v1.PodSpec", spec_defaults),
    ("core.v1.Container", container_defaults),
    ("core.v1.EphemeralContainer", container_defaults),
    ("core.v1.Probe", probe_defaults),
    ("core.v1.HTTPGetAction", http_get_defaults),
    ("core.v1.Volume", volume_defaults),
    ("core.v1.SecretVolumeSource", mode_defaults),
    ("core.v1.ConfigMapVolumeSource", mode_defaults),
    ("core.v1.DownwardAPIVolumeSource", mode_defaults),
    ("core.v1.ProjectedVolumeSource", mode_defaults),
    ("core.v1.ServiceAccountTokenProjection", |token| set(token, "expirationSeconds", 3600)),
    ("core.v1.HostPathVolumeSource", |volume| set(volume, "type", "")),
    ("core.v1.ObjectFieldSelector", |selector| set(selector, "apiVersion", "v1")),
];

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "restartPolicy", "Always");
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "schedulerName", "default-scheduler");
    // The field's old name is kept equal to it, as conversion does (core/v1/conversion.go, 1.36).
    let account = match text(entry(spec, "serviceAccountName")) {
        "" => text(entry(spec, "serviceAccount")).to_owned(),
        name => name.to_owned(),
    };
    if !account.is_empty() {
        spec.insert("serviceAccountName".into(), account.clone().into());
        spec.insert("serviceAccount".into(), account.into());
    }
}

fn container_defaults(container: &mut Map<String, Value>) {
    if !container.contains_key("imagePullPolicy") {
        let policy = pull_policy(text(entry(container, "image")));
        container.insert("imagePullPolicy".into(), policy.into());
    }
    // Signals are a feature that is not switched on; a lifecycle that tells nothing else goes with them.
    if let Some(lifecycle) = child(container, "lifecycle")
        && lifecycle.remove("stopSignal").is_some()
        && lifecycle.is_empty()
    {
        container.remove("lifecycle");
    }
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
}

fn probe_defaults(probe: &mut Map<String, Value>) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        set(probe, field, value);
    }
}

fn http_get_defaults(action: &mut Map<String, Value>) {
    set(action, "path", "/");
    set(action, "scheme", "HTTP");
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".into(), json!({}));
    }
    if let Some(image) = child(volume, "image")
        && !image.contains_key("pullPolicy")
    {
        let policy = pull_policy(text(entry(image, "reference")));
        image.insert("pullPolicy".into(), policy.into());
    }
}

/// Files are readable by everybody and writable by their owner: 0644.
fn mode_defaults(volume: &mut Map<String, Value>) {
    set(volume, "defaultMode", 0o644);
}

/// The defaults of the description of a pod itself, which templates do not get.
pub(in crate::resources) fn pod_only_defaults(spec: &mut Map<String, Value>) {
    for containers in ["containers", "initContainers"] {
        for resources in each(spec, containers).filter_map(|container| child(container, "resources")) {
            let limits = entry(resources, "limits").as_object().cloned();
            for (name, limit) in limits.into_iter().flatten() {
                set(made(resources, "requests"), &name, limit);
            }
        }
    }
    pod_resource_defaults(spec);
    set(spec, "enableServiceLinks", true);
    // What was accepted before it was checked is read as the shortest time there is (core/v1/conversion.go, 1.36).
    if int(entry(spec, "terminationGracePeriodSeconds")) < 0 {
        spec.insert("terminationGracePeriodSeconds".into(), 1.into());
    }
    if flag(entry(spec, "hostNetwork")) {
        for containers in ["containers", "initContainers"] {
            for port in each(spec, containers).flat_map(|container| each(container, "ports")) {
                let number = entry(port, "containerPort").clone();
                set(port, "hostPort", number);
            }
        }
    }
}

/// What a pod asks for as a whole where it says so (KEP-2837): as much as its containers, or else as much as it may have.
fn pod_resource_defaults(spec: &mut Map<String, Value>) {
    let supported = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    let containers = json!({"containers": entry(spec, "containers"), "initContainers": entry(spec, "initContainers")});
    let Some(resources) = child(spec, "resources") else { return };
    let is_empty = |part: &Value| part.as_object().is_none_or(Map::is_empty);
    if is_empty(entry(resources, "limits")) && is_empty(entry(resources, "requests")) {
        return;
    }
    for (name, sum) in sum_of(&containers, "limits").into_iter().filter(|(name, _)| name.starts_with("hugepages-")) {
        if !is_set(&entry(resources, "requests")[&name]) {
            set(made(resources, "limits"), &name, sum.to_string());
        }
    }
    if is_empty(entry(resources, "limits")) {
        return;
    }
    for (name, sum) in sum_of(&containers, "requests") {
        if matches!(name.as_str(), "cpu" | "memory") {
            set(made(resources, "requests"), &name, sum.to_string());
        }
    }
    let limits = entry(resources, "limits").as_object().cloned();
    for (name, limit) in limits.into_iter().flatten().filter(|(name, _)| supported(name)) {
        set(made(resources, "requests"), &name, limit);
    }
}
