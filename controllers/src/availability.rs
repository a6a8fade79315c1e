//! Tells whether the servers behind API services are there, in the condition `Available`.
//!
//! Looks at the service and its endpoints, and has the server ask whether somebody answers. Nothing is followed but API
//! services until there is one that names a service.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Endpoint, Failure, Resource, Selection, Server, Shape, cluster_of, optional};
use crate::conditions::{self, Change, Condition};
use crate::frame::ObjectKey;
use crate::queue::{Next, Queue};
use crate::source::{Seen, Source};
use crate::{Probe, ServicesAre};

const API_SERVICES: Resource<'static> = Resource { api: "/apis/apiregistration.k8s.io/v1", plural: "apiservices" };
const SERVICES: Resource<'static> = Resource { api: "/api/v1", plural: "services" };
const ENDPOINTS: Resource<'static> = Resource { api: "/api/v1", plural: "endpoints" };
const SLICES: Resource<'static> = Resource { api: "/apis/discovery.k8s.io/v1", plural: "endpointslices" };
/// Which service an endpoint slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

const MANAGER: &str = "kube-apiserver";
/// They do little but wait for answers.
const AT_A_TIME: usize = 64;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a server that is there is looked for again: no event tells when it goes.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A service in a logical cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Behind {
    cluster: String,
    namespace: String,
    name: String,
}

/// Which API services name which service.
#[derive(Default)]
struct Naming(Mutex<Named>);

#[derive(Default)]
struct Named {
    by_service: HashMap<Behind, BTreeSet<ObjectKey>>,
    services: HashMap<ObjectKey, Behind>,
}

/// What is known of the server behind an API service.
struct Verdict {
    status: &'static str,
    reason: &'static str,
    message: String,
    next: Next,
}

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, probe: Probe, stop: CancellationToken) {
    let queue = Queue::new(LONGEST_PAUSE);
    let naming = Naming::default();
    let (wanted, wants) = watch::channel(false);
    let source = |resource, shape| Source::everywhere(&server, resource, shape);
    let api_services = source(API_SERVICES, Shape::Full);
    let follow = api_services.run(&stop, |seen| match seen {
        Seen::Listing => naming.clear(),
        Seen::Here(api_service) => {
            let key = ObjectKey::of(&api_service);
            naming.note(&key, behind(&api_service));
            if api_service.at(&["spec", "service"]).is_some_and(Value::is_object) {
                wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
            }
            queue.add(key);
        }
        Seen::Gone(api_service) => naming.note(&ObjectKey::of(&api_service), None),
        Seen::Listed => {}
    });
    let wake = |seen: Seen, name: fn(&Object) -> &str| {
        if let Seen::Here(object) | Seen::Gone(object) = seen {
            let (cluster, namespace) = (cluster_of(&object).to_owned(), object.namespace().to_owned());
            naming
                .of(&Behind { cluster, namespace, name: name(&object).to_owned() })
                .into_iter()
                .for_each(|k| queue.add(k));
        }
    };
    let services = async {
        if begins(wants.clone(), &stop).await {
            source(SERVICES, Shape::Metadata).run(&stop, |seen| wake(seen, Object::name)).await;
        }
    };
    let slices = async {
        if begins(wants.clone(), &stop).await {
            source(SLICES, Shape::Metadata).run(&stop, |seen| wake(seen, service_of_slice)).await;
        }
    };
    let work = queue.work(AT_A_TIME, &stop, |key| look(&server, &probe, key));
    futures::join!(follow, services, slices, work);
}

/// Waits until there is something to follow services for; `false` if there will not be.
async fn begins(mut wants: watch::Receiver<bool>, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        wanted = wants.wait_for(|wanted| *wanted) => wanted.is_ok(),
    }
}

fn service_of_slice(slice: &Object) -> &str {
    slice.label(SERVICE_NAME).unwrap_or_default()
}

/// The service that an API service names.
fn behind(api_service: &Object) -> Option<Behind> {
    api_service.at(&["spec", "service"]).filter(|service| service.is_object())?;
    Some(Behind {
        cluster: cluster_of(api_service).to_owned(),
        namespace: api_service.text_at(&["spec", "service", "namespace"]).to_owned(),
        name: api_service.text_at(&["spec", "service", "name"]).to_owned(),
    })
}

/// Looks at one API service, and tells what is found.
async fn look(server: &Server, probe: &Probe, key: ObjectKey) -> Answer<Next> {
    let cluster = server.cluster(&key.cluster);
    let path = API_SERVICES.object("", &key.name);
    let mut api_service = match optional(cluster.get(&path, Shape::Full).await) {
        Ok(Some(api_service)) => api_service,
        Ok(None) | Err(Failure::NoCluster | Failure::NotServed) => return Ok(Next::Done),
        Err(failure) => return Err(failure),
    };
    let verdict = match behind_in(&key, &api_service) {
        None => Verdict::local(),
        Some(service) => {
            let port = api_service.at(&["spec", "service", "port"]).and_then(Value::as_u64).unwrap_or(443);
            judge(&cluster, probe, &key, &service, port).await?
        }
    };
    let Verdict { status, reason, message, next } = verdict;
    let condition = Condition { kind: "Available", status, reason, message };
    let told = match conditions::set(api_service.map_mut("status"), &condition, Timestamp::now()) {
        Change::None => return Ok(next),
        Change::Changed => cluster.replace(&format!("{path}/status"), &Value::Object(api_service.0), MANAGER).await,
    };
    match told {
        Ok(_) => Ok(next),
        Err(failure) if failure.is_gone() => Ok(Next::Done),
        Err(failure) => Err(failure),
    }
}

/// The service that an API service names. One that is read in its cluster does not say which that is.
fn behind_in(key: &ObjectKey, api_service: &Object) -> Option<Behind> {
    behind(api_service).map(|behind| Behind { cluster: key.cluster.clone(), ..behind })
}

/// Whether the server behind an API service is there.
async fn judge(cluster: &Endpoint, probe: &Probe, key: &ObjectKey, service: &Behind, port: u64) -> Answer<Verdict> {
    if probe.services == ServicesAre::Stored
        && let Some(fault) = fault_of_service(cluster, service, port).await?
    {
        return Ok(fault);
    }
    Ok(match (probe.ask)(key.cluster.clone(), key.name.clone()).await {
        Ok(()) => Verdict::passed(),
        Err(why) => Verdict { next: Next::Waiting, ..Verdict::failed("FailedDiscoveryCheck", why) },
    })
}

/// What is wrong with a service itself.
async fn fault_of_service(cluster: &Endpoint, behind: &Behind, port: u64) -> Answer<Option<Verdict>> {
    let Behind { namespace, name, .. } = behind;
    let found = match optional(cluster.get(&SERVICES.object(namespace, name), Shape::Full).await) {
        Err(Failure::NotServed) => None,
        other => other?,
    };
    let Some(service) = found else {
        let message = format!("service/{name} in \"{namespace}\" is not present");
        return Ok(Some(Verdict::failed("ServiceNotFound", message)));
    };
    // Only of these is it known that they listen at a port of the cluster.
    if !matches!(service.text_at(&["spec", "type"]), "" | "ClusterIP") {
        return Ok(None);
    }
    let ports = service.at(&["spec", "ports"]).and_then(Value::as_array);
    let Some(of_port) = ports.into_iter().flatten().find(|one| one["port"] == port) else {
        let message = format!("service/{name} in \"{namespace}\" is not listening on port {port}");
        return Ok(Some(Verdict::failed("ServicePortError", message)));
    };
    let port_name = of_port["name"].as_str().unwrap_or_default();
    let selection = Selection::labels(format!("{SERVICE_NAME}={name}"));
    let slices = match cluster.list(&SLICES.collection(namespace), Shape::Full, &selection).await {
        Err(Failure::NotServed) => Vec::new(),
        other => other?,
    };
    if slices.is_empty() {
        // Nothing here makes slices of endpoints that somebody wrote by hand.
        let endpoints = optional(cluster.get(&ENDPOINTS.object(namespace, name), Shape::Metadata).await);
        if matches!(endpoints, Ok(Some(_))) {
            return Ok(None);
        }
        let message = format!("cannot find endpointslices for service/{name} in \"{namespace}\"");
        return Ok(Some(Verdict::failed("EndpointsNotFound", message)));
    }
    if !slices.iter().any(|slice| has_endpoint(slice, port_name)) {
        let message = format!(
            "endpointslices for service/{name} in \"{namespace}\" have no addresses with port name \"{port_name}\""
        );
        return Ok(Some(Verdict::failed("MissingEndpoints", message)));
    }
    Ok(None)
}

/// Whether a slice has an endpoint that is ready, and a port of that name.
fn has_endpoint(slice: &Object, port_name: &str) -> bool {
    let list = |name: &str| slice.get(name).and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let is_ready = |endpoint: &Value| endpoint["conditions"]["ready"] != false;
    let is_port = |port: &Value| port["name"].as_str().unwrap_or_default() == port_name && port["port"].is_number();
    list("endpoints").iter().any(is_ready) && list("ports").iter().any(is_port)
}

// === impl Verdict ===

impl Verdict {
    fn local() -> Self {
        let message = "Local APIServices are always available".to_owned();
        Self { status: "True", reason: "Local", message, next: Next::Done }
    }

    fn passed() -> Self {
        Self {
            status: "True",
            reason: "Passed",
            message: "all checks passed".to_owned(),
            next: Next::After(LOOK_EVERY),
        }
    }

    /// Something stored is not as it must be; a change of it brings another look.
    fn failed(reason: &'static str, message: String) -> Self {
        Self { status: "False", reason, message, next: Next::After(LOOK_EVERY) }
    }
}

// === impl Naming ===

impl Naming {
    fn clear(&self) {
        *self.lock() = Named::default();
    }

    /// Notes which service an API service names now.
    fn note(&self, key: &ObjectKey, behind: Option<Behind>) {
        let mut named = self.lock();
        if let Some(before) = named.services.remove(key)
            && let Some(keys) = named.by_service.get_mut(&before)
        {
            keys.remove(key);
            if keys.is_empty() {
                named.by_service.remove(&before);
            }
        }
        if let Some(behind) = behind {
            named.by_service.entry(behind.clone()).or_default().insert(key.clone());
            named.services.insert(key.clone(), behind);
        }
    }

    /// The API services that name a service.
    fn of(&self, behind: &Behind) -> Vec<ObjectKey> {
        self.lock().by_service.get(behind).into_iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
