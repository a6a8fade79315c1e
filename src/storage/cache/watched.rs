//! Which resources are watched in which single logical clusters, so that deleting a cluster finds its watches.

use std::collections::HashMap;

use atoll_api::LogicalClusterName;
use parking_lot::Mutex;

/// For each watched cluster, how many watchers each resource has there.
#[derive(Default)]
pub(super) struct Watched {
    clusters: Mutex<HashMap<LogicalClusterName, HashMap<u32, usize>>>,
}

// === impl Watched ===

impl Watched {
    pub(super) fn add(&self, cluster: &LogicalClusterName, resource: u32) {
        let mut clusters = self.clusters.lock();
        *clusters.entry(cluster.clone()).or_default().entry(resource).or_default() += 1;
    }

    pub(super) fn remove(&self, cluster: &LogicalClusterName, resource: u32) {
        let mut clusters = self.clusters.lock();
        let Some(resources) = clusters.get_mut(cluster) else { return };
        if let Some(watchers) = resources.get_mut(&resource) {
            *watchers -= 1;
            if *watchers == 0 {
                resources.remove(&resource);
            }
        }
        if resources.is_empty() {
            clusters.remove(cluster);
        }
    }

    /// The numbers of the resources that are watched in a cluster.
    pub(super) fn resources(&self, cluster: &LogicalClusterName) -> Vec<u32> {
        self.clusters.lock().get(cluster).map_or_else(Vec::new, |resources| resources.keys().copied().collect())
    }
}
