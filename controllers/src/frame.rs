//! What most controllers are: a collection that is followed over all logical clusters, what of it is to be looked at, and the work for
//! each of these, so many at a time.

use std::time::Duration;

use atoll_api::Object;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::{Answer, Resource, Server, Shape, cluster_of};
use crate::queue::{Key, Next, Queue};
use crate::source::{Seen, Source};

/// An object of a logical cluster, in no namespace; or a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub(crate) cluster: String,
    pub(crate) name: String,
}

/// A logical cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClusterKey(pub(crate) String);

/// What a controller follows, and how it works.
pub(crate) struct Frame {
    /// The collection.
    pub(crate) resource: Resource<'static>,
    /// How much of each object tells whether it is to be looked at.
    pub(crate) shape: Shape,
    /// How many keys are worked on at a time.
    pub(crate) at_a_time: usize,
    /// At least how often what fails is tried again.
    pub(crate) longest_pause: Duration,
}

// === impl Frame ===

impl Frame {
    /// Runs until told to stop: `notice` adds to the queue what is to be looked at, `work` does it.
    pub(crate) async fn run<K, Work>(
        &self,
        server: &Server,
        stop: &CancellationToken,
        mut notice: impl FnMut(Seen, &Queue<K>),
        work: impl Fn(K) -> Work,
    ) where
        K: Key,
        Work: Future<Output = Answer<Next>>,
    {
        let queue = Queue::new(self.longest_pause);
        let source = Source::everywhere(server, self.resource, self.shape);
        let follow = source.run(stop, |seen| notice(seen, &queue));
        futures::join!(follow, queue.work(self.at_a_time, stop, work));
    }

    /// The same for a controller that looks at objects themselves, when they are there and it is concerned with them.
    pub(crate) async fn run_for<Work>(
        &self,
        server: &Server,
        stop: &CancellationToken,
        concerned: impl Fn(&Object) -> bool,
        work: impl Fn(ObjectKey) -> Work,
    ) where
        Work: Future<Output = Answer<Next>>,
    {
        let notice = |seen, queue: &Queue<ObjectKey>| match seen {
            Seen::Here(object) if concerned(&object) => queue.add(ObjectKey::of(&object)),
            _ => {}
        };
        self.run(server, stop, notice, work).await;
    }
}

// === impl ObjectKey ===

impl ObjectKey {
    /// An object that is in no namespace.
    pub(crate) fn of(object: &Object) -> Self {
        Self { cluster: cluster_of(object).to_owned(), name: object.name().to_owned() }
    }

    /// The namespace of an object.
    pub(crate) fn namespace_of(object: &Object) -> Self {
        Self { cluster: cluster_of(object).to_owned(), name: object.namespace().to_owned() }
    }
}

impl Key for ObjectKey {
    fn lane(&self) -> &str {
        &self.cluster
    }
}

// === impl ClusterKey ===

impl ClusterKey {
    /// The cluster of an object.
    pub(crate) fn of(object: &Object) -> Self {
        Self(cluster_of(object).to_owned())
    }
}

impl Key for ClusterKey {
    fn lane(&self) -> &str {
        &self.0
    }
}
