//! What happened to one object, and its encodings, each made once for all watchers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::entry::Entry;

/// A change of one object.
#[derive(Debug)]
pub struct Event {
    /// When it happened, as far as anybody could see. The entry may be older, where its cluster was closed till now.
    pub revision: u64,
    /// What happened.
    pub kind: EventKind,
    /// The object after the change; for a deletion, its last state with the deletion's revision.
    pub entry: Arc<Entry>,
    /// The object before the change, if there was one.
    pub previous: Option<Arc<Entry>>,
    encoded: Mutex<Encodings>,
}

/// What an event was encoded as.
#[derive(Debug)]
enum Encodings {
    /// For these slots.
    Kept(Vec<(u64, Arc<OnceLock<Bytes>>)>),
    /// Nobody is expected to want it any more; who does encodes for themselves.
    LetGo,
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
        Self { revision: entry.revision, kind, entry, previous, encoded: Encodings::none() }
    }

    /// An entry that was put earlier, and is shown from this revision on.
    pub(super) fn shown_at(entry: Arc<Entry>, previous: Option<Arc<Entry>>, revision: u64) -> Self {
        Self { revision, ..Self::put(entry, previous) }
    }

    pub(super) fn delete(last: Arc<Entry>, revision: u64) -> Self {
        let entry = Arc::new(last.deleted_at(revision));
        Self { revision, kind: EventKind::Delete, entry, previous: Some(last), encoded: Encodings::none() }
    }

    /// The event's encoding for `slot`: made by the first who asks, shared by all as long as the event is fresh.
    ///
    /// A slot stands for one (version, media type, shape, event type), as the caller numbers them.
    pub fn encode_once(&self, slot: u64, encode: impl FnOnce() -> Bytes) -> Bytes {
        let cell = match &mut *self.encoded.lock() {
            Encodings::LetGo => None,
            Encodings::Kept(cells) => Some(match cells.iter().find(|(at, _)| *at == slot) {
                Some((_, cell)) => cell.clone(),
                None => {
                    let cell = Arc::new(OnceLock::new());
                    cells.push((slot, cell.clone()));
                    cell
                }
            }),
        };
        // Outside the lock: others may encode for other slots meanwhile.
        match cell {
            Some(cell) => cell.get_or_init(encode).clone(),
            None => encode(),
        }
    }

    /// Lets go of the encodings, and keeps none from now on: those who keep up with events have had this one.
    pub(super) fn let_go_of_encodings(&self) {
        *self.encoded.lock() = Encodings::LetGo;
    }

    /// About how many bytes of history the event keeps alive.
    pub(super) fn cost(&self) -> usize {
        const FIXED: usize = 512;
        let previous = match self.kind {
            EventKind::Put { .. } => self.previous.as_ref().map_or(0, |previous| previous.size()),
            // Its bytes are those of `entry`.
            EventKind::Delete => 0,
        };
        FIXED + self.entry.size() + previous
    }
}

// === impl Encodings ===

impl Encodings {
    fn none() -> Mutex<Self> {
        Mutex::new(Self::Kept(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use atoll_api::{GroupResource, LogicalClusterName};

    use super::*;
    use crate::storage::key::Key;

    #[test]
    fn an_event_is_encoded_once_for_each_slot_until_its_encodings_are_let_go() {
        let cluster = LogicalClusterName::parse("c").unwrap();
        let key = Key::new(GroupResource::new("", "pods"), cluster.clone(), "n", "x");
        let event = Event::put(Arc::new(Entry::new(&key, cluster, Bytes::new(), 1)), None);
        assert_eq!(event.encode_once(1, || "one".into()), "one");
        assert_eq!(event.encode_once(2, || "two".into()), "two");
        assert_eq!(event.encode_once(1, || unreachable!("it is kept")), "one");
        event.let_go_of_encodings();
        assert_eq!(event.encode_once(1, || "anew".into()), "anew");
        assert_eq!(event.encode_once(1, || "and again".into()), "and again");
    }
}
