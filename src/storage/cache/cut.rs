//! All that a logical cluster holds, of whatever resource, at one revision.

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName};

use super::Store;
use super::entry::Entry;
use super::list::{ListQuery, ReadError, Sight};

/// How often a cut is tried again whose revision history did not reach any more.
const ATTEMPTS: usize = 8;

/// What a cluster, or the whole store, holds at one revision.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The revision.
    pub revision: u64,
    /// The entries of each resource of which there are any, in their order.
    pub held: Vec<(GroupResource, Vec<Arc<Entry>>)>,
}

impl Store {
    /// All that the clusters of a scope hold now, as of one revision: nothing is in it by half, and nobody waits for it.
    pub fn cut(&self, scope: &ClusterScope) -> Result<Cut, ReadError> {
        let mut attempt = 1;
        loop {
            match self.cut_now(scope) {
                Err(ReadError::Expired { .. }) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    /// The same of one cluster.
    pub fn cut_of(&self, cluster: &LogicalClusterName) -> Result<Cut, ReadError> {
        self.cut(&ClusterScope::One(cluster.clone()))
    }

    fn cut_now(&self, scope: &ClusterScope) -> Result<Cut, ReadError> {
        let revision = self.revision();
        // All there are: one whose last object goes meanwhile is in the record of what a cluster holds no more.
        let resources: Vec<GroupResource> =
            self.resources.read().by_id.iter().map(|found| found.name.clone()).collect();
        let mut held = Vec::new();
        for resource in resources {
            let query = ListQuery { at: Some(revision), ..ListQuery::new(&resource, scope) };
            // Also what is in clusters that are closed: their making goes on from there.
            let page = self.list_in_sight(query, Sight::AsStored)?;
            if !page.entries.is_empty() {
                held.push((resource, page.entries));
            }
        }
        Ok(Cut { revision, held })
    }
}

impl Cut {
    /// Each entry with its resource.
    pub fn entries(&self) -> impl Iterator<Item = (&GroupResource, &Arc<Entry>)> {
        self.held.iter().flat_map(|(resource, entries)| entries.iter().map(move |entry| (resource, entry)))
    }

    /// How many entries there are, and the bytes of their values.
    pub fn size(&self) -> (u64, u64) {
        self.entries().fold((0, 0), |(count, bytes), (_, entry)| (count + 1, bytes + entry.size() as u64))
    }
}
