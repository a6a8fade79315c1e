//! Fills an empty cache: entries are made on one thread while the engine reads on another, and sorted at the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::entry::Entry;
use super::resource::{Resource, UsageChange};
use super::{LoadError, Store};
use crate::storage::{BackendError, Record};

/// How many records go from one thread to the other at once, and how many such batches may wait.
const BATCH: usize = 512;
const WAITING: usize = 8;

/// Sends records in batches; the rest goes when it is dropped.
struct Outbox {
    batch: Vec<Record>,
    to: SyncSender<Vec<Record>>,
}

/// The entries of a resource, each with the text by which it is sorted.
struct Pile {
    resource: Arc<Resource>,
    entries: Vec<(Box<[u8]>, Arc<Entry>)>,
}

impl Store {
    /// Loads everything the engine has, and gives the revision of which it is the state.
    pub(super) async fn load(self: &Arc<Self>) -> Result<u64, LoadError> {
        let (to, from) = sync_channel(WAITING);
        let store = self.clone();
        let piling = tokio::task::spawn_blocking(move || store.fill(&from));
        let mut outbox = Outbox { batch: Vec::new(), to };
        let loaded = self.backend.load(Box::new(move |record| outbox.push(record))).await;
        let piled = piling.await;
        let revision = loaded.map_err(LoadError::Load)?;
        piled.map_err(|died| LoadError::Load(BackendError::Unavailable { reason: died.to_string().into() }))?;
        Ok(revision)
    }

    fn fill(&self, from: &Receiver<Vec<Record>>) {
        let mut piles: HashMap<u32, Pile> = HashMap::new();
        let mut usage = Vec::with_capacity(BATCH);
        for batch in from {
            for record in batch {
                let resource = self.resource_or_new(&record.key.resource);
                let cluster = self.clusters.intern(&record.key.cluster);
                let order = order(&record);
                let bytes = record.value.len() as i64;
                usage.push(UsageChange { cluster: cluster.clone(), resource: resource.id, objects: 1, bytes });
                let entry = self.entry(&resource, Entry::new(&record.key, cluster, record.value, record.revision));
                let pile = piles.entry(resource.id).or_insert_with(|| Pile { resource, entries: Vec::new() });
                pile.entries.push((order, entry));
            }
            self.clusters.account(&usage);
            usage.clear();
        }
        for pile in piles.into_values() {
            let mut entries = pile.entries;
            entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            pile.resource.fill(entries.into_iter().map(|(_, entry)| entry).collect());
        }
    }
}

/// A text that sorts as positions do. (Where names contain a `/`, which no object's does, the tree sorts again.)
fn order(record: &Record) -> Box<[u8]> {
    let key = &record.key;
    [key.cluster.as_str(), &key.namespace, &key.name].join("/").into_bytes().into()
}

// === impl Outbox ===

impl Outbox {
    fn push(&mut self, record: Record) {
        self.batch.push(record);
        if self.batch.len() == BATCH {
            self.send();
        }
    }

    fn send(&mut self) {
        // When nobody takes them, the other thread has died, which is found when it is awaited.
        drop(self.to.send(std::mem::take(&mut self.batch)));
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.send();
    }
}
