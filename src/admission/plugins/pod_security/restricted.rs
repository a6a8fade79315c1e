//! The checks of the restricted level: what hardening asks of every pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::baseline::{proc_mount, seccomp_profile};
use super::checks::{Check, Subject, Violation, containers, plural, quoted, setters};
use crate::admission::read::{has, list, text};

/// In the order of their names.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "allowPrivilegeEscalation",
        editions: &[(8, privilege_escalation), (25, privilege_escalation_but_on_windows)],
        in_place_of: "",
    },
    Check {
        id: "capabilities_restricted",
        editions: &[(22, capabilities), (25, capabilities_but_on_windows)],
        in_place_of: "capabilities_baseline",
    },
    Check { id: "procMount_restricted", editions: &[(35, proc_mount)], in_place_of: "procMount" },
    Check { id: "restrictedVolumes", editions: &[(0, volumes)], in_place_of: "hostPathVolumes" },
    Check {
        id: "runAsNonRoot",
        editions: &[(0, run_as_non_root), (35, run_as_non_root_without_own_users)],
        in_place_of: "",
    },
    Check { id: "runAsUser", editions: &[(23, run_as_user), (35, run_as_user_without_own_users)], in_place_of: "" },
    Check {
        id: "seccompProfile_restricted",
        editions: &[(19, seccomp), (25, seccomp_but_on_windows)],
        in_place_of: "seccompProfile_baseline",
    },
];

/// The volume types that a pod may use.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// The others; of several in one volume, which validation refuses, the first is told.
const OTHER_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn privilege_escalation(subject: &Subject<'_>) -> Option<Violation> {
    let names = subject.containers(|container| container["securityContext"]["allowPrivilegeEscalation"] != false);
    (!names.is_empty()).then(|| {
        let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&names));
        Violation::new("allowPrivilegeEscalation != false", detail)
    })
}

fn privilege_escalation_but_on_windows(subject: &Subject<'_>) -> Option<Violation> {
    if subject.is_for_windows() { None } else { privilege_escalation(subject) }
}

fn capabilities(subject: &Subject<'_>) -> Option<Violation> {
    let of = |container: &'_ Value, which: &str| -> Vec<String> {
        let listed = list(&container["securityContext"]["capabilities"], which);
        listed.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keeping = subject.containers(|container| !of(container, "drop").iter().any(|dropped| dropped == "ALL"));
    let mut added = BTreeSet::new();
    let adding = subject.containers(|container| {
        let bad: Vec<String> = of(container, "add").into_iter().filter(|name| name != "NET_BIND_SERVICE").collect();
        let is_bad = !bad.is_empty();
        added.extend(bad);
        is_bad
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    }
    if !adding.is_empty() {
        let (who, what) = (containers(&adding), quoted(added));
        details.push(format!("{who} must not include {what} in securityContext.capabilities.add"));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

fn capabilities_but_on_windows(subject: &Subject<'_>) -> Option<Violation> {
    if subject.is_for_windows() { None } else { capabilities(subject) }
}

fn volumes(subject: &Subject<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let mut names = Vec::new();
    for volume in list(subject.pod.spec, "volumes") {
        if VOLUMES.iter().any(|kind| has(volume, kind)) {
            continue;
        }
        names.push(text(volume, "name"));
        kinds.insert(OTHER_VOLUMES.into_iter().find(|kind| has(volume, kind)).unwrap_or("unknown"));
    }
    (!names.is_empty()).then(|| {
        let which = format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names));
        let uses = plural("uses", "use", names.len());
        let what = plural("restricted volume type", "restricted volume types", kinds.len());
        Violation::new("restricted volume types", format!("{which} {uses} {what} {}", quoted(kinds)))
    })
}

fn run_as_non_root(subject: &Subject<'_>) -> Option<Violation> {
    let pod = subject.context()["runAsNonRoot"].as_bool();
    let of = |container: &Value| container["securityContext"]["runAsNonRoot"].as_bool();
    let explicit = subject.containers(|container| of(container) == Some(false));
    let reason = "runAsNonRoot != true";
    if let Some(blamed) = setters(pod == Some(false), &explicit) {
        return Some(Violation::new(reason, format!("{blamed} must not set securityContext.runAsNonRoot=false")));
    }
    let implicit = subject.containers(|container| of(container).is_none() && pod != Some(true));
    (!implicit.is_empty()).then(|| {
        Violation::new(reason, format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&implicit)))
    })
}

fn run_as_non_root_without_own_users(subject: &Subject<'_>) -> Option<Violation> {
    if subject.has_own_users() { None } else { run_as_non_root(subject) }
}

fn run_as_user(subject: &Subject<'_>) -> Option<Violation> {
    let is_root = |context: &Value| context["runAsUser"].as_i64() == Some(0);
    let names = subject.containers(|container| is_root(&container["securityContext"]));
    let blamed = setters(is_root(subject.context()), &names)?;
    Some(Violation::new("runAsUser=0", format!("{blamed} must not set runAsUser=0")))
}

fn run_as_user_without_own_users(subject: &Subject<'_>) -> Option<Violation> {
    if subject.has_own_users() { None } else { run_as_user(subject) }
}

fn seccomp(subject: &Subject<'_>) -> Option<Violation> {
    if let Some(violation) = seccomp_profile(subject) {
        return Some(violation);
    }
    let pod = has(subject.context(), "seccompProfile");
    let implicit = subject.containers(|container| !pod && !has(&container["securityContext"], "seccompProfile"));
    (!implicit.is_empty()).then(|| {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&implicit)
        );
        Violation::new("seccompProfile", detail)
    })
}

fn seccomp_but_on_windows(subject: &Subject<'_>) -> Option<Violation> {
    if subject.is_for_windows() { None } else { seccomp(subject) }
}
