//! A disk on which everything can be tried: what is written stays in memory, and the disk below as it was.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

const BLOCK: u64 = 4096;

/// What was written over a disk.
#[derive(Debug)]
pub(super) struct Overlay<D> {
    below: D,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// How much of the disk below shows: what was cut off once does not come back.
    shown: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl<D: StorageBackend> Overlay<D> {
    pub(super) fn over(below: D) -> io::Result<Self> {
        let len = below.len()?;
        Ok(Self { below, state: Mutex::new(State { len, shown: len, blocks: BTreeMap::new() }) })
    }

    fn block(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = state.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK as usize];
        let start = number * BLOCK;
        if start < state.shown {
            let length = (state.shown - start).min(BLOCK) as usize;
            self.below.read(start, &mut block[..length])?;
        }
        Ok(block)
    }
}

impl<D: StorageBackend> StorageBackend for Overlay<D> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = 0;
        while at < out.len() {
            let place = offset + at as u64;
            let (number, within) = (place / BLOCK, (place % BLOCK) as usize);
            let count = (BLOCK as usize - within).min(out.len() - at);
            let block = self.block(&state, number)?;
            out[at..at + count].copy_from_slice(&block[within..within + count]);
            at += count;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.shown = state.shown.min(len);
        let cut = len.div_ceil(BLOCK);
        drop(state.blocks.split_off(&cut));
        if !len.is_multiple_of(BLOCK)
            && let Some(block) = state.blocks.get_mut(&(len / BLOCK))
        {
            block[(len % BLOCK) as usize..].fill(0);
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }

    // Whoever tries things out on a disk is alone with it.

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.query_lock_range(start, end)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut at = 0;
        while at < data.len() {
            let place = offset + at as u64;
            let (number, within) = (place / BLOCK, (place % BLOCK) as usize);
            let count = (BLOCK as usize - within).min(data.len() - at);
            let mut block = self.block(&state, number)?;
            block[within..within + count].copy_from_slice(&data[at..at + count]);
            state.blocks.insert(number, block);
            at += count;
        }
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_the_disk_below_stays_as_it_was() {
        let below = InMemoryBackend::new();
        below.set_len(10_000).unwrap();
        below.write(0, &[1; 10_000]).unwrap();
        let overlay = Overlay::over(below).unwrap();
        overlay.write(4000, &[2; 200]).unwrap();
        let mut read = [0; 400];
        overlay.read(3900, &mut read).unwrap();
        assert_eq!((&read[..100], &read[100..300], &read[300..]), (&[1; 100][..], &[2; 200][..], &[1; 100][..]));
        overlay.set_len(5000).unwrap();
        overlay.set_len(10_000).unwrap();
        overlay.read(4900, &mut read[..200]).unwrap();
        assert_eq!((&read[..100], &read[100..200]), (&[1; 100][..], &[0; 100][..]), "what was cut off is gone");
        assert!(overlay.read(9_900, &mut read).is_err());
        let mut kept = [0; 200];
        overlay.below.read(4000, &mut kept).unwrap();
        assert_eq!(kept, [1; 200]);
    }
}
