//! Follows the objects of custom resources: each resource once over all logical clusters, whoever defines it.
//!
//! A server that does not serve custom resources across clusters is followed cluster by cluster.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Collector;
use super::graph::{Origin, Place};
use crate::cluster_api::{Answer, Endpoint, Failure, Resource, Selection, Server, Shape, cluster_of, optional};
use crate::conditions;
use crate::crds::{self, DEFINITIONS};
use crate::queue::{self, Next, Queue};
use crate::source::{Seen, Source};

const AT_A_TIME: usize = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A definition in a logical cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    cluster: String,
    name: String,
}

impl queue::Key for Key {
    fn lane(&self) -> &str {
        &self.cluster
    }
}

/// What is followed: a definition's name (`<plural>.<group>`), in one cluster or in all.
type Scope = (Option<String>, String);

struct Followed {
    origin: Origin,
    stop: CancellationToken,
    /// The clusters that define it.
    clusters: HashSet<String>,
}

struct Customs<'a> {
    collector: &'a Arc<Collector>,
    followed: Mutex<HashMap<Scope, Followed>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Follows definitions, and the objects of all that are established, until told to stop.
pub(super) async fn follow(collector: &Arc<Collector>, stop: &CancellationToken) {
    let customs = Customs {
        collector,
        followed: Mutex::new(HashMap::new()),
        tasks: TaskTracker::new(),
        stop: stop.child_token(),
    };
    let queue = Queue::new(LONGEST_PAUSE);
    let source = Source {
        endpoint: collector.server.all_clusters(),
        path: DEFINITIONS.collection(""),
        shape: Shape::Metadata,
        selection: Selection::all(),
    };
    let definitions = source.run(stop, |seen| {
        if let Seen::Here(definition) | Seen::Gone(definition) = seen {
            queue.add(Key { cluster: cluster_of(&definition).to_owned(), name: definition.name().to_owned() });
        }
    });
    let work = queue.work(AT_A_TIME, stop, |key| customs.look_at(key));
    futures::join!(definitions, work);
    customs.stop.cancel();
    customs.tasks.close();
    customs.tasks.wait().await;
}

// === impl Customs ===

impl Customs<'_> {
    async fn look_at(&self, key: Key) -> Answer<Next> {
        let cluster = self.collector.server.cluster(&key.cluster);
        let found = match optional(cluster.get(&DEFINITIONS.object("", &key.name), Shape::Full).await) {
            Err(Failure::NoCluster) => None,
            other => other?,
        };
        let established = found.filter(|found| conditions::status_of(found.get("status"), "Established") == "True");
        let Some(definition) = established else {
            self.leave(&key);
            return Ok(Next::Done);
        };
        let Some(api) = crds::served_api(&definition) else {
            self.leave(&key);
            return Ok(Next::Done);
        };
        let plural = definition.text_at(&["spec", "names", "plural"]);
        self.join(&key, &api, plural).await?;
        self.collector.defined(&key.cluster);
        Ok(Next::Done)
    }

    /// Sees to it that the objects of a definition are followed.
    async fn join(&self, key: &Key, api: &str, plural: &str) -> Answer<()> {
        let everywhere = (None, key.name.clone());
        {
            let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            for scope in [&everywhere, &(Some(key.cluster.clone()), key.name.clone())] {
                if let Some(known) = followed.get_mut(scope) {
                    known.clusters.insert(key.cluster.clone());
                    if scope.0.is_none() || *known.origin.api == *api {
                        return Ok(());
                    }
                }
            }
        }
        // In one cluster, by another version than before: what was followed ends first.
        self.leave(key);
        let (scope, endpoint) = match is_served_everywhere(&self.collector.server, api, plural).await? {
            true => (everywhere, self.collector.server.all_clusters()),
            false => ((Some(key.cluster.clone()), key.name.clone()), self.collector.server.cluster(&key.cluster)),
        };
        self.begin(scope, endpoint, key, api, plural);
        Ok(())
    }

    fn begin(&self, scope: Scope, endpoint: Endpoint, key: &Key, api: &str, plural: &str) {
        let cluster = scope.0.as_deref().map(Arc::from);
        let origin = Origin { cluster, api: api.into(), plural: plural.into() };
        let stop = self.stop.child_token();
        let clusters = HashSet::from([key.cluster.clone()]);
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = followed.get_mut(&scope) {
            known.clusters.insert(key.cluster.clone());
            return;
        }
        followed.insert(scope, Followed { origin: origin.clone(), stop: stop.clone(), clusters });
        let collector = self.collector.clone();
        self.tasks.spawn(async move { collector.follow(endpoint, origin, &stop).await });
    }

    /// Notes that a cluster does not define this any more; the last one ends the following.
    fn leave(&self, key: &Key) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        for scope in [(None, key.name.clone()), (Some(key.cluster.clone()), key.name.clone())] {
            let Some(known) = followed.get_mut(&scope) else { continue };
            known.clusters.remove(&key.cluster);
            if known.clusters.is_empty() {
                known.stop.cancel();
                self.collector.graph().dropped(&Arc::new(known.origin.clone()));
                followed.remove(&scope);
            }
        }
    }
}

/// Whether a custom resource can be read over all clusters at once.
async fn is_served_everywhere(server: &Server, api: &str, plural: &str) -> Answer<bool> {
    let path = Resource { api, plural }.collection("");
    match server.all_clusters().page(&path, Shape::Metadata, &Selection::all(), "").await {
        Ok(_) => Ok(true),
        Err(Failure::NotServed | Failure::Refused(_)) => Ok(false),
        Err(failure) => Err(failure),
    }
}

impl Collector {
    /// Where an object of a custom resource is now: its cluster may serve other versions than the one it was seen in.
    pub(super) async fn moved(&self, cluster: &Endpoint, place: &Place) -> Answer<Option<Place>> {
        let Some(group) = place.api.strip_prefix("/apis/").and_then(|rest| rest.split('/').next()) else {
            return Ok(None);
        };
        let name = format!("{}.{group}", place.plural);
        let definition = optional(cluster.get(&DEFINITIONS.object("", &name), Shape::Full).await)?;
        let api = definition.and_then(|definition| crds::served_api(&definition));
        Ok(api.filter(|api| **api != *place.api).map(|api| Place { api: api.into(), ..place.clone() }))
    }
}
