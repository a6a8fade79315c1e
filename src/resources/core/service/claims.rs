//! Which addresses and ports a service gets: each only once in a logical cluster.
//!
//! Services of a logical cluster carry no traffic themselves: an address only has to look like one, to stay, and to be
//! nobody else's. Where the search begins follows from the service's uid, so that it is short and needs no state; what is
//! taken is told by `IPAddress` objects, as in Kubernetes, and for ports by objects of Atoll's own.

use std::net::{IpAddr, Ipv4Addr};

use atoll_api::{ApiError, ApiResult, FieldError, FieldErrors, GroupKind, GroupResource, Object, Reason};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::addresses::{needs_cluster_ip, needs_health_check, settle_families};
use super::families;
use super::ports::{PortFault, Ports, has_node_ports, is_node_port};
use crate::registry::claim::{Claimer, Taken};
use crate::registry::resource::Companion;
use crate::registry::seconds;
use crate::request::RequestContext;
use crate::resources::checks::network::{Cidr, parse_ip_sloppily};
use crate::resources::checks::path;
use crate::resources::read::{entry, field, int, list, size, strings, text};

/// How many addresses are looked at before a range counts as full.
const MAX_PROBES: u32 = 1 << 16;

/// The addresses that services may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressRange {
    /// Any; those that are given come from 10.0.0.0/8.
    Any,
    /// IPv4 addresses from the first to the last; the first is left to the `kubernetes` service.
    Between(Ipv4Addr, Ipv4Addr),
}

impl AddressRange {
    /// Reads `10.96.0.0/12`: an IPv4 range of at least four addresses.
    pub fn parse(text: &str) -> Option<Self> {
        let range = Cidr::parse(text)?.masked();
        let IpAddr::V4(network) = range.address else { return None };
        let addresses = 1_u64 << (32 - u32::from(range.bits));
        let last = u32::try_from(u64::from(network.to_bits()) + addresses - 2).ok()?;
        (addresses >= 4).then(|| Self::Between((network.to_bits() + 1).into(), last.into()))
    }

    /// The first address, that of the `kubernetes` service.
    pub fn first(self) -> Ipv4Addr {
        match self {
            Self::Any => Ipv4Addr::new(10, 0, 0, 1),
            Self::Between(first, _) => first,
        }
    }

    /// The range as it is written.
    pub fn cidr(self) -> String {
        let (first, addresses) = match self {
            Self::Any => return "10.0.0.0/8".to_owned(),
            // Neither that of the network nor the last one is given.
            Self::Between(first, last) => (first, u64::from(last.to_bits() - first.to_bits()) + 3),
        };
        format!("{}/{}", Ipv4Addr::from_bits(first.to_bits() - 1), 32 - addresses.ilog2())
    }

    fn holds(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Any, _) => true,
            (Self::Between(first, last), IpAddr::V4(address)) => (first..=last).contains(&address),
            (Self::Between(..), IpAddr::V6(_)) => false,
        }
    }

    /// The addresses in the order in which they are tried.
    fn candidates(self, seed: &Seed) -> impl Iterator<Item = Ipv4Addr> + use<> {
        // The first address of a range is the API server's own service's.
        let (first, last) = match self {
            Self::Any => (self.first(), Ipv4Addr::new(10, 255, 255, 254)),
            Self::Between(first, last) => (first, last),
        };
        let (first, last) = (first.to_bits() + 1, last.to_bits());
        let (count, start) = (last - first + 1, seed.number(0));
        (0..count.min(MAX_PROBES)).map(move |step| (first + (start % count + step) % count).into())
    }
}

/// Gives services addresses and ports.
pub(in crate::resources) struct Allocator {
    /// Where addresses come from.
    pub(in crate::resources) range: AddressRange,
}

impl Claimer for Allocator {
    fn settle(&self, taken: &Taken<'_>, service: &mut Object, old: Option<&Object>) -> ApiResult<()> {
        let seed = Seed::of(service);
        let had = Held::of(old);
        let name = service.name().to_owned();
        let spec = service.map_mut("spec");
        let refuse = |errors: FieldErrors| {
            let kind = GroupKind { group: "".into(), kind: "Service".into() };
            ApiError::invalid(&kind, &name, &errors)
        };
        let was = old.map(|old| field(old, "spec"));
        let unallocatable = families::faults(&Value::Object(spec.clone()), was);
        if !unallocatable.is_empty() {
            return Err(refuse(unallocatable));
        }
        settle_families(spec);
        self.check_addresses(taken, spec, &had).map_err(refuse)?;
        self.give_address(taken, spec, &seed)?;
        let free = |port: i64| !taken.has(&node_ports(), &port.to_string());
        let mut ports = Ports::new(&free, seed.number(4), taken.is_rehearsal());
        match was.and_then(Value::as_object) {
            None => ports.first(spec),
            Some(was) => ports.again(spec, was),
        }
        .map_err(|fault| match fault {
            PortFault::Field(fault) => refuse(vec![fault]),
            PortFault::Duplicate(why) => ApiError::new(Reason::Unknown, why),
            PortFault::Internal(why) => internal(&why),
        })
    }

    fn claims(&self, cx: &RequestContext, service: &Object) -> Vec<Companion> {
        let held = Held::of(Some(service));
        let of = |resource, object| Companion { resource, cluster: cx.cluster.clone(), object };
        let addresses = held.addresses.iter().map(|ip| of(addresses(), address_object(cx, *ip, service)));
        let ports = held.ports.iter().map(|port| of(node_ports(), port_object(cx, *port, service)));
        addresses.chain(ports).collect()
    }
}

impl Allocator {
    /// What a client asks for must be in the range, and free.
    fn check_addresses(&self, taken: &Taken<'_>, spec: &Map<String, Value>, had: &Held) -> Result<(), FieldErrors> {
        if !needs_cluster_ip(spec) {
            return Ok(());
        }
        for text in strings(entry(spec, "clusterIPs")) {
            let Some(ip) = parse_ip_sloppily(text).filter(|ip| !had.addresses.contains(ip)) else { continue };
            let why = if !self.range.holds(ip) {
                "the provided network does not match the current range"
            } else if taken.has(&addresses(), &ip.to_string()) {
                "provided IP is already allocated"
            } else {
                continue;
            };
            let detail = format!("failed to allocate IP {text}: {why}");
            return Err(vec![FieldError::invalid(&path("spec.clusterIPs"), entry(spec, "clusterIPs"), detail)]);
        }
        Ok(())
    }

    fn give_address(&self, taken: &Taken<'_>, spec: &mut Map<String, Value>, seed: &Seed) -> ApiResult<()> {
        let has_none = size(entry(spec, "clusterIPs")) == 0 && text(entry(spec, "clusterIP")).is_empty();
        if !needs_cluster_ip(spec) || !has_none || entry(spec, "ipFamilies")[0] != "IPv4" {
            return Ok(());
        }
        let free = self.range.candidates(seed).find(|ip| !taken.has(&addresses(), &ip.to_string()));
        let ip = free.ok_or_else(|| internal("failed to allocate a serviceIP: range is full"))?.to_string();
        spec.insert("clusterIP".into(), ip.as_str().into());
        spec.insert("clusterIPs".into(), json!([ip]));
        Ok(())
    }
}

/// The resource whose objects tell which address is whose.
fn addresses() -> GroupResource {
    GroupResource::new("networking.k8s.io", "ipaddresses")
}

/// Where the claims of ports are stored. Clients cannot reach them: no kind of theirs can be in the core group.
fn node_ports() -> GroupResource {
    GroupResource::new("", "nodeports")
}

fn internal(why: &str) -> ApiError {
    ApiError::internal(why)
}

/// The addresses and ports a service has.
#[derive(Default)]
struct Held {
    addresses: Vec<IpAddr>,
    ports: Vec<i64>,
}

impl Held {
    fn of(service: Option<&Object>) -> Self {
        let Some(Value::Object(spec)) = service.map(|service| field(service, "spec")) else { return Self::default() };
        let mut held = Self::default();
        if needs_cluster_ip(spec) {
            held.addresses = strings(entry(spec, "clusterIPs")).into_iter().filter_map(parse_ip_sloppily).collect();
        }
        if has_node_ports(spec) {
            held.ports = list(entry(spec, "ports")).iter().map(|port| int(&port["nodePort"])).collect();
        }
        if needs_health_check(spec) {
            held.ports.push(int(entry(spec, "healthCheckNodePort")));
        }
        held.addresses.sort();
        held.addresses.dedup();
        held.ports.sort_unstable();
        held.ports.dedup();
        held.ports.retain(|port| is_node_port(*port));
        held
    }
}

fn address_object(cx: &RequestContext, ip: IpAddr, service: &Object) -> Object {
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let address = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {
            "name": ip.to_string(), "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": seconds(cx.now),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": family,
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": service.namespace(), "name": service.name()}},
    });
    Object::from_value(address).unwrap_or_default()
}

fn port_object(cx: &RequestContext, port: i64, service: &Object) -> Object {
    let claim = json!({
        "apiVersion": "v1", "kind": "NodePort",
        "metadata": {
            "name": port.to_string(), "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": seconds(cx.now),
        },
        "spec": {"namespace": service.namespace(), "name": service.name()},
    });
    Object::from_value(claim).unwrap_or_default()
}

/// Numbers that follow from the identity of a service.
struct Seed([u8; 32]);

impl Seed {
    fn of(service: &Object) -> Self {
        Self(Sha256::digest(service.uid().as_bytes()).into())
    }

    /// The number in the four bytes from `at` on.
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_hold_their_addresses() {
        let range = AddressRange::parse("10.96.0.0/12").expect("a range");
        for (address, held) in
            [("10.96.0.1", true), ("10.111.255.254", true), ("10.112.0.0", false), ("fd00::1", false)]
        {
            assert_eq!(range.holds(address.parse().expect("an address")), held, "{address}");
        }
        for wrong in ["10.0.0.0/31", "10.0.0.0", "fd00::/108", "10.0.0.0/33"] {
            assert_eq!(AddressRange::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_address_of_a_small_range_is_tried_once_but_for_the_first() {
        for text in ["10.96.0.0/12", "192.168.7.0/29", "10.0.0.0/30"] {
            assert_eq!(AddressRange::parse(text).map(AddressRange::cidr), Some(text.to_owned()));
        }
        let range = AddressRange::parse("192.168.7.0/29").expect("a range");
        let mut tried: Vec<Ipv4Addr> = range.candidates(&Seed([7; 32])).collect();
        tried.sort();
        let expected: Vec<Ipv4Addr> = (2..=6).map(|last| Ipv4Addr::new(192, 168, 7, last)).collect();
        assert_eq!(tried, expected);
    }
}
