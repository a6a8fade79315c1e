//! Finds an entry by its exact place: by hash, which touches far less memory than the way down the tree.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use super::entry::Entry;
use crate::storage::key::Parts;

/// The entries of a tree by the hashes of their places.
#[derive(Default)]
pub(super) struct Index {
    by_hash: HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>>,
    /// Seeded, so that nobody can choose names that clash.
    hasher: RandomState,
    /// Whether two places ever had the same hash. The second one is not in the index, so from then on only the tree
    /// knows what is not there.
    clashed: bool,
}

/// What looking up told.
pub(super) enum Lookup<'a> {
    /// The entry.
    Found(&'a Arc<Entry>),
    /// There is none.
    Absent,
    /// The tree must be asked.
    Unknown,
}

/// Passes a number that is a hash already.
#[derive(Default)]
struct Hashed(u64);

// === impl Index ===

impl Index {
    pub(super) fn get(&self, at: Parts<'_>) -> Lookup<'_> {
        match self.by_hash.get(&self.hasher.hash_one(at)) {
            Some(entry) if entry.parts() == at => Lookup::Found(entry),
            None if !self.clashed => Lookup::Absent,
            Some(_) | None => Lookup::Unknown,
        }
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.by_hash.reserve(more);
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        let hash = self.hasher.hash_one(entry.parts());
        match self.by_hash.get_mut(&hash) {
            Some(there) if there.parts() == entry.parts() => *there = entry,
            Some(_) => self.clashed = true,
            None => drop(self.by_hash.insert(hash, entry)),
        }
    }

    pub(super) fn remove(&mut self, at: Parts<'_>) {
        let hash = self.hasher.hash_one(at);
        if self.by_hash.get(&hash).is_some_and(|entry| entry.parts() == at) {
            self.by_hash.remove(&hash);
        }
        // Give memory back after a mass deletion.
        if self.by_hash.len() < self.by_hash.capacity() / 8 {
            self.by_hash.shrink_to(self.by_hash.len() * 2);
        }
    }
}

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used: keys are single numbers.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use atoll_api::{GroupResource, LogicalClusterName};
    use bytes::Bytes;

    use super::*;
    use crate::storage::key::Key;

    fn entry(name: &str) -> Arc<Entry> {
        let cluster = LogicalClusterName::parse("c").unwrap();
        let key = Key::new(GroupResource::new("", "pods"), cluster.clone(), "n", name);
        Arc::new(Entry::new(&key, cluster, Bytes::new(), 1))
    }

    #[test]
    fn entries_are_found_until_they_are_removed() {
        let mut index = Index::default();
        for number in 0..1000 {
            index.insert(entry(&number.to_string()));
        }
        assert!(matches!(index.get(entry("7").parts()), Lookup::Found(found) if found.name() == "7"));
        assert!(matches!(index.get(entry("x").parts()), Lookup::Absent));
        for number in 0..1000 {
            index.remove(entry(&number.to_string()).parts());
        }
        assert!(matches!(index.get(entry("7").parts()), Lookup::Absent));
        assert!(index.by_hash.capacity() < 100);
    }

    #[test]
    fn places_whose_hashes_clash_are_left_to_the_tree() {
        let mut index = Index::default();
        let (first, second) = (entry("first"), entry("second"));
        // As if both had the same hash.
        index.by_hash.insert(index.hasher.hash_one(second.parts()), first);
        index.insert(second.clone());
        assert!(matches!(index.get(second.parts()), Lookup::Unknown));
        index.remove(second.parts());
        index.by_hash.clear();
        assert!(matches!(index.get(second.parts()), Lookup::Unknown), "it may be in the tree");
    }
}
