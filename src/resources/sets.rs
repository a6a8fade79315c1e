//! Which built-in resources a server has: by the names of sets, or one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use atoll_api::GroupResource;

use super::kind::Kind;
use super::{BUILTINS, Builtin};
use crate::registry::resource::Resource;

/// Why a choice of resources cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is neither a set of resources ({sets}) nor a built-in resource such as \"secrets\" or \"deployments.apps\"", sets = NAMES.join(", "))]
pub struct UnknownName {
    /// What was asked for.
    pub name: String,
}

/// The names of the sets, from the smallest to the greatest.
pub const NAMES: [&str; 4] = ["minimal", "control-plane", "workloads", "all"];

/// What any logical cluster needs: namespaces, configuration, access, own types.
const MINIMAL: &[&str] = &[
    "namespaces",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "events",
    "leases.coordination.k8s.io",
    "*.rbac.authorization.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "*.authentication.k8s.io",
    "*.authorization.k8s.io",
];

/// What controllers and operators expect of a control plane without nodes.
const CONTROL_PLANE: &[&str] = &[
    "resourcequotas",
    "limitranges",
    "*.admissionregistration.k8s.io",
    "apiservices.apiregistration.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
    "*.flowcontrol.apiserver.k8s.io",
];

/// What describes programs that run somewhere, be it in another cluster.
const WORKLOADS: &[&str] = &[
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "services",
    "endpoints",
    "nodes",
    "persistentvolumes",
    "persistentvolumeclaims",
    "bindings",
    "*.apps",
    "*.batch",
    "*.autoscaling",
    "*.policy",
    "*.networking.k8s.io",
    "*.discovery.k8s.io",
    "*.storage.k8s.io",
    "*.scheduling.k8s.io",
    "*.node.k8s.io",
];

/// What stands for Atoll's own kinds; only the system cluster has them.
pub const PLATFORM: &str = "platform";

/// Whether a name is that of a set or of a resource.
pub fn check(name: &str) -> Result<(), UnknownName> {
    let meant = name.strip_prefix('-').unwrap_or(name);
    if BUILTINS.iter().any(|kind| is_meant(meant, kind)) { Ok(()) } else { Err(UnknownName { name: name.to_owned() }) }
}

/// The resources that a list of names asks for: names of sets, or of resources (`secrets`, `deployments.apps`,
/// `*.batch`), in the order of [`BUILTINS`]. A name with a minus before it leaves out what names before it asked for.
pub fn choose<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Arc<dyn Resource>>, UnknownName> {
    let mut chosen = BTreeSet::new();
    for name in names {
        let meant = name.strip_prefix('-').unwrap_or(name);
        let found = BUILTINS.iter().enumerate().filter(|(_, kind)| is_meant(meant, kind)).map(|(index, _)| index);
        match meant == name {
            true => chosen.extend(found),
            false => found.for_each(|index| _ = chosen.remove(&index)),
        }
        check(name)?;
    }
    Ok(chosen.into_iter().map(|index| Builtin::of(BUILTINS[index]) as Arc<dyn Resource>).collect())
}

fn is_meant(name: &str, kind: &Kind) -> bool {
    let in_set = |lists: &[&[&str]]| lists.iter().any(|list| list.iter().any(|pattern| matches(pattern, kind)));
    match name {
        "minimal" => in_set(&[MINIMAL]),
        "control-plane" => in_set(&[MINIMAL, CONTROL_PLANE]),
        "workloads" => in_set(&[MINIMAL, CONTROL_PLANE, WORKLOADS]),
        "all" => true,
        pattern => matches(pattern, kind),
    }
}

fn matches(pattern: &str, kind: &Kind) -> bool {
    let group = kind.group();
    match pattern.strip_prefix("*.") {
        Some(wanted) => wanted == group,
        None => pattern == GroupResource::new(group, kind.resource).to_string(),
    }
}
