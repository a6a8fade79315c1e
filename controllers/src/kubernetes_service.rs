//! Gives every cluster that serves services the one called `kubernetes`, by which programs find the API server, with
//! endpoints that lead to it; and tells the range that services' addresses come from.
//!
//! As in kube-apiserver it is made when it is missing, also after somebody has deleted it. Whatever its users have changed
//! of the service itself stays; its endpoints are always this server's.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Resource, Selection, Server, Shape};
use crate::ensure::Wanted;
use crate::frame::ClusterKey;
use crate::namespaces::NAMESPACES;
use crate::queue::{Next, Queue};
use crate::source::{Seen, Source};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
const MANAGER: &str = "kube-apiserver";
const SERVICES: Resource<'static> = Resource { api: "/api/v1", plural: "services" };
const ENDPOINTS: Resource<'static> = Resource { api: "/api/v1", plural: "endpoints" };
const SLICES: Resource<'static> = Resource { api: "/apis/discovery.k8s.io/v1", plural: "endpointslices" };
const RANGES: Resource<'static> = Resource { api: "/apis/networking.k8s.io/v1", plural: "servicecidrs" };
const AT_A_TIME: usize = 32;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where the `kubernetes` service of every cluster leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The range that services' addresses come from, such as `10.96.0.0/12`.
    pub range: String,
    /// The service's own address.
    pub cluster_ip: Ipv4Addr,
    /// An address of the server which others can reach; without one the service has no endpoints.
    pub address: Option<IpAddr>,
    /// The server's port.
    pub port: u16,
}

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, settings: Settings, stop: CancellationToken) {
    let queue = Queue::new(LONGEST_PAUSE);
    let namespaces = follow(&server, NAMESPACES, NAMESPACE, &stop, |seen| match seen {
        Seen::Here(namespace) => queue.add(ClusterKey::of(&namespace)),
        Seen::Gone(_) | Seen::Listing | Seen::Listed => {}
    });
    let gone = |seen| match seen {
        Seen::Gone(object) if object.namespace() == NAMESPACE => queue.add(ClusterKey::of(&object)),
        _ => {}
    };
    let services = follow(&server, SERVICES, NAME, &stop, gone);
    let endpoints = follow(&server, ENDPOINTS, NAME, &stop, gone);
    let slices = follow(&server, SLICES, NAME, &stop, gone);
    let work = queue.work(AT_A_TIME, &stop, |ClusterKey(cluster)| furnish(&server, &settings, cluster));
    futures::join!(namespaces, services, endpoints, slices, work);
}

async fn follow(server: &Server, resource: Resource<'_>, name: &str, stop: &CancellationToken, tell: impl FnMut(Seen)) {
    let selection = Selection::fields(format!("metadata.name={name}"));
    let source = Source::everywhere(server, resource, Shape::Metadata).selecting(selection);
    source.run(stop, tell).await;
}

async fn furnish(server: &Server, settings: &Settings, cluster: String) -> Answer<Next> {
    let ensure_in = |namespace, resource, object, kept| {
        Wanted { server, manager: MANAGER, cluster: &cluster, namespace, resource, object, kept }.ensure()
    };
    let ensure = |resource, object, kept| ensure_in(NAMESPACE, resource, object, kept);
    ensure_in("", RANGES, range(settings), &[]).await?;
    ensure(SERVICES, service(settings), &[]).await?;
    if let Some(address) = settings.address {
        ensure(ENDPOINTS, endpoints(address, settings.port), &["subsets"]).await?;
        ensure(SLICES, slice(address, settings.port), &["endpoints", "ports"]).await?;
    }
    Ok(Next::Done)
}

fn range(settings: &Settings) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": NAME},
        "spec": {"cidrs": [settings.range]},
    })
}

fn service(settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": settings.cluster_ip.to_string(), "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": settings.port}],
        },
    })
}

fn endpoints(address: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        // The slice beside it is made here, not by the controller that mirrors endpoints.
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": [{"ip": address.to_string()}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    })
}

fn slice(address: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [address.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}
