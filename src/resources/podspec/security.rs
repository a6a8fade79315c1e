//! Checks of users, privileges and profiles of pods and containers.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::mounts::descending;
use super::spec::all_containers;
use crate::resources::checks::{forbidden, invalid, invalid_struct, one_of, required};
use crate::resources::read::{flag, is_set, list, strings, text};

const MAX_ID: i64 = i32::MAX as i64;

/// The number of a user or group.
fn id(errors: &mut FieldErrors, path: &FieldPath, value: &Value) {
    if let Some(number) = value.as_i64()
        && !(0..=MAX_ID).contains(&number)
    {
        invalid(errors, path, value, format!("must be between 0 and {MAX_ID}, inclusive"));
    }
}

pub(super) fn pod_security_context(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let context = &spec["securityContext"];
    let path = &path.child("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, &path.child(field), &context[field]);
    }
    for (index, group) in list(&context["supplementalGroups"]).iter().enumerate() {
        id(errors, &path.child("supplementalGroups").index(index), group);
    }
    if flag(&spec["hostPID"]) && flag(&spec["shareProcessNamespace"]) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        invalid(errors, &path.child("shareProcessNamespace"), &true.into(), detail);
    }
    sysctls(errors, spec, &path.child("sysctls"));
    if let Some(policy) = context["fsGroupChangePolicy"].as_str() {
        one_of(errors, &path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    seccomp(errors, &context["seccompProfile"], &path.child("seccompProfile"));
    windows_options(errors, &context["windowsOptions"], &path.child("windowsOptions"));
    app_armor(errors, &context["appArmorProfile"], &path.child("appArmorProfile"));
    if let Some(policy) = context["supplementalGroupsPolicy"].as_str() {
        one_of(errors, &path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = context["seLinuxChangePolicy"].as_str() {
        // The other policy belongs to a feature that is not switched on.
        one_of(errors, &path.child("seLinuxChangePolicy"), policy, &["Recursive"]);
    }
}

fn sysctls(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const MAX_NAME: usize = 253;
    const SHAPE: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
    let mut seen = BTreeSet::new();
    for (index, sysctl) in list(&spec["securityContext"]["sysctls"]).iter().enumerate() {
        let path = path.index(index).child("name");
        let name = text(&sysctl["name"]);
        if name.is_empty() {
            required(errors, &path, "");
        } else if name.len() > MAX_NAME || !name.split(['.', '/']).all(is_sysctl_part) {
            let detail = format!("must have at most {MAX_NAME} characters and match regex {SHAPE}");
            invalid(errors, &path, &name.into(), detail);
        } else if seen.contains(name) {
            errors.push(FieldError::duplicate(&path, &name.into()));
        }
        let dotted = name.replace('/', ".");
        let of_ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        if flag(&spec["hostNetwork"]) && dotted.starts_with("net.") {
            invalid(errors, &path, &name.into(), "may not be specified when 'hostNetwork' is true");
        } else if flag(&spec["hostIPC"]) && of_ipc {
            invalid(errors, &path, &name.into(), "may not be specified when 'hostIPC' is true");
        }
        seen.insert(name);
    }
}

fn is_sysctl_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(word) && part.ends_with(word) && part.chars().all(|c| word(c) || c == '-' || c == '_')
}

pub(super) fn security_context(errors: &mut FieldErrors, context: &Value, path: &FieldPath, host_users: bool) {
    if !is_set(context) {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        id(errors, &path.child(field), &context[field]);
    }
    if let Some(mount) = context["procMount"].as_str() {
        one_of(errors, &path.child("procMount"), mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            invalid(errors, &path.child("procMount"), &mount.into(), detail);
        }
    }
    seccomp(errors, &context["seccompProfile"], &path.child("seccompProfile"));
    if context["allowPrivilegeEscalation"] == false {
        if flag(&context["privileged"]) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            invalid_struct(errors, path, &as_struct(context), detail);
        }
        for _ in strings(&context["capabilities"]["add"]).iter().filter(|capability| **capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            invalid_struct(errors, path, &as_struct(context), detail);
        }
    }
    windows_options(errors, &context["windowsOptions"], &path.child("windowsOptions"));
    app_armor(errors, &context["appArmorProfile"], &path.child("appArmorProfile"));
}

fn seccomp(errors: &mut FieldErrors, profile: &Value, path: &FieldPath) {
    if !is_set(profile) {
        return;
    }
    let kind = text(&profile["type"]);
    match kind {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => required(errors, &path.child("type"), "type is required when seccompProfile is set"),
        _ => one_of(errors, &path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
    let at = path.child("localhostProfile");
    match (kind, profile["localhostProfile"].as_str()) {
        ("Localhost", None) => required(errors, &at, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(file)) => descending(errors, &at, file),
        (_, Some(_)) => invalid(errors, &at, profile, "can only be set when seccomp type is Localhost"),
        (_, None) => {}
    }
}

fn app_armor(errors: &mut FieldErrors, profile: &Value, path: &FieldPath) {
    const MAX_PATH: usize = 4095;
    if !is_set(profile) {
        return;
    }
    let at = path.child("localhostProfile");
    let file = profile["localhostProfile"].as_str();
    match text(&profile["type"]) {
        "Localhost" => match file {
            None | Some("") => required(errors, &at, "must be set when AppArmor type is Localhost"),
            Some(file) => {
                if file.trim() != file {
                    invalid(errors, &at, &file.into(), "must not be padded with whitespace");
                }
                if file.len() > MAX_PATH {
                    errors.push(FieldError::too_long(&at, MAX_PATH));
                }
            }
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(file) = file {
                invalid(errors, &at, &file.into(), "can only be set when AppArmor type is Localhost");
            }
        }
        "" => required(errors, &path.child("type"), "type is required when appArmorProfile is set"),
        kind => one_of(errors, &path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

fn windows_options(errors: &mut FieldErrors, options: &Value, path: &FieldPath) {
    const MAX_SPEC: usize = 64 * 1024;
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        crate::resources::checks::subdomain(errors, &path.child("gmsaCredentialSpecName"), name);
    }
    let at = path.child("gmsaCredentialSpec");
    match options["gmsaCredentialSpec"].as_str() {
        Some("") => invalid(errors, &at, &"".into(), "gmsaCredentialSpec cannot be an empty string"),
        Some(spec) if spec.len() > MAX_SPEC => {
            let detail = format!("gmsaCredentialSpec size must be under {} KiB", MAX_SPEC / 1024);
            invalid(errors, &at, &spec.into(), detail);
        }
        _ => {}
    }
    if let Some(user) = options["runAsUserName"].as_str() {
        windows_user(errors, user, &path.child("runAsUserName"));
    }
}

/// `user` or `domain\user`.
fn windows_user(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    const MAX_USER: usize = 104;
    const MAX_DOMAIN: usize = 256;
    let mut wrong = |detail: String| invalid(errors, path, &name.into(), detail);
    if name.is_empty() {
        return wrong("runAsUserName cannot be an empty string".into());
    }
    if name.chars().any(char::is_control) {
        return wrong("runAsUserName cannot contain control characters".into());
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return wrong("runAsUserName cannot contain more than one backslash".into()),
    };
    if let Some(domain) = domain {
        if domain.is_empty() {
            wrong("runAsUserName's Domain doesn't match the NetBIOS nor the DNS format".into());
        }
        if domain.len() >= MAX_DOMAIN {
            wrong(format!("runAsUserName's Domain length must be under {MAX_DOMAIN} characters"));
        }
    }
    if user.is_empty() {
        wrong("runAsUserName's User cannot be empty".into());
    } else if user.len() > MAX_USER {
        wrong(format!("runAsUserName's User length must not be longer than {MAX_USER} characters"));
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        wrong("runAsUserName's User cannot contain only periods or spaces".into());
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        wrong("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]".into());
    }
}

/// What a pod with users of its own cannot share with the host.
pub(super) fn host_users(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const WHY: &str = "when `hostUsers` is false";
    if spec["hostUsers"] != false {
        return;
    }
    // The paths are those of Go's fields (validateHostUsers, 1.36).
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if flag(&spec[field]) {
            forbidden(errors, &path.child(shown), WHY);
        }
    }
    for (part, index, container) in all_containers(spec) {
        if !list(&container["volumeDevices"]).is_empty() {
            forbidden(errors, &path.child(part).index(index).child("volumeDevices"), WHY);
        }
    }
}

/// Fields that make no sense for the operating system a pod is for.
pub(super) fn windows_or_linux(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const NOT_FOR_LINUX: &str = "windows options cannot be set for a linux pod";
    const NOT_FOR_WINDOWS: &str = "cannot be set for a windows pod";
    const OF_POD: [&str; 11] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ];
    const OF_CONTAINER: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    let (of_pod, of_container, why): (&[&str], &[&str], &str) = match text(&spec["os"]["name"]) {
        "linux" => (&["windowsOptions"], &["windowsOptions"], NOT_FOR_LINUX),
        "windows" => (&OF_POD, &OF_CONTAINER, NOT_FOR_WINDOWS),
        _ => return,
    };
    let mut refuse = |context: &Value, path: &FieldPath, fields: &[&str]| {
        for field in fields {
            let unset = matches!(*field, "hostPID" | "hostIPC") && context[*field] == false;
            if is_set(&context[*field]) && !unset {
                forbidden(errors, &path.child(field), why);
            }
        }
    };
    refuse(&spec["securityContext"], &path.child("securityContext"), of_pod);
    if spec["os"]["name"] == "windows" {
        refuse(spec, path, &["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"]);
    }
    for (part, index, container) in all_containers(spec) {
        let path = path.child(part).index(index).child("securityContext");
        refuse(&container["securityContext"], &path, of_container);
    }
}

/// A security context as Go shows it.
fn as_struct(context: &Value) -> Vec<(&'static str, &Value)> {
    const FIELDS: [(&str, &str); 12] = [
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ];
    FIELDS.iter().map(|(shown, name)| (*shown, &context[*name])).collect()
}

/// Processes of a Windows host: all containers of a pod are such, or none.
pub(super) fn host_processes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let wanted = |context: &Value| context["windowsOptions"]["hostProcess"].as_bool();
    let of_pod = wanted(&spec["securityContext"]);
    let (mut all, mut of_host) = (0, 0);
    for (part, index, container) in all_containers(spec) {
        let own = wanted(&container["securityContext"]);
        all += 1;
        of_host += usize::from(own.or(of_pod).unwrap_or(false));
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let at =
                path.child(part).index(index).child("securityContext").child("windowsOptions").child("hostProcess");
            let detail = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            invalid(errors, &at, &own.into(), detail);
        }
    }
    if of_host == 0 {
        return;
    }
    if of_host != all {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        invalid(errors, path, &"".into(), detail);
    }
    if !flag(&spec["hostNetwork"]) {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        invalid(errors, &path.child("hostNetwork"), &false.into(), detail);
    }
}
