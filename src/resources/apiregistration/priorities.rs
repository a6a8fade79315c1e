//! Which groups come first in discovery: the priorities that Kubernetes gives its own, and those of custom resources.

use crate::registry::resource::Origin;

/// The group before all others.
const FIRST: (&str, i64) = ("apiregistration.k8s.io", 20_001);

/// Kubernetes' own groups (controlplane/instance.go, controlplane/apiserver/aggregator.go, 1.36).
const GROUPS: &[(&str, i64)] = &[
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("resource.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
];

/// What comes after Kubernetes' own: other groups that are built in.
const OTHER_BUILTIN: i64 = 15_000;
/// Custom resources.
const CUSTOM: i64 = 1000;

/// The priority of a group that the server itself serves.
pub fn group_priority(group: &str, origin: Origin) -> i64 {
    if group == FIRST.0 {
        return FIRST.1;
    }
    let known = GROUPS.iter().find(|(name, _)| *name == group).map(|(_, priority)| *priority);
    match origin {
        Origin::Builtin => known.unwrap_or(OTHER_BUILTIN),
        Origin::Custom => CUSTOM,
    }
}

/// The priority of a version among those of its group that the server itself serves.
pub(super) fn version_priority(group: &str, version: &str, origin: Origin) -> i64 {
    match (origin, group, version) {
        (Origin::Custom, ..) => 100,
        (Origin::Builtin, "", _) => 1,
        (Origin::Builtin, "autoscaling", "v2") => 30,
        (Origin::Builtin, "flowcontrol.apiserver.k8s.io" | "resource.k8s.io", "v1") => 21,
        (Origin::Builtin, _, version) if version.contains("alpha") => 1,
        (Origin::Builtin, _, version) if version.contains("beta") => 9,
        (Origin::Builtin, ..) => 15,
    }
}
