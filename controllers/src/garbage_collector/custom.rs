//! Follows the objects of custom resources: each resource once over all logical clusters, whoever defines it.
//!
//! Definitions of one name differ from cluster to cluster; over all of them the server tells metadata, in any version.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Collector;
use super::graph::{Origin, Place};
use crate::cluster_api::{Answer, Endpoint, Failure, Shape, optional};
use crate::conditions;
use crate::crds::{self, DEFINITIONS};
use crate::frame::{Frame, ObjectKey};
use crate::queue::{Next, Queue};
use crate::source::Seen;

const FRAME: Frame =
    Frame { resource: DEFINITIONS, shape: Shape::Metadata, at_a_time: 4, longest_pause: Duration::from_secs(60) };

/// How long a definition is left alone after a change, since another is likely to follow.
const SETTLES: Duration = Duration::from_millis(50);

struct Followed {
    origin: Origin,
    stop: CancellationToken,
    /// The clusters that define it.
    clusters: HashSet<String>,
}

struct Customs<'a> {
    collector: &'a Arc<Collector>,
    /// What is followed, by the names of definitions (`<plural>.<group>`).
    followed: Mutex<HashMap<String, Followed>>,
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
    let notice = |seen, queue: &Queue<ObjectKey>| match seen {
        // A new one is stored twice, the second time with its names accepted.
        Seen::Here(definition) => queue.add_after(ObjectKey::of(&definition), SETTLES),
        Seen::Gone(definition) => queue.add(ObjectKey::of(&definition)),
        // Definitions may have gone in a gap.
        Seen::Listing => customs.known().into_iter().for_each(|key| queue.add(key)),
        Seen::Listed => {}
    };
    FRAME.run(&collector.server, stop, notice, |key| customs.look_at(key)).await;
    customs.stop.cancel();
    customs.tasks.close();
    customs.tasks.wait().await;
}

// === impl Customs ===

impl Customs<'_> {
    fn followed(&self) -> MutexGuard<'_, HashMap<String, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every definition of which something is followed.
    fn known(&self) -> Vec<ObjectKey> {
        let followed = self.followed();
        let of = |(name, known): (&String, &Followed)| -> Vec<ObjectKey> {
            known.clusters.iter().map(|cluster| ObjectKey { cluster: cluster.clone(), name: name.clone() }).collect()
        };
        followed.iter().flat_map(of).collect()
    }

    async fn look_at(&self, key: ObjectKey) -> Answer<Next> {
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
        self.join(&key, &api, definition.text_at(&["spec", "names", "plural"]));
        self.collector.defined(&key.cluster);
        Ok(Next::Done)
    }

    /// Sees to it that the objects of a definition are followed.
    fn join(&self, key: &ObjectKey, api: &str, plural: &str) {
        // A tenant may define a resource that others have built in; those are followed together.
        if self.collector.follows_builtin(api, plural) {
            return;
        }
        let mut followed = self.followed();
        let known = followed.entry(key.name.clone()).or_insert_with(|| self.begin(api, plural));
        known.clusters.insert(key.cluster.clone());
    }

    fn begin(&self, api: &str, plural: &str) -> Followed {
        let origin = Origin { api: api.into(), plural: plural.into() };
        let stop = self.stop.child_token();
        let (collector, followed, until) = (self.collector.clone(), origin.clone(), stop.clone());
        self.tasks.spawn(async move { collector.follow(followed, &until).await });
        Followed { origin, stop, clusters: HashSet::new() }
    }

    /// Notes that a cluster does not define this any more; the last one ends the following.
    fn leave(&self, key: &ObjectKey) {
        let mut followed = self.followed();
        let Some(known) = followed.get_mut(&key.name) else { return };
        known.clusters.remove(&key.cluster);
        if known.clusters.is_empty() {
            known.stop.cancel();
            self.collector.graph().dropped(&Arc::new(known.origin.clone()));
            followed.remove(&key.name);
        }
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
