//! What each logical cluster holds: how many objects and bytes, of which resources.
//!
//! A cluster that holds nothing has no record.

use std::collections::HashMap;

use atoll_api::LogicalClusterName;
use parking_lot::RwLock;

use super::resource::UsageChange;

/// What a logical cluster holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterUsage {
    /// How many objects.
    pub objects: u64,
    /// The bytes of their stored JSON.
    pub bytes: u64,
}

/// The records of all clusters.
#[derive(Default)]
pub(super) struct Clusters {
    records: RwLock<HashMap<LogicalClusterName, Record>>,
}

#[derive(Default)]
struct Record {
    usage: ClusterUsage,
    /// The numbers of the resources of which it holds objects, and how many.
    resources: Vec<(u32, u64)>,
}

// === impl Clusters ===

impl Clusters {
    /// The one copy of a cluster's name that all its entries share. What is then put must be accounted for.
    pub(super) fn intern(&self, cluster: &LogicalClusterName) -> LogicalClusterName {
        if let Some((name, _)) = self.records.read().get_key_value(cluster) {
            return name.clone();
        }
        self.records.write().entry(cluster.clone()).or_default();
        cluster.clone()
    }

    pub(super) fn account(&self, changes: &[UsageChange]) {
        let mut records = self.records.write();
        for change in changes {
            let record = match records.get_mut(&change.cluster) {
                Some(record) => record,
                None => records.entry(change.cluster.clone()).or_default(),
            };
            record.account(change);
            if record.usage.objects == 0 {
                records.remove(&change.cluster);
            }
        }
        // Give memory back after a mass deletion.
        if records.len() < records.capacity() / 8 {
            let kept = records.len() * 2;
            records.shrink_to(kept);
        }
    }

    pub(super) fn usage(&self, cluster: &LogicalClusterName) -> ClusterUsage {
        self.records.read().get(cluster).map_or_else(ClusterUsage::default, |record| record.usage)
    }

    /// What a cluster holds of one resource; its bytes by what its objects have on average.
    pub(super) fn usage_of(&self, cluster: &LogicalClusterName, resource: u32) -> ClusterUsage {
        let records = self.records.read();
        let Some(record) = records.get(cluster) else { return ClusterUsage::default() };
        let Ok(index) = record.resources.binary_search_by_key(&resource, |(id, _)| *id) else {
            return ClusterUsage::default();
        };
        let objects = record.resources[index].1;
        ClusterUsage { objects, bytes: record.usage.bytes / record.usage.objects.max(1) * objects }
    }

    /// The numbers of the resources of which a cluster holds objects.
    pub(super) fn resources(&self, cluster: &LogicalClusterName) -> Vec<u32> {
        let records = self.records.read();
        records.get(cluster).map_or_else(Vec::new, |record| record.resources.iter().map(|(id, _)| *id).collect())
    }

    /// How many clusters hold something.
    pub(super) fn len(&self) -> usize {
        self.records.read().len()
    }
}

// === impl Record ===

impl Record {
    fn account(&mut self, change: &UsageChange) {
        self.usage.objects = self.usage.objects.saturating_add_signed(change.objects);
        self.usage.bytes = self.usage.bytes.saturating_add_signed(change.bytes);
        match self.resources.binary_search_by_key(&change.resource, |(id, _)| *id) {
            Ok(index) => {
                let count = &mut self.resources[index].1;
                *count = count.saturating_add_signed(change.objects);
                if *count == 0 {
                    self.resources.remove(index);
                }
            }
            Err(index) if change.objects > 0 => {
                self.resources.insert(index, (change.resource, change.objects.unsigned_abs()));
            }
            Err(_) => {}
        }
    }
}
