//! What happened to one object, and its encodings, each made once for all watchers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::entry::Entry;

/// A change of one object.
#[derive(Debug)]
pub struct Event {
    /// When.
    pub revision: u64,
    /// What happened.
    pub kind: EventKind,
    /// The object after the change; for a deletion, its last state with the deletion's revision.
    pub entry: Arc<Entry>,
    /// The object before the change, if there was one.
    pub previous: Option<Arc<Entry>>,
    encoded: Mutex<Vec<(u64, Arc<OnceLock<Bytes>>)>>,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was created or changed.
    Put {
        /// Whether there was none before.
        created: bool,
    },
    /// It was deleted.
    Delete,
}

// === impl Event ===

impl Event {
    pub(super) fn put(entry: Arc<Entry>, previous: Option<Arc<Entry>>) -> Self {
        let kind = EventKind::Put { created: previous.is_none() };
        Self { revision: entry.revision, kind, entry, previous, encoded: Mutex::default() }
    }

    pub(super) fn delete(last: Arc<Entry>, revision: u64) -> Self {
        let entry = Arc::new(last.deleted_at(revision));
        Self { revision, kind: EventKind::Delete, entry, previous: Some(last), encoded: Mutex::default() }
    }

    /// The event's encoding for `slot`: made by the first who asks, shared by all.
    ///
    /// A slot stands for one (version, media type, shape, event type), as the caller numbers them.
    pub fn encode_once(&self, slot: u64, encode: impl FnOnce() -> Bytes) -> Bytes {
        let cell = {
            let mut encoded = self.encoded.lock();
            match encoded.iter().find(|(at, _)| *at == slot) {
                Some((_, cell)) => cell.clone(),
                None => {
                    let cell = Arc::new(OnceLock::new());
                    encoded.push((slot, cell.clone()));
                    cell
                }
            }
        };
        // Outside the lock: others may encode for other slots meanwhile.
        cell.get_or_init(encode).clone()
    }

    /// About how many bytes of history the event keeps alive.
    pub(super) fn cost(&self) -> usize {
        const FIXED: usize = 512;
        let previous = match self.kind {
            EventKind::Put { .. } => self.previous.as_ref().map_or(0, |previous| previous.bytes.len()),
            // Its bytes are those of `entry`.
            EventKind::Delete => 0,
        };
        FIXED + self.entry.bytes.len() + previous
    }
}
