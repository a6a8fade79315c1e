//! Wakes watchers: a few at once, crowds by a task, so that the writer's time does not depend on how many watch.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::groups::Group;

/// A group with more watchers is a crowd.
const CROWD: usize = 32;

/// Groups whose watchers are to be woken.
#[derive(Default)]
pub(super) struct Bell {
    crowds: Mutex<Vec<Arc<Group>>>,
    rung: Notify,
}

// === impl Bell ===

impl Bell {
    /// Wakes groups, each once, though some may be listed more than once.
    pub(super) fn ring(&self, groups: Vec<Arc<Group>>) {
        let mut seen = HashSet::with_capacity(groups.len());
        let mut crowds = Vec::new();
        for group in groups {
            if !seen.insert(Arc::as_ptr(&group)) {
                continue;
            }
            if group.watchers() > CROWD {
                crowds.push(group);
            } else {
                group.wake.notify_waiters();
            }
        }
        if !crowds.is_empty() {
            self.crowds.lock().append(&mut crowds);
            self.rung.notify_one();
        }
    }

    /// Waits until there are crowds to wake.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Wakes the crowds.
    pub(super) fn wake_crowds(&self) {
        let mut crowds = std::mem::take(&mut *self.crowds.lock());
        crowds.sort_unstable_by_key(Arc::as_ptr);
        crowds.dedup_by(|a, b| Arc::ptr_eq(a, b));
        crowds.iter().for_each(|group| group.wake.notify_waiters());
    }
}
