//! Fields of features that Kubernetes 1.36 has but does not switch on by default: what clients send there is dropped.

/// The fields, by the names of their types.
pub(super) const FIELDS: &[(&str, &[&str])] = &[
    ("coordination.v1.LeaseSpec", &["preferredHolder", "strategy"]),
    ("core.v1.NodeSpec", &["configSource"]),
    ("core.v1.Lifecycle", &["stopSignal"]),
    ("core.v1.PodSpec", &["schedulingGroup"]),
    ("core.v1.VolumeProjection", &["clusterTrustBundle", "podCertificate"]),
    ("resource.v1.Device", &["nodeAllocatableResourceMappings"]),
    ("resource.v1.DeviceAttribute", &["bools", "ints", "strings", "versions"]),
    ("storage.v1.CSIDriverSpec", &["preventPodSchedulingIfMissing"]),
    ("apps.v1.RollingUpdateStatefulSetStrategy", &["maxUnavailable"]),
];
