//! What becomes of a cluster's entries of one resource while nobody is to see it: kept beside the tree until the cluster opens.

use std::sync::Arc;

use super::entry::Entry;
use super::tree::Tree;
use crate::storage::key::{Parts, Position};

/// The changes that are not shown yet.
pub(super) struct Aside {
    /// What was put.
    put: Tree,
    /// What is in the tree that is shown, and was deleted.
    gone: Tree,
}

/// What is known of a place.
pub(super) enum Found<'a> {
    /// There is an entry.
    Entry(&'a Arc<Entry>),
    /// The one that is shown is gone.
    Gone,
    /// It is as it is shown.
    AsShown,
}

// === impl Aside ===

impl Aside {
    pub(super) fn new() -> Self {
        Self::of(Vec::new())
    }

    /// Entries that are shown nowhere, in order.
    pub(super) fn of(entries: Vec<Arc<Entry>>) -> Self {
        Self { put: Tree::from_sorted(entries), gone: Tree::new() }
    }

    pub(super) fn get(&self, at: Parts<'_>) -> Found<'_> {
        match self.put.get(at) {
            Some(entry) => Found::Entry(entry),
            None if self.gone.get(at).is_some() => Found::Gone,
            None => Found::AsShown,
        }
    }

    pub(super) fn put(&mut self, entry: Arc<Entry>) {
        self.gone.remove(entry.parts());
        self.put.insert(entry);
    }

    /// Deletes what is at a place, of which `shown` is shown.
    pub(super) fn delete(&mut self, at: Parts<'_>, shown: Option<Arc<Entry>>) {
        self.put.remove(at);
        if let Some(shown) = shown {
            self.gone.insert(shown);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.put.iter_from(0).next().is_none() && self.gone.iter_from(0).next().is_none()
    }

    /// What was deleted.
    pub(super) fn gone(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.gone.iter_from(0)
    }

    /// What was put.
    pub(super) fn puts(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.put.iter_from(0)
    }

    /// Each place that is not as it is shown, with what is there.
    pub(super) fn places(&self) -> impl Iterator<Item = (Position, Option<Arc<Entry>>)> {
        let gone = self.gone().map(|entry| (entry.position(), None));
        gone.chain(self.puts().map(|entry| (entry.position(), Some(entry.clone()))))
    }
}
