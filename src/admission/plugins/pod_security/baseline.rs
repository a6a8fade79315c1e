//! The checks of the baseline level: what gives a pod more than others have.

use std::collections::BTreeSet;

use atoll_api::field::go_quote;
use serde_json::Value;

use super::checks::{Check, Subject, Violation, containers, plural, quoted, setters};
use crate::admission::read::{flag, has, list, text};

/// In the order of their names.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "appArmorProfile", editions: &[(0, app_armor_profile)], in_place_of: "" },
    Check { id: "capabilities_baseline", editions: &[(0, capabilities)], in_place_of: "" },
    Check { id: "hostNamespaces", editions: &[(0, host_namespaces)], in_place_of: "" },
    Check { id: "hostPathVolumes", editions: &[(0, host_path_volumes)], in_place_of: "" },
    Check { id: "hostPorts", editions: &[(0, host_ports)], in_place_of: "" },
    Check { id: "hostProbesAndHostLifecycle", editions: &[(34, probe_hosts)], in_place_of: "" },
    Check { id: "privileged", editions: &[(0, privileged)], in_place_of: "" },
    Check { id: "procMount", editions: &[(0, proc_mount), (35, proc_mount_with_own_users)], in_place_of: "" },
    Check { id: "seLinuxOptions", editions: &[(0, se_linux), (31, se_linux_with_engines)], in_place_of: "" },
    Check {
        id: "seccompProfile_baseline",
        editions: &[(0, seccomp_annotations), (19, seccomp_profile)],
        in_place_of: "",
    },
    Check {
        id: "sysctls",
        editions: &[(0, sysctls_1_0), (27, sysctls_1_27), (29, sysctls_1_29), (32, sysctls_1_32)],
        in_place_of: "",
    },
    Check { id: "windowsHostProcess", editions: &[(0, windows_host_process)], in_place_of: "" },
];

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SE_LINUX_TYPES: [&str; 4] = ["", "container_t", "container_init_t", "container_kvm_t"];
const SE_LINUX_ENGINE: &str = "container_engine_t";
/// Harmless sysctls, in the order in which releases came to know them as such.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

fn app_armor_profile(subject: &Subject<'_>) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let mut is_bad = |context: &Value| {
        let profile = &context["appArmorProfile"];
        let kind = text(profile, "type");
        let bad = !profile.is_null() && !matches!(kind, "RuntimeDefault" | "Localhost");
        if bad {
            values.insert(kind.to_owned());
        }
        bad
    };
    let pod = is_bad(subject.context());
    let names = subject.containers(|container| is_bad(&container["securityContext"]));
    let annotations: BTreeSet<String> = subject
        .annotations
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(APP_ARMOR_ANNOTATION))
        .map(|(key, value)| (key, value.as_str().unwrap_or_default()))
        .filter(|(_, profile)| {
            !profile.is_empty() && *profile != "runtime/default" && !profile.starts_with("localhost/")
        })
        .map(|(key, profile)| format!("{key}={}", go_quote(profile)))
        .collect();
    let mut blamed: Vec<String> = setters(pod, &names).into_iter().collect();
    if !annotations.is_empty() {
        blamed.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    if blamed.is_empty() {
        return None;
    }
    let values: Vec<String> = values.into_iter().chain(annotations).collect();
    Some(Violation::new(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len()),
        format!("{} must not set AppArmor profile type to {}", blamed.join(" and "), quoted(values)),
    ))
}

fn capabilities(subject: &Subject<'_>) -> Option<Violation> {
    let mut unusual = BTreeSet::new();
    let names = subject.containers(|container| {
        let added = list(&container["securityContext"]["capabilities"], "add").iter().filter_map(Value::as_str);
        let bad: Vec<&str> = added.filter(|added| !DEFAULT_CAPABILITIES.contains(added)).collect();
        unusual.extend(bad.iter().copied());
        !bad.is_empty()
    });
    (!names.is_empty()).then(|| {
        let detail =
            format!("{} must not include {} in securityContext.capabilities.add", containers(&names), quoted(unusual));
        Violation::new("non-default capabilities", detail)
    })
}

fn host_namespaces(subject: &Subject<'_>) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| flag(subject.pod.spec, field))
        .map(|field| format!("{field}=true"))
        .collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", ")))
}

fn host_path_volumes(subject: &Subject<'_>) -> Option<Violation> {
    let volumes = list(subject.pod.spec, "volumes").iter().filter(|volume| has(volume, "hostPath"));
    let names: Vec<&str> = volumes.map(|volume| text(volume, "name")).collect();
    (!names.is_empty()).then(|| {
        Violation::new("hostPath volumes", format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names)))
    })
}

fn host_ports(subject: &Subject<'_>) -> Option<Violation> {
    let mut ports = BTreeSet::new();
    let names = subject.containers(|container| {
        let used = list(container, "ports").iter().filter_map(|port| port["hostPort"].as_i64());
        let used: Vec<i64> = used.filter(|port| *port != 0).collect();
        ports.extend(used.iter().map(i64::to_string));
        !used.is_empty()
    });
    (!names.is_empty()).then(|| {
        let uses = plural("uses", "use", names.len());
        let what = plural("hostPort", "hostPorts", ports.len());
        let ports: Vec<String> = ports.into_iter().collect();
        Violation::new("hostPort", format!("{} {uses} {what} {}", containers(&names), ports.join(", ")))
    })
}

fn probe_hosts(subject: &Subject<'_>) -> Option<Violation> {
    let mut hosts = BTreeSet::new();
    let names = subject.containers(|container| {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|field| &container[field]);
        let hooks = ["postStart", "preStop"].map(|field| &container["lifecycle"][field]);
        let actions = probes.into_iter().chain(hooks).flat_map(|handler| [&handler["httpGet"], &handler["tcpSocket"]]);
        let named: Vec<&str> = actions.map(|action| text(action, "host")).filter(|host| !host.is_empty()).collect();
        hosts.extend(named.iter().copied());
        !named.is_empty()
    });
    let names: Vec<&str> = BTreeSet::from_iter(names).into_iter().collect();
    (!names.is_empty()).then(|| {
        let uses = plural("uses", "use", names.len());
        let what = plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len());
        Violation::new("probe or lifecycle host", format!("{} {uses} {what} {}", containers(&names), quoted(hosts)))
    })
}

fn privileged(subject: &Subject<'_>) -> Option<Violation> {
    let names = subject.containers(|container| flag(&container["securityContext"], "privileged"));
    (!names.is_empty()).then(|| {
        Violation::new("privileged", format!("{} must not set securityContext.privileged=true", containers(&names)))
    })
}

/// Also a check of the restricted level, where users of the pod's own change nothing.
pub(super) fn proc_mount(subject: &Subject<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let names = subject.containers(|container| {
        let kind = container["securityContext"]["procMount"].as_str().filter(|kind| *kind != "Default");
        kinds.extend(kind);
        kind.is_some()
    });
    (!names.is_empty()).then(|| {
        let detail = format!("{} must not set securityContext.procMount to {}", containers(&names), quoted(kinds));
        Violation::new("procMount", detail)
    })
}

fn proc_mount_with_own_users(subject: &Subject<'_>) -> Option<Violation> {
    if subject.has_own_users() { None } else { proc_mount(subject) }
}

fn se_linux(subject: &Subject<'_>) -> Option<Violation> {
    se_linux_options(subject, |kind| SE_LINUX_TYPES.contains(&kind))
}

fn se_linux_with_engines(subject: &Subject<'_>) -> Option<Violation> {
    se_linux_options(subject, |kind| SE_LINUX_TYPES.contains(&kind) || kind == SE_LINUX_ENGINE)
}

fn se_linux_options(subject: &Subject<'_>, is_allowed: fn(&str) -> bool) -> Option<Violation> {
    let (mut kinds, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut is_bad = |context: &Value| {
        let options = &context["seLinuxOptions"];
        let kind = text(options, "type");
        let (bad_kind, bad_user, bad_role) =
            (!is_allowed(kind), !text(options, "user").is_empty(), !text(options, "role").is_empty());
        if bad_kind {
            kinds.insert(kind.to_owned());
        }
        user |= bad_user;
        role |= bad_role;
        bad_kind || bad_user || bad_role
    };
    let pod = is_bad(subject.context());
    let names = subject.containers(|container| is_bad(&container["securityContext"]));
    let blamed = setters(pod, &names)?;
    let mut bad = Vec::new();
    if !kinds.is_empty() {
        bad.push(format!("{} {}", plural("type", "types", kinds.len()), quoted(kinds)));
    }
    if user {
        bad.push("user may not be set".to_owned());
    }
    if role {
        bad.push("role may not be set".to_owned());
    }
    let detail = format!("{blamed} set forbidden securityContext.seLinuxOptions: {}", bad.join("; "));
    Some(Violation::new("seLinuxOptions", detail))
}

fn seccomp_annotations(subject: &Subject<'_>) -> Option<Violation> {
    let is_fine =
        |profile: &str| matches!(profile, "runtime/default" | "docker/default") || profile.starts_with("localhost/");
    let named = subject.pod.all_containers().map(|container| text(container, "name"));
    let keys = [SECCOMP_POD_ANNOTATION.to_owned()].into_iter();
    let keys = keys.chain(named.map(|name| format!("{SECCOMP_ANNOTATION}{name}")));
    let forbidden: BTreeSet<String> = keys
        .filter_map(|key| {
            let profile = subject.annotation(&key).filter(|profile| !is_fine(profile))?;
            Some(format!("{key}={}", go_quote(profile)))
        })
        .collect();
    (!forbidden.is_empty()).then(|| {
        let what = plural("annotation", "annotations", forbidden.len());
        let forbidden: Vec<String> = forbidden.into_iter().collect();
        Violation::new("seccompProfile", format!("forbidden {what} {}", forbidden.join(", ")))
    })
}

/// What a seccomp profile is set to, if it is one that is not allowed.
pub(super) fn bad_seccomp(context: &Value) -> Option<&str> {
    let profile = &context["seccompProfile"];
    let kind = text(profile, "type");
    (!profile.is_null() && !matches!(kind, "Localhost" | "RuntimeDefault")).then_some(kind)
}

/// Profiles that are set to what is not allowed.
pub(super) fn seccomp_profile(subject: &Subject<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let pod = bad_seccomp(subject.context());
    kinds.extend(pod);
    let names = subject.containers(|container| {
        let kind = bad_seccomp(&container["securityContext"]);
        kinds.extend(kind);
        kind.is_some()
    });
    let blamed = setters(pod.is_some(), &names)?;
    let detail = format!("{blamed} must not set securityContext.seccompProfile.type to {}", quoted(kinds));
    Some(Violation::new("seccompProfile", detail))
}

fn sysctls_1_0(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, &SYSCTLS[..5])
}

fn sysctls_1_27(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, &SYSCTLS[..6])
}

fn sysctls_1_29(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, &SYSCTLS[..10])
}

fn sysctls_1_32(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, &SYSCTLS)
}

fn sysctls(subject: &Subject<'_>, allowed: &[&str]) -> Option<Violation> {
    let names = list(subject.context(), "sysctls").iter().map(|sysctl| text(sysctl, "name"));
    let forbidden: Vec<&str> = names.filter(|name| !allowed.contains(name)).collect();
    (!forbidden.is_empty()).then(|| Violation::new("forbidden sysctls", forbidden.join(", ")))
}

fn windows_host_process(subject: &Subject<'_>) -> Option<Violation> {
    let is_bad = |context: &Value| flag(&context["windowsOptions"], "hostProcess");
    let names = subject.containers(|container| is_bad(&container["securityContext"]));
    let blamed = setters(is_bad(subject.context()), &names)?;
    let detail = format!("{blamed} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation::new("hostProcess", detail))
}
