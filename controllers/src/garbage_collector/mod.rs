//! Deletes objects whose owners are gone, and ends deletions that wait for dependents, in every logical cluster.
//!
//! Reads metadata only. Never deletes for lack of information: an owner counts as absent only if the server says so of
//! this very name (or has another object there), asked at the moment of the decision.

mod collect;
mod custom;
mod graph;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Endpoint, Resource, Server, Shape, cluster_of};
use crate::discovery::{self, Served};
use crate::queue::{self, Queue};
use crate::source::{Seen, Source};
use graph::{Ending, Graph, NodeId, Origin};

const AT_A_TIME: usize = 8;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long an object whose dependents are to be set free waits, so that dependents made just before it are seen.
const ORPHANS_SETTLE: Duration = Duration::from_millis(300);
const DISCOVERY_PAUSE: Duration = Duration::from_secs(1);

/// The state of the collector.
struct Collector {
    server: Server,
    queue: Queue<NodeId>,
    graph: Mutex<Graph>,
    /// The built-in kinds, by `apiVersion` and kind.
    kinds: HashMap<(String, String), Kind>,
    /// Objects with owners of kinds their cluster does not serve, by cluster.
    undefined: Mutex<HashMap<String, HashSet<NodeId>>>,
}

/// How a kind is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    api: String,
    plural: String,
    namespaced: bool,
}

impl queue::Key for NodeId {
    fn lane(&self) -> &str {
        &self.cluster
    }
}

/// Runs the controller until told to stop.
pub(crate) async fn run(server: Server, stop: CancellationToken) {
    let Some(builtins) = followed_builtins(&server, &stop).await else { return };
    let kinds = builtins.iter().map(|served| ((api_version(served), served.kind.clone()), Kind::of(served))).collect();
    let collector = Arc::new(Collector {
        server,
        queue: Queue::new(LONGEST_PAUSE),
        graph: Mutex::new(Graph::default()),
        kinds,
        undefined: Mutex::new(HashMap::new()),
    });
    let mut follow: FuturesUnordered<_> = builtins
        .iter()
        .map(|served| {
            let origin = Origin { api: served.api.as_str().into(), plural: served.plural.as_str().into() };
            collector.follow(origin, &stop)
        })
        .collect();
    let follow = async { while follow.next().await.is_some() {} };
    let customs = custom::follow(&collector, &stop);
    let work = collector.queue.work(AT_A_TIME, &stop, |id| collector.examine(id));
    futures::join!(follow, customs, work);
}

/// The built-in resources whose objects can have owners. Waits until the server tells; `None` if told to stop.
async fn followed_builtins(server: &Server, stop: &CancellationToken) -> Option<Vec<Served>> {
    loop {
        match discovery::surface(&server.all_clusters()).await {
            Ok(surface) => {
                let kept = surface.resources.into_iter().filter(is_followed);
                return Some(kept.collect());
            }
            Err(failure) => tracing::debug!(error = failure.chain(), "cannot tell yet what is served"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(DISCOVERY_PAUSE) => {}
        }
    }
}

/// Events come and go by themselves, and there are many of them.
fn is_followed(served: &Served) -> bool {
    served.plural != "events" && ["list", "watch", "delete"].iter().all(|verb| served.can(verb))
}

fn api_version(served: &Served) -> String {
    if served.group.is_empty() { served.version.clone() } else { format!("{}/{}", served.group, served.version) }
}

// === impl Kind ===

impl Kind {
    fn of(served: &Served) -> Self {
        Self { api: served.api.clone(), plural: served.plural.clone(), namespaced: served.namespaced }
    }

    fn resource(&self) -> Resource<'_> {
        Resource { api: &self.api, plural: &self.plural }
    }
}

// === impl Collector ===

impl Collector {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the graph as one resource is, in all clusters.
    async fn follow(&self, origin: Origin, stop: &CancellationToken) {
        let resource = Resource { api: &origin.api, plural: &origin.plural };
        let source = Source::everywhere(&self.server, resource, Shape::Metadata);
        let origin = Arc::new(origin);
        let follow = source.run(stop, |seen| {
            let affected = match seen {
                Seen::Here(object) => self.graph().observe(&origin, cluster_of(&object), &object),
                Seen::Gone(object) => self.graph().gone(cluster_of(&object), object.uid()),
                Seen::Listing => {
                    self.graph().listing(&origin);
                    return;
                }
                Seen::Listed => self.graph().listed(&origin),
            };
            for id in affected {
                self.look_at(id);
            }
        });
        follow.await;
    }

    /// Whether a resource of this group and plural name, in whatever version, is followed as a built-in one.
    fn follows_builtin(&self, api: &str, plural: &str) -> bool {
        let group = |api: &str| api.rsplit_once('/').map(|(group, _)| group.to_owned());
        let wanted = group(api);
        self.kinds.values().any(|kind| kind.plural == plural && group(&kind.api) == wanted)
    }

    fn look_at(&self, id: NodeId) {
        let ending = self.graph().node(&id).map(|node| node.ending);
        match ending {
            Some(Ending::Orphan) => self.queue.add_after(id, ORPHANS_SETTLE),
            Some(_) => self.queue.add(id),
            None => {}
        }
    }

    /// How a kind is reached in a cluster; `None` if the cluster does not serve it.
    async fn kind(&self, cluster: &Endpoint, name: &str, api_version: &str, kind: &str) -> Answer<Option<Kind>> {
        if let Some(known) = self.kinds.get(&(api_version.to_owned(), kind.to_owned())) {
            return Ok(Some(known.clone()));
        }
        tracing::trace!(cluster = name, api_version, kind, "asking discovery");
        let found = discovery::kind(cluster, api_version, kind).await?;
        let api = discovery::api_root(api_version);
        Ok(found.map(|found| Kind { api, plural: found.plural, namespaced: found.namespaced }))
    }

    /// Remembers an object whose owner is of a kind that its cluster does not serve.
    fn wait_for_definition(&self, id: &NodeId) {
        let mut undefined = self.undefined.lock().unwrap_or_else(PoisonError::into_inner);
        undefined.entry(id.cluster.to_string()).or_default().insert(id.clone());
    }

    /// Looks again at objects that waited for a definition in this cluster.
    fn defined(&self, cluster: &str) {
        let waiting = self.undefined.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
        for id in waiting.into_iter().flatten() {
            self.queue.add(id);
        }
    }
}
