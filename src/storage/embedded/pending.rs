//! What is in the log and not yet in the tables: by key, so that what is written again and again is moved once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use redb::{Database, ReadableTable};

use super::layout::{INDEX, META, REVISION, ROWS, RowId, row_len, write_row};
use super::log::Logged;
use crate::storage::KeyRange;

/// About what a key costs beside its bytes and its value's.
const OVERHEAD: usize = 100;

/// The last change of each key since the tables were written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: BTreeMap<Vec<u8>, (RowId, Option<Bytes>)>,
    bytes: usize,
    /// The revision up to which these are all changes; none yet if 0.
    last: u64,
}

// === impl Pending ===

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.last == 0
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where a key is: `None` if nothing is known of it, `Some(None)` if it is deleted.
    pub(super) fn place(&self, key: &[u8]) -> Option<Option<RowId>> {
        self.rows.get(key).map(|(id, value)| value.is_some().then_some(*id))
    }

    /// The keys of a range, and whether they are there.
    pub(super) fn range(&self, range: &KeyRange) -> impl Iterator<Item = (&[u8], bool)> {
        let rows = self.rows.range(range.start.clone()..range.end.clone());
        rows.map(|(key, (_, value))| (key.as_slice(), value.is_some()))
    }

    pub(super) fn put(&mut self, key: &[u8], id: RowId, value: Option<Bytes>) {
        let size = value.as_ref().map_or(0, Bytes::len);
        match self.rows.entry(key.to_vec()) {
            Entry::Occupied(mut occupied) => {
                let (_, before) = occupied.insert((id, value));
                self.bytes -= before.map_or(0, |before| before.len());
            }
            Entry::Vacant(vacant) => {
                self.bytes += key.len() + OVERHEAD;
                vacant.insert((id, value));
            }
        }
        self.bytes += size;
        self.last = self.last.max(id.0);
    }

    /// Takes what was found in the log.
    pub(super) fn take(&mut self, changes: Vec<Logged>) {
        for change in changes {
            self.put(&change.key, change.id, change.value);
        }
    }

    /// Moves all of it into the tables, durably, in one transaction.
    pub(super) fn write(&self, database: &Database) -> Result<(), redb::Error> {
        let mut txn = database.begin_write()?;
        // Opening after a crash then takes milliseconds instead of reading everything.
        txn.set_quick_repair(true);
        let mut replaced = Vec::new();
        let mut new = Vec::new();
        {
            let mut index = txn.open_table(INDEX)?;
            for (key, (id, value)) in &self.rows {
                let before = match value {
                    Some(value) => {
                        new.push((*id, key, value));
                        index.insert(key.as_slice(), *id)?.map(|before| before.value())
                    }
                    None => index.remove(key.as_slice())?.map(|before| before.value()),
                };
                replaced.extend(before);
            }
        }
        // In the order of the table, so that neighbours are written together.
        replaced.sort_unstable();
        new.sort_unstable_by_key(|(id, ..)| *id);
        {
            let mut rows = txn.open_table(ROWS)?;
            for id in replaced {
                rows.remove(id)?;
            }
            for (id, key, value) in new {
                let mut place = rows.insert_reserve(id, row_len(key, value))?;
                write_row(place.as_mut(), key, value);
            }
        }
        txn.open_table(META)?.insert(REVISION, self.last)?;
        Ok(txn.commit()?)
    }
}

/// The first live keys of a range, over a table and what changed since, the newest first.
pub(super) fn first_keys(
    index: &impl ReadableTable<&'static [u8], RowId>,
    layers: &[&Pending],
    range: &KeyRange,
    count: usize,
) -> Result<Vec<Vec<u8>>, redb::Error> {
    let mut stored = index.range(range.start.as_slice()..range.end.as_slice())?;
    let mut next_stored = move || -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(stored.next().transpose()?.map(|(key, _)| key.value().to_vec()))
    };
    let mut layers: Vec<_> = layers.iter().map(|layer| layer.range(range).peekable()).collect();
    let mut below = next_stored()?;
    let mut found = Vec::new();
    while found.len() < count {
        let least = layers.iter_mut().filter_map(|layer| layer.peek().map(|(key, _)| *key)).min();
        let key = match (least, &below) {
            (Some(key), Some(stored)) => key.min(stored.as_slice()).to_vec(),
            (Some(key), None) => key.to_vec(),
            (None, Some(stored)) => stored.clone(),
            (None, None) => break,
        };
        // The newest layer that knows the key decides; all are led past it.
        let mut lives = None;
        for layer in &mut layers {
            if let Some((_, live)) = layer.next_if(|(at, _)| *at == key) {
                lives.get_or_insert(live);
            }
        }
        if below.as_ref() == Some(&key) {
            lives.get_or_insert(true);
            below = next_stored()?;
        }
        if lives == Some(true) {
            found.push(key);
        }
    }
    Ok(found)
}
