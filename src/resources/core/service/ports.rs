//! Which ports of nodes a service gets (registry/core/service/storage/alloc.go, 1.36).
//!
//! Whose a port is, is told by claims; here is asked whether it is free.

use std::collections::{HashMap, HashSet};

use atoll_api::FieldError;
use serde_json::{Map, Value};

use super::addresses::{needs_health_check, needs_node_ports};
use crate::resources::checks::path;
use crate::resources::read::{entry, int, list, text};

/// Where the ports that nodes open begin, and how many there are.
const FIRST: u32 = 30_000;
const COUNT: u32 = 2_768;

/// Why a service does not get its ports.
pub(super) enum PortFault {
    /// What the client asks for is not to be had.
    Field(FieldError),
    /// The client asks for the same port twice.
    Duplicate(String),
    /// There are none left, or not the one for health checks.
    Internal(String),
}

/// Gives a service its ports.
pub(super) struct Ports<'f> {
    is_free: &'f dyn Fn(i64) -> bool,
    start: u32,
    /// Nothing will come of it: Kubernetes does not look at the range then.
    is_rehearsal: bool,
    /// Those the service has got.
    given: HashSet<i64>,
}

/// The ports of nodes that a service asks for.
struct Wanted {
    all: HashSet<i64>,
    /// For each of its ports, by its number, the first that is asked for.
    of: HashMap<i64, i64>,
}

/// Whether a service may have ports of nodes at all.
pub(super) fn has_node_ports(spec: &Map<String, Value>) -> bool {
    matches!(text(entry(spec, "type")), "NodePort" | "LoadBalancer")
}

/// Whether nodes open this port for services.
pub(super) fn is_node_port(port: i64) -> bool {
    (i64::from(FIRST)..i64::from(FIRST + COUNT)).contains(&port)
}

impl<'f> Ports<'f> {
    /// The search for free ports begins somewhere that follows from `seed`.
    pub(super) fn new(is_free: &'f dyn Fn(i64) -> bool, seed: u32, is_rehearsal: bool) -> Self {
        Self { is_free, start: seed % COUNT, is_rehearsal, given: HashSet::new() }
    }

    /// Gives a new service its ports. One port of it gets the same port of the nodes for each protocol.
    pub(super) fn first(&mut self, spec: &mut Map<String, Value>) -> Result<(), PortFault> {
        let wanted = Wanted::of(spec);
        let gives = needs_node_ports(spec);
        let mut known: HashMap<i64, i64> = HashMap::new();
        for (index, port) in ports_to_open(spec).enumerate() {
            let (number, asked) = (int(entry(port, "port")), int(entry(port, "nodePort")));
            if asked == 0 && !gives {
                continue;
            }
            let given = match known.get(&number) {
                Some(given) if asked == 0 || asked == *given => *given,
                Some(_) => self.take(asked, index)?,
                None => {
                    let given = match wanted.of.get(&number) {
                        Some(asked) => self.take(*asked, index)?,
                        None => self.next(&wanted)?,
                    };
                    known.insert(number, given);
                    given
                }
            };
            port.insert("nodePort".into(), given.into());
        }
        if needs_health_check(spec) { self.health_check(spec) } else { Ok(()) }
    }

    /// Gives a changed service what it has not yet.
    pub(super) fn again(&mut self, spec: &mut Map<String, Value>, was: &Map<String, Value>) -> Result<(), PortFault> {
        let wanted = Wanted::of(spec);
        let gives = needs_node_ports(spec);
        let had: HashSet<i64> = list(entry(was, "ports")).iter().map(|port| int(&port["nodePort"])).collect();
        let mut known: HashSet<(String, i64)> = HashSet::new();
        for (index, port) in ports_to_open(spec).enumerate() {
            let (protocol, asked) = (text(entry(port, "protocol")).to_owned(), int(entry(port, "nodePort")));
            let given = match asked {
                0 if !gives => continue,
                0 => self.next(&wanted)?,
                asked if had.contains(&asked) || self.given.contains(&asked) => asked,
                asked => self.take(asked, index)?,
            };
            port.insert("nodePort".into(), given.into());
            if !known.insert((protocol.clone(), given)) {
                return Err(PortFault::Duplicate(format!("duplicate nodePort: {{{protocol} {given}}}")));
            }
        }
        if needs_health_check(spec) && !needs_health_check(was) { self.health_check(spec) } else { Ok(()) }
    }

    fn health_check(&mut self, spec: &mut Map<String, Value>) -> Result<(), PortFault> {
        let port = match int(entry(spec, "healthCheckNodePort")) {
            0 => self.next(&Wanted::of(spec))?,
            asked => {
                let refuse = |why| format!("failed to allocate requested HealthCheck NodePort {asked}: {why}");
                self.ask(asked).map_err(|why| PortFault::Internal(refuse(why)))?
            }
        };
        spec.insert("healthCheckNodePort".into(), port.into());
        Ok(())
    }

    fn take(&mut self, asked: i64, index: usize) -> Result<i64, PortFault> {
        let at = path("spec.ports").index(index).child("nodePort");
        self.ask(asked).map_err(|why| PortFault::Field(FieldError::invalid(&at, &asked.into(), why)))
    }

    fn ask(&mut self, asked: i64) -> Result<i64, String> {
        if !is_node_port(asked) && !self.is_rehearsal {
            let range = format!("{FIRST}-{}", FIRST + COUNT - 1);
            return Err(format!("provided port is not in the valid range. The range of valid ports is {range}"));
        }
        if self.given.contains(&asked) || !(self.is_free)(asked) {
            return Err("provided port is already allocated".to_owned());
        }
        self.given.insert(asked);
        Ok(asked)
    }

    /// A port that nobody has and the service does not ask for.
    fn next(&mut self, wanted: &Wanted) -> Result<i64, PortFault> {
        let mut ports = (0..COUNT).map(|step| i64::from(FIRST + (self.start + step) % COUNT));
        let free = ports.find(|port| !self.given.contains(port) && !wanted.all.contains(port) && (self.is_free)(*port));
        let port =
            free.ok_or_else(|| PortFault::Internal("failed to allocate a nodePort: range is full".to_owned()))?;
        self.given.insert(port);
        Ok(port)
    }
}

impl Wanted {
    fn of(spec: &Map<String, Value>) -> Self {
        let mut wanted = Self { all: HashSet::new(), of: HashMap::new() };
        wanted.all.insert(int(entry(spec, "healthCheckNodePort")));
        for port in list(entry(spec, "ports")) {
            let (number, asked) = (int(&port["port"]), int(&port["nodePort"]));
            wanted.all.insert(asked);
            if asked != 0 {
                wanted.of.entry(number).or_insert(asked);
            }
        }
        wanted
    }
}

fn ports_to_open(spec: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let opens = has_node_ports(spec);
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).filter(|_| opens);
    ports.into_iter().flatten().filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(kind: &str, ports: Value) -> Map<String, Value> {
        let Value::Object(spec) = json!({"type": kind, "ports": ports}) else { return Map::new() };
        spec
    }

    fn told(result: Result<(), PortFault>) -> String {
        match result {
            Ok(()) => String::new(),
            Err(PortFault::Field(fault)) => fault.to_string(),
            Err(PortFault::Duplicate(why) | PortFault::Internal(why)) => why,
        }
    }

    fn given(spec: &Map<String, Value>) -> Vec<i64> {
        list(entry(spec, "ports")).iter().map(|port| int(&port["nodePort"])).collect()
    }

    #[test]
    fn a_new_service_gets_one_port_for_each_of_its_own() {
        let free = |port: i64| port != 30_001;
        for (ports, expected, why) in [
            (json!([{"port": 80}, {"port": 80, "protocol": "UDP"}, {"port": 81}]), vec![30_000, 30_000, 30_002], ""),
            (json!([{"port": 80}, {"port": 80, "nodePort": 30_010}]), vec![30_010, 30_010], ""),
            (json!([{"port": 80, "nodePort": 30_001}]), vec![30_001], "provided port is already allocated"),
            (
                json!([{"port": 80, "nodePort": 30_010}, {"port": 81, "nodePort": 30_010}]),
                vec![30_010, 30_010],
                "provided port is already allocated",
            ),
            (json!([{"port": 80, "nodePort": 80}]), vec![80], "The range of valid ports is 30000-32767"),
        ] {
            let mut spec = spec("NodePort", ports);
            let told = told(Ports::new(&free, 0, false).first(&mut spec));
            assert!(told.ends_with(why) && told.is_empty() == why.is_empty(), "{told}");
            assert_eq!(given(&spec), expected);
        }
    }

    #[test]
    fn more_ports_than_there_are_take_no_long_search() {
        let ports = (0..20_000).map(|port| json!({"port": port, "protocol": "TCP"})).collect::<Vec<_>>();
        let mut many = spec("NodePort", ports.into());
        let asked = std::cell::Cell::new(0_u32);
        let free = |_: i64| {
            asked.set(asked.get() + 1);
            true
        };
        let told = told(Ports::new(&free, 7, false).first(&mut many));
        assert_eq!(told, "failed to allocate a nodePort: range is full");
        assert_eq!(asked.get(), COUNT, "each port is asked for once");
    }

    #[test]
    fn a_changed_service_keeps_its_ports_and_gets_others_one_by_one() {
        let free = |port: i64| port != 30_100;
        let was = spec("NodePort", json!([{"port": 80, "nodePort": 30_100}]));
        for (ports, expected, why) in [
            (json!([{"port": 80, "nodePort": 30_100}, {"port": 81}]), vec![30_100, 30_000], ""),
            (
                json!([{"port": 80, "protocol": "TCP", "nodePort": 30_100}, {"port": 80, "protocol": "UDP", "nodePort": 30_100}]),
                vec![30_100, 30_100],
                "",
            ),
            (json!([{"port": 80}, {"port": 80, "protocol": "UDP"}]), vec![30_000, 30_001], ""),
            (
                json!([{"port": 80, "protocol": "TCP", "nodePort": 30_100}, {"port": 81, "protocol": "TCP", "nodePort": 30_100}]),
                vec![30_100, 30_100],
                "duplicate nodePort: {TCP 30100}",
            ),
        ] {
            let mut spec = spec("NodePort", ports);
            assert_eq!(told(Ports::new(&free, 0, false).again(&mut spec, &was)), why);
            assert_eq!(given(&spec), expected);
        }
    }

    #[test]
    fn load_balancers_without_ports_of_nodes_get_those_they_ask_for() {
        let free = |port: i64| port != 30_001;
        let mut balancer = spec("LoadBalancer", json!([{"port": 80}, {"port": 81, "nodePort": 30_500}]));
        balancer.insert("allocateLoadBalancerNodePorts".into(), false.into());
        balancer.insert("externalTrafficPolicy".into(), "Local".into());
        balancer.insert("healthCheckNodePort".into(), 30_001.into());
        let told = told(Ports::new(&free, 0, false).first(&mut balancer));
        assert_eq!(told, "failed to allocate requested HealthCheck NodePort 30001: provided port is already allocated");
        assert_eq!(given(&balancer), [0, 30_500]);
        let mut external = spec("ExternalName", json!([{"port": 80}]));
        assert!(Ports::new(&free, 0, false).first(&mut external).is_ok());
        assert_eq!(given(&external), [0]);
    }
}
