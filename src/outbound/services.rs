//! Where the services of clusters are: as an embedder knows, or as the cluster's own objects say.
//!
//! A logical cluster has no network, so an address that only exists inside a physical one leads nowhere from here.

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName};
use serde_json::Value;

use crate::storage::{Key, ListQuery, Store};

/// Which service an endpoint slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Knows where the services of clusters are, for webhooks and API services that name one.
///
/// Asked whenever a connection is made; must not block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know where services are",
    note = "implement `atoll::outbound::Services`: one method, from a service of a cluster to an address"
)]
pub trait Services: Send + Sync {
    /// Where a service is, or why that cannot be told.
    fn find(
        &self,
        cluster: &LogicalClusterName,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> Result<ServiceAddress, String>;

    /// Whether what it tells is called whatever the address. Who repeats what tenants say must not be trusted.
    fn is_trusted(&self) -> bool {
        true
    }
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    /// A name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Finds services by what is stored in their cluster: an external name, or the addresses of endpoint slices (or
/// endpoints) that are ready. Tenants write these, so where they lead is checked as if tenants had named a URL.
pub struct StoredServices(Arc<Store>);

// === impl StoredServices ===

impl StoredServices {
    /// Finds what is in this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    fn read(&self, cluster: &LogicalClusterName, resource: GroupResource, namespace: &str, name: &str) -> Value {
        let entry = self.0.get(&Key::new(resource, cluster.clone(), namespace, name));
        entry.and_then(|entry| serde_json::from_slice(&entry.bytes()).ok()).unwrap_or_default()
    }

    /// The addresses of a service's port that are ready.
    fn endpoints(&self, cluster: &LogicalClusterName, namespace: &str, name: &str, port: &str) -> Vec<ServiceAddress> {
        let (resource, scope) = (GroupResource::new("discovery.k8s.io", "endpointslices"), cluster.clone());
        let scope = ClusterScope::One(scope);
        let of_service = |entry: &crate::storage::Entry| entry.labels().get(SERVICE_NAME) == Some(name);
        let query =
            ListQuery { namespace: Some(namespace), filter: Some(&of_service), ..ListQuery::new(&resource, &scope) };
        let slices = self.0.list(query).map(|page| page.entries).unwrap_or_default();
        let mut found = Vec::new();
        for slice in slices.iter().filter_map(|entry| serde_json::from_slice::<Value>(&entry.bytes()).ok()) {
            let ready = list(&slice["endpoints"]).iter().filter(|one| one["conditions"]["ready"] != false);
            let hosts = ready.filter_map(|endpoint| endpoint["addresses"][0].as_str());
            found.extend(addresses(hosts, &slice["ports"], port));
        }
        if !slices.is_empty() {
            return found;
        }
        let endpoints = self.read(cluster, GroupResource::new("", "endpoints"), namespace, name);
        for subset in list(&endpoints["subsets"]) {
            let hosts = list(&subset["addresses"]).iter().filter_map(|address| address["ip"].as_str());
            found.extend(addresses(hosts, &subset["ports"], port));
        }
        found
    }
}

impl Services for StoredServices {
    fn find(
        &self,
        cluster: &LogicalClusterName,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> Result<ServiceAddress, String> {
        let service = self.read(cluster, GroupResource::new("", "services"), namespace, name);
        if service.is_null() {
            return Err(format!("service {name:?} not found"));
        }
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" {
            let host = spec["externalName"].as_str().unwrap_or_default().to_owned();
            return Ok(ServiceAddress { host, port });
        }
        let of_port = list(&spec["ports"]).iter().find(|one| one["port"] == port);
        let of_port = of_port.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
        let found = self.endpoints(cluster, namespace, name, of_port["name"].as_str().unwrap_or_default());
        let any = uuid::Uuid::new_v4().as_u128() % (found.len().max(1) as u128);
        let found = found.into_iter().nth(any as usize);
        found.ok_or_else(|| format!("no endpoints available for service {name:?}"))
    }

    fn is_trusted(&self) -> bool {
        false
    }
}

/// Hosts at the port of that name.
fn addresses<'a>(hosts: impl Iterator<Item = &'a str>, ports: &Value, name: &str) -> Vec<ServiceAddress> {
    let mut ports = list(ports).iter();
    let port = ports.find(|port| port["name"].as_str().unwrap_or_default() == name);
    let port = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok());
    hosts.filter_map(|host| Some(ServiceAddress { host: host.to_owned(), port: port? })).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::{Memory, Txn};

    const PORT: u16 = 443;

    async fn store(objects: &[(&str, &str, Value)]) -> Arc<Store> {
        let store = Store::open(Memory::new()).await.expect("a store");
        for (group, resource, object) in objects {
            let name = object["metadata"]["name"].as_str().expect("a name");
            let key = Key::new(GroupResource::new(*group, *resource), cluster("one"), "n", name);
            let mut rest = object.clone();
            let metadata = rest.as_object_mut().and_then(|fields| fields.remove("metadata")).expect("metadata");
            // As objects are stored: what they are called stands first.
            let stored = format!("{{\"metadata\":{metadata},{}", &rest.to_string()[1..]);
            store.commit(Txn::create(key, stored)).await.expect("stored");
        }
        store
    }

    fn cluster(name: &str) -> LogicalClusterName {
        LogicalClusterName::parse(name).expect("a name")
    }

    #[track_caller]
    fn check(store: &Arc<Store>, of: &str, service: &str, expected: Result<(&str, u16), &str>) {
        let found = StoredServices::new(store.clone()).find(&cluster(of), "n", service, PORT);
        let expected = expected.map(|(host, port)| ServiceAddress { host: host.to_owned(), port });
        assert_eq!(found, expected.map_err(str::to_owned), "{service} of {of}");
    }

    #[tokio::test]
    async fn services_are_where_the_objects_of_their_own_cluster_say() {
        let metadata = |name: &str| json!({"name": name, "namespace": "n", "uid": name});
        let service =
            |name: &str| json!({"metadata": metadata(name), "spec": {"ports": [{"name": "https", "port": 443}]}});
        let of = |name: &str, service: &str| json!({"name": name, "namespace": "n", "uid": name, "labels": {SERVICE_NAME: service}});
        let ports = json!([{"name": "other", "port": 1}, {"name": "https", "port": 8443}]);
        let ready = |ready: bool, address: &str| json!({"addresses": [address], "conditions": {"ready": ready}});
        let store = store(&[
            (
                "",
                "services",
                json!({"metadata": metadata("far"), "spec": {"type": "ExternalName", "externalName": "x.y"}}),
            ),
            ("", "services", service("sliced")),
            ("", "services", service("down")),
            ("", "services", service("by-hand")),
            ("", "services", service("nowhere")),
            ("", "services", json!({"metadata": metadata("closed"), "spec": {"ports": [{"port": 80}]}})),
            (
                "discovery.k8s.io",
                "endpointslices",
                json!({
                    "metadata": of("a", "sliced"), "ports": ports,
                    "endpoints": [ready(false, "10.0.0.1"), ready(true, "10.0.0.2")],
                }),
            ),
            (
                "discovery.k8s.io",
                "endpointslices",
                json!({
                    "metadata": of("b", "down"), "ports": ports, "endpoints": [ready(false, "10.0.0.3")],
                }),
            ),
            (
                "",
                "endpoints",
                json!({
                    "metadata": metadata("by-hand"), "subsets": [{"addresses": [{"ip": "10.0.0.4"}], "ports": ports}],
                }),
            ),
        ])
        .await;
        check(&store, "one", "far", Ok(("x.y", 443)));
        check(&store, "one", "sliced", Ok(("10.0.0.2", 8443)));
        check(&store, "one", "by-hand", Ok(("10.0.0.4", 8443)));
        check(&store, "one", "down", Err("no endpoints available for service \"down\""));
        check(&store, "one", "nowhere", Err("no endpoints available for service \"nowhere\""));
        check(&store, "one", "closed", Err("no service port 443 found for service \"closed\""));
        check(&store, "two", "far", Err("service \"far\" not found"));
    }
}
