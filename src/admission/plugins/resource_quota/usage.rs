//! How much of what an object uses, and what quotas must know of it besides.

use atoll_api::quantity::Quantity;
use atoll_api::time::parse_time;
use atoll_api::{GroupResource, Object};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::admission::amounts::Amounts;
use crate::admission::pods::of_pod;
use crate::admission::read::{flag, has, list, text};

/// The resources of the core group that quotas also name without `count/`.
const BY_OWN_NAME: [&str; 4] = ["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];
/// What stands between a storage class and what is limited for it.
const OF_STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
/// What stands behind a device class where its devices are limited.
const OF_DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// The most devices a claim can get.
const MOST_DEVICES: i64 = 32;
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// What pods are limited by; each also as `requests.` and `limits.`.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HUGE_PAGES: &str = "hugepages-";

/// What there is to know of an object, read once for each stored one.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What it uses by being there.
    pub(super) count: Amounts,
    /// What it uses beside that, as long as it is alive.
    work: Amounts,
    /// From when on it is dead, if ever.
    dead_from: Option<Timestamp>,
    /// What scopes ask of a pod.
    pub(super) pod: Option<PodFacts>,
    /// The classes it belongs to, for kinds that have scopes of classes.
    pub(super) classes: Option<Vec<String>>,
}

/// What scopes ask of a pod.
#[derive(Debug, Default)]
pub(super) struct PodFacts {
    pub(super) is_terminating: bool,
    pub(super) is_best_effort: bool,
    pub(super) looks_into_other_namespaces: bool,
}

/// How a resource is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    Pods,
    Services,
    Claims,
    DeviceClaims,
    Plain,
}

impl Counting {
    /// How objects of a resource are counted; `None` if they are not.
    pub(super) fn of(resource: &GroupResource) -> Option<Self> {
        match (&*resource.group, &*resource.resource) {
            ("" | "events.k8s.io", "events") => None,
            ("", "pods") => Some(Self::Pods),
            ("", "services") => Some(Self::Services),
            ("", CLAIMS) => Some(Self::Claims),
            ("resource.k8s.io", "resourceclaims") => Some(Self::DeviceClaims),
            _ => Some(Self::Plain),
        }
    }

    /// Whether objects of a resource use what is limited under a name.
    pub(super) fn uses(self, resource: &GroupResource, name: &str) -> bool {
        if is_count_of(name, resource) {
            return true;
        }
        match self {
            Self::Pods => is_of_pods(name),
            Self::Services => matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
            Self::Claims => {
                let limited = name.split_once(OF_STORAGE_CLASS).map_or(name, |(_, limited)| limited);
                matches!(limited, CLAIMS | STORAGE)
            }
            Self::DeviceClaims => name.ends_with(OF_DEVICE_CLASS),
            Self::Plain => is_own_name(resource, name),
        }
    }

    /// What there is to know of an object.
    pub(super) fn facts(self, resource: &GroupResource, object: &Object) -> Facts {
        let one = Quantity::from_units(1);
        let mut facts = match self {
            Self::Pods => pod(object),
            Self::Services => Facts { count: service(object), ..Facts::default() },
            Self::Claims => claim(object),
            Self::DeviceClaims => Facts { count: devices(object), ..Facts::default() },
            Self::Plain => Facts::default(),
        };
        facts.count.set(&count_name(resource), one.clone());
        if self == Self::Plain && is_own_name(resource, &resource.resource) {
            facts.count.set(&resource.resource, one);
        }
        facts
    }
}

impl Facts {
    /// What the object uses.
    pub(super) fn usage(&self, now: Timestamp) -> Amounts {
        let mut usage = self.count.clone();
        if self.dead_from.is_none_or(|end| now <= end) {
            usage.add(&self.work);
        }
        usage
    }
}

/// The resource that a name limits the count of, if it limits just that.
pub(super) fn counted_resource(name: &str) -> Option<GroupResource> {
    match name.strip_prefix("count/") {
        Some(counted) => {
            let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
            Some(GroupResource::new(group, resource))
        }
        None => BY_OWN_NAME.contains(&name).then(|| GroupResource::new("", name)),
    }
}

fn count_name(resource: &GroupResource) -> String {
    format!("count/{resource}")
}

fn is_count_of(name: &str, resource: &GroupResource) -> bool {
    name.strip_prefix("count/").is_some_and(|counted| {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        *plural == *resource.resource && *group == *resource.group
    })
}

fn is_own_name(resource: &GroupResource, name: &str) -> bool {
    resource.group.is_empty() && *resource.resource == *name && BY_OWN_NAME.contains(&name)
}

/// Whether a resource is one that Kubernetes itself knows nothing about.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn is_of_pods(name: &str) -> bool {
    let of_compute = |name: &str| COMPUTE.contains(&name);
    let requested = name.strip_prefix("requests.");
    name == "pods"
        || of_compute(name)
        || name.strip_prefix("limits.").is_some_and(of_compute)
        || requested.is_some_and(|name| of_compute(name) || name.starts_with(HUGE_PAGES) || is_extended(name))
        || name.starts_with(HUGE_PAGES)
}

/// What requests and limits mean to quotas; also of a single container, to see what it leaves out.
pub(super) fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut usage = Amounts::default();
    for (name, amount) in requests.iter() {
        if COMPUTE.contains(&name) || name.starts_with(HUGE_PAGES) {
            usage.set(name, amount.clone());
            usage.set(&format!("requests.{name}"), amount.clone());
        } else if is_extended(name) {
            usage.set(&format!("requests.{name}"), amount.clone());
        }
    }
    for (name, amount) in limits.iter().filter(|(name, _)| COMPUTE.contains(name)) {
        usage.set(&format!("limits.{name}"), amount.clone());
    }
    usage
}

fn pod(object: &Object) -> Facts {
    let pod = of_pod(object);
    let mut requests = pod.amounts("requests");
    let mut limits = pod.amounts("limits");
    let overhead = Amounts::read(&pod.spec["overhead"]);
    requests.add(&overhead);
    // What a pod costs beside its containers counts against limits only where there are any.
    limits.add(&overhead.only(|name| limits.get(name).is_some_and(|limit| !limit.is_zero())));
    let mut work = compute(&requests, &limits);
    work.set("pods", Quantity::from_units(1));
    let has_ended = matches!(object.text_at(&["status", "phase"]), "Failed" | "Succeeded");
    let class = text(pod.spec, "priorityClassName");
    Facts {
        count: Amounts::default(),
        work: if has_ended { Amounts::default() } else { work },
        dead_from: dead_from(object),
        pod: Some(PodFacts {
            is_terminating: pod.spec["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0),
            is_best_effort: is_best_effort(pod.spec),
            looks_into_other_namespaces: looks_into_other_namespaces(&pod.spec["affinity"]),
        }),
        classes: Some(Some(class).filter(|class| !class.is_empty()).map(str::to_owned).into_iter().collect()),
    }
}

/// When a pod that is being deleted should long have ended: what it still uses is not its owner's fault.
fn dead_from(pod: &Object) -> Option<Timestamp> {
    let deleted = parse_time(pod.deletion_timestamp()?).ok()?;
    deleted.checked_add(SignedDuration::from_secs(pod.deletion_grace_period_seconds()?)).ok()
}

fn is_best_effort(spec: &Value) -> bool {
    let asks = |resources: &Value| {
        ["requests", "limits"].iter().any(|which| {
            let amounts = Amounts::read(&resources[*which]).without_zeros();
            amounts.names().any(|name| matches!(name, "cpu" | "memory"))
        })
    };
    let containers = ["containers", "initContainers"].into_iter().flat_map(|field| list(spec, field));
    !asks(&spec["resources"]) && !containers.into_iter().any(|container| asks(&container["resources"]))
}

fn looks_into_other_namespaces(affinity: &Value) -> bool {
    let looks = |term: &Value| !list(term, "namespaces").is_empty() || has(term, "namespaceSelector");
    ["podAffinity", "podAntiAffinity"].map(|field| &affinity[field]).into_iter().any(|affinity| {
        list(affinity, "requiredDuringSchedulingIgnoredDuringExecution").iter().any(looks)
            || list(affinity, "preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|weighted| looks(&weighted["podAffinityTerm"]))
    })
}

fn service(object: &Object) -> Amounts {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let ports = list(spec, "ports");
    let all = ports.len();
    let chosen = ports.iter().filter(|port| port["nodePort"].as_i64().is_some_and(|port| port != 0)).count();
    let (balancers, node_ports) = match text(spec, "type") {
        "NodePort" => (0, all),
        "LoadBalancer"
            if has(spec, "allocateLoadBalancerNodePorts") && !flag(spec, "allocateLoadBalancerNodePorts") =>
        {
            (1, chosen)
        }
        "LoadBalancer" => (1, all),
        _ => (0, 0),
    };
    let units = |count: usize| Quantity::from_units(i64::try_from(count).unwrap_or(i64::MAX));
    Amounts::from_iter([
        ("services", units(1)),
        ("services.loadbalancers", units(balancers)),
        ("services.nodeports", units(node_ports)),
    ])
}

fn claim(object: &Object) -> Facts {
    let storage = |path: &[&str]| object.at(path).and_then(|value| Quantity::from_value(value).ok());
    let requested = storage(&["spec", "resources", "requests", "storage"]);
    let allocated = storage(&["status", "allocatedResources", "storage"]);
    let storage = requested.map(|requested| {
        let greater = allocated.filter(|allocated| *allocated > requested).unwrap_or(requested);
        // Whole bytes, since quotas are.
        if greater.as_integer().is_some() { greater } else { Quantity::from_bytes(greater.units()) }
    });
    let class = object.annotation(CLASS_ANNOTATION).unwrap_or_else(|| object.text_at(&["spec", "storageClassName"]));
    let mut count = Amounts::default();
    let mut set = |name: &str, amount: &Quantity| {
        count.set(name, amount.clone());
        if !class.is_empty() {
            count.set(&format!("{class}{OF_STORAGE_CLASS}{name}"), amount.clone());
        }
    };
    set(CLAIMS, &Quantity::from_units(1));
    if let Some(storage) = &storage {
        set(STORAGE, storage);
    }
    let paths: [&[&str]; 3] = [
        &["spec", "volumeAttributesClassName"],
        &["status", "currentVolumeAttributesClassName"],
        &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
    ];
    let classes = paths.into_iter().map(|path| object.text_at(path)).filter(|class| !class.is_empty());
    Facts { count, classes: Some(classes.map(str::to_owned).collect()), ..Facts::default() }
}

/// The devices that a claim may get of each class. Of requests that can be met in several ways, each class counts with
/// the most it may come to.
fn devices(claim: &Object) -> Amounts {
    let requests = claim.at(&["spec", "devices", "requests"]).and_then(Value::as_array);
    let amount = |request: &Value| {
        let count = match text(request, "allocationMode") {
            "ExactCount" => request["count"].as_i64().unwrap_or_default(),
            "All" => MOST_DEVICES,
            _ => 0,
        };
        (format!("{}{OF_DEVICE_CLASS}", text(request, "deviceClassName")), Quantity::from_units(count))
    };
    let mut devices = Amounts::default();
    for request in requests.into_iter().flatten() {
        let mut most = Amounts::default();
        let ways = list(request, "firstAvailable").iter().chain(request.get("exactly"));
        for (class, count) in ways.map(amount) {
            if most.get(&class).is_none_or(|known| *known < count) {
                most.set(&class, count);
            }
        }
        devices.add(&most);
    }
    devices
}

/// What a pod must ask for explicitly where it is limited, and does not, container by container.
pub(super) fn left_out(pod: &Object, limited: &[&str]) -> Option<String> {
    let pod = of_pod(pod);
    if pod.asks_as_a_whole() {
        return None;
    }
    const MUST_BE_SAID: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
    let mut wanted: Vec<&str> = limited.iter().copied().filter(|name| MUST_BE_SAID.contains(name)).collect();
    wanted.sort_unstable();
    let mut faults = Vec::new();
    for name in wanted {
        let says = |container: &&Value| {
            let of = |which: &str| Amounts::read(&container["resources"][which]);
            compute(&of("requests"), &of("limits")).get(name).is_some()
        };
        let mut silent: Vec<&str> = pod
            .lasting_containers()
            .filter(|container| !says(container))
            .map(|container| text(container, "name"))
            .collect();
        silent.sort_unstable();
        silent.dedup();
        if !silent.is_empty() {
            faults.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    (!faults.is_empty()).then(|| format!("must specify {}", faults.join("; ")))
}
