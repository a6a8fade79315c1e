//! Connections to pods, nodes and services: whether they can be, and where they lead.

use atoll_api::query::Query;
use atoll_api::{ApiError, ApiResult, FieldError, FieldErrors, FieldPath, GroupKind, Object, Reason};
use serde_json::Value;

use super::node;
use crate::registry::connect::{Connection, Connector, Way};
use crate::registry::{ObjectName, Target};
use crate::resources::Builtin;
use crate::resources::checks::network::parse_ip_sloppily;
use crate::resources::checks::{forbidden, invalid, path};
use crate::resources::read::{field, list, text};

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Finds the ways to pods, nodes and services.
pub(in crate::resources) struct Ways {
    nodes: Target,
}

impl Ways {
    /// A finder of ways.
    pub(in crate::resources) fn new() -> Self {
        Self { nodes: Target::new(Builtin::of(&node::KIND), 0) }
    }

    /// The node of that name, if it is there.
    fn to_node(&self, connection: &Connection<'_>, name: &str) -> ApiResult<Way> {
        connection.registry.find(connection.cx, &self.nodes, &ObjectName { namespace: "", name })?;
        Ok(Way::Node(name.to_owned()))
    }
}

impl Connector for Ways {
    fn find(&self, connection: &Connection<'_>) -> ApiResult<Way> {
        let named = |kind: &str| plain_name(connection.name.name, kind);
        let object = |name| {
            let name = ObjectName { name, ..connection.name.clone() };
            connection.registry.get_object(connection.cx, connection.target, &name)
        };
        match (&*connection.target.descriptor().resource.resource, connection.subresource) {
            ("nodes", _) => self.to_node(connection, named("node")?),
            ("services", _) => {
                object(named("service")?)?;
                let why = format!("no endpoints available for service {:?}", connection.name.name);
                Err(ApiError::new(Reason::ServiceUnavailable, why))
            }
            (_, "proxy") => {
                let pod = object(named("pod")?)?;
                check_proxied_address(&pod)?;
                self.to_node(connection, node_of(&pod))
            }
            (_, "log") => {
                check_log_options(connection.name.name, connection.query)?;
                let pod = object(connection.name.name)?;
                check_container(&pod, connection.query.first("container").unwrap_or_default())?;
                if node_of(&pod).is_empty() { Ok(Way::Nowhere) } else { self.to_node(connection, node_of(&pod)) }
            }
            (_, how) => {
                let pod = object(connection.name.name)?;
                if how != "portforward" {
                    check_container(&pod, connection.query.first("container").unwrap_or_default())?;
                }
                if node_of(&pod).is_empty() {
                    return Err(ApiError::bad_request(format!("pod {} does not have a host assigned", pod.name())));
                }
                self.to_node(connection, node_of(&pod))
            }
        }
    }
}

/// The name in `https:name:port`.
fn plain_name<'a>(text: &'a str, kind: &str) -> ApiResult<&'a str> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] | [name, _] if !name.is_empty() => Ok(name),
        ["http" | "https" | "", name, _] if !name.is_empty() => Ok(name),
        _ => Err(ApiError::bad_request(format!("invalid {kind} request {text:?}"))),
    }
}

fn node_of(pod: &Object) -> &str {
    pod.text_at(&["spec", "nodeName"])
}

fn check_proxied_address(pod: &Object) -> ApiResult<()> {
    let ip = parse_ip_sloppily(text(&field(pod, "status")["podIPs"][0]["ip"]));
    match ip.filter(|ip| !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified()) {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request("address not allowed")),
    }
}

/// A container must be named where a pod has several, and must be one of the pod.
fn check_container(pod: &Object, name: &str) -> ApiResult<()> {
    let spec = field(pod, "spec");
    let names = |part: &str| list(&spec[part]).iter().map(|container| text(&container["name"])).collect::<Vec<_>>();
    let name = if name.is_empty() { pod.annotation(DEFAULT_CONTAINER).unwrap_or_default() } else { name };
    let (containers, first) = (names("containers"), names("initContainers"));
    if !name.is_empty() {
        let all = containers.iter().chain(&first).copied().chain(names("ephemeralContainers"));
        if all.into_iter().any(|known| known == name) {
            return Ok(());
        }
        return Err(ApiError::bad_request(format!("container {name} is not valid for pod {}", pod.name())));
    }
    if containers.len() == 1 {
        return Ok(());
    }
    let mut why = format!("a container name must be specified for pod {}", pod.name());
    if !containers.is_empty() {
        why.push_str(&format!(", choose one of: [{}]", containers.join(" ")));
    }
    if !first.is_empty() {
        why.push_str(&format!(" or one of the init containers: [{}]", first.join(" ")));
    }
    Err(ApiError::bad_request(why))
}

fn check_log_options(pod: &str, query: &Query) -> ApiResult<()> {
    let mut errors = FieldErrors::new();
    let number = |name: &str| query.first(name).and_then(|text| text.parse::<i64>().ok());
    let mut at_least = |name: &str, least: i64, why: &str| {
        if let Some(value) = number(name).filter(|value| *value < least) {
            invalid(&mut errors, &path(name), &Value::from(value), why);
        }
    };
    at_least("tailLines", 0, "must be greater than or equal to 0");
    at_least("limitBytes", 1, "must be greater than 0");
    at_least("sinceSeconds", 1, "must be greater than 0");
    if query.first("sinceSeconds").is_some() && query.first("sinceTime").is_some() {
        forbidden(&mut errors, &FieldPath::root(), "at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if let Some(stream) = query.first("stream").filter(|stream| !["", "All", "Stdout", "Stderr"].contains(stream)) {
        errors.push(FieldError::not_supported(&path("stream"), &stream.into(), &["All", "Stderr", "Stdout"]));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(&GroupKind { group: "".into(), kind: "PodLogOptions".into() }, pod, &errors))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_chosen_where_there_is_a_choice() {
        let pod = |names: &[&str]| {
            let containers: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": containers, "initContainers": [{"name": "i"}]}});
            Object::from_value(pod).expect("an object")
        };
        let check = |names: &[&str], chosen: &str| check_container(&pod(names), chosen).map_err(|e| e.status.message);
        assert_eq!(check(&["a"], ""), Ok(()));
        assert_eq!(check(&["a", "b"], "i"), Ok(()));
        let choose =
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]";
        assert_eq!(check(&["a", "b"], ""), Err(choose.to_owned()));
        assert_eq!(check(&["a"], "x"), Err("container x is not valid for pod p".to_owned()));
    }

    #[test]
    fn names_in_urls_may_have_schemes_and_ports() {
        for (text, name) in
            [("a", Some("a")), ("a:80", Some("a")), ("https:a:", Some("a")), ("ftp:a:1", None), (":", None)]
        {
            assert_eq!(plain_name(text, "pod").ok(), name, "{text}");
        }
    }
}
