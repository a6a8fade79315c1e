//! Checks of the containers of a pod: those that run, those that run first, and those added for debugging.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::env::{env, env_from};
use super::mounts::{volume_devices, volume_mounts};
use super::probes::{Probe, lifecycle, probe};
use super::requirements::container_requirements;
use super::security::security_context;
use super::spec::{Scope, image_has_no_padding};
use crate::resources::checks::network::{PROTOCOLS, port};
use crate::resources::checks::{forbidden, invalid, invalid_each, label, one_of, required, required_one_of};
use crate::resources::read::{int, is_set, list, text};

const PROBES: [(&str, Probe); 3] =
    [("livenessProbe", Probe::Liveness), ("readinessProbe", Probe::Readiness), ("startupProbe", Probe::Startup)];

pub(super) fn containers(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, scope: &Scope<'_>) {
    let containers = list(&spec["containers"]);
    if containers.is_empty() {
        return required(errors, path, "");
    }
    let mut names = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(errors, container, &path, scope);
        let name = text(&container["name"]);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), &name.into()));
        }
        handlers(errors, container, &path, scope);
        restart_policy(errors, container, &path);
    }
    host_ports(errors, containers, path);
}

pub(super) fn init_containers(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, scope: &Scope<'_>) {
    let mut names: BTreeSet<&str> = list(&spec["containers"]).iter().map(|c| text(&c["name"])).collect();
    for (index, container) in list(&spec["initContainers"]).iter().enumerate() {
        let at = path.index(index);
        common(errors, container, &at, scope);
        if is_set(&container["restartPolicy"]) {
            restart_policy(errors, container, &at);
        } else if !list(&container["restartPolicyRules"]).is_empty() {
            required(errors, &at.child("restartPolicy"), RULES_NEED_POLICY);
        }
        let restarts = container["restartPolicy"] == "Always";
        let name = text(&container["name"]);
        if names.contains(name) {
            errors.push(FieldError::duplicate(&at.child("name"), &name.into()));
        } else if !name.is_empty() {
            names.insert(name);
        }
        host_ports(errors, std::slice::from_ref(container), path);
        if restarts {
            handlers(errors, container, &at, scope);
        } else {
            for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if is_set(&container[name]) {
                    let detail = "may not be set for init containers without restartPolicy=Always";
                    forbidden(errors, &at.child(name), detail);
                }
            }
            for (index, policy) in list(&container["resizePolicy"]).iter().enumerate() {
                if policy["restartPolicy"] == "RestartContainer" {
                    let path = at.child("resizePolicy").index(index).child("restartPolicy");
                    let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                    invalid(errors, &path, &policy["restartPolicy"], detail);
                }
            }
        }
    }
}

/// The fields of a container that one added for debugging may have.
const OF_EPHEMERAL: &[&str] = &[
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "targetContainerName",
];

pub(super) fn ephemeral_containers(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, scope: &Scope<'_>) {
    const WHY: &str = "cannot be set for an Ephemeral Container";
    let named = |part: &str| list(&spec[part]).iter().map(|c| text(&c["name"])).collect::<Vec<_>>();
    let others: BTreeSet<&str> = named("containers").into_iter().chain(named("initContainers")).collect();
    let mut names = others.clone();
    for (index, container) in list(&spec["ephemeralContainers"]).iter().enumerate() {
        let path = path.index(index);
        common(errors, container, &path, scope);
        image_has_no_padding(errors, container, &path);
        let name = text(&container["name"]);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), &name.into()));
        }
        let target = text(&container["targetContainerName"]);
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(&path.child("targetContainerName"), &target.into()));
        }
        for (field, value) in crate::resources::read::entries(container) {
            let empty = field == "resources" && *value == serde_json::json!({});
            if !OF_EPHEMERAL.contains(&field) && !value.is_null() && !empty {
                forbidden(errors, &path.child(field), WHY);
            }
        }
        for (index, mount) in list(&container["volumeMounts"]).iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(&mount[field]).is_empty() {
                    forbidden(errors, &path.child("volumeMounts").index(index).child(field), WHY);
                }
            }
        }
    }
}

/// What is checked in containers of all sorts.
fn common(errors: &mut FieldErrors, container: &Value, path: &FieldPath, scope: &Scope<'_>) {
    match text(&container["name"]) {
        "" => required(errors, &path.child("name"), ""),
        name => label(errors, &path.child("name"), name),
    }
    if text(&container["image"]).is_empty() {
        required(errors, &path.child("image"), "");
    }
    let policy = text(&container["terminationMessagePolicy"]);
    let at = path.child("terminationMessagePolicy");
    required_one_of(errors, &at, policy, &["File", "FallbackToLogsOnError"]);
    ports(errors, &container["ports"], &path.child("ports"));
    env(errors, &container["env"], &path.child("env"));
    env_from(errors, &container["envFrom"], &path.child("envFrom"));
    volume_mounts(errors, container, &path.child("volumeMounts"), scope);
    volume_devices(errors, container, &path.child("volumeDevices"), scope);
    let pull = text(&container["imagePullPolicy"]);
    required_one_of(errors, &path.child("imagePullPolicy"), pull, &["Always", "IfNotPresent", "Never"]);
    container_requirements(errors, &container["resources"], &scope.claims, &path.child("resources"));
    resize_policy(errors, &container["resizePolicy"], &path.child("resizePolicy"), scope.restart_policy);
    security_context(errors, &container["securityContext"], &path.child("securityContext"), scope.host_users);
}

fn handlers(errors: &mut FieldErrors, container: &Value, path: &FieldPath, scope: &Scope<'_>) {
    lifecycle(errors, &container["lifecycle"], &path.child("lifecycle"), scope);
    for (name, kind) in PROBES {
        probe(errors, &container[name], kind, &path.child(name), scope.grace);
    }
}

fn ports(errors: &mut FieldErrors, ports: &Value, path: &FieldPath) {
    let mut names = BTreeSet::new();
    for (index, value) in list(ports).iter().enumerate() {
        let path = path.index(index);
        let name = text(&value["name"]);
        if !name.is_empty() {
            let wrong = atoll_api::validation::port_name(name);
            if !wrong.is_empty() {
                invalid_each(errors, &path.child("name"), name, wrong);
            } else if !names.insert(name) {
                errors.push(FieldError::duplicate(&path.child("name"), &name.into()));
            }
        }
        match int(&value["containerPort"]) {
            0 => required(errors, &path.child("containerPort"), ""),
            number => port(errors, &path.child("containerPort"), number),
        }
        if int(&value["hostPort"]) != 0 {
            port(errors, &path.child("hostPort"), int(&value["hostPort"]));
        }
        required_one_of(errors, &path.child("protocol"), text(&value["protocol"]), PROTOCOLS);
    }
}

/// A port of the host is used once.
fn host_ports(errors: &mut FieldErrors, containers: &[Value], path: &FieldPath) {
    let mut seen = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        for (index, port) in list(&container["ports"]).iter().enumerate() {
            let number = int(&port["hostPort"]);
            if number == 0 {
                continue;
            }
            let shown = format!("{}/{}/{number}", text(&port["protocol"]), text(&port["hostIP"]));
            if !seen.insert(shown.clone()) {
                let path = path.index(at).child("ports").index(index).child("hostPort");
                errors.push(FieldError::duplicate(&path, &shown.into()));
            }
        }
    }
}

fn resize_policy(errors: &mut FieldErrors, policies: &Value, path: &FieldPath, restart_policy: &str) {
    let mut seen = BTreeSet::new();
    for (index, policy) in list(policies).iter().enumerate() {
        let resource = text(&policy["resourceName"]);
        if !seen.insert(resource) {
            errors.push(FieldError::duplicate(&path.index(index), &resource.into()));
        }
        required_one_of(errors, path, resource, &["cpu", "memory"]);
        let restart = text(&policy["restartPolicy"]);
        required_one_of(errors, path, restart, &["NotRequired", "RestartContainer"]);
        if restart_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            invalid(errors, path, &restart.into(), detail);
        }
    }
}

const RULES_NEED_POLICY: &str = "must specify restartPolicy when restart rules are used";

/// A container's own restart policy and the rules for it.
fn restart_policy(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    const MAX_RULES: usize = 20;
    const MAX_CODES: usize = 255;
    let rules = list(&container["restartPolicyRules"]);
    match container["restartPolicy"].as_str() {
        None if !rules.is_empty() => {
            required(errors, &path.child("restartPolicy"), RULES_NEED_POLICY);
        }
        None => {}
        Some(policy) => one_of(errors, &path.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]),
    }
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&path.child("restartPolicyRules"), rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.child("restartPolicyRules").index(index);
        let action = text(&rule["action"]);
        one_of(errors, &path.child("action"), action, &["Restart", "RestartAllContainers"]);
        let codes = &rule["exitCodes"];
        if !is_set(codes) {
            required(errors, &path.child("exitCodes"), "must be specified");
            continue;
        }
        let path = path.child("exitCodes");
        one_of(errors, &path.child("operator"), text(&codes["operator"]), &["In", "NotIn"]);
        let count = list(&codes["values"]).len();
        if count > MAX_CODES {
            errors.push(FieldError::too_many(&path.child("values"), count, MAX_CODES));
        }
    }
}
